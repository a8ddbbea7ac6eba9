/* What becomes of pages that are mapped, and exact ones. */
#include <errno.h>
#include <string.h>

#include "core/carry.h"
#include "core/clear.h"
#include "mm/left.h"
#include "mm/pages_parts.h"

static const struct bitmap *used(struct slot slot)
{
	return &umpa_core.map[slot.i].used;
}

/* --- ending ------------------------------------------------------------------------------- */

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

/* Ends what is mapped of a part of a whole slot. Result: how many pages. */
static unsigned end_whole(struct part p, enum umpa_extent_kind kind, struct leaving *l)
{
	struct umpa_pages_shard *s = umpa_pages_shard_of(p.slot);
	unsigned end = p.page + p.npages;
	int left = slot_left(p.slot);

	if (p.npages == SLOT_NPAGES) {
		leave(l, p.slot, kind == EXTENT_RESIDENT ? umpa_left_kind(p.slot) : kind);
		return p.npages;
	}
	umpa_pages_shelve_free(s, p.slot, kind == EXTENT_RESIDENT);
	slot_set_left(p.slot, left);
	if (p.page)
		umpa_shelf_take_at(&s->shelf, p.slot, 0, p.page, NULL);
	if (end < SLOT_NPAGES)
		umpa_shelf_take_at(&s->shelf, p.slot, end, SLOT_NPAGES - end, NULL);
	return p.npages;
}

/* The same of a slot on a shelf, which may hold anything. */
static unsigned end_part(struct part p, struct leaving *l)
{
	struct umpa_shelf *shelf = &umpa_pages_shard_of(p.slot)->shelf;
	unsigned end = p.page + p.npages, at = p.page, n = 0;

	while ((at = bitmap_next(used(p.slot), NULL, at, end)) < end) {
		unsigned row_end = bitmap_next(NULL, used(p.slot), at, end);

		n += row_end - at;
		if (umpa_shelf_give_part(shelf, p.slot, at, row_end - at)) {
			umpa_shelf_remove(shelf, p.slot);
			leave(l, p.slot, umpa_left_kind(p.slot));
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

		/* Another's were nobody's when the lock was taken. */
		if (is_shards(s, p.slot))
			n += is_whole(p.slot) ? end_whole(p, kind, &l) : end_part(p, &l);
		first += p.npages;
	}
	give_leaving(&l);
	return n;
}

void umpa_pages_end(size_t first, size_t end, enum umpa_extent_kind kind)
{
	count(-(int64_t)end_range(NULL, first, end, kind));
}

void umpa_pages_end_of_shard(
	const struct umpa_pages_shard *s, size_t first, size_t end, enum umpa_extent_kind kind)
{
	count(-(int64_t)end_range(s, first, end, kind));
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
			&umpa_pages_shard_of(p.slot)->shelf, p.slot, p.page, p.npages, &t->dirty);
	if (umpa_space_take_inside(p.slot, 1, &g))
		return 0;
	dirty = g.piece[0].kind == EXTENT_RESIDENT;
	umpa_pages_shelve(umpa_pages_my_shard(), p, dirty);
	memset(&t->dirty, dirty ? 0xff : 0, sizeof(t->dirty));
	return 1;
}

static int take_slots(struct part p, uint32_t nslots, struct space_grant *g)
{
	if (umpa_space_take_inside(p.slot, nslots, g))
		return 0;
	umpa_pages_keep_whole(p.slot, nslots);
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
