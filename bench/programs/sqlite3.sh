# sqlite3: tables, indexes, sorting and text search in memory.
. "${0%/*}/common"
commands=sqlite3
packages=sqlite3

run()
{
	sqlite3 :memory: <<SQL
pragma cache_size = -200000;
create table t(a integer primary key, b text, c real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < $(pick 5000 150000))
	insert into t select i, hex(i * 7919) || printf('%080d', i), i / 7.0 from n;
create index u on t(b);
select count(*), sum(a), min(b), max(b) from t;
select b from t order by substr(b, 3) desc limit 5;
create table s as select a % 1000 as k, group_concat(substr(b, 1, 12)) as g, avg(c) as m from t group by k;
select count(*), sum(length(g)), round(sum(m), 3) from s;
update t set b = b || 'x' where a % 3 = 0;
delete from t where a % 5 = 0;
select count(*), sum(length(b)) from t join s on s.k = t.a % 1000 where t.c > 50;
pragma integrity_check;
SQL
}

main "$@"
