#include "frame/shelf.h"

#include <string.h>

#include "base/panic.h"

/* Slots tried for a run that must be aligned, before one is taken that fits however it lies. */
enum {
	NTRIES = 16
};

static void set_tail(struct umpa_run_map *m, unsigned ntail)
{
	__atomic_store_n(&m->ntail, (uint16_t)ntail, __ATOMIC_RELAXED);
}

static unsigned count_back(const struct bitmap *used)
{
	for (unsigned w = BITMAP_NWORDS; w-- > 0;)
		if (used->word[w])
			return (BITMAP_NWORDS - 1 - w) * 64 +
			       (unsigned)__builtin_clzll(used->word[w]);
	return BITMAP_NBITS;
}

/* Notes what a slot has to offer now. */
static void rate(struct umpa_shelf *s, struct slot slot)
{
	struct umpa_run_map *m = &s->map[slot.i];

	m->longest = (uint16_t)umpa_bitmap_longest_clear(&m->used);
	__atomic_store_n(&m->nfront, (uint16_t)bitmap_next_set(&m->used, 0), __ATOMIC_RELAXED);
	__atomic_store_n(&m->nback, (uint16_t)count_back(&m->used), __ATOMIC_RELAXED);
	umpa_heights_set(&s->heights, slot.i, (int16_t)(m->longest + 1));
}

static struct slot find_slot(struct umpa_shelf *s, uint32_t from, unsigned npages)
{
	return (struct slot){umpa_heights_find(&s->heights, from, (int16_t)(npages + 1))};
}

void umpa_shelf_init(
	struct umpa_shelf *s, struct umpa_run_map *maps, uint32_t nslots, void *leaf, void *inner)
{
	memset(s, 0, sizeof(*s));
	s->map = maps;
	umpa_heights_init(&s->heights, nslots, leaf, inner);
}

void umpa_shelf_add(struct umpa_shelf *s, struct slot slot, unsigned npages,
	enum umpa_shelf_part part, int dirty)
{
	struct umpa_run_map *m = &s->map[slot.i];
	unsigned page = part == LAST_RUN ? SLOT_NPAGES - npages : 0;

	memset(&m->used, 0, sizeof(m->used));
	memset(&m->head, 0, sizeof(m->head));
	memset(&m->dirty, dirty ? 0xff : 0, sizeof(m->dirty));
	set_tail(m, part == FIRST_TAIL ? npages : 0);
	bitmap_set_range(&m->used, page, npages);
	bitmap_set_range(&m->dirty, page, npages);
	if (part != FIRST_TAIL && npages)
		bitmap_set(&m->head, page);
	s->nslots++;
	s->nfree_pages += SLOT_NPAGES - npages;
	rate(s, slot);
}

static void use_pages(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty)
{
	struct umpa_run_map *m = &s->map[slot.i];

	if (dirty)
		*dirty = m->dirty;
	bitmap_set_range(&m->used, page, npages);
	bitmap_set_range(&m->dirty, page, npages);
	s->nfree_pages -= npages;
	rate(s, slot);
}

int umpa_shelf_take(struct umpa_shelf *s, unsigned npages, unsigned align, struct umpa_run *run,
	struct bitmap *dirty)
{
	unsigned sure = npages + align - 1 < SLOT_NPAGES ? npages + align - 1 : SLOT_NPAGES;
	struct slot slot = find_slot(s, 0, npages);

	for (int i = 1; !slot_is(slot, NO_SLOT); i++) {
		struct umpa_run_map *m = &s->map[slot.i];
		unsigned page = umpa_bitmap_find_clear(&m->used, npages, align);

		if (page != BITMAP_NBITS) {
			*run = (struct umpa_run){slot, (uint16_t)page, (uint16_t)npages};
			bitmap_set(&m->head, page);
			use_pages(s, slot, page, npages, dirty);
			return 1;
		}
		slot = i < NTRIES ? find_slot(s, slot.i + 1, npages)
				  : find_slot(s, i == NTRIES ? 0 : slot.i + 1, sure);
	}
	return 0;
}

int umpa_shelf_take_back(
	struct umpa_shelf *s, struct slot slot, unsigned npages, struct bitmap *dirty)
{
	unsigned page = SLOT_NPAGES - npages;

	if (!umpa_heights_get(&s->heights, slot.i) ||
		bitmap_any_in(&s->map[slot.i].used, page, npages))
		return 0;
	bitmap_set(&s->map[slot.i].head, page);
	use_pages(s, slot, page, npages, dirty);
	return 1;
}

