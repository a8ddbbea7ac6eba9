#include "vmm/holding.h"

#include <errno.h>
#include <string.h>
#include <umpa/page.h>

#include "base/panic.h"
#include "core/span.h"

enum {
	NTRIES = 4,
	NPIECES_MAX = 16
};

/* Slots taken: front to back, void or resident. */
struct grant {
	struct slot slot;
	unsigned npieces;
	struct umpa_extent_piece piece[NPIECES_MAX];
};

static uint32_t what_of(size_t npages, unsigned bits)
{
	return (uint32_t)npages << HOLDING_SHIFT | bits;
}

static size_t npages_of(uint32_t what)
{
	return what >> HOLDING_SHIFT;
}

static unsigned tail_of(uint32_t what)
{
	return what & HOLDING_SHARED ? (unsigned)(npages_of(what) % SLOT_NPAGES) : 0;
}

/* Slots that a span has to itself. */
static uint32_t nslots_of(uint32_t what)
{
	return slots_of(npages_of(what) - tail_of(what));
}

static char *page_at(const struct umpa_holding *h, size_t page)
{
	return h->begin + (page << PAGE_SHIFT);
}

static char *slot_at(const struct umpa_holding *h, struct slot slot)
{
	return page_at(h, (size_t)slot.i * SLOT_NPAGES);
}

static uint32_t page_of(const struct umpa_holding *h, const void *addr)
{
	return (uint32_t)(((uintptr_t)addr - (uintptr_t)h->begin) >> PAGE_SHIFT);
}

static struct slot slot_of(uint32_t page)
{
	return (struct slot){page / SLOT_NPAGES};
}

static int is_run(const struct umpa_holding *h, uint32_t page)
{
	return umpa_heights_get(&h->shelf.heights, slot_of(page).i) != 0;
}

static int is_aligned(const void *addr, uint32_t align)
{
	return !((uintptr_t)addr & (((uintptr_t)align << PAGE_SHIFT) - 1));
}

static void *begin_block(struct umpa_holding *h, uint32_t page, size_t npages, unsigned bits)
{
	umpa_holding_at(h, page)->what = what_of(npages, bits | HOLDING_LIVE);
	return page_at(h, page);
}

/* --- bytes -------------------------------------------------------------------------------- */

void umpa_holding_clear(void *addr, size_t npages)
{
#if defined(__x86_64__)
	size_t n = npages * (PAGE_NBYTES / 8);

	__asm__ volatile("rep stosq" : "+D"(addr), "+c"(n) : "a"(0) : "memory");
#else
	memset(addr, 0, npages << PAGE_SHIFT);
#endif
}

void umpa_holding_copy(void *dst, const void *src, size_t npages)
{
#if defined(__x86_64__)
	size_t n = npages * (PAGE_NBYTES / 8);

	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
#else
	memcpy(dst, src, npages << PAGE_SHIFT);
#endif
}

static void clear_dirty(char *slot, unsigned from, unsigned npages, const struct bitmap *dirty)
{
	for (unsigned p = from; p < from + npages; p++)
		if (bitmap_get(dirty, p))
			umpa_holding_clear(slot + ((size_t)p << PAGE_SHIFT), 1);
}

/* --- giving back -------------------------------------------------------------------------- */

static void give_slots(
	struct umpa_holding *h, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	if (nslots)
		umpa_extents_give(&h->extents, slot, nslots, kind);
}

static void give_pages(struct umpa_holding *h, struct slot slot, unsigned page, unsigned npages)
{
	if (!umpa_shelf_give(&h->shelf, slot, page, npages) || !umpa_shelf_has_spare(&h->shelf))
		return;
	umpa_shelf_remove(&h->shelf, slot);
	give_slots(h, slot, 1, EXTENT_RESIDENT);
}

/* Ends a span, of which nmoved slots have no frames any more. The tail goes first: before it there
 * must be nothing but its span. */
