/*
 * Sparse blocks: whether a program touches what it allocates of blocks below a superpage.
 *
 * They are packed into slots, of which all is resident once a page is touched. rsync takes a pool
 * of 256 KiB for each folder and fills a few pages of it: 60 MiB where 8 would do. The nursery's
 * slots are in base pages, so when they are handed out they tell: if fewer than half of the pages
 * that blocks have there have frames, blocks are used sparsely, and the heap leaves them to the
 * engine as long as it is so. Seen once to be dense, it is for good. What was not touched at all
 * tells nothing: it takes no memory in slots either.
 *
 * Any thread; looked at by every 32nd call that may come of it, with a lock of a shard for a
 * moment.
 */
#ifndef UMPA_CORE_SPARSE_H
#define UMPA_CORE_SPARSE_H

#include "core/core.h"

extern int umpa_sparse_ruled_out; /* atomic */

cold_path int umpa_sparse_look(void);

/* 1 if a block below a superpage is better served where a page touched is a page. */
static inline int umpa_sparse_blocks(void)
{
	const struct umpa_space *s = &umpa_core.space;

	if (likely(__atomic_load_n(&umpa_sparse_ruled_out, __ATOMIC_RELAXED)) ||
		!umpa_core_is_started())
		return 0;
	return s->nnursery && __atomic_load_n(&s->nnursery_used, __ATOMIC_RELAXED) == s->nnursery &&
	       umpa_sparse_look();
}

/* For tests: nothing was seen yet. */
void umpa_sparse_forget(void);

#endif
