#!/bin/sh
# umpa doctor: what it finds in bad weather, and that each problem comes with a reason and a command.
. "$UMPA_SOURCE/tests/cli/common"
needs jq cc

# of CHECK FIELD: a filter for one finding.
of()
{
	echo ".findings[] | select(.check == \"$1\") | .$2"
}

# holds: what is true of every answer.
holds()
{
	right "exit status tells of problems" \
		[ "$status" = "$(printf '%s\n' "$out" | jq 'if .problems > 0 then 1 else 0 end')" ]
	query '([.findings[] | select(.state == "problem")] | length) == .problems' true
	query '[.findings[] | select(.state != "ok") | (.why | length > 0) and (.fix | length > 0)] | all' true
	query '[.findings[] | select(.state == "ok") | .fix == null] | all' true
	query '[.findings[].state] - ["ok", "note", "problem"] | length' 0
	query '.works' "$([ "$status" = 0 ] && echo fully || echo 'with less')"
}

run "$umpa" doctor --json
holds
silent
here=$status
for check in "preload library" "mover in use" "page tables" "mover uffd" "mover mremap" "mover plain" kernel seccomp \
	"huge pages" overcommit vm.max_map_count RLIMIT_AS RLIMIT_DATA RLIMIT_MEMLOCK RLIMIT_NOFILE \
	"control group" "memory pressure" "bare metal" jemalloc tcmalloc mimalloc; do
	query "[$(of "$check" check)] | length" 1
done
query "$(of kernel value)" "$(uname -r)"
query "$(of vm.max_map_count value)" "$(cat /proc/sys/vm/max_map_count)"
query "$(of 'preload library' value)" "$(realpath "$UMPA_BUILD/libumpa-preload.so")"
mover=$(printf '%s\n' "$out" | jq -r .mover)
query "$(of 'mover in use' value)" "$mover"
query "$(of "mover $mover" value)" works

run "$umpa" doctor
ends "$here" "the table"
right "the table says how it works" has "$out" "umpa works"

# A mover that is asked for.
run env UMPA_OPTIONS=mover=plain "$umpa" doctor --json
ends 1 "mover=plain"
holds
query .mover plain
query "$(of 'mover in use' state)" problem
query "$(of 'mover in use' fix)" "take mover= out of UMPA_OPTIONS"
query "[$(of 'page tables' value)] | length" 0 # nothing moves, so nothing was measured
run env UMPA_OPTIONS=mover=plain "$umpa" doctor
prints "take mover= out of UMPA_OPTIONS"

# userfaultfd forbidden.
run "$UMPA_BUILD/tests/preload/filtered" userfaultfd "$umpa" doctor --json
ends 1 "no userfaultfd"
holds
query ".mover != \"uffd\"" true
query "$(of seccomp value)" filter
query "$(of 'mover uffd' state)" problem
query "$(of 'mover uffd' 'value | contains("EPERM")')" true
query "$(of 'mover uffd' 'why | test("seccomp|6.8")')" true

# A filter that kills.
run "$UMPA_BUILD/tests/preload/filtered" mincore "$umpa" doctor --json
ends "$here" "mincore kills"
holds
query .mover "$mover"

# Limits.
run sh -c 'ulimit -v 4000000; exec "$1" doctor --json' sh "$umpa"
holds
query "$(of RLIMIT_AS 'state != "ok"')" true
query "$(of RLIMIT_AS fix)" "ulimit -v unlimited"
run sh -c 'ulimit -d 1000000; exec "$1" doctor --json' sh "$umpa"
holds
query "$(of RLIMIT_DATA fix)" "ulimit -d unlimited"
run sh -c 'ulimit -v 6000; exec "$1" doctor --json' sh "$umpa"
ends 1 "no room for a window"
holds
query .mover plain
query "$(of movers 'value | contains("ENOMEM")')" true
run sh -c 'ulimit -n 16; exec "$1" doctor --json' sh "$umpa"
holds
query "$(of RLIMIT_NOFILE state)" note
query "$(of RLIMIT_NOFILE fix)" "ulimit -n 1024, as root: the hard limit is 16"
query "$(of 'preload library' state)" ok
run sh -c 'exec 3>&- 4>&-; ulimit -S -n 4; exec "$1" doctor --json' sh "$umpa"
ends 1 "no descriptor to try a library with"
holds
for check in "preload library" jemalloc tcmalloc mimalloc; do
	query "$(of "$check" 'why | contains("(RLIMIT_NOFILE) leaves no descriptor")')" true
	query "$(of "$check" fix)" "ulimit -n 1024"
done
query "$(of jemalloc value)" "not tried"
run sh -c 'exec 3>&- 4>&-; ulimit -n 5; exec "$1" doctor --json' sh "$umpa"
query "$(of 'preload library' state)" ok

# The library.
run env UMPA_PRELOAD=/no/such/library.so "$umpa" doctor --json
ends 1 "no library"
holds
query "$(of 'preload library' state)" problem
echo "no library" >"$scratch/libumpa-preload.so"
run env UMPA_PRELOAD="$scratch/libumpa-preload.so" "$umpa" doctor --json
ends 1 "a library that does not load"
query "$(of 'preload library' 'why | contains("cannot be preloaded")')" true
finish 127
