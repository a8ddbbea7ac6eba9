#include "extents_model.h"

#include <string.h>

/* A slot's state: 0 in use, else a kind plus 1. */
#define FREE(kind) ((unsigned char)((kind) + 1))

/* What the headers promise of "a few": extents looked at where the class does not settle it. */
enum {
	NTRIES = 4,
	NTRIES_NEAR = 16,
	NTRIES_MIXED = 16,
	NTRIES_BESIDE = 32
};

struct range {
	uint32_t first, nslots;
};

/* The free extent at or behind `from` of that state; nslots 0 if there is none. */
static struct range next_extent(const struct extents_model *m, uint32_t from, unsigned char state)
{
	uint32_t n = m->extents.nslots, first = from, end;

	while (first < n && m->state[first] != state)
		first++;
	for (end = first; end < n && m->state[end] == state; end++)
		;
	return (struct range){first, end - first};
}

#define for_each_extent(r, m, state)                                                               \
	for (struct range r = next_extent(m, 0, state); r.nslots;                                  \
		r = next_extent(m, r.first + r.nslots, state))

static struct range extent_around(const struct extents_model *m, uint32_t slot)
{
	struct range r = {slot, 1};

	while (r.first && m->state[r.first - 1] == m->state[slot])
		r.first--;
	while (r.first + r.nslots < m->extents.nslots &&
		m->state[r.first + r.nslots] == m->state[slot])
		r.nslots++;
	return r;
}

/* Lengths of one class have the same four leading bits: the shortest of n's class. */
static uint32_t class_floor(uint32_t n)
{
	uint32_t bit = 1;

	while (n / bit >= 16)
		bit *= 2;
	return n / bit * bit;
}

static int all_are(const struct extents_model *m, uint32_t first, uint32_t n, unsigned char state)
{
	for (uint32_t i = first; i < first + n; i++)
		if (i >= m->extents.nslots || m->state[i] != state)
			return 0;
	return 1;
}

static void mark(struct extents_model *m, uint32_t first, uint32_t n, unsigned char state)
{
	memset(m->state + first, state, n);
}

static enum umpa_extent_kind any_kind(struct numbers *numbers)
{
	return number_below(numbers, 3) ? EXTENT_RESIDENT : EXTENT_VOID;
}

/* --- one function an operation ------------------------------------------------------------ */

static const char *must_have_failed(struct extents_model *m, unsigned char state, uint32_t sure)
{
	for_each_extent(r, m, state) if (class_floor(r.nslots) >
					 class_floor(sure)) return "take: refused though an extent "
								   "of a longer class is free";
	return NULL;
}

static const char *take(struct extents_model *m, struct numbers *numbers)
{
	enum umpa_extent_kind kind = any_kind(numbers);
	uint32_t n = number_up_to(numbers, 64);
	uint32_t align = number_below(numbers, 2) ? 1 : 1u << number_below(numbers, 6);
	struct slot got = umpa_extents_take(&m->extents, kind, n, align);
	struct range from;

	if (slot_is(got, NO_SLOT))
		return must_have_failed(m, FREE(kind), n + align - 1);
	if (!all_are(m, got.i, n, FREE(kind)))
		return "take: not all of it was free and of that kind";
	if ((got.i + m->extents.origin) % align)
		return "take: not aligned";
	from = extent_around(m, got.i);
	if (got.i - from.first >= align)
		return "take: not from the front";
	if (class_floor(from.nslots) > class_floor(n + align - 1))
		for_each_extent(r, m, FREE(kind)) if (
			class_floor(r.nslots) > class_floor(n + align - 1) &&
			class_floor(r.nslots) <
				class_floor(from.nslots)) return "take: a shorter class would have "
								 "done";
	mark(m, got.i, n, 0);
	return NULL;
}

static int same_directory(const struct extents_model *m, uint32_t a, uint32_t b)
{
	uint32_t origin = m->extents.origin;

	return (origin + a) / DIRECTORY_NSLOTS == (origin + b) / DIRECTORY_NSLOTS;
}

/* What is taken comes from `from`: is there a better one, among so few that it must have been seen?
 */
static const char *is_nearest(
	const struct extents_model *m, enum umpa_extent_kind kind, struct range from, uint32_t near)
{
	int from_near = same_directory(m, from.first, near);
	uint32_t nextents = 0;

	for_each_extent(r, m, FREE(kind)) nextents++;
	for_each_extent(r, m, FREE(kind))
	{
		int shorter = class_floor(r.nslots) < class_floor(from.nslots);

		if (nextents <= NTRIES_NEAR && same_directory(m, r.first, near) > from_near)
			return "take_near: there was one in the directory";
		if (shorter && same_directory(m, r.first, near) >= from_near)
			return "take_near: not from the shortest class";
	}
	return NULL;
}

