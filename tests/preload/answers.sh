# Rare calls of the mmap family, and what can be seen of the pages: the same text with umpa and without.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/answers" >"$scratch/plain" 2>&1
result "without umpa" $?

for options in mmap=1 mover=mremap huge=0,mover=plain window=32M; do
	prints_the_same "$options" "$options" 130 "$programs/answers"
done
finish 5
