# In a program with more rights than its caller umpa does nothing. The loader leaves LD_PRELOAD out there, so
# the program is linked with umpa, as an administrator might do who trusts it.
. "$UMPA_SOURCE/tests/preload/common"
cc=${CC:-cc}
command -v "$cc" >"$scratch/out" || skip "no C compiler"
chmod 755 "$scratch"
cp "$preload" "$scratch/" || exit 1
"$cc" -D_GNU_SOURCE -fno-builtin -o "$scratch/secure" "$UMPA_SOURCE/tests/preload/secure.c" \
	-Wl,--no-as-needed "$scratch/libumpa-preload.so" -Wl,--disable-new-dtags,-rpath,"$scratch" || exit 1
"$scratch/secure" yes
result "linked, no setuid" $?
if [ "$(id -u)" != 0 ]; then
	leave_out "setuid to another user needs root" 3
	finish 4
elif findmnt -n -o OPTIONS -T "$scratch" 2>&1 | grep -q nosuid; then
	leave_out "the folder for scratch files is mounted nosuid" 3
	finish 4
fi
chown 65534:65534 "$scratch/secure" && chmod 4755 "$scratch/secure" || exit 1
"$scratch/secure" no
result "setuid" $?
UMPA_OPTIONS=stats=1,malloc_min=4K "$scratch/secure" no >"$scratch/out" 2>&1
result "setuid, options in the environment" $?
[ "$(wc -l <"$scratch/out")" = 1 ]
result "setuid, nothing printed" $?
finish 4
