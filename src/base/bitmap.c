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

struct bitmap_row umpa_bitmap_find_row(const struct bitmap *b, unsigned n)
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
