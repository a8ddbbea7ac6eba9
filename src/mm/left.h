/*
 * Mappings left void: whether a program touches what it maps. What the pool has for a mapping must
 * be cleared, 40 us a superpage; where nobody touches it that is all a pair of mmap and munmap
 * takes, and the kernel, which does nothing, is eighty times as fast (1 to 64 MiB). So now and then
 * one slot of a new mapping loses its frames to the pool, and tells at the mapping's end whether it
 * was touched (core/streak.h). While the streak is on mappings are void slots, and all that are
 * tell.
 *
 * Slots that turn out to be bare end as void ones. Those that were touched had their frames from
 * the kernel while the pool had others: as many of them go back to it, so that no more memory is
 * held for a guess that was wrong than while it was.
 *
 * Marks are kept in the slots' records, of mapped slots alone.
 */
#ifndef UMPA_MM_LEFT_H
#define UMPA_MM_LEFT_H

#include "mm/pages.h"

/* The mark of a slot; 0: it is not left. */
enum {
	LEFT_VOID = 1, /* it was void */
	LEFT_LOST,     /* its frames were taken away */
};

enum {
	/* One of so many slots that a process has may have lost its frames. */
	LEFT_NSLOTS_HELD_MIN = 32,
	/* One that has not ended while so many others were next is not waited for. */
	LEFT_PATIENCE = 64,
	/* The fault of a slot takes as long as clearing so many: fewer touched than one in so many
	 * and to leave them was right. */
	LEFT_TOUCHED_SHARE = 4,
	LEFT_NCLASSES = 10 /* the last: of 1 GiB and more */
};

/* All atomic. */
extern struct umpa_left {
	struct umpa_streak streak[LEFT_NCLASSES]; /* by size, each twice the one before */
	uint32_t nprobed;                         /* slots that lost their frames, on the whole */
	uint32_t nlost;                           /* and are waited for */
	uint32_t nwaited; /* that were next since, while enough were waited for */
	uint32_t nowed;   /* slots of the pool that are to go back to the kernel */
} umpa_left;

/* 1: a new mapping of npages that shall be zero had better be void slots. */
int umpa_left_all(size_t npages);

/* These slots of a new one are. */
void umpa_left_mark(struct slot slot, uint32_t nslots);

/* The frames of slots have gone to others, and what is known of them. */
void umpa_left_move(struct slot to, struct slot from, uint32_t nslots);

/* A new one, zero, is not: one of its whole slots may lose its frames. Without locks. */
void umpa_left_probe(const void *addr, size_t npages);

/* Ends what is mapped of an ordinary range by a shard's threads, with its lock. Then, and after
 * umpa_left_kind(): umpa_left_settle(). */
void umpa_left_end(const struct umpa_pages_shard *s, size_t first, size_t end);

/* A slot of a shard none of whose pages is mapped any more: what it is then, with its lock. */
enum umpa_extent_kind umpa_left_kind(struct slot slot);

/* Gives the kernel back what is owed to it, if anything. Without locks. */
void umpa_left_settle(void);

/* Knows nothing any more; for tests. */
void umpa_left_stop(void);

#endif
