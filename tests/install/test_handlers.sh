#!/bin/sh
# A handler of page faults in guest mode is compiled for general registers alone, as its header says: what it calls
# of that header must not bring vectors along, which are still the interrupted function's.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
npassed=0 nfailed=0 nskipped=0
case $(uname -m) in
x86_64) ;;
*)
	echo "guest mode is x86-64's"
	exit 77 ;;
esac

cat >"$work/handler.c" <<'END'
#include <umpa/vmm.h>

__attribute__((target("general-regs-only"))) int handle(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	umpa_g_map(g, addr, arg, 700 + code);
	umpa_g_protect(g, addr, code, 1);
	umpa_g_unmap(g, arg, code);
	umpa_g_exchange_pages(g, addr, arg, code);
	umpa_g_exchange(g, addr, arg, code);
	umpa_g_set_superpage(g, addr, umpa_g_entry(g, umpa_g_home(g, arg)));
	return 0;
}
END

for compiler in gcc clang; do
	for flags in -O0 -O2 "-O3 -march=haswell"; do
		# shellcheck disable=SC2086 # words
		if ! command -v $compiler >/dev/null; then
			nskipped=$((nskipped + 1))
			echo "skip $compiler $flags: it is not installed"
		elif $compiler $flags -I"$UMPA_SOURCE/include" -c "$work/handler.c" -o "$work/handler.o" &&
			! objdump -d "$work/handler.o" | grep '%[xyz]mm' >"$work/found"; then
			npassed=$((npassed + 1))
			echo "ok $compiler $flags"
		else
			nfailed=$((nfailed + 1))
			echo "FAILED $compiler $flags"
			head -n 3 "$work/found"
		fi
	done
done
echo "$npassed passed, $nfailed failed, $nskipped skipped"
[ $nfailed = 0 ]
