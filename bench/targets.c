/* What umpa must reach, and what it does. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "grid.h"
#include "plan.h"
#include "report.h"

static double median(const struct umpa_samples *s, const char *test, const char *method,
	const char *metric, uint64_t bin)
{
	return umpa_samples_median(s, &(struct umpa_series){test, method, metric, bin});
}

static void set(
	struct umpa_target *t, const char *text, double limit, const char *unit, double figure)
{
	*t = (struct umpa_target){.text = text, .limit = limit, .unit = unit, .figure = figure};
}

static void describe_bin(char *where, size_t nwhere, uint64_t bin)
{
	if (bin < 1 << 20)
		snprintf(where, nwhere, "at %llu KiB", (unsigned long long)bin >> 10);
	else
		snprintf(where, nwhere, "at %llu MiB", (unsigned long long)bin >> 20);
}

/* Takes a bin's ratio if it is worse than what there is. */
static void take_worse(struct umpa_target *t, uint64_t bin, double ratio)
{
	if (isnan(ratio) || (t->at_least ? ratio >= t->figure : ratio <= t->figure))
		return;
	t->figure = ratio;
	describe_bin(t->where, sizeof(t->where), bin);
}

/* The worst bin between lo and hi of the ratio `over` / `under`. */
static void set_worst_bin(const struct umpa_samples *s, struct umpa_target *t, uint64_t lo,
	uint64_t hi, const char *over, const char *under)
{
	const char *test;
	uint64_t bin;
	size_t i;

	for (i = 0; (test = umpa_page_test(s, i, 1, &bin)); i++) {
		double ratio;

		if (bin < lo || bin > hi)
			continue;
		ratio = umpa_samples_ratio(s, &(struct umpa_series){test, over, "cost_ns", bin},
			&(struct umpa_series){test, under, "cost_ns", bin});
		take_worse(t, bin, ratio);
	}
}

static void set_page_ratio(const struct umpa_samples *s, struct umpa_target *t, const char *text,
	double limit, uint64_t lo, uint64_t hi)
{
	set(t, text, limit, "x", NAN);
	t->at_least = 1;
	set_worst_bin(s, t, lo, hi, "kernel", "umpa");
}

static double to_least_peer(const struct umpa_samples *s, const char *test, const char *metric)
{
	return umpa_samples_ratio_to_least(s,
		&(struct umpa_series){test, "umpa-preload", metric, 0},
		&(struct umpa_series){test, NULL, metric, 0}, umpa_peers, NPEERS);
}

static size_t fill_page(const struct umpa_samples *s, struct umpa_target *t)
{
	const uint64_t small = 64 << 10, large = 1 << 30;

	set_page_ratio(s, &t[0], "kernel / umpa, 4 to 32 KiB", 10, 4 << 10, 32 << 10);
	set_page_ratio(s, &t[1], "kernel / umpa, 64 to 512 KiB", 50, 64 << 10, 512 << 10);
	set_page_ratio(s, &t[2], "kernel / umpa, 1 MiB and above", 100, 1 << 20, UINT64_MAX);
	set(&t[3], "umpa / touching only, 512 KiB and above", 1.5, "x", NAN);
	set_worst_bin(s, &t[3], 512 << 10, UINT64_MAX, "umpa", "touch");
	set(&t[4], "1 GiB / 64 KiB, used before, untouched", 3, "x",
		median(s, "page-reuse", "umpa", "cost_ns", large) /
			median(s, "page-reuse", "umpa", "cost_ns", small));
	set(&t[5], "system calls of it", 0, "", median(s, "page-reuse", "umpa", "nsyscalls", 0));
	set(&t[6], "superpages that must move, us each", 4, "us",
		median(s, "page-moved", "umpa", "slot_ns", 0) / 1e3);
	return 7;
}

/* The least that one's time is of the other's in a test with bins, from lo to hi. */
static void set_bins_ratio(const struct umpa_samples *s, struct umpa_target *t, const char *text,
	double limit, const char *test, const char *over, const char *under, uint64_t lo,
	uint64_t hi)
{
	uint64_t bin;
	size_t i;

	set(t, text, limit, "x", NAN);
	t->at_least = 1;
	for (i = 0; (bin = umpa_samples_bin(s, test, "cost_ns", i)); i++)
		if (bin >= lo && bin <= hi)
			take_worse(t, bin,
				umpa_samples_ratio(s,
					&(struct umpa_series){test, over, "cost_ns", bin},
					&(struct umpa_series){test, under, "cost_ns", bin}));
}

static void set_mmap_ratio(const struct umpa_samples *s, struct umpa_target *t, const char *text,
	double limit, uint64_t lo, uint64_t hi)
{
	set_bins_ratio(s, t, text, limit, "page-mmap", "kernel", "umpa-mmap", lo, hi);
}

