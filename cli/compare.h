/* The figures of `umpa compare`: runs of two sides, and the table they make. */
#ifndef UMPA_CLI_COMPARE_H
#define UMPA_CLI_COMPARE_H

#include <stddef.h>

#include "measure.h"
#include "rows.h"

enum umpa_side {
	SIDE_WITHOUT,
	SIDE_WITH,
	NSIDES
};

struct umpa_comparison {
	char *const *argv;
	const char *baseline; /* the library preloaded on the side without umpa, NULL: none */
	size_t nruns;         /* measured runs of each side */
	struct umpa_usage *runs[NSIDES];
};

/* "without" and "with", or what stands in for "without". */
const char *umpa_side_name(enum umpa_side side);

/* One row a measure: medians, their ratio (with over without), smallest and largest. */
void umpa_comparison_rows(const struct umpa_comparison *c, struct umpa_rows *rows);
extern const struct umpa_column umpa_comparison_columns[];
extern const size_t umpa_comparison_ncolumns;

/* The same wait status in every run of both sides? */
int umpa_comparison_agrees(const struct umpa_comparison *c);

/*
 * How the runs of a side ended, malloc'ed: "exit status 0", or where they differ "exit status 0 in
 * 4 runs, killed by signal 11 (Segmentation fault) in 1 run"; the first few kinds.
 */
char *umpa_comparison_ends(const struct umpa_comparison *c, enum umpa_side side);

/* "exit status 3", "killed by signal 11 (Segmentation fault)" */
void umpa_status_text(int status, char *buf, size_t nbuf);

void umpa_comparison_json(const struct umpa_comparison *c, FILE *out);

/* One line a run, raw. Result: 0 or errno. */
must_check int umpa_comparison_csv(const struct umpa_comparison *c, const char *path);

#endif
