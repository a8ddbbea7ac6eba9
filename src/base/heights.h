/*
 * Heights: one small number an index, and a fast answer to "which is the first index, from the
 * front, whose number is at least h?". A tree, 64 to a node, three deep, of which each number above
 * the leaves says how high the 64 below it are at most.
 *
 * Raising a number raises those above it at once. Lowering one leaves them as they are, too high
 * perhaps: a search that believed such a number and found nothing below it sets it right. One
 * lowering makes at most one number a level too high, so all searches together recompute no more
 * than the lowerings would have, and one a level for each that begins inside a node. Who lowers and
 * raises the same numbers again and again, as someone who allocates and frees one run does,
 * recomputes nothing.
 *
 * Numbers are not negative, so that a word holds four that are compared at once.
 *
 * Pure. The caller supplies the memory and holds the lock that guards it, for a search too. Numbers
 * are 0 where never set; the memory for indexes beyond the highest one set is never touched but for
 * one node a level.
 *
 * Invariant: a number above the leaves is that of the highest one below it, or more.
 */
#ifndef UMPA_BASE_HEIGHTS_H
#define UMPA_BASE_HEIGHTS_H

#include <stddef.h>
#include <stdint.h>

enum {
	HEIGHTS_FANOUT = 64,
	HEIGHTS_NLEVELS = 3
};

#define HEIGHTS_NONE UINT32_MAX

struct umpa_heights {
	int16_t *level[HEIGHTS_NLEVELS]; /* the numbers themselves, and what is above them */
	uint32_t nused;                  /* whole nodes; indexes from here on are 0 */
};

/* Bytes of zeroed memory that nindexes numbers need beside the leaves, for which it is 2 bytes an
 * index. */
size_t umpa_heights_inner_nbytes(uint32_t nindexes);
size_t umpa_heights_leaf_nbytes(uint32_t nindexes);

/* leaf and inner are zeroed memory of the sizes above; leaves are touched up to the highest index
 * set alone. */
void umpa_heights_init(struct umpa_heights *h, uint32_t nindexes, void *leaf, void *inner);

void umpa_heights_set(struct umpa_heights *h, uint32_t index, int16_t height);

static inline int16_t umpa_heights_get(const struct umpa_heights *h, uint32_t index)
{
	return index < h->nused ? h->level[0][index] : 0;
}

/* The first index from `from` on whose number is height or more; height above 0. HEIGHTS_NONE if
 * there is none. */
uint32_t umpa_heights_find(struct umpa_heights *h, uint32_t from, int16_t height);

/* The invariant above; for tests. 1 if it holds. */
int umpa_heights_valid(const struct umpa_heights *h);

#endif
