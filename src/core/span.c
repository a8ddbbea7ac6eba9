#include "core/span.h"

#include <string.h>

#include "core/clear.h"
#include "core/runs.h"
#include "core/space.h"

/*
 * A last slot is shared with runs where holding it whole would waste more than this share of the
 * block, so that whole blocks of any size stay within a few percent of what they need.
 */
enum {
	WASTE_SHARE = 16
};

static unsigned tail_to_share(size_t npages)
{
	unsigned tail = npages % SLOT_NPAGES;

	return npages >= SLOT_NPAGES && tail && (SLOT_NPAGES - tail) * WASTE_SHARE > npages ? tail
											    : 0;
}

/* Slots of a span that its pages touch, without the one it shares. */
static uint32_t used_slots(const struct slot_record *r)
{
	return r->ntail ? r->nslots : span_slots(r->npages);
}

static struct slot_record *record_of(struct slot slot)
{
	return &umpa_core.record[slot.i];
}

/* --- grants ------------------------------------------------------------------------------- */

/* Takes the frames from the slots of a grant, which will get others. 1, or 0 if the system refuses.
 */
static int empty(struct space_grant *g)
{
	for (unsigned i = 0; i < g->npieces; i++) {
		struct umpa_extent_piece *p = &g->piece[i];

		if (p->kind == EXTENT_RESIDENT &&
			umpa_os_unback(slot_address(p->slot), (size_t)p->nslots << SLOT_SHIFT))
			return 0;
		p->kind = EXTENT_VOID;
	}
	return 1;
}

static void give_back(const struct space_grant *g)
{
	for (unsigned i = 0; i < g->npieces; i++)
		umpa_space_give(g->piece[i].slot, g->piece[i].nslots, g->piece[i].kind);
}

/* Takes slots and sees to it that all are void. 1, or 0 if they can't be had. */
static int take_void(uint32_t nslots, uint32_t align, struct space_grant *g)
{
	if (umpa_space_take(nslots, align, PREFER_VOID, g))
		return 0;
	if (empty(g))
		return 1;
	give_back(g);
	return 0;
}

/* --- alloc -------------------------------------------------------------------------------- */

/* Makes [from, to) of the slots of a piece ready: frames from the pool if it is void, zero if
 * asked. Result: 1 if what is at the end may not be zero. */
static int ready_piece(
	const struct umpa_extent_piece *p, struct slot end, size_t npages, unsigned flags)
{
	uint32_t nslots = p->slot.i >= end.i ? 0 : end.i - p->slot.i;

	nslots = nslots < p->nslots ? nslots : p->nslots;
	if (!nslots)
		return 0;
	if (p->kind == EXTENT_VOID)
		return !(flags & UMPA_NOBACK) &&
		       umpa_space_fill(p->slot, nslots, (flags & UMPA_ZERO) != 0) == 0;
	if (flags & UMPA_ZERO)
		umpa_clear_frames(slot_address(p->slot), npages < (size_t)nslots * SLOT_NPAGES
								 ? npages
								 : (size_t)nslots * SLOT_NPAGES);
	return 1;
}

/* Makes the first npages of the grant ready. Result: 1 if the slot they end in may be dirty. */
static int ready_grant(const struct space_grant *g, size_t npages, unsigned flags)
{
	struct slot end = slot_after(g->slot, span_slots(npages));
	int dirty = 0;

	for (unsigned i = 0; i < g->npieces && g->piece[i].slot.i < end.i; i++) {
		size_t before = (size_t)(g->piece[i].slot.i - g->slot.i) * SLOT_NPAGES;

		dirty = ready_piece(&g->piece[i], end, npages - before, flags);
	}
	return dirty;
}

static void count_alloc(const struct space_grant *g, uint64_t npages_whole)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_lock_take(&s->lock);
	s->nallocs++;
	s->span_npages += npages_whole;
	for (unsigned i = 0; i < g->npieces; i++)
		if (g->piece[i].kind == EXTENT_RESIDENT)
			s->nslots_in_place += g->piece[i].nslots;
	umpa_lock_give(&s->lock);
}

static void *set_up(const struct space_grant *g, size_t npages, uint32_t nslots, unsigned tail)
{
	struct slot_record *r = record_of(g->slot);

	r->npages = npages;
	r->ntail = tail;
	r->nslots = nslots;
	slot_set_use(g->slot, SLOT_SPAN);
	count_alloc(g, npages - tail);
	return slot_address(g->slot);
}

/* A span whose tail goes to the free front of a slot that holds runs already: the tightest packing
 * there is. */