static void end_span(struct umpa_holding *h, struct slot slot, uint32_t what, uint32_t nmoved)
{
	uint32_t nslots = nslots_of(what);

	if (tail_of(what))
		give_pages(h, slot_after(slot, nslots), 0, tail_of(what));
	give_slots(h, slot, nmoved, EXTENT_VOID);
	give_slots(h, slot_after(slot, nmoved), nslots - nmoved, EXTENT_RESIDENT);
}

static void end_block(struct umpa_holding *h, uint32_t page, uint32_t nmoved)
{
	uint32_t what = umpa_holding_at(h, page)->what;

	umpa_holding_at(h, page)->what = 0;
	if (is_run(h, page))
		give_pages(h, slot_of(page), page % SLOT_NPAGES, (unsigned)npages_of(what));
	else
		end_span(h, slot_of(page), what, nmoved);
}

/* --- kept blocks -------------------------------------------------------------------------- */

/* One of the right length, live again. NULL: there is none. */
static void *take_kept(struct umpa_holding *h, size_t npages, uint32_t align)
{
	uint32_t *link = &h->kept[umpa_holding_list_of(npages)];

	for (int i = 0; *link && i < NTRIES; i++) {
		uint32_t page = *link - 1;
		struct umpa_holding_page *p = umpa_holding_at(h, page);

		if (npages_of(p->what) == npages && is_aligned(page_at(h, page), align)) {
			*link = p->next;
			p->what ^= HOLDING_LIVE | HOLDING_KEPT;
			return page_at(h, page);
		}
		link = &p->next;
	}
	return NULL;
}

/* Ends all kept blocks. 1 if there were any. */
static int flush_kept(struct umpa_holding *h)
{
	int any = 0;

	for (unsigned w = 0; w < array_len(h->kept_any); w++) {
		for (; h->kept_any[w]; h->kept_any[w] &= h->kept_any[w] - 1) {
			uint32_t *link =
				&h->kept[w * 64 + (unsigned)__builtin_ctzll(h->kept_any[w])];

			for (uint32_t page = *link; page; any = 1) {
				uint32_t next = umpa_holding_at(h, page - 1)->next;

				end_block(h, page - 1, 0);
				page = next;
			}
			*link = 0;
		}
	}
	return any;
}

/* --- taking slots ------------------------------------------------------------------------- */

static int grant_whole(
	struct grant *g, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	if (slot_is(slot, NO_SLOT))
		return 0;
	g->slot = slot;
	g->npieces = 1;
	g->piece[0] = (struct umpa_extent_piece){slot, nslots, kind};
	return 1;
}

static int take_kind(struct umpa_holding *h, struct grant *g, uint32_t nslots, uint32_t align,
	enum umpa_extent_kind kind)
{
	return grant_whole(g, umpa_extents_take(&h->extents, kind, nslots, align), nslots, kind);
}

static int take_mixed(struct umpa_holding *h, struct grant *g, uint32_t nslots)
{
	g->npieces = umpa_extents_take_mixed(&h->extents, nslots, g->piece, NPIECES_MAX);
	g->slot = g->piece[0].slot;
	return g->npieces != 0;
}

/* Slots that were never used, for what is not free at the end. */
static int grow(struct umpa_holding *h, uint32_t nslots, uint32_t align)
{
	uint64_t need = (uint64_t)nslots + align - 1;
	uint32_t have = umpa_extents_at_end(&h->extents, EXTENT_VOID);

	need = need > have ? need - have : 1;
	if (need > h->nslots - h->extents.nslots)
		return 0;
	umpa_extents_grow(&h->extents, (uint32_t)need, EXTENT_VOID);
	return 1;
}

static int take_once(
	struct umpa_holding *h, struct grant *g, uint32_t nslots, uint32_t align, int bare)
{
	int any = align == 1;

