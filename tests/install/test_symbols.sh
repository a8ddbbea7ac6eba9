#!/bin/sh
# What the libraries show and need: the public functions and no others, libc and no other library, and
# nothing of libc that allocates.
set -u
npassed=0 nfailed=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$UMPA_BUILD" || exit 1

# The two lists, a name a line and sorted, are the same.
same()
{
	if diff "$2" "$3" >"$work/diff"; then
		npassed=$((npassed + 1))
		echo "ok $1"
	else
		nfailed=$((nfailed + 1))
		echo "FAILED $1 (< wanted, > got)"
		cat "$work/diff"
	fi
}

empty()
{
	: >"$work/nothing"
	same "$1" "$work/nothing" "$2"
}

defined_in()
{
	nm "$@" | awk 'NF == 3 && $2 ~ /[TDBRVW]/ { sub(/@.*/, "", $3); print $3 }' | sort -u
}

needed_by()
{
	readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | sort
}

names()
{
	grep -o 'umpa_[a-z0-9_]* *(' | tr -d ' (' | sort -u
}

# Functions declared in the public headers, but those that are inline.
gcc -E -P -I"$UMPA_SOURCE/include" "$UMPA_SOURCE/include/umpa/umpa.h" | grep -v '^typedef' >"$work/headers"
grep '^static inline' "$work/headers" | sed 's/__attribute__((.*")))//;s/(.*/(/' | names >"$work/inline"
names <"$work/headers" | comm -23 - "$work/inline" >"$work/public"
[ -s "$work/public" ] || { echo "no public functions found"; exit 1; }
sed -n 's/^\t\([a-zA-Z0-9_]*\);$/\1/p' "$UMPA_SOURCE/src/shim/exports.map" | sort - "$work/public" >"$work/exports"

defined_in -D --defined-only libumpa.so | grep -v '^UMPA_0$' >"$work/got"
same "libumpa.so exports the public functions" "$work/public" "$work/got"

defined_in -D --defined-only libumpa-preload.so >"$work/got"
same "libumpa-preload.so exports the malloc family and the public functions" "$work/exports" "$work/got"

echo libc.so.6 >"$work/libc"
for library in libumpa.so libumpa-preload.so; do
	needed_by $library >"$work/got"
	same "$library needs libc alone" "$work/libc" "$work/got"
done

defined_in -g libumpa.a | grep -v '^umpa_' >"$work/got"
empty "every name libumpa.a defines begins with umpa_" "$work/got"

find CMakeFiles/umpa_heap.dir -name '*.o' >"$work/objects"
[ -s "$work/objects" ] || { echo "no objects of the heap found"; exit 1; }
# shellcheck disable=SC2046
defined_in -g $(cat "$work/objects") | grep -v '^umpa_' >"$work/got"
empty "the heap defines no name of libc" "$work/got"

# pthread_atfork and the like keep a small table of their own; what takes memory by design is out.
nm -D --undefined-only libumpa.so | awk '{ sub(/@.*/, "", $2); print $2 }' |
	grep -xE '.*(alloc|memalign|printf|scanf).*|free|strn?dup|f(d|re)?open|fread|fwrite|f?puts|f?putc|perror|strerror|getline|opendir|dl(open|sym)|pthread_(create|key_create|setspecific)|set?env|putenv|qsort|std(in|out|err)' >"$work/got"
empty "libumpa.so uses nothing of libc that allocates" "$work/got"

for library in libumpa.so libumpa-preload.so; do
	readelf -d $library | grep NODELETE >/dev/null || echo $library
done >"$work/got"
empty "no library is unloaded by dlclose" "$work/got"

readelf -lW libumpa.so libumpa-preload.so | grep -E 'GNU_STACK.*E ' >"$work/got"
empty "no executable stack" "$work/got"

[ $((npassed + nfailed)) = 9 ] || { echo "$npassed + $nfailed checks made, 9 planned"; nfailed=$((nfailed + 1)); }
echo "$npassed passed, $nfailed failed, 0 skipped"
[ $nfailed = 0 ]