struct umpa_run umpa_shelf_find(const struct umpa_shelf *s, struct slot slot, unsigned page)
{
	const struct umpa_run_map *m = &s->map[slot.i];
	unsigned end, next;

	if (!bitmap_get(&m->head, page))
		return (struct umpa_run){slot, (uint16_t)page, 0};
	end = bitmap_next_clear(&m->used, page);
	next = bitmap_next_set(&m->head, page + 1);
	if (next < end)
		end = next;
	return (struct umpa_run){slot, (uint16_t)page, (uint16_t)(end - page)};
}

static void leave(struct umpa_shelf *s, struct slot slot)
{
	struct umpa_run_map *m = &s->map[slot.i];

	set_tail(m, 0);
	umpa_heights_set(&s->heights, slot.i, 0);
	s->nslots--;
	s->nfree_pages -= SLOT_NPAGES - bitmap_count(&m->used);
}

int umpa_shelf_give(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_run_map *m = &s->map[slot.i];

	bitmap_clear_range(&m->used, page, npages);
	bitmap_clear(&m->head, page);
	if (page < m->ntail)
		set_tail(m, page);
	s->nfree_pages += npages;
	rate(s, slot);
	return m->longest == SLOT_NPAGES;
}

void umpa_shelf_remove(struct umpa_shelf *s, struct slot slot)
{
	INVARIANT(s->map[slot.i].longest == SLOT_NPAGES);
	leave(s, slot);
}

int umpa_shelf_has_spare(struct umpa_shelf *s)
{
	struct slot slot = find_slot(s, 0, SLOT_NPAGES);

	return !slot_is(slot, NO_SLOT) && !slot_is(find_slot(s, slot.i + 1, SLOT_NPAGES), NO_SLOT);
}

int umpa_shelf_extend(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty)
{
	struct umpa_run_map *m = &s->map[slot.i];

	if (!umpa_heights_get(&s->heights, slot.i) || page + npages > SLOT_NPAGES ||
		bitmap_any_in(&m->used, page, npages))
		return 0;
	if (page == m->ntail)
		set_tail(m, page + npages);
	use_pages(s, slot, page, npages, dirty);
	return 1;
}

int umpa_shelf_remove_tail(struct umpa_shelf *s, struct slot slot, unsigned ntail)
{
	const struct umpa_run_map *m = &s->map[slot.i];

	if (bitmap_next_clear(&m->used, 0) != ntail ||
		bitmap_next_set(&m->used, ntail) != BITMAP_NBITS)
		return 0;
	leave(s, slot);
	return 1;
}

struct slot umpa_shelf_remove_free(struct umpa_shelf *s)
{
	struct slot slot = find_slot(s, 0, SLOT_NPAGES);

	if (!slot_is(slot, NO_SLOT))
		leave(s, slot);
	return slot;
}

static int slot_valid(const struct umpa_run_map *m)
{
	for (unsigned p = 0; p < SLOT_NPAGES; p++) {
		int used = bitmap_get(&m->used, p);

		if (bitmap_get(&m->head, p) && (!used || p < m->ntail))
			return 0;
		if (used &&
			(!bitmap_get(&m->dirty, p) || (p < m->ntail && bitmap_get(&m->head, p))))
			return 0;
		/* A used page that begins nothing has a used page before it, or is the tail's. */
		if (used && !bitmap_get(&m->head, p) && p >= m->ntail &&
			(!p || !bitmap_get(&m->used, p - 1)))
			return 0;
		if (p < m->ntail && !used)
			return 0;
	}
	return umpa_bitmap_longest_clear(&m->used) == m->longest &&
	       bitmap_next_set(&m->used, 0) == m->nfront;
}

int umpa_shelf_valid(const struct umpa_shelf *s)
{
	uint32_t nslots = 0, nfree = 0;

	for (uint32_t i = 0; i < s->heights.nused; i++) {
		const struct umpa_run_map *m = &s->map[i];

		if (!umpa_heights_get(&s->heights, i))
			continue;
		if (umpa_heights_get(&s->heights, i) != m->longest + 1 || !slot_valid(m))
			return 0;
		nslots++;
		nfree += SLOT_NPAGES - bitmap_count(&m->used);
	}
	return nslots == s->nslots && nfree == s->nfree_pages && umpa_heights_valid(&s->heights);
}
