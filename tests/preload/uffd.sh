# A userfaultfd of the program's own over memory that umpa has served: the same text with umpa and without.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/uffd" >"$scratch/plain" 2>&1 || {
	status=$?
	cat "$scratch/plain"
	[ $status = 77 ] && skip "no userfaultfd here"
	exit 1
}
prints_the_same "mmap=1" "mmap=1" 15 "$programs/uffd"
prints_the_same "huge=0,mover=plain" "huge=0,mover=plain" 15 "$programs/uffd"
for options in mmap=1 mover=mremap; do
	prints_the_same "after moves, $options" "$options" 15 "$programs/uffd" moved
done
finish 4
