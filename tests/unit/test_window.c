/* The window on the fake OS: what it reserves and opens, also when any call is refused. */
#include <errno.h>
#include <string.h>

#include "support/check.h"
#include "support/fake_os.h"
#include "va/window.h"

#define MIB ((size_t)1 << 20)

/* Odd sizes: a record may cross a page, many share one, and one is larger than a page. */
static const size_t records[] = {20, 1, 5000, 24};
enum {
	NRECORDS = 4
};

static struct umpa_window w;

static int init(size_t nbytes, size_t min_nbytes)
{
	return umpa_window_init(&w, nbytes, min_nbytes, records, NRECORDS);
}

static size_t tables_opened(void)
{
	size_t nbytes = 0;

	for (unsigned i = 0; i < w.ntables; i++)
		nbytes += w.table[i].open_nbytes;
	return nbytes;
}

static size_t slots_opened(void)
{
	return fake_opened_nbytes() - tables_opened();
}

/* All that is reserved is the window's. */
static int owns_all(void)
{
	return fake_reserved_nbytes() == w.nbytes + w.table_nbytes && fake_mapped_nbytes() == 0 &&
	       fake_consistent();
}

TEST(window_reserves_and_releases)
{
	PLAN(11);
	fake_reset();
	REQUIRE(!init(1024 * MIB, SLOT_NBYTES));
	CHECK_EQ(w.nbytes, 1024 * MIB);
	CHECK_EQ(w.nslots, 512);
	CHECK_EQ(w.base % SLOT_NBYTES, 0);
	CHECK_EQ(w.nslots_open, 0);
	CHECK_EQ(fake_opened_nbytes(), 0);
	CHECK(owns_all());
	umpa_window_fini(&w);
	CHECK_EQ(w.nbytes, 0);
	CHECK_EQ(fake_reserved_nbytes(), 0);
	umpa_window_fini(&w); /* of no window */
	CHECK_EQ(fake_ncalls_of("release"), 1 + NRECORDS);
	CHECK_EQ(fake_ncalls_of("open"), 0);
}

TEST(window_sizes_are_whole_slots)
{
	PLAN(4);
	fake_reset();
	REQUIRE(!init(5 * SLOT_NBYTES + 1, 1));
	CHECK_EQ(w.nslots, 6);
	umpa_window_fini(&w);
	REQUIRE(!init(1, 1));
	CHECK_EQ(w.nslots, 1);
	umpa_window_fini(&w);
}

TEST(window_halves_until_the_system_agrees)
{
	PLAN(6);
	fake_reset();
	fake_machine.as_limit_nbytes = 100 * MIB;
	REQUIRE(!init(1024 * MIB, 2 * MIB));
	CHECK_EQ(w.nbytes, 64 * MIB);
	CHECK(owns_all());
	umpa_window_fini(&w);
	fake_machine.as_limit_nbytes = 2 * SLOT_NBYTES;
	REQUIRE(!init(5 * SLOT_NBYTES, 1)); /* 5, 3, 2 */
	CHECK_EQ(w.nslots, 2);
	CHECK(owns_all());
	umpa_window_fini(&w);
}

/* What the tables' records of so many slots take, in pages of their own. */
static size_t records_nbytes(size_t nslots)
{
	size_t nbytes = 0;

	for (unsigned i = 0; i < NRECORDS; i++)
		nbytes += pages_of(records[i] * nslots) * PAGE_NBYTES;
	return nbytes;
}

TEST(window_is_narrowed)
{
	PLAN(14);
	fake_reset();
	REQUIRE(!init(1024 * MIB, SLOT_NBYTES));
	REQUIRE(!umpa_window_open(&w, 100));
	umpa_window_narrow(&w, 200, 50);
	CHECK_EQ(w.nslots, 200);
	CHECK_EQ(umpa_window_nslots_open(&w), 50);
	CHECK_EQ(w.nbytes, 200 * SLOT_NBYTES);
	CHECK_EQ(fake_reserved_nbytes(), 200 * SLOT_NBYTES + records_nbytes(200));
	CHECK_EQ(umpa_window_open(&w, 151), -ENOMEM);
	CHECK_EQ(umpa_window_open(&w, 150), 0);
	umpa_window_narrow(&w, 150, 150);
	/* What was opened of the tables stays. */
	CHECK_EQ(fake_reserved_nbytes(), 150 * SLOT_NBYTES + records_nbytes(200));
	CHECK_EQ(umpa_window_open(&w, 1), -ENOMEM);
	CHECK(!umpa_window_has(&w, (char *)w.base + 150 * SLOT_NBYTES));
	CHECK(fake_consistent());
	umpa_window_fini(&w);
	CHECK_EQ(fake_reserved_nbytes(), 0);
	CHECK(fake_consistent());
}

