#!/bin/sh
# umpa bench: what is refused, what the tables make of given figures, and what can be counted exactly.
# No time is looked at.
. "$UMPA_SOURCE/tests/cli/common"
needs jq
csv=$scratch/figures
mkdir "$csv"

run "$umpa" bench
ends 0 "bench alone"
prints "scaling"
prints "malloc-sparse"
prints "own-4K-untouched-64"
prints "larson-8"
run "$umpa" bench scaling --help
ends 0 "help of a bench"
prints "--csv DIR"
for bench in threads small; do
	run "$umpa" bench $bench --help
	ends 0 "help of $bench"
	prints "--only LIST"
	run "$umpa" bench $bench --only idle
	ends 2 "a test of another bench"
	run "$umpa" bench $bench more
	ends 2 "an operand too many for $bench"
	says "$bench takes no operand"
done
run "$umpa" bench vmm --help
ends 0 "help of vmm"
prints "--emulated"
run "$umpa" bench vmm more
ends 2 "an operand too many for vmm"
run "$umpa" bench vmm --from "$scratch/nowhere"
ends 125 "no figures of guest mode"
run "$umpa" bench nonsense
ends 2 "no such bench"
says "no bench 'nonsense'"
run "$umpa" bench scaling --repetition 3
ends 2 "a flag that is none"
run "$umpa" bench scaling -n 0
ends 2 "no repetition"
run "$umpa" bench scaling more
ends 2 "an operand too many"
for only in no-such-test idle,no-such-test no-such-test,idle 'no-such-*'; do
	run "$umpa" bench scaling --only "$only" --no-calls --csv "$scratch/unmade"
	ends 2 "a test there is none of, in $only"
	says "no test is called 'no-such-"
	says "page-bins, page-bins-untouched, "
	says ", malloc-sparse, idle, idle-64k, startup"
	right "nothing is made" [ ! -e "$scratch/unmade" ]
done
run "$umpa" bench scaling --only ''
ends 2 "no name at all"
run "$umpa" bench scaling --only 'start*' --no-calls -n 1
ends 0 "a test by its beginning"
run "$umpa" bench report "$scratch/nowhere"
ends 125 "no figures"
says "no raw figures in $scratch/nowhere"

