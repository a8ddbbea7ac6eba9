/* Clearing pages on the fake OS: what is zero afterwards, and what got frames. */
#include <errno.h>
#include <string.h>

#include "core/clear.h"
#include "core/core.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/numbers.h"

enum {
	NSLOTS = 4
};

#define BEGIN_NCHECKS 2
#define WINDOW_NPAGES (NSLOTS * SLOT_NPAGES)

static char *window;

static void begin(void)
{
	void *addr = NULL;

	fake_reset();
	memset(&umpa_core.events, 0, sizeof(umpa_core.events));
	umpa_core.machine = fake_machine;
	REQUIRE(!umpa_os_reserve(NSLOTS * SLOT_NBYTES, &addr));
	REQUIRE(!umpa_os_open(addr, NSLOTS * SLOT_NBYTES));
	window = addr;
}

static char *page(size_t i)
{
	return window + i * PAGE_NBYTES;
}

/* Pages get frames, and a mark in their first and last byte. */
static void dirty_pages(size_t first, size_t n)
{
	fake_touch(page(first), n * PAGE_NBYTES);
	for (size_t i = first; i < first + n; i++)
		page(i)[0] = page(i)[PAGE_NBYTES - 1] = 1;
}

static int is_zero(size_t i)
{
	return !page(i)[0] && !memcmp(page(i), page(i) + 1, PAGE_NBYTES - 1);
}

static size_t nzero(size_t first, size_t n)
{
	size_t found = 0;

	for (size_t i = first; i < first + n; i++)
		found += (size_t)is_zero(i);
	return found;
}

static uint64_t cleared_npages(void)
{
	return umpa_core.events.cleared_nbytes >> PAGE_SHIFT;
}

/* Short, up to where the caches are passed by, and beyond: every byte, and none beside. */
TEST(clear_writes_zeros_over_whole_pages)
{
	static const size_t lengths[] = {1, 2, 15, 255, 256, 257, 512, 1024};
	enum {
		NLENGTHS = sizeof(lengths) / sizeof(lengths[0])
	};

	PLAN(BEGIN_NCHECKS + 3 * NLENGTHS);
	begin();
	for (int i = 0; i < NLENGTHS; i++) {
		size_t n = lengths[i];

		umpa_core.events.cleared_nbytes = 0;
		memset(page(0), 0xff, (n + 2) * PAGE_NBYTES);
		umpa_clear(page(1), n);
		CHECK_EQ(nzero(1, n), n);
		CHECK(page(1)[-1] == (char)0xff && page(n + 1)[0] == (char)0xff);
		CHECK_EQ(cleared_npages(), n);
	}
}

/* What is long, either way. */
TEST(clear_writes_all_also_past_the_caches)
{
	static const size_t lengths[] = {256, 257, 500, 1200};
	enum {
		NLENGTHS = sizeof(lengths) / sizeof(lengths[0])
	};

	PLAN(BEGIN_NCHECKS + 2 * NLENGTHS);
	begin();
	for (int i = 0; i < NLENGTHS; i++) {
		size_t n = lengths[i];

		memset(page(0), 0xff, (n + 2) * PAGE_NBYTES);
		fake_looks_ns[1] = 100;
		fake_looks_ns[2] = 10;
		umpa_clear(page(1), n);
		CHECK_EQ(nzero(1, n), n);
		CHECK(page(1)[-1] == (char)0xff && page(n + 1)[0] == (char)0xff);
	}
}

TEST(clear_goes_past_the_caches_where_that_is_faster)
{
	static const struct {
		uint64_t through_ns, past_ns;
		unsigned width;
	} rows[] = {{30, 10, 16}, {16, 10, 16}, {15, 10, 0}, {10, 30, 0}, {0, 0, 0}};
	enum {
		NROWS = sizeof(rows) / sizeof(rows[0])
	};

	PLAN(BEGIN_NCHECKS + 3 * NROWS);
	begin();
	for (int i = 0; i < NROWS; i++) {
		memset(page(0), 0xff, 2 * CLEAR_TRIED_NPAGES * PAGE_NBYTES);
		fake_looks_ns[0] = 1000;
		fake_looks_ns[1] = rows[i].through_ns;
		fake_looks_ns[2] = rows[i].past_ns;
		CHECK_EQ(umpa_clear_try(page(1), 16), rows[i].width);
		CHECK_EQ(nzero(1, CLEAR_TRIED_NPAGES), CLEAR_TRIED_NPAGES);
		CHECK(page(1)[-1] == (char)0xff && page(1 + CLEAR_TRIED_NPAGES)[0] == (char)0xff);
	}
}

