# Another malloc preloaded after umpa is the engine for what is small.
. "$UMPA_SOURCE/tests/preload/common"

for name in libjemalloc.so.2 libtcmalloc.so.4 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
	engine=$(library "$name")
	if [ -z "$engine" ]; then
		leave_out "$name is not installed" 5
		continue
	fi
	check "api over $name" "$programs/api" umpa
	UMPA_OPTIONS=malloc_min=4K check "api over $name, malloc_min=4K" "$programs/api" umpa
	check "threads over $name" "$programs/threads" "$(soaked 5000)"
	check "fork over $name" "$programs/fork" "$(soaked 3)"
	check "dlopen over $name" "$programs/dl" "$programs/libplug.so"
done
check "a program with a malloc of its own" "$programs/own"
finish 21
