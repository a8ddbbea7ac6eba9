# zstd: levels from fast to high, compressed and decompressed.
. "${0%/*}/common"
commands=zstd
packages=zstd

prepare()
{
	prose "$(pick 40000 600000)" >text
}

run()
{
	for level in 1 5 $(pick 7 12); do
		zstd -q -f -T2 -$level text -o text.zst
		cksum text.zst
		zstd -q -dc text.zst | cksum
	done
	zstd -q -f -9 --long=27 text -o text.zst
	zstd -q -dc --long=27 text.zst | cksum
}

main "$@"
