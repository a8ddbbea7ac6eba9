# Blocks below a superpage of which little is touched don't take all of it; those that are filled are umpa's.
. "$UMPA_SOURCE/tests/preload/common"

peak=$(under "$programs/sparse" 4)
[ "$peak" -le 16 ]
result "4 of 64 pages: a peak of $peak MiB" $?
peak=$(under "$programs/sparse" 64)
[ "$peak" -le 52 ]
result "64 of 64 pages: a peak of $peak MiB" $?
UMPA_OPTIONS=stats=1 under "$programs/sparse" 64 2>&1 | awk '$1 == "umpa:" && $2 == "nblocks" { n = $3 } END { exit n < 150 }'
result "which are umpa's" $?
finish 3
