#include "base/heights.h"

#include "base/compiler.h"

enum {
	SHIFT = 6
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
	h->leaf = leaf;
	h->inner = inner;
	h->top = h->inner + ninner(nindexes);
	h->nindexes = nindexes;
	h->nused = 0;
}

static int16_t highest(const int16_t *node)
{
	int16_t max = 0;

	for (int i = 0; i < HEIGHTS_FANOUT; i++)
		max = node[i] > max ? node[i] : max;
	return max;
}

/* Sets level[i] and tells whether the maximum of its node may be another. */
static int set_one(int16_t *level, uint32_t i, int16_t value, const int16_t *above)
{
	int16_t old = level[i];

	level[i] = value;
	return value > *above || (old == *above && value < old);
}

void umpa_heights_set(struct umpa_heights *h, uint32_t index, int16_t height)
{
	uint32_t node = index >> SHIFT, group = node >> SHIFT;

	if (index >= h->nused)
		h->nused = (node + 1) << SHIFT;
	if (!set_one(h->leaf, index, height, &h->inner[node]))
		return;
	if (!set_one(h->inner, node, highest(&h->leaf[node << SHIFT]), &h->top[group]))
		return;
	h->top[group] = highest(&h->inner[group << SHIFT]);
}

/* Looks at eight at a time first: compilers turn the inner loop into vector code. */
static uint32_t find_in(const int16_t *level, uint32_t from, uint32_t end, int16_t height)
{
	uint32_t i = from;

	for (; i + 8 <= end; i += 8) {
		int16_t max = 0;

		for (uint32_t j = 0; j < 8; j++)
			max = level[i + j] > max ? level[i + j] : max;
		if (max >= height)
			break;
	}
	for (; i < end; i++)
		if (level[i] >= height)
			return i;
	return HEIGHTS_NONE;
}

static uint32_t node_end(uint32_t i)
{
	return (i | (HEIGHTS_FANOUT - 1)) + 1;
}

/* The first one in level, from `from` on; above is the level of its nodes, whose end is nabove. */
static uint32_t find_node(
	const int16_t *level, const int16_t *above, uint32_t nabove, uint32_t from, int16_t height)
{
	uint32_t i = find_in(level, from, node_end(from), height);

	if (i != HEIGHTS_NONE)
		return i;
	i = find_in(above, (from >> SHIFT) + 1, nabove, height);
	return i == HEIGHTS_NONE ? i : find_in(level, i << SHIFT, (i + 1) << SHIFT, height);
}

uint32_t umpa_heights_find(const struct umpa_heights *h, uint32_t from, int16_t height)
{
	uint32_t node, i;

	if (from >= h->nused)
		return HEIGHTS_NONE;
	i = find_in(h->leaf, from, node_end(from), height);
	node = (from >> SHIFT) + 1;
	if (i != HEIGHTS_NONE || node << SHIFT >= h->nused)
		return i;
	node = find_node(h->inner, h->top, nodes_of(nodes_of(h->nused)), node, height);
	if (node == HEIGHTS_NONE)
		return HEIGHTS_NONE;
	return find_in(h->leaf, node << SHIFT, (node + 1) << SHIFT, height);
}
