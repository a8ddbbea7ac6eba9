# Threads, thread exit, fork and vfork.
. "$UMPA_SOURCE/tests/preload/common"
check "threads" "$programs/threads" "$(soaked 20000)"
check "fork" "$programs/fork" "$(soaked 10)"
finish 2