# Ratios are formed within a repetition, and the median of them is taken: 40/2, 60/2, 10/5.
cat >"$csv/scaling.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
page-bins,kernel,0,4096,cost_ns,40
page-bins,umpa,0,4096,cost_ns,2
page-bins,kernel,1,4096,cost_ns,60
page-bins,umpa,1,4096,cost_ns,2
page-bins,kernel,2,4096,cost_ns,10
page-bins,umpa,2,4096,cost_ns,5
malloc-B,glibc,0,0,time_ns,1000
malloc-B,tcmalloc,0,0,time_ns,100
malloc-B,umpa-preload,0,0,time_ns,50
malloc-B,glibc,1,0,time_ns,100
malloc-B,tcmalloc,1,0,time_ns,1000
malloc-B,umpa-preload,1,0,time_ns,30
CSV
run "$umpa" bench report --json "$csv"
query '.results[] | select(.method == "kernel") | .median' 40
query '.results[] | select(.method == "kernel") | .samples | length' 3
query '.targets[] | select(.target | startswith("kernel / umpa, 4 to 32")) | .measured' 20
query '.targets[] | select(.target | startswith("kernel / umpa, 4 to 32")) | .reached' true
query '.targets[] | select(.target | startswith("B (64")) | .measured' 0.4
query '.targets[] | select(.target | startswith("B (64")) | .reached' false
query '.targets[] | select(.target | startswith("A (4")) | .reached' null
run "$umpa" bench report --markdown "$csv"
prints "| 4 KiB | 0.040 | - | - | 0.002 | - | 20.0x | 0.450x | - |"
prints "| B (64 KiB to 64 MiB, 64 live) / fastest peer | at most 0.3x | 0.400x |  | missed |"
mkdir "$scratch/blocks"
cat >"$scratch/blocks/scaling.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
malloc-calloc,glibc,0,65536,page_ns,500
malloc-calloc,glibc,0,65536,page_nfaults,0
malloc-calloc,glibc,0,65536,whole_ns,1000
malloc-calloc,glibc,0,65536,whole_nfaults,16
malloc-over-3M,glibc,0,0,time_ns,100000000
malloc-over-3M,glibc,0,0,peak_nbytes,419430400
malloc-over-3M,umpa-preload,0,0,time_ns,50000000
malloc-over-3M,umpa-preload,0,0,peak_nbytes,482344960
malloc-over-3M,umpa-preload,0,0,end_nbytes,461373440
CSV
run "$umpa" bench report --markdown "$scratch/blocks"
prints "| 64 KiB | glibc | 500 | 0.000 | 1000 | 16.0 |"
prints "| 3 MiB and 1 B | umpa-preload | 460 | 1.15x | 440 | 50.0 | - | - |"
mkdir "$scratch/dl"
cat >"$scratch/dl/dlmalloc.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
dlmalloc-bins,dlmalloc,0,4096,cost_ns,3000
dlmalloc-bins,dlmalloc-umpa,0,4096,cost_ns,2000
dlmalloc-bins,dlmalloc,0,8192,cost_ns,900
dlmalloc-bins,dlmalloc-umpa,0,8192,cost_ns,1000
jemalloc-bins,jemalloc,0,65536,cost_ns,8000
jemalloc-bins,jemalloc-umpa,0,65536,cost_ns,4000
dlmalloc-bins,dlmalloc,0,0,time_ns,5000000
dlmalloc-bins,dlmalloc,0,0,nfaults,77
CSV
run "$umpa" bench report --markdown "$scratch/dl"
ends 0 "a report of dlmalloc"
prints "| 4 KiB | 3.00 | 2.00 | 1.50x | 1.50x |"
prints "| 8 KiB | 0.900 | 1.00 | 0.900x | 1.50x |"
prints "| 64 KiB | 8.00 | 4.00 | 2.00x |"
prints "| dlmalloc over mmap | 5.00 | 77 | - | - | - |"
prints "| dlmalloc over the kernel / over umpa | at least 0.95x | 0.900x | at 8 KiB | missed |"
mkdir "$scratch/vmm"
cat >"$scratch/vmm/vmm.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
linux-6.1,guest,0,0,map,20
linux-6.1,guest,1,0,map,21
linux-6.1,kernel,0,0,touch,4000
linux-6.1,guest,0,1048576,alloc,200
linux-6.1,kernel,0,0,map,100
linux-6.1,guest,0,0,barrier: one protected,10
linux-6.1,kernel,0,0,barrier: one protected,25
CSV
run "$umpa" bench vmm --markdown --from "$scratch/vmm"
prints "| map a page | page fault on fresh memory | 20 | 4000 | 195x |"
prints "| alloc and free again, 1 MiB | mmap, munmap | 200 | 100 | 0.500x |"
prints "| Appel 1: protect, fault, unprotect | mprotect, signal | 10 | 25 | 2.50x |"
for wrong in '-n 2' --emulated "--csv $scratch/unmade"; do
	# shellcheck disable=SC2086 # words
	run "$umpa" bench vmm --from "$scratch/vmm" $wrong
	ends 2 "no run, but $wrong"
	says "--from runs nothing"
done
run "$umpa" bench vmm --from "$scratch/vmm" --json --markdown
ends 2 "two forms of vmm"
run "$umpa" bench report "$scratch/vmm"
ends 125 "a report of vmm's figures"
says "see 'umpa bench vmm --from $scratch/vmm'"
run "$umpa" bench report "$scratch/vmm" --json
ends 2 "an option behind the directory"
says "behind its options"
# Built elsewhere than in build/, it takes the rest from there; here there is no emulator.
mkdir -p "$scratch/built" "$scratch/source/tests/kernels" "$scratch/tools"
cp "$umpa" "$scratch/built/umpa"
: >"$scratch/built/CMakeCache.txt"
cp "$UMPA_SOURCE/tests/kernels/plan.sh" "$scratch/source/tests/kernels"
for tool in sh dirname uname cat rm; do
	ln -s "$(command -v $tool)" "$scratch/tools/$tool"