	if (!bare && (take_kind(h, g, nslots, align, EXTENT_RESIDENT) ||
			     (any && take_mixed(h, g, nslots))))
		return 1;
	return take_kind(h, g, nslots, align, EXTENT_VOID) ||
	       (grow(h, nslots, align) && take_kind(h, g, nslots, align, EXTENT_VOID)) ||
	       take_kind(h, g, nslots, align, EXTENT_RESIDENT) || (any && take_mixed(h, g, nslots));
}

/* Slots all of whose pages are free, but for one, are the shelf's spare. */
static int give_spare(struct umpa_holding *h)
{
	struct slot slot = umpa_shelf_remove_free(&h->shelf, 0);

	if (slot_is(slot, NO_SLOT))
		return 0;
	give_slots(h, slot, 1, EXTENT_RESIDENT);
	return 1;
}

static int take(struct umpa_holding *h, struct grant *g, uint32_t nslots, uint32_t align, int bare)
{
	if (!bare && take_kind(h, g, nslots, align, EXTENT_RESIDENT))
		return 1;
	if (!bare)
		flush_kept(h);
	return take_once(h, g, nslots, align, bare) ||
	       ((flush_kept(h) | give_spare(h)) && take_once(h, g, nslots, align, bare));
}

/* --- frames ------------------------------------------------------------------------------- */

/* Carries frames to void slots. Result: bytes, from the front, that have come. */
static size_t carry(struct umpa_holding *h, struct slot dst, struct slot src, uint32_t nslots)
{
	size_t moved = 0;

	(void)h->mover->move(h->mover, slot_at(h, dst), slot_at(h, src),
		(size_t)nslots << SLOT_SHIFT, UMPA_MOVE_HOLES, &moved);
	h->nmove_calls++;
	h->nslots_moved += moved >> SLOT_SHIFT;
	return moved;
}

/* Brings frames of the pool to void slots, as long as it has some and they move; what gets none is
 * zero, and the kernel's fault fills it. Result: slots, from the front, that may not be zero. */
static uint32_t fill(struct umpa_holding *h, struct slot slot, uint32_t nslots)
{
	uint32_t done = 0, n, nmoved;

	while (done < nslots) {
		struct slot from = umpa_extents_take_near(
			&h->extents, EXTENT_RESIDENT, NO_SLOT, nslots - done, &n);
		size_t moved;

		if (!n && flush_kept(h))
			continue;
		if (!n)
			break;
		moved = carry(h, slot_after(slot, done), from, n);
		nmoved = (uint32_t)(moved >> SLOT_SHIFT);
		give_slots(h, from, nmoved, EXTENT_VOID);
		give_slots(h, slot_after(from, nmoved), n - nmoved, EXTENT_RESIDENT);
		done += slots_of(moved >> PAGE_SHIFT);
		if (nmoved < n)
			break;
	}
	return done;
}

static void clear_slots(struct umpa_holding *h, struct slot slot, uint32_t nslots)
{
	umpa_holding_clear(slot_at(h, slot), (size_t)nslots * SLOT_NPAGES);
}

/* Makes slots that were granted ready for use. */
static void ready(struct umpa_holding *h, const struct grant *g, unsigned flags)
{
	for (unsigned i = 0; i < g->npieces; i++) {
		const struct umpa_extent_piece *p = &g->piece[i];
		uint32_t ndirty = p->nslots;

		if (p->kind == EXTENT_VOID)
			ndirty = flags & UMPA_NOBACK ? 0 : fill(h, p->slot, p->nslots);
		if (flags & UMPA_ZERO)
			clear_slots(h, p->slot, ndirty);
	}
}

/* --- alloc -------------------------------------------------------------------------------- */

static void *take_run(struct umpa_holding *h, unsigned npages, uint32_t align, unsigned flags)
{
	struct bitmap dirty;
	struct umpa_run run;

	if (!umpa_shelf_take(&h->shelf, npages, align, &run, &dirty))
		return NULL;
	if (flags & UMPA_ZERO)
		clear_dirty(slot_at(h, run.slot), run.page, npages, &dirty);
	return begin_block(h, run.slot.i * (uint32_t)SLOT_NPAGES + run.page, npages, 0);
}

