/*
 * The raw figures of a bench in DIR/NAME.csv, kept as they come: the file is whole at any time, so
 * a run that is ended in the middle loses nothing but what it was at. What was there of tests that
 * don't run now stays. DIR/NAME.txt says what the figures come from, a paragraph for each run that
 * has kept some (about.h); it is for people, and nobody here reads it.
 *
 * Owned by its caller, one thread. Invariant: the file holds `before` and the first `nkept` samples
 * of the run, but for what was forgotten since the last one was kept.
 */
#ifndef UMPA_BENCH_CSV_H
#define UMPA_BENCH_CSV_H

#include <limits.h>

#include "samples.h"

struct umpa_csv {
	char path[PATH_MAX];
	int fd;                     /* -1: could not be written; nothing more is kept */
	struct umpa_samples before; /* of earlier runs */
	size_t nkept;
	int stale;  /* the file has what was forgotten */
	int unsaid; /* what the figures come from could not be written */
};

/* Makes the folder if there is none. Result: 0, or -1 after a message: it can't be written, or
 * holds something else; nothing was changed then, and there is nothing to close. */
must_check int umpa_csv_open(struct umpa_csv *c, const char *dir, const char *name);

/* Adds what is kept in DIR/NAME.csv to the samples. Result: 0, or -1 after a message. */
must_check int umpa_csv_load(const char *dir, const char *name, struct umpa_samples *s);

/* What is there of the test goes when the next sample is kept. */
void umpa_csv_forget(struct umpa_csv *c, const char *test);

/* Adds to the file what came to the samples since; says so, once, if that fails. c may be NULL. */
void umpa_csv_keep(struct umpa_csv *c, const struct umpa_samples *s);

/* A file without samples is removed. Result: 0, or -1: not everything could be kept. */
must_check int umpa_csv_close(struct umpa_csv *c);

#endif
