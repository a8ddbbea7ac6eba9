# Signal handlers that map memory.
. "$UMPA_SOURCE/tests/preload/common"
check "a timer's handler" "$programs/signals"
UMPA_OPTIONS=malloc_min=4K,mover=mremap check "the same, malloc_min=4K,mover=mremap" "$programs/signals"
finish 2
