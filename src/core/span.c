#include "core/span.h"

#include <errno.h>
#include <string.h>

#include "core/carry.h"
#include "core/clear.h"
#include "core/recent.h"
#include "core/runs.h"
#include "core/shard.h"
#include "core/space.h"
#include "core/span_slots.h"
#include "core/untouched.h"

/* A head is so long at least where sizes repeat. */
enum {
	DENSE_NPAGES_MIN = 16
};

static uint32_t slots_of_align(size_t align)
{
	return align <= SLOT_NPAGES ? 1 : (uint32_t)(align / SLOT_NPAGES);
}

/* Slots of a span that its pages touch, without the one it shares. */
static uint32_t used_slots(const struct slot_record *r)
{
	return r->ntail ? r->nslots : slots_of(r->npages);
}

static struct slot_record *record_of(struct slot slot)
{
	return &umpa_core.record[slot.i];
}

static struct slot slot_before(struct slot slot)
{
	return (struct slot){slot.i - 1};
}

/* --- alloc -------------------------------------------------------------------------------- */

static struct umpa_span_books *books(void)
{
	return &umpa_shard_of_thread()->spans;
}

static uint32_t nslots_in_place(const struct space_grant *g)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < g->npieces; i++)
		n += g->piece[i].kind == EXTENT_RESIDENT ? g->piece[i].nslots : 0;
	return n;
}

/* npages: without the head. */
static void *set_up(const struct space_grant *g, size_t npages, uint32_t nslots, unsigned tail,
	unsigned head, struct umpa_lack lack)
{
	struct slot_record *r = record_of(g->slot);

	r->npages = npages;
	r->ntail = (uint16_t)tail;
	r->nslots = nslots;
	r->lack = lack.slots;
	r->is_left = lack.is_left;
	slot_set_nhead(g->slot, head);
	slot_set_use(g->slot, SLOT_SPAN);
	umpa_books_alloc(books(), npages - tail, nslots_in_place(g));
	return umpa_span_begin(g->slot);
}

void umpa_span_adopt(struct slot slot, size_t npages, uint32_t nslots, unsigned tail)
{
	(void)set_up(&(struct space_grant){.slot = slot}, npages, nslots, tail, 0,
		(struct umpa_lack){0, 0});
}

struct readied {
	int dirty; /* as umpa_carry_ready() has it */
	struct umpa_lack lack;
};

static int is_bare(struct slot slot, uint32_t nslots)
{
	return !umpa_os_bare(slot_address(slot), (size_t)nslots * SLOT_NPAGES);
}

/* Looks at what of a grant is only believed to be resident, perhaps. Void slots between others get
 * frames here. */
static void look_at(struct space_grant *g)
{
	for (unsigned i = 0; i < g->npieces; i++) {
		struct umpa_extent_piece *p = &g->piece[i];

		if (p->kind != EXTENT_RESIDENT)
			continue;
		umpa_untouched_note_looked(p->nslots);
		if (is_bare(p->slot, p->nslots))
			p->kind = EXTENT_VOID;
		else
			for (uint32_t k = 0; p->nslots > 1 && k < p->nslots; k++)
				if (is_bare(slot_after(p->slot, k), 1))
					umpa_carry_fill(slot_after(p->slot, k), 1, 0);
	}
}

/* umpa_carry_ready() for a span of npages, the last `tail` of which are in a slot that is shared,
 * if that is the grant's; or it lacks frames. */
static struct readied ready(struct space_grant *g, size_t npages, unsigned tail, unsigned flags)
{
	uint32_t nslots = slots_of(npages), nwhole = nslots - (tail != 0);
	int may_lack = !(flags & (UMPA_NOBACK | UMPA_BACKED | SPAN_GROWS)) && g->nslots == nslots;
	int is_tail_void = tail && g->piece[g->npieces - 1].kind == EXTENT_VOID;
	struct readied r = {0};
	unsigned backing;

