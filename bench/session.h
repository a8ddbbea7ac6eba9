/* Runs the tests of one bench of plan.h and collects their samples. */
#ifndef UMPA_BENCH_SESSION_H
#define UMPA_BENCH_SESSION_H

#include "csv.h"
#include "plan.h"
#include "samples.h"

struct umpa_session {
	const struct umpa_bench *bench;
	unsigned nrepetitions;
	unsigned long seed;
	int brief;            /* the short form */
	int count_calls;      /* run each test once more to count system calls */
	const char *only;     /* names of tests to run, with commas between; NULL: all */
	struct umpa_csv *csv; /* where samples are kept as they come, or NULL */
};

/* Does each name of `only`, or beginning with '*', stand for a test of the bench? Result: 0, or -1
 * after a message with those there are. */
must_check int umpa_session_check(const struct umpa_session *s);

/*
 * Result: 0, or -1 after a message: umpa's library can't be found. A method that can't run here or
 * fails is named on standard error and left out. Ends early if the program is to end
 * (cli/interrupt.h).
 */
must_check int umpa_session_run(const struct umpa_session *s, struct umpa_samples *out);

#endif
