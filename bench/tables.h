/* What the tables of all benches are made with: figures by test and method, titles, heads. */
#ifndef UMPA_BENCH_TABLES_H
#define UMPA_BENCH_TABLES_H

#include "grid.h"
#include "plan.h"
#include "samples.h"

struct umpa_report {
	const struct umpa_samples *s;
	FILE *out;
	int markdown;
};

/* Every table of a bench for which there are samples; one function a bench, in tables_NAME.c. */
void umpa_tables_scaling(const struct umpa_report *r);
void umpa_tables_dlmalloc(const struct umpa_report *r);
void umpa_tables_threads(const struct umpa_report *r);
void umpa_tables_small(const struct umpa_report *r);

/* Median of a figure, NAN if there is none; bin 0: of the whole test. */
double umpa_table_median(const struct umpa_report *r, const char *test, size_t method,
	const char *metric, uint64_t bin);

/* Median over the repetitions of one method's figure by the other's. */
double umpa_table_ratio(const struct umpa_report *r, const char *test, size_t over, size_t under,
	const char *metric, uint64_t bin);

/* The same, by the least figure that any of the peers has. */
double umpa_table_to_least(
	const struct umpa_report *r, const char *test, size_t method, const char *metric);

/* Is there such a figure, or any of the test? */
int umpa_table_has(
	const struct umpa_report *r, const char *test, size_t method, const char *metric);
int umpa_table_has_test(const struct umpa_report *r, const char *test);

void umpa_table_title(const struct umpa_report *r, const char *text);

/* Empties the table and begins it with a head of n names. */
void umpa_table_head(struct umpa_grid *t, const char *const names[], size_t n);

#define HEAD(t, ...)                                                                               \
	do {                                                                                       \
		static const char *const names[] = {__VA_ARGS__};                                  \
		umpa_table_head(t, names, array_len(names));                                       \
	} while (0)

#endif
