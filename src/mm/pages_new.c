/* Where new mappings lie, and those that move. */
#include <string.h>

#include "core/carry.h"
#include "core/clear.h"
#include "core/runs.h"
#include "core/span.h"
#include "mm/left.h"
#include "mm/pages_parts.h"

/* What a mapping that is almost all in a free back has behind it at most. */
enum {
	OVER_EDGE_NPAGES_MAX = 16
};

/* --- mapping ------------------------------------------------------------------------------ */

static int restock(struct umpa_pages_shard *s)
{
	struct space_grant g;

	if (umpa_space_take(1, 1, PREFER_RESIDENT, &g))
		return 0;
	umpa_lock_take(&s->lock);
	umpa_pages_shelve_free(s, g.slot, g.piece[0].kind == EXTENT_RESIDENT);
	umpa_lock_give(&s->lock);
	return 1;
}

/* The pages of a grant become mapped; dirty: those behind them in the last slot may hold
 * anything. */
static void *keep(const struct space_grant *g, size_t npages, int dirty)
{
	uint32_t nwhole = (uint32_t)(npages / SLOT_NPAGES);

	umpa_pages_keep_whole(g->slot, nwhole);
	if (npages % SLOT_NPAGES) {
		struct umpa_pages_shard *s = umpa_pages_my_shard();

		umpa_lock_take(&s->lock);
		umpa_pages_shelve(s,
			(struct part){slot_after(g->slot, nwhole), 0, npages % SLOT_NPAGES}, dirty);
		umpa_lock_give(&s->lock);
	}
	return slot_address(g->slot);
}

/* Maps exactly these pages of a slot that was on a shelf, if they are free still. */
static int take_on_shelf(struct slot slot, unsigned page, unsigned npages, unsigned flags)
{
	struct umpa_pages_shard *s = umpa_pages_shard_of(slot);
	struct bitmap dirty;
	int got;

	umpa_lock_take(&s->lock);
	got = umpa_shelf_take_at(&s->shelf, slot, page, npages, &dirty);
	umpa_lock_give(&s->lock);
	if (got && flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(slot), page, npages, &dirty);
	return got;
}

/* Whole slots, and what is over them in the free front of the slot behind. */
static void *new_before(size_t npages, unsigned flags)
{
	uint32_t nslots = (uint32_t)(npages / SLOT_NPAGES);
	unsigned over = npages % SLOT_NPAGES;
	struct space_neighbour n = {SLOT_PART_MAPPED, umpa_pages_my_shard()->number, over};
	struct space_grant g;

	if (umpa_space_take_before(&n, nslots, &g))
		return NULL;
	if (!take_on_shelf(slot_after(g.slot, nslots), 0, over, flags)) {
		umpa_space_give_grant(&g);
		return NULL;
	}
	umpa_carry_ready(&g, npages - over, flags);
	return keep(&g, npages - over, 0);
}

/* Pages in the free back of a slot, `least` to `most` of them, and the others in the nslots slots
 * behind. may_grow: the frontier may be opened for those. */
static void *new_behind(
	size_t npages, uint32_t nslots, unsigned least, unsigned most, int may_grow, unsigned flags)
{
	struct space_neighbour n = {SLOT_PART_MAPPED, umpa_pages_my_shard()->number, least};
	unsigned before;
	struct space_grant g;

	if (least > most || umpa_space_take_behind(&n, nslots, may_grow, &g, &before))
		return NULL;
	before = before < most ? before : most;
	if (!before ||
		!take_on_shelf((struct slot){g.slot.i - 1}, SLOT_NPAGES - before, before, flags)) {
		umpa_space_give_grant(&g);
		return NULL;
	}
	npages -= before;
	return (char *)keep(&g, npages, umpa_carry_ready(&g, npages, flags)) -
	       ((size_t)before << PAGE_SHIFT);
}

/* Almost all of it in a free back, whatever is behind: mappings in a row that are a page more than
 * a share of a superpage, as tcmalloc's, shall leave no gap where the frontier was. */
