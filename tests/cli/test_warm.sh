#!/bin/sh
# umpa compare's host-warm step: made before each counted run, and only there, and of the right size.
. "$UMPA_SOURCE/tests/cli/common"
needs strace jq
strace -f -o /dev/null true 2>/dev/null || skip "no process may be traced here"

# traced ARGS: umpa compare ARGS under strace; $out is a line "NBYTES" for each huge page advice.
traced()
{
	run strace -f -qq -o "$scratch/trace" -e trace=madvise "$umpa" compare "$@"
	ends 0 "compare $*"
	out=$(sed -n 's/.*madvise(0x[0-9a-f]*, \([0-9]*\), MADV_HUGEPAGE.*/\1/p' "$scratch/trace")
	nsteps=$(printf '%s' "$out" | grep -c .)
}

traced -n 2 --no-warm -- sh -c :
right "no step, but $nsteps" [ "$nsteps" = 0 ]
traced -n 2 --csv "$scratch/runs.csv" -- sh -c 'LD_PRELOAD= cat /proc/self/status >/dev/null'
right "a step for each counted run, not $nsteps" [ "$nsteps" = 4 ]
peak=$(awk -F, 'NR > 1 && $6 > peak { peak = $6 } END { print peak }' "$scratch/runs.csv")
for nbytes in $out; do
	right "$nbytes bytes are more than the peak, $peak" [ "$nbytes" -gt "$peak" ]
	right "and not much more" [ "$nbytes" -lt $((peak * 2 + (64 << 20))) ]
done
traced -n 1 --no-warm --warm -- true
right "the last flag decides" [ "$nsteps" = 2 ]
finish 14
