/* Blocks of a holding that change their size, and their frames. */
#include <umpa/page.h>

#include "vmm/holding_parts.h"

/* --- in place ----------------------------------------------------------------------------- */

static int resize_run(struct umpa_holding *h, uint32_t page, size_t npages, unsigned flags)
{
	struct slot slot = slot_of(page);
	unsigned at = page % SLOT_NPAGES, old = (unsigned)npages_of(umpa_holding_at(h, page)->what);
	struct bitmap dirty;

	if (npages < old) {
		umpa_holding_give_pages(h, slot, at + (unsigned)npages, old - (unsigned)npages);
	} else {
		unsigned nmore = (unsigned)npages - old;

		if (npages >= SLOT_NPAGES ||
			!umpa_shelf_extend(&h->shelf, slot, at + old, nmore, &dirty))
			return 0;
		if (flags & UMPA_ZERO)
			umpa_holding_clear_dirty(slot_at(h, slot), at + old, nmore, &dirty);
	}
	umpa_holding_at(h, page)->what = what_of(npages, HOLDING_LIVE);
	return 1;
}

static void shrink_span(struct umpa_holding *h, uint32_t page, size_t npages)
{
	struct umpa_holding_page *p = umpa_holding_at(h, page);
	struct slot slot = slot_of(page);
	uint32_t nslots = nslots_of(p->what), used = slots_of(npages);
	unsigned tail = tail_of(p->what), over = (unsigned)(npages % SLOT_NPAGES);

	if (tail && npages > (size_t)nslots * SLOT_NPAGES) {
		umpa_holding_give_pages(h, slot_after(slot, nslots), over, tail - over);
		p->what = what_of(npages, HOLDING_LIVE | HOLDING_SHARED);
		return;
	}
	if (tail)
		umpa_holding_give_pages(h, slot_after(slot, nslots), 0, tail);
	umpa_holding_give_slots(h, slot_after(slot, used), nslots - used, EXTENT_RESIDENT);
	if (npages < SLOT_NPAGES) {
		umpa_shelf_add(&h->shelf, slot, over, FIRST_RUN, 1);
		p->what = what_of(npages, HOLDING_LIVE);
	} else {
		p->what = what_of(npages, HOLDING_LIVE | umpa_holding_share(h, slot, npages));
	}
}

/* The slot of a span's tail becomes its own, or the tail longer. 1: the span has npages now; 0: it
 * has no tail any more; -1: neither can be. */
static int grow_tail(struct umpa_holding *h, uint32_t page, size_t npages, unsigned flags)
{
	struct umpa_holding_page *p = umpa_holding_at(h, page);
	struct slot shared = slot_after(slot_of(page), nslots_of(p->what));
	size_t old = npages_of(p->what), nmore = npages - old;
	unsigned tail = tail_of(p->what);
	struct bitmap dirty;

	if (tail + nmore < SLOT_NPAGES &&
		umpa_shelf_extend(&h->shelf, shared, tail, (unsigned)nmore, &dirty)) {
		if (flags & UMPA_ZERO)
			umpa_holding_clear_dirty(slot_at(h, shared), tail, (unsigned)nmore, &dirty);
		p->what = what_of(npages, HOLDING_LIVE | HOLDING_SHARED);
		return 1;
	}
	if (!umpa_shelf_remove_tail(&h->shelf, shared, tail))
		return -1;
	p->what = what_of(old, HOLDING_LIVE);
	return 0;
}

/* Exactly the slots from there on, as far as they are free; at the end there may be more. */
static int take_at(struct umpa_holding *h, struct slot slot, uint32_t nslots, struct umpa_grant *g)
{
	uint32_t end = slot.i + nslots, known = h->extents.nslots;

	if (end > h->nslots)
		return 0;
	if (end > known && slot.i >= known - umpa_extents_at_end(&h->extents, EXTENT_VOID))
		umpa_extents_grow(&h->extents, end - known, EXTENT_VOID);
	g->slot = slot;
	g->npieces = umpa_extents_take_at(&h->extents, slot, nslots, g->piece, GRANT_NPIECES_MAX);
	return g->npieces != 0;
}

/* Zeroes what a block has, from page npages on to `end`, of the slot it ended in. */
static void clear_slack(struct umpa_holding *h, struct slot slot, size_t npages, size_t end)
{
	size_t slot_end = (size_t)slots_of(npages) * SLOT_NPAGES;

	end = end < slot_end ? end : slot_end;
	if (end > npages)
		umpa_holding_clear(slot_at(h, slot) + (npages << PAGE_SHIFT), end - npages);
}

static int grow_span(struct umpa_holding *h, uint32_t page, size_t npages, unsigned flags)
{
	struct umpa_holding_page *p = umpa_holding_at(h, page);
	struct slot slot = slot_of(page);
	uint32_t nslots, need = slots_of(npages);
	struct umpa_grant g;

	if (tail_of(p->what)) {
		int grown = grow_tail(h, page, npages, flags);

		if (grown)
			return grown > 0;
	}
	nslots = nslots_of(p->what);
	if (need > nslots && !take_at(h, slot_after(slot, nslots), need - nslots, &g))
		return 0;
	if (flags & UMPA_ZERO)
		clear_slack(h, slot, npages_of(p->what), npages);
	if (need > nslots)
		umpa_holding_ready(h, &g, flags);
	p->what = what_of(npages, HOLDING_LIVE);
	return 1;
}

