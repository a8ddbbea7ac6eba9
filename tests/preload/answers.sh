# Rare calls of the mmap family, and what can be seen of the pages: the same text with umpa and without.
. "$UMPA_SOURCE/tests/preload/common"
"$programs/answers" >"$scratch/plain" 2>&1
result "without umpa" $?

for options in mmap=1 mover=mremap huge=0,mover=plain window=32M; do
	prints_the_same "$options" "$options" 130 "$programs/answers"
done

# Huge pages of the kernel's pool, which root may fill; as tests/support/huge_pages.c.
pool=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
if [ -w "$pool" ] && command -v flock >/dev/null; then
	exec 9</sys/kernel/mm/hugepages
	flock 9
	before=$(cat "$pool")
	trap 'echo "$before" >"$pool"; rm -rf "$scratch"' EXIT
	echo $((before + 8)) >"$pool"
fi
if [ "${before:-}" ] && [ "$(cat "$pool")" = $((before + 8)) ]; then
	"$programs/answers" huge >"$scratch/plain" 2>&1 9<&-
	result "huge pages, without umpa" $?
	for options in mmap=1 mover=mremap huge=0,mover=plain; do
		prints_the_same "huge pages, $options" "$options" 0 "$programs/answers" huge
	done
else
	leave_out "huge pages can't be had" 4
fi
finish 9
