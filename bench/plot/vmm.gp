# Draws vmm.svg and vmm.png from vmm.dat of the current directory, which `umpa bench vmm --csv DIR` writes: a
# head line, then a line an operation, how many times what it takes in guest mode the kernel takes, by host; and
# what Dune published.

data = "vmm.dat"
head = system("head -n 1 vmm.dat")
n = words(head) - 2
set datafile missing "?"
low = 0.05 # further where something loses by more
do for [i = 1:n] {
	stats data skip 1 using (column(1 + i)) nooutput
	if (exists("STATS_min") && STATS_min < low) { low = STATS_min / 1.5 }
}
set logscale x
set grid xtics lc rgb "#dddddd"
set xrange [low:2000]
set xtics ("0.0001" 0.0001, "0.001" 0.001, "0.01" 0.01, "0.1" 0.1, "1" 1, "10" 10, "100: as expected in 2011" 100, "1000" 1000)
set yrange [*:*] reverse
set offsets 0, 0, 0.7, 0.7
set key inside left center reverse Left samplen 1
set title "What the kernel takes, over what it takes in guest mode (to the right is better)"

do for [form in "svg png"] {
	if (form eq "svg") {
		set terminal svg size 1000, 800 font "sans,13" background rgb "white"
	} else {
		set terminal pngcairo size 1000, 800 font "sans,11"
	}
	set output "vmm." . form
	set arrow 1 from 1, graph 0 to 1, graph 1 nohead lc rgb "#888888"
	set arrow 2 from 100, graph 0 to 100, graph 1 nohead lc rgb "#d62728" dt 3
	plot data skip 1 using (1e-9):0:ytic(1) notitle with dots, \
		for [i = 1:n] data skip 1 using (column(1 + i)):($0 + (i - (n + 1) / 2.0) * 0.2) \
			title word(head, 1 + i) with points pt 7 ps 1, \
		data skip 1 using (column(2 + n)):0 title "Dune, as published, in cycles" \
			with points pt 4 ps 1.4 lc rgb "#555555"
	unset output
}