	if (unlikely(umpa_untouched_doubts()))
		look_at(g);
	if (unlikely(umpa_untouched_all_left()))
		umpa_untouched_watch(g);
	if (may_lack)
		r.lack = umpa_untouched_leave(g, nwhole);
	backing = r.lack.is_left ? UMPA_NOBACK : 0;
	if (may_lack && is_tail_void && umpa_untouched_all_left()) {
		(void)umpa_carry_ready(g, npages - tail, flags | backing);
		return r;
	}
	r.dirty = umpa_carry_ready(g, npages, flags | backing);
	if (r.lack.is_left && is_tail_void)
		r.dirty =
			!umpa_carry_fill(slot_after(g->slot, nwhole), 1, (flags & UMPA_ZERO) != 0);
	return r;
}

/* A span whose tail goes to the free front of a slot that holds runs already: the tightest packing
 * there is. NULL, and the slots given back: there is no room any more. */
static void *alloc_before_tail(struct space_grant *g, size_t npages, unsigned tail, unsigned flags)
{
	if (!umpa_run_extend_tail(slot_after(g->slot, g->nslots), 0, tail, flags)) {
		umpa_space_give_grant(g);
		return NULL;
	}
	return set_up(g, npages, g->nslots, tail, 0, ready(g, npages - tail, 0, flags).lack);
}

/* A span on slots of its own; what the tail leaves of the last one goes to a shelf. npages: without
 * the head. */
static void *alloc_whole(
	const struct space_grant *g, size_t npages, unsigned tail, unsigned head, struct readied r)
{
	uint32_t nslots = g->nslots - (tail != 0);

	if (tail)
		umpa_run_adopt(slot_after(g->slot, nslots), tail, FIRST_TAIL, r.dirty);
	return set_up(g, npages, nslots, tail, head, r.lack);
}

/*
 * Blocks of one size after another, and those one page over whole slots, as blocks with a header
 * are, take all of a free back: each begins where the one before ends. Else there would be slots
 * with a few pages in use at each end and nothing between. Where sizes differ, to keep whole
 * superpages together packs tighter. (400 MiB in blocks of 4 MiB and a byte: peak 403 MiB instead
 * of 513; of 2.4 MB 401 instead of 533. Done for all, it made the peak of the scaling test's A
 * rise, and that of mixed blocks of 2 to 4 MiB, from 1.12 to 1.21 of what is live.)
 */
static int is_repeated(size_t npages)
{
	struct umpa_shard *s = umpa_shard_of_thread();

	if (__atomic_load_n(&s->uneven_npages, __ATOMIC_RELAXED) == npages)
		return 1;
	__atomic_store_n(&s->uneven_npages, npages, __ATOMIC_RELAXED);
	return 0;
}

static int begins_early(uint32_t nslots, int dense, unsigned nback)
{
	return dense && nslots > 1 && nback >= DENSE_NPAGES_MIN && nback < SLOT_NPAGES;
}

/* A span that begins in the free back of a slot that holds runs already. What is over whole slots
 * is its head, if there is room (or more than that, begins_early()), and else as much of it as
 * there is room for. NULL as above. */
static void *alloc_behind_head(struct space_grant *g, size_t npages, const struct space_wish *w,
	unsigned nback, unsigned flags)
{
	unsigned head = w->over, tail;

	if (g->nslots == w->nslots)
		head = nback < w->over ? nback : w->over - 1;
	else if (begins_early(g->nslots, w->least == DENSE_NPAGES_MIN, nback))
		head = nback;
	if (!head || !umpa_run_take_head(slot_before(g->slot), head, flags)) {
		umpa_space_give_grant(g);
		return NULL;
	}
	npages -= head;
	tail = (w->over - head) % SLOT_NPAGES;
	return alloc_whole(g, npages, tail, head, ready(g, npages, tail, flags));
}

int umpa_span_is_tight(struct slot slot)
{
	return record_of(slot)->nslots == used_slots(record_of(slot));
}

int umpa_span_fits(struct slot slot, size_t npages, uint32_t align)
{
	const struct slot_record *r = record_of(slot);

	if ((uintptr_t)umpa_span_begin(slot) & (((uintptr_t)align << PAGE_SHIFT) - 1))
		return 0;
	if (r->nhead || r->ntail)
		return umpa_span_npages(slot) == npages;
	return !umpa_span_tail_to_share(npages) && slots_of(npages) == r->nslots;
}

