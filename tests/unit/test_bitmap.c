/* Bitmaps of a slot's pages: every range there is, and searches against naive loops. */
#include <string.h>

#include "base/bitmap.h"
#include "support/check.h"
#include "support/numbers.h"

static struct bitmap empty, full;

static void begin(void)
{
	memset(&full, 0xff, sizeof(full));
}

TEST(bitmap_single_bits)
{
	struct bitmap b = {0};
	unsigned nwrong = 0;

	PLAN(1);
	for (unsigned i = 0; i < BITMAP_NBITS; i++) {
		bitmap_set(&b, i);
		nwrong += !bitmap_get(&b, i) || bitmap_count(&b) != 1;
		nwrong += bitmap_next_set(&b, 0) != i || bitmap_next_set(&b, i) != i;
		nwrong += bitmap_next_set(&b, i + 1) != BITMAP_NBITS;
		nwrong += bitmap_next_clear(&b, i) != i + 1;
		bitmap_clear(&b, i);
		nwrong += bitmap_get(&b, i) || bitmap_count(&b) != 0;
	}
	CHECK_EQ(nwrong, 0);
}

/* All 131 000 of them. */
#define for_every_range(from, n)                                                                   \
	for (unsigned from = 0; from <= BITMAP_NBITS; from++)                                      \
		for (unsigned n = 0; n <= BITMAP_NBITS - from; n++)

TEST(bitmap_every_range_is_set)
{
	unsigned nwrong = 0;

	PLAN(1);
	for_every_range(from, n)
	{
		struct bitmap b = empty;

		bitmap_set_range(&b, from, n);
		nwrong += bitmap_count(&b) != n;
		nwrong += bitmap_next_set(&b, 0) != (n ? from : BITMAP_NBITS);
		nwrong += bitmap_next_clear(&b, from) != from + n;
		nwrong += bitmap_any_in(&b, from, n) != (n > 0);
	}
	CHECK_EQ(nwrong, 0);
}

TEST(bitmap_every_range_is_cleared)
{
	unsigned nwrong = 0;

	PLAN(1);
	begin();
	for_every_range(from, n)
	{
		struct bitmap b = full;

		bitmap_clear_range(&b, from, n);
		nwrong += bitmap_count(&b) != BITMAP_NBITS - n;
		nwrong += bitmap_next_clear(&b, 0) != (n ? from : BITMAP_NBITS);
		nwrong += bitmap_next_set(&b, from) != from + n;
		nwrong += bitmap_any_in(&b, from, n);
	}
	CHECK_EQ(nwrong, 0);
}

/* A range is asked about itself alone: neither the bit before it nor the one behind counts. */
TEST(bitmap_any_in_stays_in_the_range)
{
	unsigned nwrong = 0;

	PLAN(1);
	for_every_range(from, n)
	{
		struct bitmap b = empty;

		if (from)
			bitmap_set(&b, from - 1);
		if (from + n < BITMAP_NBITS)
			bitmap_set(&b, from + n);
		nwrong += bitmap_any_in(&b, from, n);
		if (n)
			bitmap_set(&b, from + n - 1);
		nwrong += bitmap_any_in(&b, from, n) != (n > 0);
	}
	CHECK_EQ(nwrong, 0);
}

/* --- searches ----------------------------------------------------------------------------- */

static struct bitmap random_map(struct numbers *numbers)
{
	struct bitmap b = {0};
	uint32_t nranges = number_below(numbers, 24);

	while (nranges--) {
		unsigned from = number_below(numbers, BITMAP_NBITS);

		bitmap_set_range(&b, from, number_up_to(numbers, BITMAP_NBITS - from));
		from = number_below(numbers, BITMAP_NBITS);
		bitmap_clear_range(&b, from, number_up_to(numbers, BITMAP_NBITS - from));
	}
	return b;
}

