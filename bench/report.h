/* What is printed of the samples. All of it can be made again from the raw CSV. */
#ifndef UMPA_BENCH_REPORT_H
#define UMPA_BENCH_REPORT_H

#include <stdio.h>

#include "plan.h"
#include "samples.h"

/* What a command line can't have together: both forms, or --from with what is about a run. Result:
 * 0, or -1 after a message. */
must_check int umpa_report_check(int json, int markdown, int from_and_run);

/* Every table of the bench for which there are samples. markdown: as the docs hold them. */
void umpa_report_tables(
	enum umpa_bench_id bench, const struct umpa_samples *s, FILE *out, int markdown);

/* One object: the medians with their samples, and the targets. */
void umpa_report_json(enum umpa_bench_id bench, const struct umpa_samples *s, FILE *out);

/* One thing that must be reached. */
struct umpa_target {
	const char *text;
	double limit;
	int at_least; /* 1: the figure must be limit or more, 0: or less */
	const char *unit;
	double figure;  /* NAN: not measured */
	char where[64]; /* the worst bin or method, where there are several */
};

#define NTARGETS 18

/* One object of a bench's samples and targets. */
void umpa_samples_json(const struct umpa_samples *s, const char *bench,
	const struct umpa_target *targets, size_t n, FILE *out);

/* Fills t with the bench's targets and the measured figures. Result: how many, up to NTARGETS. */
size_t umpa_targets_fill(
	enum umpa_bench_id bench, const struct umpa_samples *s, struct umpa_target t[NTARGETS]);

/* Those of one bench, beside its tables. */
size_t umpa_targets_threads(const struct umpa_samples *s, struct umpa_target *t);
size_t umpa_targets_small(const struct umpa_samples *s, struct umpa_target *t);

int umpa_target_reached(const struct umpa_target *t);

void umpa_targets_print(const struct umpa_target *targets, size_t n, FILE *out, int markdown);
void umpa_report_targets(
	enum umpa_bench_id bench, const struct umpa_samples *s, FILE *out, int markdown);

/*
 * Writes DIR/scaling-page.dat and DIR/scaling-malloc.dat and has gnuplot draw DIR/scaling.svg and
 * DIR/scaling.png from them. Result: 1; 0: no sample has a place in the plot, and nothing was
 * written; or -1 after a message. Only scaling has a plot.
 */
must_check int umpa_report_plot(
	enum umpa_bench_id bench, const struct umpa_samples *s, const char *dir);

/* The page-level test that holds the i-th size bin, ascending, with its bin; NULL past the last. */
const char *umpa_page_test(const struct umpa_samples *s, size_t i, int touched, uint64_t *bin);

/* The published ratios of a bin, or NULL. */
const struct umpa_published *umpa_published_find(uint64_t bin);

#endif
