# A program that uses umpa itself, however it is linked, under preload.
. "$UMPA_SOURCE/tests/preload/common"
cc=${CC:-cc}
command -v "$cc" >"$scratch/out" || skip "no C compiler"

# build NAME LINKER_ARGS...
build()
{
	name=$1
	shift
	"$cc" -D_GNU_SOURCE -fno-builtin -rdynamic -pthread -I"$UMPA_SOURCE/include" -o "$scratch/$name" \
		"$UMPA_SOURCE/tests/preload/together.c" "$@" || exit 1
}

check "umpa from the preload library alone" "$programs/together"
if [ -f "$UMPA_BUILD/libumpa.a" ] && [ -f "$UMPA_BUILD/libumpa.so" ]; then
	build shared -Wl,--no-as-needed "$UMPA_BUILD/libumpa.so" "-Wl,-rpath,$UMPA_BUILD"
	build static -Wl,--whole-archive "$UMPA_BUILD/libumpa.a" -Wl,--no-whole-archive
	"$scratch/static" >"$scratch/out"
	result "linked with libumpa.a, no preload" $?
	check "linked with libumpa.so" "$scratch/shared"
	check "linked with libumpa.a, its functions exported" "$scratch/static"
else
	leave_out "libumpa.a and libumpa.so are not built" 3
fi
finish 4
