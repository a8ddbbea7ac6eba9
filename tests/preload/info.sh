# The functions that look into malloc, over each engine.
. "$UMPA_SOURCE/tests/preload/common"
export UMPA_OPTIONS=keep=1T # what is freed shall be there to be seen
check "mallinfo and the like" "$programs/info"
for engine in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
	if LD_PRELOAD=$engine true 2>&1 | grep -q .; then
		leave_out "$engine is not installed"
	else
		check "mallinfo and the like over $engine" "$programs/info"
	fi
done
finish 4
