/*
 * Spans freed lately. A span that is freed stays whole for a while, its address, its frames, its
 * head and its tail, in a list of the shard of the thread that freed it. Who wants one of that size
 * takes it from there: under the lock of a shard, which others hardly want, instead of the space's,
 * and nothing is searched, merged or moved.
 *
 * Runs that are freed are set aside likewise, in the bins of their shard (shard.h).
 *
 * What is in lists and bins is free, though the space does not see it. So all of it goes to the
 * space before anyone takes slots from there, or frames from the pool, or counts them:
 * umpa_recent_flush() at the beginning of those calls (space.c). A size that is wanted for the
 * first time finds everything as if there were none. The lists are bounded to a share of the slots
 * in use (RECENT_SHARE), so a process that frees its large blocks does not keep them from the pool,
 * nor what looks at the pool from them.
 *
 * Guarded by each shard's lock. A span in a list says SLOT_RECENT, so its pointer is nobody's.
 */
#ifndef UMPA_CORE_RECENT_H
#define UMPA_CORE_RECENT_H

#include "core/core.h"

enum {
	RECENT_SHARE = 8 /* of the slots in use, one in so many at most */
};

/* Takes the span that begins at a slot into this thread's list. 1; 0 if it is none to keep, or
 * there is no room. */
int umpa_recent_put(struct slot slot);

/* Takes out one that can be a block of npages, at a multiple of align pages: of this thread's list,
 * or of others'. NO_SLOT if there is none. */
struct slot umpa_recent_take(size_t npages, uint32_t align);

/* Gives all to the space, runs too. Called with no lock of a shard or above. */
void umpa_recent_flush(void);

/* How many slots the lists have handed out again, on the whole. */
uint64_t umpa_recent_nslots_taken(void);

/* In the child of a fork, with every lock held: another thread may have been about to flush. */
void umpa_recent_fork_child(void);

#endif
