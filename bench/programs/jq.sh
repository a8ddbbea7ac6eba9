# jq: a large document read, grouped and written.
. "${0%/*}/common"
commands=jq
packages=jq

prepare()
{
	numbers "$(pick 3000 120000)" | awk 'BEGIN { printf "[" }
		{ printf "%s{\"id\":%d,\"x\":%d,\"name\":\"n%d\",\"tags\":[\"a%d\",\"b%d\"]}\n", (NR > 1 ? "," : ""), $2, $1, $1 % 977, $1 % 7, $1 % 11 }
		END { print "]" }' >rows.json
}

run()
{
	jq -c 'group_by(.name) | map({name: .[0].name, n: length, x: (map(.x) | add)}) | sort_by(-.x)' rows.json | cksum
	jq 'map(select(.tags[0] == "a3") | .x * 2) | add, length' rows.json
}

main "$@"
