/*
 * `umpa bench programs`: real programs, with each engine alone and with umpa in front of it.
 *
 * A program is a script, bench/programs/NAME.sh, which makes its inputs, does its work and prints
 * what came of it. Who serves its memory is an *arm*. What a run cost is kept as samples
 * (samples.h): the test is the program, the method the arm; and so is whether it ended well and
 * printed what it does with the C library's malloc.
 */
#ifndef UMPA_BENCH_PROGRAMS_H
#define UMPA_BENCH_PROGRAMS_H

#include <stdio.h>

#include "cli/cli.h"
#include "csv.h"
#include "samples.h"

/* The metrics of a run; the last two are 1 or 0. */
#define WALL_S       "wall_s"
#define CPU_S        "cpu_s"
#define PEAK_NBYTES  "peak_nbytes"
#define MINOR_FAULTS "minor_faults"
#define ENDED_WELL   "ended_well"
#define SAME_OUTPUT  "same_output"

struct umpa_arm {
	const char *name;
	const char *engine;  /* one of cli/engine.h */
	const char *alone;   /* the arm with the same engine and no umpa; NULL: this is one */
	const char *options; /* UMPA_OPTIONS, or NULL: as they are */
};

/* The first is the C library's malloc alone, whose output is what the others' must be. */
#define NARMS 9
extern const struct umpa_arm umpa_arms[NARMS];

struct umpa_programs {
	unsigned nrepetitions;
	int brief;            /* small inputs, and no run that is not counted */
	const char *only;     /* names of programs to run, with commas between; NULL: all */
	const char *arms;     /* as only; the first arm runs in any case */
	struct umpa_csv *csv; /* where samples are kept as they come, or NULL */
};

/* Does each name of both lists stand for a program or arm? Result: 0, or -1 after a message with
 * those there are. */
must_check int umpa_programs_check(const struct umpa_programs *p);

/*
 * Result: how many runs failed or printed something else, each named on standard error with the
 * folder that holds its output; or -1 after a message. A program or an engine that is not installed
 * is named and left out. Ends early, cleaned up, if the program is to end (cli/interrupt.h).
 */
must_check int umpa_programs_run(const struct umpa_programs *p, struct umpa_samples *out);

/* Is there a sample of the arm? */
int umpa_programs_have(const struct umpa_samples *s, const struct umpa_arm *arm);

/* The programs there are samples of, by name, as far as there is room. Result: how many. */
#define MOST_PROGRAMS 48
size_t umpa_programs_names(const struct umpa_samples *s, const char *names[MOST_PROGRAMS]);

/* The tables: ratios by program and arm, means, losing cases, targets. */
void umpa_programs_tables(const struct umpa_samples *s, FILE *out, int markdown);
void umpa_programs_json(const struct umpa_samples *s, FILE *out);

/* Writes DIR/programs.dat and has gnuplot draw DIR/programs.svg and .png. Result: 0, or -1 after a
 * message. */
must_check int umpa_programs_plot(const struct umpa_samples *s, const char *dir);

/* The command `umpa bench programs`. */
extern const struct umpa_flag umpa_programs_flags[];
int umpa_programs_command(const struct umpa_command *c, int argc, char **argv);

#endif
