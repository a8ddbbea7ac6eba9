# redis-server on loopback: keys loaded, then redis-benchmark; Debian links it with jemalloc.
. "${0%/*}/common"
commands="redis-server redis-benchmark redis-cli"
packages="redis-server redis-tools"

prepare()
{
	awk -v n="$(pick 2000 80000)" 'BEGIN {
		x = 2011; pad = "0123456789abcdef"; pad = pad pad pad pad; pad = pad pad pad pad
		for (i = 0; i < n; i++) {
			x = (x * 16807) % 2147483647
			printf "SET key:%d %s\r\nRPUSH list:%d %d\r\n", x % n, substr(pad, 1, x % 250 + 5), x % 997, i
			if (i % 3 == 0) printf "HSET hash:%d f%d %d\r\n", x % 499, i % 50, x
			if (i % 1000 == 0) printf "SET large:%d %s\r\n", i, substr(pad pad pad pad, 1, 1000)
			if (i % 4 == 3) printf "DEL key:%d\r\n", (x * 3) % n
		} }' >commands
}

run()
{
	port=$(free_port)
	redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no --enable-debug-command local --daemonize no >server.log 2>&1 &
	until plainly redis-cli -p "$port" ping >/dev/null 2>&1; do
		sleep 0.02
	done
	plainly redis-cli -p "$port" --pipe <commands | tail -n 1
	plainly redis-cli -p "$port" debug digest
	plainly redis-cli -p "$port" dbsize
	plainly redis-benchmark -p "$port" -q -n "$(pick 1000 20000)" -d 2000 -P 16 -t set,get,lpush,lpop,hset >/dev/null 2>&1
	plainly redis-cli -p "$port" strlen key:__rand_int__
	plainly redis-cli -p "$port" shutdown nosave || :
	wait
}

main "$@"
