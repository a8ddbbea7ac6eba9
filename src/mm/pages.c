#include "mm/pages.h"

#include <errno.h>
#include <string.h>

#include "core/carry.h"
#include "core/clear.h"
#include "core/shard.h"

/* What threads of one shard of the core have mapped: whole slots, and those on its shelf. */
struct umpa_pages_shard {
	struct umpa_lock lock;
	unsigned number;
	int is_ready; /* has its shelf. atomic */
	struct umpa_shelf shelf;
	void *heights;
	size_t heights_nbytes;
} __attribute__((aligned(SHARD_ALIGN)));

static struct {
	struct umpa_lock lock; /* of the start, a shard's too; taken first where all are */
	struct umpa_pages_shard *shards;
	unsigned nshards; /* 0: not started */
} mappings = {.lock = UMPA_LOCK_INITIALIZER(LOCK_MAPPING)};

/* A new mapping begins in the free back of a slot, with a part of itself, if so many pages are free
 * there: lengths that were measured for spans and runs (HEAD_NPAGES_MIN, STRADDLE_NPAGES_MIN). */
enum {
	BACK_NPAGES_MIN = 192,
	BACK_NPAGES_MIN_BELOW_SLOT = 16,
	OVER_EDGE_NPAGES_MAX = 16
};

/* Pages of one slot. */
struct part {
	struct slot slot;
	unsigned page, npages;
};

static int fits_window(size_t npages)
{
	return npages <= (size_t)umpa_core.window.nslots * SLOT_NPAGES;
}

/* The part of [first, end) that lies in the slot of its first page. */
static struct part first_part(size_t first, size_t end)
{
	struct part p = {{(uint32_t)(first / SLOT_NPAGES)}, first % SLOT_NPAGES, 0};

	p.npages = (unsigned)SLOT_NPAGES - p.page;
	if (p.npages > end - first)
		p.npages = (unsigned)(end - first);
	return p;
}

static enum slot_use use_of(struct slot slot)
{
	return slot.i < umpa_window_nslots_open(&umpa_core.window) ? slot_use(slot) : SLOT_INNER;
}

static int is_whole(struct slot slot)
{
	return use_of(slot) == SLOT_MAPPED;
}

static int is_part(struct slot slot)
{
	return use_of(slot) == SLOT_PART_MAPPED;
}

static const struct bitmap *used(struct slot slot)
{
	return &umpa_core.map[slot.i].used;
}

static void count(int64_t npages)
{
	event_add(&umpa_shard_of_thread()->mapped_npages, (uint64_t)npages);
}

/* --- locks -------------------------------------------------------------------------------- */

static int is_ready(const struct umpa_pages_shard *s)
{
	return likely(__atomic_load_n(&s->is_ready, __ATOMIC_ACQUIRE));
}

void umpa_pages_lock(void)
{
	umpa_lock_take(&mappings.lock);
	for (unsigned i = 0; i < mappings.nshards; i++)
		if (is_ready(&mappings.shards[i]))
			umpa_lock_take(&mappings.shards[i].lock);
}

void umpa_pages_unlock(void)
{
	for (unsigned i = mappings.nshards; i-- > 0;)
		if (is_ready(&mappings.shards[i]))
			umpa_lock_give(&mappings.shards[i].lock);
	umpa_lock_give(&mappings.lock);
}

static struct umpa_pages_shard *shard_of(struct slot slot)
{
	return &mappings.shards[slot_shard(slot)];
}

/* The first shard of which the range has a page; the first of all if nobody's are. */
static struct umpa_pages_shard *some_shard_of(size_t first, size_t end)
{
	for (; first < end; first += first_part(first, end).npages) {
		struct slot slot = first_part(first, end).slot;

		if (is_whole(slot) || is_part(slot))
			return shard_of(slot);
	}
	return mappings.shards;
}

