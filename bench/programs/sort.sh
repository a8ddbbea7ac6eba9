# sort: in memory, with two threads, then with little memory and files.
. "${0%/*}/common"
commands=sort
packages=coreutils

prepare()
{
	numbers "$(pick 20000 600000)" >numbers
}

run()
{
	sort -S 400M --parallel=2 numbers | cksum
	sort -n -k 2 -r -S 400M --parallel=2 numbers | cksum
	sort -S 16M -T . -u numbers | cksum
}

main "$@"
