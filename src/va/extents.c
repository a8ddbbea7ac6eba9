#include "va/extents.h"

#include <string.h>

#include "base/panic.h"

/* How many extents of a class are looked at where the class alone does not settle the matter. */
enum {
	NTRIES = 4,
	NTRIES_NEAR = 16,
	NTRIES_MIXED = 16,
	NTRIES_BESIDE = 32,
	NSTEPS_INSIDE = 65536
};

static unsigned class_of(uint32_t nslots)
{
	unsigned log2;

	if (nslots < 8)
		return nslots;
	log2 = 31 - (unsigned)__builtin_clz(nslots);
	return (log2 - 2) * 8 + ((nslots >> (log2 - 3)) & 7);
}

static int next_class(const struct umpa_extent_bins *b, unsigned from, unsigned *found)
{
	for (unsigned w = from / 64; w < array_len(b->nonempty); w++) {
		uint64_t x = b->nonempty[w];

		if (w == from / 64)
			x &= ~(uint64_t)0 << (from % 64);
		if (x) {
			*found = w * 64 + (unsigned)__builtin_ctzll(x);
			return 1;
		}
	}
	return 0;
}

/* The last class before `end` that has an extent. */
static int last_class_below(const struct umpa_extent_bins *b, unsigned end, unsigned *found)
{
	while (end > 0) {
		unsigned w = (end - 1) / 64, nbits = end - w * 64;
		uint64_t x = b->nonempty[w] << (64 - nbits);

		if (x) {
			*found = end - 1 - (unsigned)__builtin_clzll(x);
			return 1;
		}
		end = w * 64;
	}
	return 0;
}

static int is_first(const struct umpa_extents *e, uint32_t i)
{
	return i < e->nslots && e->tag[i].kind;
}

static enum umpa_extent_kind kind_of(const struct umpa_extents *e, uint32_t first)
{
	return e->tag[first].kind - 1;
}

/* Writes an extent's borders and lists it. */
static void link_extent(
	struct umpa_extents *e, uint32_t first, uint32_t nslots, enum umpa_extent_kind kind)
{
	struct umpa_extent_bins *b = &e->bins[kind];
	struct umpa_extent *t = &e->tag[first];
	unsigned c = class_of(nslots);

	t->nslots = nslots;
	t->kind = kind + 1;
	e->tag[first + nslots - 1].first = first + 1;
	t->prev = 0;
	t->next = b->head[c];
	if (t->next)
		e->tag[t->next - 1].prev = first + 1;
	b->head[c] = first + 1;
	b->nonempty[c / 64] |= (uint64_t)1 << (c % 64);
	b->nslots += nslots;
}

/* Takes an extent off its list and wipes its borders. Result: its length. */
static uint32_t unlink_extent(struct umpa_extents *e, uint32_t first)
{
	struct umpa_extent *t = &e->tag[first];
	struct umpa_extent_bins *b = &e->bins[kind_of(e, first)];
	unsigned c = class_of(t->nslots);

	INVARIANT(t->kind && e->tag[first + t->nslots - 1].first == first + 1);
	if (t->prev)
		e->tag[t->prev - 1].next = t->next;
	else
		b->head[c] = t->next;
	if (t->next)
		e->tag[t->next - 1].prev = t->prev;
	if (!b->head[c])
		b->nonempty[c / 64] &= ~((uint64_t)1 << (c % 64));
	b->nslots -= t->nslots;
	t->kind = 0;
	e->tag[first + t->nslots - 1].first = 0;
	return t->nslots;
}

void umpa_extents_init(struct umpa_extents *e, struct umpa_extent *tags)
{
	memset(e, 0, sizeof(*e));
	e->tag = tags;
}

void umpa_extents_grow(struct umpa_extents *e, uint32_t nslots, enum umpa_extent_kind kind)
{
	struct slot slot = {e->nslots};

	e->nslots += nslots;
	umpa_extents_give(e, slot, nslots, kind);
}

uint32_t umpa_extents_at_end(const struct umpa_extents *e, enum umpa_extent_kind kind)
{
	uint32_t link = e->nslots ? e->tag[e->nslots - 1].first : 0;

	return link && kind_of(e, link - 1) == kind ? e->tag[link - 1].nslots : 0;
}

void umpa_extents_shrink(struct umpa_extents *e, uint32_t nslots)
{
	while (e->nslots > nslots && e->tag[e->nslots - 1].first) {
		uint32_t first = e->tag[e->nslots - 1].first - 1;
		enum umpa_extent_kind kind = kind_of(e, first);

		unlink_extent(e, first);
		e->nslots = first;
		if (first < nslots)
			umpa_extents_grow(e, nslots - first, kind);
	}
}

