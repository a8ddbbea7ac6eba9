# xz: two threads, compressed and decompressed.
. "${0%/*}/common"
commands=xz
packages=xz-utils

prepare()
{
	prose "$(pick 40000 400000)" >text
}

run()
{
	xz -T2 -"$(pick 1 3)" --block-size="$(pick 64KiB 2MiB)" -k -f text
	cksum text.xz
	xz -T2 -dc text.xz | cksum
}

main "$@"