TEST(clear_frames_keeps_the_frames_of_dense_memory)
{
	uint64_t first, last;

	PLAN(BEGIN_NCHECKS + 7);
	begin();
	dirty_pages(0, WINDOW_NPAGES);
	first = fake_frame(page(0));
	last = fake_frame(page(1299));
	umpa_clear_frames(page(0), 1300);
	CHECK_EQ(nzero(0, 1300), 1300);
	CHECK(!is_zero(1300));
	CHECK_EQ(cleared_npages(), 1300);
	CHECK_EQ(fake_ncalls_of("unback"), 0);
	CHECK_EQ(fake_nframes(), WINDOW_NPAGES);
	CHECK(fake_frame(page(0)) == first && fake_frame(page(1299)) == last);
	CHECK(fake_consistent());
}

/* One page in use of every sixteen: the system takes those back, the others never get a frame. */
TEST(clear_frames_leaves_sparse_memory_sparse)
{
	PLAN(BEGIN_NCHECKS + 5);
	begin();
	for (size_t i = 0; i < WINDOW_NPAGES; i += 16)
		dirty_pages(i, 1);
	umpa_clear_frames(page(0), WINDOW_NPAGES - SLOT_NPAGES);
	CHECK_EQ(nzero(0, WINDOW_NPAGES), WINDOW_NPAGES - SLOT_NPAGES / 16);
	CHECK_EQ(cleared_npages(), 0);
	CHECK_EQ(fake_nframes(), SLOT_NPAGES / 16);
	CHECK(fake_frame(page(WINDOW_NPAGES - 16)) != 0);
	CHECK(fake_consistent());
}

/* Each superpage is judged by itself. */
TEST(clear_frames_judges_each_superpage)
{
	PLAN(BEGIN_NCHECKS + 5);
	begin();
	dirty_pages(0, SLOT_NPAGES);
	dirty_pages(SLOT_NPAGES + 5, 300);
	dirty_pages(2 * SLOT_NPAGES, SLOT_NPAGES);
	umpa_clear_frames(page(0), 3 * SLOT_NPAGES);
	CHECK_EQ(nzero(0, WINDOW_NPAGES), WINDOW_NPAGES);
	CHECK_EQ(cleared_npages(), 2 * SLOT_NPAGES);
	CHECK_EQ(fake_nframes(), 2 * SLOT_NPAGES);
	CHECK_EQ(fake_frame(page(SLOT_NPAGES + 5)), 0);
	CHECK_EQ(fake_ncalls_of("unback"), 1);
}

TEST(clear_frames_asks_nothing_below_a_superpage)
{
	uint64_t ncalls;

	PLAN(BEGIN_NCHECKS + 3);
	begin();
	dirty_pages(3, 2);
	ncalls = fake_ncalls();
	umpa_clear_frames(page(0), SLOT_NPAGES - 1);
	CHECK_EQ(nzero(0, SLOT_NPAGES - 1), SLOT_NPAGES - 1);
	CHECK_EQ(fake_ncalls(), ncalls);
	CHECK_EQ(cleared_npages(), SLOT_NPAGES - 1);
}

/* What has no frame is zero: the system is asked, and told nothing. */
TEST(clear_frames_leaves_bare_memory_to_itself)
{
	PLAN(BEGIN_NCHECKS + 4);
	begin();
	umpa_clear_frames(page(0), WINDOW_NPAGES);
	CHECK_EQ(fake_ncalls_of("unback"), 0);
	CHECK_EQ(cleared_npages(), 0);
	CHECK_EQ(fake_nframes(), 0);
	CHECK(fake_consistent());
}