void umpa_extents_give(
	struct umpa_extents *e, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	uint32_t first = slot.i, end = slot.i + nslots;

	INVARIANT(nslots && end <= e->nslots && !e->tag[first].kind && !e->tag[end - 1].first);
	if (first && e->tag[first - 1].first) {
		uint32_t before = e->tag[first - 1].first - 1;

		if (kind_of(e, before) == kind) {
			unlink_extent(e, before);
			first = before;
		}
	}
	if (is_first(e, end) && kind_of(e, end) == kind)
		end += unlink_extent(e, end);
	link_extent(e, first, end - first, kind);
}

/* Takes [at, at + nslots) out of the extent that begins at first; what is left of it stays free. */
static struct slot carve(struct umpa_extents *e, uint32_t first, uint32_t at, uint32_t nslots)
{
	enum umpa_extent_kind kind = kind_of(e, first);
	uint32_t end = first + unlink_extent(e, first);

	if (at > first)
		link_extent(e, first, at - first, kind);
	if (at + nslots < end)
		link_extent(e, at + nslots, end - at - nslots, kind);
	return (struct slot){at};
}

/* The first of the class's extents, of the NTRIES newest, that has room for nslots at align. */
static int find_in_class(const struct umpa_extents *e, enum umpa_extent_kind kind, unsigned class,
	uint32_t nslots, uint32_t align, uint32_t *first, uint32_t *at)
{
	uint32_t link = e->bins[kind].head[class];

	for (int i = 0; link && i < NTRIES; i++) {
		const struct umpa_extent *t = &e->tag[link - 1];

		*first = link - 1;
		*at = *first + (-(*first + e->origin) & (align - 1));
		if ((uint64_t)*at + nslots <= (uint64_t)*first + t->nslots)
			return 1;
		link = t->next;
	}
	return 0;
}

struct slot umpa_extents_take(
	struct umpa_extents *e, enum umpa_extent_kind kind, uint32_t nslots, uint32_t align)
{
	uint64_t sure = (uint64_t)nslots + align - 1;
	uint32_t first, at;
	unsigned class = class_of(nslots);

	/* The request's own class and those an unlucky alignment may rule out: some may fit. */
	for (; next_class(&e->bins[kind], class, &class); class ++)
		if (find_in_class(e, kind, class, nslots, align, &first, &at))
			return carve(e, first, at, nslots);
		else if (sure <= UINT32_MAX && class > class_of((uint32_t)sure))
			break;
	return NO_SLOT;
}

static int same_directory(const struct umpa_extents *e, uint32_t a, uint32_t b)
{
	return (e->origin + a) / DIRECTORY_NSLOTS == (e->origin + b) / DIRECTORY_NSLOTS;
}

/* The first slot of a short extent, in the directory of `near` if it can be. UINT32_MAX if there is
 * none at all. */
static uint32_t find_near(const struct umpa_extents *e, enum umpa_extent_kind kind, uint32_t near)
{
	const struct umpa_extent_bins *b = &e->bins[kind];
	uint32_t shortest = UINT32_MAX;
	unsigned class = 0;
	int ntries = 0;

	for (; ntries < NTRIES_NEAR && next_class(b, class, &class); class ++)
		for (uint32_t link = b->head[class]; link && ntries < NTRIES_NEAR; ntries++) {
			if (near == NO_SLOT.i || same_directory(e, link - 1, near))
				return link - 1;
			if (shortest == UINT32_MAX)
				shortest = link - 1;
			link = e->tag[link - 1].next;
		}
	return shortest;
}

struct slot umpa_extents_take_near(struct umpa_extents *e, enum umpa_extent_kind kind,
	struct slot near, uint32_t max, uint32_t *nslots)
{
	uint32_t first = max ? find_near(e, kind, near.i) : UINT32_MAX;

	*nslots = 0;
	if (first == UINT32_MAX)
		return NO_SLOT;
	*nslots = e->tag[first].nslots < max ? e->tag[first].nslots : max;
	return carve(e, first, first, *nslots);
}

struct slot umpa_extents_take_last(
	struct umpa_extents *e, enum umpa_extent_kind kind, uint32_t max, uint32_t *nslots)
{
	uint32_t first, have;
	unsigned class;