static void *alloc_run(struct umpa_holding *h, unsigned npages, uint32_t align, unsigned flags)
{
	void *block = take_run(h, npages, align, flags);
	struct grant g;

	if (!block && flush_kept(h))
		block = take_run(h, npages, align, flags);
	if (block || !take(h, &g, 1, 1, 0))
		return block;
	umpa_shelf_add(&h->shelf, g.slot, 0, FIRST_RUN, g.piece[0].kind == EXTENT_RESIDENT);
	return take_run(h, npages, align, flags);
}

/* A slot of the shelf whose first pages are free, so many at least. */
struct front {
	const struct umpa_holding *h;
	unsigned npages;
};

static int has_front(struct slot slot, const void *arg)
{
	const struct front *f = arg;

	return umpa_heights_get(&f->h->shelf.heights, slot.i) &&
	       f->h->shelf.map[slot.i].nfront >= f->npages;
}

/* Right before such a slot: its first pages are the span's last ones. */
static void *alloc_before_front(struct umpa_holding *h, size_t npages, unsigned flags)
{
	uint32_t nslots = (uint32_t)(npages / SLOT_NPAGES);
	struct front front = {h, (unsigned)(npages % SLOT_NPAGES)};
	struct bitmap dirty;
	struct slot shared;
	struct grant g;
	int extended;

	if (!grant_whole(&g,
		    umpa_extents_take_end(&h->extents, EXTENT_RESIDENT, nslots, has_front, &front),
		    nslots, EXTENT_RESIDENT) &&
		!grant_whole(&g,
			umpa_extents_take_end(&h->extents, EXTENT_VOID, nslots, has_front, &front),
			nslots, EXTENT_VOID))
		return NULL;
	shared = slot_after(g.slot, nslots);
	extended = umpa_shelf_extend(&h->shelf, shared, 0, front.npages, &dirty);
	INVARIANT(extended);
	if (flags & UMPA_ZERO)
		clear_dirty(slot_at(h, shared), 0, front.npages, &dirty);
	ready(h, &g, flags);
	return begin_block(h, g.slot.i * (uint32_t)SLOT_NPAGES, npages, HOLDING_SHARED);
}

/* What the last pages of a span leave of their slot is for runs. */
static unsigned share(struct umpa_holding *h, struct slot slot, size_t npages)
{
	unsigned tail = umpa_span_tail_to_share(npages);

	if (!tail)
		return 0;
	umpa_shelf_add(
		&h->shelf, slot_after(slot, (uint32_t)(npages / SLOT_NPAGES)), tail, FIRST_TAIL, 1);
	return HOLDING_SHARED;
}

static void *alloc_span(struct umpa_holding *h, size_t npages, uint32_t align, unsigned flags)
{
	uint32_t align_slots = align <= SLOT_NPAGES ? 1 : align / (uint32_t)SLOT_NPAGES;
	void *block = NULL;
	struct grant g;

	if (npages > (size_t)h->nslots * SLOT_NPAGES)
		return NULL;
	if (umpa_span_tail_to_share(npages) && align_slots == 1 && !(flags & UMPA_NOBACK))
		block = alloc_before_front(h, npages, flags);
	if (block || !take(h, &g, slots_of(npages), align_slots, (flags & UMPA_NOBACK) != 0))
		return block;
	ready(h, &g, flags);
	return begin_block(h, g.slot.i * (uint32_t)SLOT_NPAGES, npages, share(h, g.slot, npages));
}

void *umpa_holding_alloc(struct umpa_holding *h, size_t npages, uint32_t align, unsigned flags)
{
	void *block = flags & UMPA_NOBACK ? NULL : take_kept(h, npages, align);

	if (block && flags & UMPA_ZERO)
		umpa_holding_clear(block, npages);
	if (block)
		return block;
	return npages < SLOT_NPAGES && align <= SLOT_NPAGES
		       ? alloc_run(h, (unsigned)npages, align, flags)
		       : alloc_span(h, npages, align, flags);
}

