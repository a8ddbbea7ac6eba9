/*
 * A young process: the first large blocks are the engine's too, `malloc_after` bytes of them in
 * all. Most processes ask for few, and end soon: a table and a buffer, 72 KiB that C++'s library
 * sets aside for exceptions. Starting umpa for those costs more than they gain.
 *
 * Those blocks stay the engine's, which frees them; one that grows later on comes to umpa
 * (resize.c).
 *
 * Lock-free; the numbers are relaxed atomics, as nothing else depends on them.
 */
#ifndef UMPA_HEAP_YOUNG_H
#define UMPA_HEAP_YOUNG_H

#include <stddef.h>

#include "base/compiler.h"
#include "heap/engine.h"

/* Bytes of large blocks that the engine is still to serve; 0: no longer young. And at first. */
extern within_library size_t umpa_young_left, umpa_young_max;

void umpa_young_begin(size_t nbytes);

int umpa_young_spend(size_t nbytes);

/* A large block of nbytes is asked for. 1: the engine is to serve it. The first one that goes
 * beyond what is left ends youth. */
static inline int umpa_young(size_t nbytes)
{
	return unlikely(__atomic_load_n(&umpa_young_left, __ATOMIC_RELAXED)) &&
	       umpa_young_spend(nbytes);
}

/* 1 if a block of nbytes may be the engine's for its owner's youth. */
static inline int umpa_young_may_own(size_t nbytes)
{
	return nbytes <= __atomic_load_n(&umpa_young_max, __ATOMIC_RELAXED);
}

#endif
