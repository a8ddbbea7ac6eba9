#include "frame/shelf.h"

#include <string.h>

#include "base/panic.h"

static void link_slot(struct umpa_shelf *s, struct slot slot, unsigned longest)
{
	struct umpa_run_map *m = &s->map[slot.i];

	m->longest = (uint16_t)longest;
	m->prev = 0;
	m->next = s->head[longest];
	if (m->next)
		s->map[m->next - 1].prev = slot.i + 1;
	s->head[longest] = slot.i + 1;
	s->nonempty[longest / 64] |= (uint64_t)1 << (longest % 64);
}

static void unlink_slot(struct umpa_shelf *s, struct slot slot)
{
	struct umpa_run_map *m = &s->map[slot.i];

	if (m->prev)
		s->map[m->prev - 1].next = m->next;
	else
		s->head[m->longest] = m->next;
	if (m->next)
		s->map[m->next - 1].prev = m->prev;
	if (!s->head[m->longest])
		s->nonempty[m->longest / 64] &= ~((uint64_t)1 << (m->longest % 64));
}

/* Lists the slot where it belongs now. */
static void relist(struct umpa_shelf *s, struct slot slot)
{
	unsigned longest = umpa_bitmap_longest_clear(&s->map[slot.i].used);

	if (longest == s->map[slot.i].longest)
		return;
	unlink_slot(s, slot);
	link_slot(s, slot, longest);
}

void umpa_shelf_init(struct umpa_shelf *s, struct umpa_run_map *maps)
{
	memset(s, 0, sizeof(*s));
	s->map = maps;
}

void umpa_shelf_add(struct umpa_shelf *s, struct slot slot, unsigned nfirst,
	enum umpa_shelf_first first, int dirty)
{
	struct umpa_run_map *m = &s->map[slot.i];

	memset(m, 0, sizeof(*m));
	if (dirty)
		memset(&m->dirty, 0xff, sizeof(m->dirty));
	bitmap_set_range(&m->used, 0, nfirst);
	bitmap_set_range(&m->dirty, 0, nfirst);
	if (first == FIRST_RUN && nfirst)
		bitmap_set(&m->head, 0);
	else
		m->ntail = (uint16_t)nfirst;
	s->nslots++;
	s->nfree_pages += SLOT_NPAGES - nfirst;
	link_slot(s, slot, SLOT_NPAGES - nfirst);
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
	relist(s, slot);
}

static unsigned next_list(const struct umpa_shelf *s, unsigned from)
{
	for (unsigned w = from / 64; w < array_len(s->nonempty); w++) {
		uint64_t x = s->nonempty[w];

		if (w == from / 64)
			x &= ~(uint64_t)0 << (from % 64);
		if (x)
			return w * 64 + (unsigned)__builtin_ctzll(x);
	}
	return SLOT_NPAGES + 1;
}

int umpa_shelf_take(struct umpa_shelf *s, unsigned npages, unsigned align, struct umpa_run *run,
	struct bitmap *dirty)
{
	/* The newest slot of each list is tried; rows this long fit at any alignment. */
	for (unsigned list = next_list(s, npages); list <= SLOT_NPAGES;
		list = next_list(s, list + 1)) {
		struct slot slot = {s->head[list] - 1};
		struct umpa_run_map *m = &s->map[slot.i];
		unsigned page = umpa_bitmap_find_clear(&m->used, npages, align);

		if (page == BITMAP_NBITS)
			continue;
		*run = (struct umpa_run){slot, (uint16_t)page, (uint16_t)npages};
		bitmap_set(&m->head, page);
		use_pages(s, slot, page, npages, dirty);
		return 1;
	}
	return 0;
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

	unlink_slot(s, slot);
	s->nslots--;
	s->nfree_pages -= SLOT_NPAGES - bitmap_count(&m->used);
}

int umpa_shelf_give(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_run_map *m = &s->map[slot.i];

	bitmap_clear_range(&m->used, page, npages);
	bitmap_clear(&m->head, page);
	if (page < m->ntail)
		m->ntail = (uint16_t)page;
	s->nfree_pages += npages;
	relist(s, slot);
	return m->longest == SLOT_NPAGES;
}

void umpa_shelf_remove(struct umpa_shelf *s, struct slot slot)
{
	INVARIANT(s->map[slot.i].longest == SLOT_NPAGES);
	leave(s, slot);
}

int umpa_shelf_has_spare(const struct umpa_shelf *s)
{
	uint32_t link = s->head[SLOT_NPAGES];

	return link && s->map[link - 1].next;
}

int umpa_shelf_extend(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty)
{
	struct umpa_run_map *m = &s->map[slot.i];

	if (page + npages > SLOT_NPAGES || bitmap_any_in(&m->used, page, npages))
		return 0;
	if (page == m->ntail)
		m->ntail = (uint16_t)(page + npages);
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
	struct slot slot = {s->head[SLOT_NPAGES] - 1};

	if (!s->head[SLOT_NPAGES])
		return NO_SLOT;
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
	return umpa_bitmap_longest_clear(&m->used) == m->longest;
}

int umpa_shelf_valid(const struct umpa_shelf *s)
{
	uint32_t nslots = 0, nfree = 0;

	for (unsigned list = 0; list <= SLOT_NPAGES; list++) {
		if (!s->head[list] != !(s->nonempty[list / 64] >> (list % 64) & 1))
			return 0;
		for (uint32_t link = s->head[list]; link; link = s->map[link - 1].next) {
			const struct umpa_run_map *m = &s->map[link - 1];

			if (m->longest != list || !slot_valid(m))
				return 0;
			nslots++;
			nfree += SLOT_NPAGES - bitmap_count(&m->used);
		}
	}
	return nslots == s->nslots && nfree == s->nfree_pages;
}