done
run env -u UMPA_BUILD UMPA_SOURCE="$scratch/source" PATH="$scratch/tools" "$scratch/built/umpa" bench vmm --emulated
ends 125 "no emulator"
says "what emulating needs is not here"
run env TMPDIR="$scratch/none" "$umpa" bench vmm --emulated
ends 125 "no place for the figures"
says "$scratch/none/umpa-vmm."
run "$umpa" bench vmm --json --from "$scratch/vmm"
query '.targets[] | select(.target | startswith("alloc and free again, 1 MiB")) | .reached' false
mkdir "$scratch/bare"
cp "$umpa" "$scratch/bare/umpa"
run env UMPA_PRELOAD="$UMPA_BUILD/libumpa-preload.so" "$scratch/bare/umpa" bench dlmalloc --only 'dl*' -n 1
ends 125 "no dlmalloc to measure"
says "left out: dlmalloc-umpa"
says "which the target dlmalloc makes"
# Each bench has raw figures of its own. Throughput with so many threads is compared within a repetition.
cat >"$scratch/blocks/threads.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
own-64K-untouched-1,umpa,0,0,blocks_per_s,1000000
own-64K-untouched-2,umpa,0,0,blocks_per_s,1500000
own-64K-untouched-64,umpa,0,0,blocks_per_s,1800000
own-64K-untouched-2,umpa,0,0,nsyscalls,512
own-64K-untouched-1,umpa,1,0,blocks_per_s,4000000
own-64K-untouched-2,umpa,1,0,blocks_per_s,8000000
own-64K-untouched-64,umpa,1,0,blocks_per_s,6000000
own-1M-untouched-1,umpa,0,0,blocks_per_s,10000
own-1M-untouched-2,umpa,0,0,blocks_per_s,19000
random-1M-untouched-2,umpa,0,0,blocks_per_s,10000
random-1M-untouched-64,umpa,0,0,blocks_per_s,7000
random-1M-untouched-2,bare,0,0,blocks_per_s,20000
random-1M-untouched-64,bare,0,0,blocks_per_s,10000
CSV
cat >"$scratch/blocks/small.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
loop,glibc,0,16,cost_ns,10
loop,umpa-preload,0,16,cost_ns,11
loop,glibc,0,64,cost_ns,10
loop,umpa-preload,0,64,cost_ns,9
handed-2,mimalloc,0,0,block_cpu_ns,100
handed-2,umpa-mimalloc,0,0,block_cpu_ns,105
CSV
run "$umpa" bench report --markdown "$scratch/blocks"
prints "| 64 KiB | glibc | 500 |"
prints "| 64 KiB to 1 MiB, umpa | 2500 | 4750 | - | - | 3900 | 1.75x | 0.975x | - | - | 2.00 | - |"
prints "| 2 threads / 1, own, untouched, umpa | at least 1.9x | 1.75x | own, 64 KiB to 1 MiB | missed |"
prints "| 64 threads / 2, untouched, umpa | at least 0.8x | 0.700x | random, 1 to 64 MiB | missed |"
prints "| 64 threads / 2, untouched, umpa, less bare | at least 0.8x | 1.17x | random, 1 to 64 MiB | reached |"
prints "| loop, 16 B | 10.0 | 1.10x | - | - | - | - | - | - |"
prints "| handed-2 | - | - | - | - | - | - | 100 | 1.05x |"
prints "| loop, umpa over glibc / glibc | at most 1.03x | 0.995x |  | reached |"
prints "| handed, umpa over mimalloc | at most 1.03x | 1.05x |  | missed |"
echo "page-bins,umpa,0,4096,cost_ns,many" >>"$csv/scaling.csv"
run "$umpa" bench report "$csv"
ends 125 "a line that is no figure"
says "Invalid argument"

