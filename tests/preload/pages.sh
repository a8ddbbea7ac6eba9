# Blocks of malloc that are protected, locked, advised or mapped over, and freed so.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/pages" >"$scratch/plain" 2>&1
result "without umpa" $?
for options in malloc_min=64K mmap=1 mover=mremap mover=plain huge=0; do
	UMPA_OPTIONS=$options check "$options" "$programs/pages"
done
finish 6