/* A block that was freed lately, once more; npages: all of them. */
static void *alloc_again(size_t npages, uint32_t align, unsigned flags)
{
	struct slot slot = umpa_recent_take(npages, align);
	struct slot_record *r;

	if (slot_is(slot, NO_SLOT))
		return NULL;
	r = record_of(slot);
	r->npages = npages - r->nhead;
	slot_set_use(slot, SLOT_SPAN);
	if (flags & UMPA_ZERO) {
		umpa_clear_frames(umpa_span_begin(slot), r->nhead);
		umpa_clear_frames(slot_address(slot), r->npages);
	}
	return umpa_span_begin(slot);
}

/* Room to grow must not hold frames, and UMPA_NOBACK wants none. */
static void *alloc_void(size_t npages, size_t npages_room, uint32_t align, unsigned flags)
{
	unsigned tail = npages_room > npages ? 0 : umpa_span_tail_to_share(npages);
	struct space_grant g;

	if (umpa_space_take_void(slots_of(npages_room), slots_of_align(align), &g))
		return NULL;
	return alloc_whole(&g, npages, tail, 0, ready(&g, npages, tail, flags));
}

/* Where the wish is fulfilled. What has room no more, when it comes to it, is not asked for again.
 */
static void *alloc_at(struct space_wish w, size_t npages, unsigned flags)
{
	struct space_grant g;
	void *block = NULL;
	unsigned nback;

	while (!block)
		switch (umpa_space_take_place(&w, &g, &nback)) {
		case PLACE_BEFORE:
			block = alloc_before_tail(&g, npages, w.over, flags);
			w.before = 0;
			break;
		case PLACE_BEHIND:
			block = alloc_behind_head(&g, npages, &w, nback, flags);
			w.behind = 0;
			break;
		case PLACE_OWN:
			return alloc_whole(&g, npages, w.over, 0, ready(&g, npages, w.over, flags));
		default:
			return NULL;
		}
	return block;
}

void *umpa_span_alloc(size_t npages, size_t npages_room, uint32_t align, unsigned flags)
{
	unsigned tail = umpa_span_tail_to_share(npages);
	int may_have_head = tail && align == 1 && !(flags & SPAN_GROWS);
	struct space_wish w = {
		slots_of(npages), slots_of_align(align), tail, 0, may_have_head, 0, 0};
	int is_dense = tail == 1;
	void *block;

	if (npages_room > npages || flags & UMPA_NOBACK)
		return alloc_void(npages, npages_room, align, flags);
	block = alloc_again(npages, align, flags);
	if (!block && may_have_head && is_repeated(npages)) {
		is_dense = 1;
		umpa_recent_flush();
		if (npages <= RUN_LONG_NPAGES_MAX)
			block = umpa_run_alloc_long((unsigned)npages, flags);
	}
	if (block)
		return block;
	w.before = w.align == 1;
	w.least = is_dense ? DENSE_NPAGES_MIN : SPAN_HEAD_NPAGES_MIN;
	w.may_grow = is_dense && w.nslots > 2;
	return alloc_at(w, npages, flags);
}

/* --- free --------------------------------------------------------------------------------- */

/* Ends a span of which nhead pages stay, as a run, and nmoved slots are void. */
static void end(struct slot slot, unsigned nhead, uint32_t nmoved)
{
	struct slot_record r = *record_of(slot);

	slot_set_use(slot, SLOT_INNER);
	/* The tail goes first: before it there must be nothing but its span. */
	if (r.ntail)
		umpa_run_trim_tail(slot_after(slot, r.nslots), r.ntail, 0);
	if (r.nhead)
		umpa_run_end_head(slot_before(slot), r.nhead, nhead);
	if (nmoved)
		umpa_space_give(slot, nmoved, EXTENT_VOID);
	umpa_span_give_slots(&r, slot, nmoved, used_slots(&r));
}

void umpa_span_release(struct slot slot)
{
	const struct slot_record *r = record_of(slot);

	umpa_books_free(books(), r->npages - r->ntail);
	end(slot, 0, 0);
}

