#include "core/runs.h"

#include <errno.h>

#include "core/clear.h"
#include "core/idle.h"
#include "core/pool.h"
#include "core/shard.h"
#include "core/space.h"

/* --- taking -------------------------------------------------------------------------------- */

/* Puts one more slot on the shard's shelf. */
static int restock(struct umpa_shard *s)
{
	enum umpa_extent_kind kind;
	unsigned nreserved;
	struct slot slot;
	int error = umpa_space_take_for_shelf(&slot, &kind, &nreserved);

	if (error)
		return error;
	umpa_lock_take(&s->lock);
	umpa_shard_add_slot(s, slot, nreserved, FIRST_TAIL, kind == EXTENT_RESIDENT);
	umpa_lock_give(&s->lock);
	return 0;
}

/* Ends the taking of a run, under the shard's lock, which is given. got: 0 if there is none. */
static int end_taking(struct umpa_shard *s, const struct umpa_run *run, int got)
{
	int was_given = 0;

	if (got) {
		s->nallocs++;
		s->block_npages += run->npages;
		was_given = umpa_idle_was_given(s, run);
	}
	umpa_lock_give(&s->lock);
	if (unlikely(was_given))
		umpa_idle_note_wanted(s);
	return got;
}

/* Takes a run, under the shard's lock, which is given. */
static int take(struct umpa_shard *s, unsigned npages, unsigned align, struct umpa_run *run,
	struct bitmap *dirty)
{
	return end_taking(s, run, umpa_shelf_take(&s->shelf, npages, align, run, dirty));
}

/* --- across two slots ---------------------------------------------------------------------- */

/* Takes the last npages of a slot as the beginning of a block, which counts as nblocks. */
static int take_back(struct slot slot, unsigned npages, unsigned nblocks, unsigned flags)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);
	struct bitmap dirty;
	int got;

	umpa_lock_take(&s->lock);
	got = slot_use(slot) == SLOT_SHELF &&
	      umpa_shelf_take_at(&s->shelf, slot, SLOT_NPAGES - npages, npages, &dirty);
	if (got) {
		s->nallocs += nblocks;
		s->block_npages += npages;
	}
	umpa_lock_give(&s->lock);
	if (got && flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(slot), SLOT_NPAGES - npages, npages, &dirty);
	return got;
}

/* A run that begins in the free back of a slot of the shelf, from `from` on, and ends in the free
 * front of the next. */
static void *alloc_across(struct umpa_shard *s, struct slot from, unsigned npages, unsigned flags)
{
	struct bitmap dirty[2];
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	if (!end_taking(s, &run, umpa_shelf_take_across(&s->shelf, from, npages, &run, dirty)))
		return NULL;
	if (flags & UMPA_ZERO) {
		unsigned nfirst = SLOT_NPAGES - run.page;

		umpa_clear_dirty(slot_address(run.slot), run.page, nfirst, &dirty[0]);
		umpa_clear_dirty(
			slot_address(slot_after(run.slot, 1)), 0, npages - nfirst, &dirty[1]);
	}
	return page_address(run.slot, run.page);
}

/* What a run that is to end in the next slot must have in the first at least. */
static unsigned nback_min(unsigned npages)
{
	return npages < SLOT_NPAGES + RUN_STRADDLE_NPAGES_MIN / 2 ? RUN_STRADDLE_NPAGES_MIN / 2
								  : npages - RUN_NPAGES_MAX;
}

/* A run that begins in the free back of a slot and ends in a fresh one. Of a slot of this shard: in
 * another's it would be freed across shards, and the two would meet there ever after. (Two threads
 * with their own blocks of 64 KiB to 1 MiB: 320 ns of processor time a block instead of 343, and
 * no waiting for locks, which was 4 % of it.) */
