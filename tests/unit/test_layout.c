/* Where a process lies for a guest: recorded processes, and random ones. */
#include <errno.h>
#include <string.h>

#include "support/check.h"
#include "support/numbers.h"
#include "vmm/layout.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static struct umpa_layout layout;

/* All that layout.h promises. */
static int is_right(const struct umpa_area *a, size_t n, unsigned nbits)
{
	const struct umpa_layout *l = &layout;
	uint64_t physical_end = 4 * GIB;
	uintptr_t end = 0;

	for (unsigned i = 0; i < l->nclusters; i++) {
		const struct umpa_cluster *c = &l->cluster[i];

		if ((i && c->begin <= end) || c->end <= c->begin || c->begin % (2 * MIB) ||
			(c->end % (2 * MIB) && c->end != LAYOUT_TOP) ||
			c->physical < physical_end || c->physical % GIB != c->begin % GIB)
			return 0;
		end = c->end;
		physical_end = c->physical + (c->end - c->begin);
	}
	if (physical_end > l->physical_end || l->physical_end > (uint64_t)1 << nbits)
		return 0;
	for (size_t i = 0; i < n; i++) {
		uintptr_t back;
		uint64_t first, last,
			below = a[i].begin < a[i].below_nbytes ? 0 : a[i].begin - a[i].below_nbytes;
		uintptr_t above = LAYOUT_TOP - a[i].end < a[i].above_nbytes
					  ? LAYOUT_TOP
					  : a[i].end + a[i].above_nbytes;

		if (umpa_layout_physical(l, below, &first) ||
			umpa_layout_physical(l, above - 1, &last) ||
			umpa_layout_virtual(l, last, &back) || back != above - 1 ||
			last - first != above - 1 - below)
			return 0;
	}
	return 1;
}

/* The areas of a recorded process: where each of its groups of mappings began and ended. */
struct recorded {
	const char *what;
	unsigned nbits_min; /* below that it can't be */
	size_t n;
	struct umpa_area area[6];
};

#define HEAP  0, 256 * MIB /* grows up */
#define MMAP  16 * GIB, 0  /* new mappings come below the others */
#define STACK 8 * MIB, 0
#define FIXED 0, 0

static const struct recorded recorded[] = {
	{"a static program", 33, 3,
		{{0x400000, 0x4c8000, FIXED}, {0x1a3f000, 0x1a61000, HEAP},
			{0x7ffc5b1e6000, 0x7ffc5b2e9000, STACK}}},
	{"one at random addresses", 35, 4,
		{{0x55d0b2a6e000, 0x55d0b2a9d000, FIXED}, {0x55d0b3c45000, 0x55d0b3c66000, HEAP},
			{0x7f31fcd13000, 0x7f31fcf40000, MMAP},
			{0x7ffcd7b9e000, 0x7ffcd7bbf000, STACK}}},
	{"a stack right above the mappings", 35, 4,
		{{0x555555554000, 0x555555583000, FIXED}, {0x555555583000, 0x5555555a4000, HEAP},
			{0x7ffff7d80000, 0x7ffff7fff000, MMAP},
			{0x7ffffffde000, 0x7ffffffff000, STACK}}},
	{"the heap far above, and a window of 64 GiB", 37, 5,
		{{0x5581aa27e000, 0x5581aa2ad000, FIXED}, {0x5581eb1c5000, 0x5581eb1e6000, HEAP},
			{0x6a4c00000000, 0x6a5c00000000, FIXED},
			{0x7f0a1b400000, 0x7f0a1cc51000, MMAP},
			{0x7fff0f8a1000, 0x7fff0f8c2000, STACK}}},
};

TEST(layout_of_recorded_processes)
{
	PLAN(3 * array_len(recorded));
	for (size_t i = 0; i < array_len(recorded); i++) {
		const struct recorded *r = &recorded[i];
		int nright = 0;

		for (unsigned nbits = r->nbits_min; nbits <= 52; nbits++)
			nright += !umpa_layout_make(&layout, r->area, r->n, nbits) &&
				  is_right(r->area, r->n, nbits);
		CHECK_EQ(nright, 53 - r->nbits_min);
		CHECK_EQ(umpa_layout_make(&layout, r->area, r->n, r->nbits_min - 1), -ENOTSUP);
		REQUIRE(!umpa_layout_make(&layout, r->area, r->n, 46));
	}
}

