/* Runs the tests of plan.h and collects their samples. */
#ifndef UMPA_BENCH_SCALING_H
#define UMPA_BENCH_SCALING_H

#include "samples.h"

struct umpa_scaling {
	unsigned nrepetitions;
	unsigned long seed;
	int brief;        /* the short form */
	int count_calls;  /* run each test once more to count system calls */
	const char *only; /* names of tests to run, with commas between; NULL: all */
};

/* Does each name of the list, or beginning with '*', stand for a test? Result: 0, or -1 after a
 * message with those there are. */
must_check int umpa_scaling_check(const char *only);

/*
 * Result: 0, or -1 after a message: umpa's library can't be found. A method that can't run here or
 * fails is named on standard error and left out.
 */
must_check int umpa_scaling_run(const struct umpa_scaling *s, struct umpa_samples *out);

#endif
