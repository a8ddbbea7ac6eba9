/* The counters, gathered and printed. */
#ifndef UMPA_CORE_STATS_H
#define UMPA_CORE_STATS_H

#include <umpa/stats.h>

/* 1 if umpa has handed out anything or was asked to, so that there is something to tell of. */
int umpa_stats_started(void);

/* As umpa_get_stats() and umpa_mover_in_use(), but where umpa has not started that does not start
 * it: blocks outside the window are all there are, and "undecided". */
void umpa_stats_so_far(struct umpa_stats *out);
const char *umpa_mover_so_far(void);

/* Writes every counter, a line each, to a descriptor. Allocates nothing, uses no stdio. */
void umpa_stats_print(int fd);

#endif
