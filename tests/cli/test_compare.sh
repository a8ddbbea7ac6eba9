#!/bin/sh
# umpa compare: which runs are made, in which order, and what is told of them.
. "$UMPA_SOURCE/tests/cli/common"
needs jq script
side='case $LD_PRELOAD in *umpa*) echo with;; *) echo without;; esac'

# Which runs: one unmeasured of each side, then turns.
run "$umpa" compare -n 2 --no-warm -- sh -c "$side >>'$scratch/runs'"
ends 0 "a plain comparison"
silent
right "the order of the runs" \
	[ "$(tr '\n' ' ' <"$scratch/runs")" = "without with without with with without " ]
for row in "wall time" "user time" "system time" "peak resident" "minor faults" "major faults"; do
	prints "$row"
done
prints "medians of 2 runs each, in turns"
prints "host memory as it was"
run "$umpa" compare -n1 -- true
prints "host memory warm"

# Output and input of the program.
run "$umpa" compare -n 1 -- sh -c 'echo heard; echo seen >&2'
right "the program's output is dropped" [ "${out#*heard}" = "$out" ]
silent
run "$umpa" compare -n 1 --show -- sh -c 'echo heard; echo seen >&2'
prints heard
says seen
echo line >"$scratch/input"
run sh -c '"$1" compare -n 2 --show -- cat <"$2"' sh "$umpa" "$scratch/input"
right "each run reads the input from its beginning" [ "$(grep -c '^line$' "$scratch/out")" = 6 ]

# JSON and CSV.
run "$umpa" compare -n 3 --json --csv "$scratch/runs.csv" -o huge=0 -- sh -c 'exit 4' 'a"b' "$(printf '\377')"
ends 0 "the same status on both sides is no difference"
says "the program ended with exit status 4 on both sides"
query '.program | length' 5
query '.program[3]' 'a"b'
query '.program[4] | explode[0]' 65533
query '.runs' 3
query '.same_status' true
query '.status_with | join(" ")' "4 4 4"
query '[.measures[].measure] | join(" ")' "wall user sys peak_rss minor_faults major_faults"
query '[.measures[] | .without_min <= .without and .without <= .without_max] | all' true
query '[.measures[] | .with_min <= .with and .with <= .with_max] | all' true
query '.measures[3] | .with > 0 and .without > 0 and .ratio > 0' true
right "a CSV line a run, and the head" [ "$(wc -l <"$scratch/runs.csv")" = 7 ]
right "CSV columns" [ "$(awk -F, '{ print NF }' "$scratch/runs.csv" | sort -u)" = 9 ]
median=$(awk -F, '$2 == "with" { print $7 }' "$scratch/runs.csv" | sort -n | sed -n 2p)
query '.measures[4].with' "$median"

run "$umpa" compare -n 2 --json --csv "$scratch/two.csv" -- sh -c : "$(printf 'a\tb\nc\033')"
query '.program[3]' "$(printf 'a\tb\nc\033')"
mean=$(awk -F, '$2 == "without" { sum += $7 } END { print sum / 2 }' "$scratch/two.csv")
query '.measures[4].without' "$mean"

# The options reach the program, and only with umpa.
run "$umpa" compare -n 1 --show -o huge=0 -- sh -c 'echo "<${UMPA_OPTIONS-}>"'
right "options with umpa" [ "$(grep -c '^<huge=0>$' "$scratch/out")" = 2 ]
right "none without" [ "$(grep -c '^<>$' "$scratch/out")" = 2 ]

# Other libraries.
run "$umpa" compare -n 1 --show --vs-preload libm.so.6 -- sh -c 'echo "[$LD_PRELOAD]"'
ends 0 "against another library"
right "the other library" [ "$(grep -c '^\[libm.so.6\]$' "$scratch/out")" = 2 ]
prints "over libm.so.6"
run env LD_PRELOAD="$UMPA_BUILD/libumpa-preload.so" "$umpa" compare -n 1 --show -- sh -c "$side"
right "umpa in LD_PRELOAD is taken out" [ "$(grep -c '^without$' "$scratch/out")" = 2 ]
if LD_PRELOAD=libmimalloc.so.2 true 2>&1 | grep -q .; then
	run "$umpa" compare -n 1 --engine=mimalloc -- true
	ends 125 "an engine that is not installed"
else
	run "$umpa" compare -n 1 --show --engine=mimalloc -- sh -c 'echo "[${LD_PRELOAD##*:}]"'
	right "the engine on the side with umpa only" \
		[ "$(grep '^\[' "$scratch/out" | sort | tr -d '\n')" = "[][][libmimalloc.so.2][libmimalloc.so.2]" ]