static const char *take_near(struct extents_model *m, struct numbers *numbers)
{
	enum umpa_extent_kind kind = any_kind(numbers);
	uint32_t max = number_below(numbers, 16), n = 77;
	uint32_t near = number_below(numbers, m->extents.nslots + 1);
	struct slot got = umpa_extents_take_near(&m->extents, kind, (struct slot){near}, max, &n);
	struct range from;
	const char *wrong;

	if (slot_is(got, NO_SLOT)) {
		if (n || (max && next_extent(m, 0, FREE(kind)).nslots))
			return "take_near: refused though there are some";
		return NULL;
	}
	if (!n || !all_are(m, got.i, n, FREE(kind)))
		return "take_near: not all of it was free and of that kind";
	from = extent_around(m, got.i);
	if (got.i != from.first || n != (from.nslots < max ? from.nslots : max))
		return "take_near: not as much as there is, from the front";
	wrong = is_nearest(m, kind, from, near);
	mark(m, got.i, n, 0);
	return wrong;
}

static const char *take_last(struct extents_model *m, struct numbers *numbers)
{
	enum umpa_extent_kind kind = any_kind(numbers);
	uint32_t max = number_below(numbers, 16), n = 77;
	struct slot got = umpa_extents_take_last(&m->extents, kind, max, &n);
	struct range from;

	if (slot_is(got, NO_SLOT)) {
		if (n || (max && next_extent(m, 0, FREE(kind)).nslots))
			return "take_last: refused though there are some";
		return NULL;
	}
	if (!n || !all_are(m, got.i, n, FREE(kind)))
		return "take_last: not all of it was free and of that kind";
	from = extent_around(m, got.i);
	if (got.i + n != from.first + from.nslots || n != (from.nslots < max ? from.nslots : max))
		return "take_last: not as much as there is, from the end";
	for_each_extent(
		r, m, FREE(kind)) if (class_floor(r.nslots) >
				      class_floor(from.nslots)) return "take_last: not from the "
								       "longest class";
	mark(m, got.i, n, 0);
	return NULL;
}

/* A rule as good as any: which neighbours are liked. */
static int is_liked(struct slot neighbour, const void *arg)
{
	const uint32_t *liked = arg;

	return neighbour.i % 3 == *liked;
}

static int beside_fits(const struct extents_model *m, struct range r, int behind, uint32_t liked)
{
	uint32_t beside = behind ? r.first + r.nslots : r.first - 1;

	return beside < m->extents.nslots && is_liked((struct slot){beside}, &liked);
}

/* 1 if one of these can't have been overlooked: no more are long enough than are looked at. */
static int beside_is_sure(const struct extents_model *m, enum umpa_extent_kind kind, uint32_t n,
	int behind, uint32_t liked)
{
	uint32_t nlooked_at = 0, nfit = 0;

	for_each_extent(r, m, FREE(kind))
	{
		nlooked_at += class_floor(r.nslots) >= class_floor(n);
		nfit += r.nslots >= n && beside_fits(m, r, behind, liked);
	}
	return nlooked_at <= NTRIES_BESIDE && nfit > 0;
}

static const char *take_beside(struct extents_model *m, struct numbers *numbers, int behind)
{
	enum umpa_extent_kind kind = any_kind(numbers);
	uint32_t n = number_up_to(numbers, 32), liked = number_below(numbers, 3);
	struct slot got = (behind ? umpa_extents_take_end : umpa_extents_take_begin)(
		&m->extents, kind, n, is_liked, &liked);
	struct range from;

	if (slot_is(got, NO_SLOT))
		return beside_is_sure(m, kind, n, behind, liked)
			       ? "take_end, take_begin: none though one fits"
			       : NULL;
	if (!all_are(m, got.i, n, FREE(kind)))
		return "take_end, take_begin: not all of it was free and of that kind";
	from = extent_around(m, got.i);
	if (!beside_fits(m, from, behind, liked))
		return "take_end, take_begin: a neighbour that does not fit";
	if (got.i != (behind ? from.first + from.nslots - n : from.first))
		return "take_end, take_begin: not beside it";
	mark(m, got.i, n, 0);
	return NULL;
}

