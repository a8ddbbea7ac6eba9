# Draws scaling.svg and scaling.png from scaling-page.dat and scaling-malloc.dat of the current
# directory, which `umpa bench scaling --csv DIR` writes.

page = "scaling-page.dat"
malloc = "scaling-malloc.dat"
has_page = system("grep -vc '^#' scaling-page.dat || true") > 0
has_malloc = system("grep -vc '^#' scaling-malloc.dat || true") > 0

set datafile missing "?"
set logscale xy
set grid xtics ytics lc rgb "#dddddd"
set xtics ("4K" 4096, "16K" 16384, "64K" 65536, "256K" 262144, "1M" 1048576, "4M" 4194304, \
	"16M" 16777216, "64M" 67108864, "256M" 268435456, "1G" 1073741824)
set xlabel "size of the block, from"
set key left top samplen 2
set style data linespoints
set xrange [2048:*]

grey = "#888888"
blue = "#1f77b4"
green = "#2ca02c"
orange = "#ff7f0e"
red = "#d62728"
purple = "#9467bd"

do for [form in "svg png"] {
	height = has_page + has_malloc > 1 ? 1000 : 520
	if (form eq "svg") {
		set terminal svg size 1200, height font "sans,13" background rgb "white"
	} else {
		set terminal pngcairo size 1200, height font "sans,11"
	}
	set output "scaling." . form
	set multiplot layout (has_page + has_malloc), 2

	if (has_page) {
		set key left top
		set title "Page level: hand out, touch every page, free"
		set ylabel "microseconds a block"
		plot page using 1:2 title "kernel mmap, munmap" lc rgb red lw 2 pt 7 ps 0.6, \
			"" using 1:3 title "MAP\\_POPULATE" lc rgb orange lw 2 pt 7 ps 0.6, \
			"" using 1:4 title "MADV\\_HUGEPAGE" lc rgb purple lw 2 pt 7 ps 0.6, \
			"" using 1:5 title "umpa" lc rgb blue lw 3 pt 7 ps 0.8, \
			"" using 1:6 title "touching only" lc rgb grey lw 2 dt 2 pt 0

		set title "Page level: how many times faster than the kernel"
		set ylabel "kernel / umpa"
		set key right bottom
		plot page using 1:7 title "umpa" lc rgb blue lw 3 pt 7 ps 0.8, \
			"" using 1:8 title "as published in 2011" lc rgb green lw 2 pt 5 ps 0.6, \
			1 notitle lc rgb grey dt 3
	}

	if (has_malloc) {
		set title "Malloc level: malloc, touch every page, free"
		set ylabel "microseconds a block"
		set key left top
		plot malloc using 1:2 title "glibc" lc rgb red lw 2 pt 7 ps 0.6, \
			"" using 1:3 title "jemalloc" lc rgb orange lw 2 pt 7 ps 0.6, \
			"" using 1:4 title "tcmalloc" lc rgb purple lw 2 pt 7 ps 0.6, \
			"" using 1:5 title "mimalloc" lc rgb green lw 2 pt 7 ps 0.6, \
			"" using 1:6 title "umpa over glibc" lc rgb blue lw 3 pt 7 ps 0.8

		set title "Malloc level: how many times faster than the system's malloc"
		set ylabel "glibc / umpa"
		set key right bottom
		plot malloc using 1:7 title "umpa" lc rgb blue lw 3 pt 7 ps 0.8, \
			"" using 1:8 title "as published in 2011" lc rgb green lw 2 pt 5 ps 0.6, \
			1 notitle lc rgb grey dt 3
	}
	unset multiplot
	unset output
}
