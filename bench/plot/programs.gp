# Draws programs.svg and programs.png from programs.dat of the current directory, which
# `umpa bench programs --csv DIR` writes: a head line, then a line a program, the ratios of time by arm and
# those of peak memory.

data = "programs.dat"
head = system("head -n 1 programs.dat")
n = (words(head) - 1) / 2
set datafile missing "?"
set logscale y 2
set grid ytics lc rgb "#dddddd"
set xtics rotate by -40 nomirror
set ytics ("0.15" 0.15, "0.25" 0.25, "0.35" 0.35, "0.5" 0.5, "0.7" 0.7, "0.8" 0.8, "0.9" 0.9, "1" 1, "1.1" 1.1, "1.25" 1.25, \
	"1.5" 1.5, "2" 2, "2.5" 2.5)
set offsets 0.7, 0.7, 0, 0
set key outside right center samplen 1
grey = "#888888"
is(arm, engine) = strstrt(arm, engine) > 0
colour(arm) = is(arm, "huge") ? 0x1f77b4 : is(arm, "jemalloc") ? 0xff7f0e : is(arm, "tcmalloc") ? 0x9467bd : is(arm, "mimalloc") ? 0x2ca02c : 0xd62728

do for [form in "svg png"] {
	if (form eq "svg") {
		set terminal svg size 1300, 1000 font "sans,13" background rgb "white"
	} else {
		set terminal pngcairo size 1300, 1000 font "sans,11"
	}
	set output "programs." . form
	set multiplot layout 2, 1
	do for [part = 0:1] {
		set title part ? "Peak resident memory: with umpa, over the same engine alone" : \
			"Time: with umpa, over the same engine alone (below 1 is faster)"
		plot for [i = 1:n] data skip 1 \
			using ($0 + (i - (n + 1) / 2.0) * 0.1):(column(1 + n * part + i)) \
			title word(head, 1 + i) with points lc rgb colour(word(head, 1 + i)) \
			pt 7 ps 0.9, \
			data skip 1 using 0:(1):xtic(1) notitle with dots, \
			1 notitle lc rgb grey, (part ? 1.1 : 1.02) notitle lc rgb grey dt 3
	}
	unset multiplot
	unset output
}
