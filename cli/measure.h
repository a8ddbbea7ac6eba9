/*
 * Runs a program and says what it cost, so that two ways of running it can be set side by side.
 *
 * What makes such figures honest on a virtual machine: memory nobody touched lately is not backed
 * by the host, and the first touch of such a superpage costs twenty times as much as of a backed
 * one. That favours whoever runs second. So call umpa_measure_warm() before every measured run,
 * alternate the sides, and compare medians.
 *
 * For the command line and the benchmarks only. Not thread-safe: it forks.
 */
#ifndef UMPA_CLI_MEASURE_H
#define UMPA_CLI_MEASURE_H

#include <stddef.h>

#include "base/compiler.h"

/* What one run cost: the program and all of its children it waited for. */
struct umpa_usage {
	double wall_s, user_s, sys_s;
	size_t peak_nbytes; /* peak resident memory of the largest single process */
	long minor_faults, major_faults;
	int status; /* as wait(2) gives it */
};

/*
 * Runs argv[0] (looked up in PATH) with the environment envp and waits for it. quiet: standard
 * output and error go to /dev/null. Standard input is the caller's if it is a file, each run
 * reading it from the same place, else /dev/null. Result: 0, whatever the program's status; or
 * -errno: the program could not be run (-ENOENT, -EACCES, -ENOEXEC, ...), *out is then untouched.
 */
must_check int umpa_measure_run(
	char *const argv[], char *const envp[], int quiet, struct umpa_usage *out);

/*
 * Makes the host back nbytes of memory, at most seven eighths of what this machine or control group
 * has left: a child touches that much as huge pages, on all processors, and ends. The effect lasts
 * some seconds. Failure is silent: it costs accuracy only.
 */
void umpa_measure_warm(size_t nbytes);

/* How much to warm for a program that was seen to take peak_nbytes: a bit more. */
size_t umpa_measure_warm_nbytes(size_t peak_nbytes);

/* Median of n values, n at least 1; the mean of the middle two if n is even. Sorts v. */
double umpa_median(double *v, size_t n);

#endif