/* Whichever call is refused, the pages are zero. */
TEST(clear_frames_survives_the_nth_refusal)
{
	unsigned nwrong = 0;

	PLAN(6 * BEGIN_NCHECKS + 1);
	for (uint64_t n = 1; n <= 6; n++) {
		begin();
		dirty_pages(0, SLOT_NPAGES);
		dirty_pages(SLOT_NPAGES, 100);
		dirty_pages(2 * SLOT_NPAGES, 100);
		fake_fail_at(n, -ENOMEM);
		umpa_clear_frames(page(0), 3 * SLOT_NPAGES);
		nwrong += nzero(0, WINDOW_NPAGES) != WINDOW_NPAGES;
	}
	CHECK_EQ(nwrong, 0);
}

TEST(clear_by_unback_takes_the_frames)
{
	PLAN(BEGIN_NCHECKS + 6);
	begin();
	dirty_pages(0, 100);
	umpa_clear_by_unback(page(0), 50);
	CHECK_EQ(nzero(0, 100), 50);
	CHECK_EQ(fake_nframes(), 50);
	CHECK_EQ(cleared_npages(), 0);
	fake_fail_at(1, -EINVAL);
	umpa_clear_by_unback(page(50), 50);
	CHECK_EQ(nzero(0, 100), 100);
	CHECK_EQ(fake_nframes(), 50);
	CHECK_EQ(cleared_npages(), 50);
}

/* --- dirty bits --------------------------------------------------------------------------- */

/* Pages of the range whose bit is set are zero afterwards, all others are not looked at. */
static unsigned nwrong_of(unsigned from, unsigned n, const struct bitmap *dirty)
{
	unsigned nwrong = 0;

	for (unsigned i = 0; i < SLOT_NPAGES; i++) {
		int cleared = i >= from && i < from + n && bitmap_get(dirty, i);

		nwrong += is_zero(SLOT_NPAGES + i) != cleared;
	}
	/* The slots beside it. */
	return nwrong + !!nzero(SLOT_NPAGES - 1, 1) + !!nzero(2 * SLOT_NPAGES, 1);
}

TEST(clear_dirty_clears_pages_with_their_bit_set)
{
	struct numbers numbers = numbers_of_seed(5);
	unsigned nwrong = 0;

	PLAN(BEGIN_NCHECKS + 1);
	begin();
	dirty_pages(0, WINDOW_NPAGES);
	for (int i = 0; i < 300; i++) {
		unsigned from = number_below(&numbers, SLOT_NPAGES);
		unsigned n = number_up_to(&numbers, SLOT_NPAGES - from);
		struct bitmap dirty = {0};

		for (uint32_t k = number_below(&numbers, 12); k > 0; k--) {
			unsigned at = number_below(&numbers, SLOT_NPAGES);

			bitmap_set_range(&dirty, at, number_up_to(&numbers, SLOT_NPAGES - at));
			at = number_below(&numbers, SLOT_NPAGES);
			bitmap_clear_range(&dirty, at, number_up_to(&numbers, SLOT_NPAGES - at));
		}
		umpa_clear_dirty(page(SLOT_NPAGES), from, n, &dirty);
		nwrong += nwrong_of(from, n, &dirty);
		dirty_pages(SLOT_NPAGES, SLOT_NPAGES);
	}
	CHECK_EQ(nwrong, 0);
}

TEST(clear_dirty_leaves_known_zero_pages_without_frames)
{
	struct bitmap dirty = {0};

	PLAN(BEGIN_NCHECKS + 4);
	begin();
	dirty_pages(40, 20);
	bitmap_set_range(&dirty, 40, 20);
	umpa_clear_dirty(window, 0, SLOT_NPAGES, &dirty);
	CHECK_EQ(nzero(0, SLOT_NPAGES), SLOT_NPAGES);
	CHECK_EQ(cleared_npages(), 20);
	CHECK_EQ(fake_nframes(), 20);
	umpa_clear_dirty(window, 0, 40, &dirty);
	CHECK_EQ(cleared_npages(), 20);
}
