#include "core/trial.h"

#include "core/options.h"
#include "core/space.h"

/* Guards umpa_core.mover while it is chosen. Held across the trial's system calls, once a process.
 */
static struct umpa_lock trial_lock = UMPA_LOCK_INITIALIZER(LOCK_INIT);

static enum umpa_extent_kind unback(struct slot slot)
{
	return umpa_os_unback(slot_address(slot), SLOT_NBYTES) ? EXTENT_RESIDENT : EXTENT_VOID;
}

/* Result: 1 if the superpage's frames are at dst now, 0 if at src. */
static int choose(struct slot dst, struct slot src)
{
	struct umpa_core *c = &umpa_core;
	struct umpa_mover_scratch scratch = {slot_address(dst), slot_address(src), NULL, NULL};
	struct slot front = {0};
	int at_dst;

	/* Some of them may be missing: the slot is only believed to be resident. If that is
	 * refused, so is the trial. */
	(void)!umpa_os_back(scratch.src, SLOT_NBYTES);
	if (c->space.nnursery) {
		scratch.page_src = page_address(front, 0);
		scratch.page_dst = page_address(front, 1);
		(void)!umpa_os_back(scratch.page_src, PAGE_NBYTES);
	}
	at_dst = umpa_mover_choose(&c->mover, (enum umpa_mover_kind)umpa_option(OPTION_mover),
		(void *)c->window.base, c->window.nbytes, &scratch, NULL);
	if (c->space.nnursery)
		(void)!umpa_os_unback(scratch.page_src, TRIAL_NPAGES * PAGE_NBYTES);
	return at_dst;
}

static int choose_on_free_slots(void)
{
	struct space_grant src, dst;
	struct slot full, bare;
	int at_dst;

	if (umpa_space_take(1, 1, PREFER_RESIDENT, &src))
		return 0;
	if (umpa_space_take(1, 1, PREFER_VOID, &dst)) {
		umpa_space_give(src.slot, 1, src.piece[0].kind);
		return 0;
	}
	if (dst.piece[0].kind == EXTENT_RESIDENT)
		unback(dst.slot);
	at_dst = choose(dst.slot, src.slot);
	full = at_dst ? dst.slot : src.slot;
	bare = at_dst ? src.slot : dst.slot;
	/* A mover that failed half-way may have left something where nothing should be. */
	umpa_space_give(bare, 1, unback(bare));
	/* Where the pool had nothing to try with, it has nothing afterwards. */
	umpa_space_give(full, 1, src.piece[0].kind == EXTENT_VOID ? unback(full) : EXTENT_RESIDENT);
	return 1;
}

struct umpa_mover *umpa_trial_mover(void)
{
	static struct umpa_mover refuses;
	struct umpa_core *c = &umpa_core;
	struct umpa_mover *m = &c->mover;

	/* Pairs with the release store below: who sees MOVER_CHOSEN sees the mover. */
	if (likely(__atomic_load_n(&c->mover_state, __ATOMIC_ACQUIRE) == MOVER_CHOSEN))
		return m;
	umpa_lock_take(&trial_lock);
	if (c->mover_state != MOVER_CHOSEN) {
		if (choose_on_free_slots()) {
			__atomic_store_n(&c->mover_state, MOVER_CHOSEN, __ATOMIC_RELEASE);
		} else {
			if (!refuses.move) /* else others may be asking it */
				umpa_mover_plain_init(&refuses, NULL, 0);
			m = &refuses;
		}
	}
	umpa_lock_give(&trial_lock);
	return m;
}

void umpa_trial_lock(void)
{
	umpa_lock_take(&trial_lock);
}

void umpa_trial_unlock(void)
{
	umpa_lock_give(&trial_lock);
}