size_t umpa_holding_npages(const struct umpa_holding *h, const void *block)
{
	uint32_t what = umpa_holding_at(h, page_of(h, block))->what;

	return what & HOLDING_LIVE && !((uintptr_t)block % PAGE_NBYTES) ? npages_of(what) : 0;
}

/* --- in place ----------------------------------------------------------------------------- */

static int resize_run(struct umpa_holding *h, uint32_t page, size_t npages, unsigned flags)
{
	struct slot slot = slot_of(page);
	unsigned at = page % SLOT_NPAGES, old = (unsigned)npages_of(umpa_holding_at(h, page)->what);
	struct bitmap dirty;

	if (npages < old) {
		give_pages(h, slot, at + (unsigned)npages, old - (unsigned)npages);
	} else {
		unsigned nmore = (unsigned)npages - old;

		if (npages >= SLOT_NPAGES ||
			!umpa_shelf_extend(&h->shelf, slot, at + old, nmore, &dirty))
			return 0;
		if (flags & UMPA_ZERO)
			clear_dirty(slot_at(h, slot), at + old, nmore, &dirty);
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
		give_pages(h, slot_after(slot, nslots), over, tail - over);
		p->what = what_of(npages, HOLDING_LIVE | HOLDING_SHARED);
		return;
	}
	if (tail)
		give_pages(h, slot_after(slot, nslots), 0, tail);
	give_slots(h, slot_after(slot, used), nslots - used, EXTENT_RESIDENT);
	if (npages < SLOT_NPAGES) {
		umpa_shelf_add(&h->shelf, slot, over, FIRST_RUN, 1);
		p->what = what_of(npages, HOLDING_LIVE);
	} else {
		p->what = what_of(npages, HOLDING_LIVE | share(h, slot, npages));
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
			clear_dirty(slot_at(h, shared), tail, (unsigned)nmore, &dirty);
		p->what = what_of(npages, HOLDING_LIVE | HOLDING_SHARED);
		return 1;
	}
	if (!umpa_shelf_remove_tail(&h->shelf, shared, tail))
		return -1;
	p->what = what_of(old, HOLDING_LIVE);
	return 0;
}

/* Exactly the slots from there on, as far as they are free; at the end there may be more. */
static int take_at(struct umpa_holding *h, struct slot slot, uint32_t nslots, struct grant *g)
{
	uint32_t end = slot.i + nslots, known = h->extents.nslots;

	if (end > h->nslots)
		return 0;
	if (end > known && slot.i >= known - umpa_extents_at_end(&h->extents, EXTENT_VOID))
		umpa_extents_grow(&h->extents, end - known, EXTENT_VOID);
	g->slot = slot;
	g->npieces = umpa_extents_take_at(&h->extents, slot, nslots, g->piece, NPIECES_MAX);
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
	struct grant g;

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
		ready(h, &g, flags);
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
	end_block(h, page, 0);
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
	struct grant g;

	if (!take_kind(h, &g, need, align, EXTENT_VOID) &&
		!(grow(h, need, align) && take_kind(h, &g, need, align, EXTENT_VOID)))
		return NULL;
	nslots = nslots < need ? nslots : need;
	moved = carry(h, g.slot, from, nslots) >> PAGE_SHIFT;
	if (slots_of(moved) < need && !(flags & UMPA_NOBACK)) {
		struct slot rest = slot_after(g.slot, slots_of(moved));
		uint32_t nfilled = fill(h, rest, need - slots_of(moved));

		if (flags & UMPA_ZERO)
			clear_slots(h, rest, nfilled);
	}
	if (moved < old)
		umpa_holding_copy(slot_at(h, g.slot) + (moved << PAGE_SHIFT),
			slot_at(h, from) + (moved << PAGE_SHIFT), old - moved);
	if (flags & UMPA_ZERO)
		clear_slack(h, g.slot, old, npages);
	end_block(h, page, (uint32_t)(moved / SLOT_NPAGES));
	return begin_block(h, g.slot.i * (uint32_t)SLOT_NPAGES, npages, share(h, g.slot, npages));
}

