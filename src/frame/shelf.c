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

static void set_ends(struct umpa_run_map *m, unsigned nfront, unsigned nback)
{
	__atomic_store_n(&m->nfront, (uint16_t)nfront, __ATOMIC_RELAXED);
	__atomic_store_n(&m->nback, (uint16_t)nback, __ATOMIC_RELAXED);
}

static void clear_heads(struct umpa_run_map *m, unsigned page, unsigned npages)
{
	bitmap_for_range(w, page, npages)
		umpa_run_map_set_heads(m, w, m->head.word[w] & ~bitmap_range_mask(w, page, npages));
}

static int all_free(const struct umpa_run_map *m)
{
	return m->nfront == SLOT_NPAGES;
}

static int16_t height_of(unsigned npages)
{
	return (int16_t)(npages + 1);
}

/*
 * The first slot, from `from` on, with npages free in a row, and the first such row in it: 1 and
 * *row, or 0. A slot that only seemed to have them gets the height it should have.
 */
static int find_row(struct umpa_shelf *s, uint32_t from, unsigned npages, struct umpa_run *row)
{
	uint32_t i;

	while ((i = umpa_heights_find(&s->heights, from, height_of(npages))) != HEIGHTS_NONE) {
		struct bitmap_row free = umpa_bitmap_find_row(&s->map[i].used, npages);

		*row = (struct umpa_run){{i}, (uint16_t)free.begin, (uint16_t)npages};
		if (free.n == npages)
			return 1;
		umpa_heights_set(&s->heights, i, height_of(free.n));
		from = i + 1;
	}
	return 0;
}

void umpa_shelf_init(
	struct umpa_shelf *s, struct umpa_run_map *maps, uint32_t nslots, void *leaf, void *inner)
{
	memset(s, 0, sizeof(*s));
	s->map = maps;
	umpa_heights_init(&s->heights, nslots, leaf, inner);
}

void umpa_shelf_pair(struct umpa_shelf *s, uint32_t nslots, void *leaf, void *inner)
{
	umpa_heights_init(&s->pairs, nslots, leaf, inner);
}

static int is_on(const struct umpa_shelf *s, uint32_t i)
{
	return umpa_heights_get(&s->heights, i) != 0;
}

/* What a slot and the next have together, if both are on the shelf and each has some; else 0. */
static unsigned npages_across(const struct umpa_shelf *s, uint32_t i)
{
	const struct umpa_run_map *m = &s->map[i];

	return is_on(s, i) && m[0].nback && is_on(s, i + 1) && m[1].nfront
		       ? m[0].nback + m[1].nfront
		       : 0;
}

/* A slot's last row or the next one's first became longer. */
static void rate_pair(struct umpa_shelf *s, uint32_t i)
{
	int16_t height = s->pairs.level[0] ? height_of(npages_across(s, i)) : 0;

	if (height > 1 && umpa_heights_get(&s->pairs, i) < height)
		umpa_heights_set(&s->pairs, i, height);
}

/* The ends of a slot of the shelf, of which these became longer. */
static void rate_pairs(struct umpa_shelf *s, uint32_t i, int front, int back)
{
	if (front && i)
		rate_pair(s, i - 1);
	if (back)
		rate_pair(s, i);
}

/* A row of free pages became shorter, perhaps the slot's longest. Its height stays, as a bound. */
static void use_pages(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty)
{
	struct umpa_run_map *m = &s->map[slot.i];
	unsigned nbehind = SLOT_NPAGES - page - npages;

	if (dirty)
		*dirty = m->dirty;
	s->nall_free -= (uint32_t)all_free(m);
	s->nfree_pages -= npages;
	bitmap_for_range(w, page, npages)
	{
		uint64_t mask = bitmap_range_mask(w, page, npages);

		m->used.word[w] |= mask;
		m->dirty.word[w] |= mask;
	}
	set_ends(m, page < m->nfront ? page : m->nfront, nbehind < m->nback ? nbehind : m->nback);
}

void umpa_shelf_add(struct umpa_shelf *s, struct slot slot, unsigned npages,
	enum umpa_shelf_part part, int dirty)
{
	struct umpa_run_map *m = &s->map[slot.i];
	unsigned page = part == LAST_RUN ? SLOT_NPAGES - npages : 0;

