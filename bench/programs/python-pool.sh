# python3: tests of multiprocessing, which fork and hand memory over.
. "${0%/*}/common"
commands=python3
packages="python3 libpython3.11-testsuite"

check()
{
	python3 -c 'import test.test_multiprocessing_fork' 2>/dev/null || missing "test suite of python3"
}

run()
{
	set -- WithProcessesTestQueue WithProcessesTestArray WithProcessesTestHeap WithProcessesTestSharedMemory
	[ -z "${PROGRAMS_SHORT:-}" ] || set -- WithProcessesTestArray WithProcessesTestHeap
	for class; do
		echo "test.test_multiprocessing_fork.$class"
	done | xargs python3 -m unittest -v 2>&1 | sed 's/ in [0-9.]*s$//'
}

main "$@"
