/* The tables and targets of `threads`. */
#include <math.h>

#include "report.h"
#include "tables.h"

static const struct {
	const char *name, *text;
} patterns[] = {{"own", "each frees its own"}, {"handed", "one frees what the other was handed"},
	{"random", "any frees any"}};

static const struct {
	const char *name, *text;
} sizes[] = {{"4K", "4 to 64 KiB"}, {"64K", "64 KiB to 1 MiB"}, {"1M", "1 to 64 MiB"}};

/* Which of umpa_teams the targets speak of, and the columns beside the throughput. */
enum {
	ONE = 0,
	TWO = 1,
	MOST = NTEAMS - 1
};

struct series_of {
	char name[NAME_NBYTES];
};

static struct series_of test_of(size_t pattern, size_t size, int touched, size_t team)
{
	struct series_of t;

	snprintf(t.name, sizeof(t.name), "%s-%s%s-%s", patterns[pattern].name, sizes[size].name,
		touched ? "" : "-untouched", umpa_teams[team]);
	return t;
}

/* Throughput with one number of threads by that with another. */
static double speed_up(const struct umpa_samples *s, const char *method, struct series_of many,
	struct series_of few)
{
	return umpa_samples_ratio(s, &(struct umpa_series){many.name, method, "blocks_per_s", 0},
		&(struct umpa_series){few.name, method, "blocks_per_s", 0});
}

static double median_ns(const struct umpa_samples *s, const char *method, struct series_of test)
{
	return 1e9 /
	       umpa_samples_median(s, &(struct umpa_series){test.name, method, "blocks_per_s", 0});
}

/* The same, of the time a block takes beside what it takes with nobody to serve it: where many
 * threads wait for each other by the block, that is most of it. */
static double net_speed_up(const struct umpa_samples *s, const char *method, struct series_of many,
	struct series_of few)
{
	return (median_ns(s, method, few) - median_ns(s, "bare", few)) /
	       (median_ns(s, method, many) - median_ns(s, "bare", many));
}

/* What the speed-up would be if each thread had a processor to itself all the time: of the
 * processor time that a block takes. Where a machine's processors are not its own, or two share a
 * core, the clock tells what the machine gave. */
static double cpu_speed_up(const struct umpa_samples *s, const char *method, struct series_of two,
	struct series_of one)
{
	return 2 * umpa_samples_ratio(s, &(struct umpa_series){one.name, method, "block_cpu_ns", 0},
			   &(struct umpa_series){two.name, method, "block_cpu_ns", 0});
}

typedef double speed_up_fn(const struct umpa_samples *s, const char *method, struct series_of many,
	struct series_of few);

static void row(const struct umpa_report *r, struct umpa_grid *t, size_t pattern, size_t size,
	int touched, size_t method)
{
	const char *name = umpa_methods[method].name;
	struct series_of test[NTEAMS];
	size_t i;

	umpa_grid_row(t);
	umpa_grid_text(t, "%s, %s", sizes[size].text, name);
	for (i = 0; i < NTEAMS; i++) {
		test[i] = test_of(pattern, size, touched, i);
		umpa_grid_number(
			t, umpa_table_median(r, test[i].name, method, "blocks_per_s", 0) / 1e3, "");
	}
	umpa_grid_number(t, speed_up(r->s, name, test[TWO], test[ONE]), "x");
	umpa_grid_number(t, speed_up(r->s, name, test[MOST], test[TWO]), "x");
	umpa_grid_number(
		t, umpa_table_median(r, test[TWO].name, method, "block_cpu_ns", 0) / 1e3, "");
	umpa_grid_number(t, umpa_table_median(r, test[TWO].name, method, "block_nfaults", 0), "");
	umpa_grid_number(t,
		umpa_table_median(r, test[TWO].name, method, "nsyscalls", 0) / TRACED_NBLOCKS, "");
	umpa_grid_count(
		t, umpa_table_median(r, test[TWO].name, method, "peak_nbytes", 0) / (1 << 20));
}

static int is_measured(
	const struct umpa_report *r, size_t pattern, size_t size, int touched, size_t method)
{
	size_t i;

	for (i = 0; i < NTEAMS; i++)
		if (umpa_table_has(
			    r, test_of(pattern, size, touched, i).name, method, "blocks_per_s"))
			return 1;
	return 0;
}

static void table(const struct umpa_report *r, size_t pattern, int touched)
{
	struct umpa_grid t;
	char text[160];
	size_t size, m;

	HEAD(&t, "blocks, from", "1", "2", "4", "8", "64", "2 / 1", "64 / 2", "CPU us", "faults",
		"system calls", "peak MiB");
	for (size = 0; size < array_len(sizes); size++)
		for (m = 0; m < NMETHODS; m++)
			if (is_measured(r, pattern, size, touched, m))
				row(r, &t, pattern, size, touched, m);
	if (t.nrows == 1)
		return;
	snprintf(text, sizeof(text),
		"Threads, %s, %s: thousand blocks a second, by threads; a block with 2 threads",
		patterns[pattern].text, touched ? "every page touched" : "untouched");
	umpa_table_title(r, text);
	umpa_grid_print(&t, r->out, r->markdown);
}

void umpa_tables_threads(const struct umpa_report *r)
{
	size_t pattern;

	for (pattern = 0; pattern < array_len(patterns); pattern++) {
		table(r, pattern, 0);
		table(r, pattern, 1);
	}
}

/* The worst of the sizes, and of the first npatterns. */
static struct umpa_target target(const struct umpa_samples *s, const char *text, double limit,
	speed_up_fn *of, const char *method, size_t npatterns, size_t many, size_t few)
{
	struct umpa_target t = {
		.text = text, .limit = limit, .at_least = 1, .unit = "x", .figure = NAN};
	size_t p, size;

	for (p = 0; p < npatterns; p++)
		for (size = 0; size < array_len(sizes); size++) {
			double x =
				of(s, method, test_of(p, size, 0, many), test_of(p, size, 0, few));

			if (isnan(x) || x >= t.figure)
				continue;
			t.figure = x;
			snprintf(t.where, sizeof(t.where), "%s, %s", patterns[p].name,
				sizes[size].text);
		}
	return t;
}

size_t umpa_targets_threads(const struct umpa_samples *s, struct umpa_target *t)
{
	t[0] = target(s, "2 threads / 1, own, untouched, umpa", 1.9, speed_up, "umpa", 1, TWO, ONE);
	t[1] = target(s, "2 threads / 1, own, untouched, umpa-preload", 1.9, speed_up,
		"umpa-preload", 1, TWO, ONE);
	t[2] = target(s, "2 threads / 1, own, untouched, umpa, processor time", 1.9, cpu_speed_up,
		"umpa", 1, TWO, ONE);
	t[3] = target(s, "2 threads / 1, own, untouched, umpa-preload, processor time", 1.9,
		cpu_speed_up, "umpa-preload", 1, TWO, ONE);
	t[4] = target(s, "64 threads / 2, untouched, umpa", 0.8, speed_up, "umpa",
		array_len(patterns), MOST, TWO);
	t[5] = target(s, "64 threads / 2, untouched, umpa-preload", 0.8, speed_up, "umpa-preload",
		array_len(patterns), MOST, TWO);
	t[6] = target(s, "64 threads / 2, untouched, umpa, less bare", 0.8, net_speed_up, "umpa",
		array_len(patterns), MOST, TWO);
	return 7;
}
