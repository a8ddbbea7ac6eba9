# A process's first large blocks are the engine's, and umpa is not started for them.
. "$UMPA_SOURCE/tests/preload/common"
unset UMPA_OPTIONS

# serves WHAT ARG TEST-OF-COUNT: so many blocks come from umpa.
serves()
{
	what=$1 test=$3
	UMPA_OPTIONS=stats=1 under "$programs/young" "$2" >"$scratch/out" 2>&1
	status=$?
	n=$(awk '/nallocs/ { print $3 }' "$scratch/out")
	[ "$status" = 0 ] && [ "${n:-none}" "$test" 0 ] || {
		tail -n 40 "$scratch/out"
		status=1
	}
	result "$what" "$status"
}

for name in '' libjemalloc.so.2 libtcmalloc_minimal.so.4 libmimalloc.so.2; do
	engine=
	if [ -n "$name" ]; then
		engine=$(library "$name")
		if [ -z "$engine" ]; then
			leave_out "$name is not installed" 4
			continue
		fi
	fi
	serves "few large blocks${name:+ over $name}" few -eq
	serves "many large blocks${name:+ over $name}" many -gt
	check "threads${name:+ over $name}" "$programs/threads" "$(soaked 2000)"
	check "fork${name:+ over $name}" "$programs/fork" "$(soaked 3)"
done
engine=
check "the family's rules" "$programs/api" glibc
finish 17
