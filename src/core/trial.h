/*
 * Choosing the mover: when the first move is needed, so that a process which never moves a frame
 * never pays for the choice. The scratch is a free slot of the pool and a void one, and two pages
 * that the nursery's first slot sets aside.
 */
#ifndef UMPA_CORE_TRIAL_H
#define UMPA_CORE_TRIAL_H

#include "core/core.h"

/* Pages at the front of the nursery that no run ever gets. */
enum {
	TRIAL_NPAGES = 2
};

/* The mover, chosen now if it was not yet. Without memory to try one with: one that refuses. */
struct umpa_mover *umpa_trial_mover(void);

/* Holds the choice up: while the process forks, or the window is narrowed. */
void umpa_trial_lock(void);
void umpa_trial_unlock(void);

#endif
