#include "mm/mapping.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "core/clear.h"
#include "core/fork.h"
#include "core/space.h"
#include "mm/attributes.h"

static struct {
	struct umpa_lock lock;
	int ready; /* atomic */
	struct umpa_shelf shelf;
	struct umpa_attributes attributes;
	void *heights;
	size_t heights_nbytes;
} mappings = {.lock = UMPA_LOCK_INITIALIZER(LOCK_MAPPING)};

/* Pages of one slot. */
struct part {
	struct slot slot;
	unsigned page, npages;
};

static void lock(void)
{
	umpa_lock_take(&mappings.lock);
}

static void unlock(void)
{
	umpa_lock_give(&mappings.lock);
}

static char *address(size_t page)
{
	return page_address((struct slot){0}, page);
}

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

static void count(size_t npages)
{
	event_add(&umpa_core.events.nmappings, 1);
	event_add(&umpa_core.events.mapping_nbytes, npages << PAGE_SHIFT);
}

static void count_end(size_t npages)
{
	event_add(&umpa_core.events.mapping_nbytes, -(uint64_t)(npages << PAGE_SHIFT));
}

/* --- start -------------------------------------------------------------------------------- */

static int start(void)
{
	uint32_t nslots = umpa_core.window.nslots;
	size_t leaf = pages_of(umpa_heights_leaf_nbytes(nslots)) << PAGE_SHIFT;
	size_t nbytes = leaf + (pages_of(umpa_heights_inner_nbytes(nslots)) << PAGE_SHIFT);
	void *memory;

	if (!nslots || umpa_os_map(nbytes, &memory))
		return 0;
	if (umpa_attributes_init(&mappings.attributes, nslots)) {
		umpa_os_unmap(memory, nbytes);
		return 0;
	}
	mappings.heights = memory;
	mappings.heights_nbytes = nbytes;
	umpa_shelf_init(&mappings.shelf, umpa_core.map, nslots, memory, (char *)memory + leaf);
	return 1;
}

int umpa_mapping_need(void)
{
	int ready = __atomic_load_n(&mappings.ready, __ATOMIC_ACQUIRE);

	if (likely(ready))
		return 1;
	lock();
	ready = mappings.ready || start();
	__atomic_store_n(&mappings.ready, ready, __ATOMIC_RELEASE);
	unlock();
	return ready;
}

void umpa_mapping_stop(void)
{
	if (!mappings.ready)
		return;
	umpa_attributes_fini(&mappings.attributes);
	umpa_os_unmap(mappings.heights, mappings.heights_nbytes);
	mappings.ready = 0;
}

/* When the library is loaded: fork takes the lock before all others. */
__attribute__((constructor)) static void register_fork(void)
{
	umpa_fork_above = (struct umpa_fork_above){lock, unlock};
}

/* --- slots -------------------------------------------------------------------------------- */

/* Puts a slot on the shelf, without a page that is mapped; dirty: they may hold anything. */
static void shelve_free(struct slot slot, int dirty)
{
	umpa_shelf_add(&mappings.shelf, slot, 0, FIRST_RUN, dirty);
	slot_set_use(slot, SLOT_PART_MAPPED);
}

/* The same with these pages mapped. */
static void shelve(struct part p, int dirty)
{
	shelve_free(p.slot, dirty);
	umpa_shelf_take_at(&mappings.shelf, p.slot, p.page, p.npages, NULL);
}

