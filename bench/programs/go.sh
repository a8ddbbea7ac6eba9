# A program in Go, whose runtime maps memory itself and is linked statically: umpa is not in it at all.
. "${0%/*}/common"
commands=go
packages=golang-go

prepare()
{
	cat >work.go <<'GO'
package main

import (
	"fmt"
	"os"
	"sort"
	"strconv"
)

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	names := map[string][]int{}
	for i := 0; i < n; i++ {
		name := "n" + strconv.Itoa(i*7919%(n/4))
		names[name] = append(names[name], i)
	}
	keys := make([]string, 0, len(names))
	for k := range names {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	sum := 0
	for _, k := range keys {
		sum = (sum*31 + len(names[k]) + names[k][0]) % 1000003
	}
	var buffers [][]byte
	for i := 0; i < n/100; i++ {
		b := make([]byte, 20000+i*7919%300000)
		for j := range b {
			b[j] = byte(i + j)
		}
		buffers = append(buffers, b)
		if len(buffers) > 64 {
			sum += int(buffers[i%64][100])
			buffers = append(buffers[:i%64], buffers[i%64+1:]...)
		}
	}
	fmt.Println(len(keys), sum)
}
GO
	GO111MODULE=off GOCACHE="$PWD/cache" GOFLAGS= go build -o work work.go
}

run()
{
	./work "$(pick 20000 700000)"
}

main "$@"
