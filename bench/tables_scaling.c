/* The tables of the scaling test. */
#include <math.h>

#include "report.h"
#include "tables.h"

const struct umpa_published *umpa_published_find(uint64_t bin)
{
	size_t i;

	for (i = 0; i < NPUBLISHED; i++)
		if (umpa_published[i].bin == bin)
			return &umpa_published[i];
	return NULL;
}

const char *umpa_page_test(const struct umpa_samples *s, size_t i, int touched, uint64_t *bin)
{
	static const char *const names[2][3] = {
		{"page-bins-untouched", "page-large-untouched", "page-1g-untouched"},
		{"page-bins", "page-large", "page-1g"}};
	size_t t;

	for (t = 0; t < 3; t++) {
		const char *name = names[touched != 0][t];
		size_t n;

		for (n = 0; (*bin = umpa_samples_bin(s, name, "cost_ns", n)); n++)
			if (i-- == 0)
				return name;
	}
	return NULL;
}

/* --- page level ---------------------------------------------------------------------------------
 */

static void page_row(const struct umpa_report *r, struct umpa_grid *t, const char *test,
	uint64_t bin, int touched)
{
	static const size_t methods[] = {BY_KERNEL, BY_POPULATE, BY_HUGEPAGE, BY_UMPA, BY_TOUCH};
	/* What was published had every page touched. */
	const struct umpa_published *was = touched ? umpa_published_find(bin) : NULL;
	size_t i;

	umpa_grid_row(t);
	umpa_grid_nbytes(t, bin);
	for (i = 0; i < array_len(methods); i++)
		umpa_grid_number(
			t, umpa_table_median(r, test, methods[i], "cost_ns", bin) / 1e3, "");
	umpa_grid_number(t, umpa_table_ratio(r, test, BY_KERNEL, BY_UMPA, "cost_ns", bin), "x");
	umpa_grid_number(t, was ? was->page : NAN, "x");
	umpa_grid_number(t, umpa_table_ratio(r, test, BY_UMPA, BY_TOUCH, "cost_ns", bin), "x");
}

static void page_table(const struct umpa_report *r, int touched)
{
	struct umpa_grid t;
	const char *test;
	uint64_t bin;
	size_t i;

	if (!umpa_page_test(r->s, 0, touched, &bin))
		return;
	umpa_table_title(r,
		touched ? "Page level, steady state: us a block, handed out, every page touched, "
			  "freed"
			: "Page level, steady state, not touched: us a block, handed out and "
			  "freed");
	HEAD(&t, "from", "kernel", "populate", "hugepage", "umpa", "touch only", "kernel/umpa",
		"in 2011", "umpa/touch");
	for (i = 0; (test = umpa_page_test(r->s, i, touched, &bin)); i++)
		page_row(r, &t, test, bin, touched);
	umpa_grid_print(&t, r->out, r->markdown);
}

static void step_table(const struct umpa_report *r)
{
	static const char *const steps[] = {"alloc_ns", "touch_ns", "free_ns", "median_cost_ns"};
	struct umpa_grid t;
	const char *test;
	uint64_t bin;
	size_t i, k;

	if (!umpa_table_has(r, "page-bins", BY_UMPA, "alloc_ns"))
		return;
	umpa_table_title(r,
		"Page level, umpa step by step: us a block (mean; last column median of the "
		"batches)");
	HEAD(&t, "from", "alloc", "touch", "free", "median");
	for (i = 0; (test = umpa_page_test(r->s, i, 1, &bin)); i++) {
		umpa_grid_row(&t);
		umpa_grid_nbytes(&t, bin);
		for (k = 0; k < array_len(steps); k++)
			umpa_grid_number(
				&t, umpa_table_median(r, test, BY_UMPA, steps[k], bin) / 1e3, "");
	}
	umpa_grid_print(&t, r->out, r->markdown);
}

static void count_row(
	const struct umpa_report *r, struct umpa_grid *t, const char *test, size_t method)
{
	umpa_grid_count(t, umpa_table_median(r, test, method, "nfaults", 0));
	umpa_grid_count(t, umpa_table_median(r, test, method, "nsyscalls", 0));
	umpa_grid_count(t, umpa_table_median(r, test, method, "nmappings", 0));
	umpa_grid_count(t, umpa_table_median(r, test, method, "peak_nbytes", 0) / (1 << 20));
}

