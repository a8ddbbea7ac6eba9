# The mmap family by libc's names: with and without umpa, the same calls get the same answers.
. "$UMPA_SOURCE/tests/preload/common"

# same SEED OPTIONS: and umpa has served some of the mappings.
same()
{
	"$programs/mmap" "$1" "$(soaked 80)" >"$scratch/plain" 2>&1 || result "seed $1 without umpa" 1
	UMPA_OPTIONS=$2,stats=1 LD_PRELOAD=$preload "$programs/mmap" "$1" "$(soaked 80)" >"$scratch/umpa" 2>"$scratch/counters"
	status=$?
	cmp "$scratch/plain" "$scratch/umpa" || status=1
	awk '/nmappings/ { n = $3 } END { exit n > 0 ? 0 : 1 }' "$scratch/counters" || {
		tail -n 30 "$scratch/counters"
		status=1
	}
	result "seed $1, $2" "$status"
}

same 11 mmap=1
same 12 mmap=1,mmap_min=64K
same 13 mmap=1,mover=mremap
same 14 mmap=1,huge=0,mover=plain
finish 4