# A plot of what there is; none, which is no failure, where no figure has a place in one.
run "$umpa" bench scaling --only idle --no-calls -n 1 --csv "$scratch/unplotted"
ends 0 "nothing to plot"
says "none of them has a place in a plot"
right "the figures are kept" grep -q '^idle,glibc,0,0,peak_nbytes,' "$scratch/unplotted/scaling.csv"
right "and nothing else" [ "$(ls "$scratch/unplotted" | tr '\n' ' ')" = "scaling.csv scaling.txt " ]
run "$umpa" bench report "$scratch/unplotted"
ends 0 "a report without plot"
mkdir -p "$scratch/unkept/scaling.csv"
run "$umpa" bench scaling --only idle --no-calls -n 1 --csv "$scratch/unkept"
ends 125 "figures that can't be kept"
says "unkept/scaling.csv: Is a directory"
if command -v gnuplot >/dev/null; then
	drawn=0
else
	drawn=1
fi
for test in page-bins malloc-bins; do
	mkdir "$scratch/$test"
	cat >"$scratch/$test/scaling.csv" <<CSV
test,method,repetition,bin_nbytes,metric,value
$test,kernel,0,4096,cost_ns,40
$test,glibc,0,4096,cost_ns,40
$test,kernel,0,8192,cost_ns,60
$test,glibc,0,8192,cost_ns,60
CSV
	run "$umpa" bench report "$scratch/$test"
	ends $drawn "a plot of $test alone"
	right "it is drawn" [ $drawn = 1 -o -s "$scratch/$test/scaling.svg" ]
	run env PATH="$scratch/nowhere" "$umpa" bench report "$scratch/$test"
	ends 1 "no gnuplot"
	says "gnuplot is not installed"
done

# What loses by more than 20 times has a place in the plot, too.
cat >"$scratch/vmm/vmm.csv" <<'CSV'
test,method,repetition,bin_nbytes,metric,value
here,guest,0,0,map,500
here,kernel,0,0,touch,2
CSV
run "$umpa" bench vmm --from "$scratch/vmm"
ends $drawn "a plot of what loses"
right "it reaches to 0.004" [ $drawn = 1 -o "$(grep -c '>0\.01<' "$scratch/vmm/vmm.svg" 2>/dev/null)" = 1 ]

# count KIND KEYS...: the figures of one worker process, as "metric bin value" lines.
count()
{
	run "$umpa" bench "$@"
	ends 0 "$*"
}

figure()
{
	printf '%s\n' "$out" | awk -v metric="$1" '$1 == metric { print $3 }'
}

# Exactly as many faults as pages, where the kernel serves; blocks that umpa had before have none.
count @ring api=kernel min=64K max=64K live=2 warmup=4 ops=10
right "160 faults, not $(figure nfaults)" [ "$(figure nfaults)" -ge 160 ]
right "no more than 160 and a few" [ "$(figure nfaults)" -le 170 ]
count @ring api=umpa min=64K max=64K live=2 warmup=64 ops=100
right "less faults than blocks, not $(figure nfaults)" [ "$(figure nfaults)" -lt 20 ]
right "100 blocks handed out" [ "$(figure umpa_nallocs)" = 100 ]
right "100 taken back" [ "$(figure umpa_nfrees)" = 100 ]
right "2 live at the end" [ "$(figure umpa_nblocks)" = 2 ]
right "more than 10 digits" [ "$(figure umpa_window_nbytes | tr -d 0-9 | wc -c)" = 1 ]
count @ring api=umpa-mmap min=64K max=64K live=2 warmup=64 ops=10
right "10 mapped" [ "$(figure umpa_nmappings)" = 10 ]
right "10 cleared" [ "$(figure umpa_cleared_nbytes)" = 655360 ]
count @ring api=umpa min=4K max=64K live=32 batch=16 warmup=64 ops=128
right "4 size bins" [ "$(printf '%s\n' "$out" | grep -c '^cost_ns ')" = 4 ]
count @grow api=umpa min=1M max=8M factor=150
count @sparse api=kernel max=64M
# Faults a block, at each size; a stray one among hundreds of blocks is rounded away.
faults()
{
	printf '%s\n' "$out" | awk -v metric="$1" '$1 == metric { printf "%.0f ", $3 }'
}
# What is resident grows by the blocks that live; what the worker itself has of libc's pages, up to 2 MiB and not quite
# the same each time, is in both.
count @ring api=kernel min=2097153 max=2097153 live=4 ops=4
few=$(figure end_nbytes)
right "8 MiB resident at least, not $few" [ "$few" -gt $((8 << 20)) ]
count @ring api=kernel min=2097153 max=2097153 live=12 ops=12
more=$(($(figure end_nbytes) - few))
right "16 MiB more with 8 more blocks, or nearly, not $more" [ "$more" -gt $((15 << 20)) ]
right "but not 17" [ "$more" -lt $((17 << 20)) ]
count @calloc api=kernel max=1M ops=1
right "a fault where a page is touched, not $(faults page_nfaults)" [ "$(faults page_nfaults)" = "1 1 " ]
right "one a page where all are, not $(faults whole_nfaults)" [ "$(faults whole_nfaults)" = "16 256 " ]
count @calloc api=umpa max=1M ops=1
right "none where memory is there, not $(faults whole_nfaults)" [ "$(faults whole_nfaults)" = "0 0 " ]
run "$umpa" bench @calloc api=touch ops=1
ends 125 "nobody who clears"
run "$umpa" bench @ring api=umpa min=4K max=64K live=31 batch=16 warmup=64 ops=128
ends 125 "a ring that is no whole batches"
# As many blocks as asked for, all of them given back, however many threads share in them.
team()
{
	count "$@" api=umpa traced=1
	right "$1: $(figure nblocks) blocks" [ "$(figure nblocks)" = "$blocks" ]
	right "$1: $(figure umpa_nallocs) handed out" [ "$(figure umpa_nallocs)" = "$blocks" ]
	right "$1: $(figure umpa_nfrees) taken back" [ "$(figure umpa_nfrees)" = "$blocks" ]
}

