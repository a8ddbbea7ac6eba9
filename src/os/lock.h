/*
 * Locks with ranks. A thread takes locks in rising rank only; debug builds check it. No lock of
 * umpa is held across a call of the mover or a system call but those docs/design/locking.md lists.
 *
 * A lock is one word: taken and given with one atomic operation each where nobody waits, which is
 * nearly always. Who has to wait looks some hundred times, since what umpa does under a lock takes
 * less than going to sleep, and then sleeps in the kernel. (libc's adaptive mutex does the same for
 * eight times the instructions, 130 of the 926 of a pair of umpa_alloc() and umpa_free().) Needs no
 * memory and no end; all zero is a lock of rank 0 that is free. Who holds one, or waits for it, is
 * in a critical section.
 */
#ifndef UMPA_OS_LOCK_H
#define UMPA_OS_LOCK_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/panic.h"
#include "os/critical.h"

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

enum umpa_lock_state {
	LOCK_FREE,
	LOCK_TAKEN,
	LOCK_AWAITED /* taken, and somebody may be asleep until it is given */
};

struct umpa_lock {
	uint32_t state; /* atomic, enum umpa_lock_state */
	enum umpa_lock_rank rank;
};

#define UMPA_LOCK_INITIALIZER(r)                                                                   \
	{                                                                                          \
		LOCK_FREE, (r)                                                                     \
	}

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

/* The rest of taking and giving, where another thread has the lock or waits for it. */
cold_path void umpa_lock_await(struct umpa_lock *l);
cold_path void umpa_lock_wake(struct umpa_lock *l);

/* Between two looks at what is no lock, the nth of them: waits a moment while *word is what was
 * seen there. After some that is asleep, as to yield the CPU lets no thread of a lower priority run
 * (SCHED_FIFO), which may be the one that is waited for. */
cold_path void umpa_lock_pause(const uint32_t *word, uint32_t seen, unsigned nth);

/* Acquire, which pairs with umpa_lock_give(). */
static inline int umpa_lock_grab(struct umpa_lock *l)
{
	uint32_t state = LOCK_FREE;

	return __atomic_compare_exchange_n(
		&l->state, &state, LOCK_TAKEN, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static inline void umpa_lock_take(struct umpa_lock *l)
{
	umpa_rank_enter(l->rank);
	umpa_critical_enter();
	if (unlikely(!umpa_lock_grab(l)))
		umpa_lock_await(l);
}

/* 1 if taken, 0 if another thread has it. */
static inline int umpa_lock_try(struct umpa_lock *l)
{
	umpa_critical_enter();
	if (unlikely(!umpa_lock_grab(l))) {
		umpa_critical_leave();
		return 0;
	}
	umpa_rank_enter(l->rank);
	return 1;
}

static inline void umpa_lock_give(struct umpa_lock *l)
{
	if (unlikely(__atomic_exchange_n(&l->state, LOCK_FREE, __ATOMIC_RELEASE) == LOCK_AWAITED))
		umpa_lock_wake(l);
	umpa_rank_leave(l->rank);
	umpa_critical_leave();
}

#endif