static void *alloc_straddling(unsigned npages, unsigned flags, int may_grow)
{
	struct space_neighbour mine_with_room = {
		SLOT_SHELF, umpa_shard_of_thread()->number, nback_min(npages)};
	struct space_grant g;
	struct slot first;
	unsigned nback;
	int dirty;

	if (umpa_space_take_behind(&mine_with_room, 1, may_grow, &g, &nback))
		return NULL;
	first = (struct slot){g.slot.i - 1};
	dirty = g.piece[0].kind == EXTENT_RESIDENT;
	if (nback >= npages)
		nback = npages - 1;
	if (!nback || !take_back(first, nback, 1, flags)) {
		umpa_space_give(g.slot, 1, g.piece[0].kind);
		return NULL;
	}
	if (dirty && flags & UMPA_ZERO)
		umpa_clear_frames(slot_address(g.slot), npages - nback);
	umpa_run_adopt(g.slot, npages - nback, FIRST_TAIL, dirty);
	return page_address(first, SLOT_NPAGES - nback);
}

static int nursery_is_used_up(void)
{
	const struct umpa_space *s = &umpa_core.space;

	return __atomic_load_n(&s->nnursery_used, __ATOMIC_RELAXED) == s->nnursery;
}

static void *alloc_in_two_slots(struct umpa_shard *s, unsigned npages, unsigned flags)
{
	void *block = alloc_across(s, (struct slot){0}, npages, flags);

	return block || !nursery_is_used_up() ? block : alloc_straddling(npages, flags, 0);
}

void *umpa_run_alloc_long(unsigned npages, unsigned flags)
{
	struct umpa_shard *s = umpa_shard_of_thread();
	struct slot from = {umpa_core.space.nnursery};
	void *block = alloc_across(s, from, npages, flags);

	if (!block && umpa_shard_settle(s))
		block = alloc_across(s, from, npages, flags);
	return block ? block : alloc_straddling(npages, flags, 1);
}

/* --- handing out --------------------------------------------------------------------------- */

/* One from a place that is to be found. The shard's lock is held, and given. */
static void *alloc_elsewhere(struct umpa_shard *s, unsigned npages, unsigned align, unsigned flags)
{
	struct bitmap dirty;
	struct umpa_run run;
	int settled = 0;

	/* Sizes repeat no longer: what is set aside only takes better places from others. */
	if (unlikely(umpa_bins_npages(&s->bins) && !umpa_bins_are_used(&s->bins))) {
		umpa_lock_give(&s->lock);
		umpa_shard_empty_bins(s);
		umpa_lock_take(&s->lock);
	}
	while (!take(s, npages, align, &run, flags & UMPA_ZERO ? &dirty : NULL)) {
		void *block = NULL;

		/* Once: others may go on freeing. */
		if (settled || !umpa_shard_settle(s)) {
			if (npages >= RUN_STRADDLE_NPAGES_MIN && align == 1)
				block = alloc_in_two_slots(s, npages, flags);
			if (block)
				return block;
			if (restock(s))
				return NULL;
		}
		settled = 1;
		umpa_lock_take(&s->lock);
	}
	if (flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(run.slot), run.page, npages, &dirty);
	return page_address(run.slot, run.page);
}

void *umpa_run_alloc(unsigned npages, unsigned align, unsigned flags)
{
	struct umpa_shard *s = umpa_shard_lock_some();
	struct umpa_run run;
	char *block;

	if (align == 1) {
		umpa_bins_note_wanted(&s->bins, npages);
		if (umpa_shard_take_recent(s, npages, &run)) {
			umpa_lock_give(&s->lock);
			block = page_address(run.slot, run.page);
			if (flags & UMPA_ZERO)
				umpa_clear(block, npages);
			return block;
		}
	}
	return alloc_elsewhere(s, npages, align, flags);
}

/* --- looking ------------------------------------------------------------------------------- */

/* Pages that a run, which reaches the end of its slot, has in the next one. A slot on a shelf is
 * followed by a tail only if its last run goes on there: before the tail of a span there is the
 * span. */
static unsigned tail_behind(struct slot slot)
{
	struct slot next = slot_after(slot, 1);

	if (next.i >= umpa_window_nslots_open(&umpa_core.window) || slot_use(next) != SLOT_SHELF)
		return 0;
	return __atomic_load_n(&umpa_core.map[next.i].ntail, __ATOMIC_RELAXED);
}

