#!/bin/sh
# umpa options: the table is that of src/core/options.def, with the values that hold and where from.
. "$UMPA_SOURCE/tests/cli/common"
needs jq
table=$UMPA_SOURCE/src/core/options.def

run "$umpa" options
ends 0 options
silent
run "$umpa" options --json
ends 0 "options --json"
names=$(sed -n 's/^UMPA_OPTION(\([a-z_]*\),.*/\1/p' "$table" | tr '\n' ' ')
query '[.[].name] | join(" ")' "${names% }"
query '[.[] | .origin == "default" and .value == .default] | all' true
query '[.[] | .help | length > 0] | all' true
plain=$("$umpa" options)
for name in $names; do
	right "$name is in the table" has "$plain" "
$name "
done

run env UMPA_OPTIONS=huge=0,malloc_min=256K "$umpa" options --json
query '.[] | select(.name == "huge") | .value, .origin' "0
UMPA_OPTIONS"
query '.[] | select(.name == "malloc_min") | .value' 256K
query '[.[] | select(.origin != "default")] | length' 2
run env UMPA_OPTIONS=huge=1 "$umpa" options --json -o huge=0
query '.[] | select(.name == "huge") | .value' 0
run env UMPA_OPTIONS=hugh=1 "$umpa" options
ends 0 "an unknown option in the environment"
says "'hugh=1'"
run "$umpa" options -o hugh=1
ends 2 "an unknown option in the command line"
set -- $names
finish $((13 + $#))