TEST(window_gives_up_below_the_least)
{
	PLAN(8);
	fake_reset();
	fake_machine.as_limit_nbytes = 100 * MIB;
	CHECK_EQ(init(1024 * MIB, 128 * MIB), -ENOMEM);
	CHECK_EQ(w.nbytes, 0);
	CHECK_EQ(fake_reserved_nbytes(), 0);
	CHECK(!umpa_window_has(&w, NULL));
	CHECK(!umpa_window_has(&w, &w));
	fake_machine.as_limit_nbytes = 0;
	CHECK_EQ(init(1024 * MIB, 1), -ENOMEM); /* down to one slot, and no further */
	CHECK_EQ(init(SLOT_NBYTES, SLOT_NBYTES), -ENOMEM);
	CHECK_EQ(fake_reserved_nbytes(), 0);
}

/* Each call while reserving refused, once: half the window, and nothing of the failed attempt. */
TEST(window_reserving_survives_the_nth_refusal)
{
	PLAN(2 * 6);
	for (uint64_t n = 1; n <= 2; n++) {
		fake_reset();
		fake_fail_at(n, -ENOMEM);
		CHECK_EQ(init(64 * MIB, 2 * MIB), 0);
		CHECK_EQ(w.nbytes, 32 * MIB);
		CHECK(owns_all());
		umpa_window_fini(&w);
		fake_fail_from(n, -ENOMEM);
		CHECK_EQ(init(64 * MIB, 2 * MIB), -ENOMEM);
		CHECK_EQ(w.nbytes, 0);
		CHECK_EQ(fake_reserved_nbytes(), 0);
	}
}

/* --- arithmetic --------------------------------------------------------------------------- */

TEST(window_knows_its_addresses)
{
	const char *base, *end;
	unsigned nwrong = 0;

	PLAN(10);
	fake_reset();
	REQUIRE(!init(64 * MIB, 64 * MIB));
	base = (const char *)w.base;
	end = base + w.nbytes;
	CHECK(umpa_window_has(&w, base));
	CHECK(!umpa_window_has(&w, base - 1));
	CHECK(umpa_window_has(&w, end - 1));
	CHECK(!umpa_window_has(&w, end));
	CHECK(!umpa_window_has(&w, NULL));
	CHECK(!umpa_window_has(&w, (void *)UINTPTR_MAX));
	CHECK(!umpa_window_has(&w, w.table_memory));
	for (uint32_t i = 0; i < w.nslots; i++)
		for (unsigned p = 0; p < SLOT_NPAGES; p++) {
			const char *at = umpa_window_at(&w, (struct slot){i}, p);

			nwrong += at != base + i * SLOT_NBYTES + p * PAGE_NBYTES;
			nwrong += umpa_window_slot(&w, at).i != i;
			nwrong += umpa_window_slot(&w, at + PAGE_NBYTES - 1).i != i;
			nwrong += umpa_window_page_in_slot(at) != p;
			nwrong += umpa_window_page_in_slot(at + PAGE_NBYTES - 1) != p;
		}
	CHECK_EQ(nwrong, 0);
	/* Pages may be counted on past the slot. */
	CHECK(umpa_window_at(&w, (struct slot){1}, SLOT_NPAGES + 3) ==
		umpa_window_at(&w, (struct slot){2}, 3));
	umpa_window_fini(&w);
}

/* --- the frontier ------------------------------------------------------------------------- */

