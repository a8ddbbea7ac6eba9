/* The tree of maxima against a plain array. */
#include <stdlib.h>
#include <string.h>

#include "base/heights.h"
#include "support/check.h"
#include "support/numbers.h"

static uint32_t find_plainly(const int16_t *height, uint32_t n, uint32_t from, int16_t wanted)
{
	for (uint32_t i = from; i < n; i++)
		if (height[i] >= wanted)
			return i;
	return HEIGHTS_NONE;
}

/* Result: answers that differ from the array's. */
static uint64_t run(uint32_t n, uint64_t seed, uint32_t nsteps)
{
	int16_t *leaf = calloc(1, umpa_heights_leaf_nbytes(n));
	int16_t *inner = calloc(1, umpa_heights_inner_nbytes(n));
	int16_t *plain = calloc(n, sizeof(*plain));
	struct numbers numbers = numbers_of_seed(seed);
	struct umpa_heights h;
	uint64_t nwrong = 0;

	umpa_heights_init(&h, n, leaf, inner);
	for (uint32_t i = 0; i < nsteps; i++) {
		uint32_t at = number_below(&numbers, n), from = number_below(&numbers, n);
		int16_t height = (int16_t)number_below(&numbers, 514);
		int16_t wanted = (int16_t)(1 + number_below(&numbers, 513));

		plain[at] = number_below(&numbers, 3) ? height : 0;
		umpa_heights_set(&h, at, plain[at]);
		nwrong += umpa_heights_find(&h, 0, wanted) != find_plainly(plain, n, 0, wanted);
		nwrong +=
			umpa_heights_find(&h, from, wanted) != find_plainly(plain, n, from, wanted);
		nwrong += umpa_heights_get(&h, at) != plain[at];
	}
	free(leaf);
	free(inner);
	free(plain);
	return nwrong;
}

TEST(heights_are_as_an_array_would_have_them)
{
	PLAN(7);
	CHECK_EQ(run(1, 1, 100), 0);
	CHECK_EQ(run(63, 2, 20000), 0);
	CHECK_EQ(run(64, 3, 20000), 0);
	CHECK_EQ(run(65, 4, 20000), 0);
	CHECK_EQ(run(4096, 5, 20000), 0);
	CHECK_EQ(run(4097, 6, 20000), 0);
	CHECK_EQ(run(60000, 7, 4000), 0);
}

/* Sparse and high: answers found across empty nodes. */
TEST(heights_skip_what_is_empty)
{
	static int16_t leaf[1 << 17], inner[1 << 12];
	struct umpa_heights h;

	PLAN(6);
	REQUIRE(umpa_heights_inner_nbytes(1 << 17) <= sizeof(inner));
	umpa_heights_init(&h, 1 << 17, leaf, inner);
	CHECK_EQ(umpa_heights_find(&h, 0, 1), HEIGHTS_NONE);
	umpa_heights_set(&h, 100000, 7);
	CHECK_EQ(umpa_heights_find(&h, 0, 7), 100000);
	CHECK_EQ(umpa_heights_find(&h, 0, 8), HEIGHTS_NONE);
	CHECK_EQ(umpa_heights_find(&h, 100001, 1), HEIGHTS_NONE);
	umpa_heights_set(&h, 100000, 0);
	CHECK_EQ(umpa_heights_find(&h, 0, 1), HEIGHTS_NONE);
}
