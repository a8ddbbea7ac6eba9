# The mmap family by libc's names: with and without umpa, the same calls get the same answers.
. "$UMPA_SOURCE/tests/preload/common"

# same SEED OPTIONS: and umpa has served more of the mappings than are made to let it see that they are used.
same()
{
	"$programs/mmap" "$1" "$(soaked 80)" >"$scratch/plain" 2>&1 || result "seed $1 without umpa" 1
	prints_the_same "seed $1, $2" "$2" 20 "$programs/mmap" "$1" "$(soaked 80)"
}

same 11 mmap=1
same 15 mmap=1,mmap_min=64K
same 13 mmap=1,mover=mremap
same 22 mmap=1,huge=0,mover=plain
finish 4
