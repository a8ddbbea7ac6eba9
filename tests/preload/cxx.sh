# C++ programs, over each engine.
. "$UMPA_SOURCE/tests/preload/common"
cxx=${CXX:-c++}
command -v "$cxx" >"$scratch/out" || skip "no C++ compiler"
for program in cxx cxx_replaced; do
	"$cxx" -std=c++17 -O1 -fno-builtin -pthread -o "$scratch/$program" "$UMPA_SOURCE/tests/preload/$program.cc" ||
		exit 1
done
for engine in '' libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
	if [ -n "$engine" ] && LD_PRELOAD=$engine true 2>&1 | grep -q .; then
		leave_out "$engine is not installed" 3
		continue
	fi
	check "new and delete${engine:+ over $engine}" "$scratch/cxx"
	UMPA_OPTIONS=malloc_min=4K check "new and delete${engine:+ over $engine}, malloc_min=4K" "$scratch/cxx"
	check "new and delete replaced${engine:+, over $engine}" "$scratch/cxx_replaced"
done
# C++'s library takes a block of 71 KiB when it starts.
cat >"$scratch/nothing.cc" <<-'END'
	#include <iostream>
	int main() { std::cout << "nothing\n"; }
END
"$cxx" -o "$scratch/nothing" "$scratch/nothing.cc" &&
	UMPA_OPTIONS=stats=1 LD_PRELOAD=$preload "$scratch/nothing" 2>&1 | grep -q "nothing was served"
result "a small program starts without a core" $?
finish 13