static void keep_whole(struct slot slot, uint32_t nslots)
{
	for (uint32_t i = 0; i < nslots; i++)
		slot_set_use(slot_after(slot, i), SLOT_MAPPED);
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

static int restock(void)
{
	struct space_grant g;

	if (umpa_space_take(1, 1, PREFER_RESIDENT, &g))
		return 0;
	lock();
	shelve_free(g.slot, g.piece[0].kind == EXTENT_RESIDENT);
	unlock();
	return 1;
}

/* The pages of a grant become mapped; dirty: those behind them in the last slot may hold
 * anything. */
static void *keep(const struct space_grant *g, size_t npages, int dirty)
{
	uint32_t nwhole = (uint32_t)(npages / SLOT_NPAGES);

	keep_whole(g->slot, nwhole);
	if (npages % SLOT_NPAGES) {
		lock();
		shelve((struct part){slot_after(g->slot, nwhole), 0, npages % SLOT_NPAGES}, dirty);
		unlock();
	}
	return slot_address(g->slot);
}

/* Maps exactly these pages of a slot on the shelf, if they are free still. */
static int take_on_shelf(struct slot slot, unsigned page, unsigned npages)
{
	struct bitmap dirty;
	int got;

	lock();
	got = is_part(slot) && umpa_shelf_take_at(&mappings.shelf, slot, page, npages, &dirty);
	unlock();
	if (got)
		umpa_clear_dirty(slot_address(slot), page, npages, &dirty);
	return got;
}

/* Whole slots, and what is over them in the free front of the slot behind. */
static void *new_before(size_t npages)
{
	uint32_t nslots = (uint32_t)(npages / SLOT_NPAGES);
	unsigned over = npages % SLOT_NPAGES;
	struct space_grant g;

	if (umpa_space_take_before_tail(SLOT_PART_MAPPED, nslots, over, &g))
		return NULL;
	if (!take_on_shelf(slot_after(g.slot, nslots), 0, over)) {
		umpa_space_give_grant(&g);
		return NULL;
	}
	umpa_space_ready(&g, npages - over, UMPA_ZERO);
	return keep(&g, npages - over, 0);
}

/* Pages in the free back of a slot, `least` to `most` of them, and the others in the nslots slots
 * behind. */
static void *new_behind(size_t npages, uint32_t nslots, unsigned least, unsigned most)
{
	unsigned before;
	struct space_grant g;

	if (least > most ||
		umpa_space_take_behind_back(SLOT_PART_MAPPED, nslots, least, 0, &g, &before))
		return NULL;
	before = before < most ? before : most;
	if (!before || !take_on_shelf((struct slot){g.slot.i - 1}, SLOT_NPAGES - before, before)) {
		umpa_space_give_grant(&g);
		return NULL;
	}
	npages -= before;
	return (char *)keep(&g, npages, umpa_space_ready(&g, npages, UMPA_ZERO)) -
	       ((size_t)before << PAGE_SHIFT);
}

/*
 * Where slots with free pages at an end have free slots beside them: so that what mappings have
 * over whole slots does not take a slot each. The lengths from which on a back is used in part are
 * those that were measured for spans and runs.
 */
static void *new_beside(size_t npages)
{
	uint32_t nslots = (uint32_t)(npages / SLOT_NPAGES);
	unsigned over = npages % SLOT_NPAGES, least = nslots ? 192 : 16;
	void *p = NULL;

	if (!over)
		return NULL;
	if (nslots)
		p = new_before(npages);
	if (!p && nslots)
		p = new_behind(npages, nslots, over, over);
	return p ? p : new_behind(npages, nslots + 1, least, over - 1);
}

static void *new_part(unsigned npages)
{
	struct umpa_run run;
	struct bitmap dirty;

	lock();
	while (!umpa_shelf_take(&mappings.shelf, npages, 1, &run, &dirty)) {
		void *p;

		unlock();
		p = new_beside(npages);
		if (p || !restock())
			return p;
		lock();
	}
	unlock();
	umpa_clear_dirty(slot_address(run.slot), run.page, npages, &dirty);
	return page_address(run.slot, run.page);
}

static void *new_slots(size_t npages)
{
	struct space_grant g;
	void *p;

	if (!fits_window(npages))
		return NULL;
	p = new_beside(npages);
	if (p || umpa_space_take(slots_of(npages), 1, PREFER_RESIDENT, &g))
		return p;
	return keep(&g, npages, umpa_space_ready(&g, npages, UMPA_ZERO));
}

void *umpa_mapping_new(size_t npages)
{
	void *p = npages < SLOT_NPAGES ? new_part((unsigned)npages) : new_slots(npages);

	if (p)
		count(npages);
	return p;
}

/* --- ending ------------------------------------------------------------------------------- */

static void tell_mover(size_t first, size_t nbytes)
{
	struct umpa_mover *m = &umpa_core.mover;

	/* One that is chosen later begins with all of the window. */
	if (__atomic_load_n(&umpa_core.mover_state, __ATOMIC_ACQUIRE) == MOVER_CHOSEN && m->renewed)
		m->renewed(m, address(first), nbytes);
}

/* Makes one row of like pages ordinary. */
static int restore_row(size_t first, size_t end, unsigned attributes)
{
	size_t nbytes = (end - first) << PAGE_SHIFT;
	int error;

	if (attributes & PAGE_ODD)
		error = umpa_os_renew(address(first), nbytes, umpa_core.huge);
	else
		error = umpa_os_protect(address(first), nbytes, PROT_READ | PROT_WRITE);
	if (error)
		return error;
	if (attributes & PAGE_ODD)
		tell_mover(first, nbytes);
	umpa_attributes_change(&mappings.attributes, first, end, attributes, 0);
	return 0;
}

static int restore(size_t first, size_t end)
{
	int error = 0;
	size_t row_end;

	for (; !error && first < end; first = row_end) {
		unsigned attributes =
			umpa_attributes_row(&mappings.attributes, first, end, &row_end);

		if (attributes)
			error = restore_row(first, row_end, attributes);
	}
	return error;
}

/* Ends what is mapped of a part of a whole slot. Result: how many pages. */
static unsigned end_whole(struct part p, enum umpa_extent_kind kind, struct leaving *l)
{
	unsigned end = p.page + p.npages;

	if (p.npages == SLOT_NPAGES) {
		leave(l, p.slot, kind);
		return p.npages;
	}
	shelve_free(p.slot, 1);
	if (p.page)
		umpa_shelf_take_at(&mappings.shelf, p.slot, 0, p.page, NULL);
	if (end < SLOT_NPAGES)
		umpa_shelf_take_at(&mappings.shelf, p.slot, end, SLOT_NPAGES - end, NULL);
	return p.npages;
}

/* The same of a slot on the shelf. */
static unsigned end_part(struct part p, enum umpa_extent_kind kind, struct leaving *l)
{
	unsigned end = p.page + p.npages, at = p.page, n = 0;

	while ((at = bitmap_next(used(p.slot), NULL, at, end)) < end) {
		unsigned row_end = bitmap_next(NULL, used(p.slot), at, end);

		n += row_end - at;
		if (umpa_shelf_give_part(&mappings.shelf, p.slot, at, row_end - at)) {
			umpa_shelf_remove(&mappings.shelf, p.slot);
			leave(l, p.slot, kind);
			return n;
		}
		at = row_end;
	}
	return n;
}

/* Ends what is mapped of the range, which is ordinary; the slots before nvoid have no frames.
 * Result: how many pages. */
static size_t end_range(size_t first, size_t end, struct slot nvoid)
{
	struct leaving l = {.nslots = 0};
	size_t n = 0;

	while (first < end) {
		struct part p = first_part(first, end);
		enum umpa_extent_kind kind = p.slot.i < nvoid.i ? EXTENT_VOID : EXTENT_RESIDENT;

		if (is_whole(p.slot))
			n += end_whole(p, kind, &l);
		else if (is_part(p.slot))
			n += end_part(p, kind, &l);
		first += p.npages;
	}
	give_leaving(&l);
	return n;
}

int umpa_mapping_end(size_t first, size_t end)
{
	int error;

	lock();
	error = restore(first, end);
	if (!error)
		count_end(end_range(first, end, (struct slot){0}));
	unlock();
	umpa_space_keep_limit();
	return error;
}

/* --- exact pages -------------------------------------------------------------------------- */

/* Pages taken at their place, and what they held before. */
struct taken {
	struct part part;
	struct bitmap dirty;
};

static int take_part(struct taken *t)
{
	struct part p = t->part;
	struct space_grant g;
	int dirty;

	if (is_part(p.slot))
		return umpa_shelf_take_at(&mappings.shelf, p.slot, p.page, p.npages, &t->dirty);
	if (umpa_space_take_inside(p.slot, 1, &g))
		return 0;
	dirty = g.piece[0].kind == EXTENT_RESIDENT;
	shelve(p, dirty);
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

/* What a range is taken in: a part, whole slots, a part. */
struct range_taken {
	struct taken front, back;
	struct space_grant middle;
};

/* Takes the range if all of it is free. */
static int take_range(size_t first, size_t end, struct range_taken *t)
{
	size_t at = first;
	struct part p = first_part(first, end);
	uint32_t nslots;

	memset(t, 0, sizeof(*t));
	if (p.npages < SLOT_NPAGES) {
		t->front.part = p;
		if (!take_part(&t->front))
			return 0;
		at += p.npages;
	}
	nslots = (uint32_t)((end - at) / SLOT_NPAGES);
	if (nslots) {
		if (!take_slots(first_part(at, end), nslots, &t->middle)) {
			end_range(first, at, (struct slot){0});
			return 0;
		}
		at += (size_t)nslots * SLOT_NPAGES;
	}
	if (at < end) {
		t->back.part = first_part(at, end);
		if (!take_part(&t->back)) {
			end_range(first, at, (struct slot){0});
			return 0;
		}
	}
	return 1;
}

static void clear_taken(const struct taken *t)
{
	if (t->part.npages)
		umpa_clear_dirty(
			slot_address(t->part.slot), t->part.page, t->part.npages, &t->dirty);
}

static int extend(size_t first, size_t end, struct range_taken *t)
{
	if (!fits_window(end) || !take_range(first, end, t))
		return -ENOMEM;
	event_add(&umpa_core.events.mapping_nbytes, (end - first) << PAGE_SHIFT);
	return 0;
}

int umpa_mapping_extend(size_t first, size_t end)
{
	struct range_taken t;
	int error;

	lock();
	error = extend(first, end, &t);
	unlock();
	if (error)
		return error;
	clear_taken(&t.front);
	if (t.middle.npieces)
		umpa_space_ready(&t.middle, (size_t)t.middle.nslots * SLOT_NPAGES, UMPA_ZERO);
	clear_taken(&t.back);
	return 0;
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
	size_t moved = nwhole ? umpa_space_move(g->slot, from, nwhole) : 0;
	uint32_t nmoved = (uint32_t)(moved >> SLOT_SHIFT);

	umpa_space_fill(slot_after(g->slot, nmoved), g->nslots - nmoved, 1);
	memcpy((char *)slot_address(g->slot) + moved, address(first) + moved, nbytes - moved);
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
	lock();
	count_end(end_range(first, end, (struct slot){(uint32_t)(first / SLOT_NPAGES) + nmoved}));
	unlock();
	return slot_address(g.slot);
}

static void *move_bytes(size_t first, size_t end, size_t npages)
{
	void *to = new_part((unsigned)npages);

	if (!to)
		return NULL;
	memcpy(to, address(first), (end - first) << PAGE_SHIFT);
	lock();
	count_end(end_range(first, end, (struct slot){0}));
	unlock();
	return to;
}

void *umpa_mapping_move(size_t first, size_t end, size_t npages)
{
	uint32_t nwhole;
	void *to;

	lock();
	nwhole = whole_slots(first, end);
	unlock();
	to = npages < SLOT_NPAGES ? move_bytes(first, end, npages)
				  : move_slots(first, end, npages, nwhole);
	if (to)
		event_add(&umpa_core.events.mapping_nbytes, npages << PAGE_SHIFT);
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

static size_t row(size_t first, size_t end, int *mapped)
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

size_t umpa_mapping_row(size_t first, size_t end, int *mapped)
{
	size_t row_end;

	lock();
	row_end = row(first, end, mapped);
	unlock();
	return row_end;
}

/* --- attributes --------------------------------------------------------------------------- */

static int is_ordinary(size_t first, size_t end)
{
	size_t row_end;

	return !umpa_attributes_row(&mappings.attributes, first, end, &row_end) && row_end == end;
}

static unsigned attributes_of_prot(int prot)
{
	unsigned attributes = 0;

	attributes |= prot & PROT_READ ? 0 : PAGE_UNREADABLE;
	attributes |= prot & PROT_WRITE ? 0 : PAGE_UNWRITABLE;
	attributes |= prot & PROT_EXEC ? PAGE_EXECUTABLE : 0;
	return attributes;
}

static int prot_of_attributes(unsigned attributes)
{
	return (attributes & PAGE_UNREADABLE ? 0 : PROT_READ) |
	       (attributes & PAGE_UNWRITABLE ? 0 : PROT_WRITE) |
	       (attributes & PAGE_EXECUTABLE ? PROT_EXEC : 0);
}

int umpa_mapping_prot(size_t first, size_t end)
{
	unsigned attributes;
	size_t row_end;

	lock();
	attributes = umpa_attributes_row(&mappings.attributes, first, end, &row_end);
	unlock();
	if (row_end < end)
		return MAPPING_MIXED;
	return attributes & PAGE_ODD ? MAPPING_ODD : prot_of_attributes(attributes);
}

static int protect_row(size_t first, size_t end, int prot)
{
	struct umpa_attributes *a = &mappings.attributes;
	unsigned attributes = attributes_of_prot(prot);
	int error = attributes ? umpa_attributes_need(a, end) : 0;

	if (error)
		return error;
	error = umpa_os_protect(address(first), (end - first) << PAGE_SHIFT, prot);
	if (!error)
		umpa_attributes_change(a, first, end, PAGE_GUARDED, attributes);
	else if (error != -EINVAL && attributes) /* it may have got half-way */
		umpa_attributes_change(a, first, end, 0, PAGE_ODD);
	return error;
}

int umpa_mapping_protect(size_t first, size_t end, int prot)
{
	int mapped, error = 0;
	size_t row_end;

	lock();
	row_end = row(first, end, &mapped);
	if (mapped)
		error = protect_row(first, row_end, prot);
	unlock();
	return error ? error : mapped && row_end == end ? 0 : -ENOMEM;
}

static int advise_row(size_t first, size_t end, int advice, int lasting)
{
	int error = lasting ? umpa_attributes_need(&mappings.attributes, end) : 0;

	if (error)
		return error;
	if (lasting)
		umpa_attributes_change(&mappings.attributes, first, end, 0, PAGE_ODD);
	return umpa_os_advise(address(first), (end - first) << PAGE_SHIFT, advice);
}

int umpa_mapping_advise(size_t first, size_t end, int advice, int lasting)
{
	int mapped, error = 0, missing = 0;
	size_t row_end;

	lock();
	for (; !error && first < end; first = row_end) {
		row_end = row(first, end, &mapped);
		missing |= !mapped;
		if (mapped)
			error = advise_row(first, row_end, advice, lasting);
	}
	unlock();
	return error ? error : missing ? -ENOMEM : 0;
}

int umpa_mapping_expect_oddity(size_t first, size_t end)
{
	size_t row_end;
	int mapped, error;

	lock();
	error = umpa_attributes_need(&mappings.attributes, end);
	for (; !error && first < end; first = row_end) {
		row_end = row(first, end, &mapped);
		if (mapped)
			umpa_attributes_change(&mappings.attributes, first, row_end, 0, PAGE_ODD);
	}
	unlock();
	return error;
}

/* --- over mappings ------------------------------------------------------------------------ */

/* Rows of a range that were free before something was mapped over it. */
enum {
	NROWS_MAX = 8
};

struct rows {
	size_t first[NROWS_MAX], end[NROWS_MAX];
	unsigned n;
};

static void end_rows(const struct rows *r)
{
	for (unsigned i = 0; i < r->n; i++)
		count_end(end_range(r->first[i], r->end[i], (struct slot){0}));
}

/* Maps what of the range is not. */
static int take_rest(size_t first, size_t end, struct rows *r)
{
	struct range_taken t;
	size_t row_end;
	int mapped;

	for (r->n = 0; first < end; first = row_end) {
		row_end = row(first, end, &mapped);
		if (mapped)
			continue;
		if (r->n == NROWS_MAX || extend(first, row_end, &t)) {
			end_rows(r);
			return -ENOMEM;
		}
		r->first[r->n] = first;
		r->end[r->n++] = row_end;
	}
	return 0;
}

int umpa_mapping_again(size_t first, size_t end)
{
	struct rows rest;
	int error;

	lock();
	error = restore(first, end);
	if (!error)
		error = take_rest(first, end, &rest);
	unlock();
	if (!error)
		umpa_clear_frames(address(first), end - first);
	return error;
}

intptr_t umpa_mapping_over(
	size_t first, size_t end, int prot, intptr_t (*map)(void *arg), void *arg)
{
	struct rows rest;
	intptr_t got;

	lock();
	got = umpa_attributes_need(&mappings.attributes, end);
	if (!got)
		got = take_rest(first, end, &rest);
	if (!got) {
		got = map(arg);
		if (umpa_os_failed(got))
			end_rows(&rest);
		else
			umpa_attributes_change(&mappings.attributes, first, end, PAGE_GUARDED,
				PAGE_ODD | attributes_of_prot(prot));
	}
	unlock();
	return got;
}

/* --- for tests ---------------------------------------------------------------------------- */

static int slot_valid(struct slot slot)
{
	size_t first = (size_t)slot.i * SLOT_NPAGES, end = first + SLOT_NPAGES, row_end;
	int mapped;

	if (is_part(slot) == !umpa_heights_get(&mappings.shelf.heights, slot.i))
		return 0;
	if (!is_part(slot) && !is_whole(slot))
		return is_ordinary(first, end);
	for (size_t at = first; at < end; at = row_end) {
		row_end = row(at, end, &mapped);
		if (!mapped && !is_ordinary(at, row_end))
			return 0;
	}
	return 1;
}

int umpa_mapping_valid(void)
{
	int ok;

	if (!mappings.ready)
		return 1;
	lock();
	ok = umpa_shelf_valid(&mappings.shelf);
	for (uint32_t i = 0; ok && i < umpa_window_nslots_open(&umpa_core.window); i++)
		ok = slot_valid((struct slot){i});
	unlock();
	return ok;
}
