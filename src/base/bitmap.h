/*
 * Bitmaps of BITMAP_NBITS bits, one for each page of a slot. Pure functions on eight words; a bit
 * number is a page's place in its slot, 0 to 511. Ranges are [from, from + n), within the map.
 */
#ifndef UMPA_BASE_BITMAP_H
#define UMPA_BASE_BITMAP_H

#include <stddef.h>
#include <stdint.h>

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

#define bitmap_for_range(w, from, n) for (unsigned w = (from) / 64; w * 64 < (from) + (n); w++)

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

/*
 * The first bit of [from, end) that is set in `set` or clear in `clear`; end if there is none.
 * Either map may be NULL: then it has no such bit.
 */
static inline unsigned bitmap_next(
	const struct bitmap *set, const struct bitmap *clear, unsigned from, unsigned end)
{
	uint64_t mask = ~(uint64_t)0 << (from % 64);

	for (unsigned w = from / 64; w * 64 < end; w++) {
		uint64_t x = ((set ? set->word[w] : 0) | (clear ? ~clear->word[w] : 0)) & mask;

		if (x) {
			unsigned i = w * 64 + (unsigned)__builtin_ctzll(x);

			return i < end ? i : end;
		}
		mask = ~(uint64_t)0;
	}
	return end;
}

/* The first set bit at `from` or behind it, BITMAP_NBITS if there is none. */
static inline unsigned bitmap_next_set(const struct bitmap *b, unsigned from)
{
	return bitmap_next(b, NULL, from, BITMAP_NBITS);
}

/* The first clear bit at `from` or behind it, BITMAP_NBITS if there is none. */
static inline unsigned bitmap_next_clear(const struct bitmap *b, unsigned from)
{
	return bitmap_next(NULL, b, from, BITMAP_NBITS);
}

/* Where the row of clear bits that ends before bit `end` begins; `end`, below BITMAP_NBITS, if the
 * bit before it is set. */
static inline unsigned bitmap_clear_since(const struct bitmap *b, unsigned end)
{
	uint64_t mask = ((uint64_t)1 << (end % 64)) - 1;

	for (unsigned w = end / 64; w < BITMAP_NWORDS; w--) {
		uint64_t x = b->word[w] & mask;

		if (x)
			return w * 64 + 64 - (unsigned)__builtin_clzll(x);
		mask = ~(uint64_t)0;
	}
	return 0;
}

/* How many bits of each byte are set, in that byte. Not __builtin_popcountll(), which is a call for
 * each word where the processor may be any, and takes twice as long. */
static inline uint64_t bitmap_count_bytes(uint64_t word)
{
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	return (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
}

static inline unsigned bitmap_count(const struct bitmap *b)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < BITMAP_NWORDS; w++)
		sum += bitmap_count_bytes(b->word[w]);
	sum = (sum & 0x00ff00ff00ff00ff) + (sum >> 8 & 0x00ff00ff00ff00ff);
	return (unsigned)(sum * 0x0001000100010001 >> 48);
}

/*
 * The first place, a multiple of `align` (a power of two), where n bits in a row are clear;
 * BITMAP_NBITS if there is none.
 */
unsigned umpa_bitmap_find_clear(const struct bitmap *b, unsigned n, unsigned align);

/* A row of clear bits. */
struct bitmap_row {
	unsigned begin, n;
};

/* The first n clear bits in a row, n not 0. If there are none, n of the result is less: it is the
 * longest row, the first of them; 0 if no bit is clear. */
struct bitmap_row umpa_bitmap_find_row(const struct bitmap *b, unsigned n);

#endif
