#!/bin/sh
# umpa bench programs: what is refused, what the tables make of given figures, what is noticed of programs
# that go wrong; and real programs in the short form, whose results must be the same by every engine, with
# umpa and without. No time is looked at.
. "$UMPA_SOURCE/tests/cli/common"
needs jq

run "$umpa" bench
prints "programs   Real programs"
run "$umpa" bench programs --help
ends 0 "help"
prints "--arms LIST"
run "$umpa" bench programs more
ends 2 "an operand"
run "$umpa" bench programs -n 0
ends 2 "no repetition"
run "$umpa" bench programs --only gcc,no-such
ends 2 "a program there is none of"
says "no program is called 'no-such'; there are: ffmpeg, g++, gcc"
run "$umpa" bench programs --arms umpa,umpa-no-such
ends 2 "an arm there is none of"
says "no arm is called 'umpa-no-such'; there are: glibc, jemalloc"
run "$umpa" bench programs --from "$scratch/nowhere"
ends 125 "no figures"
says "nowhere/programs.csv: No such file"

# Ratios are formed within a repetition, and the median of them is taken: 2/4, 3/5, 9/10; the means are of
# the two programs.
given=$scratch/given
mkdir "$given"
cat >"$given/programs.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
one,glibc,0,0,wall_s,4
one,umpa,0,0,wall_s,2
one,umpa,1,0,wall_s,3
one,glibc,1,0,wall_s,5
one,glibc,2,0,wall_s,10
one,umpa,2,0,wall_s,9
one,mimalloc,0,0,wall_s,2
one,glibc,0,0,peak_nbytes,1048576
one,umpa,0,0,peak_nbytes,2097152
one,umpa,0,0,ended_well,1
one,umpa,0,0,same_output,0
two,glibc,0,0,wall_s,1
two,umpa,0,0,wall_s,1.5
two,umpa,0,0,ended_well,0
CSV
run "$umpa" bench programs --markdown --from "$given"
prints "| one | 5.00 | 0.600 |"
prints "| geometric mean |  | 0.949 |"
prints "| two, time | 1.50 |"
prints "| one, peak | 2.00 |"
prints "| time / engine alone, worst program | at most 1.02x | 1.50x | umpa: two | missed |"
prints "| the same / that of the best engine alone | at most 1x | 1.90x | mimalloc | missed |"
prints "WRONG: one by umpa printed something else than by glibc, repetition 1"
prints "WRONG: two by umpa failed, repetition 1"
for wrong in '-n 2' --short '--only lua' '--arms umpa' "--csv $scratch/unmade"; do
	# shellcheck disable=SC2086 # words
	run "$umpa" bench programs --from "$given" $wrong
	ends 2 "no run, but $wrong"
	says "--from runs nothing"
done
run "$umpa" bench programs --from "$given" --json --markdown
ends 2 "two forms"
run "$umpa" bench programs --json --from "$given"
query '.bench' programs
query '.targets[] | select(.target == "peak memory / engine alone, worst program") | .measured' 2
query '[.results[] | select(.test == "one" and .method == "umpa" and .metric == "wall_s") | .samples[]] | length' 3

# An installed tree with programs that go wrong.
tree=$scratch/tree
mkdir -p "$tree/bin" "$tree/share/umpa/programs" "$tree/share/umpa/plot" "$scratch/tmp"
ln "$umpa" "$tree/bin/umpa" 2>/dev/null || cp "$umpa" "$tree/bin/umpa"
cp "$UMPA_SOURCE/bench/programs/common" "$tree/share/umpa/programs/"
cp "$UMPA_SOURCE/bench/plot/programs.gp" "$tree/share/umpa/plot/"
export UMPA_PRELOAD="$UMPA_BUILD/libumpa-preload.so" TMPDIR="$scratch/tmp"

# a_program NAME COMMANDS LINE: what it does when it runs.
a_program()
{
	printf '. "${0%%/*}/common"\ncommands="%s"\npackages=that\nrun()\n{\n\t%s\n}\nmain "$@"\n' "$2" "$3" \
		>"$tree/share/umpa/programs/$1.sh"
}