static const char *take_end(struct extents_model *m, struct numbers *numbers)
{
	return take_beside(m, numbers, 1);
}

static const char *take_begin(struct extents_model *m, struct numbers *numbers)
{
	return take_beside(m, numbers, 0);
}

/* The pieces [first, first + n) is made of; 0 if it can't be taken. */
static unsigned pieces_of(const struct extents_model *m, struct range r, int inside,
	struct umpa_extent_piece *piece, unsigned max)
{
	uint32_t at = r.first, end = r.first + r.nslots;
	unsigned n = 0;

	if (at >= m->extents.nslots || !m->state[at] ||
		(!inside && extent_around(m, at).first != at))
		return 0;
	for (; at < end; n++) {
		struct range e;

		if (at >= m->extents.nslots || !m->state[at] || n == max)
			return 0;
		e = extent_around(m, at);
		piece[n].slot.i = at;
		piece[n].nslots = e.first + e.nslots < end ? e.first + e.nslots - at : end - at;
		piece[n].kind = (enum umpa_extent_kind)(m->state[at] - 1);
		at = e.first + e.nslots;
	}
	return n;
}

static const char *take_range(struct extents_model *m, struct range r, int inside, unsigned max)
{
	struct umpa_extent_piece wanted[8], piece[8];
	struct slot slot = {r.first};
	unsigned nwanted = pieces_of(m, r, inside, wanted, max);
	unsigned n = inside ? umpa_extents_take_inside(&m->extents, slot, r.nslots, piece, max)
			    : umpa_extents_take_at(&m->extents, slot, r.nslots, piece, max);

	if (n != nwanted)
		return "take_at: other pieces than there are";
	for (unsigned i = 0; i < n; i++)
		if (piece[i].slot.i != wanted[i].slot.i || piece[i].nslots != wanted[i].nslots ||
			piece[i].kind != wanted[i].kind)
			return "take_at: a piece that is not there";
	if (n)
		mark(m, r.first, r.nslots, 0);
	return NULL;
}

static const char *take_at(struct extents_model *m, struct numbers *numbers)
{
	uint32_t at = number_below(numbers, m->nslots_max);
	struct range r;

	if (number_below(numbers, 4) && at < m->extents.nslots)
		at = extent_around(m, at).first;
	r = (struct range){at, number_up_to(numbers, 64)};
	return take_range(m, r, number_below(numbers, 2), 1 + number_below(numbers, 8));
}

static uint32_t count_state(
	const struct extents_model *m, uint32_t at, uint32_t n, unsigned char state)
{
	uint32_t count = 0;

	for (uint32_t i = at; i < at + n; i++)
		count += m->state[i] == state;
	return count;
}

/* Free, in so few extents that all are looked at. */
static int is_plain(const struct extents_model *m, uint32_t at, uint32_t n)
{
	uint32_t nborders = 0;

	if (at + n > m->extents.nslots || count_state(m, at, n, 0))
		return 0;
	for (uint32_t i = at + 1; i < at + n; i++)
		nborders += m->state[i] != m->state[i - 1];
	return nborders <= NTRIES;
}

/* The most resident slots that are sure to be found in a place of n: an extent with the one behind
 * it or the one before it, of so few that all are looked at. */
static uint32_t sure_of_mixed(const struct extents_model *m, uint32_t n)
{
	uint32_t nextents = 0, most = 0;

	for_each_extent(r, m, FREE(EXTENT_RESIDENT)) nextents++;
	for_each_extent(r, m, FREE(EXTENT_RESIDENT))
	{
		uint32_t end = r.first + r.nslots, have = r.nslots < n ? r.nslots : n;

		if (nextents > NTRIES_MIXED || have <= most)
			continue;
		if (is_plain(m, r.first, n) || (end >= n && is_plain(m, end - n, n)))
			most = have;
	}
	return most;
}

/* Pieces, one behind the other, that are what the model says they are. */
static const char *check_pieces(
	const struct extents_model *m, const struct umpa_extent_piece *piece, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i && piece[i].slot.i != piece[i - 1].slot.i + piece[i - 1].nslots)
			return "take_mixed: not in a row";
		if (i && piece[i].kind == piece[i - 1].kind)
			return "take_mixed: one extent in two pieces";
		if (!piece[i].nslots ||
			!all_are(m, piece[i].slot.i, piece[i].nslots, FREE(piece[i].kind)))
			return "take_mixed: not all of it is free and of that kind";
	}
	return NULL;
}

