/* The model of the mmap family's calls on a fresh fake OS, which must be in order at the end. */
#ifndef UMPA_TESTS_FAKE_MMAP_H
#define UMPA_TESTS_FAKE_MMAP_H

#include "numbers.h"

/* Begins anew: nothing mapped, no block, umpa not yet started. */
void fake_mmap_begin(void);

/* 1 if nothing is mapped and all books are in order. */
int fake_mmap_ends_well(void);

/* At most nsteps operations from the numbers, until they end, on a machine with that much memory;
 * refuse: calls of the system fail in between. Result: how many things were wrong, each told on
 * stdout. */
unsigned fake_mmap_run(struct numbers numbers, uint64_t nsteps, size_t memory_nbytes, int refuse);

#endif
