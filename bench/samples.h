/*
 * All figures of a bench: one flat list, the same as the raw CSV. A sample is one figure of one
 *run:
 *
 *	test,method,repetition,bin,metric,value
 *
 * bin is a block size in bytes where the figure belongs to one, else 0. Ratios are formed between
 * figures of the same repetition, which ran next to each other, and the median is taken last.
 *
 * Owned by its caller, one thread. Grows with malloc; ends the program where there is no memory.
 */
#ifndef UMPA_BENCH_SAMPLES_H
#define UMPA_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

#define NAME_NBYTES 32

struct umpa_sample {
	char test[NAME_NBYTES];
	char method[NAME_NBYTES];
	char metric[NAME_NBYTES];
	unsigned repetition;
	uint64_t bin;
	double value;
};

struct umpa_samples {
	struct umpa_sample *v;
	size_t n, capacity;
};

/* Names one figure; all repetitions of it are one series. */
struct umpa_series {
	const char *test;
	const char *method;
	const char *metric;
	uint64_t bin;
};

void umpa_samples_add(struct umpa_samples *s, const struct umpa_series *series, unsigned repetition,
	double value);
void umpa_samples_fini(struct umpa_samples *s);

/* One line each of the samples from `from` on, below the head line if head is set. */
void umpa_samples_print(const struct umpa_samples *s, size_t from, int head, FILE *out);

/* Adds a file's samples to what is there. A last line that does not end is what somebody was
 * stopped at, and left out. Result: 0, or -errno; -EINVAL: a line that is no sample. */
must_check int umpa_samples_load(struct umpa_samples *s, const char *path);

/* Median over the repetitions; NAN if there are none. */
double umpa_samples_median(const struct umpa_samples *s, const struct umpa_series *series);

/* Median of the ratios within each repetition; NAN if there are none. */
double umpa_samples_ratio(const struct umpa_samples *s, const struct umpa_series *over,
	const struct umpa_series *under);

/* As the ratio, against the least figure that any of the n methods has in the same repetition;
 * below gives test, metric and bin. */
double umpa_samples_ratio_to_least(const struct umpa_samples *s, const struct umpa_series *over,
	const struct umpa_series *below, const char *const methods[], size_t n);

/* The i-th different bin of a test and metric, ascending; 0 past the last. */
uint64_t umpa_samples_bin(
	const struct umpa_samples *s, const char *test, const char *metric, size_t i);

#endif
