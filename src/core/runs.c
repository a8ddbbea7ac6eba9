#include "core/runs.h"

#include <errno.h>

#include "core/clear.h"
#include "core/space.h"

static struct umpa_shard *my_shard(void)
{
	static unsigned next;
	static __thread unsigned mine; /* plus 1 */

	/* Too high where the core was started anew, with fewer. */
	if (unlikely(!mine || mine > umpa_core.nshards))
		mine = 1 + __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % umpa_core.nshards;
	return umpa_shard(mine - 1);
}

static struct umpa_shard *shard_of(struct slot slot)
{
	return umpa_shard(__atomic_load_n(&umpa_core.record[slot.i].shard, __ATOMIC_RELAXED));
}

static void add_locked(struct umpa_shard *s, struct slot slot, unsigned npages,
	enum umpa_shelf_part part, int dirty)
{
	__atomic_store_n(&umpa_core.record[slot.i].shard, s->number, __ATOMIC_RELAXED);
	umpa_shelf_add(&s->shelf, slot, npages, part, dirty);
	slot_set_use(slot, SLOT_SHELF);
}

static int in_nursery(struct slot slot)
{
	return slot.i < umpa_core.space.nnursery;
}

/* Puts one more slot on the shard's shelf. */
static int restock(struct umpa_shard *s)
{
	enum umpa_extent_kind kind;
	unsigned nreserved;
	struct slot slot;
	int err = umpa_space_take_for_shelf(&slot, &kind, &nreserved);

	if (err)
		return err;
	umpa_lock_take(&s->lock);
	add_locked(s, slot, nreserved, FIRST_TAIL, kind == EXTENT_RESIDENT);
	umpa_lock_give(&s->lock);
	return 0;
}

static int take(struct umpa_shard *s, unsigned npages, unsigned align, struct umpa_run *run,
	struct bitmap *dirty)
{
	int got;

	umpa_lock_take(&s->lock);
	got = umpa_shelf_take(&s->shelf, npages, align, run, dirty);
	if (got) {
		s->nallocs++;
		s->block_npages += npages;
	}
	umpa_lock_give(&s->lock);
	return got;
}

/* A run from this many pages on may straddle two slots; smaller ones find a place soon enough.
 * (Simulated as in span.c: peak 1.087 from 16 pages on, 1.091 from 32, 1.096 from 64.) */
enum {
	STRADDLE_NPAGES_MIN = 16
};

