/*
 * The window: the one big address range all blocks lie in, and the frontier up to which it is
 * opened.
 *
 * Reserved without access at an unpredictable, superpage-aligned place; slots are made writable
 * from the front as they are first needed, so that what counts as memory (strict overcommit,
 * RLIMIT_DATA, mlockall) stays close to what is used. The records about slots lie in tables apart,
 * opened along with the slots, so that no stray write into a block can reach them.
 *
 * Not locked: base never changes after umpa_window_init(), and nslots only in umpa_window_narrow();
 * the frontier is guarded by whoever calls one of these. Who reads nslots without that guard may
 * see more of it than there is, of which nothing is open.
 */
#ifndef UMPA_VA_WINDOW_H
#define UMPA_VA_WINDOW_H

#include "base/compiler.h"
#include "base/units.h"

enum {
	WINDOW_NTABLES_MAX = 136
};

struct umpa_window_table {
	char *base;
	size_t record_nbytes;
	size_t open_nbytes;
};

struct umpa_window {
	uintptr_t base;
	size_t nbytes; /* 0: there is no window */
	uint32_t nslots;
	uint32_t nslots_open; /* atomic: see umpa_window_nslots_open() */
	struct umpa_window_table table[WINDOW_NTABLES_MAX];
	unsigned ntables;
	void *table_memory;
	size_t table_nbytes;
};

/*
 * Reserves nbytes of window, or half of it, and again, down to min_nbytes, and a table for each of
 * the ntables record sizes. Result: 0, or -ENOMEM and w->nbytes 0.
 */
must_check int umpa_window_init(struct umpa_window *w, size_t nbytes, size_t min_nbytes,
	const size_t *record_nbytes, unsigned ntables);

void umpa_window_fini(struct umpa_window *w);

/* Opens the next nslots slots behind the frontier, and their records. 0 or -ENOMEM, nothing opened.
 */
must_check int umpa_window_open(struct umpa_window *w, uint32_t nslots);

/* What of the window lies behind its first nslots slots, of which the first nslots_open are open
 * then, is given back, with the tables' part. Nobody has anything there. */
void umpa_window_narrow(struct umpa_window *w, uint32_t nslots, uint32_t nslots_open);

static inline int umpa_window_has(const struct umpa_window *w, const void *ptr)
{
	return (uintptr_t)ptr - w->base < w->nbytes;
}

/* Slots opened so far. Relaxed: who holds a block has it from a call that opened its slots before.
 */
static inline uint32_t umpa_window_nslots_open(const struct umpa_window *w)
{
	return __atomic_load_n(&w->nslots_open, __ATOMIC_RELAXED);
}

static inline struct slot umpa_window_slot(const struct umpa_window *w, const void *ptr)
{
	return (struct slot){(uint32_t)(((uintptr_t)ptr - w->base) >> SLOT_SHIFT)};
}

static inline unsigned umpa_window_page_in_slot(const void *ptr)
{
	return (unsigned)((uintptr_t)ptr >> PAGE_SHIFT) & (SLOT_NPAGES - 1);
}

static inline void *umpa_window_at(const struct umpa_window *w, struct slot s, size_t npages)
{
	return (void *)(w->base + ((size_t)s.i << SLOT_SHIFT) + (npages << PAGE_SHIFT));
}

#endif
