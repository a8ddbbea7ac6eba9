/*
 * fork(): the parent takes every lock of umpa in order of rank, waits until no slot is in transit,
 * forks, and gives the locks back on both sides, so that the child has a whole allocator that it
 * can use at once. Frames still shared with the other process refuse to move; that is the mover's
 * business and ordinary.
 */
#ifndef UMPA_CORE_FORK_H
#define UMPA_CORE_FORK_H

#include "base/compiler.h"

/* Hands the three phases to pthread_atfork(), which may allocate, once. Fork calls what was handed
 * over first last: who holds a lock of its own when it comes to umpa must hand over its phases
 * later. */
void umpa_fork_register(void);

/* The three phases. */
void umpa_fork_prepare(void);
void umpa_fork_parent(void);
void umpa_fork_child(void);

/*
 * For calls made with locks held that are not umpa's and that somebody's own handler of forks
 * takes, after umpa's: such a call must not wait for a lock of umpa that a fork holds. 1: it may
 * take them until umpa_fork_leave(), and a fork waits for that. 0: a fork is under way; do without.
 */
must_check int umpa_fork_enter(void);
void umpa_fork_leave(void);

/* A layer above the core. Set when the library is loaded. */
struct umpa_fork_above {
	/* A lock that ranks before all of the core's: taken first, given last. */
	void (*take)(void);
	void (*give)(void);
	/* In the child, when no lock is held any more, before it does anything else. */
	void (*in_child)(void);
};
extern struct umpa_fork_above umpa_fork_above;

/* The start-up's lock (init.c). */
void umpa_core_lock_start(void);
void umpa_core_unlock_start(void);

#endif
