#include "base/bitmap.h"

unsigned umpa_bitmap_find_clear(const struct bitmap *b, unsigned n, unsigned align)
{
	unsigned at = bitmap_next_clear(b, 0);

	while (at + n <= BITMAP_NBITS) {
		unsigned end, aligned = (at + align - 1) & ~(align - 1);

		if (aligned + n > BITMAP_NBITS)
			break;
		end = bitmap_next_set(b, at);
		if (aligned + n <= end)
			return aligned;
		at = bitmap_next_clear(b, end);
	}
	return BITMAP_NBITS;
}

unsigned umpa_bitmap_longest_clear(const struct bitmap *b)
{
	unsigned longest = 0, at = bitmap_next_clear(b, 0);

	while (at + longest < BITMAP_NBITS) {
		unsigned end = bitmap_next_set(b, at);

		if (end - at > longest)
			longest = end - at;
		at = bitmap_next_clear(b, end);
	}
	return longest;
}
