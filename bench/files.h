/* What belongs to the benches and is no C: scripts, installed or in the source tree. */
#ifndef UMPA_BENCH_FILES_H
#define UMPA_BENCH_FILES_H

#include <limits.h>

#include "base/compiler.h"

/* The path of a file of bench/: where it is installed, else where it was when this was built.
 * Result: 0 or -1. */
must_check int umpa_bench_file(const char *name, char path[PATH_MAX]);

/* A template for mkstemp() and mkdtemp(), in TMPDIR, else /tmp. */
void umpa_bench_temporary(const char *name, char path[PATH_MAX]);

/* Has gnuplot run a script of bench/ in the directory. Result: 0, or -1 after a message. */
must_check int umpa_draw(const char *dir, const char *script);

#endif
