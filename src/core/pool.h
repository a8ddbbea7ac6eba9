/*
 * The pool: how many resident free slots there are to be, and giving back the others. The slots
 * themselves are the space's (core/space.h), whose lock guards what is noted here.
 */
#ifndef UMPA_CORE_POOL_H
#define UMPA_CORE_POOL_H

#include "core/core.h"

/* Gives up to max_nslots resident free slots back to the kernel while the pool holds more than
 * keep_nslots. Result: how many. */
uint32_t umpa_pool_trim(uint32_t keep_nslots, uint32_t max_nslots);

/* Gives back what a call has made too much: above the option keep; without it, where
 * umpa_pool_sheds, what the program is not likely to want again soon (core/surplus.h). */
cold_path void umpa_pool_give_surplus(void);

static inline void umpa_pool_keep_limit(void)
{
	if (unlikely(__atomic_load_n(&umpa_core.space.over, __ATOMIC_RELAXED)))
		umpa_pool_give_surplus();
}

/* atomic. 0 at first: the pool of who calls umpa by name is his. The malloc family sets it. */
extern int umpa_pool_sheds;

/* 1: what is not wanted again soon goes back to the kernel. */
static inline int umpa_pool_may_shed(void)
{
	return umpa_core.keep_nslots == UINT32_MAX &&
	       __atomic_load_n(&umpa_pool_sheds, __ATOMIC_RELAXED);
}

/* Slots in the pool. */
uint32_t umpa_pool_nslots(void);

/* The same when some were last taken or given; a guess, without a lock. */
static inline uint32_t umpa_pool_nslots_about(void)
{
	return __atomic_load_n(&umpa_core.space.npool, __ATOMIC_RELAXED);
}

/* nslots were handed out that the kernel has to fill. */
void umpa_pool_asked(uint32_t nslots);

/* The pool has got more, under the space's lock, which is held: umpa_pool_keep_limit() will act if
 * that is too much. */
void umpa_pool_look(struct umpa_space *s);

#endif