/* Takes the last npages of a slot as the beginning of a block, which counts as nblocks. */
static int take_back(struct slot slot, unsigned npages, unsigned nblocks, unsigned flags)
{
	struct umpa_shard *s = shard_of(slot);
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

/* A run that begins in the free back of a slot and ends in a fresh one. */
static void *alloc_straddling(unsigned npages, unsigned flags)
{
	struct space_grant g;
	struct slot first;
	unsigned nback;
	int dirty;

	if (umpa_space_take_behind_back(SLOT_SHELF, 1, STRADDLE_NPAGES_MIN / 2, 0, &g, &nback))
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

void *umpa_run_alloc(unsigned npages, unsigned align, unsigned flags)
{
	struct umpa_shard *s = my_shard();
	struct bitmap dirty;
	struct umpa_run run;

	while (!take(s, npages, align, &run, flags & UMPA_ZERO ? &dirty : NULL)) {
		void *block = NULL;

		if (npages >= STRADDLE_NPAGES_MIN && align == 1 && nursery_is_used_up())
			block = alloc_straddling(npages, flags);
		if (block)
			return block;
		if (restock(s))
			return NULL;
	}
	if (flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(run.slot), run.page, npages, &dirty);
	return page_address(run.slot, run.page);
}

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

struct umpa_run umpa_run_find(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	run = umpa_shelf_find(&s->shelf, slot, page);
	umpa_lock_give(&s->lock);
	run.npages = (uint16_t)(run.npages + tail_of(run));
	return run;
}

struct umpa_run umpa_run_around(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	while (page && !bitmap_get(&umpa_core.map[slot.i].head, page))
		page--;
	run = umpa_shelf_find(&s->shelf, slot, page);
	umpa_lock_give(&s->lock);
	run.npages = (uint16_t)(run.npages + tail_of(run));
	return run;
}

int umpa_run_in_tail(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	int in_tail;

	umpa_lock_take(&s->lock);
	in_tail = page < umpa_core.map[slot.i].ntail;
	umpa_lock_give(&s->lock);
	return in_tail;
}

/*
 * Gives pages back and the shard's lock. A slot all free goes to the pool, but for the nursery's,
 * and but for one that the shard keeps, so that a thread which allocates and frees one block stays
 * with its shelf. The end of a span's tail does not count for that: its slot belongs beside the
 * span's others.
 */
static void give(struct umpa_shard *s, struct slot slot, unsigned page, unsigned npages, int keep)
{
	int free = umpa_shelf_give(&s->shelf, slot, page, npages) && !in_nursery(slot);

	if (free && (!keep || umpa_shelf_has_spare(&s->shelf))) {
		umpa_shelf_remove(&s->shelf, slot);
		slot_set_use(slot, SLOT_INNER);
		umpa_lock_give(&s->lock);
		umpa_space_give(slot, 1, EXTENT_RESIDENT);
	} else {
		umpa_lock_give(&s->lock);
	}
}

static void shorten(struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_shard *s = shard_of(slot);

	umpa_lock_take(&s->lock);
	s->block_npages -= npages;
	give(s, slot, page, npages, 0);
}

int umpa_run_free(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	struct umpa_run run;
	unsigned ntail, nhead;

	umpa_lock_take(&s->lock);
	run = umpa_shelf_find(&s->shelf, slot, page);
	ntail = tail_of(run);
	nhead = umpa_run_is_head(run);
	if (!run.npages || ntail || nhead) {
		umpa_lock_give(&s->lock);
		if (!run.npages || nhead)
			return nhead ? 1 : -EINVAL;
		/* The tail goes first: while it is there, the end of this slot must not be
		 * another's. */
		umpa_run_trim_tail(slot_after(slot, 1), ntail, 0);
		umpa_lock_take(&s->lock);
	}
	s->nfrees++;
	s->block_npages -= run.npages;
	give(s, slot, page, run.npages, 1);
	return 0;
}

static int extend(struct slot slot, unsigned page, unsigned npages, unsigned flags)
{
	struct umpa_shard *s = shard_of(slot);
	struct bitmap dirty;
	int got;

	umpa_lock_take(&s->lock);
	got = umpa_shelf_extend(&s->shelf, slot, page, npages, &dirty);
	if (got)
		s->block_npages += npages;
	umpa_lock_give(&s->lock);
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

int umpa_run_take_head(struct slot slot, unsigned nhead, unsigned flags)
{
	return take_back(slot, nhead, 0, flags);
}

void umpa_run_trim_head(struct slot slot, unsigned nhead, unsigned nkeep)
{
	shorten(slot, SLOT_NPAGES - nhead + nkeep, nhead - nkeep);
}

void umpa_run_adopt(struct slot slot, unsigned npages, enum umpa_shelf_part part, int dirty)
{
	struct umpa_shard *s = my_shard();

	umpa_lock_take(&s->lock);
	add_locked(s, slot, npages, part, dirty);
	s->block_npages += npages;
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

int umpa_run_reclaim(struct slot slot, unsigned ntail)
{
	struct umpa_shard *s = shard_of(slot);
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
	int err = umpa_os_unback(slot_address(slot), SLOT_NBYTES);
	unsigned ndirty = err ? 0 : bitmap_count(&umpa_core.map[slot.i].dirty);

	umpa_lock_take(&s->lock);
	add_locked(s, slot, 0, FIRST_TAIL, err != 0);
	umpa_lock_give(&s->lock);
	return ndirty;
}

static size_t release_shard(struct umpa_shard *s)
{
	uint32_t from = 0;
	struct slot slot;
	size_t npages = 0;

	while (!slot_is(slot = remove_free(s, from), NO_SLOT))
		if (in_nursery(slot)) {
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
