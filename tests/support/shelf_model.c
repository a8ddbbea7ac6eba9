#include "shelf_model.h"

#include <string.h>

enum {
	FREE = 0,
	TAIL = 1
};

/* A row of pages with one owner. */
struct row {
	unsigned first, npages;
};

/* The row that page p is in. */
static struct row row_around(const struct shelf_model *m, unsigned slot, unsigned p)
{
	const uint32_t *owner = m->owner[slot];
	struct row r = {p, 1};

	while (r.first && owner[r.first - 1] == owner[p])
		r.first--, r.npages++;
	while (r.first + r.npages < SLOT_NPAGES && owner[r.first + r.npages] == owner[p])
		r.npages++;
	return r;
}

static unsigned longest_free(const struct shelf_model *m, unsigned slot)
{
	unsigned longest = 0, n = 0;

	for (unsigned p = 0; p < SLOT_NPAGES; p++) {
		n = m->owner[slot][p] ? 0 : n + 1;
		longest = n > longest ? n : longest;
	}
	return longest;
}

static int are_free(const struct shelf_model *m, unsigned slot, unsigned page, unsigned npages)
{
	if (page + npages > SLOT_NPAGES)
		return 0;
	for (unsigned p = page; p < page + npages; p++)
		if (m->owner[slot][p])
			return 0;
	return 1;
}

static unsigned nall_free(const struct shelf_model *m)
{
	unsigned n = 0;

	for (unsigned s = 0; s < SHELF_MODEL_NSLOTS; s++)
		n += m->on_shelf[s] && longest_free(m, s) == SLOT_NPAGES;
	return n;
}

/* What is set aside is told by a first page that is in use and not dirty. */
static int dirty_is(const struct shelf_model *m, unsigned slot, const struct bitmap *dirty)
{
	for (unsigned p = 0; p < SLOT_NPAGES; p++)
		if (bitmap_get(dirty, p) != (m->dirty[slot][p] && !m->aside[slot][p]))
			return 0;
	return 1;
}

/* Pages in use have been handed out, so they are dirty from then on. */
static void use(
	struct shelf_model *m, unsigned slot, unsigned page, unsigned npages, uint32_t owner)
{
	for (unsigned p = page; p < page + npages; p++) {
		m->owner[slot][p] = owner;
		m->dirty[slot][p] = 1;
	}
}

static unsigned any_slot(struct numbers *numbers)
{
	return number_below(numbers, SHELF_MODEL_NSLOTS);
}

/* --- one function an operation ------------------------------------------------------------ */

static const char *add(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers);
	unsigned nfirst = number_below(numbers, 3) ? 0 : number_below(numbers, SLOT_NPAGES);
	int tail = number_below(numbers, 2), dirty = number_below(numbers, 2);

	if (m->on_shelf[slot])
		return NULL;
	memset(&m->map[slot], 0xa5, sizeof(m->map[slot]));
	umpa_shelf_add(
		&m->shelf, (struct slot){slot}, nfirst, tail ? FIRST_TAIL : FIRST_RUN, dirty);
	m->on_shelf[slot] = 1;
	memset(m->owner[slot], 0, sizeof(m->owner[slot]));
	memset(m->aside[slot], 0, sizeof(m->aside[slot]));
	memset(m->dirty[slot], dirty, sizeof(m->dirty[slot]));
	use(m, slot, 0, nfirst, tail ? TAIL : ++m->last_owner);
	return NULL;
}

static int fits_at_all(const struct shelf_model *m, unsigned slot, unsigned npages, unsigned align)
{
	for (unsigned p = 0; p < SLOT_NPAGES; p += align)
		if (are_free(m, slot, p, npages))
			return 1;
	return 0;
}

/* No slot before `end` holds the run. */
static const char *look_for_earlier(
	const struct shelf_model *m, unsigned end, unsigned npages, unsigned align)
{
	for (unsigned s = 0; s < end; s++)
		if (m->on_shelf[s] && fits_at_all(m, s, npages, align))
			return "take: a slot further to the front fits";
	return NULL;
}

/* No slot before `end` still promises what it has no room for. */
static const char *look_for_promise(const struct shelf_model *m, unsigned end, unsigned npages)
{
	for (unsigned s = 0; s < end; s++)
		if (umpa_heights_get(&m->shelf.heights, s) > (int16_t)npages)
			return "take: a height that misled was left";
	return NULL;
}

static const char *check_place(
	const struct shelf_model *m, const struct umpa_run *run, unsigned npages, unsigned align)
{
	if (run->slot.i >= SHELF_MODEL_NSLOTS || !m->on_shelf[run->slot.i])
		return "take: from a slot that is not on the shelf";
	if (run->npages != npages || run->page % align)
		return "take: not what was asked for";
	if (!are_free(m, run->slot.i, run->page, npages))
		return "take: pages in use";
	for (unsigned p = 0; p < run->page; p += align)
		if (are_free(m, run->slot.i, p, npages))
			return "take: not the first place in the slot";
	return look_for_earlier(m, run->slot.i, npages, align);
}

