# python3: tests of its own that use much memory.
. "${0%/*}/common"
commands=python3
packages="python3 libpython3.11-testsuite"

check()
{
	python3 -c 'import test.test_bytes' 2>/dev/null || missing "test suite of python3"
}

run()
{
	set -- test.test_bytes test.test_array test.test_list
	[ -n "${PROGRAMS_SHORT:-}" ] || set -- "$@" test.test_mmap test.test_memoryio test.test_io
	python3 -m unittest -v "$@" 2>&1 | sed 's/ in [0-9.]*s$//; s/@test_[0-9]*_tmp/@test_tmp/'
}

main "$@"