	memset(&m->used, 0, sizeof(m->used));
	clear_heads(m, 0, SLOT_NPAGES);
	memset(&m->dirty, dirty ? 0xff : 0, sizeof(m->dirty));
	set_tail(m, part == FIRST_TAIL ? npages : 0);
	set_ends(m, SLOT_NPAGES, SLOT_NPAGES);
	umpa_heights_set(&s->heights, slot.i, height_of(SLOT_NPAGES - npages));
	s->nslots++;
	s->nall_free++;
	s->nfree_pages += SLOT_NPAGES;
	if (npages && part != FIRST_TAIL)
		umpa_run_map_set_head(m, page);
	if (npages)
		use_pages(s, slot, page, npages, NULL);
	rate_pairs(s, slot.i, 1, 1);
}

void umpa_shelf_put(struct umpa_shelf *s, struct slot slot, const struct umpa_run_map *map)
{
	struct umpa_run_map *m = &s->map[slot.i];

	m->used = map->used;
	m->dirty = map->dirty;
	for (unsigned w = 0; w < BITMAP_NWORDS; w++)
		umpa_run_map_set_heads(m, w, map->head.word[w]);
	set_tail(m, map->ntail);
	set_ends(m, map->nfront, map->nback);
	umpa_heights_set(
		&s->heights, slot.i, height_of(umpa_bitmap_find_row(&m->used, SLOT_NPAGES).n));
	s->nslots++;
	s->nall_free += (uint32_t)all_free(m);
	s->nfree_pages += SLOT_NPAGES - bitmap_count(&m->used);
	rate_pairs(s, slot.i, 1, 1);
}

/* The length alone does not tell whether an aligned run fits. So some slots are tried, and then
 * those looked for that it fits into however their row lies. */
static int find_aligned_row(
	struct umpa_shelf *s, unsigned npages, unsigned align, struct umpa_run *row)
{
	unsigned sure = npages + align - 1 < SLOT_NPAGES ? npages + align - 1 : SLOT_NPAGES;
	uint32_t from = 0;

	for (int i = 1; find_row(s, from, i <= NTRIES ? npages : sure, row); i++) {
		unsigned page = umpa_bitmap_find_clear(&s->map[row->slot.i].used, npages, align);

		if (page != BITMAP_NBITS) {
			*row = (struct umpa_run){row->slot, (uint16_t)page, (uint16_t)npages};
			return 1;
		}
		from = i == NTRIES ? 0 : row->slot.i + 1;
	}
	return 0;
}

int umpa_shelf_take(struct umpa_shelf *s, unsigned npages, unsigned align, struct umpa_run *run,
	struct bitmap *dirty)
{
	if (!(align > 1 ? find_aligned_row(s, npages, align, run) : find_row(s, 0, npages, run)))
		return 0;
	umpa_run_map_set_head(&s->map[run->slot.i], run->page);
	use_pages(s, run->slot, run->page, npages, dirty);
	return 1;
}

/* How many of npages a block across a slot and the next has in the first; 0: it doesn't fit. */
static unsigned first_part(const struct umpa_shelf *s, uint32_t i, unsigned npages)
{
	unsigned n;

	/* A pair is rated by what it was once: its slots may be another shelf's by now. */
	if (npages_across(s, i) < npages)
		return 0;
	n = s->map[i].nback < npages ? s->map[i].nback : npages - 1;
	/* A slot that is nothing but a tail would be no slot of the shelf. */
	return npages - n < SLOT_NPAGES ? n : 0;
}

int umpa_shelf_take_across(struct umpa_shelf *s, struct slot from, unsigned npages,
	struct umpa_run *run, struct bitmap dirty[2])
{
	uint32_t i = from.i;
	unsigned n = 0;

	while (!n && (i = umpa_heights_find(&s->pairs, i, height_of(npages))) != HEIGHTS_NONE) {
		n = first_part(s, i, npages);
		if (!n && npages_across(s, i) < npages)
			umpa_heights_set(&s->pairs, i, height_of(npages_across(s, i)));
		i += !n;
	}
	if (!n)
		return 0;
	*run = (struct umpa_run){{i}, (uint16_t)(SLOT_NPAGES - n), (uint16_t)npages};
	umpa_run_map_set_head(&s->map[i], SLOT_NPAGES - n);
	use_pages(s, run->slot, SLOT_NPAGES - n, n, dirty);
	set_tail(&s->map[i + 1], npages - n);
	use_pages(s, slot_after(run->slot, 1), 0, npages - n, dirty ? dirty + 1 : NULL);
	return 1;
}

