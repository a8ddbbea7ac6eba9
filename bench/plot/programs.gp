# Draws programs.svg and programs.png from programs.dat of the current directory, which
# `umpa bench programs --csv DIR` writes.

data = "programs.dat"
set datafile missing "?"
set logscale y 2
set grid ytics lc rgb "#dddddd"
set xtics rotate by -40 nomirror
set ytics ("0.25" 0.25, "0.5" 0.5, "0.7" 0.7, "0.8" 0.8, "0.9" 0.9, "1" 1, "1.1" 1.1, "1.25" 1.25, \
	"1.5" 1.5, "2" 2)
set yrange [0.2:2.5]
set offsets 0.7, 0.7, 0, 0
set key outside right center samplen 1
grey = "#888888"

array name[8] = ["glibc", "jemalloc", "tcmalloc", "mimalloc", "glibc, mmap=1", "jemalloc, mmap=1", \
	"tcmalloc, mmap=1", "mimalloc, mmap=1"]
array colour[8] = ["#d62728", "#ff7f0e", "#9467bd", "#2ca02c", "#d62728", "#ff7f0e", "#9467bd", "#2ca02c"]

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
		plot for [i = 1:8] data using ($0 + (i - 4.5) * 0.08):(column(1 + 8 * part + i)):xtic(1) \
			title name[i] with points lc rgb colour[i] pt (i > 4 ? 6 : 7) ps 0.9, \
			1 notitle lc rgb grey, (part ? 1.1 : 1.02) notitle lc rgb grey dt 3
	}
	unset multiplot
	unset output
}
