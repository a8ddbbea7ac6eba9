/* The counters, gathered and printed. */
#ifndef UMPA_CORE_STATS_H
#define UMPA_CORE_STATS_H

#include <umpa/stats.h>

/* Writes every counter, a line each, to a descriptor. Allocates nothing, uses no stdio. */
void umpa_stats_print(int fd);

#endif
