/* The tables of dlmalloc over the kernel and over umpa: the experiment of 2011. */
#include <math.h>

#include "report.h"
#include "tables.h"

/* An allocator over the kernel, and over umpa; published: it was measured so in 2011. */
struct pair {
	const char *test;
	size_t kernel, umpa;
	int published;
};

static void bin_row(
	const struct umpa_report *r, struct umpa_grid *t, const struct pair *p, uint64_t bin)
{
	const struct umpa_published *was = p->published ? umpa_published_find(bin) : NULL;

	umpa_grid_row(t);
	umpa_grid_nbytes(t, bin);
	umpa_grid_number(t, umpa_table_median(r, p->test, p->kernel, "cost_ns", bin) / 1e3, "");
	umpa_grid_number(t, umpa_table_median(r, p->test, p->umpa, "cost_ns", bin) / 1e3, "");
	umpa_grid_number(t, umpa_table_ratio(r, p->test, p->kernel, p->umpa, "cost_ns", bin), "x");
	if (p->published)
		umpa_grid_number(t, was ? was->dlmalloc : NAN, "x");
}

static void bins_table(const struct umpa_report *r, const struct pair *p, const char *text)
{
	struct umpa_grid t;
	uint64_t bin;
	size_t i;

	if (!umpa_table_has_test(r, p->test))
		return;
	umpa_table_title(r, text);
	if (p->published)
		HEAD(&t, "from", "over the kernel", "over umpa", "kernel/umpa", "in 2011");
	else
		HEAD(&t, "from", "over the kernel", "over umpa", "kernel/umpa");
	for (i = 0; (bin = umpa_samples_bin(r->s, p->test, "cost_ns", i)); i++)
		bin_row(r, &t, p, bin);
	umpa_grid_print(&t, r->out, r->markdown);
}

static void total_row(
	const struct umpa_report *r, struct umpa_grid *t, const struct pair *p, size_t method)
{
	if (!umpa_table_has(r, p->test, method, "time_ns"))
		return;
	umpa_grid_row(t);
	umpa_grid_text(t, "%s", umpa_methods[method].help);
	umpa_grid_number(t, umpa_table_median(r, p->test, method, "time_ns", 0) / 1e6, "");
	umpa_grid_count(t, umpa_table_median(r, p->test, method, "nfaults", 0));
	umpa_grid_count(t, umpa_table_median(r, p->test, method, "nsyscalls", 0));
	umpa_grid_count(t, umpa_table_median(r, p->test, method, "nmappings", 0));
	umpa_grid_count(t, umpa_table_median(r, p->test, method, "peak_nbytes", 0) / (1 << 20));
}

static void total_table(const struct umpa_report *r, const struct pair *pairs, size_t npairs)
{
	struct umpa_grid t;
	size_t i;

	HEAD(&t, "all sizes together", "ms", "faults", "system calls", "mappings", "peak MiB");
	for (i = 0; i < npairs; i++) {
		total_row(r, &t, &pairs[i], pairs[i].kernel);
		total_row(r, &t, &pairs[i], pairs[i].umpa);
	}
	if (t.nrows == 1)
		return;
	umpa_table_title(r, "While measured: time, page faults, system calls; mappings and peak");
	umpa_grid_print(&t, r->out, r->markdown);
}

void umpa_tables_dlmalloc(const struct umpa_report *r)
{
	static const struct pair pairs[] = {
		{"dlmalloc-bins", BY_DLMALLOC, BY_DLMALLOC_UMPA, 1},
		{"jemalloc-bins", BY_JEMALLOC, BY_JEMALLOC_UMPA, 0},
	};

	bins_table(r, &pairs[0],
		"dlmalloc, steady state: us a block, handed out, every page touched, freed");
	bins_table(r, &pairs[1], "jemalloc and its hooks: the same");
	total_table(r, pairs, array_len(pairs));
}
