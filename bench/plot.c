#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "files.h"
#include "plan.h"
#include "report.h"

/* gnuplot takes "?" for a missing value. */
static void put(FILE *f, double value)
{
	if (isfinite(value))
		fprintf(f, " %.6g", value);
	else
		fputs(" ?", f);
}

static void put_methods(const struct umpa_samples *s, FILE *f, const char *test, uint64_t bin,
	size_t first, size_t last)
{
	size_t m;

	for (m = first; m <= last; m++)
		put(f, umpa_samples_median(s,
			       &(struct umpa_series){test, umpa_methods[m].name, "cost_ns", bin}) /
				1e3);
}

static void put_ratio(const struct umpa_samples *s, FILE *f, const char *test, uint64_t bin,
	size_t over, size_t under)
{
	put(f, umpa_samples_ratio(s,
		       &(struct umpa_series){test, umpa_methods[over].name, "cost_ns", bin},
		       &(struct umpa_series){test, umpa_methods[under].name, "cost_ns", bin}));
}

static void write_page(const struct umpa_samples *s, FILE *f)
{
	const char *test;
	uint64_t bin;
	size_t i;

	fputs("# bin_nbytes, us: kernel populate hugepage umpa touch, kernel/umpa, in 2011\n", f);
	for (i = 0; (test = umpa_page_test(s, i, 1, &bin)); i++) {
		const struct umpa_published *was = umpa_published_find(bin);

		fprintf(f, "%llu", (unsigned long long)bin);
		put_methods(s, f, test, bin, BY_KERNEL, BY_TOUCH);
		put_ratio(s, f, test, bin, BY_KERNEL, BY_UMPA);
		put(f, was ? was->page : NAN);
		fputs("\n", f);
	}
}

static void write_malloc(const struct umpa_samples *s, FILE *f)
{
	uint64_t bin;
	size_t i;

	fputs("# bin_nbytes, us: glibc jemalloc tcmalloc mimalloc umpa, glibc/umpa, in 2011\n", f);
	for (i = 0; (bin = umpa_samples_bin(s, "malloc-bins", "cost_ns", i)); i++) {
		const struct umpa_published *was = umpa_published_find(bin);

		fprintf(f, "%llu", (unsigned long long)bin);
		put_methods(s, f, "malloc-bins", bin, BY_GLIBC, BY_UMPA_MALLOC);
		put_ratio(s, f, "malloc-bins", bin, BY_GLIBC, BY_UMPA_MALLOC);
		put(f, was ? was->malloc : NAN);
		fputs("\n", f);
	}
}

static int write_file(const struct umpa_samples *s, const char *dir, const char *name,
	void (*write)(const struct umpa_samples *s, FILE *f))
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	if (!f)
		return umpa_refuse(-1, "bench: %s: %s", path, strerror(errno));
	write(s, f);
	return fclose(f) ? umpa_refuse(-1, "bench: can't write %s", path) : 0;
}

static int is_empty(const struct umpa_samples *s)
{
	uint64_t bin;

	return !umpa_page_test(s, 0, 1, &bin) && !umpa_samples_bin(s, "malloc-bins", "cost_ns", 0);
}

int umpa_report_plot(enum umpa_bench_id bench, const struct umpa_samples *s, const char *dir)
{
	if (bench != BENCH_SCALING || is_empty(s))
		return 0;
	if (write_file(s, dir, "scaling-page.dat", write_page) ||
		write_file(s, dir, "scaling-malloc.dat", write_malloc))
		return -1;
	return umpa_draw(dir, "plot/scaling.gp") ? -1 : 1;
}
