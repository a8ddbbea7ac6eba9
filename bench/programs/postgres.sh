# postgres on loopback: initdb, pgbench, a few queries that sort and hash.
. "${0%/*}/common"
packages=postgresql
bin=$(find /usr/lib/postgresql -name initdb 2>/dev/null | sort | tail -n 1)
bin=${bin%/initdb}

check()
{
	[ -n "$bin" ] || missing postgres
}

# It refuses to be run by root.
user=
[ "$(id -u)" != 0 ] || user="setpriv --reuid=65534 --regid=65534 --clear-groups"

sql()
{
	plainly "$bin/psql" -q -X -A -t -h 127.0.0.1 -p "$port" -U bench "$@" postgres
}

run()
{
	port=$(free_port)
	rm -rf data
	mkdir data
	[ "$(id -u)" != 0 ] || chown 65534:65534 data
	$user "$bin/initdb" -D data -U bench -A trust --no-sync --no-locale -E UTF8 >initdb.log
	$user "$bin/postgres" -D data -h 127.0.0.1 -p "$port" -k "" -c fsync=off -c work_mem=64MB \
		-c autovacuum=off >server.log 2>&1 &
	until sql -c "select 1" >/dev/null 2>&1; do
		sleep 0.02
	done
	plainly "$bin/pgbench" -q -i -s "$(pick 1 2)" -h 127.0.0.1 -p "$port" -U bench postgres >/dev/null
	plainly "$bin/pgbench" -c 1 -t "$(pick 50 800)" --random-seed=2011 -h 127.0.0.1 -p "$port" -U bench postgres |
		grep "actually processed"
	sql -c "select sum(abalance), count(*) from pgbench_accounts" \
		-c "select count(*) from (select a.bid, a.aid from pgbench_accounts a order by md5(a.aid::text)) x" \
		-c "select count(distinct md5(b.aid::text)) from pgbench_accounts a join pgbench_accounts b using (aid)"
	plainly $user "$bin/pg_ctl" -D data -s -m fast stop
	wait
}

main "$@"