void *umpa_holding_resize(
	struct umpa_holding *h, void *block, size_t npages, uint32_t align, unsigned flags)
{
	uint32_t page = page_of(h, block), align_slots = slots_of(align);
	void *to = NULL;

	if (npages > (size_t)h->nslots * SLOT_NPAGES)
		return NULL;
	if (resize_in_place(h, page, npages, flags) ||
		(flush_kept(h) && resize_in_place(h, page, npages, flags)))
		return block;
	if (flags & UMPA_NOMOVE)
		return NULL;
	if (!is_run(h, page) && npages >= SLOT_NPAGES)
		to = move_span(h, page, npages, align_slots, flags);
	return to ? to : copy_to_new(h, page, npages, align, flags);
}

/* --- frames of blocks --------------------------------------------------------------------- */

void umpa_holding_take_frames(struct umpa_holding *h, void *addr, size_t npages)
{
	char *at = addr, *end = at + (npages << PAGE_SHIFT);

	while (at < end) {
		size_t inside = (uintptr_t)at & (SLOT_NBYTES - 1);
		char *next = at - inside + SLOT_NBYTES;
		int emptied = 0;
		struct grant g;

		next = next < end ? next : end;
		if (next - at == (ptrdiff_t)SLOT_NBYTES && take(h, &g, 1, 1, 1)) {
			enum umpa_extent_kind kind = g.piece[0].kind;

			if (kind == EXTENT_VOID) {
				emptied = umpa_holding_carry(h, slot_at(h, g.slot), at, 1) != 0;
				kind = EXTENT_RESIDENT;
			}
			give_slots(h, g.slot, 1, kind);
		}
		if (!emptied)
			umpa_holding_clear(at, (size_t)(next - at) >> PAGE_SHIFT);
		at = next;
	}
}

/* Of a superpage of which the first pages have moved the others are copied. */
static void copy_rest(char *dst, char *src, size_t moved)
{
	size_t npages = (SLOT_NBYTES - moved) >> PAGE_SHIFT;

	umpa_holding_copy(dst + moved, src + moved, npages);
	umpa_holding_clear(src + moved, npages);
}

uint32_t umpa_holding_carry(struct umpa_holding *h, void *dst, void *src, uint32_t nslots)
{
	size_t moved = carry(h, slot_of(page_of(h, dst)), slot_of(page_of(h, src)), nslots);
	size_t whole = moved & ~(SLOT_NBYTES - 1);

	if (moved > whole)
		copy_rest((char *)dst + whole, (char *)src + whole, moved - whole);
	return slots_of(moved >> PAGE_SHIFT);
}

/* By way of a void slot. 1; 0 and nothing changed. *emptied: the slot is void again. */
static int exchange(struct umpa_holding *h, char *a, char *b, char *aside, int *emptied)
{
	struct slot x = slot_of(page_of(h, a)), y = slot_of(page_of(h, b));
	struct slot z = slot_of(page_of(h, aside));
	size_t moved = carry(h, z, x, 1);

	if (moved < SLOT_NBYTES) {
		umpa_holding_copy(a, aside, moved >> PAGE_SHIFT);
		*emptied &= !moved;
		return 0;
	}
	moved = carry(h, x, y, 1);
	if (moved < SLOT_NBYTES)
		copy_rest(a, b, moved);
	moved = moved < SLOT_NBYTES ? 0 : carry(h, y, z, 1);
	if (moved < SLOT_NBYTES)
		copy_rest(b, aside, moved);
	*emptied &= moved == SLOT_NBYTES;
	return 1;
}

