/*
 * An inbox: the blocks of a shard's shelf that other threads have freed and the shelf doesn't know
 * of yet. Who frees one leaves its address here with one compare-and-swap, and touches neither the
 * lock nor the shelf. Threads of the shard take them out, many at a time: when it is half full or
 * they have another reason to. So the cache lines of a shelf stay where they are used.
 *
 * Bounded, so that what is free and not known to be is, too. In any order; any thread may put,
 * without a lock; who takes holds the lock of the shard. A thread that is stopped in the middle of
 * putting one in, or not there after a fork, keeps nobody from anything.
 *
 * Invariant: no block is in it twice, but where two threads free one at the same time. Then the
 * second is found out when the two are taken, at once.
 */
#ifndef UMPA_FRAME_INBOX_H
#define UMPA_FRAME_INBOX_H

#include <stdint.h>

#include "base/compiler.h"

enum {
	INBOX_NBLOCKS = 15,
	INBOX_NHALF = 8
};

/* Two cache lines, and one that is written once for half of the blocks. */
struct umpa_inbox {
	void *block[INBOX_NBLOCKS];                       /* atomic; NULL: a free place */
	uintptr_t any;                                    /* atomic; 0: there is none, or not yet */
	uintptr_t half_full __attribute__((aligned(64))); /* atomic; or it was */
} __attribute__((aligned(64)));

/* 1 if it is time to take out what is in it. */
static inline int umpa_inbox_is_due(const struct umpa_inbox *in)
{
	return __atomic_load_n(&in->half_full, __ATOMIC_RELAXED) != 0;
}

/* 1 if nothing is in it that was put in before this call. */
static inline int umpa_inbox_is_empty(const struct umpa_inbox *in)
{
	return !__atomic_load_n(&in->any, __ATOMIC_RELAXED);
}

/* 1 if the block is in it. */
int umpa_inbox_has(const struct umpa_inbox *in, const void *block);

/* Puts a block in that is not in it: who puts has looked, and then whether it is a block. 0;
 * -ENOSPC: the inbox is full. */
must_check int umpa_inbox_put(struct umpa_inbox *in, void *block);

/* What is in it, by places; NULL where there is none. It stays there until umpa_inbox_clear(), so
 * that a block which is being given back is seen to be in it, or to be none any more. Who looks
 * clears all that it got, and holds the lock for so long. */
void umpa_inbox_look(struct umpa_inbox *in, void *block[INBOX_NBLOCKS]);
void umpa_inbox_clear(struct umpa_inbox *in, unsigned place);

#endif
