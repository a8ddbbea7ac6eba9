#!/bin/sh
# umpa bench keeps its raw figures as they come: what a run that is killed, told to end or out of room leaves
# behind is whole, can be read, and is added to. No time is looked at.
. "$UMPA_SOURCE/tests/cli/common"
needs jq
kept=$scratch/kept
csv=$kept/threads.csv
head=test,method,repetition,bin_nbytes,metric,value

# begin ARGS: umpa bench threads ARGS in the background, until there are figures of its second test.
begin()
{
	shown="umpa bench threads $*"
	env --default-signal=INT "$umpa" bench threads "$@" --no-calls --csv "$kept" >"$scratch/out" 2>"$scratch/err" &
	pid=$!
	until grep -q '^own-4K-2,' "$csv" 2>/dev/null; do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.02
	done
	sleep 0.05 # into the next worker, mostly
}

# ended: waits for it.
ended()
{
	wait "$pid" 2>/dev/null
	status=$?
	out=$(cat "$scratch/out")
	err=$(cat "$scratch/err")
}

# whole: the file has its head line, six fields a line after it, the last of them a number, and nothing lies
# beside it but what it comes from.
whole()
{
	right "nothing but the figures" [ "$(ls "$kept" | tr '\n' ' ')" = "threads.csv threads.txt " ]
	right "the head line" [ "$(head -n 1 "$csv")" = $head ]
	right "a last line that ends" [ -z "$(tail -c 1 "$csv")" ]
	right "figures only" [ -z "$(awk -F, 'NR > 1 && (NF != 6 || $6 + 0 "" == "nan" || $6 !~ /^[-+.e0-9]+$/)' "$csv")" ]
}

# figures TEST METRIC: how many are kept.
figures()
{
	grep -c "^$1,.*,$2," "$csv"
}

begin --only 'own-4K-*' -n 99
kill -9 "$pid"
ended
right "killed" [ "$status" = 137 ]
whole
right "all of the test before" [ "$(figures own-4K-1 blocks_per_s)" -ge 4 ]
before=$(grep '^own-4K-2,' "$csv")
run "$umpa" bench report --json "$kept"
ends 0 "a report of what was left"
query '[.results[] | select(.test == "own-4K-1" and .method == "glibc" and .metric == "blocks_per_s")] | length' 1

# Half a line is left out by who reads, and gone with the next run, which replaces its own test's figures only.
printf 'own-4K-2,glibc,0,0,lost,1' >>"$csv"
run "$umpa" bench report --json "$kept"
ends 0 "a report of half a line"
query '[.results[] | select(.metric == "lost")] | length' 0
run "$umpa" bench threads --only own-4K-1 --no-calls -n 2 --csv "$kept"
ends 0 "another run into the same folder"
whole
right "the other test is as it was" [ "$(grep '^own-4K-2,' "$csv")" = "$before" ]
for repetition in 0 1; do
	right "repetition $repetition, once" [ "$(grep -c "^own-4K-1,glibc,$repetition,0,blocks_per_s," "$csv")" = 1 ]
done

# Each run that has left figures says what they come from: which seed and form, which machine.
right "two runs" [ "$(grep -c '^time: ' "$kept/threads.txt")" = 2 ]
right "their commands" grep -q '^command: .*umpa bench threads --only own-4K-1 --no-calls -n 2 --csv ' "$kept/threads.txt"
for line in "umpa: $("$umpa" --version | cut -d ' ' -f 2)" "system: Linux $(uname -r), $(uname -m), glibc" processors: memory:; do
	right "$line" [ "$(grep -c "^$line" "$kept/threads.txt")" = 2 ]
done

# Told to end: what there is is printed, and the exit status is the signal's.
rm "$csv"
begin --only 'own-4K-*' -n 99
kill -TERM "$pid"
ended
right "ended by SIGTERM" [ "$status" = 143 ]
says "cut short"
right "no test has failed" [ "$(printf '%s\n' "$err" | wc -l)" = 1 ]
prints "4 to 64 KiB, glibc"
whole
rm "$csv"
begin --only 'own-4K-*' -n 99 --json
kill -INT "$pid"
ended
right "ended by SIGINT" [ "$status" = 130 ]
query '[.results[] | select(.metric == "blocks_per_s" and .test == "own-4K-1")] | length >= 4' true
whole
rm "$csv"

# One that is to go on when its terminal does, does.
run sh -c 'trap "" HUP
"$0" bench threads --only own-4K-1,own-4K-2 --no-calls -n 1 --csv "$1" &
until grep -q "^own-4K-1," "$1/threads.csv" 2>/dev/null; do sleep 0.02; done
kill -HUP $! && wait $!' "$umpa" "$kept"
ends 0 "a signal that is ignored"
whole
right "all of it is there" [ "$(figures own-4K-2 blocks_per_s)" = "$(figures own-4K-1 blocks_per_s)" ]
rm "$csv"

# Without room the rest is measured and shown all the same.
run sh -c 'trap "" XFSZ
ulimit -f 8
exec "$0" bench threads --only own-4K-1 --no-calls -n 2 --csv "$1"' "$umpa" "$kept"
ends 1 "no room for the figures"
says "threads.csv: File too large; what comes now is not kept"
right "said once" [ "$(printf '%s\n' "$err" | grep -c 'File too large')" = 1 ]
prints "4 to 64 KiB, umpa-preload"
whole
right "what there was room for" [ "$(figures own-4K-1 blocks_per_s)" -ge 1 ]

# What is no raw figures is nobody's to overwrite.
echo "something else" >"$csv"
run "$umpa" bench threads --only own-4K-1 --no-calls -n 1 --csv "$kept"
ends 125 "a file of something else"
says "threads.csv: Invalid argument"
right "which stays" [ "$(cat "$csv")" = "something else" ]
right "with what was there" [ "$(ls "$kept" | tr '\n' ' ')" = "threads.csv threads.txt " ]

finish 57
