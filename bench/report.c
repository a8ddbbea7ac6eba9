#include "report.h"

#include <string.h>

#include "cli/cli.h"
#include "tables.h"

int umpa_report_check(int json, int markdown, int from_and_run)
{
	if (from_and_run)
		return umpa_refuse(
			-1, "bench: --from runs nothing: only --json or --markdown go with it");
	if (json && markdown)
		return umpa_refuse(-1, "bench: --json and --markdown both want standard output");
	return 0;
}

double umpa_table_median(const struct umpa_report *r, const char *test, size_t method,
	const char *metric, uint64_t bin)
{
	return umpa_samples_median(
		r->s, &(struct umpa_series){test, umpa_methods[method].name, metric, bin});
}

double umpa_table_ratio(const struct umpa_report *r, const char *test, size_t over, size_t under,
	const char *metric, uint64_t bin)
{
	return umpa_samples_ratio(r->s,
		&(struct umpa_series){test, umpa_methods[over].name, metric, bin},
		&(struct umpa_series){test, umpa_methods[under].name, metric, bin});
}

int umpa_table_has(const struct umpa_report *r, const char *test, size_t method, const char *metric)
{
	size_t i;

	for (i = 0; i < r->s->n; i++)
		if (!strcmp(r->s->v[i].test, test) && !strcmp(r->s->v[i].metric, metric) &&
			!strcmp(r->s->v[i].method, umpa_methods[method].name))
			return 1;
	return 0;
}

int umpa_table_has_test(const struct umpa_report *r, const char *test)
{
	size_t i;

	for (i = 0; i < r->s->n; i++)
		if (!strcmp(r->s->v[i].test, test))
			return 1;
	return 0;
}

void umpa_table_title(const struct umpa_report *r, const char *text)
{
	fprintf(r->out, r->markdown ? "\n### %s\n\n" : "\n%s\n", text);
}

void umpa_table_head(struct umpa_grid *t, const char *const names[], size_t n)
{
	size_t i;

	umpa_grid_init(t);
	umpa_grid_row(t);
	for (i = 0; i < n; i++)
		umpa_grid_text(t, "%s", names[i]);
}

double umpa_table_to_least(
	const struct umpa_report *r, const char *test, size_t method, const char *metric)
{
	return umpa_samples_ratio_to_least(r->s,
		&(struct umpa_series){test, umpa_methods[method].name, metric, 0},
		&(struct umpa_series){test, NULL, metric, 0}, umpa_peers, NPEERS);
}

void umpa_report_tables(
	enum umpa_bench_id bench, const struct umpa_samples *s, FILE *out, int markdown)
{
	static void (*const tables[NBENCHES])(const struct umpa_report *r) = {
		[BENCH_SCALING] = umpa_tables_scaling,
		[BENCH_DLMALLOC] = umpa_tables_dlmalloc,
		[BENCH_THREADS] = umpa_tables_threads,
		[BENCH_SMALL] = umpa_tables_small,
	};

	tables[bench](&(struct umpa_report){s, out, markdown});
	umpa_report_targets(bench, s, out, markdown);
}
