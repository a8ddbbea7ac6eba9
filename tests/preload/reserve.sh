# Reservations, opened piece by piece: the program's own account of them, by the kernel and by umpa.
. "$UMPA_SOURCE/tests/preload/common"

# serves OPTIONS: umpa has served some of them, and all is as it should be.
serves()
{
	UMPA_OPTIONS=$1,stats=1 LD_PRELOAD=$preload "$programs/reserve" >"$scratch/out" 2>&1
	status=$?
	awk '/nmappings/ && $3 > n { n = $3 } END { exit n > 10 ? 0 : 1 }' "$scratch/out" || status=1
	[ "$status" = 0 ] || tail -n 40 "$scratch/out"
	result "$1" "$status"
}

"$programs/reserve"
result "without umpa" $?
serves mmap=1
serves mover=mremap
serves mover=plain,huge=0
serves keep=0
finish 5
