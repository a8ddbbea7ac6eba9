# An engine's own memory: it comes from umpa once it is more than a little, unless an option forbids it.
. "$UMPA_SOURCE/tests/preload/common"

# The blocks of tcmalloc are the heap's, by brk, if it is not told otherwise.
export TCMALLOC_SKIP_SBRK=1

# serves ENGINE OPTIONS LEAST MOST: so many mappings come from umpa.
serves()
{
	UMPA_OPTIONS=$2,stats=1 LD_PRELOAD="$preload $1" "$programs/engine" "$(soaked 1)" >"$scratch/out" 2>&1
	status=$?
	awk -v least="$3" -v most="$4" '/nmappings/ { n = $3; seen = 1 } /nothing was served/ { n = 0; seen = 1 }
		END { exit seen && n >= least && n <= most ? 0 : 1 }' "$scratch/out" || status=1
	[ "$status" = 0 ] || tail -n 40 "$scratch/out"
	result "$(basename "$1"), $2" "$status"
}

for name in libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
	engine=$(library "$name")
	if [ -z "$engine" ]; then
		leave_out "$name is not installed" 4
		continue
	fi
	serves "$engine" engine_mmap=1 1 1000000
	serves "$engine" engine_mmap=0 0 0
	serves "$engine" mover=mremap,huge=0 1 1000000
	serves "$engine" mmap=1,keep=0 1 1000000
done
# glibc asks for huge pages where they are for who asks: then its heap begins with one.
heap_is_huge()
{
	range=$(GLIBC_TUNABLES=glibc.malloc.hugetlb=1 LD_PRELOAD=$preload "$@" /proc/self/maps)
	[ $((0x${range#*-} - 0x${range%-*})) -ge 2097152 ]
	result "glibc's heap in huge pages, $1" $?
}

if grep -q '\[madvise\]' /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null; then
	heap_is_huge sed -n 's/ .*\[heap\]$//p'
	heap_is_huge awk '/\[heap\]/ { print $1 }'
else
	leave_out "huge pages are not for who asks for them" 2
fi
finish 14