/* Nothing that is mapped of the range is another shard's. */
static int is_all_of(const struct umpa_pages_shard *s, size_t first, size_t end)
{
	for (; first < end; first += first_part(first, end).npages) {
		struct slot slot = first_part(first, end).slot;

		if ((is_whole(slot) || is_part(slot)) && shard_of(slot) != s)
			return 0;
	}
	return 1;
}

void umpa_pages_lock_start(void)
{
	umpa_lock_take(&mappings.lock);
}

void umpa_pages_unlock_start(void)
{
	umpa_lock_give(&mappings.lock);
}

struct umpa_pages_shard *umpa_pages_lock_shard(size_t first, size_t end)
{
	struct umpa_pages_shard *s = some_shard_of(first, end);

	umpa_lock_take(&s->lock);
	if (likely(is_all_of(s, first, end)))
		return s;
	umpa_lock_give(&s->lock);
	return NULL;
}

void umpa_pages_unlock_shard(struct umpa_pages_shard *s)
{
	umpa_lock_give(&s->lock);
}

/* --- start -------------------------------------------------------------------------------- */

static size_t shards_nbytes(unsigned nshards)
{
	return pages_of(nshards * sizeof(struct umpa_pages_shard)) << PAGE_SHIFT;
}

/* Gives a shard its shelf; with the start's lock. */
static int make_ready(struct umpa_pages_shard *s)
{
	uint32_t nslots = umpa_core.window.nslots;
	size_t leaf = pages_of(umpa_heights_leaf_nbytes(nslots)) << PAGE_SHIFT;
	int error;

	s->heights_nbytes = leaf + (pages_of(umpa_heights_inner_nbytes(nslots)) << PAGE_SHIFT);
	error = umpa_os_map(s->heights_nbytes, &s->heights);
	if (error)
		return error;
	umpa_shelf_init(&s->shelf, umpa_core.map, nslots, s->heights, (char *)s->heights + leaf);
	__atomic_store_n(&s->is_ready, 1, __ATOMIC_RELEASE);
	return 0;
}

int umpa_pages_start(void)
{
	unsigned nshards = umpa_core.nshards;
	void *memory;
	int error =
		umpa_core.window.nslots ? umpa_os_map(shards_nbytes(nshards), &memory) : -ENOMEM;

	if (error)
		return error;
	mappings.shards = memory;
	for (unsigned i = 0; i < nshards; i++) {
		umpa_lock_init(&mappings.shards[i].lock, LOCK_MAPPING);
		mappings.shards[i].number = i;
	}
	error = make_ready(&mappings.shards[0]);
	if (error)
		umpa_os_unmap(memory, shards_nbytes(nshards));
	else
		mappings.nshards = nshards;
	return error;
}

void umpa_pages_stop(void)
{
	for (unsigned i = 0; i < mappings.nshards; i++)
		if (is_ready(&mappings.shards[i]))
			umpa_os_unmap(
				mappings.shards[i].heights, mappings.shards[i].heights_nbytes);
	umpa_os_unmap(mappings.shards, shards_nbytes(mappings.nshards));
	mappings.nshards = 0;
}

/* This thread's, or the first where the thread's is not ready. */
static struct umpa_pages_shard *my_shard(void)
{
	struct umpa_pages_shard *s = &mappings.shards[umpa_shard_of_thread()->number];

	return is_ready(s) ? s : mappings.shards;
}

/* A shard has a shelf, and so superpages of its own, once its threads have mapped this often: of
 * many threads that map a little, each would have a superpage for it. */
enum {
	NMAPPINGS_SHARED = 16
};

/* Makes this thread's shard ready where it is time, and there is memory for it. Without locks. */
static void need_shard(void)
{
	const struct umpa_shard *of_core = umpa_shard_of_thread();
	struct umpa_pages_shard *s = &mappings.shards[of_core->number];

	if (is_ready(s) ||
		__atomic_load_n(&of_core->nmappings, __ATOMIC_RELAXED) < NMAPPINGS_SHARED)
		return;
	umpa_pages_lock_start();
	if (!is_ready(s))
		(void)!make_ready(s);
	umpa_pages_unlock_start();
}