static void *new_over_edge(unsigned npages, unsigned flags)
{
	return npages <= OVER_EDGE_NPAGES_MAX
		       ? NULL
		       : new_behind(npages, 1, npages - OVER_EDGE_NPAGES_MAX, npages - 1, 1, flags);
}

/*
 * Where slots with free pages at an end have free slots beside them: so that what mappings have
 * over whole slots does not take a slot each. Slots of this thread's shard, so that all of a
 * mapping is one shard's.
 */
static void *new_beside(size_t npages, unsigned flags)
{
	uint32_t nslots = (uint32_t)(npages / SLOT_NPAGES);
	unsigned over = npages % SLOT_NPAGES, least;
	void *p = NULL;

	if (!over)
		return NULL;
	/* As spans and runs do. */
	least = nslots ? SPAN_HEAD_NPAGES_MIN : RUN_STRADDLE_NPAGES_MIN;
	if (nslots)
		p = new_before(npages, flags);
	if (!p && nslots)
		p = new_behind(npages, nslots, over, over, 0, flags);
	if (!p)
		p = new_behind(npages, nslots + 1, least, over - 1, 0, flags);
	return p || nslots ? p : new_over_edge(over, flags);
}

static void *new_part(unsigned npages, unsigned flags)
{
	struct umpa_pages_shard *s = umpa_pages_my_shard();
	struct umpa_run run;
	struct bitmap dirty;

	umpa_lock_take(&s->lock);
	while (!umpa_shelf_take(&s->shelf, npages, 1, &run, &dirty)) {
		void *p;

		umpa_lock_give(&s->lock);
		p = new_beside(npages, flags);
		if (p || !restock(s))
			return p;
		umpa_lock_take(&s->lock);
	}
	umpa_lock_give(&s->lock);
	if (flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(run.slot), run.page, npages, &dirty);
	return page_address(run.slot, run.page);
}

/* Whole slots and what is over, at the begin of a slot. */
static void *new_apart(size_t npages, uint32_t align, unsigned flags)
{
	struct space_grant g;

	if (!fits_window(npages) || umpa_space_take(slots_of(npages), align, PREFER_RESIDENT, &g))
		return NULL;
	return keep(&g, npages, umpa_carry_ready(&g, npages, flags));
}

static void *new_filled(size_t npages, uint32_t align, unsigned flags)
{
	void *p = align == 1 && fits_window(npages) ? new_beside(npages, flags) : NULL;

	return p ? p : new_apart(npages, align, flags);
}

/* Nothing but void slots. NULL: so many are not to be had. */
static void *new_left(size_t npages, uint32_t align)
{
	struct space_grant g;
	void *p;

	if (!fits_window(npages) || umpa_space_take(slots_of(npages), align, PREFER_VOID, &g))
		return NULL;
	if (g.npieces > 1 || g.piece[0].kind != EXTENT_VOID) {
		umpa_space_give_grant(&g);
		return NULL;
	}
	p = keep(&g, npages, 0);
	umpa_left_mark(g.slot, g.nslots);
	return p;
}

/* What is zero and is not known to be touched may be left void. */
static void *new_slots(size_t npages, uint32_t align, unsigned flags)
{
	int may_leave = (flags & (UMPA_ZERO | UMPA_BACKED)) == UMPA_ZERO;
	void *p = may_leave && umpa_left_all(npages) ? new_left(npages, align) : NULL;

	if (p)
		return p;
	p = new_filled(npages, align, flags);
	if (p && may_leave)
		umpa_left_probe(p, npages);
	return p;
}

static void *new_void(size_t npages, uint32_t align)
{
	struct space_grant g;

	if (!fits_window(npages) || umpa_space_take_void(slots_of(npages), align, &g))
		return NULL;
	return keep(&g, npages, 0);
}

