# glibc's heap under umpa keeps its free top as it would without: by page faults a round.
. "$UMPA_SOURCE/tests/preload/common"

# faults WHAT TEST-OF-COUNT ARGS: runs learn under umpa.
faults()
{
	what=$1 test=$2
	shift 2
	n=$(under "$@") && [ "$n" "$test" 50 ]
	result "$what ($n)" $?
}

case $(getconf GNU_LIBC_VERSION 2>"$scratch/err") in
glibc*) ;;
*) skip "the heap is not glibc's" ;;
esac

n=$("$programs/learn" 4000000) && [ "$n" -le 50 ]
result "without umpa the heap learns ($n)" $?
faults "nothing learnt without a large block" -gt "$programs/learn"
faults "what a large block would have taught is told" -le "$programs/learn" 4000000
faults "no more is told than it would have taught" -gt "$programs/learn" 1100000
faults "a threshold in the environment holds" -gt \
	env MALLOC_TRIM_THRESHOLD_=131072 "$programs/learn" 4000000
faults "a tunable holds" -gt \
	env GLIBC_TUNABLES=glibc.malloc.top_pad=131072 "$programs/learn" 4000000
faults "blocks that glibc serves itself teach it themselves" -le \
	env UMPA_OPTIONS=malloc_min=8M "$programs/learn" 4000000
finish 7
