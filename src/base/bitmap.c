#include "base/bitmap.h"

unsigned umpa_bitmap_find_clear(const struct bitmap *b, unsigned n, unsigned align)
{
	unsigned at = bitmap_next_clear(b, 0);

	for (;;) {
		unsigned begin = (at + align - 1) & ~(align - 1), end = begin + n, set;

		if (end > BITMAP_NBITS)
			return BITMAP_NBITS;
		set = bitmap_next(b, NULL, begin, end);
		if (set == end)
			return begin;
		at = bitmap_next_clear(b, set);
	}
}

/* Rows up to this long are looked for at all places at once. */
enum {
	NSHORT = 32
};

/* The first row of n clear bits, n up to NSHORT, or BITMAP_NBITS. A bit stays where a row of `have`
 * begins, for 1, 2, 4 and so on up to n: no branch depends on how the map looks. */
static unsigned find_short_row(const struct bitmap *b, unsigned n)
{
	struct bitmap begins;
	unsigned have, more, w;

	for (w = 0; w < BITMAP_NWORDS; w++)
		begins.word[w] = ~b->word[w];
	for (have = 1; have < n; have += more) {
		more = have < n - have ? have : n - have;
#pragma GCC unroll 8
		for (w = 0; w < BITMAP_NWORDS; w++) {
			uint64_t next = w + 1 < BITMAP_NWORDS ? begins.word[w + 1] : 0;

			begins.word[w] &= begins.word[w] >> more | next << (64 - more);
		}
	}
	return bitmap_next_set(&begins, 0);
}

/* The first row of n clear bits, or the longest. */
static struct bitmap_row find_or_longest(const struct bitmap *b, unsigned n)
{
	struct bitmap_row row = {BITMAP_NBITS, 0};
	unsigned at = bitmap_next_clear(b, 0);

	while (at + row.n < BITMAP_NBITS) {
		unsigned end =
			bitmap_next(b, NULL, at, at + n < BITMAP_NBITS ? at + n : BITMAP_NBITS);

		if (end - at > row.n)
			row = (struct bitmap_row){at, end - at};
		if (row.n == n)
			break;
		at = bitmap_next_clear(b, end);
	}
	return row;
}

/* The first place is looked at before all are: a map that is free from somewhere on to its end has
 * no other, nor has one where a run was freed that is now asked for again. */
struct bitmap_row umpa_bitmap_find_row(const struct bitmap *b, unsigned n)
{
	unsigned begin = bitmap_next_clear(b, 0);

	if (begin + n <= BITMAP_NBITS && bitmap_next(b, NULL, begin, begin + n) == begin + n)
		return (struct bitmap_row){begin, n};
	begin = n <= NSHORT ? find_short_row(b, n) : BITMAP_NBITS;
	return begin == BITMAP_NBITS ? find_or_longest(b, n) : (struct bitmap_row){begin, n};
}
