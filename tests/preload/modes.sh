# A smoke test in every mode of working: threads, forks and churn with each mover and option, and under
# filters. As umpa is by itself, threads.sh and weather.sh run the same.
. "$UMPA_SOURCE/tests/preload/common"
for options in malloc_min=4K mover=mremap mover=plain huge=0 keep=0 mmap=0; do
	export UMPA_OPTIONS=$options
	check "threads, $options" "$programs/threads" "$(soaked 5000)"
	check "fork, $options" "$programs/fork" "$(soaked 3)"
	check "churn, $options" "$programs/weather" umpa churn
done
unset UMPA_OPTIONS
"$programs/filtered" userfaultfd true
case $? in
77) leave_out "no userfaultfd: seccomp is not to be had here" ;;
0)
	# The filter is set before umpa comes, as by a container.
	LD_PRELOAD= "$programs/filtered" userfaultfd env LD_PRELOAD="$preload" "$programs/weather" umpa churn
	result "no userfaultfd" $?
	;;
*) result "a filter of userfaultfd" 1 ;;
esac
"$programs/filtered" mincore true
case $? in
77) leave_out "mincore kills: seccomp is not to be had here" 2 ;;
0)
	for options in mover=auto mover=mremap; do
		LD_PRELOAD= "$programs/filtered" mincore env LD_PRELOAD="$preload" UMPA_OPTIONS=$options \
			"$programs/weather" umpa churn churn
		result "mincore kills, $options" $?
	done
	;;
*) result "a filter of mincore" 1 ;;
esac
if "$programs/nothp" true; then
	check "no huge pages, churn" "$programs/nothp" "$programs/weather" umpa churn
	check "no huge pages, fork" "$programs/nothp" "$programs/fork" "$(soaked 3)"
else
	leave_out "no huge pages: the kernel can't be told so" 2
fi
finish 23