static const char *take(struct shelf_model *m, struct numbers *numbers)
{
	unsigned npages = number_up_to(numbers, SLOT_NPAGES - 1);
	unsigned align = number_below(numbers, 3) ? 1 : 1u << number_below(numbers, 10);
	int look = number_below(numbers, 2);
	struct bitmap dirty;
	struct umpa_run run;
	const char *wrong;

	if (!umpa_shelf_take(&m->shelf, npages, align, &run, look ? &dirty : NULL))
		return look_for_earlier(m, SHELF_MODEL_NSLOTS, npages, align);
	wrong = check_place(m, &run, npages, align);
	if (!wrong && align == 1)
		wrong = look_for_promise(m, run.slot.i, npages);
	if (!wrong && look && !dirty_is(m, run.slot.i, &dirty))
		wrong = "take: other pages are dirty";
	if (!wrong)
		use(m, run.slot.i, run.page, npages, ++m->last_owner);
	return wrong;
}

static const char *take_at(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers), npages = number_up_to(numbers, SLOT_NPAGES - 1);
	unsigned page = SLOT_NPAGES - npages;
	struct bitmap dirty;
	int got, fits;

	if (number_below(numbers, 2))
		page = number_below(numbers, page + 1);
	fits = m->on_shelf[slot] && are_free(m, slot, page, npages);
	got = umpa_shelf_take_at(&m->shelf, (struct slot){slot}, page, npages, &dirty);
	if (got != fits)
		return got ? "take_at: pages in use" : "take_at: refused though they are free";
	if (got && !dirty_is(m, slot, &dirty))
		return "take_at: other pages are dirty";
	if (got)
		use(m, slot, page, npages, ++m->last_owner);
	return NULL;
}

static unsigned nfree_at_end(const struct shelf_model *m, unsigned slot)
{
	unsigned n = 0;

	while (n < SLOT_NPAGES && !m->owner[slot][SLOT_NPAGES - 1 - n])
		n++;
	return n;
}

/* How many of npages lie in the slot if the others are the first of the next; 0: they don't fit. */
static unsigned first_part(const struct shelf_model *m, unsigned slot, unsigned npages)
{
	unsigned n;

	if (slot + 1 >= SHELF_MODEL_NSLOTS || !m->on_shelf[slot] || !m->on_shelf[slot + 1])
		return 0;
	n = nfree_at_end(m, slot);
	n = n < npages ? n : npages - 1;
	return npages - n < SLOT_NPAGES && are_free(m, slot + 1, 0, npages - n) ? n : 0;
}

static const char *take_across(struct shelf_model *m, struct numbers *numbers)
{
	unsigned npages = 1 + number_up_to(numbers, 2 * SLOT_NPAGES - 3);
	unsigned from = number_below(numbers, 2) ? 0 : any_slot(numbers), slot = from, n = 0;
	int look = number_below(numbers, 2), got;
	struct bitmap dirty[2];
	struct umpa_run run;

	while (slot < SHELF_MODEL_NSLOTS && !(n = first_part(m, slot, npages)))
		slot++;
	got = umpa_shelf_take_across(
		&m->shelf, (struct slot){from}, npages, &run, look ? dirty : NULL);
	if (got != (n != 0))
		return got ? "take_across: no room" : "take_across: refused though there is room";
	if (!got)
		return NULL;
	if (run.slot.i != slot || run.page != SLOT_NPAGES - n || run.npages != npages)
		return "take_across: not the first place";
	if (look && (!dirty_is(m, slot, &dirty[0]) || !dirty_is(m, slot + 1, &dirty[1])))
		return "take_across: other pages are dirty";
	use(m, slot, run.page, n, ++m->last_owner);
	use(m, slot + 1, 0, npages - n, TAIL);
	return NULL;
}

static const char *find(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers), page = number_below(numbers, SLOT_NPAGES);
	struct umpa_run run;
	struct row row;

	if (!m->on_shelf[slot])
		return NULL;
	row = row_around(m, slot, page);
	page = number_below(numbers, 2) ? row.first : page;
	if (page != row.first || m->owner[slot][page] <= TAIL || m->aside[slot][page])
		row.npages = 0;
	run = umpa_shelf_find(&m->shelf, (struct slot){slot}, page);
	if (run.slot.i != slot || run.page != page || run.npages != row.npages)
		return "find: not the run that begins there";
	return NULL;
}

static struct umpa_run run_of(unsigned slot, struct row row)
{
	return (struct umpa_run){{slot}, (uint16_t)row.first, (uint16_t)row.npages};
}