static int resize_in_place(struct umpa_holding *h, uint32_t page, size_t npages, unsigned flags)
{
	size_t old = npages_of(umpa_holding_at(h, page)->what);

	if (npages == old)
		return 1;
	if (is_run(h, page))
		return resize_run(h, page, npages, flags);
	if (npages > old)
		return grow_span(h, page, npages, flags);
	shrink_span(h, page, npages);
	return 1;
}

/* --- moving ------------------------------------------------------------------------------- */

static void *copy_to_new(
	struct umpa_holding *h, uint32_t page, size_t npages, uint32_t align, unsigned flags)
{
	size_t old = npages_of(umpa_holding_at(h, page)->what), n = old < npages ? old : npages;
	char *to = umpa_holding_alloc(h, npages, align, flags & UMPA_NOBACK);

	if (!to)
		return NULL;
	umpa_holding_copy(to, page_at(h, page), n);
	if (flags & UMPA_ZERO)
		umpa_holding_clear(to + (n << PAGE_SHIFT), npages - n);
	umpa_holding_end_block(h, page, 0);
	return to;
}

/* To void slots, where its frames go; what does not move is copied. */
static void *move_span(
	struct umpa_holding *h, uint32_t page, size_t npages, uint32_t align, unsigned flags)
{
	uint32_t what = umpa_holding_at(h, page)->what, nslots = nslots_of(what),
		 need = slots_of(npages);
	size_t old = npages_of(what), moved;
	struct slot from = slot_of(page);
	struct umpa_grant g;

	if (!umpa_holding_take_void(h, &g, need, align))
		return NULL;
	nslots = nslots < need ? nslots : need;
	moved = umpa_holding_move(h, slot_at(h, g.slot), slot_at(h, from), nslots) >> PAGE_SHIFT;
	if (slots_of(moved) < need && !(flags & UMPA_NOBACK)) {
		struct slot rest = slot_after(g.slot, slots_of(moved));
		uint32_t nfilled = umpa_holding_fill(h, rest, need - slots_of(moved));

		if (flags & UMPA_ZERO)
			umpa_holding_clear_slots(h, rest, nfilled);
	}
	if (moved < old)
		umpa_holding_copy(slot_at(h, g.slot) + (moved << PAGE_SHIFT),
			slot_at(h, from) + (moved << PAGE_SHIFT), old - moved);
	if (flags & UMPA_ZERO)
		clear_slack(h, g.slot, old, npages);
	umpa_holding_end_block(h, page, (uint32_t)(moved / SLOT_NPAGES));
	return begin_block(
		h, g.slot.i * (uint32_t)SLOT_NPAGES, npages, umpa_holding_share(h, g.slot, npages));
}

void *umpa_holding_resize(
	struct umpa_holding *h, void *block, size_t npages, uint32_t align, unsigned flags)
{
	uint32_t page = page_of(h, block), align_slots = slots_of(align);
	void *to = NULL;

	if (npages > (size_t)h->nslots * SLOT_NPAGES || h->is_broken)
		return NULL;
	if (resize_in_place(h, page, npages, flags) ||
		(umpa_holding_flush_kept(h) && resize_in_place(h, page, npages, flags)))
		return block;
	if (flags & UMPA_NOMOVE)
		return NULL;
	if (!is_run(h, page) && npages >= SLOT_NPAGES)
		to = move_span(h, page, npages, align_slots, flags);
	return to ? to : copy_to_new(h, page, npages, align, flags);
}

/* --- frames of blocks --------------------------------------------------------------------- */

/* Carries a superpage to where there are no frames; of one of which the first pages have moved the
 * others are copied. 1; 0 and nothing changed. */
static int carry(struct umpa_holding *h, char *dst, char *src)
{
	size_t moved = umpa_holding_move(h, dst, src, 1),
	       npages = (SLOT_NBYTES - moved) >> PAGE_SHIFT;

	if (!moved)
		return 0;
	umpa_holding_copy(dst + moved, src + moved, npages);
	umpa_holding_clear(src + moved, npages);
	return 1;
}

void umpa_holding_take_frames(struct umpa_holding *h, void *addr, size_t npages)
{
	char *at = addr, *end = at + (npages << PAGE_SHIFT);

	while (at < end) {
		size_t inside = (uintptr_t)at & (SLOT_NBYTES - 1);
		char *next = at - inside + SLOT_NBYTES;
		int emptied = 0;
		struct umpa_grant g;

		next = next < end ? next : end;
		if (next - at == (ptrdiff_t)SLOT_NBYTES && !h->is_broken &&
			umpa_holding_take(h, &g, 1, 1, 1)) {
			enum umpa_extent_kind kind = g.piece[0].kind;

			if (kind == EXTENT_VOID) {
				emptied = carry(h, slot_at(h, g.slot), at);
				kind = EXTENT_RESIDENT;
			}
			umpa_holding_give_slots(h, g.slot, 1, kind);
		}
		if (!emptied)
			umpa_holding_clear(at, (size_t)(next - at) >> PAGE_SHIFT);
		at = next;
	}
}

size_t umpa_holding_exchange(struct umpa_holding *h, void *a, void *b, size_t npages)
{
	size_t done = 0;

	(void)h->mover->exchange(h->mover, a, b, npages << PAGE_SHIFT, &done);
	h->nmove_calls++;
	h->nslots_moved += done >> SLOT_SHIFT;
	return done >> PAGE_SHIFT;
}
