# python3: tests of multiprocessing, which fork and hand memory over.
. "${0%/*}/common"
commands=python3
packages="python3 libpython3.11-testsuite"

check()
{
	python3 -c 'import test.test_multiprocessing_fork' 2>/dev/null || missing "test suite of python3"
}

# Not all is printed: python3's tracker of shared memory complains now and then, of names made at random.
run()
{
	set -- WithProcessesTestQueue WithProcessesTestArray WithProcessesTestHeap WithProcessesTestSharedMemory
	[ -z "${PROGRAMS_SHORT:-}" ] || set -- WithProcessesTestArray WithProcessesTestHeap
	for class; do
		echo "test.test_multiprocessing_fork.$class"
	done | xargs python3 -m unittest 2>&1 | sed -n 's/ in [0-9.]*s$//; /^Ran\|^OK\|^FAIL\|^ERROR/p'
}

main "$@"