static unsigned tail_of(struct umpa_run run)
{
	return run.npages && run.page + run.npages == SLOT_NPAGES ? tail_behind(run.slot) : 0;
}

/* The shard of a slot, whose shelf knows now of all that was freed before this call. */
static struct umpa_shard *collected_shard_of(struct slot slot)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);

	umpa_shard_collect(s);
	return s;
}

struct umpa_run umpa_run_find(struct slot slot, unsigned page)
{
	struct umpa_shard *s = collected_shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	run = umpa_shelf_find(&s->shelf, slot, page);
	umpa_lock_give(&s->lock);
	run.npages = (uint16_t)(run.npages + tail_of(run));
	return run;
}

struct umpa_run umpa_run_around(struct slot slot, unsigned page)
{
	struct umpa_shard *s = collected_shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	run = umpa_shelf_find(&s->shelf, slot, umpa_shelf_begin_of(&s->shelf, slot, page));
	umpa_lock_give(&s->lock);
	run.npages = (uint16_t)(run.npages + tail_of(run));
	return run;
}

int umpa_run_in_tail(struct slot slot, unsigned page)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);
	int in_tail;

	umpa_lock_take(&s->lock);
	in_tail = page < umpa_core.map[slot.i].ntail;
	umpa_lock_give(&s->lock);
	return in_tail;
}

/* --- giving back, in whole or in part ------------------------------------------------------ */

static void shorten(struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);
	struct umpa_leaving l;

	umpa_leave_none(&l);
	umpa_lock_take(&s->lock);
	umpa_shard_empty_inbox(s, &l);
	umpa_shard_give_pages(s, slot, page, npages, 0, &l);
	umpa_shard_give_lock(s, &l);
}

/*
 * Takes the lock of a run's shard, to give the run back: 1. Or leaves the run in the inbox, where
 * the lock is another shard's or isn't to be had at once: 0. -EINVAL: it was there.
 *
 * In the inbox it must be known to end in its slot, which is seen without the lock if another run
 * follows. So the last run of a slot is given back under the lock, and those that wait with it:
 * what waits keeps no superpage from the pool.
 */
static int lock_or_put(struct umpa_shard *s, struct slot slot, unsigned page)
{
	if (umpa_shard_is_mine(s) && umpa_lock_try(&s->lock))
		return 1;
	/* In this order: one that was in the inbox is a run no more by the time it is out of it. */
	if (umpa_inbox_has(&s->inbox, page_address(slot, page)))
		return -EINVAL;
	if (umpa_shelf_is_followed(&s->shelf, slot, page) &&
		!umpa_inbox_put(&s->inbox, page_address(slot, page)))
		return 0;
	umpa_lock_take(&s->lock);
	return 1;
}

/* 1 if a run that is given back under the lock can't be without what waits: it may wait itself,
 * freed by another thread before, or be the last of its slot. A shard's own threads leave the rest
 * until it is due. */
static int inbox_matters(const struct umpa_shard *s, struct slot slot, unsigned page)
{
	return !umpa_inbox_is_empty(&s->inbox) &&
	       (!umpa_shard_is_mine(s) || !umpa_shelf_is_followed(&s->shelf, slot, page) ||
		       umpa_inbox_has(&s->inbox, page_address(slot, page)));
}

/* The rest, with the shard's lock, which is given. */
static int free_locked(struct umpa_shard *s, struct slot slot, unsigned page)
{
	struct umpa_leaving l;
	struct umpa_run run;
	unsigned ntail, nhead;

	umpa_leave_none(&l);
	if (inbox_matters(s, slot, page))
		umpa_shard_empty_inbox(s, &l);
	run = umpa_shelf_find(&s->shelf, slot, page);
	ntail = tail_of(run);
	nhead = umpa_run_is_head(run);
	if (!run.npages || ntail || nhead) {
		umpa_shard_give_lock(s, &l);
		if (!run.npages || nhead)
			return nhead ? 1 : -EINVAL;
		/* The tail goes first: while it is there, the end of this slot must not be
		 * another's. */
		umpa_run_trim_tail(slot_after(slot, 1), ntail, 0);
		umpa_leave_none(&l);
		umpa_lock_take(&s->lock);
		s->nfrees++;
		umpa_shard_give_pages(s, slot, page, run.npages, 1, &l);
	} else {
		umpa_shard_give_run(s, run, &l);
	}
	umpa_shard_give_lock(s, &l);
	return 0;
}

