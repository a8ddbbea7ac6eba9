# What runs in which kernel; read by scripts/check-kernels, which sets source_dir and build_dir.
#
# A plan is lines of NAME|USER|MODE|COMMAND: the name under which the guest reports, who runs it
# (root or user), what /sys/kernel/mm/transparent_hugepage/enabled says meanwhile (always, as Debian
# ships it, madvise or never), and the command line.
# shellcheck shell=sh disable=SC2154

# Real programs for the preload smoke test, small enough for the guest; those not installed are left out.
plan_programs="dash sort xz sqlite3 perl"

# Programs of tests/preload that know nothing of umpa, each with its arguments.
plan_preloads="threads weather:umpa:churn"

# Every test program that needs a real kernel; one that has a source must have been built.
plan_tests()
{
	for source in "$source_dir"/tests/contract/*.c "$source_dir"/tests/real/test_*.c; do
		[ -e "$source" ] || continue
		program=${source#"$source_dir/"}
		program=$build_dir/${program%.c}
		[ -x "$program" ] || {
			echo "check-kernels: $program is not built" >&2
			return 1
		}
		echo "$program"
	done
}

plan_mode()
{
	echo "doctor@$1|user|$1|/umpa/doctor $build_dir/umpa $findings"
	plan_tests | while read -r test; do
		case ${test##*/} in
		# Once, as root: it changes the machine's settings and breaks its own weather.
		test_weather) [ "$1" = never ] || echo "weather|root|$1|$test" ;;
		# Long, and nothing in them depends on huge pages.
		test_fork | test_rewire) [ "$1" = never ] || echo "${test##*/}@$1|user|$1|$test" ;;
		# The kernel's answers against umpa's: with the mover of this kernel.
		test_mmap_same) [ "$1" = never ] || echo "mmap_same|user|$1|$test mmap_same_briefly" ;;
		# Without the forks under load, which are long here.
		test_mmap) [ "$1" = never ] || echo "mmap|user|$1|$test mmap_child mmap_protected mmap_in_bad" ;;
		# Each of its runs takes ten seconds and more here; the mover is this kernel's own.
		test_model) echo "test_model@$1|user|$1|$test model_real_auto" ;;
		*) echo "${test##*/}@$1|user|$1|$test" ;;
		esac
	done
	for program in $plan_programs; do
		[ "$1" != never ] || [ "$program" = sort ] || continue
		path=$(command -v "$program") || continue
		echo "preload-$program@$1|user|$1|/umpa/smoke $build_dir/libumpa-preload.so $path"
	done
}

plan_preloaded()
{
	for words in $plan_preloads; do
		program=$build_dir/tests/preload/${words%%:*}
		arguments=$(echo "${words#"${words%%:*}"}" | tr : ' ')
		echo "preload-${program##*/}@$1|user|$1|env LD_PRELOAD=$build_dir/libumpa-preload.so $program$arguments"
	done
}

plan_of()
{
	plan_tests >/dev/null || return 1
	findings="uffd 0"
	[ "$1" != 6.1 ] || findings="mremap 1"
	plan_mode always
	plan_preloaded always
	[ "$1" != 6.1 ] || plan_mode never
}
