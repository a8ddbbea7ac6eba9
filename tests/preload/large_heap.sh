# glibc's heap under umpa has huge pages once it is large and filled, by page faults for a hundred pages, and is left
# as it was where it is small or somebody else decides.
. "$UMPA_SOURCE/tests/preload/common"

# percent WHAT TEST-OF-COUNT ARGS: runs large_heap under umpa.
percent()
{
	what=$1 test=$2
	shift 2
	n=$(under "$@" 2>"$scratch/err")
	case $? in
	0) [ "$n" "$test" 50 ] ;;
	77)
		leave_out "$what: $(cat "$scratch/err")"
		return
		;;
	*) false ;;
	esac
	result "$what ($n)" $?
}

case $(getconf GNU_LIBC_VERSION 2>"$scratch/err") in
glibc*) ;;
*) skip "the heap is not glibc's" ;;
esac
case $(cat /sys/kernel/mm/transparent_hugepage/enabled 2>"$scratch/err") in
*"[madvise]"*) ;;
*) skip "huge pages are not to be had by advice alone" ;;
esac

percent "a large heap has huge pages" -lt "$programs/large_heap" 120
percent "a small one has none" -gt "$programs/large_heap" 20
percent "none where little is written to" -gt "$programs/large_heap" 120 sparse
percent "none for one that is tuned" -gt env MALLOC_TOP_PAD_=131072 "$programs/large_heap" 120
percent "none where glibc is told by a tunable" -gt \
	env GLIBC_TUNABLES=glibc.malloc.hugetlb=0 "$programs/large_heap" 120
percent "none with huge=0" -gt env UMPA_OPTIONS=huge=0 "$programs/large_heap" 120
percent "none where address space is limited" -gt \
	sh -c 'ulimit -v 60000000 && exec "$@"' sh "$programs/large_heap" 120
for how in trim limit tune lock; do
	percent "no more after $how" -gt "$programs/large_heap" 160 "$how"
done
percent "children limit themselves while the heap is locked" -gt "$programs/large_heap" 80 child
finish 12
