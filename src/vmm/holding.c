#include "vmm/holding_parts.h"

#include <errno.h>
#include <string.h>
#include <umpa/page.h>

#include "base/panic.h"
#include "core/span.h"

enum {
	NTRIES = 4
};

static int is_aligned(const void *addr, uint32_t align)
{
	return !((uintptr_t)addr & (((uintptr_t)align << PAGE_SHIFT) - 1));
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

void umpa_holding_clear_dirty(
	char *slot, unsigned from, unsigned npages, const struct bitmap *dirty)
{
	for (unsigned p = from; p < from + npages; p++)
		if (bitmap_get(dirty, p))
			umpa_holding_clear(slot + ((size_t)p << PAGE_SHIFT), 1);
}

/* --- limbo -------------------------------------------------------------------------------- */

static struct umpa_holding_page *limbo_at(const struct umpa_holding *h, uint32_t slot)
{
	return &h->page[(size_t)slot * SLOT_NPAGES];
}

static void put_in_limbo(struct umpa_holding *h, struct slot slot, uint32_t nslots)
{
	*limbo_at(h, slot.i) = (struct umpa_holding_page){nslots, h->limbo[LIMBO_NEW]};
	h->limbo[LIMBO_NEW] = slot.i + 1;
}

static void release_limbo(struct umpa_holding *h, enum umpa_limbo list)
{
	for (uint32_t slot = h->limbo[list], next; slot; slot = next) {
		struct umpa_holding_page *p = limbo_at(h, slot - 1);

		next = p->next;
		umpa_extents_give(&h->extents, (struct slot){slot - 1}, p->what, EXTENT_VOID);
		p->what = 0;
	}
	h->limbo[list] = 0;
}

void umpa_holding_end_limbo(struct umpa_holding *h)
{
	release_limbo(h, LIMBO_OLD);
	release_limbo(h, LIMBO_NEW);
}

/* What has been in limbo until nobody remembers it is void. 1: there was such. */
static int settle_limbo(struct umpa_holding *h)
{
	int any = 0;

	for (int i = 0; i < LIMBO_NLISTS; i++) {
		if (h->limbo[LIMBO_OLD] && umpa_epoch_is_over(h->epochs, h->cpu, h->limbo_epoch)) {
			release_limbo(h, LIMBO_OLD);
			any = 1;
		}
		if (h->limbo[LIMBO_OLD] || !h->limbo[LIMBO_NEW])
			break;
		h->limbo[LIMBO_OLD] = h->limbo[LIMBO_NEW];
		h->limbo[LIMBO_NEW] = 0;
		h->limbo_epoch = umpa_epoch_begin(h->epochs);
	}
	return any;
}

/* --- giving back -------------------------------------------------------------------------- */

void umpa_holding_give_slots(
	struct umpa_holding *h, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	if (nslots && kind == EXTENT_VOID && h->epochs)
		put_in_limbo(h, slot, nslots);
	else if (nslots)
		umpa_extents_give(&h->extents, slot, nslots, kind);
}

void umpa_holding_give_pages(
	struct umpa_holding *h, struct slot slot, unsigned page, unsigned npages)
{
	if (!umpa_shelf_give(&h->shelf, slot, page, npages) || !umpa_shelf_has_spare(&h->shelf))
		return;
	umpa_shelf_remove(&h->shelf, slot);
	umpa_holding_give_slots(h, slot, 1, EXTENT_RESIDENT);
}

/* Ends a span, of which nmoved slots have no frames any more. The tail goes first: before it there
 * must be nothing but its span. */
static void end_span(struct umpa_holding *h, struct slot slot, uint32_t what, uint32_t nmoved)
{
	uint32_t nslots = nslots_of(what);

	if (tail_of(what))
		umpa_holding_give_pages(h, slot_after(slot, nslots), 0, tail_of(what));
	umpa_holding_give_slots(h, slot, nmoved, EXTENT_VOID);
	umpa_holding_give_slots(h, slot_after(slot, nmoved), nslots - nmoved, EXTENT_RESIDENT);
}

void umpa_holding_end_block(struct umpa_holding *h, uint32_t page, uint32_t nmoved)
{
	uint32_t what = umpa_holding_at(h, page)->what;

	umpa_holding_at(h, page)->what = 0;
	if (is_run(h, page))
		umpa_holding_give_pages(
			h, slot_of(page), page % SLOT_NPAGES, (unsigned)npages_of(what));
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

int umpa_holding_free_from_afar(struct umpa_holding *h, void *block)
{
	size_t at = (size_t)((char *)block - h->begin), page = at >> PAGE_SHIFT;
	struct umpa_holding_page *p = umpa_holding_at(h, page);
	uint32_t first = __atomic_load_n(&h->inbox, __ATOMIC_RELAXED);

	if (at % PAGE_NBYTES || !(p->what & HOLDING_LIVE))
		return -EINVAL;
	p->what ^= HOLDING_LIVE | HOLDING_KEPT;
	/* Release: what was done to the block is over, and to its word. */
	do {
		p->next = first;
	} while (!__atomic_compare_exchange_n(
		&h->inbox, &first, (uint32_t)page + 1, 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	return 0;
}

/* What others have freed is kept. */
static void empty_inbox(struct umpa_holding *h)
{
	uint32_t page, next;

	if (likely(!__atomic_load_n(&h->inbox, __ATOMIC_RELAXED)))
		return;
	for (page = __atomic_exchange_n(&h->inbox, 0, __ATOMIC_ACQUIRE); page; page = next) {
		struct umpa_holding_page *p = umpa_holding_at(h, page - 1);

		next = p->next;
		umpa_holding_keep(h, page - 1, p, p->what);
	}
}

int umpa_holding_flush_kept(struct umpa_holding *h)
{
	int any = 0;

	empty_inbox(h);
	for (unsigned w = 0; w < array_len(h->kept_any); w++) {
		for (; h->kept_any[w]; h->kept_any[w] &= h->kept_any[w] - 1) {
			uint32_t *link =
				&h->kept[w * 64 + (unsigned)__builtin_ctzll(h->kept_any[w])];

			for (uint32_t page = *link; page; any = 1) {
				uint32_t next = umpa_holding_at(h, page - 1)->next;

				umpa_holding_end_block(h, page - 1, 0);
				page = next;
			}
			*link = 0;
		}
	}
	return any;
}

void umpa_holding_end_kept(struct umpa_holding *h)
{
	uint32_t npages = h->extents.nslots * (uint32_t)SLOT_NPAGES;

	umpa_holding_flush_kept(h);
	for (uint32_t page = 0; page < npages; page++)
		if ((page % SLOT_NPAGES == 0 || is_run(h, page)) &&
			umpa_holding_at(h, page)->what & HOLDING_KEPT)
			umpa_holding_end_block(h, page, 0);
}

/* --- taking slots ------------------------------------------------------------------------- */

static int grant_whole(
	struct umpa_grant *g, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	if (slot_is(slot, NO_SLOT))
		return 0;
	g->slot = slot;
	g->npieces = 1;
	g->piece[0] = (struct umpa_extent_piece){slot, nslots, kind};
	return 1;
}

static int take_kind(struct umpa_holding *h, struct umpa_grant *g, uint32_t nslots, uint32_t align,
	enum umpa_extent_kind kind)
{
	return grant_whole(g, umpa_extents_take(&h->extents, kind, nslots, align), nslots, kind);
}

static int take_mixed(struct umpa_holding *h, struct umpa_grant *g, uint32_t nslots)
{
	g->npieces = umpa_extents_take_mixed(&h->extents, nslots, g->piece, GRANT_NPIECES_MAX);
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

int umpa_holding_take_void(
	struct umpa_holding *h, struct umpa_grant *g, uint32_t nslots, uint32_t align)
{
	return take_kind(h, g, nslots, align, EXTENT_VOID) ||
	       (settle_limbo(h) && take_kind(h, g, nslots, align, EXTENT_VOID)) ||
	       (grow(h, nslots, align) && take_kind(h, g, nslots, align, EXTENT_VOID));
}

static int take_once(
	struct umpa_holding *h, struct umpa_grant *g, uint32_t nslots, uint32_t align, int bare)
{
	int any = align == 1;

	if (!bare && (take_kind(h, g, nslots, align, EXTENT_RESIDENT) ||
			     (any && take_mixed(h, g, nslots))))
		return 1;
	return umpa_holding_take_void(h, g, nslots, align) ||
	       take_kind(h, g, nslots, align, EXTENT_RESIDENT) || (any && take_mixed(h, g, nslots));
}

/* Slots all of whose pages are free, but for one, are the shelf's spare. */
static int give_spare(struct umpa_holding *h)
{
	struct slot slot = umpa_shelf_remove_free(&h->shelf, 0);

	if (slot_is(slot, NO_SLOT))
		return 0;
	umpa_holding_give_slots(h, slot, 1, EXTENT_RESIDENT);
	return 1;
}

int umpa_holding_take(
	struct umpa_holding *h, struct umpa_grant *g, uint32_t nslots, uint32_t align, int bare)
{
	if (!bare && take_kind(h, g, nslots, align, EXTENT_RESIDENT))
		return 1;
	if (!bare)
		umpa_holding_flush_kept(h);
	return take_once(h, g, nslots, align, bare) ||
	       ((umpa_holding_flush_kept(h) | give_spare(h)) &&
		       take_once(h, g, nslots, align, bare));
}

/* --- frames ------------------------------------------------------------------------------- */

size_t umpa_holding_move(struct umpa_holding *h, void *dst, void *src, uint32_t nslots)
{
	size_t moved = 0;

	(void)h->mover->move(
		h->mover, dst, src, (size_t)nslots << SLOT_SHIFT, UMPA_MOVE_HOLES, &moved);
	h->nmove_calls++;
	h->nslots_moved += moved >> SLOT_SHIFT;
	return moved;
}

uint32_t umpa_holding_fill(struct umpa_holding *h, struct slot slot, uint32_t nslots)
{
	uint32_t done = 0, n, nmoved;

	while (done < nslots) {
		struct slot from = umpa_extents_take_near(
			&h->extents, EXTENT_RESIDENT, NO_SLOT, nslots - done, &n);
		size_t moved;

		if (!n && umpa_holding_flush_kept(h))
			continue;
		if (!n)
			break;
		moved = umpa_holding_move(
			h, slot_at(h, slot_after(slot, done)), slot_at(h, from), n);
		nmoved = (uint32_t)(moved >> SLOT_SHIFT);
		umpa_holding_give_slots(h, from, nmoved, EXTENT_VOID);
		umpa_holding_give_slots(h, slot_after(from, nmoved), n - nmoved, EXTENT_RESIDENT);
		done += slots_of(moved >> PAGE_SHIFT);
		if (nmoved < n)
			break;
	}
	return done;
}

void umpa_holding_clear_slots(struct umpa_holding *h, struct slot slot, uint32_t nslots)
{
	umpa_holding_clear(slot_at(h, slot), (size_t)nslots * SLOT_NPAGES);
}

void umpa_holding_ready(struct umpa_holding *h, const struct umpa_grant *g, unsigned flags)
{
	for (unsigned i = 0; i < g->npieces; i++) {
		const struct umpa_extent_piece *p = &g->piece[i];
		uint32_t ndirty = p->nslots;

		if (p->kind == EXTENT_VOID)
			ndirty = flags & UMPA_NOBACK ? 0 : umpa_holding_fill(h, p->slot, p->nslots);
		if (flags & UMPA_ZERO)
			umpa_holding_clear_slots(h, p->slot, ndirty);
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
		umpa_holding_clear_dirty(slot_at(h, run.slot), run.page, npages, &dirty);
	return begin_block(h, run.slot.i * (uint32_t)SLOT_NPAGES + run.page, npages, 0);
}

static void *alloc_run(struct umpa_holding *h, unsigned npages, uint32_t align, unsigned flags)
{
	void *block = take_run(h, npages, align, flags);
	struct umpa_grant g;

	if (!block && umpa_holding_flush_kept(h))
		block = take_run(h, npages, align, flags);
	if (block || !umpa_holding_take(h, &g, 1, 1, 0))
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
	struct umpa_grant g;
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
		umpa_holding_clear_dirty(slot_at(h, shared), 0, front.npages, &dirty);
	umpa_holding_ready(h, &g, flags);
	return begin_block(h, g.slot.i * (uint32_t)SLOT_NPAGES, npages, HOLDING_SHARED);
}

unsigned umpa_holding_share(struct umpa_holding *h, struct slot slot, size_t npages)
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
	struct umpa_grant g;

	if (npages > (size_t)h->nslots * SLOT_NPAGES)
		return NULL;
	if (umpa_span_tail_to_share(npages) && align_slots == 1 && !(flags & UMPA_NOBACK))
		block = alloc_before_front(h, npages, flags);
	if (block || !umpa_holding_take(
			     h, &g, slots_of(npages), align_slots, (flags & UMPA_NOBACK) != 0))
		return block;
	umpa_holding_ready(h, &g, flags);
	return begin_block(
		h, g.slot.i * (uint32_t)SLOT_NPAGES, npages, umpa_holding_share(h, g.slot, npages));
}

void *umpa_holding_alloc(struct umpa_holding *h, size_t npages, uint32_t align, unsigned flags)
{
	void *block = NULL;

	empty_inbox(h);
	if (!(flags & UMPA_NOBACK))
		block = take_kept(h, npages, align);
	if (block && flags & UMPA_ZERO)
		umpa_holding_clear(block, npages);
	if (block || h->is_broken)
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

/* --- the books ---------------------------------------------------------------------------- */

static size_t rounded(size_t nbytes)
{
	return rounded_up(nbytes, _Alignof(struct umpa_run_map));
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

enum umpa_holding_use umpa_holding_use(
	const struct umpa_holding *h, uint32_t i, size_t *npages, unsigned *ntail)
{
	uint32_t what = i < h->extents.nslots ? h->slot[i].what : 0;

	if (i < h->extents.nslots && is_run(h, i * (uint32_t)SLOT_NPAGES))
		return h->shelf.map[i].nfront < SLOT_NPAGES ? HELD_RUNS : HELD_FREE;
	*npages = npages_of(what);
	*ntail = tail_of(what);
	return what & HOLDING_LIVE ? HELD_SPAN : HELD_FREE;
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

/* What a slot in limbo has there is over by then. */
void umpa_holding_mark_bare(struct umpa_holding *h, uint32_t i)
{
	limbo_at(h, i)->what = 1;
}

int umpa_holding_is_bare(const struct umpa_holding *h, uint32_t i)
{
	return limbo_at(h, i)->what != 0;
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