/* --- slots -------------------------------------------------------------------------------- */

/* Puts a slot on a shard's shelf, without a page that is mapped; dirty: they may hold anything. */
static void shelve_free(struct umpa_pages_shard *s, struct slot slot, int dirty)
{
	slot_set_shard(slot, s->number);
	umpa_shelf_add(&s->shelf, slot, 0, FIRST_RUN, dirty);
	slot_set_use(slot, SLOT_PART_MAPPED);
}

/* The same with these pages mapped. */
static void shelve(struct umpa_pages_shard *s, struct part p, int dirty)
{
	shelve_free(s, p.slot, dirty);
	umpa_shelf_take_at(&s->shelf, p.slot, p.page, p.npages, NULL);
}

static void keep_whole(struct slot slot, uint32_t nslots)
{
	unsigned number = my_shard()->number;

	for (uint32_t i = 0; i < nslots; i++) {
		slot_set_shard(slot_after(slot, i), number);
		slot_set_use(slot_after(slot, i), SLOT_MAPPED);
	}
}

/* Slots in a row that are about to go back to the space; as one extent, if they can. */
struct leaving {
	struct slot slot;
	uint32_t nslots;
	enum umpa_extent_kind kind;
};

static void give_leaving(struct leaving *l)
{
	if (l->nslots)
		umpa_space_give(l->slot, l->nslots, l->kind);
	l->nslots = 0;
}

static void leave(struct leaving *l, struct slot slot, enum umpa_extent_kind kind)
{
	slot_set_use(slot, SLOT_INNER);
	if (l->nslots && (l->kind != kind || !slot_is(slot, slot_after(l->slot, l->nslots))))
		give_leaving(l);
	if (!l->nslots)
		*l = (struct leaving){slot, 0, kind};
	l->nslots++;
}

/* --- mapping ------------------------------------------------------------------------------ */

static int restock(struct umpa_pages_shard *s)
{
	struct space_grant g;

	if (umpa_space_take(1, 1, PREFER_RESIDENT, &g))
		return 0;
	umpa_lock_take(&s->lock);
	shelve_free(s, g.slot, g.piece[0].kind == EXTENT_RESIDENT);
	umpa_lock_give(&s->lock);
	return 1;
}

/* The pages of a grant become mapped; dirty: those behind them in the last slot may hold
 * anything. */
static void *keep(const struct space_grant *g, size_t npages, int dirty)
{
	uint32_t nwhole = (uint32_t)(npages / SLOT_NPAGES);

	keep_whole(g->slot, nwhole);
	if (npages % SLOT_NPAGES) {
		struct umpa_pages_shard *s = my_shard();

		umpa_lock_take(&s->lock);
		shelve(s, (struct part){slot_after(g->slot, nwhole), 0, npages % SLOT_NPAGES},
			dirty);
		umpa_lock_give(&s->lock);
	}
	return slot_address(g->slot);
}