static void page_count_table(const struct umpa_report *r)
{
	static const char *const tests[] = {"page-bins", "page-large", "page-1g"};
	struct umpa_grid t;
	size_t i, m;

	if (!umpa_table_has_test(r, tests[0]))
		return;
	umpa_table_title(r,
		"Page level, while measured: page faults, system calls; mappings and peak at the "
		"end");
	HEAD(&t, "test, method", "faults", "system calls", "mappings", "peak MiB");
	for (i = 0; i < array_len(tests); i++)
		for (m = BY_KERNEL; m <= BY_TOUCH; m++) {
			if (!umpa_table_has(r, tests[i], m, "time_ns"))
				continue;
			umpa_grid_row(&t);
			umpa_grid_text(&t, "%s, %s", tests[i], umpa_methods[m].name);
			count_row(r, &t, tests[i], m);
		}
	umpa_grid_print(&t, r->out, r->markdown);
}

/* --- malloc level -------------------------------------------------------------------------------
 */

static const char *label(size_t method)
{
	return method == BY_TOUCH   ? "touch only"
	       : method == BY_FLOOR ? "touch, new from kernel"
				    : umpa_methods[method].name;
}

static void malloc_row(
	const struct umpa_report *r, struct umpa_grid *t, const char *test, size_t method)
{
	char untouched[64];

	snprintf(untouched, sizeof(untouched), "%s-untouched", test);
	umpa_grid_row(t);
	umpa_grid_text(t, "%s", label(method));
	umpa_grid_number(t, umpa_table_median(r, test, method, "time_ns", 0) / 1e6, "");
	umpa_grid_number(t, umpa_table_to_least(r, test, method, "time_ns"), "x");
	umpa_grid_number(t, umpa_table_median(r, test, method, "cpu_ns", 0) / 1e6, "");
	count_row(r, t, test, method);
	umpa_grid_number(t, umpa_table_median(r, untouched, method, "time_ns", 0) / 1e6, "");
	umpa_grid_number(t, umpa_table_to_least(r, untouched, method, "time_ns"), "x");
}

static void malloc_table(const struct umpa_report *r, const char *test, const char *text)
{
	static const size_t rows[] = {BY_GLIBC, BY_JEMALLOC, BY_TCMALLOC, BY_MIMALLOC,
		BY_UMPA_MALLOC, BY_TOUCH, BY_FLOOR};
	struct umpa_grid t;
	size_t i;

	if (!umpa_table_has_test(r, test))
		return;
	umpa_table_title(r, text);
	HEAD(&t, "allocator", "ms", "of fastest peer", "CPU ms", "faults", "system calls",
		"mappings", "peak MiB", "untouched ms", "of fastest peer");
	for (i = 0; i < array_len(rows); i++)
		if (umpa_table_has(r, test, rows[i], "time_ns"))
			malloc_row(r, &t, test, rows[i]);
	umpa_grid_print(&t, r->out, r->markdown);
}

static void malloc_bins_row(const struct umpa_report *r, struct umpa_grid *t, uint64_t bin)
{
	const struct umpa_published *was = umpa_published_find(bin);
	size_t m;

	umpa_grid_row(t);
	umpa_grid_nbytes(t, bin);
	for (m = BY_GLIBC; m <= BY_UMPA_MALLOC; m++)
		umpa_grid_number(
			t, umpa_table_median(r, "malloc-bins", m, "cost_ns", bin) / 1e3, "");
	umpa_grid_number(t,
		umpa_table_ratio(r, "malloc-bins", BY_GLIBC, BY_UMPA_MALLOC, "cost_ns", bin), "x");
	umpa_grid_number(t, was ? was->malloc : NAN, "x");
}

static void malloc_bins_table(const struct umpa_report *r)
{
	struct umpa_grid t;
	uint64_t bin;
	size_t i;

	if (!umpa_table_has_test(r, "malloc-bins"))
		return;
	umpa_table_title(
		r, "Malloc level, steady state: us a block, handed out, every page touched, freed");
	HEAD(&t, "from", "glibc", "jemalloc", "tcmalloc", "mimalloc", "umpa-preload", "glibc/umpa",
		"in 2011");
	for (i = 0; (bin = umpa_samples_bin(r->s, "malloc-bins", "cost_ns", i)); i++)
		malloc_bins_row(r, &t, bin);
	umpa_grid_print(&t, r->out, r->markdown);
}

