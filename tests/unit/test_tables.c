/* Page tables of one's own, against a map of every page, and against a walker of the test's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/numbers.h"
#include "vmm/tables.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

enum {
	NTABLES = 64
};

static uint64_t *memory;
static struct umpa_tables tables;

#define MEMORY_PHYSICAL (7 * GIB)

static void begin(uint32_t ntables)
{
	free(memory);
	memory = calloc(NTABLES, PAGE_NBYTES);
	umpa_tables_init(&tables, memory, MEMORY_PHYSICAL, ntables);
}

/* As the manuals say the MMU does: with none of the code that is tested. */
static int walk(uint64_t va, uint64_t *physical)
{
	uint64_t at = MEMORY_PHYSICAL, entry = 0;
	int shift;

	for (shift = 39; shift >= 12; shift -= 9) {
		entry = memory[(at - MEMORY_PHYSICAL) / 8 + (va >> shift & 511)];
		if (!(entry & 1))
			return 0;
		if (shift == 12 || (shift < 39 && entry & 0x80))
			break;
		at = entry & 0xffffffffff000;
	}
	*physical = (entry & 0xffffffffff000) + (va & (((uint64_t)1 << shift) - 1));
	return 1;
}

static int leads(uint64_t va, uint64_t physical)
{
	uint64_t got;

	return walk(va, &got) && got == physical;
}

TEST(tables_lead_nowhere_at_first)
{
	uint64_t physical, bits;
	int level = 0;

	PLAN(4);
	begin(NTABLES);
	CHECK(!umpa_tables_find(&tables, 0, &level));
	CHECK_EQ(umpa_tables_walk(&tables, 0x7fff12345678, &physical, &bits), -EFAULT);
	CHECK(!walk(0, &physical));
	CHECK(umpa_tables_valid(&tables));
}

TEST(tables_take_the_largest_leaf)
{
	uint64_t va = 5 * GIB - 2 * MIB, physical = 41 * GIB - 2 * MIB;
	int level = 0;

	PLAN(10);
	begin(NTABLES);
	/* a superpage, a GiB, a superpage, a page */
	REQUIRE(!umpa_tables_map(
		&tables, va, physical, GIB + 4 * MIB + PAGE_NBYTES, ENTRY_OPEN, 2));
	CHECK_EQ(tables.nused, 5); /* root, one below it, one for each end, one for the page */
	CHECK(leads(va + 12345, physical + 12345) && leads(va + GIB, physical + GIB));
	CHECK(leads(va + GIB + 4 * MIB, physical + GIB + 4 * MIB));
	CHECK(!leads(va - 1, physical - 1) &&
		!leads(va + GIB + 4 * MIB + PAGE_NBYTES, physical + GIB + 4 * MIB + PAGE_NBYTES));
	CHECK(umpa_tables_find(&tables, va + 3 * MIB, &level));
	CHECK_EQ(level, 2);
	level = 0;
	CHECK(umpa_tables_find(&tables, va, &level));
	CHECK_EQ(level, 1);
	CHECK(umpa_tables_valid(&tables));
}

TEST(tables_are_not_lost_to_leaves)
{
	uint64_t *entry;

	PLAN(6);
	begin(NTABLES);
	REQUIRE(!umpa_tables_map(&tables, 4 * MIB, 0, PAGE_NBYTES, ENTRY_OPEN, 2));
	/* A table is there: pages, not a superpage. */
	CHECK_EQ(umpa_tables_map(&tables, 4 * MIB, 2 * MIB, 2 * MIB, ENTRY_OPEN, 2), 0);
	CHECK(leads(4 * MIB, 2 * MIB) && leads(6 * MIB - 1, 4 * MIB - 1));
	CHECK_EQ(tables.nused, 4);
	/* A larger leaf is no table. */
	CHECK_EQ(umpa_tables_map(&tables, 8 * MIB, 0, 2 * MIB, ENTRY_OPEN, 2), 0);
	CHECK_EQ(umpa_tables_need(&tables, 8 * MIB + PAGE_NBYTES, 0, &entry), -EEXIST);
}