	*nslots = 0;
	if (!max || !last_class_below(&e->bins[kind], EXTENT_NCLASSES, &class))
		return NO_SLOT;
	first = e->bins[kind].head[class] - 1;
	have = e->tag[first].nslots;
	*nslots = have < max ? have : max;
	return carve(e, first, first + have - *nslots, *nslots);
}

typedef int fits_fn(struct slot neighbour, const void *arg);

/* An extent of nslots or more with a neighbour, behind it or before it, that fits. Its first slot,
 * or UINT32_MAX. */
static uint32_t find_beside(const struct umpa_extents *e, enum umpa_extent_kind kind,
	uint32_t nslots, int behind, fits_fn *fits, const void *arg)
{
	const struct umpa_extent_bins *b = &e->bins[kind];
	unsigned class = class_of(nslots);
	int ntries = 0;

	for (; ntries < NTRIES_BESIDE && next_class(b, class, &class); class ++)
		for (uint32_t link = b->head[class]; link && ntries < NTRIES_BESIDE; ntries++) {
			uint32_t first = link - 1, n = e->tag[first].nslots;
			uint32_t beside = behind ? first + n : first - 1; /* wraps before slot 0 */

			if (n >= nslots && beside < e->nslots && fits((struct slot){beside}, arg))
				return first;
			link = e->tag[first].next;
		}
	return UINT32_MAX;
}

struct slot umpa_extents_take_end(struct umpa_extents *e, enum umpa_extent_kind kind,
	uint32_t nslots, int (*fits)(struct slot behind, const void *arg), const void *arg)
{
	uint32_t first = find_beside(e, kind, nslots, 1, fits, arg);

	if (first == UINT32_MAX)
		return NO_SLOT;
	return carve(e, first, first + e->tag[first].nslots - nslots, nslots);
}

struct slot umpa_extents_take_begin(struct umpa_extents *e, enum umpa_extent_kind kind,
	uint32_t nslots, int (*fits)(struct slot before, const void *arg), const void *arg)
{
	uint32_t first = find_beside(e, kind, nslots, 0, fits, arg);

	return first == UINT32_MAX ? NO_SLOT : carve(e, first, first, nslots);
}

/* Takes [at, at + nslots), the first slots of it out of the extent that begins at `first`. */
static unsigned take_pieces(struct umpa_extents *e, uint32_t first, uint32_t at, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max)
{
	uint32_t end = at + nslots, next = first;
	unsigned n = 0;

	for (uint32_t from = at; from < end; from = next, n++) {
		if (n == max || !is_first(e, next))
			return 0;
		piece[n].kind = kind_of(e, next);
		next += e->tag[next].nslots;
		piece[n].slot = (struct slot){from};
		piece[n].nslots = (next < end ? next : end) - from;
	}
	for (unsigned i = 0; i < n; i++)
		carve(e, i ? piece[i].slot.i : first, piece[i].slot.i, piece[i].nslots);
	return n;
}

unsigned umpa_extents_take_at(struct umpa_extents *e, struct slot slot, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max)
{
	return take_pieces(e, slot.i, slot.i, nslots, piece, max);
}

/* The first slot of the free extent that a slot lies in. UINT32_MAX if it lies in none, or far from
 * its first slot. */
static uint32_t find_around(const struct umpa_extents *e, uint32_t slot)
{
	uint32_t first = slot;

	if (slot >= e->nslots)
		return UINT32_MAX;
	for (int i = 0; !e->tag[first].kind; i++, first--)
		if (!first || i == NSTEPS_INSIDE || e->tag[first - 1].first)
			return UINT32_MAX;
	return first; /* whose end was not passed */
}

unsigned umpa_extents_take_inside(struct umpa_extents *e, struct slot slot, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max)
{
	uint32_t first = find_around(e, slot.i);

	return first == UINT32_MAX ? 0 : take_pieces(e, first, slot.i, nslots, piece, max);
}

/* --- part resident, part void --------------------------------------------------------------- */

/* Free extents in a row: where each begins, and where the last one ends. */
struct row {
	uint32_t border[2 * NTRIES + 2];
	unsigned nextents;
};

/* A place in a row, in the extent that begins at `first` and those behind it. */
struct place {
	uint32_t first, at, nresident;
};

/* The extent that begins at `first` with its neighbours, as far as nslots reach, and no more than
 * NTRIES to each side. */
