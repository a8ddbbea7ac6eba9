#include "core/runs.h"

#include <errno.h>

#include "core/clear.h"
#include "core/space.h"

static struct umpa_shard *my_shard(void)
{
	static unsigned next;
	static __thread unsigned mine; /* plus 1 */

	if (unlikely(!mine))
		mine = 1 + __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % 1024;
	return umpa_shard((mine - 1) % umpa_core.nshards);
}

static struct umpa_shard *shard_of(struct slot slot)
{
	return umpa_shard(umpa_core.record[slot.i].shard);
}

static void add_locked(struct umpa_shard *s, struct slot slot, unsigned nfirst,
	enum umpa_shelf_first first, int dirty)
{
	umpa_core.record[slot.i].shard = s->number;
	slot_set_use(slot, SLOT_SHELF);
	umpa_shelf_add(&s->shelf, slot, nfirst, first, dirty);
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

void *umpa_run_alloc(unsigned npages, unsigned align, unsigned flags)
{
	struct umpa_shard *s = my_shard();
	struct bitmap dirty;
	struct umpa_run run;

	while (!take(s, npages, align, &run, flags & UMPA_ZERO ? &dirty : NULL))
		if (restock(s))
			return NULL;
	if (flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(run.slot), run.page, npages, &dirty);
	return page_address(run.slot, run.page);
}

struct umpa_run umpa_run_find(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	run = umpa_shelf_find(&s->shelf, slot, page);
	umpa_lock_give(&s->lock);
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

int umpa_run_free(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	run = umpa_shelf_find(&s->shelf, slot, page);
	if (!run.npages) {
		umpa_lock_give(&s->lock);
		return -EINVAL;
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

static void shorten(struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_shard *s = shard_of(slot);

	umpa_lock_take(&s->lock);
	s->block_npages -= npages;
	give(s, slot, page, npages, 0);
}

int umpa_run_resize(struct umpa_run run, unsigned npages, unsigned flags)
{
	if (npages > run.npages)
		return extend(run.slot, run.page + run.npages, npages - run.npages, flags);
	if (npages < run.npages)
		shorten(run.slot, run.page + npages, run.npages - npages);
	return 1;
}

void umpa_run_adopt(struct slot slot, unsigned nfirst, enum umpa_shelf_first first, int dirty)
{
	struct umpa_shard *s = my_shard();

	umpa_lock_take(&s->lock);
	add_locked(s, slot, nfirst, first, dirty);
	s->block_npages += nfirst;
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

static struct slot remove_free(struct umpa_shard *s)
{
	struct slot slot;

	umpa_lock_take(&s->lock);
	slot = umpa_shelf_remove_free(&s->shelf);
	if (!slot_is(slot, NO_SLOT))
		slot_set_use(slot, SLOT_INNER);
	umpa_lock_give(&s->lock);
	return slot;
}

static void release_shard(struct umpa_shard *s)
{
	struct slot kept[8], slot;
	unsigned nkept = 0;

	while (nkept < array_len(kept) && !slot_is(slot = remove_free(s), NO_SLOT))
		if (in_nursery(slot))
			kept[nkept++] = slot;
		else
			umpa_space_give(slot, 1, EXTENT_RESIDENT);
	while (nkept--) {
		int err = umpa_os_unback(slot_address(kept[nkept]), SLOT_NBYTES);

		umpa_lock_take(&s->lock);
		add_locked(s, kept[nkept], 0, FIRST_TAIL, err != 0);
		umpa_lock_give(&s->lock);
	}
}

void umpa_run_release_free(void)
{
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		release_shard(umpa_shard(i));
}