/* --- single figures ------------------------------------------------------------------------------
 */

/* One row a method: up to four metrics of one test, divided to the unit of the column. */
struct figure {
	const char *metric;
	uint64_t bin;
	double unit;
};

static void figure_cell(const struct umpa_report *r, struct umpa_grid *t, const char *test,
	size_t method, const struct figure *f)
{
	double value = umpa_table_median(r, test, method, f->metric, f->bin);

	if (f->unit == 1)
		umpa_grid_count(t, value);
	else
		umpa_grid_number(t, value / f->unit, "");
}

static void figure_table(const struct umpa_report *r, const char *test, const struct figure *f,
	size_t n, struct umpa_grid *t)
{
	size_t m, i;

	for (m = 0; m < NMETHODS; m++) {
		if (!umpa_table_has(r, test, m, "time_ns"))
			continue;
		umpa_grid_row(t);
		umpa_grid_text(t, "%s", umpa_methods[m].name);
		for (i = 0; i < n; i++)
			figure_cell(r, t, test, m, &f[i]);
	}
	umpa_grid_print(t, r->out, r->markdown);
}

static void grow_table(const struct umpa_report *r, const char *test, const char *text)
{
	static const struct figure f[] = {{"first_ns", 0, 1e6}, {"first_resize_ns", 0, 1e6},
		{"again_ns", 0, 1e6}, {"again_resize_ns", 0, 1e6}, {"nfaults", 0, 1},
		{"nsyscalls", 0, 1}, {"peak_nbytes", 0, 1 << 20}};
	struct umpa_grid t;

	if (!umpa_table_has_test(r, test))
		return;
	umpa_table_title(r, text);
	HEAD(&t, "allocator", "first ms", "realloc alone", "again ms", "realloc alone", "faults",
		"system calls", "peak MiB");
	figure_table(r, test, f, array_len(f), &t);
}

static void resize_table(const struct umpa_report *r, const char *test, const char *text)
{
	static const struct figure f[] = {
		{"resize_ns", 0, 1e3}, {"cost_ns", 0, 1e3}, {"nfaults", 0, 1}, {"nsyscalls", 0, 1}};
	struct umpa_grid t;

	if (!umpa_table_has_test(r, test))
		return;
	umpa_table_title(r, text);
	HEAD(&t, "method", "realloc us", "whole life us", "faults", "system calls");
	figure_table(r, test, f, array_len(f), &t);
}

static void reuse_table(const struct umpa_report *r, const char *test, const char *text)
{
	static const struct figure f[] = {{"cost_ns", 64 << 10, 1}, {"cost_ns", 1 << 30, 1},
		{"nfaults", 0, 1}, {"nsyscalls", 0, 1}};
	struct umpa_grid t;

	if (!umpa_table_has_test(r, test))
		return;
	umpa_table_title(r, text);
	HEAD(&t, "method", "64 KiB ns", "1 GiB ns", "faults", "system calls");
	figure_table(r, test, f, array_len(f), &t);
}

static void moved_table(const struct umpa_report *r)
{
	static const struct figure f[] = {{"nslots_moved", 0, 1}, {"alloc_ns", 0, 1e3},
		{"slot_ns", 0, 1e3}, {"touch_ns", 0, 1e3}, {"nfaults", 0, 1}, {"nsyscalls", 0, 1}};
	struct umpa_grid t;

	if (!umpa_table_has_test(r, "page-moved"))
		return;
	umpa_table_title(r, "A 512 MiB span where 256 superpages lie scattered in the pool");
	HEAD(&t, "method", "superpages moved", "alloc us", "us a superpage", "touch us", "faults",
		"system calls");
	figure_table(r, "page-moved", f, array_len(f), &t);
}

