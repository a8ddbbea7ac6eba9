# Rare calls of the mmap family, and what can be seen of the pages: the same text with umpa and without.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/answers" >"$scratch/plain" 2>&1
result "without umpa" $?

# same OPTIONS: and umpa has served most of the mappings.
same()
{
	UMPA_OPTIONS=$1,stats=1 LD_PRELOAD=$preload "$programs/answers" >"$scratch/umpa" 2>"$scratch/counters"
	status=$?
	diff "$scratch/plain" "$scratch/umpa" || status=1
	awk '/nmappings/ { n = $3 } END { exit n > 130 ? 0 : 1 }' "$scratch/counters" || {
		tail -n 30 "$scratch/counters"
		status=1
	}
	result "$1" "$status"
}

same mmap=1
same mover=mremap
same huge=0,mover=plain
same window=32M
finish 5