TEST(layout_keeps_clusters_few)
{
	const struct recorded *r = &recorded[1];

	PLAN(6);
	REQUIRE(!umpa_layout_make(&layout, r->area, r->n, 46));
	CHECK_EQ(layout.nclusters, 3); /* the heap is with the program */
	REQUIRE(!umpa_layout_make(&layout, recorded[2].area, recorded[2].n, 39));
	CHECK_EQ(layout.nclusters, 2); /* the stack with the mappings */
	/* With fewer bits, what lies between is left out. */
	REQUIRE(!umpa_layout_make(&layout, recorded[3].area, recorded[3].n, 37));
	CHECK(is_right(recorded[3].area, recorded[3].n, 37));
}

TEST(layout_refuses)
{
	struct umpa_area a[2] = {{4 * MIB, 6 * MIB, FIXED}, {5 * MIB, 7 * MIB, FIXED}};
	struct umpa_area empty = {4 * MIB, 4 * MIB, FIXED};
	struct umpa_area high = {LAYOUT_TOP - 4096, LAYOUT_TOP + 4096, FIXED};
	struct umpa_area many[NCLUSTERS_MAX + 1];
	uint64_t physical;
	uintptr_t addr;

	PLAN(10);
	CHECK_EQ(umpa_layout_make(&layout, a, 2, 40), -EINVAL); /* one in the other */
	CHECK_EQ(umpa_layout_make(&layout, a, 0, 40), -EINVAL);
	CHECK_EQ(umpa_layout_make(&layout, &empty, 1, 40), -EINVAL);
	CHECK_EQ(umpa_layout_make(&layout, &high, 1, 40), -EINVAL);
	CHECK_EQ(umpa_layout_make(&layout, a, 1, 53), -EINVAL);
	CHECK_EQ(umpa_layout_make(&layout, a, 1, 32), -ENOTSUP);
	for (size_t i = 0; i <= NCLUSTERS_MAX; i++)
		many[i] = (struct umpa_area){(i + 1) << 40, ((i + 1) << 40) + 4096, FIXED};
	CHECK_EQ(umpa_layout_make(&layout, many, NCLUSTERS_MAX + 1, 46), -ENOTSUP);
	REQUIRE(!umpa_layout_make(&layout, many, NCLUSTERS_MAX, 46));
	CHECK_EQ(umpa_layout_physical(&layout, (uintptr_t)3 << 39, &physical), -EFAULT);
	CHECK_EQ(umpa_layout_virtual(&layout, layout.physical_end, &addr), -EFAULT);
}

/* --- random ones -------------------------------------------------------------------------- */

static uint64_t any_number(struct numbers *n, unsigned nbits)
{
	uint64_t x = (uint64_t)number_below(n, 65536) << 32 | number_below(n, 65536) << 16 |
		     number_below(n, 65536);

	return x & (((uint64_t)1 << (1 + number_below(n, nbits))) - 1) & ~(uint64_t)4095;
}

static size_t make_areas(struct numbers *n, struct umpa_area *a, size_t max)
{
	uintptr_t at = 4096;
	size_t i;

	for (i = 0; i < max; i++) {
		at += any_number(n, 45);
		a[i] = (struct umpa_area){
			at, at + 4096 + any_number(n, 32), any_number(n, 36), any_number(n, 36)};
		if (a[i].end > LAYOUT_TOP)
			break;
		at = a[i].end;
	}
	return i;
}

TEST(layout_random)
{
	struct numbers numbers = numbers_of_seed(2011);
	unsigned nright = 0, nwrong = 0, nrefused = 0;
	struct umpa_area a[20];

	PLAN(3);
	for (int i = 0; i < 20000; i++) {
		size_t n = make_areas(&numbers, a, 1 + number_below(&numbers, 20));
		unsigned nbits = 33 + number_below(&numbers, 12);
		int error = umpa_layout_make(&layout, a, n, nbits);

		if (!n)
			nwrong += error != -EINVAL;
		else if (error)
			nrefused += error == -ENOTSUP;
		else if (is_right(a, n, nbits))
			nright++;
		else
			nwrong++;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(nright > 5000);
	CHECK(nrefused > 500);
}
