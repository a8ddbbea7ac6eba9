/*
 * Blocks outside the window: what the window has no room for, the kernel serves, each with a
 * mapping of its own, and a table sorted by address remembers them. Its lock guards the table and
 * is held across no system call but the table's own growth.
 */
#ifndef UMPA_CORE_OUTSIDE_H
#define UMPA_CORE_OUTSIDE_H

#include <stddef.h>

#include "base/compiler.h"

/* Entries of the table, changed under its lock. Atomic. */
extern __attribute__((visibility("hidden"))) size_t umpa_outside_nblocks;

/* 1 if there may be such blocks. Relaxed: who holds one got it after it was entered. */
static inline int umpa_outside_any(void)
{
	return __atomic_load_n(&umpa_outside_nblocks, __ATOMIC_RELAXED) != 0;
}

/* A block of npages zero pages at a multiple of align bytes (a power of two, a page or more). NULL:
 * no memory. */
void *umpa_outside_alloc(size_t npages, size_t align);

/* Pages of the block that begins at ptr; 0 if there is none. Costs one load while there are no such
 * blocks. */
size_t umpa_outside_npages(const void *ptr);

/* Pages of the block that ptr lies in, and where it begins; 0 if none. */
size_t umpa_outside_find(const void *ptr, void **block);

/* Takes the block that begins at ptr back. 1, or 0 if there is none. */
int umpa_outside_free(void *ptr);

/* Changes the size of the block at ptr, which there is, in place. 1; 0: there is no room. Where the
 * system refuses to take pages it keeps them. */
int umpa_outside_resize(void *ptr, size_t npages);

/* Blocks and pages in use, and how many were ever handed out. */
struct umpa_outside_stats {
	size_t nblocks, npages, nallocs;
};
void umpa_outside_stats(struct umpa_outside_stats *s);

/* The table's lock, for a fork. */
void umpa_outside_lock(void);
void umpa_outside_unlock(void);

/* Gives the table back; there are no blocks. For tests. */
void umpa_outside_stop(void);

#endif