TEST(window_opens_what_is_asked_for_and_no_more)
{
	unsigned nwrong = 0;

	PLAN(6);
	fake_reset();
	REQUIRE(!init(64 * MIB, 64 * MIB));
	for (uint32_t n = 0; w.nslots_open + n <= w.nslots; n++) {
		uint32_t before = w.nslots_open;

		if (n && umpa_window_open(&w, n))
			nwrong++;
		nwrong += w.nslots_open != before + n;
		nwrong += slots_opened() != (size_t)w.nslots_open << SLOT_SHIFT;
		for (unsigned i = 0; i < NRECORDS; i++) {
			size_t need = w.nslots_open * records[i];

			nwrong += w.table[i].open_nbytes < need;
			nwrong += w.table[i].open_nbytes >= need + PAGE_NBYTES;
		}
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(w.nslots_open, 28);
	CHECK_EQ(umpa_window_open(&w, 4), 0);
	CHECK_EQ(w.nslots_open, w.nslots);
	CHECK(owns_all());
	umpa_window_fini(&w);
}

TEST(window_does_not_open_past_its_end)
{
	uint64_t ncalls;

	PLAN(7);
	fake_reset();
	REQUIRE(!init(8 * SLOT_NBYTES, SLOT_NBYTES));
	REQUIRE(!umpa_window_open(&w, 3));
	ncalls = fake_ncalls();
	CHECK_EQ(umpa_window_open(&w, 6), -ENOMEM);
	CHECK_EQ(umpa_window_open(&w, UINT32_MAX), -ENOMEM);
	CHECK_EQ(fake_ncalls(), ncalls);
	CHECK_EQ(umpa_window_open(&w, 5), 0);
	CHECK_EQ(umpa_window_open(&w, 1), -ENOMEM);
	umpa_window_fini(&w);
}

static void fill_records(unsigned table, char mark)
{
	memset(w.table[table].base, mark, w.nslots_open * records[table]);
}

static unsigned nwrong_records(unsigned table, char mark)
{
	unsigned nwrong = 0;

	for (size_t i = 0; i < w.nslots_open * records[table]; i++)
		nwrong += w.table[table].base[i] != mark;
	return nwrong;
}

/* Records of opened slots can be written, lie apart, begin as zeros and stay when more are opened.
 */
TEST(window_tables_hold_a_record_for_each_slot)
{
	unsigned nwrong = 0;

	PLAN(3);
	fake_reset();
	REQUIRE(!init(64 * MIB, 64 * MIB));
	while (w.nslots_open < w.nslots) {
		uint32_t first = w.nslots_open;

		if (umpa_window_open(&w, w.nslots_open % 3 + 1) && umpa_window_open(&w, 1))
			break;
		for (unsigned t = 0; t < NRECORDS; t++) {
			char *fresh = w.table[t].base + first * records[t];

			for (size_t i = 0; i < (w.nslots_open - first) * records[t]; i++)
				nwrong += fresh[i] != 0;
			fill_records(t, (char)(t + 1));
		}
		for (unsigned t = 0; t < NRECORDS; t++)
			nwrong += nwrong_records(t, (char)(t + 1));
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(w.nslots_open, w.nslots);
	umpa_window_fini(&w);
}

/* Each call while opening refused: the frontier stays, no slot is opened, and again it works. Three
 * tables have to grow: the records of one fit into the page that is open. */
TEST(window_opening_survives_the_nth_refusal)
{
	unsigned nwrong = 0;

	PLAN(1);
	for (uint64_t n = 1; n <= NRECORDS + 1; n++) {
		int refused = n <= NRECORDS;

		fake_reset();
		nwrong += init(1024 * MIB, 1024 * MIB) != 0 || umpa_window_open(&w, 2) != 0;
		fake_fail_at(n, -ENOMEM);
		nwrong += umpa_window_open(&w, 300) != (refused ? -ENOMEM : 0);
		nwrong += w.nslots_open != (refused ? 2u : 302u);
		nwrong += slots_opened() != (size_t)w.nslots_open << SLOT_SHIFT;
		fake_fail_at(0, 0);
		nwrong += refused && umpa_window_open(&w, 300) != 0;
		nwrong += w.nslots_open != 302 || slots_opened() != 302 * SLOT_NBYTES;
		nwrong += !owns_all();
		umpa_window_fini(&w);
		nwrong += fake_reserved_nbytes() != 0;
	}
	CHECK_EQ(nwrong, 0);
}

TEST(window_opens_as_far_as_a_limit_allows)
{
	uint32_t n = 0;

	PLAN(5);
	fake_reset();
	REQUIRE(!init(64 * MIB, 64 * MIB));
	fake_open_max = 11 * MIB;
	while (n < 100 && !umpa_window_open(&w, 1))
		n++;
	CHECK_EQ(n, 5);
	CHECK_EQ(w.nslots_open, 5);
	CHECK_EQ(slots_opened(), 5 * SLOT_NBYTES);
	fake_open_max = SIZE_MAX;
	CHECK_EQ(umpa_window_open(&w, 27), 0);
	umpa_window_fini(&w);
}