static void *alloc_before_tail(size_t npages, unsigned tail, unsigned flags)
{
	uint32_t nslots = (uint32_t)(npages / SLOT_NPAGES);
	struct space_grant g;

	if (umpa_space_take_before_tail(nslots, tail, &g))
		return NULL;
	if (!umpa_run_extend_tail(slot_after(g.slot, nslots), 0, tail, flags)) {
		give_back(&g);
		return NULL;
	}
	ready_grant(&g, npages - tail, flags);
	return set_up(&g, npages, nslots, tail);
}

/* A span on slots of its own; what the tail leaves of the last one goes to a shelf. */
static void *alloc_whole(const struct space_grant *g, size_t npages, unsigned tail, int dirty)
{
	uint32_t nslots = g->nslots - (tail != 0);

	if (tail)
		umpa_run_adopt(slot_after(g->slot, nslots), tail, FIRST_TAIL, dirty);
	return set_up(g, npages, nslots, tail);
}

void *umpa_span_alloc(size_t npages, size_t npages_room, uint32_t align, unsigned flags)
{
	int roomy = npages_room > npages, bare = roomy || flags & UMPA_NOBACK;
	unsigned tail = roomy ? 0 : tail_to_share(npages);
	struct space_grant g;
	void *block = NULL;

	if (tail && !bare && align == 1)
		block = alloc_before_tail(npages, tail, flags);
	if (block)
		return block;
	/* Room to grow must not hold frames, and NOBACK wants none. */
	if (bare ? !take_void(span_slots(npages_room), align, &g)
		 : umpa_space_take(span_slots(npages_room), align, PREFER_RESIDENT, &g))
		return NULL;
	return alloc_whole(&g, npages, tail, ready_grant(&g, npages, flags));
}

/* --- free --------------------------------------------------------------------------------- */

/* Gives the slots [from, held) of a span back, of which those below `used` may have frames. */
static void give_slots(struct slot slot, uint32_t from, uint32_t used, uint32_t held)
{
	if (from < used)
		umpa_space_give(slot_after(slot, from), used - from, EXTENT_RESIDENT);
	else
		used = from;
	if (used < held)
		umpa_space_give(slot_after(slot, used), held - used, EXTENT_VOID);
}

static void count_free(uint64_t npages_whole)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_lock_take(&s->lock);
	s->nfrees++;
	s->span_npages -= npages_whole;
	umpa_lock_give(&s->lock);
}

void umpa_span_free(struct slot slot)
{
	struct slot_record r = *record_of(slot);

	slot_set_use(slot, SLOT_INNER);
	count_free(r.npages - r.ntail);
	/* The tail goes first: before it there must be nothing but its span. */
	if (r.ntail)
		umpa_run_trim_tail(slot_after(slot, r.nslots), r.ntail, 0);
	give_slots(slot, 0, used_slots(&r), r.nslots);
}

/* --- in place ----------------------------------------------------------------------------- */

static void count_resize(int64_t npages_whole)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_lock_take(&s->lock);
	s->span_npages += (uint64_t)npages_whole;
	umpa_lock_give(&s->lock);
}

/* Zeroes the pages from npages on in the slot they end in, up to npages_end. */
static void clear_slack(struct slot slot, size_t npages, size_t npages_end)
{
	size_t slot_end = (size_t)span_slots(npages) * SLOT_NPAGES;
	size_t end = npages_end < slot_end ? npages_end : slot_end;

	if (end > npages)
		umpa_clear_frames(page_address(slot, npages), end - npages);
}

/* Makes the tail's slot the span's own, or at least longer. Result: 1 if the span has npages now, 0
 * if it has no tail any more, -1 if nothing can be done. */
static int grow_tail(struct slot slot, size_t npages, unsigned flags)
{
	struct slot_record *r = record_of(slot);
	struct slot behind = slot_after(slot, r->nslots);
	size_t nmore = npages - r->npages;

	if (r->ntail + nmore < SLOT_NPAGES &&
		umpa_run_extend_tail(behind, r->ntail, (unsigned)nmore, flags)) {
		r->ntail += (uint32_t)nmore;
		r->npages = npages;
		return 1;
	}
	if (!umpa_run_reclaim(behind, r->ntail))
		return -1;
	count_resize((int64_t)r->ntail);
	r->nslots++;
	r->ntail = 0;
	return 0;
}

static int grow_in_place(struct slot slot, size_t npages, unsigned flags)
{
	struct slot_record *r = record_of(slot);
	uint32_t need = span_slots(npages), used, room;
	struct space_grant g = {.npieces = 0};

	if (r->ntail) {
		int grown = grow_tail(slot, npages, flags);

		if (grown)
			return grown > 0;
	}
	used = span_slots(r->npages);
	room = r->nslots < need ? r->nslots : need;
	if (need > r->nslots &&
		umpa_space_take_at(slot_after(slot, r->nslots), need - r->nslots, &g))
		return 0;
	if (flags & UMPA_ZERO)
		clear_slack(slot, r->npages, npages);
	if (room > used && !(flags & UMPA_NOBACK))
		umpa_space_fill(slot_after(slot, used), room - used, (flags & UMPA_ZERO) != 0);
	if (g.npieces)
		ready_grant(&g, npages - (size_t)r->nslots * SLOT_NPAGES, flags);
	r->nslots += g.npieces ? g.nslots : 0;
	count_resize((int64_t)(npages - r->npages));
	r->npages = npages;
	return 1;
}

