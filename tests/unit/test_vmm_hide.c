/* Pages hidden from one CPU: against the shared tables, by a walker of the test's own. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/numbers.h"
#include "vmm/hide.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
#define TIB ((uint64_t)1 << 40)

#define SHARED_PHYSICAL (7 * GIB)
#define WAY_PHYSICAL    (9 * GIB)

enum {
	NTABLES = 2048
};

static uint64_t shared_memory[NTABLES * 512] __attribute__((aligned(4096)));
static uint64_t way[HIDE_NTABLES * 512] __attribute__((aligned(4096)));
static struct umpa_tables shared;
static struct umpa_hide hide;

/* Of what is remembered: the way in use while it is written to must have been forgotten. */
static unsigned nforgotten;

static void forget(void)
{
	nforgotten++;
}

/* As the manuals say the MMU does: with none of the code that is tested. 0: nowhere. */
static uint64_t walk(uint64_t root, uint64_t va)
{
	uint64_t at = root;

	for (int shift = 39; shift >= 12; shift -= 9) {
		const uint64_t *table = at >= WAY_PHYSICAL
						? way + (at - WAY_PHYSICAL) / 8
						: shared_memory + (at - SHARED_PHYSICAL) / 8;
		uint64_t entry = table[va >> shift & 511];

		at = entry & 0xffffffffff000;
		if (!(entry & 1))
			return 0;
		if (shift == 12 || (shift < 39 && entry & 0x80))
			return (at + (va & (((uint64_t)1 << shift) - 1))) | (entry & 2);
	}
	return 0;
}

static void begin(int level)
{
	memset(shared_memory, 0, sizeof(shared_memory));
	memset(way, 0, sizeof(way));
	nforgotten = 0;
	umpa_tables_init(&shared, shared_memory, SHARED_PHYSICAL, NTABLES);
	REQUIRE(!umpa_tables_map(&shared, 5 * TIB, 64 * GIB, 2 * GIB + 6 * MIB, ENTRY_OPEN, level));
	REQUIRE(!umpa_tables_map(
		&shared, 5 * TIB + 4 * GIB, 80 * GIB, 16 * MIB, ENTRY_OPEN, level));
	REQUIRE(!umpa_tables_map(&shared, 9 * TIB, 96 * GIB, 8 * MIB, ENTRY_OPEN, 0));
	umpa_hide_init(&hide, &shared, way, WAY_PHYSICAL, forget);
}

/* All that is mapped, and something around it: as shared, but for what is hidden. */
static unsigned ndiffer(uint64_t from, uint64_t to)
{
	unsigned n = 0;

	for (uint64_t at = from; at < to; at += 4096) {
		int hidden = at >= hide.begin && at < hide.end;
		uint64_t own = walk(umpa_hide_root(&hide), at + 8);

		n += own != (hidden ? 0 : walk(SHARED_PHYSICAL, at + 8));
	}
	return n;
}

static unsigned nwrong(void)
{
	return ndiffer(5 * TIB - 4 * MIB, 5 * TIB + 8 * MIB) +
	       ndiffer(5 * TIB + GIB - 4 * MIB, 5 * TIB + GIB + 4 * MIB) +
	       ndiffer(5 * TIB + 2 * GIB - MIB, 5 * TIB + 2 * GIB + 10 * MIB) +
	       ndiffer(5 * TIB + 4 * GIB - MIB, 5 * TIB + 4 * GIB + 20 * MIB) +
	       ndiffer(9 * TIB - MIB, 9 * TIB + 10 * MIB);
}

TEST(hide_nothing_at_first)
{
	PLAN(6);
	begin(2);
	CHECK_EQ(nwrong(), 0);
	CHECK(walk(umpa_hide_root(&hide), 5 * TIB + GIB) == (65 * GIB | 2));
	CHECK_EQ(hide.superpage, 0);
}