fi
run "$umpa" compare --engine=none -- true
ends 2 "an unknown engine"
run "$umpa" compare --vs-preload '' -- true
ends 2 "no library at all"
says "--vs-preload names no library"
run "$umpa" compare --vs-preload libnone.so.9 -- true
ends 2 "no such library to compare with"
says "libnone.so.9"
run env UMPA_PRELOAD="$scratch/input" "$umpa" compare -n 1 -- true
ends 125 "a library that does not load"
says "cannot be preloaded"
run env UMPA_PRELOAD=/none "$umpa" compare -n 1 -- true
ends 125 "no library"

# A difference.
run "$umpa" compare -n 2 -- sh -c 'case $LD_PRELOAD in *umpa*) exit 3;; esac'
ends 1 "a status that differs"
says "without umpa: exit status 0; with umpa: exit status 3"
run "$umpa" compare -n 2 --json -- sh -c 'case $LD_PRELOAD in *umpa*) kill -11 $$;; esac'
ends 1 "a signal on one side"
says "without umpa: exit status 0; with umpa: killed by signal 11 (Segmentation fault)"
query '.same_status' false
query '.status_with | join(" ")' "139 139"
echo 0 >"$scratch/count"
run "$umpa" compare -n 3 -- sh -c '
	n=$(($(cat "$1") + 1)); echo $n >"$1"; [ $n != 8 ] || exit 9' sh "$scratch/count"
ends 1 "one run among many"
says "exit status 9 in 1 run"
says "exit status 0 in 2 runs"
echo 0 >"$scratch/count"
run "$umpa" compare -n 2 -- sh -c '
	n=$(($(cat "$1") + 1)); echo $n >"$1"; [ $n -le 4 ] || kill -15 $$' sh "$scratch/count"
ends 1 "the same two ends on both sides"
ends="exit status 0 in 1 run, killed by signal 15 (Terminated) in 1 run"
says "without umpa: $ends; with umpa: $ends"
run "$umpa" compare -n 1 -- sh -c 'kill -9 $$'
ends 0 "the same signal on both sides is no difference"
says "the program was killed by signal 9 (Killed) on both sides"

# Refusals.
run "$umpa" compare -- no-such-program
ends 127 "no such program"
run "$umpa" compare -- "$scratch/input"
ends 126 "not executable"
run "$umpa" compare --csv "$scratch/none/x.csv" -- true
ends 125 "CSV that can't be written"
run "$umpa" compare
ends 2 "no program"
run "$umpa" compare -n 0 -- true
ends 2 "no runs"
says "a count from 1 to"
run "$umpa" compare -n 3x -- true
ends 2 "not a count"
run "$umpa" compare --json --show -- true
ends 2 "JSON and the program's output"
run "$umpa" compare --json=yes -- true
ends 2 "an argument too many"
says "takes no argument"
run "$umpa" compare -o hug=1 -- true
says "did you mean 'huge'?"

# Stopped, it stops the program, and tells what it knows by then.
"$umpa" compare -n 500 --no-warm --csv "$scratch/part.csv" -- sh -c "echo \$\$ >>'$scratch/pids'; exec sleep 0.05" \
	>"$scratch/part" 2>&1 &
stopped=$!
until [ "$(cat "$scratch/pids" 2>/dev/null | wc -l)" -ge 9 ]; do sleep 0.05; done
kill "$stopped"
wait "$stopped"
right "ended by the signal" [ $? = 143 ]
right "the program is gone" sh -c "! kill -0 $(tail -n 1 "$scratch/pids") 2>/dev/null"
right "what was measured is printed" grep -q "medians of [1-9]" "$scratch/part"
right "and kept" [ "$(wc -l <"$scratch/part.csv")" -gt 2 ]

# So it does where the program has been stopped itself.
"$umpa" compare -n 1 --no-warm -- sh -c "echo \$\$ >'$scratch/asleep'; kill -STOP \$\$" >"$scratch/out" 2>&1 &
waiting=$!
until [ -s "$scratch/asleep" ] && grep -q '^State:.T' "/proc/$(cat "$scratch/asleep")/status"; do sleep 0.05; done
kill "$waiting"
(sleep 10; kill -9 "$waiting") 2>/dev/null &
watchdog=$!
wait "$waiting"
right "ended, with a program that is stopped" [ $? = 143 ]
kill "$watchdog"
! kill -9 "$(cat "$scratch/asleep")" 2>/dev/null
right "which is gone, too" [ $? = 0 ]

# Progress is for terminals.
run script -qec "'$umpa' compare -n 1 -- true" /dev/null
prints "run 1 of 1, with"
run "$umpa" compare -n 1 -- true
silent
right "no escape sequences" [ "$(grep -c "$(printf '\033')" "$scratch/out")" = 0 ]
finish 82