static void mmap_table(const struct umpa_report *r)
{
	static const size_t methods[] = {BY_KERNEL, BY_HUGEPAGE, BY_UMPA_MMAP};
	struct umpa_grid t;
	uint64_t bin;
	size_t i, m;

	if (!umpa_table_has_test(r, "page-mmap"))
		return;
	umpa_table_title(
		r, "mmap, every page touched, munmap: us a mapping, peak MiB of the whole");
	HEAD(&t, "from", "kernel", "hugepage", "umpa-mmap", "kernel/umpa-mmap");
	for (i = 0; (bin = umpa_samples_bin(r->s, "page-mmap", "cost_ns", i)); i++) {
		umpa_grid_row(&t);
		umpa_grid_nbytes(&t, bin);
		for (m = 0; m < array_len(methods); m++)
			umpa_grid_number(&t,
				umpa_table_median(r, "page-mmap", methods[m], "cost_ns", bin) / 1e3,
				"");
		umpa_grid_number(&t,
			umpa_table_ratio(r, "page-mmap", BY_KERNEL, BY_UMPA_MMAP, "cost_ns", bin),
			"x");
	}
	umpa_grid_row(&t);
	umpa_grid_text(&t, "peak");
	for (m = 0; m < array_len(methods); m++)
		umpa_grid_count(
			&t, umpa_table_median(r, "page-mmap", methods[m], "peak_nbytes", 0) /
				    (1 << 20));
	umpa_grid_number(&t,
		umpa_table_ratio(r, "page-mmap", BY_KERNEL, BY_UMPA_MMAP, "peak_nbytes", 0), "x");
	umpa_grid_print(&t, r->out, r->markdown);
}

static void sparse_table(const struct umpa_report *r)
{
	static const struct figure f[] = {{"resident_nbytes", 0, 1 << 20}, {"time_ns", 0, 1e6},
		{"nfaults", 0, 1}, {"nsyscalls", 0, 1}};
	struct umpa_grid t;

	if (!umpa_table_has_test(r, "malloc-sparse"))
		return;
	umpa_table_title(r, "Sparse use: a 1 GiB block, one page touched in every 2 MiB");
	HEAD(&t, "allocator", "resident MiB", "ms", "faults", "system calls");
	figure_table(r, "malloc-sparse", f, array_len(f), &t);
}

static void over_row(const struct umpa_report *r, struct umpa_grid *t, const char *test,
	const char *blocks, size_t method)
{
	umpa_grid_row(t);
	umpa_grid_text(t, "%s", blocks);
	umpa_grid_text(t, "%s", umpa_methods[method].name);
	umpa_grid_number(t, umpa_table_median(r, test, method, "peak_nbytes", 0) / (1 << 20), "");
	umpa_grid_number(t, umpa_table_to_least(r, test, method, "peak_nbytes"), "x");
	umpa_grid_number(t, umpa_table_median(r, test, method, "end_nbytes", 0) / (1 << 20), "");
	umpa_grid_number(t, umpa_table_median(r, test, method, "time_ns", 0) / 1e6, "");
	umpa_grid_count(t, umpa_table_median(r, test, method, "nfaults", 0));
	umpa_grid_count(t, umpa_table_median(r, test, method, "nsyscalls", 0));
}

static void over_table(const struct umpa_report *r)
{
	static const struct {
		const char *test, *blocks;
	} rows[] = {{"malloc-over-2M", "2 MiB and 1 B"}, {"malloc-over-3M", "3 MiB and 1 B"},
		{"malloc-over-4M", "4 MiB and 1 B"}, {"malloc-over-8M", "8 MiB and 1 B"}};
	struct umpa_grid t;
	size_t i, m;

	HEAD(&t, "blocks of", "allocator", "peak MiB", "of leanest peer", "resident MiB", "ms",
		"faults", "system calls");
	for (i = 0; i < array_len(rows); i++)
		for (m = BY_GLIBC; m <= BY_UMPA_MALLOC; m++)
			if (umpa_table_has(r, rows[i].test, m, "time_ns"))
				over_row(r, &t, rows[i].test, rows[i].blocks, m);
	if (t.nrows == 1)
		return;
	umpa_table_title(
		r, "Malloc level: 400 MiB in blocks a little over whole superpages, all written");
	umpa_grid_print(&t, r->out, r->markdown);
}