static unsigned naive_next(const struct bitmap *b, unsigned from, int wanted)
{
	while (from < BITMAP_NBITS && bitmap_get(b, from) != wanted)
		from++;
	return from;
}

static unsigned naive_find(const struct bitmap *b, unsigned n, unsigned align)
{
	for (unsigned at = 0; at + n <= BITMAP_NBITS; at += align)
		if (naive_next(b, at, 1) >= at + n)
			return at;
	return BITMAP_NBITS;
}

static unsigned naive_longest(const struct bitmap *b)
{
	unsigned longest = 0;

	for (unsigned at = 0; at < BITMAP_NBITS; at++) {
		unsigned n = naive_next(b, at, 1) - at;

		longest = n > longest ? n : longest;
		at += n;
	}
	return longest;
}

static int row_is_right(const struct bitmap *b, unsigned n)
{
	struct bitmap_row row = umpa_bitmap_find_row(b, n);
	unsigned longest = naive_longest(b);

	if (row.n != (longest < n ? longest : n))
		return 0;
	return row.begin == (row.n ? naive_find(b, row.n, 1) : BITMAP_NBITS);
}

/* The first bit in [from, end) that is set in one map or clear in the other. */
static unsigned naive_either(
	const struct bitmap *set, const struct bitmap *clear, unsigned from, unsigned end)
{
	while (from < end && !bitmap_get(set, from) && bitmap_get(clear, from))
		from++;
	return from;
}

static unsigned naive_clear_since(const struct bitmap *b, unsigned end)
{
	while (end && !bitmap_get(b, end - 1))
		end--;
	return end;
}

TEST(bitmap_bounded_searches_find_what_naive_ones_do)
{
	struct numbers numbers = numbers_of_seed(2);
	unsigned nwrong = 0;

	PLAN(1);
	begin();
	for (int i = 0; i < 20000; i++) {
		struct bitmap b = random_map(&numbers), used = random_map(&numbers);
		unsigned from = number_below(&numbers, BITMAP_NBITS);
		unsigned end = from + number_below(&numbers, BITMAP_NBITS - from + 1);

		nwrong += bitmap_next(&b, &used, from, end) != naive_either(&b, &used, from, end);
		nwrong += bitmap_next(&b, NULL, from, end) != naive_either(&b, &full, from, end);
		nwrong += bitmap_next(NULL, &b, from, end) != naive_either(&empty, &b, from, end);
		nwrong += bitmap_clear_since(&b, from) != naive_clear_since(&b, from);
	}
	CHECK_EQ(nwrong, 0);
}

TEST(bitmap_searches_find_what_naive_ones_do)
{
	struct numbers numbers = numbers_of_seed(1);
	unsigned nwrong = 0;

	PLAN(4);
	for (int i = 0; i < 4000; i++) {
		struct bitmap b = random_map(&numbers);
		unsigned at = number_below(&numbers, BITMAP_NBITS + 1);

		nwrong += bitmap_next_set(&b, at) != naive_next(&b, at, 1);
		nwrong += bitmap_next_clear(&b, at) != naive_next(&b, at, 0);
		nwrong += !row_is_right(&b, number_up_to(&numbers, BITMAP_NBITS));
		nwrong += !row_is_right(&b, BITMAP_NBITS);
		for (unsigned align = 1; align <= BITMAP_NBITS; align *= 2) {
			unsigned n = number_up_to(&numbers, BITMAP_NBITS);

			nwrong += umpa_bitmap_find_clear(&b, n, align) != naive_find(&b, n, align);
		}
	}
	CHECK_EQ(nwrong, 0);
	begin();
	CHECK_EQ(umpa_bitmap_find_row(&full, 1).n, 0);
	CHECK_EQ(umpa_bitmap_find_row(&empty, BITMAP_NBITS).n, BITMAP_NBITS);
	CHECK_EQ(umpa_bitmap_find_clear(&empty, BITMAP_NBITS, BITMAP_NBITS), 0);
}
