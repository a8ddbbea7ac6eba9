#!/bin/sh
# Installs umpa to a scratch folder, moves that folder, and builds and runs a small program against it
# in every way a user would: pkg-config and find_package, shared and static, C and C++.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for tool in pkg-config g++; do
	command -v $tool >/dev/null || { echo "skip install: $tool is not installed"; exit 77; }
done

nchecks=0
ok()
{
	nchecks=$((nchecks + 1))
	echo "ok $*"
}

# DESTDIR is in front of the prefix, and nothing is written outside it.
DESTDIR=$work/dest cmake --install "$UMPA_BUILD" --prefix /opt/umpa >"$work/log"
[ "$(ls "$work/dest")" = opt ]
mv "$work/dest/opt/umpa" "$work/moved"
ok "installs under DESTDIR"

for file in bin/umpa lib/libumpa.so lib/libumpa.so.0 lib/libumpa.a lib/libumpa-preload.so \
	include/umpa/umpa.h include/umpa/stats.def lib/pkgconfig/umpa.pc; do
	[ -e "$work/moved/$file" ] || { echo "$file is not installed"; exit 1; }
done
ok "all products are there"

for header in "$UMPA_SOURCE"/include/umpa/*; do
	cmp "$header" "$work/moved/include/umpa/${header##*/}"
done
ok "all public headers are there"

for name in $(sed -n 's/^\.Nm \([a-z_]*\).*/\1/p' "$UMPA_SOURCE"/man/*.3); do
	grep -q '^\.so man3/umpa.*\.3$' "$work/moved/share/man/man3/$name.3"
	nnames=$((${nnames:-0} + 1))
done
[ "$nnames" -gt 20 ]
ok "each function has its manual page"

cat >"$work/program.c" <<'END'
#include <stdio.h>
#include <umpa/umpa.h>

int main(void)
{
	size_t nbytes = (size_t)3 << 20, i;
	char *block = (char *)umpa_alloc(nbytes, UMPA_ZERO);

	if (!block || umpa_usable_size(block) < nbytes || !umpa_owns(block))
		return 1;
	for (i = 0; i < nbytes; i++)
		if (block[i])
			return 2;
	block[nbytes - 1] = 7;
	block = (char *)umpa_realloc(block, 2 * nbytes, 0);
	if (!block || block[nbytes - 1] != 7)
		return 3;
	umpa_free(block);
	puts(UMPA_VERSION);
	return 0;
}
END
cp "$work/program.c" "$work/program.cc"
version=$(sed -n 's/^#define UMPA_VERSION  *"\(.*\)"/\1/p' "$UMPA_SOURCE/include/umpa/version.h")
warn='-Wall -Wextra -Werror -pedantic'

runs()
{
	got=$(LD_LIBRARY_PATH=$work/moved/lib "$1") || { echo "$1: exit status $?"; exit 1; }
	[ "$got" = "$version" ] || { echo "$1 printed $got"; exit 1; }
	ok "$2"
}

export PKG_CONFIG_PATH="$work/moved/lib/pkgconfig"
[ "$(pkg-config --modversion umpa)" = "$version" ]
ok "pkg-config tells the version"
# shellcheck disable=SC2046,SC2086 # flags are words
{
	gcc -std=c11 $warn "$work/program.c" $(pkg-config --cflags --libs umpa) -o "$work/pc"
	g++ -std=c++11 $warn "$work/program.cc" $(pkg-config --cflags --libs umpa) -o "$work/pcxx"
	gcc -std=c11 $warn "$work/program.c" $(pkg-config --cflags umpa) "$work/moved/lib/libumpa.a" \
		-pthread -o "$work/pcstatic"
}
runs "$work/pc" "C by pkg-config"
runs "$work/pcxx" "C++ by pkg-config"
runs "$work/pcstatic" "C, static library"

mkdir "$work/project"
cat >"$work/project/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.21)
project(trial C CXX)
find_package(umpa $version REQUIRED)
add_executable(fp ../program.c)
target_link_libraries(fp umpa::umpa)
add_executable(fpxx ../program.cc)
target_link_libraries(fpxx umpa::umpa)
add_executable(fpstatic ../program.c)
target_link_libraries(fpstatic umpa::umpa_static)
END
cmake -S "$work/project" -B "$work/built" -G Ninja -DCMAKE_PREFIX_PATH="$work/moved" >>"$work/log" 2>&1 ||
	{ cat "$work/log"; exit 1; }
cmake --build "$work/built" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
runs "$work/built/fp" "C by find_package"
runs "$work/built/fpxx" "C++ by find_package"
runs "$work/built/fpstatic" "C by find_package, static library"

# A part of another project: from here and not that project's files, under the same names.
mkdir "$work/whole"
cat >"$work/whole/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.21)
project(whole C)
add_subdirectory($UMPA_SOURCE umpa EXCLUDE_FROM_ALL)
add_executable(part ../program.c)
target_link_libraries(part umpa::umpa_static)
add_executable(partshared ../program.c)
target_link_libraries(partshared umpa::umpa)
END
cmake -S "$work/whole" -B "$work/wholebuilt" -G Ninja >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake --build "$work/wholebuilt" >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
runs "$work/wholebuilt/part" "C by add_subdirectory, static library"
runs "$work/wholebuilt/partshared" "C by add_subdirectory"

# A prefix may hold spaces.
make -C "$UMPA_SOURCE" -n install PREFIX="$work/a b" | grep -F "'$work/a b'" >/dev/null
ok "make install quotes its prefix"

"$work/moved/bin/umpa" run -- true
ok "the installed program finds the preload library"
! readelf -d "$work/moved/lib/"libumpa*.so "$work/moved/bin/umpa" | grep -E 'RPATH|RUNPATH'
ok "no run path is left in what is installed"

[ $nchecks = 16 ] || { echo "$nchecks checks made, 16 planned"; exit 1; }
echo "$nchecks passed, 0 failed, 0 skipped"