/* Behind leaves of any size. */
TEST(hide_pages_from_this_cpu_alone)
{
	PLAN(18);
	for (int level = 0; level < 3; level += 2) {
		begin(level);
		umpa_hide(&hide, 5 * TIB + GIB + 12288, 5 * TIB + GIB + 65536);
		CHECK_EQ(nwrong(), 0);
		CHECK_EQ(walk(umpa_hide_root(&hide), 5 * TIB + GIB + 16384), 0);
		CHECK(walk(SHARED_PHYSICAL, 5 * TIB + GIB + 16384) != 0);
		umpa_hide(&hide, 9 * TIB + 6 * MIB, 9 * TIB + 6 * MIB + 4096);
		CHECK_EQ(nwrong(), 0);
		CHECK_EQ(walk(umpa_hide_root(&hide), 9 * TIB + 6 * MIB), 0);
		umpa_hide(&hide, 0, 0);
		CHECK_EQ(nwrong(), 0);
	}
}

/* Where nothing is there is nothing to be hidden. */
TEST(hide_where_nothing_is)
{
	PLAN(5);
	begin(2);
	umpa_hide(&hide, 3 * TIB, 3 * TIB + 4096);
	CHECK_EQ(nwrong(), 0);
	umpa_hide(&hide, 5 * TIB + 3 * GIB, 5 * TIB + 3 * GIB + 4096);
	CHECK_EQ(nwrong(), 0);
}

/* What is written to while the processor may walk by it must lead where it led before. */
static void check_while_forgetting(void)
{
	nforgotten += nwrong() != 0;
}

static void hide_any(struct numbers *r)
{
	static const uint64_t base[] = {
		5 * TIB, 5 * TIB + GIB, 5 * TIB + 2 * GIB, 5 * TIB + 4 * GIB, 9 * TIB};
	uint64_t superpage = base[number_below(r, 5)] + number_below(r, 3) * 2 * MIB;
	uint64_t end = superpage + (1 + number_below(r, 512)) * 4096;
	uint64_t begin = end - (1 + number_below(r, 16)) * 4096;

	if (number_below(r, 4) == 0) {
		end = superpage + (1 + number_below(r, 15)) * 4096;
		begin = end - 16 * 4096;
	}
	if (begin < umpa_hide_lowest(end))
		begin = umpa_hide_lowest(end);
	if (number_below(r, 8) == 0)
		begin = end = 0;
	umpa_hide(&hide, begin, end);
}

TEST(hide_at_random)
{
	struct numbers r = numbers_of_seed(5);
	unsigned wrong = 0;

	PLAN(7);
	begin(2);
	for (int i = 0; i < 200; i++) {
		hide_any(&r);
		wrong += nwrong() != 0;
	}
	CHECK_EQ(wrong, 0);
	CHECK(nforgotten >= 200);
	nforgotten = 0;
	hide.forget = check_while_forgetting;
	umpa_hide(&hide, 5 * TIB + 2 * MIB, 5 * TIB + 2 * MIB + 4096);
	umpa_hide(&hide, 5 * TIB + GIB + 4 * MIB - 8192, 5 * TIB + GIB + 4 * MIB + 4096);
	CHECK_EQ(nforgotten, 0);
	CHECK_EQ(walk(umpa_hide_root(&hide), 5 * TIB + GIB + 4 * MIB - 4096), 0);
}

/* Who runs it is ended there. */
static jmp_buf ended;
static unsigned nuntil;

static void end_it(void)
{
	if (!nuntil--)
		longjmp(ended, 1);
}

/* The next one begins anew. */
TEST(hide_ended_in_the_middle)
{
	struct numbers r = numbers_of_seed(9);
	volatile unsigned wrong = 0, nended = 0;

	PLAN(5);
	begin(2);
	for (volatile int i = 0; i < 200; i++) {
		hide.forget = end_it;
		nuntil = number_below(&r, 3);
		if (!setjmp(ended))
			hide_any(&r);
		else
			nended++;
		hide.forget = forget;
		hide_any(&r);
		wrong += nwrong() != 0;
	}
	CHECK_EQ(wrong, 0);
	CHECK(nended > 50);
}
