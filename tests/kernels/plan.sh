# What runs in which kernel; read by scripts/check-kernels, which sets source_dir and build_dir.
#
# A plan is lines of NAME|USER|MODE|COMMAND: the name under which the guest reports, who runs it
# (root or user), what /sys/kernel/mm/transparent_hugepage/enabled says meanwhile (always, as Debian
# ships it, madvise or never), and the command line.
# shellcheck shell=sh disable=SC2154

# Real programs for the preload smoke test: one with threads, one without. tests/preload/programs.sh runs
# more of them natively. Those not installed are left out.
plan_programs="sort sqlite3"

# Programs of tests/preload that know nothing of umpa, each with its arguments.
plan_preloads="threads:2000 weather:umpa:churn large_heap:120"

# Examples of guest mode, and how many times what they take the kernel must take at least.
plan_examples="barrier:40 paging:10 scaling:5 snapshot:3"

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

plan_doctor()
{
	echo "doctor@$1|user|$1|/umpa/doctor $build_dir/umpa $findings"
}

# Huge pages for all memory: every program, but of the random ones what depends on the kernel. With a mover
# that is not this kernel's own they are natively the same.
plan_always()
{
	plan_doctor always
	plan_tests | while read -r test; do
		name=${test##*/} user=user patterns=
		case $name in
		test_weather | test_huge_pages) user=root ;; # they change the machine's settings
		test_rewire) patterns="real_auto ordinary_auto after_fork around" ;;
		test_model) patterns=model_real_auto ;;
		test_mmap_same) patterns=mmap_same_auto ;;
		test_mmap) patterns="mmap_child mmap_protected mmap_in_bad" ;; # no forks under load, long here
		esac
		echo "$name@always|$user|always|$test $patterns"
	done
	echo "vmm_threads@always|user|always|/umpa/vmm-threads $build_dir/examples/vmm_threads"
	for program in $plan_programs; do
		path=$(command -v "$program") || continue
		echo "preload-$program@always|user|always|/umpa/smoke $build_dir/libumpa-preload.so $path"
	done
	for words in $plan_preloads; do
		program=$build_dir/tests/preload/${words%%:*}
		arguments=$(echo "${words#"${words%%:*}"}" | tr : ' ')
		echo "preload-${program##*/}@always|user|always|env LD_PRELOAD=$build_dir/libumpa-preload.so $program$arguments"
	done
}

# Tests of guest mode where KVM shadows page tables: of blocks those in which entries change.
plan_shadowed()
{
	for name in "$@"; do
		patterns=
		[ "$name" != test_vmm_blocks ] || patterns="vmm_forgets vmm_exchanges vmm_calls vmm_allocates"
		echo "$name@shadow|root|always|/umpa/shadow $build_dir/tests/real/$name $patterns"
	done
}

# Tests of what is forgotten, where each page is remembered by itself: behind a huge page the emulated processor
# remembers, and forgets, all of it.
plan_remembered()
{
	echo "test_vmm_blocks@never|user|never|$build_dir/tests/real/test_vmm_blocks vmm_forgets vmm_exchanges"
}

# Huge pages off: how a mover is found, and that it moves. What becomes of base pages is among the cases of
# test_mover_memory and of the weather, whatever the mode.
plan_never()
{
	plan_doctor never
	plan_tests | while read -r test; do
		case ${test##*/} in
		test_model) echo "test_model@never|user|never|$test model_real_auto" ;;
		test_movers | test_mover_[cdf]*) echo "${test##*/}@never|user|never|$test" ;;
		esac
	done
}

plan_of()
{
	plan_tests >/dev/null || return 1
	findings="uffd 0"
	[ "$1" != 6.1 ] || findings="mremap 1"
	plan_always
	plan_shadowed test_vmm test_vmm_blocks test_vmm_cpus test_vmm_left
	[ "$1" != 6.1 ] || {
		plan_never
		plan_remembered
	}
}

# In a machine that counts instructions.
plan_counted()
{
	echo "vmm-figures|user|always|/umpa/vmm-figures $build_dir/umpa"
	for words in $plan_examples; do
		name=${words%:*}
		echo "vmm-$name|user|always|/umpa/vmm-example $build_dir/examples/vmm_$name ${words#*:}"
	done
}