/* Pages of the nursery that are set aside count as idle: more of them than when that was looked at
 * last. */
static int is_to_be_looked_at(const struct umpa_shard *s, struct umpa_run run)
{
	return slot_in_nursery(run.slot) && s->bins.npages + run.npages > s->naside_looked_at &&
	       umpa_pool_may_shed();
}

/* Sets a run aside, under the lock, without a look at anything else: 1; or 0 and nothing is done.
 * At the end of its slot it may go on in the next. */
static int set_aside(struct umpa_shard *s, struct slot slot, unsigned page)
{
	struct umpa_run run = umpa_shelf_find(&s->shelf, slot, page);

	return run.npages && run.page + run.npages < SLOT_NPAGES && !is_to_be_looked_at(s, run) &&
	       umpa_shard_set_aside(s, run);
}

int umpa_run_free(struct slot slot, unsigned page)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);
	int locked = lock_or_put(s, slot, page);

	if (locked != 1)
		return locked;
	/* What waits in the inbox may be this run, freed before by another thread. */
	if (umpa_bins_are_used(&s->bins) && umpa_inbox_is_empty(&s->inbox) &&
		set_aside(s, slot, page)) {
		umpa_lock_give(&s->lock);
		return 0;
	}
	return free_locked(s, slot, page);
}

/* --- changing size ------------------------------------------------------------------------- */

/* 1; 0; -EAGAIN: not before what is set aside there goes home. */
static int extend_over(struct umpa_shard *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty)
{
	int got;

	umpa_lock_take(&s->lock);
	got = umpa_shelf_extend(&s->shelf, slot, page, npages, dirty);
	if (got)
		s->block_npages += npages;
	else if (umpa_shelf_is_aside(&s->shelf, slot, page, npages))
		got = -EAGAIN;
	umpa_lock_give(&s->lock);
	return got;
}

static int extend(struct slot slot, unsigned page, unsigned npages, unsigned flags)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);
	struct bitmap dirty;
	int got = extend_over(s, slot, page, npages, &dirty);

	if (got != 1 && (got ? umpa_shard_settle(s) : umpa_shard_collect(s)))
		got = extend_over(s, slot, page, npages, &dirty);
	got = got == 1;
	if (got && flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(slot), page, npages, &dirty);
	return got;
}

int umpa_run_resize(struct umpa_run run, unsigned npages, unsigned flags)
{
	unsigned nhere = run.npages, ntail = 0;
	struct slot next = slot_after(run.slot, 1);

	if (run.page + nhere > SLOT_NPAGES) {
		nhere = SLOT_NPAGES - run.page;
		ntail = run.npages - nhere;
	}
	if (npages > run.npages)
		return ntail ? umpa_run_extend_tail(next, ntail, npages - run.npages, flags)
			     : extend(run.slot, run.page + nhere, npages - nhere, flags);
	if (ntail && npages < run.npages)
		umpa_run_trim_tail(next, ntail, npages > nhere ? npages - nhere : 0);
	if (npages < nhere)
		shorten(run.slot, run.page + npages, nhere - npages);
	return 1;
}

/* --- heads and tails ----------------------------------------------------------------------- */

int umpa_run_take_head(struct slot slot, unsigned nhead, unsigned flags)
{
	return take_back(slot, nhead, 0, flags);
}

/* Under one hold of the lock: pages that no span claims any more, and that are not free yet, would
 * pass for a run to who frees the span again. */
