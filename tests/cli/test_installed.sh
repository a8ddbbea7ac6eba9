#!/bin/sh
# umpa as installed, and after the installed tree was moved: it finds its library and says what it needs.
. "$UMPA_SOURCE/tests/cli/common"
needs cmake jq
show='echo "$LD_PRELOAD"'

cmake --install "$UMPA_BUILD" --prefix "$scratch/prefix" >"$scratch/log" 2>&1 || {
	cat "$scratch/log"
	exit 1
}
umpa=$scratch/prefix/bin/umpa
library=$(find "$scratch/prefix" -name libumpa-preload.so)
run "$umpa" --version
ends 0 "the installed program"
run "$umpa" run -- sh -c "$show"
ends 0 "run"
right "its own library" [ "$out" = "$library" ]
run "$umpa" compare -n 1 --json -- true
ends 0 compare
query .same_status true
run "$umpa" doctor --json
query '.findings[] | select(.check == "preload library") | .value' "$library"
run "$umpa" options --json
query 'length > 0' true
run "$umpa" bench
ends 0 "bench"

# By a link from elsewhere, and by PATH.
mkdir "$scratch/links"
ln -s "$umpa" "$scratch/links/umpa"
run "$scratch/links/umpa" run -- sh -c "$show"
right "the library of where the link leads" [ "$out" = "$library" ]
run env PATH="$scratch/prefix/bin:$PATH" umpa run -- sh -c "$show"
right "by PATH" [ "$out" = "$library" ]

# Moved, with the library in a folder of the machine's kind, and in lib64.
mv "$scratch/prefix" "$scratch/moved [x]"
umpa="$scratch/moved [x]/bin/umpa"
run "$umpa" run -- true
ends 125 "a path with a space"
mv "$scratch/moved [x]" "$scratch/moved[x]"
umpa="$scratch/moved[x]/bin/umpa"
library="$scratch/moved[x]/lib64/libumpa-preload.so"
mkdir "$scratch/moved[x]/lib64"
mv "$scratch/moved[x]/lib/"*/libumpa-preload.so "$library" 2>/dev/null ||
	mv "$scratch/moved[x]/lib/libumpa-preload.so" "$library"
run "$umpa" run -- sh -c "$show"
right "in lib64" [ "$out" = "$library" ]
mkdir -p "$scratch/moved[x]/lib/some-linux-gnu"
mv "$library" "$scratch/moved[x]/lib/some-linux-gnu/"
library="$scratch/moved[x]/lib/some-linux-gnu/libumpa-preload.so"
run "$umpa" run -- sh -c "$show"
right "in lib/some-linux-gnu" [ "$out" = "$library" ]
rm "$library"
run "$umpa" run -- sh -c "$show"
# Where the build's own prefix has one installed, that is found, as it should.
if [ "$status" = 125 ]; then
	says "can't find libumpa-preload.so"
else
	right "the library of the prefix it was built for" has "$out" libumpa-preload.so
fi
finish 14
