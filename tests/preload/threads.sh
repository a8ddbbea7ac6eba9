# Threads, thread exit, fork and vfork.
. "$UMPA_SOURCE/tests/preload/common"
check "threads" "$programs/threads"
check "fork" "$programs/fork"
finish 2