void umpa_run_end_head(struct slot slot, unsigned nhead, unsigned nkeep)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);
	struct umpa_leaving l;

	umpa_leave_none(&l);
	umpa_lock_take(&s->lock);
	umpa_shard_empty_inbox(s, &l);
	slot_set_nhead(slot_after(slot, 1), 0);
	if (nkeep < nhead)
		umpa_shard_give_pages(s, slot, SLOT_NPAGES - nhead + nkeep, nhead - nkeep, 0, &l);
	umpa_shard_give_lock(s, &l);
}

void umpa_run_adopt(struct slot slot, unsigned npages, enum umpa_shelf_part part, int dirty)
{
	struct umpa_shard *s = umpa_shard_of_thread();

	umpa_lock_take(&s->lock);
	umpa_shard_add_slot(s, slot, npages, part, dirty);
	s->block_npages += npages;
	umpa_lock_give(&s->lock);
}

void umpa_run_adopt_all(struct slot slot, const struct umpa_run_map *map)
{
	struct umpa_shard *s = umpa_shard_of_thread();

	umpa_lock_take(&s->lock);
	slot_set_shard(slot, s->number);
	umpa_shelf_put(&s->shelf, slot, map);
	slot_set_use(slot, SLOT_SHELF);
	s->nallocs += bitmap_count(&map->head);
	s->block_npages += bitmap_count(&map->used);
	umpa_lock_give(&s->lock);
}

int umpa_run_extend_tail(struct slot slot, unsigned ntail, unsigned npages, unsigned flags)
{
	return extend(slot, ntail, npages, flags);
}

void umpa_run_trim_tail(struct slot slot, unsigned ntail, unsigned nkeep)
{
	shorten(slot, nkeep, ntail - nkeep);
}

static int remove_tail(struct umpa_shard *s, struct slot slot, unsigned ntail)
{
	int got;

	umpa_lock_take(&s->lock);
	got = umpa_shelf_remove_tail(&s->shelf, slot, ntail);
	if (got) {
		s->block_npages -= ntail;
		slot_set_use(slot, SLOT_INNER);
	}
	umpa_lock_give(&s->lock);
	return got;
}

int umpa_run_reclaim(struct slot slot, unsigned ntail)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);

	return remove_tail(s, slot, ntail) || (umpa_shard_settle(s) && remove_tail(s, slot, ntail));
}

/* --- slots all free ------------------------------------------------------------------------ */

static struct slot remove_free(struct umpa_shard *s, uint32_t from)
{
	struct slot slot;

	umpa_lock_take(&s->lock);
	slot = umpa_shelf_remove_free(&s->shelf, from);
	if (!slot_is(slot, NO_SLOT))
		slot_set_use(slot, SLOT_INNER);
	umpa_lock_give(&s->lock);
	return slot;
}

/* Takes the frames of a free slot of the nursery, which goes back to the shelf. Result: pages. */
static unsigned release_nursery_slot(struct umpa_shard *s, struct slot slot)
{
	int error = umpa_os_unback(slot_address(slot), SLOT_NBYTES);
	unsigned ndirty = error ? 0 : bitmap_count(&umpa_core.map[slot.i].dirty);

	umpa_lock_take(&s->lock);
	umpa_shard_add_slot(s, slot, 0, FIRST_TAIL, error != 0);
	umpa_lock_give(&s->lock);
	return ndirty;
}

static size_t release_shard(struct umpa_shard *s)
{
	uint32_t from = 0;
	struct slot slot;
	size_t npages = 0;

	umpa_shard_settle(s);
	while (!slot_is(slot = remove_free(s, from), NO_SLOT))
		if (slot_in_nursery(slot)) {
			npages += release_nursery_slot(s, slot);
			from = slot.i + 1;
		} else {
			umpa_space_give(slot, 1, EXTENT_RESIDENT);
		}
	return npages;
}

size_t umpa_run_release_free(void)
{
	size_t npages = 0;

	for (unsigned i = 0; i < umpa_core.nshards; i++)
		npages += release_shard(umpa_shard(i));
	return npages << PAGE_SHIFT;
}
