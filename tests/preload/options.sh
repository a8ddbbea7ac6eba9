# What UMPA_OPTIONS makes the preloaded library say, and that a process without large blocks hardly differs.
. "$UMPA_SOURCE/tests/preload/common"

# says WHAT PATTERN OPTIONS PROG ARGS: the program succeeds and standard error matches.
says()
{
	what=$1 pattern=$2 options=$3
	shift 3
	UMPA_OPTIONS=$options LD_PRELOAD=$preload "$@" >"$scratch/out" 2>"$scratch/err"
	status=$?
	[ "$status" = 0 ] && ! grep -q "$pattern" "$scratch/err" && status=99
	[ "$status" = 0 ] || cat "$scratch/err"
	result "$what" "$status"
}

says "stats at the end" '^umpa: *nallocs' stats=1 "$programs/weather" churn
says "stats of a program without large blocks" '^umpa: process [0-9]*, true: nothing was served' stats=1 env true
says "an option nobody knows" "UMPA_OPTIONS: 'colour=red'" colour=red,malloc_min=512K "$programs/weather" umpa
says "stats of a program that closes standard error" '^umpa: *nallocs' stats=1 sort /dev/null
UMPA_OPTIONS=stats=1 LD_PRELOAD=$preload sh -c 'exec 2>"$0"; exec true' "$scratch/other" 2>"$scratch/err"
grep -q 'umpa: process' "$scratch/other"
result "stats go to the standard error the program was started with" $?
LD_PRELOAD=$preload env true 2>"$scratch/err"
[ ! -s "$scratch/err" ]
result "says nothing by itself" $?

if command -v strace >"$scratch/out" && strace -o "$scratch/trace" true 2>"$scratch/err"; then
	strace -f -o "$scratch/trace" -E "LD_PRELOAD=$preload" true
	! grep -q 'userfaultfd\|PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE' "$scratch/trace"
	result "no window before the first large block" $?
	[ "$(grep -c '^[0-9]* getrandom' "$scratch/trace")" -le 1 ]
	result "no more than libc's own getrandom" $?
else
	leave_out "strace is not to be had" 2
fi
finish 8
