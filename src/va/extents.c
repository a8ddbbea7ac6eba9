#include "va/extents.h"

#include <string.h>

#include "base/panic.h"

/* How many extents of a class are looked at where the class alone does not settle the matter. */
enum {
	NTRIES = 4,
	NTRIES_NEAR = 16,
	NTRIES_BESIDE = 32
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

static int last_class(const struct umpa_extent_bins *b, unsigned *found)
{
	for (unsigned w = array_len(b->nonempty); w-- > 0;)
		if (b->nonempty[w]) {
			*found = w * 64 + 63 - (unsigned)__builtin_clzll(b->nonempty[w]);
			return 1;
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
			if (same_directory(e, link - 1, near))
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
	if (!max || !last_class(&e->bins[kind], &class))
		return NO_SLOT;
	first = e->bins[kind].head[class] - 1;
	have = e->tag[first].nslots;
	*nslots = have < max ? have : max;
	return carve(e, first, first + have - *nslots, *nslots);
}

typedef int fits_fn(struct slot neighbour, void *arg);

/* An extent of nslots or more with a neighbour, behind it or before it, that fits. Its first slot,
 * or UINT32_MAX. */
static uint32_t find_beside(const struct umpa_extents *e, enum umpa_extent_kind kind,
	uint32_t nslots, int behind, fits_fn *fits, void *arg)
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
	uint32_t nslots, int (*fits)(struct slot behind, void *arg), void *arg)
{
	uint32_t first = find_beside(e, kind, nslots, 1, fits, arg);

	if (first == UINT32_MAX)
		return NO_SLOT;
	return carve(e, first, first + e->tag[first].nslots - nslots, nslots);
}

struct slot umpa_extents_take_begin(struct umpa_extents *e, enum umpa_extent_kind kind,
	uint32_t nslots, int (*fits)(struct slot before, void *arg), void *arg)
{
	uint32_t first = find_beside(e, kind, nslots, 0, fits, arg);

	return first == UINT32_MAX ? NO_SLOT : carve(e, first, first, nslots);
}

unsigned umpa_extents_take_at(struct umpa_extents *e, struct slot slot, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max)
{
	uint32_t at = slot.i, end = slot.i + nslots;
	unsigned n = 0;

	for (; at < end; n++) {
		uint32_t have;

		if (n == max || !is_first(e, at))
			return 0;
		have = e->tag[at].nslots;
		piece[n].slot = (struct slot){at};
		piece[n].nslots = have < end - at ? have : end - at;
		piece[n].kind = kind_of(e, at);
		at += have;
	}
	for (unsigned i = 0; i < n; i++)
		carve(e, piece[i].slot.i, piece[i].slot.i, piece[i].nslots);
	return n;
}

/* Slots free from the one that begins an extent on, counted up to max or NTRIES extents. */
static uint32_t nfree_from(const struct umpa_extents *e, uint32_t first, uint32_t max)
{
	uint32_t at = first;

	for (int i = 0; i < NTRIES && at - first < max && is_first(e, at); i++)
		at += e->tag[at].nslots;
	return at - first;
}

struct slot umpa_extents_find_mixed(const struct umpa_extents *e, uint32_t nslots)
{
	const struct umpa_extent_bins *b = &e->bins[EXTENT_RESIDENT];
	unsigned class;
	uint32_t link;

	if (!last_class(b, &class))
		return NO_SLOT;
	link = b->head[class];
	for (int i = 0; link && i < NTRIES; i++, link = e->tag[link - 1].next) {
		uint32_t first = link - 1;

		if (nfree_from(e, first, nslots) >= nslots)
			return (struct slot){first};
		if (!first || !e->tag[first - 1].first)
			continue;
		first = e->tag[first - 1].first - 1;
		/* A void neighbour that suffices by itself would bring no frames. */
		if (e->tag[first].nslots < nslots && nfree_from(e, first, nslots) >= nslots)
			return (struct slot){first};
	}
	return NO_SLOT;
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
