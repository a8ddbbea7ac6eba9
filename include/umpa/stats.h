/* What umpa holds and did, as counters. */
#ifndef UMPA_STATS_H
#define UMPA_STATS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Fields are only ever added at the end. umpa/stats.def says what each counts. */
struct umpa_stats {
#define UMPA_STAT(name, help) uint64_t name;
#include <umpa/stats.def>
#undef UMPA_STAT
};

/*
 * Fills the first nbytes of *out (sizeof(struct umpa_stats) as the caller was compiled): fields
 * this library does not know are set to 0. The figures are each exact, those of blocks of one
 * moment, and all consistent with each other when no other thread allocates. Thread-safe; holds up
 * other threads for that moment.
 * Result: 0, or -1: EINVAL (out NULL, nbytes 0 or not a multiple of 8).
 */
int umpa_get_stats(struct umpa_stats *out, size_t nbytes);

/* The mover in use: "uffd", "mremap", "plain", or "undecided" while nothing had to move yet. The
 * string stays as long as the library does. Thread-safe. */
const char *umpa_mover_in_use(void);

#ifdef __cplusplus
}
#endif

#endif