int umpa_shelf_take_at(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty)
{
	if (!umpa_heights_get(&s->heights, slot.i) ||
		bitmap_any_in(&s->map[slot.i].used, page, npages))
		return 0;
	umpa_run_map_set_head(&s->map[slot.i], page);
	use_pages(s, slot, page, npages, dirty);
	return 1;
}

/* A page of a run or tail, but the first of a run. */
static int is_rest(const struct umpa_run_map *m, unsigned page)
{
	return bitmap_get(&m->used, page) && bitmap_get(&m->dirty, page) &&
	       !bitmap_get(&m->head, page);
}

/* The first page from `page` on of which that is not so. */
static unsigned end_of_rest(const struct umpa_run_map *m, unsigned page)
{
	uint64_t mask = ~(uint64_t)0 << page % 64;

	for (unsigned w = page / 64; w < BITMAP_NWORDS; w++) {
		uint64_t x = (m->head.word[w] | ~(m->used.word[w] & m->dirty.word[w])) & mask;

		if (x)
			return w * 64 + (unsigned)__builtin_ctzll(x);
		mask = ~(uint64_t)0;
	}
	return SLOT_NPAGES;
}

struct umpa_run umpa_shelf_find(const struct umpa_shelf *s, struct slot slot, unsigned page)
{
	const struct umpa_run_map *m = &s->map[slot.i];
	unsigned end = bitmap_get(&m->head, page) ? end_of_rest(m, page + 1) : page;

	return (struct umpa_run){slot, (uint16_t)page, (uint16_t)(end - page)};
}

int umpa_shelf_is_aside(
	const struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages)
{
	const struct umpa_run_map *m = &s->map[slot.i];

	if (!is_on(s, slot.i) || page + npages > SLOT_NPAGES)
		return 0;
	bitmap_for_range(w, page, npages)
	{
		if (m->used.word[w] & ~m->dirty.word[w] & bitmap_range_mask(w, page, npages))
			return 1;
	}
	return 0;
}

unsigned umpa_shelf_begin_of(const struct umpa_shelf *s, struct slot slot, unsigned page)
{
	while (page && is_rest(&s->map[slot.i], page))
		page--;
	return page;
}

int umpa_shelf_is_followed(const struct umpa_shelf *s, struct slot slot, unsigned page)
{
	const struct bitmap *head = &s->map[slot.i].head;
	unsigned w = page / 64;
	uint64_t heads = __atomic_load_n(&head->word[w], __ATOMIC_RELAXED) >> page % 64;

	if (!(heads & 1))
		return 0;
	heads >>= 1;
	while (!heads && ++w < BITMAP_NWORDS)
		heads = __atomic_load_n(&head->word[w], __ATOMIC_RELAXED);
	return heads != 0;
}

static void leave(struct umpa_shelf *s, struct slot slot)
{
	struct umpa_run_map *m = &s->map[slot.i];

	set_tail(m, 0);
	umpa_heights_set(&s->heights, slot.i, 0);
	s->nslots--;
	s->nall_free -= (uint32_t)all_free(m);
	s->nfree_pages -= SLOT_NPAGES - bitmap_count(&m->used);
}

/* A row of free pages became longer: the one around those given. */
static void rate_row(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_run_map *m = &s->map[slot.i];
	unsigned begin = 0, end = SLOT_NPAGES;

	if (page != m->nfront)
		begin = bitmap_clear_since(&m->used, page);
	if (page + npages != SLOT_NPAGES - m->nback)
		end = bitmap_next_set(&m->used, page + npages);
	set_ends(m, begin ? m->nfront : end, end < SLOT_NPAGES ? m->nback : SLOT_NPAGES - begin);
	if (umpa_heights_get(&s->heights, slot.i) < height_of(end - begin))
		umpa_heights_set(&s->heights, slot.i, height_of(end - begin));
	rate_pairs(s, slot.i, !begin, end == SLOT_NPAGES);
}

int umpa_shelf_give(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_run_map *m = &s->map[slot.i];

	bitmap_clear_range(&m->used, page, npages);
	umpa_run_map_clear_head(m, page);
	if (page < m->ntail)
		set_tail(m, page);
	rate_row(s, slot, page, npages);
	s->nfree_pages += npages;
	s->nall_free += (uint32_t)all_free(m);
	return all_free(m);
}

int umpa_shelf_give_part(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_run_map *m = &s->map[slot.i];
	unsigned end = page + npages;

	if (end < SLOT_NPAGES && is_rest(m, end))
		umpa_run_map_set_head(m, end);
	clear_heads(m, page, npages);
	return umpa_shelf_give(s, slot, page, npages);
}

