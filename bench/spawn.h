/*
 * Starts a worker process and collects what it prints, or counts the system calls of its measured
 * phase. Not thread-safe: forks.
 */
#ifndef UMPA_BENCH_SPAWN_H
#define UMPA_BENCH_SPAWN_H

#include <stddef.h>

#include "base/compiler.h"

/*
 * Runs this program as "umpa bench args..." with the environment envp; args[0] is the kind, the
 * list ends with NULL. What it prints to standard output goes to out, cut to fit, terminated.
 * Result: 0, or -1 after a message (it could not be run, failed, or took longer than it may), or
 * without one if the program is to end (cli/interrupt.h).
 */
must_check int umpa_spawn(char *const args[], char *const envp[], char *out, size_t nout);

/*
 * The same under ptrace; its threads and children are counted too. *ncalls: system calls between
 * the marks of worker.h. Result: 0; 1: tracing is not allowed here; -1 after a message.
 */
must_check int umpa_spawn_traced(char *const args[], char *const envp[], unsigned long *ncalls);

#endif
