/*
 * Bitmaps of BITMAP_NBITS bits, one for each page of a slot. Pure functions on eight words; a bit
 * number is a page's place in its slot, 0 to 511. Ranges are [from, from + n), within the map.
 */
#ifndef UMPA_BASE_BITMAP_H
#define UMPA_BASE_BITMAP_H

#include <stdint.h>

#include "base/compiler.h"

#define BITMAP_NBITS  512u
#define BITMAP_NWORDS (BITMAP_NBITS / 64)

struct bitmap {
	uint64_t word[BITMAP_NWORDS];
};

static inline int bitmap_get(const struct bitmap *b, unsigned i)
{
	return (int)(b->word[i / 64] >> (i % 64) & 1);
}

static inline void bitmap_set(struct bitmap *b, unsigned i)
{
	b->word[i / 64] |= (uint64_t)1 << (i % 64);
}

static inline void bitmap_clear(struct bitmap *b, unsigned i)
{
	b->word[i / 64] &= ~((uint64_t)1 << (i % 64));
}

/* Set bits of word w that lie in the range. */
static inline uint64_t bitmap_range_mask(unsigned w, unsigned from, unsigned n)
{
	unsigned lo = w * 64, end = from + n;
	uint64_t mask = ~(uint64_t)0;

	if (from > lo)
		mask &= ~(uint64_t)0 << (from - lo);
	if (end < lo + 64)
		mask &= ~(uint64_t)0 >> (lo + 64 - end);
	return mask;
}

#define bitmap_for_range(w, from, n)                                                               \
	for (unsigned w = (from) / 64; (n) > 0 && w <= ((from) + (n)-1) / 64; w++)

static inline void bitmap_set_range(struct bitmap *b, unsigned from, unsigned n)
{
	bitmap_for_range(w, from, n) b->word[w] |= bitmap_range_mask(w, from, n);
}

static inline void bitmap_clear_range(struct bitmap *b, unsigned from, unsigned n)
{
	bitmap_for_range(w, from, n) b->word[w] &= ~bitmap_range_mask(w, from, n);
}

static inline int bitmap_any_in(const struct bitmap *b, unsigned from, unsigned n)
{
	bitmap_for_range(w, from, n) if (b->word[w] & bitmap_range_mask(w, from, n)) return 1;
	return 0;
}

/* The first set bit at `from` or behind it, BITMAP_NBITS if there is none. */
static inline unsigned bitmap_next_set(const struct bitmap *b, unsigned from)
{
	unsigned w = from / 64;
	uint64_t x;

	if (from >= BITMAP_NBITS)
		return BITMAP_NBITS;
	x = b->word[w] & (~(uint64_t)0 << (from % 64));
	while (!x) {
		if (++w == BITMAP_NWORDS)
			return BITMAP_NBITS;
		x = b->word[w];
	}
	return w * 64 + (unsigned)__builtin_ctzll(x);
}

/* The first clear bit at `from` or behind it, BITMAP_NBITS if there is none. */
static inline unsigned bitmap_next_clear(const struct bitmap *b, unsigned from)
{
	unsigned w = from / 64;
	uint64_t x;

	if (from >= BITMAP_NBITS)
		return BITMAP_NBITS;
	x = ~b->word[w] & (~(uint64_t)0 << (from % 64));
	while (!x) {
		if (++w == BITMAP_NWORDS)
			return BITMAP_NBITS;
		x = ~b->word[w];
	}
	return w * 64 + (unsigned)__builtin_ctzll(x);
}

static inline unsigned bitmap_count(const struct bitmap *b)
{
	unsigned n = 0;

	for (unsigned w = 0; w < BITMAP_NWORDS; w++)
		n += (unsigned)__builtin_popcountll(b->word[w]);
	return n;
}

/*
 * The first place, a multiple of `align` (a power of two), where n bits in a row are clear;
 * BITMAP_NBITS if there is none.
 */
unsigned umpa_bitmap_find_clear(const struct bitmap *b, unsigned n, unsigned align);

/* The length of the longest row of clear bits. */
unsigned umpa_bitmap_longest_clear(const struct bitmap *b);

#endif
