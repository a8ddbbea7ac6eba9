# What runs in which kernel; read by scripts/check-kernels, which sets source_dir and build_dir.
#
# A plan is lines of NAME|USER|MODE|COMMAND: the name under which the guest reports, who runs it
# (root or user), what /sys/kernel/mm/transparent_hugepage/enabled says meanwhile (always, as Debian
# ships it, madvise or never), and the command line.
# shellcheck shell=sh disable=SC2154

# Real programs for the preload smoke test, small enough for the guest; those not installed are left out.
plan_programs="dash sort xz sqlite3 perl"

# Every test program that needs a real kernel; one that has a source must have been built.
plan_tests()
{
	for source in "$source_dir"/tests/contract/test_*.c "$source_dir"/tests/real/test_*.c; do
		[ -e "$source" ] || continue
		program=$(basename "$source" .c)
		find "$build_dir/tests" -type f -name "$program" -perm -u+x | grep . || {
			echo "check-kernels: $program is not built" >&2
			echo "/missing/$program"
		}
	done
}

plan_mode()
{
	for test in $(plan_tests); do
		echo "${test##*/}@$1|user|$1|$test"
	done
	for program in $plan_programs; do
		path=$(command -v "$program") || continue
		echo "preload-$program@$1|user|$1|/umpa/smoke $build_dir/libumpa-preload.so $path"
	done
}

plan_of()
{
	mover=uffd
	[ "$1" != 6.1 ] || mover=mremap
	echo "doctor|user|always|$build_dir/umpa doctor"
	echo "mover|user|always|/umpa/expect-mover $mover $build_dir/umpa"
	plan_mode always
	! [ -x "$build_dir/tests/real/test_weather" ] ||
		echo "test_weather@root|root|always|$build_dir/tests/real/test_weather"
	[ "$1" != 6.1 ] || plan_mode never
}
