# Libraries that come and go, the loader's own allocations, and what allocates before umpa is ready.
. "$UMPA_SOURCE/tests/preload/common"
check "dlopen and dlclose in a loop" "$programs/dl" "$programs/libplug.so"
UMPA_OPTIONS=malloc_min=4K check "the same, malloc_min=4K" "$programs/dl" "$programs/libplug.so"
check "dlsym that allocates" "$programs/boot"
engine=$programs/libifunc.so check "IFUNC resolver that allocates" "$programs/boot" ifunc
LD_AUDIT=$programs/libaudit.so check "LD_AUDIT" "$programs/api" glibc umpa
LD_AUDIT=$programs/libaudit.so check "LD_AUDIT, dlopen" "$programs/dl" "$programs/libplug.so"
LD_BIND_NOW=1 check "LD_BIND_NOW" "$programs/boot"
finish 7
