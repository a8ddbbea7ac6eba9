# The malloc family's rules, under umpa as it is set by default and by options.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/api" glibc >"$scratch/out" 2>&1
result "api without umpa" $?
check "api" "$programs/api" glibc umpa
for options in malloc_min=4K malloc_min=1M mover=mremap mover=plain huge=0 nursery=0 window=64M \
	shards=1 malloc_min=4K,huge=0,shards=2; do
	UMPA_OPTIONS=$options check "api, $options" "$programs/api" glibc umpa
done
UMPA_OPTIONS=malloc_min=1G check "api, nothing is large" "$programs/api" glibc
finish 12