static void calloc_row(
	const struct umpa_report *r, struct umpa_grid *t, size_t method, uint64_t bin)
{
	static const char *const metrics[] = {
		"page_ns", "page_nfaults", "whole_ns", "whole_nfaults"};
	size_t i;

	umpa_grid_row(t);
	umpa_grid_nbytes(t, bin);
	umpa_grid_text(t, "%s", umpa_methods[method].name);
	for (i = 0; i < array_len(metrics); i++)
		umpa_grid_number(
			t, umpa_table_median(r, "malloc-calloc", method, metrics[i], bin), "");
}

static void calloc_table(const struct umpa_report *r)
{
	struct umpa_grid t;
	uint64_t bin;
	size_t i, m;

	if (!umpa_table_has_test(r, "malloc-calloc"))
		return;
	umpa_table_title(r,
		"Malloc level: calloc and free, steady state; ns and page faults a block, one page "
		"touched, then all");
	HEAD(&t, "block", "allocator", "one page: ns", "faults", "all pages: ns", "faults");
	for (i = 0; (bin = umpa_samples_bin(r->s, "malloc-calloc", "page_ns", i)); i++)
		for (m = BY_GLIBC; m <= BY_UMPA_MALLOC; m++)
			if (umpa_table_has(r, "malloc-calloc", m, "page_ns"))
				calloc_row(r, &t, m, bin);
	umpa_grid_print(&t, r->out, r->markdown);
}

static void startup_table(const struct umpa_report *r)
{
	static const size_t methods[] = {BY_GLIBC, BY_UMPA_MALLOC};
	struct umpa_grid t;
	size_t i;

	if (!umpa_table_has_test(r, "startup"))
		return;
	umpa_table_title(
		r, "Start-up: /bin/true from fork to its end; resident memory of an idle process");
	HEAD(&t, "allocator", "ms", "idle MiB", "with one 64 KiB block MiB", "mappings");
	for (i = 0; i < array_len(methods); i++) {
		umpa_grid_row(&t);
		umpa_grid_text(&t, "%s", umpa_methods[methods[i]].name);
		umpa_grid_number(
			&t, umpa_table_median(r, "startup", methods[i], "wall_ns", 0) / 1e6, "");
		umpa_grid_number(&t,
			umpa_table_median(r, "idle", methods[i], "peak_nbytes", 0) / (1 << 20), "");
		umpa_grid_number(&t,
			umpa_table_median(r, "idle-64k", methods[i], "peak_nbytes", 0) / (1 << 20),
			"");
		umpa_grid_count(&t, umpa_table_median(r, "idle", methods[i], "nmappings", 0));
	}
	umpa_grid_print(&t, r->out, r->markdown);
}

void umpa_tables_scaling(const struct umpa_report *r)
{
	page_table(r, 1);
	page_table(r, 0);
	step_table(r);
	page_count_table(r);
	reuse_table(
		r, "page-reuse", "Page level: a size used before, handed out and freed, untouched");
	moved_table(r);
	mmap_table(r);
	resize_table(r, "page-resize", "Page level: 128 to 256 KiB, 64 live");
	malloc_bins_table(r);
	malloc_table(r, "malloc-A", "Malloc level, A: steady state, 4 KiB to 8 MiB, 512 live");
	malloc_table(r, "malloc-B", "Malloc level, B: steady state, 64 KiB to 64 MiB, 64 live");
	malloc_table(
		r, "malloc-A-settled", "Malloc level, A settled: after a warm-up of 20 000 blocks");
	malloc_table(
		r, "malloc-B-settled", "Malloc level, B settled: after a warm-up of 2560 blocks");
	malloc_table(r, "malloc-C", "Malloc level, C: cold start, 4 KiB to 8 MiB, 512 live");
	grow_table(r, "malloc-grow2", "Malloc level: realloc from 1 MiB to 1 GiB, doubling");
	grow_table(r, "malloc-grow1.5", "Malloc level: realloc from 1 MiB to 1 GiB, by 1.5");
	resize_table(r, "malloc-resize", "Malloc level: 128 to 256 KiB, 64 live");
	reuse_table(r, "malloc-reuse", "Malloc level: a size used before, untouched");
	calloc_table(r);
	over_table(r);
	sparse_table(r);
	startup_table(r);
}
