/* The tables and targets of `small`. */
#include <math.h>
#include <string.h>

#include "report.h"
#include "tables.h"

#define NENGINES 4

static const size_t alone[NENGINES] = {BY_GLIBC, BY_JEMALLOC, BY_TCMALLOC, BY_MIMALLOC};
static const size_t with_umpa[NENGINES] = {
	BY_UMPA_MALLOC, BY_UMPA_JEMALLOC, BY_UMPA_TCMALLOC, BY_UMPA_MIMALLOC};

/* Time a block by the engine and umpa, by that of the engine alone. */
static double ratio_of(const struct umpa_samples *s, const char *test, size_t engine,
	const char *metric, uint64_t bin)
{
	return umpa_samples_ratio(s,
		&(struct umpa_series){test, umpa_methods[with_umpa[engine]].name, metric, bin},
		&(struct umpa_series){test, umpa_methods[alone[engine]].name, metric, bin});
}

static void figures(const struct umpa_report *r, struct umpa_grid *t, const char *test,
	const char *metric, uint64_t bin)
{
	size_t e;

	for (e = 0; e < NENGINES; e++) {
		umpa_grid_number(t, umpa_table_median(r, test, alone[e], metric, bin), "");
		umpa_grid_number(t, ratio_of(r->s, test, e, metric, bin), "x");
	}
}

static int is_loop(const struct umpa_bench_test *t)
{
	return !strcmp(t->kind, "@loop");
}

void umpa_tables_small(const struct umpa_report *r)
{
	const struct umpa_bench *b = &umpa_benches[BENCH_SMALL];
	struct umpa_grid t;
	uint64_t bin;
	size_t i, n;

	HEAD(&t, "test", "glibc", "umpa", "jemalloc", "umpa", "tcmalloc", "umpa", "mimalloc",
		"umpa");
	for (i = 0; i < b->ntests; i++) {
		const char *name = b->tests[i].name;

		for (n = 0; (bin = umpa_samples_bin(r->s, name, "cost_ns", n)); n++) {
			umpa_grid_row(&t);
			umpa_grid_text(&t, "%s, %llu B", name, (unsigned long long)bin);
			figures(r, &t, name, "cost_ns", bin);
		}
		if (is_loop(&b->tests[i]) || !umpa_table_has_test(r, name))
			continue;
		umpa_grid_row(&t);
		umpa_grid_text(&t, "%s", name);
		figures(r, &t, name, "block_cpu_ns", 0);
	}
	if (t.nrows == 1)
		return;
	umpa_table_title(r, "Small blocks: CPU ns to hand one out and take it back, the engine "
			    "alone; with umpa, of that");
	umpa_grid_print(&t, r->out, r->markdown);
}

struct mean {
	double sum_log;
	unsigned n;
};

static void add(struct mean *m, double ratio)
{
	if (isnan(ratio))
		return;
	m->sum_log += log(ratio);
	m->n++;
}

/* Geometric mean over the tests that begin so, or over the sizes of the loop. */
static double mean_ratio(const struct umpa_samples *s, const char *group, size_t engine)
{
	const struct umpa_bench *b = &umpa_benches[BENCH_SMALL];
	struct mean m = {0};
	uint64_t bin;
	size_t i, n;

	for (i = 0; i < b->ntests; i++) {
		const char *name = b->tests[i].name;

		if (strncmp(name, group, strlen(group)))
			continue;
		for (n = 0; (bin = umpa_samples_bin(s, name, "cost_ns", n)); n++)
			add(&m, ratio_of(s, name, engine, "cost_ns", bin));
		if (!is_loop(&b->tests[i]))
			add(&m, ratio_of(s, name, engine, "block_cpu_ns", 0));
	}
	return m.n ? exp(m.sum_log / m.n) : NAN;
}

size_t umpa_targets_small(const struct umpa_samples *s, struct umpa_target *t)
{
	static const struct {
		const char *name, *text[NENGINES];
	} groups[] = {{"loop", {"loop, umpa over glibc / glibc", "loop, umpa over jemalloc",
				       "loop, umpa over tcmalloc", "loop, umpa over mimalloc"}},
		{"larson", {"larson, umpa over glibc / glibc", "larson, umpa over jemalloc",
				   "larson, umpa over tcmalloc", "larson, umpa over mimalloc"}},
		{"handed", {"handed, umpa over glibc / glibc", "handed, umpa over jemalloc",
				   "handed, umpa over tcmalloc", "handed, umpa over mimalloc"}},
		{"random", {"random, umpa over glibc / glibc", "random, umpa over jemalloc",
				   "random, umpa over tcmalloc", "random, umpa over mimalloc"}}};
	size_t g, e, n = 0;

	for (g = 0; g < array_len(groups); g++)
		for (e = 0; e < NENGINES; e++)
			t[n++] = (struct umpa_target){.text = groups[g].text[e],
				.limit = 1.03,
				.unit = "x",
				.figure = mean_ratio(s, groups[g].name, e)};
	return n;
}
