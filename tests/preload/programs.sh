# Real programs say and write under umpa what they do without it.
. "$UMPA_SOURCE/tests/preload/common"
export LC_ALL=C

# same WHAT COMMAND: the command, by sh in a fresh folder, gives the same output, status and files under
# umpa, at the default threshold and at 4 KiB with its mmap served too.
same()
{
	what=$1
	run_in "$scratch/plain" "$2"
	LD_PRELOAD=$preload run_in "$scratch/umpa" "$2"
	compare_with_plain "$what" "$scratch/umpa"
	UMPA_OPTIONS=malloc_min=4K,mmap=1 LD_PRELOAD=$preload run_in "$scratch/umpa4" "$2"
	compare_with_plain "$what, malloc_min=4K,mmap=1" "$scratch/umpa4"
	rm -rf "$scratch/plain" "$scratch/umpa" "$scratch/umpa4"
}

run_in()
{
	mkdir -p "$1/files" && (
		cd "$1/files" || exit 1
		sh -c "$2" >../out 2>&1
		echo "status $?" >>../out
	)
}

compare_with_plain()
{
	diff -r "$scratch/plain" "$2" >"$scratch/diff" 2>&1
	status=$?
	[ "$status" = 0 ] || head -n 20 "$scratch/diff"
	grep -q '^status 0$' "$2/out" || {
		tail -n 5 "$2/out"
		status=1
	}
	result "$1" "$status"
}

# have PROG WHAT COMMAND: as same, if the program is installed.
have()
{
	if command -v "$1" >/dev/null 2>&1; then
		same "$2" "$3"
	else
		leave_out "$1 is not installed" 2
	fi
}

export DATA="$scratch/data"
awk 'BEGIN { x = 1; for (i = 0; i < 200000; i++) { x = (x * 16807) % 2147483647; print x, i } }' >"$DATA"

same "sh" 'i=0; s=; while [ $i -lt 2000 ]; do s=$s$i; i=$((i + 1)); done
	echo ${#s}; for i in 1 2 3 4 5; do (echo $i | cat); done; ls /usr/bin | wc -l; printf "%s" "$s" | wc -c'
have python3 "python3" 'python3 -c "
import zlib, hashlib
a = list(range(1000000)); b = bytearray()
for i in range(200): b += bytes([i]) * 50000
a += a; del a[::3]
d = {str(i): [i] * 10 for i in range(50000)}
s = \"\".join(map(str, a[:300000]))
z = zlib.compress(bytes(b)); print(len(a), sum(a), hashlib.sha256(b).hexdigest(), len(s), len(d))
print(zlib.decompress(z) == b, hashlib.sha256(s.encode()).hexdigest())
"'
have gcc "gcc" 'i=0; while [ $i -lt 200 ]; do
	echo "int f$i(int a, int *p) { for (int i = 0; i < a; i++) p[i] = p[i] * $i + a / (i + 1); return p[0]; }"
	i=$((i + 1)); done >big.c
	gcc -O1 -c big.c -o big.o && cksum big.o'
have git "git" 'export GIT_AUTHOR_DATE="2020-01-01T00:00:00Z" GIT_COMMITTER_DATE="2020-01-01T00:00:00Z" HOME=$PWD
	export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
	git init -q -b main repo && cd repo && cp "$DATA" data && git add data && git commit -q -m one &&
	sed -i "1000,3000s/^1/2/" data && git commit -q -a -m two && git log --stat && git fsck --full 2>&1 &&
	git -c pack.threads=1 repack -q -a -d && git diff HEAD~ | cksum; cd ..; rm -rf repo'
have sqlite3 "sqlite3" 'sqlite3 :memory: "
	create table t(a integer primary key, b text, c real);
	with recursive n(i) as (select 1 union all select i + 1 from n where i < 80000)
		insert into t select i, hex(i * 7919) || printf(\"%0100d\", i), i / 7.0 from n;
	create index u on t(b); select count(*), sum(a), min(b), max(b) from t;
	select b from t order by substr(b, 3) desc limit 5; pragma integrity_check;"'
have perl "perl" 'perl -e '\''my %h; $h{$_ % 70001} .= "x$_" for 1 .. 200000; my $s = join "", map { $h{$_} } sort keys %h;
	my $t = $s x 3; $t =~ s/x1/y/g; print length($s), " ", length($t), " ", unpack("%32C*", $t), "\n"'\'
same "sort" 'sort -S 60M --parallel=2 "$DATA" | cksum; sort -n -S 4M -T . "$DATA" | tail -n 3'
have xz "xz" 'xz -T2 -1 --block-size=2MiB -c "$DATA" >data.xz && xz -t data.xz && xz -dc data.xz | cmp - "$DATA" && cksum data.xz'
same "cat, tr, sed, awk, tar and gzip" 'cat "$DATA" | tr 0-9 a-j | sed "s/a/aa/g" | awk "{ n[\$1 % 7]++ } END { for (i in n) print i, n[i] }" | sort
	cp "$DATA" data; tar --mtime=2020-01-01 --owner=0 --group=0 -cf - data | gzip -n | cksum'
finish 18