static void *counted(void *p, size_t npages)
{
	if (p) {
		event_add(&umpa_shard_of_thread()->nmappings, 1);
		count((int64_t)npages);
	}
	return p;
}

void *umpa_pages_new(size_t npages, unsigned flags)
{
	umpa_pages_need_shard();
	return counted(npages < SLOT_NPAGES ? new_part((unsigned)npages, flags)
					    : new_slots(npages, 1, flags),
		npages);
}

void *umpa_pages_new_aligned(size_t npages, uint32_t nslots, unsigned flags)
{
	umpa_pages_need_shard();
	return counted(new_slots(npages, nslots, flags), npages);
}

void *umpa_pages_new_zero(size_t npages, uint32_t nslots, int is_void)
{
	umpa_pages_need_shard();
	return counted(
		is_void ? new_void(npages, nslots) : new_apart(npages, nslots, UMPA_ZERO), npages);
}

/* --- moving ------------------------------------------------------------------------------- */

/* Whole slots at the beginning of a range. */
static uint32_t whole_slots(size_t first, size_t end)
{
	uint32_t n = 0;

	if (first % SLOT_NPAGES)
		return 0;
	for (; first + SLOT_NPAGES <= end; first += SLOT_NPAGES, n++)
		if (!is_whole((struct slot){(uint32_t)(first / SLOT_NPAGES)}))
			break;
	return n;
}

/* Brings the content of the range to void slots, and frames from the pool to what is behind it.
 * Result: how many slots of the range have no frames now. */
static uint32_t carry(const struct space_grant *g, size_t first, size_t end, uint32_t nwhole)
{
	struct slot from = {(uint32_t)(first / SLOT_NPAGES)};
	size_t nbytes = (end - first) << PAGE_SHIFT;
	size_t moved = nwhole ? umpa_carry_move(g->slot, from, nwhole) : 0;
	uint32_t nmoved = (uint32_t)(moved >> SLOT_SHIFT), nbegun = slots_of(moved >> PAGE_SHIFT);

	/* A slot that has got a part of its frames is void no more: to fill it would clear them. */
	umpa_carry_fill(slot_after(g->slot, nbegun), g->nslots - nbegun, 1);
	memcpy((char *)slot_address(g->slot) + moved, umpa_pages_address(first) + moved,
		nbytes - moved);
	return nmoved;
}

static void *move_slots(size_t first, size_t end, size_t npages, uint32_t nwhole)
{
	struct space_grant g;
	uint32_t nmoved;

	if (!fits_window(npages) || umpa_space_take_void(slots_of(npages), 1, &g))
		return NULL;
	nmoved = carry(&g, first, end, nwhole);
	keep(&g, npages, 1);
	umpa_left_move(g.slot, (struct slot){(uint32_t)(first / SLOT_NPAGES)}, nmoved);
	umpa_pages_lock();
	umpa_pages_end(first, first + (size_t)nmoved * SLOT_NPAGES, EXTENT_VOID);
	umpa_pages_end(first + (size_t)nmoved * SLOT_NPAGES, end, EXTENT_RESIDENT);
	umpa_pages_unlock();
	return slot_address(g.slot);
}

static void *move_bytes(size_t first, size_t end, size_t npages)
{
	void *to = new_part((unsigned)npages, UMPA_ZERO);

	if (!to)
		return NULL;
	memcpy(to, umpa_pages_address(first), (end - first) << PAGE_SHIFT);
	umpa_pages_lock();
	umpa_pages_end(first, end, EXTENT_RESIDENT);
	umpa_pages_unlock();
	return to;
}

void *umpa_pages_move(size_t first, size_t end, size_t npages)
{
	uint32_t nwhole;
	void *to;

	umpa_pages_need_shard();
	umpa_pages_lock();
	nwhole = whole_slots(first, end);
	umpa_pages_unlock();
	to = npages < SLOT_NPAGES ? move_bytes(first, end, npages)
				  : move_slots(first, end, npages, nwhole);
	if (to)
		count((int64_t)npages);
	return to;
}
