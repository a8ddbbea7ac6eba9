#!/bin/sh
# umpa run: what the program gets to see, and every exit status.
. "$UMPA_SOURCE/tests/cli/common"
needs cc
library=$(realpath "$UMPA_BUILD/libumpa-preload.so")
show='echo "$LD_PRELOAD|${UMPA_OPTIONS-none}"'

# The environment.
run "$umpa" run sh -c "$show"
ends 0 "a plain program"
right "the library alone" [ "$out" = "$library|none" ]
silent
run env LD_PRELOAD=libc.so.6 "$umpa" run -- sh -c "$show"
right "the library first" [ "$out" = "$library:libc.so.6|none" ]
run "$umpa" run -- "$umpa" run -- sh -c "$show"
right "the library once" [ "$out" = "$library|none" ]
run "$umpa" run -o stats=0 -o malloc_min=1M -- sh -c "$show"
right "options" [ "$out" = "$library|stats=0,malloc_min=1M" ]
run env UMPA_OPTIONS=stats=0,huge=1 "$umpa" run -ohuge=0,mover=plain sh -c "$show"
right "options on top of the environment's" [ "$out" = "$library|stats=0,huge=0,mover=plain" ]
run env UMPA_OPTIONS=huge=1 "$umpa" run --option=huge=0 -- sh -c "$show"
right "an option that takes another's place" [ "$out" = "$library|huge=0" ]
run "$umpa" run -- grep -c libumpa-preload /proc/self/maps
ends 0 "the library is loaded"
run sh -c 'echo some | "$1" run -- cat' sh "$umpa"
right "standard input is the program's" [ "$out" = some ]
run "$umpa" run -- printf '%s.' -n --help
right "flags after the program are the program's" [ "$out" = "-n.--help." ]

# Engines.
run "$umpa" run --engine=system -- sh -c "$show"
right "the system's engine" [ "$out" = "$library|none" ]
settings='echo "${GLIBC_TUNABLES:-none}|${TCMALLOC_SKIP_SBRK:-none}"'
run env -u GLIBC_TUNABLES "$umpa" run --engine=system-huge -- sh -c "$settings"
right "glibc's heap in huge pages" [ "$out" = "glibc.malloc.hugetlb=1|none" ]
run env GLIBC_TUNABLES=glibc.malloc.hugetlb=0 "$umpa" run --engine=system-huge -- sh -c "$settings"
right "a variable that is set stays" [ "$out" = "glibc.malloc.hugetlb=0|none" ]
run "$umpa" run --engine mimaloc -- true
ends 2 "an unknown engine"
says "no engine 'mimaloc'; there are system, system-huge, jemalloc, tcmalloc and mimalloc"
for engine in jemalloc:libjemalloc.so.2:libjemalloc2 tcmalloc:libtcmalloc_minimal.so.4:libtcmalloc-minimal4 \
	mimalloc:libmimalloc.so.2:libmimalloc2.0; do
	name=${engine%%:*} rest=${engine#*:}
	file=${rest%:*} package=${rest#*:}
	run env LD_PRELOAD=libc.so.6 "$umpa" run --engine=$name -- sh -c "$show"
	if LD_PRELOAD=$file true 2>&1 | grep -q .; then
		ends 125 "$name, which is not installed"
		says "engine $name can't be had: apt-get install $package"
	else
		ends 0 "$name"
		right "$name right after umpa" [ "$out" = "$library:$file:libc.so.6|none" ]
	fi
done

# Exit statuses.
run "$umpa" run -- sh -c 'exit 7'
ends 7 "the program's own"
run "$umpa" run -- sh -c 'kill -9 $$'
ends 137 "the program's signal"
run "$umpa" run -- no-such-program
ends 127 "no such program"
says "no-such-program: program not found"
run "$umpa" run -- "$scratch/none/such"
ends 127 "no such path"
run "$umpa" run -- ''
ends 127 "an empty name"
echo 'exit 0' >"$scratch/plain"
run "$umpa" run -- "$scratch/plain"
ends 126 "not executable"
says "can't be run: Permission denied"
run "$umpa" run -- "$scratch"
ends 126 "a folder"
echo '#!/no/such/interpreter' >"$scratch/broken"
chmod +x "$scratch/broken"
run "$umpa" run -- "$scratch/broken"
ends 126 "a script without its interpreter"
says "its interpreter is missing"
run env PATH="$scratch" "$umpa" run -- plain
ends 126 "not executable, in PATH"
mkdir -p "$scratch/shut/in"
chmod 0 "$scratch/shut"
run env PATH="$scratch/shut/in:$PATH" "$umpa" run -- no-such-program
ends 127 "a folder in PATH that can't be looked into"
chmod 700 "$scratch/shut"
run "$umpa" run
ends 2 "no program"
says "a program is missing"
run "$umpa" run --
ends 2 "no program after --"
run "$umpa" run --optoin x
ends 2 "an unknown flag"
says "did you mean --option?"
run "$umpa" run -x
ends 2 "an unknown letter"
run "$umpa" run -o
ends 2 "a flag without its argument"
says "needs an argument"
run "$umpa" run -o mallocmin=1M -- true
ends 2 "an unknown option"
says "no umpa option 'mallocmin'; did you mean 'malloc_min'?"
run "$umpa" run -o zzzzzz=1 -- true
says "no umpa option 'zzzzzz'; see 'umpa options'"
run "$umpa" run -o huge=maybe -- true
ends 2 "a bad value"
says "huge=maybe"
run "$umpa" run -o huge -- true
ends 2 "an option without value"

# Where the library is.
run env UMPA_PRELOAD="$scratch/none.so" "$umpa" run -- true
ends 125 "UMPA_PRELOAD leads nowhere"
says "UMPA_PRELOAD names $scratch/none.so: No such file"
run env UMPA_PRELOAD=/etc/passwd "$umpa" run -- true
ends 125 "UMPA_PRELOAD is no library"
says "object '/etc/passwd' cannot be preloaded"
mkdir "$scratch/other" "$scratch/a b"
cp "$library" "$scratch/other/"
cp "$library" "$scratch/a b/"
run env UMPA_PRELOAD="$scratch/other/libumpa-preload.so" "$umpa" run -- sh -c "$show"
right "UMPA_PRELOAD decides" [ "$out" = "$scratch/other/libumpa-preload.so|none" ]
run env UMPA_PRELOAD="$scratch/a b/libumpa-preload.so" "$umpa" run -- true
ends 125 "a path LD_PRELOAD can't carry"
says "a space or a colon"

# Programs that don't take it.
echo 'int main(void) { return 5; }' >"$scratch/five.c"
cc -static -o "$scratch/five" "$scratch/five.c"
run "$umpa" run -- "$scratch/five"
ends 5 "a static program runs all the same"
says "runs without umpa: it is statically linked"
for sanitizer in address thread; do
	cc "-fsanitize=$sanitizer" -o "$scratch/five" "$scratch/five.c"
	run "$umpa" run --engine=system -- "$scratch/five"
	ends 5 "a program with the $sanitizer sanitizer runs all the same"
	says "runs without umpa: it has the malloc of a sanitizer"
	run "$umpa" compare -- "$scratch/five"
	ends 126 "and is not compared"
done
finish 64
