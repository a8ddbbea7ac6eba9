# Descriptors closed, memory locked, limits of every kind: the program goes on or is refused with ENOMEM.
. "$UMPA_SOURCE/tests/preload/common"
weather=$programs/weather
check "descriptors closed early" "$weather" close umpa churn
check "descriptors closed late" "$weather" churn close churn
check "address space limited from the start" sh -c 'ulimit -v 600000; exec "$0" churn' "$weather"
for mib in 100 400; do
	check "RLIMIT_AS of $mib MiB, exhausted" "$weather" "as=$mib" exhaust churn
	check "RLIMIT_AS of $mib MiB, set late, exhausted" "$weather" churn "as=$mib" exhaust churn
	check "RLIMIT_DATA of $mib MiB, exhausted" "$weather" "data=$mib" churn exhaust churn
	check "RLIMIT_DATA of $mib MiB, set late, exhausted" \
		"$weather" churn "data=$mib" exhaust churn
done
check "RLIMIT_AS set late leaves room for others" "$weather" churn umpa as=400 room churn room
for options in mover=auto malloc_min=4K shards=1; do
	export UMPA_OPTIONS=$options
	check "RLIMIT_DATA leaves room for small blocks, $options" \
		sh -c 'ulimit -d 100000; exec "$0" umpa phases umpa' "$weather"
	check "RLIMIT_DATA set late leaves room for small blocks, $options" \
		"$weather" churn umpa data=100 phases
done
unset UMPA_OPTIONS
check "RLIMIT_AS of a child of vfork" "$weather" churn umpa vfork umpa
for options in malloc_min=4K mover=plain; do
	UMPA_OPTIONS=$options check "RLIMIT_AS, exhausted, $options" "$weather" as=300 churn exhaust
	UMPA_OPTIONS=$options check "RLIMIT_DATA, exhausted, $options" "$weather" data=300 churn exhaust
done
for what in as=700 data=20; do
	UMPA_OPTIONS=malloc_min=4K,mover=mremap \
		check "below what is in use, $what, mover=mremap" "$weather" churn hold "$what" exhaust churn
done
check "more than may be locked" "$weather" toolarge
limit=$(ulimit -l)
if [ "$limit" = unlimited ] || [ "$(id -u)" = 0 ]; then
	check "memory locked early" "$weather" mlock umpa churn
	check "memory locked late" "$weather" churn mlock churn
	check "memory locked, limited" "$weather" mlock data=400 churn
else
	leave_out "locking memory: ulimit -l is $limit" 3
fi
if unshare -m umount -l /proc 2>"$scratch/out"; then
	LD_PRELOAD='' unshare -m sh -c 'umount -l /proc && LD_PRELOAD=$0 exec "$@"' "$preload" \
		"$weather" umpa churn close churn
	result "/proc not mounted" $?
else
	leave_out "/proc not mounted: needs root"
fi
finish 30