TEST(tables_run_out)
{
	uint64_t *entry;

	PLAN(6);
	begin(3);
	CHECK_EQ(umpa_tables_map(&tables, 0, 0, 2 * MIB, ENTRY_OPEN, 1), 0);
	CHECK_EQ(tables.nused, 3);
	CHECK_EQ(umpa_tables_need(&tables, 4 * MIB, 0, &entry), -ENOMEM);
	CHECK_EQ(umpa_tables_map(&tables, 4 * MIB, 0, PAGE_NBYTES, ENTRY_OPEN, 1), -ENOMEM);
	CHECK(leads(MIB, MIB));
	CHECK(umpa_tables_valid(&tables));
}

TEST(tables_most)
{
	PLAN(6);
	CHECK_EQ(umpa_tables_most(0, 0, 0), 0);
	CHECK_EQ(umpa_tables_most(0, PAGE_NBYTES, 0), 3);
	CHECK_EQ(umpa_tables_most(2 * MIB - PAGE_NBYTES, 2 * PAGE_NBYTES, 0), 4);
	CHECK_EQ(umpa_tables_most(512 * GIB - PAGE_NBYTES, 2 * PAGE_NBYTES, 0), 6);
	CHECK_EQ(umpa_tables_most(0, 2 * MIB, 1), 2);
	CHECK_EQ(umpa_tables_most(0, 3 * GIB, 2), 1);
}

/* --- random mappings, beside a map of every page of some places ------------------------------ */

enum {
	NPLACES = 3,
	PLACE_NPAGES = 3 * 512
};

/* Across a superpage, a GiB and 512 GiB; and the top of what a process has. */
static const uint64_t place[NPLACES] = {
	512 * GIB - 2 * MIB, 2 * GIB - 4 * MIB, ((uint64_t)1 << 47) - 6 * MIB};

static uint64_t model[NPLACES][PLACE_NPAGES]; /* physical address plus 1; 0: nowhere */

static int agrees(void)
{
	for (int p = 0; p < NPLACES; p++)
		for (uint64_t i = 0; i < PLACE_NPAGES; i++) {
			uint64_t va = place[p] + i * PAGE_NBYTES + 8, physical, bits;
			int led = walk(va, &physical);

			if (led != (model[p][i] != 0) || (led && physical != model[p][i] - 1 + 8) ||
				led == (umpa_tables_walk(&tables, va, &physical, &bits) != 0) ||
				(led && physical != model[p][i] - 1 + 8))
				return 0;
		}
	return 1;
}

/* Some pages of a place to somewhere, aligned alike more often than by chance. */
static int map_some(struct numbers *n)
{
	int p = (int)number_below(n, NPLACES);
	uint64_t first = number_below(n, PLACE_NPAGES),
		 npages = 1 + number_below(n, (uint32_t)(PLACE_NPAGES - first)),
		 physical = number_below(n, 4096) * PAGE_NBYTES, before = tables.nused, most;
	int level = (int)number_below(n, 3), error;

	if (number_below(n, 2)) {
		first &= ~(uint64_t)511;
		physical &= ~(2 * MIB - 1);
		npages = number_below(n, 2) ? 512 : npages;
	}
	most = umpa_tables_most(place[p] + first * PAGE_NBYTES, npages * PAGE_NBYTES, 0);
	error = umpa_tables_map(&tables, place[p] + first * PAGE_NBYTES, physical,
		npages * PAGE_NBYTES, ENTRY_OPEN, level);
	for (uint64_t i = 0; !error && i < npages; i++)
		model[p][first + i] = physical + i * PAGE_NBYTES + 1;
	return error ? error : tables.nused - before > most ? -1 : 0;
}

/* Starts anew where a mapping is refused half-way, and soon: where tables are, no leaf comes. */
TEST(tables_random)
{
	struct numbers numbers = numbers_of_seed(2011);
	unsigned nwrong = 0, nmapped = 0, nrefused = 0;

	PLAN(4);
	begin(NTABLES);
	for (int i = 0; i < 3000; i++) {
		int error = map_some(&numbers);

		nmapped += !error;
		nwrong += error && error != -EEXIST;
		nrefused += error != 0;
		if (error || i % 16 == 15) {
			begin(NTABLES);
			memset(model, 0, sizeof(model));
		}
		if (i % 8 == 0)
			nwrong += !agrees() || !umpa_tables_valid(&tables);
	}
	CHECK_EQ(nwrong, 0);
	CHECK(nmapped > 1000);
	CHECK(nrefused > 50);
	CHECK(agrees());
	free(memory);
	memory = NULL;
}
