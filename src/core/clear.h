/* Making pages zero in user space. */
#ifndef UMPA_CORE_CLEAR_H
#define UMPA_CORE_CLEAR_H

#include <stddef.h>

#include "base/bitmap.h"

enum {
	CLEAR_LONG_NPAGES = 256, /* for less it doesn't pay to ask */
	CLEAR_TRIED_NPAGES = 16
};

/*
 * Writes zeros over npages pages at addr. What lies in the caches through these, as who asks for
 * zeros is about to use them; what lies in memory past them, which takes a third of the time. Which
 * it is the clock tells: of what is long, a piece is cleared one way and a piece the other.
 *
 * (2 MiB cleared, then a byte a page written, or all, a word in each line, or read; from memory:
 * 37, 110, 105, 96 us, by memset 80, 145, 106, 110; where the caches have it 24, 94, 47, 43 and 24,
 * 92, 45, 43.)
 */
void umpa_clear(void *addr, size_t npages);

/* Clears CLEAR_TRIED_NPAGES at addr, half of them by memset and half past the caches, by stores of
 * width bytes. Result: width, if that was faster by half or more, as the pages were in none; else
 * 0. */
unsigned umpa_clear_try(void *addr, unsigned width);

/*
 * Makes npages pages at addr zero, without giving frames to pages that have none: where all have
 * one they are cleared, else the kernel takes back what is there, so that sparsely used memory
 * stays sparse. What is not a whole superpage is cleared whatever it has: asking about it costs
 * a call of the kernel, and taking it back costs its faults, again and again. What lies side by
 * side is cleared at once: a processor that sees 32 MiB of zeros come clears them in half the time.
 */
void umpa_clear_frames(void *addr, size_t npages);

/* Takes the frames of npages pages at addr away, which makes them zero; where the system refuses
 * they are cleared instead. */
void umpa_clear_by_unback(void *addr, size_t npages);

/* As umpa_clear_frames() for those of the pages [from, from + n) of the slot at base whose bit is
 * set. */
void umpa_clear_dirty(void *base, unsigned from, unsigned n, const struct bitmap *dirty);

#endif