/* Of two threads that free it at once, one sees that the other was first. */
static int take_from_owner(struct slot slot)
{
	uint32_t use = SLOT_SPAN;

	return __atomic_compare_exchange_n(&record_of(slot)->use, &use, SLOT_INNER, 0,
		       __ATOMIC_RELAXED, __ATOMIC_RELAXED)
		       ? 0
		       : -EINVAL;
}

int umpa_span_dissolve(struct slot slot)
{
	struct slot_record *r = record_of(slot);

	if (r->nhead || r->ntail || take_from_owner(slot))
		return -EINVAL;
	umpa_span_forget_lack(r, 0);
	umpa_books_free(books(), r->npages);
	return 0;
}

int umpa_span_free(struct slot slot)
{
	if (take_from_owner(slot))
		return -EINVAL;
	if (!umpa_recent_put(slot))
		umpa_span_release(slot);
	return 0;
}

/* --- in place ----------------------------------------------------------------------------- */

/* Zeroes the pages from npages on in the slot they end in, up to npages_end. */
static void clear_slack(struct slot slot, size_t npages, size_t npages_end)
{
	size_t slot_end = (size_t)slots_of(npages) * SLOT_NPAGES;
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
		r->ntail = (uint16_t)(r->ntail + nmore);
		r->npages = npages;
		return 1;
	}
	if (!umpa_run_reclaim(behind, r->ntail))
		return -1;
	umpa_books_resize(books(), (int64_t)r->ntail);
	r->nslots++;
	r->ntail = 0;
	return 0;
}

static int grow_in_place(struct slot slot, size_t npages, unsigned flags)
{
	struct slot_record *r = record_of(slot);
	uint32_t need = slots_of(npages), used, room;
	struct space_grant g = {.npieces = 0};

	if (r->ntail) {
		int grown = grow_tail(slot, npages, flags);

		if (grown)
			return grown > 0;
	}
	used = slots_of(r->npages);
	room = r->nslots < need ? r->nslots : need;
	if (need > r->nslots &&
		umpa_space_take_at(slot_after(slot, r->nslots), need - r->nslots, &g))
		return 0;
	if (flags & UMPA_NOBACK && umpa_space_empty(&g)) {
		umpa_space_give_grant(&g);
		return 0;
	}
	if (flags & UMPA_ZERO)
		clear_slack(slot, r->npages, npages);
	if (room > used && !(flags & UMPA_NOBACK))
		umpa_carry_fill(slot_after(slot, used), room - used, (flags & UMPA_ZERO) != 0);
	if (g.npieces)
		umpa_carry_ready(&g, npages - (size_t)r->nslots * SLOT_NPAGES, flags);
	r->nslots += g.npieces ? g.nslots : 0;
	umpa_books_resize(books(), (int64_t)(npages - r->npages));
	r->npages = npages;
	return 1;
}

/* Ends a span's hold on the pages behind npages in its last slot. */
static void share_last(struct slot slot, size_t npages)
{
	struct slot_record *r = record_of(slot);
	unsigned tail = npages % SLOT_NPAGES;
	struct slot last = slot_after(slot, r->nslots - 1);

	umpa_books_resize(books(), -(int64_t)tail);
	umpa_span_forget_lack(r, r->nslots - 1);
	if (r->nslots == 1) {
		unsigned head = r->nhead;

		slot_set_nhead(slot, 0);
		umpa_run_adopt(slot, tail, head ? FIRST_TAIL : FIRST_RUN, 1);
		return;
	}
	r->nslots--;
	r->ntail = (uint16_t)tail;
	umpa_run_adopt(last, tail, FIRST_TAIL, 1);
}