static struct bitmap idle_pages(const struct umpa_run_map *m)
{
	struct bitmap idle;

	for (unsigned w = 0; w < BITMAP_NWORDS; w++)
		idle.word[w] = m->dirty.word[w] & ~m->used.word[w];
	return idle;
}

unsigned umpa_shelf_count_idle(const struct umpa_shelf *s, struct slot slot)
{
	struct bitmap idle;

	if (!umpa_heights_get(&s->heights, slot.i))
		return 0;
	idle = idle_pages(&s->map[slot.i]);
	return bitmap_count(&idle);
}

struct umpa_run umpa_shelf_take_idle(
	struct umpa_shelf *s, struct slot slot, unsigned from, unsigned nmin)
{
	struct bitmap idle = idle_pages(&s->map[slot.i]);
	unsigned page = bitmap_next_set(&idle, from), end;

	for (; page < SLOT_NPAGES; page = bitmap_next_set(&idle, end)) {
		end = bitmap_next_clear(&idle, page);
		if (end - page >= nmin && umpa_shelf_take_at(s, slot, page, end - page, NULL))
			return (struct umpa_run){slot, (uint16_t)page, (uint16_t)(end - page)};
		if (end == SLOT_NPAGES)
			break;
	}
	return (struct umpa_run){slot, 0, 0};
}

void umpa_shelf_give_zero(struct umpa_shelf *s, struct umpa_run run)
{
	umpa_shelf_give(s, run.slot, run.page, run.npages);
	bitmap_clear_range(&s->map[run.slot.i].dirty, run.page, run.npages);
}

void umpa_shelf_remove(struct umpa_shelf *s, struct slot slot)
{
	INVARIANT(all_free(&s->map[slot.i]));
	leave(s, slot);
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

struct slot umpa_shelf_remove_free(struct umpa_shelf *s, uint32_t from)
{
	struct umpa_run row;

	if (!s->nall_free || !find_row(s, from, SLOT_NPAGES, &row))
		return NO_SLOT;
	leave(s, row.slot);
	return row.slot;
}

static unsigned count_back(const struct bitmap *used)
{
	unsigned n = 0;

	while (n < BITMAP_NBITS && !bitmap_get(used, BITMAP_NBITS - 1 - n))
		n++;
	return n;
}

static int slot_valid(const struct umpa_run_map *m)
{
	for (unsigned p = 0; p < SLOT_NPAGES; p++) {
		int used = bitmap_get(&m->used, p);

		if (bitmap_get(&m->head, p) && (!used || p < m->ntail))
			return 0;
		if (used && !bitmap_get(&m->dirty, p) && (p < m->ntail || bitmap_get(&m->head, p)))
			return 0;
		/* A used page that begins nothing has a used page before it, or is the tail's. */
		if (is_rest(m, p) && p >= m->ntail && (!p || !bitmap_get(&m->used, p - 1)))
			return 0;
		if (p < m->ntail && !used)
			return 0;
	}
	return bitmap_next_set(&m->used, 0) == m->nfront && count_back(&m->used) == m->nback;
}

static int height_valid(const struct umpa_run_map *m, int16_t height)
{
	return height >= height_of(umpa_bitmap_find_row(&m->used, SLOT_NPAGES).n) &&
	       height <= height_of(SLOT_NPAGES);
}

static int pair_valid(const struct umpa_shelf *s, uint32_t i)
{
	unsigned n = npages_across(s, i);

	return !s->pairs.level[0] || !n || umpa_heights_get(&s->pairs, i) >= height_of(n);
}

int umpa_shelf_valid(const struct umpa_shelf *s)
{
	uint32_t nslots = 0, nall_free = 0, nfree = 0;

	for (uint32_t i = 0; i < s->heights.nused; i++) {
		const struct umpa_run_map *m = &s->map[i];
		int16_t height = umpa_heights_get(&s->heights, i);

		if (!height)
			continue;
		if (!height_valid(m, height) || !slot_valid(m) || !pair_valid(s, i))
			return 0;
		nslots++;
		nall_free += bitmap_count(&m->used) == 0;
		nfree += SLOT_NPAGES - bitmap_count(&m->used);
	}
	return nslots == s->nslots && nall_free == s->nall_free && nfree == s->nfree_pages &&
	       umpa_heights_valid(&s->heights) && umpa_heights_valid(&s->pairs);
}
