#!/bin/sh
# Help, versions and wrong command lines; and the truth of them: each flag that a help text or the manual
# page mentions is one the command takes, and the other way round.
. "$UMPA_SOURCE/tests/cli/common"
commands="run compare doctor options bench help"
version=$(sed -n 's/^#define UMPA_VERSION  *"\(.*\)"/\1/p' "$UMPA_SOURCE/include/umpa/version.h")

run "$umpa" --version
ends 0 "--version"
right "the version" [ "$out" = "umpa $version" ]
run "$umpa" -V
right "the version by letter" [ "$out" = "umpa $version" ]
for how in help --help -h; do
	run "$umpa" $how
	ends 0 "$how"
	listed=$(printf '%s\n' "$out" | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | tr '\n' ' ')
	right "all commands are listed by $how" [ "$listed" = "$commands " ]
done

# A value each kind of argument allows.
value_of()
{
	case $1 in
	NAME=VALUE) echo stats=0 ;;
	ENGINE) echo system ;;
	*) echo 1 ;;
	esac
}

# flags_of: "letter name argument" of each flag in a help text, - for what it has not.
flags_of()
{
	printf '%s\n' "$out" | sed -n '/^options:/,$p' |
		sed -n -e 's/^  -\(.\), --\([a-z-]*\) \([A-Z][A-Z=]*\)  *.*/\1 \2 \3/p' -e t \
			-e 's/^  -\(.\), --\([a-z-]*\) .*/\1 \2 -/p' -e t \
			-e 's/^      --\([a-z-]*\) \([A-Z][A-Z=]*\)  *.*/- \1 \2/p' -e t \
			-e 's/^      --\([a-z-]*\) .*/- \1 -/p'
}

# takes COMMAND...: each flag of its help is accepted, long and short, with its argument and without.
takes()
{
	run "$umpa" "$@" --help
	ends 0 "$* --help"
	right "$* --help tells the usage" has "$out" "usage: umpa $*"
	silent
	flags_of >"$scratch/flags"
	right "$*: every line of the options is understood" \
		[ "$(wc -l <"$scratch/flags")" = "$(sed -n '/^options:/,$p' "$scratch/out" | grep -c '^  ')" ]
	while read -r letter name argument; do
		[ "$name" != help ] || continue
		nflags=$((nflags + 1))
		if [ "$argument" = - ]; then
			run "$umpa" "$@" "--$name" --help
			ends 0 "$* --$name"
			run "$umpa" "$@" "--$name=1"
			ends 2 "$* --$name=1"
		else
			run "$umpa" "$@" "--$name" "$(value_of "$argument")" --help
			ends 0 "$* --$name $argument"
			run "$umpa" "$@" "--$name"
			ends 2 "$* --$name without argument"
		fi
		[ "$letter" = - ] || {
			nletters=$((nletters + 1))
			run "$umpa" "$@" "-$letter$([ "$argument" = - ] || value_of "$argument")" --help
			ends 0 "$* -$letter"
		}
	done <"$scratch/flags"
	run "$umpa" "$@" --no-such-flag
	ends 2 "$* --no-such-flag"
	says "--no-such-flag"
}

nflags=0
nletters=0
for command in run compare doctor options help "bench scaling" "bench threads" "bench small" "bench dlmalloc" "bench report"; do
	# shellcheck disable=SC2086 # words
	takes $command
done
right "flags were found" [ "$nflags" -ge 12 ]
for command in $commands; do
	run "$umpa" help "$command"
	ends 0 "help $command"
	text=$out
	run "$umpa" "$command" --help
	[ "$command" = bench ] || right "help $command is $command --help" [ "$out" = "$text" ]
done

# The manual page has the commands and flags that are, and no others.
manual=$UMPA_SOURCE/man/umpa.1
for command in $commands; do
	run grep -c "^\.It Cm $command\b" "$manual"
	ends 0 "umpa(1) has $command"
done
for command in run compare doctor options; do
	run "$umpa" "$command" --help
	flags_of | sed 's/^[^ ]* \([^ ]*\) .*/\1/' | grep -v '^help$' >>"$scratch/all"
done
sort -u "$scratch/all" >"$scratch/known"
sed -n 's/^\.It .*Fl -\([a-z-]*\).*/\1/p' "$manual" | grep -v '^help$\|^version$' | sort -u >"$scratch/told"
run diff "$scratch/known" "$scratch/told"
ends 0 "umpa(1) has the flags of run, compare, doctor and options"

# Wrong command lines.
run "$umpa"
ends 2 "no command"
run "$umpa" --no-such
ends 2 "an unknown flag"
run "$umpa" compair -- true
ends 2 "an unknown command"
says "did you mean 'compare'?"
run "$umpa" opt
says "did you mean 'options'?"
run "$umpa" zzzzzzz
says "no command 'zzzzzzz'; see 'umpa help'"
run "$umpa" help compair
ends 2 "help for an unknown command"
run "$umpa" help run compare
ends 2 "help for two"
run "$umpa" bench no-such-bench
ends 2 "an unknown bench"
run "$umpa" doctor more
ends 2 "doctor takes no operand"
run "$umpa" options more
ends 2 "options takes no operand"

# Output that can't be written, or is not a terminal's.
run sh -c '"$1" options >/dev/full' sh "$umpa"
ends 125 "a full disk"
says "can't write to standard output: No space left on device"
for command in help options doctor; do
	"$umpa" $command >>"$scratch/plain" 2>&1
done
run grep -c "$(printf '\033')" "$scratch/plain"
right "no escape sequences" [ "$out" = 0 ]
finish $((8 + 10 * 6 + nflags * 2 + nletters + 1 + 11 + 7 + 12 + 3))
