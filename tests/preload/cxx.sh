# C++ programs.
. "$UMPA_SOURCE/tests/preload/common"
cxx=${CXX:-c++}
command -v "$cxx" >"$scratch/out" || skip "no C++ compiler"
"$cxx" -std=c++17 -O1 -fno-builtin -pthread -o "$scratch/cxx" "$UMPA_SOURCE/tests/preload/cxx.cc" || exit 1
check "new and delete" "$scratch/cxx"
UMPA_OPTIONS=malloc_min=4K check "new and delete, malloc_min=4K" "$scratch/cxx"
finish 2
