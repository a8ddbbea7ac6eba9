#include "base/heights.h"

#include <string.h>

enum {
	SHIFT = 6,
	TOP = HEIGHTS_NLEVELS - 1
};

static uint32_t nodes_of(uint32_t n)
{
	return (n + HEIGHTS_FANOUT - 1) >> SHIFT;
}

size_t umpa_heights_leaf_nbytes(uint32_t nindexes)
{
	return (size_t)nodes_of(nindexes) * HEIGHTS_FANOUT * sizeof(int16_t);
}

static uint32_t ninner(uint32_t nindexes)
{
	return nodes_of(nodes_of(nindexes)) * HEIGHTS_FANOUT;
}

size_t umpa_heights_inner_nbytes(uint32_t nindexes)
{
	return (size_t)(ninner(nindexes) + nodes_of(ninner(nindexes))) * sizeof(int16_t);
}

void umpa_heights_init(struct umpa_heights *h, uint32_t nindexes, void *leaf, void *inner)
{
	h->level[0] = leaf;
	/* The small one in front: what the first indexes take of both is on one page. */
	h->level[TOP] = inner;
	h->level[1] = h->level[TOP] + nodes_of(ninner(nindexes));
	h->nused = 0;
}

/* The first number of the node behind the one that number i is in. */
static uint32_t next_node(uint32_t i)
{
	return (i | (HEIGHTS_FANOUT - 1)) + 1;
}

void umpa_heights_set(struct umpa_heights *h, uint32_t index, int16_t height)
{
	if (index >= h->nused)
		h->nused = next_node(index);
	h->level[0][index] = height;
	for (int l = 1; l <= TOP; l++) {
		index >>= SHIFT;
		if (h->level[l][index] >= height)
			return;
		h->level[l][index] = height;
	}
}

static int16_t highest(const int16_t *node)
{
	int16_t max = 0;

	for (int i = 0; i < HEIGHTS_FANOUT; i++)
		max = node[i] > max ? node[i] : max;
	return max;
}

#define EACH_OF_FOUR ((uint64_t)0x0001000100010001)

/* The top bit of each of four numbers that is height or more: a height and what it lacks of 2^15
 * never carry into the next. */
static uint64_t high_of_four(const int16_t *number, int16_t height)
{
	uint64_t four;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first is the lowest");
	memcpy(&four, number, sizeof(four));
	return (four + EACH_OF_FOUR * (uint64_t)(0x8000 - height)) & EACH_OF_FOUR << 15;
}

/* The first of eight that is height or more, 8 if none is. A word at a time, as compilers make no
 * such thing of a loop that may end early. */
static unsigned first_of_eight(const int16_t *number, int16_t height)
{
	uint64_t hit = high_of_four(number, height);

	if (hit)
		return (unsigned)__builtin_ctzll(hit) / 16;
	hit = high_of_four(number + 4, height);
	return hit ? 4 + (unsigned)__builtin_ctzll(hit) / 16 : 8;
}

static uint32_t find_in(const int16_t *level, uint32_t from, uint32_t end, int16_t height)
{
	uint32_t i = from;

	for (; i + 8 <= end; i += 8) {
		unsigned n = first_of_eight(level + i, height);

		if (n < 8)
			return i + n;
	}
	for (; i < end; i++)
		if (level[i] >= height)
			return i;
	return HEIGHTS_NONE;
}

static uint32_t nused_at(const struct umpa_heights *h, int l)
{
	return (h->nused + ((uint32_t)1 << (SHIFT * l)) - 1) >> (SHIFT * l);
}

/* From `from` on in its node of the level; at the top, in all of it. A node whose number promised
 * one in vain gets the number it should have: which it has already if the one is before `from`. */
static uint32_t find_in_node(struct umpa_heights *h, int l, uint32_t from, int16_t height)
{
	const int16_t *level = h->level[l];
	int16_t *above = l < TOP ? &h->level[l + 1][from >> SHIFT] : NULL;
	uint32_t i;

	if (above && *above < height)
		return HEIGHTS_NONE;
	i = find_in(level, from, above ? next_node(from) : nused_at(h, TOP), height);
	if (above && i == HEIGHTS_NONE)
		*above = highest(level + (from & ~(HEIGHTS_FANOUT - 1u)));
	return i;
}

/* Where a node has none, it goes on with the next one, told by the level above; where it has one,
 * with what is below that. */
uint32_t umpa_heights_find(struct umpa_heights *h, uint32_t from, int16_t height)
{
	int l = 0;

	while (from < nused_at(h, l)) {
		uint32_t i = find_in_node(h, l, from, height);

		if (l == (i == HEIGHTS_NONE ? TOP : 0))
			return i;
		if (i == HEIGHTS_NONE) {
			from = (from >> SHIFT) + 1;
			l++;
		} else {
			from = i << SHIFT;
			l--;
		}
	}
	return HEIGHTS_NONE;
}

int umpa_heights_valid(const struct umpa_heights *h)
{
	for (int l = 1; l <= TOP; l++)
		for (uint32_t i = 0; i < nused_at(h, l - 1); i++)
			if (h->level[l][i >> SHIFT] < h->level[l - 1][i])
				return 0;
	return 1;
}
