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
		nwrong += n <= 4097 && !umpa_heights_valid(&h);
	}
	nwrong += !umpa_heights_valid(&h);
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

enum {
	NMANY = 1 << 13 /* two numbers at the top */
};

static int16_t many_leaf[NMANY], many_inner[NMANY / 32];

static struct umpa_heights many_of(int16_t height)
{
	struct umpa_heights h;

	memset(many_inner, 0, sizeof(many_inner));
	umpa_heights_init(&h, NMANY, many_leaf, many_inner);
	for (uint32_t i = 0; i < NMANY; i++)
		umpa_heights_set(&h, i, height);
	return h;
}

/* What is too high after lowering: as it was until a search looks there, and right from then on. */
TEST(heights_are_set_right_by_the_search_they_mislead)
{
	struct umpa_heights h = many_of(9);

	PLAN(14);
	for (uint32_t i = 0; i < NMANY; i++)
		umpa_heights_set(&h, i, i == 100 ? 7 : 5);
	CHECK_EQ(h.level[1][0], 9);
	CHECK_EQ(h.level[2][0], 9);
	CHECK(umpa_heights_valid(&h));
	CHECK_EQ(umpa_heights_find(&h, 0, 4), 0);
	CHECK_EQ(h.level[1][0], 9); /* it was not misled */
	CHECK_EQ(umpa_heights_find(&h, 0, 7), 100);
	CHECK_EQ(h.level[1][0], 5);
	CHECK_EQ(h.level[1][2], 9); /* not looked at */
	CHECK_EQ(umpa_heights_find(&h, 0, 8), HEIGHTS_NONE);
	CHECK_EQ(h.level[1][1], 7);
	CHECK_EQ(h.level[1][NMANY / 64 - 1], 5);
	CHECK_EQ(umpa_heights_find(&h, 0, 8), HEIGHTS_NONE);
	CHECK(h.level[2][0] == 7 && h.level[2][1] == 5); /* misled by the inner ones till then */
	CHECK(umpa_heights_valid(&h));
}

/* A search that begins inside a node has not seen what is before it. */
TEST(heights_stay_right_after_half_a_search)
{
	struct umpa_heights h = many_of(3);

	PLAN(4);
	umpa_heights_set(&h, 10, 8);
	umpa_heights_set(&h, 70, 8);
	CHECK_EQ(umpa_heights_find(&h, 11, 8), 70);
	CHECK_EQ(umpa_heights_find(&h, 71, 8), HEIGHTS_NONE);
	CHECK(umpa_heights_valid(&h));
	CHECK_EQ(umpa_heights_find(&h, 0, 8), 10);
}

TEST(heights_valid_sees_what_is_too_low)
{
	struct umpa_heights h = many_of(3);

	PLAN(3);
	CHECK(umpa_heights_valid(&h));
	h.level[1][5] = 2;
	CHECK(!umpa_heights_valid(&h));
	h.level[1][5] = 3;
	h.level[2][1] = 2;
	CHECK(!umpa_heights_valid(&h));
}