static const char *take_mixed(struct extents_model *m, struct numbers *numbers)
{
	struct umpa_extent_piece piece[16];
	uint32_t n = number_up_to(numbers, 128), sure = sure_of_mixed(m, n), have = 0, at;
	unsigned npieces = umpa_extents_take_mixed(&m->extents, n, piece, 16);
	const char *wrong = check_pieces(m, piece, npieces);

	if (wrong || !npieces)
		return wrong || !sure ? wrong : "take_mixed: none though there is one";
	at = piece[0].slot.i;
	for (unsigned i = 0; i < npieces; i++)
		have += piece[i].nslots;
	if (have != n)
		return "take_mixed: more or less than was asked for";
	have = count_state(m, at, n, FREE(EXTENT_RESIDENT));
	if (!have || have < sure)
		return "take_mixed: less of it is resident than could be";
	if (extent_around(m, at).first != at) {
		struct range last = extent_around(m, at + n - 1);

		if (at + n != last.first + last.nslots)
			return "take_mixed: begins and ends inside an extent";
	}
	mark(m, at, n, 0);
	return NULL;
}

/* What is in use at a place picked at random, or a part of it. */
static const char *give(struct extents_model *m, struct numbers *numbers)
{
	enum umpa_extent_kind kind = any_kind(numbers);
	uint32_t at = number_below(numbers, m->nslots_max), n = number_up_to(numbers, 96), k = 0;

	while (at < m->extents.nslots && m->state[at])
		at++;
	while (k < n && at + k < m->extents.nslots && !m->state[at + k])
		k++;
	if (k) {
		umpa_extents_give(&m->extents, (struct slot){at}, k, kind);
		mark(m, at, k, FREE(kind));
	}
	return NULL;
}

static const char *grow(struct extents_model *m, struct numbers *numbers)
{
	enum umpa_extent_kind kind = any_kind(numbers);
	uint32_t n = number_up_to(numbers, 32), at = m->extents.nslots;
	int skip = !number_below(numbers, 4);

	if (n > m->nslots_max - at)
		return NULL;
	if (skip)
		umpa_extents_skip(&m->extents, n);
	else
		umpa_extents_grow(&m->extents, n, kind);
	mark(m, at, n, skip ? 0 : FREE(kind));
	return m->extents.nslots == at + n ? NULL : "grow: not by as much as asked for";
}

/* --- comparing ---------------------------------------------------------------------------- */

static const char *compare_counts(const struct extents_model *m)
{
	uint32_t count[EXTENT_NKINDS + 1] = {0}, nslots = m->extents.nslots;

	for (uint32_t i = 0; i < nslots; i++)
		count[m->state[i]]++;
	for (unsigned k = 0; k < EXTENT_NKINDS; k++) {
		enum umpa_extent_kind kind = (enum umpa_extent_kind)k;
		uint32_t at_end = 0;

		while (at_end < nslots && m->state[nslots - 1 - at_end] == FREE(k))
			at_end++;
		if (umpa_extents_count(&m->extents, kind) != count[FREE(k)])
			return "count: not how many are free";
		if (umpa_extents_at_end(&m->extents, kind) != at_end)
			return "at_end: not how many are free there";
	}
	return NULL;
}

const char *extents_model_compare(const struct extents_model *m)
{
	uint32_t i = 0;

	if (!umpa_extents_valid(&m->extents))
		return "an invariant does not hold";
	while (i < m->extents.nslots) {
		const struct umpa_extent *t = &m->tag[i];
		uint32_t n = t->kind ? t->nslots : 1;

		if (!all_are(m, i, n, (unsigned char)t->kind))
			return "other slots are free than should be";
		i += n;
	}
	return compare_counts(m);
}

void extents_model_init(struct extents_model *m, uint32_t nslots_max, uint32_t origin)
{
	memset(m, 0, sizeof(*m));
	m->nslots_max = nslots_max;
	umpa_extents_init(&m->extents, m->tag);
	m->extents.origin = origin;
}

const char *extents_model_step(struct extents_model *m, struct numbers *numbers)
{
	static const char *(*const operation[])(struct extents_model *, struct numbers *) = {take,
		take, take, take_near, take_last, take_end, take_begin, take_at, take_mixed, give,
		give, give, give, give, grow};
	uint32_t pick = number_below(numbers, sizeof(operation) / sizeof(operation[0]));
	const char *wrong = operation[pick](m, numbers);

	m->nsteps++;
	if (!wrong && m->nsteps % 16 == 0)
		wrong = extents_model_compare(m);
	return wrong;
}
