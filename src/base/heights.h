/*
 * Heights: one small number an index, and a fast answer to "which is the first index, from the
 * front, whose number is at least h?". A tree of maxima, 64 to a node, three deep.
 *
 * Numbers are signed because the vector units that every x86-64 has compare those alone.
 *
 * Pure. The caller supplies the memory and holds the lock that guards it. Numbers are 0 where never
 * set; the memory for indexes beyond the highest one set is never touched but for one node a level.
 */
#ifndef UMPA_BASE_HEIGHTS_H
#define UMPA_BASE_HEIGHTS_H

#include <stddef.h>
#include <stdint.h>

enum {
	HEIGHTS_FANOUT = 64
};

#define HEIGHTS_NONE UINT32_MAX

struct umpa_heights {
	int16_t *leaf;  /* the numbers, rounded up to whole nodes */
	int16_t *inner; /* the highest of each 64 of them */
	int16_t *top;   /* the highest of each 4096 */
	uint32_t nindexes;
	uint32_t nused; /* indexes from here on are 0 */
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
	return index < h->nused ? h->leaf[index] : 0;
}

/* The first index from `from` on whose number is height or more; height above 0. HEIGHTS_NONE if
 * there is none. */
uint32_t umpa_heights_find(const struct umpa_heights *h, uint32_t from, int16_t height);

#endif
