/*
 * What glibc's heap would have learnt from the large blocks that umpa serves in its place.
 *
 * glibc gives the free top of its heap back above a threshold, which begins at 128 KiB and rises
 * to twice the size of every larger block, up to 32 MiB, that it sees freed. Under umpa it never
 * sees one. Left alone it gives back and faults in the same pages again and again, and blocks of 4
 * to 64 KiB cost up to three times what they do without umpa. So it is told: the largest block is
 * noted, in sixteenths of a power of two, when it is handed out, and at the next free of a block
 * the threshold is set, a few times in a process's life.
 *
 * Told is only an engine whose mallopt is its own, and only as long as nobody has decided
 * otherwise: not if the environment tunes glibc's heap or the program calls mallopt for one of the
 * numbers that stop glibc's learning, and not if umpa leaves it blocks large enough to learn from.
 *
 * Lock-free; the two numbers are relaxed atomics, as nothing else depends on them.
 */
#ifndef UMPA_HEAP_LEARN_H
#define UMPA_HEAP_LEARN_H

#include <stddef.h>

#include "base/compiler.h"
#include "heap/engine.h"

/* Sizes glibc learns from: above the first, up to the second. */
#define LEARN_NBYTES_MIN ((size_t)128 << 10)
#define LEARN_NBYTES_MAX ((size_t)32 << 20)

extern within_library size_t umpa_learn_noted;  /* largest block so far, rounded up */
extern within_library size_t umpa_learn_taught; /* what the engine was told; SIZE_MAX: no more */

void umpa_learn_note(size_t nbytes);
void umpa_learn_teach(void);

/* A block of nbytes was handed out. */
static inline void umpa_learn_of_block(size_t nbytes)
{
	if (unlikely(nbytes > __atomic_load_n(&umpa_learn_noted, __ATOMIC_RELAXED)))
		umpa_learn_note(nbytes);
}

/* A block is taken back. Keeps errno. */
static inline void umpa_learn_of_free(void)
{
	if (unlikely(__atomic_load_n(&umpa_learn_noted, __ATOMIC_RELAXED) >
		     __atomic_load_n(&umpa_learn_taught, __ATOMIC_RELAXED)))
		umpa_learn_teach();
}

/* 1 if the engine may be told at all. */
int umpa_learn_may_teach(void);

/* How much the engine is to take of the kernel at a time, and so to keep (huge.h). */
void umpa_learn_pad(size_t nbytes);

/* The program's own mallopt: passed on to the next in the chain, 0 if there is none. */
int umpa_heap_mallopt(int param, int value);

#endif
