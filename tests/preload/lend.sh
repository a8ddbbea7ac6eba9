# Pages lent to the kernel, advice and locks by other calls than mmap's, more than there is: the same text with umpa and
# without.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/lend" >"$scratch/plain" 2>&1
result "without umpa" $?
for options in mmap=1 mover=mremap huge=0,mover=plain; do
	prints_the_same "$options" "$options" 15 "$programs/lend"
done
finish 4
