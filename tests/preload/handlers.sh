# Signal handlers are the program's own, and hold up no thread that has a lock of umpa's.
. "$UMPA_SOURCE/tests/preload/common"

"$programs/handlers" >"$scratch/plain.out" 2>&1
status=$?
cat "$scratch/plain.out"
result "what is expected is so without umpa" "$status"
check "handlers are the program's" "$programs/handlers"
UMPA_OPTIONS=defer=0 check "the same, defer=0" "$programs/handlers"
check "threads stopped wherever they are" timeout 120 "$programs/handlers" stops "$(soaked 1000)"
UMPA_OPTIONS=mover=mremap,malloc_min=4K check "the same, mover=mremap,malloc_min=4K" \
	timeout 120 "$programs/handlers" stops "$(soaked 500)"
finish 5