static void find_row(const struct umpa_extents *e, uint32_t first, uint32_t nslots, struct row *row)
{
	uint32_t begin = first, end = first + e->tag[first].nslots;

	for (int i = 0; i < NTRIES && begin && first - begin < nslots; i++) {
		if (!e->tag[begin - 1].first)
			break;
		begin = e->tag[begin - 1].first - 1;
	}
	for (int i = 0; i < NTRIES && end - first < nslots && is_first(e, end); i++)
		end += e->tag[end].nslots;
	row->nextents = 0;
	for (; begin < end; begin += e->tag[begin].nslots)
		row->border[row->nextents++] = begin;
	row->border[row->nextents] = end;
}

/* How many of [at, at + nslots), which lies in the row, are resident, and the extent it begins in.
 */
static struct place place_at(
	const struct umpa_extents *e, const struct row *row, uint32_t at, uint32_t nslots)
{
	struct place p = {.at = at};

	for (unsigned i = 0; i < row->nextents; i++) {
		uint32_t from = row->border[i] > at ? row->border[i] : at;
		uint32_t to = row->border[i + 1] < at + nslots ? row->border[i + 1] : at + nslots;

		if (row->border[i] <= at)
			p.first = row->border[i];
		if (from < to && kind_of(e, row->border[i]) == EXTENT_RESIDENT)
			p.nresident += to - from;
	}
	return p;
}

/* Keeps the best place of the row that begins or ends where an extent does. */
static void find_place(
	const struct umpa_extents *e, const struct row *row, uint32_t nslots, struct place *best)
{
	uint32_t begin = row->border[0], end = row->border[row->nextents];

	if (end - begin < nslots)
		return;
	for (unsigned i = 0; i < 2 * (row->nextents + 1); i++) {
		uint32_t border = row->border[i / 2], at = i % 2 ? border - nslots : border;
		struct place p;

		if ((i % 2 && border - begin < nslots) || at > end - nslots)
			continue;
		p = place_at(e, row, at, nslots);
		if (p.nresident > best->nresident)
			*best = p;
	}
}

unsigned umpa_extents_take_mixed(
	struct umpa_extents *e, uint32_t nslots, struct umpa_extent_piece *piece, unsigned max)
{
	const struct umpa_extent_bins *b = &e->bins[EXTENT_RESIDENT];
	struct place best = {.nresident = 0};
	unsigned class = EXTENT_NCLASSES;
	int ntries = 0;

	while (ntries < NTRIES_MIXED && last_class_below(b, class, &class))
		for (uint32_t link = b->head[class]; link && ntries < NTRIES_MIXED; ntries++) {
			struct row row;

			find_row(e, link - 1, nslots, &row);
			find_place(e, &row, nslots, &best);
			link = e->tag[link - 1].next;
		}
	return best.nresident ? take_pieces(e, best.first, best.at, nslots, piece, max) : 0;
}

static uint32_t count_listed(const struct umpa_extents *e, unsigned kind, uint32_t *nslots)
{
	const struct umpa_extent_bins *b = &e->bins[kind];
	uint32_t n = 0;

	for (unsigned c = 0; c < EXTENT_NCLASSES; c++) {
		if (!b->head[c] != !(b->nonempty[c / 64] >> (c % 64) & 1))
			return UINT32_MAX;
		for (uint32_t link = b->head[c]; link; link = e->tag[link - 1].next) {
			const struct umpa_extent *t = &e->tag[link - 1];

			if (t->kind != kind + 1 || class_of(t->nslots) != c)
				return UINT32_MAX;
			n++;
			*nslots += t->nslots;
		}
	}
	return n;
}

int umpa_extents_valid(const struct umpa_extents *e)
{
	uint32_t nlisted = 0, nfound = 0, i = 0, last_kind = 0;

	for (unsigned k = 0; k < EXTENT_NKINDS; k++) {
		uint32_t nslots = 0, n = count_listed(e, k, &nslots);

		if (n == UINT32_MAX || nslots != e->bins[k].nslots)
			return 0;
		nlisted += n;
	}
	while (i < e->nslots) {
		const struct umpa_extent *t = &e->tag[i];

		if (!t->kind) {
			if (t->first)
				return 0;
			last_kind = 0;
			i++;
			continue;
		}
		if (t->kind == last_kind || e->tag[i + t->nslots - 1].first != i + 1)
			return 0;
		for (uint32_t j = i + 1; j < i + t->nslots; j++)
			if (e->tag[j].kind || e->tag[j - 1].first)
				return 0;
		last_kind = t->kind;
		i += t->nslots;
		nfound++;
	}
	return nfound == nlisted;
}