/* A run that is set aside first becomes one again. */
static void again(struct shelf_model *m, unsigned slot, struct row row)
{
	umpa_shelf_take_again(&m->shelf, run_of(slot, row));
	m->aside[slot][row.first] = 0;
}

static const char *set_aside(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers), page = number_below(numbers, SLOT_NPAGES);
	struct row row = row_around(m, slot, page);

	if (!m->on_shelf[slot] || m->owner[slot][page] <= TAIL)
		return NULL;
	if (umpa_shelf_begin_of(&m->shelf, (struct slot){slot}, page) != row.first)
		return "begin_of: another run's";
	if (m->aside[slot][row.first]) {
		again(m, slot, row);
		return NULL;
	}
	umpa_shelf_set_aside(&m->shelf, run_of(slot, row));
	m->aside[slot][row.first] = 1;
	return NULL;
}

static const char *give_row(struct shelf_model *m, unsigned slot, struct row row, int leave)
{
	int all_free = umpa_shelf_give(&m->shelf, (struct slot){slot}, row.first, row.npages);

	memset(m->owner[slot] + row.first, 0, row.npages * sizeof(m->owner[slot][0]));
	if (all_free != (longest_free(m, slot) == SLOT_NPAGES))
		return all_free ? "give: not all is free" : "give: all is free";
	if (all_free && leave) {
		umpa_shelf_remove(&m->shelf, (struct slot){slot});
		m->on_shelf[slot] = 0;
	}
	return NULL;
}

/* A run or a tail, or its last pages. */
static const char *give(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers), cut;
	struct row row = row_around(m, slot, number_below(numbers, SLOT_NPAGES));

	if (!m->on_shelf[slot] || !m->owner[slot][row.first])
		return NULL;
	if (m->aside[slot][row.first])
		again(m, slot, row);
	cut = number_below(numbers, 3) ? 0 : number_below(numbers, row.npages);
	row = (struct row){row.first + cut, row.npages - cut};
	return give_row(m, slot, row, number_below(numbers, 2));
}

/* Some pages of a row in use, whoever's they are. */
static const char *give_part(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers), page = number_below(numbers, SLOT_NPAGES);
	unsigned npages = number_up_to(numbers, 256), n = 0, end;
	uint32_t *owner = m->owner[slot];
	int all_free;

	if (!m->on_shelf[slot] || !owner[page])
		return NULL;
	page = m->aside[slot][row_around(m, slot, page).first] ? SLOT_NPAGES : page;
	while (n < npages && page + n < SLOT_NPAGES && owner[page + n] && !m->aside[slot][page + n])
		n++;
	if (!n)
		return NULL;
	end = page + n;
	/* What is left of the last run is a run of its own. */
	if (end < SLOT_NPAGES && owner[end] && owner[end] == owner[end - 1]) {
		uint32_t cut = owner[end];

		m->last_owner++;
		for (unsigned p = end; p < SLOT_NPAGES && owner[p] == cut; p++)
			owner[p] = m->last_owner;
	}
	memset(owner + page, 0, n * sizeof(*owner));
	all_free = umpa_shelf_give_part(&m->shelf, (struct slot){slot}, page, n);
	if (all_free != (longest_free(m, slot) == SLOT_NPAGES))
		return all_free ? "give_part: not all is free" : "give_part: all is free";
	return NULL;
}

/* Every run of a slot, else so many would stay that no slot is ever all free. */
static const char *give_all(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers);
	int leave = number_below(numbers, 2);
	uint32_t spared = number_below(numbers, 2) ? TAIL : FREE;
	const char *wrong = NULL;

	if (number_below(numbers, 4))
		return NULL;
	for (unsigned p = 0; p < SLOT_NPAGES && !wrong && m->on_shelf[slot]; p++)
		if (m->owner[slot][p] != FREE && m->owner[slot][p] != spared) {
			struct row row = row_around(m, slot, p);

			if (m->aside[slot][p])
				again(m, slot, row);
			wrong = give_row(m, slot, row, leave);
		}
	return wrong;
}

static const char *extend(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers), npages = number_up_to(numbers, 128), end;
	struct row row = row_around(m, slot, number_below(numbers, SLOT_NPAGES));
	int look = number_below(numbers, 2), got, fits;
	struct bitmap dirty;

	if (!m->on_shelf[slot] || !m->owner[slot][row.first] || m->aside[slot][row.first])
		return NULL;
	end = row.first + row.npages;
	fits = are_free(m, slot, end, npages);
	got = umpa_shelf_extend(&m->shelf, (struct slot){slot}, end, npages, look ? &dirty : NULL);
	if (got != fits)
		return got ? "extend: over pages in use" : "extend: refused though there is room";
	if (got && look && !dirty_is(m, slot, &dirty))
		return "extend: other pages are dirty";
	if (got)
		use(m, slot, end, npages, m->owner[slot][row.first]);
	return NULL;
}