a_program fails sh '[ -z "${LD_PRELOAD:-}" ]'
a_program differs sh 'echo "${LD_PRELOAD:+umpa}"'
a_program absent no-such-command 'echo'
a_program right sh 'echo always the same'
a_program size sh 'pick small large'
run "$tree/bin/umpa" bench programs --only fails --arms umpa -n 1 --json
ends 1 "a program that fails with umpa"
says "fails by umpa FAILED; see $scratch/tmp/umpa-programs."
query '[.results[] | select(.metric == "ended_well") | .method, .median] | @csv' '"glibc",1,"umpa",0'
run "$tree/bin/umpa" bench programs --only differs --arms umpa -n 1 --csv "$scratch/kept"
ends 1 "a program that prints something else with umpa"
says "differs by umpa PRINTED SOMETHING ELSE than by glibc"
prints "WRONG: differs by umpa printed something else"
right "what it printed is kept" [ "$(cat "$scratch"/tmp/umpa-programs.*/differs/out.umpa)" = umpa ]
run "$tree/bin/umpa" bench programs --only absent
ends 125 "nothing that can run"
says "left out: absent: no no-such-command (apt-get install that)"
rm -rf "$scratch"/tmp/*
run "$tree/bin/umpa" bench programs --only right,absent --arms umpa -n 2 --csv "$scratch/kept"
right "right, but for a chart perhaps" [ "$status" = 0 -o ! -x "$(command -v gnuplot)" ]
right "nothing is left" [ -z "$(ls "$scratch/tmp")" ]
run "$tree/bin/umpa" bench programs --only right --arms umpa -n 1 --csv "$scratch/kept"
right "the last figures of right are kept" [ "$(grep -c "^right,umpa,.*,same_output," "$scratch/kept/programs.csv")" = 1 ]
for program in differs right; do
	right "figures of $program are kept" grep -q "^$program,umpa,0,0,same_output," "$scratch/kept/programs.csv"
done
run "$tree/bin/umpa" bench programs --only size --arms umpa --short --json
query '[.results[] | select(.metric == "same_output") | .median] | @csv' 1,1

# Told to end in the middle of one: it ends too, its folder goes, and what was measured before is kept.
a_program waits sh "echo \$\$ >$scratch/waits; exec sleep 1000"
"$tree/bin/umpa" bench programs --only right,waits --arms umpa -n 1 --csv "$scratch/cut" >"$scratch/out" 2>"$scratch/err" &
pid=$!
until [ -s "$scratch/waits" ]; do
	kill -0 $pid 2>/dev/null || break
	sleep 0.02
done
kill -TERM $pid
wait $pid 2>/dev/null
status=$?
out=$(cat "$scratch/out")
err=$(cat "$scratch/err")
shown="umpa bench programs, told to end"
right "ended by SIGTERM" [ "$status" = 143 ]
says "cut short"
prints "geometric mean"
right "nothing is left" [ -z "$(ls "$scratch/tmp")" ]
right "no program is left" sh -c "! kill -0 $(cat "$scratch/waits") 2>/dev/null"
right "figures of right are kept, and no others" [ "$(sed 1d "$scratch/cut/programs.csv" | cut -d, -f1 | sort -u)" = right ]
right "and nothing else" [ "$(ls "$scratch/cut" | tr '\n' ' ')" = "programs.csv programs.txt " ]
unset UMPA_PRELOAD TMPDIR

# The real ones, as far as they are installed.
run "$umpa" bench programs --short --json --arms 'umpa,umpa-jemalloc,umpa-tcmalloc,umpa-mimalloc,umpa-system-huge' \
	--only gcc,git,jq,perl,sort,sqlite3,xz,zstd
ends 0 "real programs"
query '[.results[] | select(.metric == "same_output" or .metric == "ended_well") | .median] | unique | @csv' 1
query '[.results[] | select(.metric == "wall_s" and .method == "umpa-system-huge")] | length > 3' true
printf '%s\n' "$err" | sed -n 's/^umpa: bench: left out: /skip /p'

finish 58
