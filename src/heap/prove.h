/*
 * Large blocks on probation: the first ones a program asks for are the kernel's, outside the
 * window, in base pages, as they are without umpa; once such were seen to be filled
 * (core/evidence.h), blocks come from the window. So a program that writes to few places of large
 * tables, or little of large buffers, has no superpages resident that it hardly uses.
 *
 * On probation are blocks of a superpage and more: of any size if they are to be zero, as whoever
 * fills all of a block seldom asks for that, and below PROVE_NBYTES_MAX otherwise: of a larger one
 * that is written from its front on, the superpage it ends in is a small part.
 *
 * After that, *misfits* still are the kernel's while the process is small: blocks whose last
 * superpage would be left unused for more than a quarter of what they take. It may be shared with
 * others later, but a few of them at once would weigh in such a process. As each costs a fault a
 * page, no more than MISFITS_NPAGES_MAX are the kernel's in all.
 */
#ifndef UMPA_HEAP_PROVE_H
#define UMPA_HEAP_PROVE_H

#include <stddef.h>

#include "base/units.h"
#include "core/owns.h"

enum {
	MISFIT_SHARE = 4,          /* wasted is more than this share of the block */
	MISFITS_NSLOTS_MAX = 24,   /* a process with so many superpages isn't small */
	MISFITS_NPAGES_MAX = 1536, /* two or three of them */
};

/* Misfits that were the kernel's, on the whole. Atomic. Tests set it. */
extern size_t umpa_prove_misfit_npages;

#define PROVE_NBYTES_MIN SLOT_NBYTES
#define PROVE_NBYTES_MAX ((size_t)32 << 20)

/* A block of nbytes, PROVE_NBYTES_MIN or more, if it is to be on probation; NULL: it is to come
 * from the window, or the kernel refuses. */
void *umpa_prove_alloc(size_t nbytes, int zero);

void umpa_prove_end_outside(void *p);

/* The block at p is about to be freed, or to change its size. */
static inline void umpa_prove_end(void *p)
{
	if (unlikely(!umpa_in_window(p)))
		umpa_prove_end_outside(p);
}

#endif