static const char *remove_tail(struct shelf_model *m, struct numbers *numbers)
{
	unsigned slot = any_slot(numbers), ntail = 0, rest;
	int got, alone;

	if (!m->on_shelf[slot])
		return NULL;
	while (ntail < SLOT_NPAGES && m->owner[slot][ntail] == TAIL)
		ntail++;
	for (rest = ntail; rest < SLOT_NPAGES && !m->owner[slot][rest];)
		rest++;
	alone = rest == SLOT_NPAGES;
	got = umpa_shelf_remove_tail(&m->shelf, (struct slot){slot}, ntail);
	m->on_shelf[slot] = !got;
	if (got != alone)
		return got ? "remove_tail: took runs along" : "remove_tail: refused";
	return NULL;
}

static const char *remove_free(struct shelf_model *m, struct numbers *numbers)
{
	unsigned nfree = nall_free(m);
	struct slot got;

	if (number_below(numbers, 4))
		return NULL;
	got = umpa_shelf_remove_free(&m->shelf, 0);
	if (slot_is(got, NO_SLOT))
		return nfree ? "remove_free: refused though there is one" : NULL;
	if (got.i >= SHELF_MODEL_NSLOTS || !m->on_shelf[got.i] ||
		longest_free(m, got.i) != SLOT_NPAGES)
		return "remove_free: a slot that is not free";
	m->on_shelf[got.i] = 0;
	return NULL;
}

/* --- comparing ---------------------------------------------------------------------------- */

static const char *compare_slot(const struct shelf_model *m, unsigned slot)
{
	const struct umpa_run_map *map = &m->map[slot];
	const uint32_t *owner = m->owner[slot];
	unsigned ntail = 0, nfront = 0, nback = 0;

	while (nfront < SLOT_NPAGES && !owner[nfront])
		nfront++;
	while (nback < SLOT_NPAGES && !owner[SLOT_NPAGES - 1 - nback])
		nback++;
	for (unsigned p = 0; p < SLOT_NPAGES; p++) {
		int begins =
			owner[p] > TAIL && (!p || owner[p - 1] != owner[p]) && !m->aside[slot][p];

		if (bitmap_get(&map->used, p) != (owner[p] != FREE))
			return "other pages are in use than should be";
		if (bitmap_get(&map->head, p) != begins)
			return "other runs are there than should be";
		ntail += owner[p] == TAIL;
	}
	if (umpa_heights_get(&m->shelf.heights, slot) <= (int16_t)longest_free(m, slot))
		return "a height is lower than the longest row";
	if (map->ntail != ntail)
		return "another tail is there than should be";
	if (map->nfront != nfront || map->nback != nback)
		return "other pages are free at the ends than should be";
	return dirty_is(m, slot, &map->dirty) ? NULL : "other pages are dirty than should be";
}

const char *shelf_model_compare(const struct shelf_model *m)
{
	uint32_t nslots = 0, nfree = 0;
	const char *wrong = NULL;

	if (umpa_shelf_has_spare(&m->shelf) != (nall_free(m) > 1))
		return "has_spare: not so";
	if (!umpa_shelf_valid(&m->shelf))
		return "an invariant does not hold";
	for (unsigned s = 0; s < SHELF_MODEL_NSLOTS && !wrong; s++) {
		if (!m->on_shelf[s])
			continue;
		nslots++;
		for (unsigned p = 0; p < SLOT_NPAGES; p++)
			nfree += !m->owner[s][p];
		wrong = compare_slot(m, s);
	}
	if (!wrong && (nslots != m->shelf.nslots || nfree != m->shelf.nfree_pages))
		wrong = "the counts are wrong";
	return wrong;
}

void shelf_model_init(struct shelf_model *m)
{
	memset(m, 0, sizeof(*m));
	m->last_owner = TAIL;
	umpa_shelf_init(&m->shelf, m->map, SHELF_MODEL_NSLOTS, m->leaf, m->inner);
	umpa_shelf_pair(&m->shelf, SHELF_MODEL_NSLOTS, m->pair_leaf, m->pair_inner);
}

const char *shelf_model_step(struct shelf_model *m, struct numbers *numbers)
{
	static const char *(*const operation[])(struct shelf_model *, struct numbers *) = {add,
		take, take, take, take, take_at, take_across, find, set_aside, set_aside, give,
		give, give, give_part, give_all, extend, remove_tail, remove_free};
	uint32_t pick = number_below(numbers, sizeof(operation) / sizeof(operation[0]));
	const char *wrong = operation[pick](m, numbers);

	m->nsteps++;
	if (!wrong && m->nsteps % 16 == 0)
		wrong = shelf_model_compare(m);
	return wrong;
}