/* Maps exactly these pages of a slot that was on a shelf, if they are free still. */
static int take_on_shelf(struct slot slot, unsigned page, unsigned npages, unsigned flags)
{
	struct umpa_pages_shard *s = shard_of(slot);
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
	struct space_neighbour n = {SLOT_PART_MAPPED, my_shard()->number, over};
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
	struct space_neighbour n = {SLOT_PART_MAPPED, my_shard()->number, least};
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
	least = nslots ? BACK_NPAGES_MIN : BACK_NPAGES_MIN_BELOW_SLOT;
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
	struct umpa_pages_shard *s = my_shard();
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

static void *new_slots(size_t npages, uint32_t align, unsigned flags)
{
	void *p = align == 1 && fits_window(npages) ? new_beside(npages, flags) : NULL;

	return p ? p : new_apart(npages, align, flags);
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
	need_shard();
	return counted(npages < SLOT_NPAGES ? new_part((unsigned)npages, flags)
					    : new_slots(npages, 1, flags),
		npages);
}

void *umpa_pages_new_aligned(size_t npages, uint32_t nslots, unsigned flags)
{
	need_shard();
	return counted(new_slots(npages, nslots, flags), npages);
}

void *umpa_pages_new_zero(size_t npages, uint32_t nslots, int is_void)
{
	need_shard();
	return counted(
		is_void ? new_void(npages, nslots) : new_apart(npages, nslots, UMPA_ZERO), npages);
}

/* --- ending ------------------------------------------------------------------------------- */

/* Ends what is mapped of a part of a whole slot. Result: how many pages. */
static unsigned end_whole(struct part p, enum umpa_extent_kind kind, struct leaving *l)
{
	struct umpa_pages_shard *s = shard_of(p.slot);
	unsigned end = p.page + p.npages;

	if (p.npages == SLOT_NPAGES) {
		leave(l, p.slot, kind);
		return p.npages;
	}
	shelve_free(s, p.slot, kind == EXTENT_RESIDENT);
	if (p.page)
		umpa_shelf_take_at(&s->shelf, p.slot, 0, p.page, NULL);
	if (end < SLOT_NPAGES)
		umpa_shelf_take_at(&s->shelf, p.slot, end, SLOT_NPAGES - end, NULL);
	return p.npages;
}

/* The same of a slot on a shelf, which may hold anything. */
static unsigned end_part(struct part p, struct leaving *l)
{
	struct umpa_shelf *shelf = &shard_of(p.slot)->shelf;
	unsigned end = p.page + p.npages, at = p.page, n = 0;

	while ((at = bitmap_next(used(p.slot), NULL, at, end)) < end) {
		unsigned row_end = bitmap_next(NULL, used(p.slot), at, end);

		n += row_end - at;
		if (umpa_shelf_give_part(shelf, p.slot, at, row_end - at)) {
			umpa_shelf_remove(shelf, p.slot);
			leave(l, p.slot, EXTENT_RESIDENT);
			return n;
		}
		at = row_end;
	}
	return n;
}

/* Ends what is mapped of the range by a shard's threads (NULL: by any), of which whole slots are of
 * that kind. Result: how many pages. */
static size_t end_range(
	const struct umpa_pages_shard *s, size_t first, size_t end, enum umpa_extent_kind kind)
{
	struct leaving l = {.nslots = 0};
	size_t n = 0;

	while (first < end) {
		struct part p = first_part(first, end);

		if (s && slot_shard(p.slot) != s->number)
			; /* nobody's when the lock was taken */
		else if (is_whole(p.slot))
			n += end_whole(p, kind, &l);
		else if (is_part(p.slot))
			n += end_part(p, &l);
		first += p.npages;
	}
	give_leaving(&l);
	return n;
}

void umpa_pages_end(size_t first, size_t end, enum umpa_extent_kind kind)
{
	count(-(int64_t)end_range(NULL, first, end, kind));
}

void umpa_pages_end_of_shard(const struct umpa_pages_shard *s, size_t first, size_t end)
{
	count(-(int64_t)end_range(s, first, end, EXTENT_RESIDENT));
}

/* --- exact pages -------------------------------------------------------------------------- */

static int take_part(struct umpa_pages_part *t, struct part p)
{
	struct space_grant g;
	int dirty;

	t->slot = p.slot;
	t->page = p.page;
	t->npages = p.npages;
	if (is_part(p.slot))
		return umpa_shelf_take_at(
			&shard_of(p.slot)->shelf, p.slot, p.page, p.npages, &t->dirty);
	if (umpa_space_take_inside(p.slot, 1, &g))
		return 0;
	dirty = g.piece[0].kind == EXTENT_RESIDENT;
	shelve(my_shard(), p, dirty);
	memset(&t->dirty, dirty ? 0xff : 0, sizeof(t->dirty));
	return 1;
}

static int take_slots(struct part p, uint32_t nslots, struct space_grant *g)
{
	if (umpa_space_take_inside(p.slot, nslots, g))
		return 0;
	keep_whole(p.slot, nslots);
	return 1;
}

/* Takes the range if all of it is free. */
static int take_range(size_t first, size_t end, struct umpa_pages_taken *t)
{
	size_t at = first;
	struct part p = first_part(first, end);
	uint32_t nslots;

	memset(t, 0, sizeof(*t));
	if (p.npages < SLOT_NPAGES) {
		if (!take_part(&t->front, p))
			return 0;
		at += p.npages;
	}
	nslots = (uint32_t)((end - at) / SLOT_NPAGES);
	if (nslots) {
		if (!take_slots(first_part(at, end), nslots, &t->middle)) {
			end_range(NULL, first, at, EXTENT_RESIDENT);
			return 0;
		}
		at += (size_t)nslots * SLOT_NPAGES;
	}
	if (at < end && !take_part(&t->back, first_part(at, end))) {
		end_range(NULL, first, at, EXTENT_RESIDENT);
		return 0;
	}
	return 1;
}

int umpa_pages_take(size_t first, size_t end, struct umpa_pages_taken *t)
{
	if (!fits_window(end) || !take_range(first, end, t))
		return -ENOMEM;
	count((int64_t)(end - first));
	return 0;
}

static void clear_part(const struct umpa_pages_part *p)
{
	if (p->npages)
		umpa_clear_dirty(slot_address(p->slot), p->page, p->npages, &p->dirty);
}

void umpa_pages_clear(const struct umpa_pages_taken *t)
{
	clear_part(&t->front);
	if (t->middle.npieces)
		umpa_carry_ready(&t->middle, (size_t)t->middle.nslots * SLOT_NPAGES, UMPA_ZERO);
	clear_part(&t->back);
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

	need_shard();
	umpa_pages_lock();
	nwhole = whole_slots(first, end);
	umpa_pages_unlock();
	to = npages < SLOT_NPAGES ? move_bytes(first, end, npages)
				  : move_slots(first, end, npages, nwhole);
	if (to)
		count((int64_t)npages);
	return to;
}

/* --- what is mapped ----------------------------------------------------------------------- */

/* How far the pages of a part are mapped or not, as its first page. */
static unsigned part_row(struct part p, int *mapped)
{
	unsigned end = p.page + p.npages;

	*mapped = is_whole(p.slot);
	if (!is_part(p.slot))
		return p.npages;
	*mapped = bitmap_get(used(p.slot), p.page);
	return (*mapped ? bitmap_next(NULL, used(p.slot), p.page, end)
			: bitmap_next(used(p.slot), NULL, p.page, end)) -
	       p.page;
}

size_t umpa_pages_row(size_t first, size_t end, int *mapped)
{
	size_t at = first;

	*mapped = 0;
	while (at < end) {
		struct part p = first_part(at, end);
		int is;
		unsigned n = part_row(p, &is);

		if (at == first)
			*mapped = is;
		else if (is != *mapped)
			break;
		at += n;
		if (n < p.npages)
			break;
	}
	return at;
}

/* --- for tests ---------------------------------------------------------------------------- */

static int shard_valid(const struct umpa_pages_shard *s)
{
	for (uint32_t i = 0; i < umpa_window_nslots_open(&umpa_core.window); i++) {
		int is_on = is_part((struct slot){i}) && shard_of((struct slot){i}) == s;

		if (is_on == !umpa_heights_get(&s->shelf.heights, i))
			return 0;
	}
	return umpa_shelf_valid(&s->shelf);
}

int umpa_pages_valid(void)
{
	for (unsigned n = 0; n < mappings.nshards; n++)
		if (is_ready(&mappings.shards[n]) && !shard_valid(&mappings.shards[n]))
			return 0;
	return 1;
}