uint32_t umpa_holding_exchange(struct umpa_holding *h, void *a, void *b, uint32_t nslots)
{
	uint32_t n = 0;
	int emptied = 1;
	struct grant g;

	if (!take(h, &g, 1, 1, 1))
		return 0;
	if (g.piece[0].kind == EXTENT_VOID)
		while (n < nslots && emptied &&
			exchange(h, (char *)a + ((size_t)n << SLOT_SHIFT),
				(char *)b + ((size_t)n << SLOT_SHIFT), slot_at(h, g.slot),
				&emptied))
			n++;
	else
		emptied = 0;
	give_slots(h, g.slot, 1, emptied ? EXTENT_VOID : EXTENT_RESIDENT);
	return n;
}

/* --- the books ---------------------------------------------------------------------------- */

static size_t rounded(size_t nbytes)
{
	return (nbytes + 127) & ~(size_t)127;
}

size_t umpa_holding_nbytes(uint32_t nslots)
{
	return rounded(nslots * sizeof(struct umpa_run_map)) +
	       rounded(nslots * sizeof(struct umpa_extent)) +
	       rounded(nslots * SLOT_NPAGES * sizeof(struct umpa_holding_page)) +
	       rounded(nslots * sizeof(struct umpa_holding_page)) +
	       rounded(umpa_heights_leaf_nbytes(nslots)) +
	       rounded(umpa_heights_inner_nbytes(nslots));
}

static void *carve(char **memory, size_t nbytes)
{
	char *piece = *memory;

	*memory += rounded(nbytes);
	return piece;
}

void umpa_holding_init(struct umpa_holding *h, void *begin, uint32_t nslots,
	struct umpa_mover *mover, void *memory)
{
	char *at = memory;
	struct umpa_run_map *maps = carve(&at, nslots * sizeof(*maps));
	struct umpa_extent *tags = carve(&at, nslots * sizeof(*tags));
	void *leaf;

	memset(h, 0, sizeof(*h));
	h->begin = begin;
	h->nslots = nslots;
	h->nbytes = (size_t)nslots << SLOT_SHIFT;
	h->mover = mover;
	umpa_extents_init(&h->extents, tags);
	h->extents.origin = (uint32_t)((uintptr_t)begin >> SLOT_SHIFT);
	h->page = carve(&at, nslots * SLOT_NPAGES * sizeof(*h->page));
	h->slot = carve(&at, nslots * sizeof(*h->slot));
	leaf = carve(&at, umpa_heights_leaf_nbytes(nslots));
	umpa_shelf_init(&h->shelf, maps, nslots, leaf, at);
}

enum umpa_extent_kind umpa_holding_kind(const struct umpa_holding *h, uint32_t i, uint32_t *n)
{
	const struct umpa_extent *tag = &h->extents.tag[i];

	*n = 1;
	if (i >= h->extents.nslots) {
		*n = h->nslots - i;
		return EXTENT_VOID;
	}
	if (!tag->kind)
		return EXTENT_RESIDENT;
	*n = tag->nslots;
	return tag->kind - 1;
}

static int page_valid(const struct umpa_holding *h, uint32_t page)
{
	uint32_t what = umpa_holding_at(h, page)->what;
	struct slot slot = slot_of(page);
	unsigned bits = what & (HOLDING_LIVE | HOLDING_KEPT);

	if (!what)
		return !is_run(h, page) ||
		       !bitmap_get(&h->shelf.map[slot.i].head, page % SLOT_NPAGES);
	if (bits != HOLDING_LIVE && bits != HOLDING_KEPT)
		return 0;
	if (is_run(h, page))
		return umpa_shelf_find(&h->shelf, slot, page % SLOT_NPAGES).npages ==
		       npages_of(what);
	return page % SLOT_NPAGES == 0 &&
	       (!tail_of(what) || h->shelf.map[slot.i + nslots_of(what)].ntail == tail_of(what));
}

int umpa_holding_valid(const struct umpa_holding *h)
{
	uint32_t npages = h->extents.nslots * (uint32_t)SLOT_NPAGES;

	for (uint32_t page = 0; page < npages; page++)
		if (!page_valid(h, page))
			return 0;
	return umpa_extents_valid(&h->extents) && umpa_shelf_valid(&h->shelf);
}