/* Ends a span's hold on the pages behind npages in its last slot. */
static void share_last(struct slot slot, size_t npages)
{
	struct slot_record *r = record_of(slot);
	unsigned tail = npages % SLOT_NPAGES;
	struct slot last = slot_after(slot, r->nslots - 1);

	count_resize(-(int64_t)tail);
	if (r->nslots == 1) {
		umpa_run_adopt(slot, tail, FIRST_RUN, 1);
		return;
	}
	r->nslots--;
	r->ntail = tail;
	umpa_run_adopt(last, tail, FIRST_TAIL, 1);
}

static void shrink(struct slot slot, size_t npages)
{
	struct slot_record *r = record_of(slot);
	size_t npages_whole = (size_t)r->nslots * SLOT_NPAGES;
	uint32_t used, keep = span_slots(npages);

	if (r->ntail && npages > npages_whole) {
		umpa_run_trim_tail(
			slot_after(slot, r->nslots), r->ntail, (unsigned)(npages - npages_whole));
		r->ntail = (uint32_t)(npages - npages_whole);
		r->npages = npages;
		return;
	}
	used = used_slots(r);
	if (r->ntail) {
		umpa_run_trim_tail(slot_after(slot, r->nslots), r->ntail, 0);
		r->npages -= r->ntail;
		r->ntail = 0;
	}
	count_resize((int64_t)npages - (int64_t)r->npages);
	give_slots(slot, keep, used, r->nslots);
	r->nslots = keep;
	r->npages = npages;
	if (tail_to_share(npages) || npages < SLOT_NPAGES)
		share_last(slot, npages);
}

int umpa_span_resize(struct slot slot, size_t npages, unsigned flags)
{
	struct slot_record *r = record_of(slot);

	if (npages > r->npages)
		return grow_in_place(slot, npages, flags);
	if (npages < r->npages)
		shrink(slot, npages);
	return 1;
}

/* --- moving ------------------------------------------------------------------------------- */

/* Carries the content of a span's first pages to the void slots of a grant. Result: slots whose
 * frames went. */
static uint32_t carry(const struct space_grant *g, struct slot slot, uint32_t nslots, size_t npages,
	unsigned flags)
{
	const struct slot_record *r = record_of(slot);
	uint32_t nwhole = used_slots(r) < nslots ? used_slots(r) : nslots;
	uint32_t need = span_slots(npages), nmoved;
	size_t nbytes = r->npages << PAGE_SHIFT;
	size_t moved = umpa_space_move(g->slot, slot, nwhole);

	nmoved = (uint32_t)(moved >> SLOT_SHIFT);
	if (nmoved < need && !(flags & UMPA_NOBACK))
		umpa_space_fill(
			slot_after(g->slot, nmoved), need - nmoved, (flags & UMPA_ZERO) != 0);
	if (moved < nbytes)
		memcpy((char *)slot_address(g->slot) + moved, (char *)slot_address(slot) + moved,
			nbytes - moved);
	if (flags & UMPA_ZERO)
		clear_slack(g->slot, r->npages, npages);
	event_add(&umpa_core.events.nslots_copied, nwhole - nmoved);
	return nmoved;
}

/* Gives back what a moved span has left behind: nmoved of its slots are void. */
static void leave(struct slot slot, uint32_t nmoved)
{
	struct slot_record r = *record_of(slot);

	slot_set_use(slot, SLOT_INNER);
	count_free(r.npages - r.ntail);
	if (r.ntail)
		umpa_run_trim_tail(slot_after(slot, r.nslots), r.ntail, 0);
	if (nmoved)
		umpa_space_give(slot, nmoved, EXTENT_VOID);
	give_slots(slot, nmoved, used_slots(&r), r.nslots);
}

void *umpa_span_move(
	struct slot slot, size_t npages, size_t npages_room, uint32_t align, unsigned flags)
{
	unsigned tail = npages_room > npages ? 0 : tail_to_share(npages);
	struct space_grant g;
	uint32_t nmoved;

	if (!take_void(span_slots(npages_room), align, &g))
		return NULL;
	nmoved = carry(&g, slot, g.nslots - (tail != 0), npages, flags);
	leave(slot, nmoved);
	return alloc_whole(&g, npages, tail, 1);
}
