/*
 * Locks with ranks. A thread takes locks in rising rank only; debug builds check it. No lock of
 * umpa is held across a call of the mover or a system call but those docs/design/locking.md lists.
 *
 * The lock is libc's mutex, which neither allocates nor needs to be destroyed: sanitizers and
 * debuggers know it, and it sleeps in the kernel when it has to wait long. It looks some hundred
 * times before: what umpa does under a lock takes less than going to sleep.
 */
#ifndef UMPA_BASE_LOCK_H
#define UMPA_BASE_LOCK_H

#include <pthread.h>

#include "base/panic.h"

enum umpa_lock_rank {
	LOCK_MAPPING, /* mappings: the mmap family on blocks of the window */
	LOCK_INIT,    /* start-up, and choosing the mover */
	LOCK_SHELF,   /* runs of one shard */
	LOCK_TRANSIT, /* no lock: slots held in transit, which fork waits for with all above taken
		       */
	LOCK_SPACE,   /* the window's slots: extents, frontier, pool */
	LOCK_OUTSIDE, /* blocks the kernel serves outside the window */
	LOCK_NRANKS
};

struct umpa_lock {
	pthread_mutex_t mutex;
	enum umpa_lock_rank rank;
};

#define UMPA_LOCK_INITIALIZER(r)                                                                   \
	{                                                                                          \
		PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, (r)                                         \
	}

/* How many this thread holds or waits for. A signal handler that finds some must not take any. */
extern __thread unsigned umpa_nlocks;

#ifdef UMPA_DEBUG
extern __thread unsigned char umpa_locks_held[LOCK_NRANKS];

/* From here on this thread must not take what ranks lower. */
static inline void umpa_rank_enter(enum umpa_lock_rank rank)
{
	/* Equal ranks are allowed: fork takes every shelf, in order of address. */
	for (int r = (int)rank + 1; r < LOCK_NRANKS; r++)
		INVARIANT(!umpa_locks_held[r]);
	umpa_locks_held[rank]++;
}

static inline void umpa_rank_leave(enum umpa_lock_rank rank)
{
	INVARIANT(umpa_locks_held[rank] > 0);
	umpa_locks_held[rank]--;
}
#else
#define umpa_rank_enter(rank) ((void)0)
#define umpa_rank_leave(rank) ((void)0)
#endif

static inline void umpa_lock_init(struct umpa_lock *l, enum umpa_lock_rank rank)
{
	*l = (struct umpa_lock)UMPA_LOCK_INITIALIZER(rank);
}

static inline void umpa_lock_take(struct umpa_lock *l)
{
	umpa_rank_enter(l->rank);
	umpa_nlocks++;
	pthread_mutex_lock(&l->mutex);
}

static inline void umpa_lock_give(struct umpa_lock *l)
{
	pthread_mutex_unlock(&l->mutex);
	umpa_nlocks--;
	umpa_rank_leave(l->rank);
}

#endif
