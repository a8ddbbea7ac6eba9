/* Huge pages of the kernel's pool (hugetlbfs), which only root may fill. */
#ifndef UMPA_TESTS_HUGE_PAGES_H
#define UMPA_TESTS_HUGE_PAGES_H

#include <stddef.h>

/* From now until the program ends, however it does, the pool has n pages of that size more than it
 * had. Called once: 1, or 0 where they can't be had. Other programs that call it wait. */
int huge_pages_need(size_t nbytes, unsigned n);

#endif