static void shrink(struct slot slot, size_t npages)
{
	struct slot_record *r = record_of(slot);
	size_t npages_whole = (size_t)r->nslots * SLOT_NPAGES;
	uint32_t used, keep = slots_of(npages);

	if (r->ntail && npages > npages_whole) {
		umpa_run_trim_tail(
			slot_after(slot, r->nslots), r->ntail, (unsigned)(npages - npages_whole));
		r->ntail = (uint16_t)(npages - npages_whole);
		r->npages = npages;
		return;
	}
	used = used_slots(r);
	if (r->ntail) {
		umpa_run_trim_tail(slot_after(slot, r->nslots), r->ntail, 0);
		r->npages -= r->ntail;
		r->ntail = 0;
	}
	umpa_books_resize(books(), (int64_t)npages - (int64_t)r->npages);
	umpa_span_give_slots(r, slot, keep, used);
	r->nslots = keep;
	r->npages = npages;
	if (umpa_span_tail_to_share(npages) || npages < SLOT_NPAGES)
		share_last(slot, npages);
}

int umpa_span_resize(struct slot slot, size_t npages, unsigned flags)
{
	const struct slot_record *r = record_of(slot);

	if (npages <= r->nhead) {
		umpa_books_resize(books(), -(int64_t)(r->npages - r->ntail));
		end(slot, (unsigned)npages, 0);
		return 1;
	}
	npages -= r->nhead;
	if (npages > r->npages)
		return grow_in_place(slot, npages, flags);
	if (npages < r->npages)
		shrink(slot, npages);
	return 1;
}

/* --- moving ------------------------------------------------------------------------------- */

/* Carries the content of a span's first slots to void ones. Result: slots whose frames went. */
static uint32_t carry(
	struct slot to, struct slot slot, uint32_t nslots, size_t npages, unsigned flags)
{
	const struct slot_record *r = record_of(slot);
	uint32_t nwhole = used_slots(r) < nslots ? used_slots(r) : nslots;
	uint32_t need = slots_of(npages), nmoved, nbegun;
	size_t nbytes = r->npages << PAGE_SHIFT;
	size_t moved = umpa_carry_move(to, slot, nwhole);

	nmoved = (uint32_t)(moved >> SLOT_SHIFT);
	/* A slot that has got a part of its frames is void no more: to fill it might clear them. */
	nbegun = slots_of(moved >> PAGE_SHIFT);
	if (nbegun < need && !(flags & UMPA_NOBACK))
		umpa_carry_fill(slot_after(to, nbegun), need - nbegun, (flags & UMPA_ZERO) != 0);
	if (moved < nbytes)
		memcpy((char *)slot_address(to) + moved, (char *)slot_address(slot) + moved,
			nbytes - moved);
	if (flags & UMPA_ZERO)
		clear_slack(to, r->npages, npages);
	event_add(&umpa_core.events.nslots_copied, nwhole - nmoved);
	return nmoved;
}

/* Takes the first of the void slots of a grant for a copy of a span's head: so what follows lies in
 * its slots as it did, and can move. The slot's other pages are for runs. */
static void carry_head(struct space_grant *g, struct slot slot, unsigned head)
{
	size_t nbytes = (size_t)head << PAGE_SHIFT;

	umpa_carry_fill(g->slot, 1, 0);
	g->slot = slot_after(g->slot, 1);
	g->nslots--;
	memcpy((char *)slot_address(g->slot) - nbytes, (char *)slot_address(slot) - nbytes, nbytes);
	umpa_run_adopt(slot_before(g->slot), head, LAST_RUN, 1);
}

void *umpa_span_move(
	struct slot slot, size_t npages, size_t npages_room, uint32_t align, unsigned flags)
{
	const struct slot_record *r = record_of(slot);
	unsigned head = r->nhead, tail;
	int roomy = npages_room > npages;
	struct space_grant g;
	uint32_t nmoved;

	npages -= head;
	tail = roomy ? 0 : umpa_span_tail_to_share(npages);
	if ((head && align > 1) || umpa_space_take_void(slots_of(npages_room - head) + (head != 0),
					   slots_of_align(align), &g))
		return NULL;
	if (head)
		carry_head(&g, slot, head);
	nmoved = carry(g.slot, slot, g.nslots - (tail != 0), npages, flags);
	umpa_books_free(books(), r->npages - r->ntail);
	end(slot, 0, nmoved);
	return alloc_whole(&g, npages, tail, head, (struct readied){.dirty = 1});
}
