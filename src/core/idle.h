/*
 * Idle pages of the nursery: free, and with frames. Blocks that grow by copying leave them behind,
 * and larger ones don't fit into them.
 *
 * Of the nursery's slots, in base pages, they go back to the kernel where a slot has too many of
 * them after a free, or where slots come from the kernel, so that the peak of a small process is
 * not both. What goes is a run meanwhile, so that nobody gets it and no lock is held.
 */
#ifndef UMPA_CORE_IDLE_H
#define UMPA_CORE_IDLE_H

#include "core/core.h"
#include "core/pool.h"
#include "core/space.h"

int umpa_idle_is_above_max(const struct umpa_shard *s, struct slot slot);

/* 1 if a slot of the shard's shelf has too many; under its lock. */
static inline int umpa_idle_is_much(const struct umpa_shard *s, struct slot slot)
{
	return slot_in_nursery(slot) && umpa_pool_may_shed() && umpa_idle_is_above_max(s, slot);
}

/* Gives a slot's idle pages, as far as many lie in a row, to the kernel. Without the lock. */
void umpa_idle_give(struct umpa_shard *s, struct slot slot);

/* Where slots were handed out that the kernel has to fill, and umpa_pool_sheds: gives it idle
 * pages of the nursery for them. */
cold_path void umpa_idle_give_for_slots(void);

static inline void umpa_idle_give_for_growth(void)
{
	if (unlikely(__atomic_load_n(&umpa_core.space.grown, __ATOMIC_RELAXED)))
		umpa_idle_give_for_slots();
}

/* 1 if a run lies in what was given last; under the lock. And takes note of it, without. */
static inline int umpa_idle_was_given(const struct umpa_shard *s, const struct umpa_run *run)
{
	const struct umpa_run *given = &s->idle_given;

	return given->npages && slot_is(run->slot, given->slot) &&
	       run->page < given->page + given->npages && given->page < run->page + run->npages;
}
void umpa_idle_note_wanted(struct umpa_shard *s);

#endif