static size_t fill_mmap(const struct umpa_samples *s, struct umpa_target *t)
{
	set_mmap_ratio(s, &t[0], "kernel / umpa_mmap, 1 MiB and above", 15, 1 << 20, UINT64_MAX);
	set_mmap_ratio(s, &t[1], "kernel / umpa_mmap, below", 0.95, 0, (1 << 20) - 1);
	return 2;
}

static size_t fill_malloc(const struct umpa_samples *s, struct umpa_target *t)
{
	set(&t[0], "B (64 KiB to 64 MiB, 64 live) / fastest peer", 0.3, "x",
		to_least_peer(s, "malloc-B", "time_ns"));
	set(&t[1], "A (4 KiB to 8 MiB, 512 live) / fastest peer", 0.65, "x",
		to_least_peer(s, "malloc-A", "time_ns"));
	set(&t[2], "B, peak resident / leanest peer", 1.1, "x",
		to_least_peer(s, "malloc-B", "peak_nbytes"));
	set(&t[3], "A, peak resident / leanest peer", 1.1, "x",
		to_least_peer(s, "malloc-A", "peak_nbytes"));
	set(&t[4], "C (cold start) / fastest peer", 0.3, "x",
		to_least_peer(s, "malloc-C", "time_ns"));
	set(&t[5], "start-up, ms more", 1, "ms",
		(median(s, "startup", "umpa-preload", "wall_ns", 0) -
			median(s, "startup", "glibc", "wall_ns", 0)) /
			1e6);
	set(&t[6], "start-up, resident MiB more", 2, "MiB",
		(median(s, "idle", "umpa-preload", "peak_nbytes", 0) -
			median(s, "idle", "glibc", "peak_nbytes", 0)) /
			(1 << 20));
	return 7;
}

static size_t fill_scaling(const struct umpa_samples *s, struct umpa_target *t)
{
	size_t n = fill_page(s, t);

	n += fill_mmap(s, t + n);
	return n + fill_malloc(s, t + n);
}

static size_t fill_dlmalloc(const struct umpa_samples *s, struct umpa_target *t)
{
	set_bins_ratio(s, &t[0], "dlmalloc over the kernel / over umpa", 0.95, "dlmalloc-bins",
		"dlmalloc", "dlmalloc-umpa", 0, UINT64_MAX);
	set_bins_ratio(s, &t[1], "jemalloc over the kernel / over umpa", 0.95, "jemalloc-bins",
		"jemalloc", "jemalloc-umpa", 0, UINT64_MAX);
	return 2;
}

size_t umpa_targets_fill(
	enum umpa_bench_id bench, const struct umpa_samples *s, struct umpa_target t[NTARGETS])
{
	static size_t (*const fill[NBENCHES])(
		const struct umpa_samples *s, struct umpa_target *t) = {
		[BENCH_SCALING] = fill_scaling,
		[BENCH_DLMALLOC] = fill_dlmalloc,
		[BENCH_THREADS] = umpa_targets_threads,
		[BENCH_SMALL] = umpa_targets_small,
	};

	return fill[bench](s, t);
}

int umpa_target_reached(const struct umpa_target *t)
{
	return t->at_least ? t->figure >= t->limit : t->figure <= t->limit;
}

static const char *verdict(const struct umpa_target *t)
{
	if (isnan(t->figure))
		return "not measured";
	return umpa_target_reached(t) ? "reached" : "missed";
}

void umpa_targets_print(const struct umpa_target *targets, size_t n, FILE *out, int markdown)
{
	struct umpa_grid t;
	size_t i;

	umpa_grid_init(&t);
	umpa_grid_row(&t);
	umpa_grid_text(&t, "target");
	umpa_grid_text(&t, "wanted");
	umpa_grid_text(&t, "measured");
	umpa_grid_text(&t, "worst");
	umpa_grid_text(&t, "verdict");
	for (i = 0; i < n; i++) {
		umpa_grid_row(&t);
		umpa_grid_text(&t, "%s", targets[i].text);
		umpa_grid_text(&t, "%s %g%s", targets[i].at_least ? "at least" : "at most",
			targets[i].limit, targets[i].unit);
		umpa_grid_number(&t, targets[i].figure, targets[i].unit);
		umpa_grid_text(&t, "%s", targets[i].where);
		umpa_grid_text(&t, "%s", verdict(&targets[i]));
	}
	fputs(markdown ? "\n### Targets\n\n" : "\nTargets\n", out);
	umpa_grid_print(&t, out, markdown);
}

void umpa_report_targets(
	enum umpa_bench_id bench, const struct umpa_samples *s, FILE *out, int markdown)
{
	struct umpa_target targets[NTARGETS];
	size_t n = umpa_targets_fill(bench, s, targets);

	umpa_targets_print(targets, n, out, markdown);
}
