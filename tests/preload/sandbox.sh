# A program that confines itself with seccomp, and is killed for calls that a malloc would not make.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/sandbox" >"$scratch/out" 2>&1 || {
	cat "$scratch/out"
	skip "no seccomp here"
}
check "late" "$programs/sandbox"
check "early" "$programs/sandbox" early
check "limited" sh -c 'ulimit -v 400000; exec "$0" limited' "$programs/sandbox"
for options in mover=mremap huge=0,mmap_min=64K,malloc_min=4K; do
	UMPA_OPTIONS=$options check "late, $options" "$programs/sandbox"
done
engine=$(library libjemalloc.so.2)
if [ -n "$engine" ]; then
	check "before jemalloc" "$programs/sandbox"
else
	leave_out "libjemalloc.so.2 is not installed"
fi
finish 6