blocks=256
for threads in 1 2 8; do
	for kind in @own @handed @random; do
		team $kind threads=$threads min=4K max=4M live=16 warmup=64 ops=256
	done
done
blocks=40000 # more than a thread lives for
team @larson threads=2 min=4K max=64K live=16 touch=0 ops=40000
# However short the time is, so many blocks at least; whoever fails keeps nobody waiting for them.
for threads in 1 2 8; do
	for kind in @own @handed @random; do
		count $kind api=umpa threads=$threads min=4K max=4M live=16 ms=1 burst=1 least=3000
		right "$kind: $(figure nblocks) blocks at least" [ "$(figure nblocks)" -ge 3000 ]
	done
done
# Sizes are dealt out evenly then: 16 of them have the mean's 242 pages each, nearly, whoever takes them.
for threads in 1 2 4 16; do
	for kind in @own @random; do
		count $kind api=kernel threads=$threads min=64K max=4M live=16 burst=1 least=16 traced=1 ops=16
		right "$kind, $threads: $(figure nfaults) faults at least" [ "$(figure nfaults)" -ge 3600 ]
		right "and at most" [ "$(figure nfaults)" -le 4200 ]
	done
done
for kind in @own @handed @random; do
	for phase in least warmup; do
		run timeout 60 "$umpa" bench $kind api=bare threads=2 min=4K max=64K live=16 ms=1 $phase=1000000
		ends 125 "one address for all blocks of $kind, $phase"
		says "content lost"
	done
done
run "$umpa" bench @own threads=2 min=4K max=64K live=16 burst=0
ends 125 "never a look at the time"
says "bad sizes, time"
run "$umpa" bench @handed threads=3 min=4K max=64K live=16
ends 125 "nobody to hand over to"
says "pairs of threads"
run "$umpa" bench @own threads=17 min=4K max=64K live=16
ends 125 "more threads than blocks"
count @loop min=16 max=4K warmup=8 ops=8
right "5 sizes" [ "$(printf '%s\n' "$out" | grep -c '^cost_ns ')" = 5 ]
run "$umpa" bench @loop min=16 max=4K ops=7
ends 125 "a loop of no whole rounds"
run "$umpa" bench @ring api=nobody
ends 2 "an api there is none of"
run "$umpa" bench @ring min=4K max=64K live=8 ops=
ends 2 "a key without a number"

# awk takes a decimal comma for one where the locale has it, and reads no further than a point.
for script in scripts/demo bench/count-instructions; do
	right "$script in the C locale" grep -q '^export LC_ALL=C' "$UMPA_SOURCE/$script"
done

finish 251
