# git: repack, fsck and log -p of a repository with a history.
. "${0%/*}/common"
commands=git
packages=git
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b

# A stream for git fast-import: each commit changes a few lines of some files.
history()
{
	awk -v ncommits="$1" -v nfiles="$2" 'BEGIN {
		for (f = 0; f < nfiles; f++)
			for (l = 0; l < 120; l++)
				line[f, l] = "line " l " of file " f " begins as " (f * 7919 + l * 104729) % 99991
		for (c = 0; c < ncommits; c++) {
			printf "commit refs/heads/main\ncommitter a <a@b> %d +0000\ndata 9\ncommit %02d\n", 1600000000 + c * 60, c % 100
			for (f = c ? c % 7 : 0; f < nfiles; f += c ? 7 : 1) {
				for (l = c % 5; l < 120; l += 29)
					line[f, l] = "line " l " is changed by commit " c " to " (c * 31 + l * f) % 9973
				text = ""
				for (l = 0; l < 120; l++)
					text = text line[f, l] "\n"
				printf "M 100644 inline d%d/f%d\ndata %d\n%s\n", f % 10, f, length(text), text
			}
			print ""
		} }'
}

prepare()
{
	git init -q -b main --bare start
	history "$(pick 10 120)" "$(pick 20 150)" | git -C start fast-import --quiet
}

run()
{
	rm -rf repo
	cp -r start repo
	cd repo
	git -c pack.threads=1 repack -q -a -d -f
	git fsck --full
	git log -p --stat | cksum
	git gc -q --prune=now
	git rev-parse main
	git count-objects -v | grep -v size
}

main "$@"
