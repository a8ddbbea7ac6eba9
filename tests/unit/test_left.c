/* Mappings that nobody touches, on the fake OS: left void, told from what was touched by its
 * frames, and no more memory held for a wrong guess than while it was. */
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/owns.h"
#include "core/pool.h"
#include "core/shard.h"
#include "mm/left.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_blocks.h"
#include "support/fake_mmap.h"
#include "support/fake_os.h"
#include "support/numbers.h"

#define MIB ((size_t)1 << 20)

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	POOL_NSLOTS = 64
};

static char *map_as(size_t nbytes, int flags)
{
	char *p = umpa_mmap(NULL, nbytes, RW, ANON | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static char *map(size_t nbytes)
{
	return map_as(nbytes, 0);
}

/* A pool of so many slots, all of which were written to. */
static void begin(void)
{
	char *p;

	fake_mmap_begin();
	fake_machine.memory_nbytes = (size_t)4 << 30;
	p = map(POOL_NSLOTS * SLOT_NBYTES);
	fake_touch(p, POOL_NSLOTS * SLOT_NBYTES);
	for (size_t i = 0; i < POOL_NSLOTS * SLOT_NBYTES; i += PAGE_NBYTES)
		p[i] = 'x';
	umpa_munmap(p, POOL_NSLOTS * SLOT_NBYTES);
}

enum {
	END_CHECKS = 2
};

static void end(void)
{
	CHECK(fake_mmap_ends_well());
	umpa_mapping_stop();
	umpa_core_stop();
	CHECK_EQ(fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes(), 0);
}

static void leave_all(void)
{
	for (unsigned i = 0; i < LEFT_NCLASSES; i++)
		umpa_left.streak[i].nuntouched = STREAK_NROW;
}

static int is_zero(const char *p, size_t nbytes)
{
	for (size_t i = 0; i < nbytes; i += PAGE_NBYTES)
		if (p[i])
			return 0;
	return 1;
}

static size_t nslots_bare(char *p, size_t nbytes)
{
	size_t n = 0;

	for (size_t i = 0; i < nbytes; i += SLOT_NBYTES)
		n += !fake_frame(p + i);
	return n;
}

static void fill(char *p, size_t nbytes)
{
	fake_touch(p, nbytes);
	for (size_t i = 0; i < nbytes; i += PAGE_NBYTES)
		p[i] = 'f';
}

/* Maps so often, of different sizes, and touches nothing, or all. Result: slots without frames
 * among what was mapped. */
static size_t churn(unsigned nmappings, int touch)
{
	struct numbers n = numbers_of_seed(3);
	size_t nbare = 0;

	for (unsigned i = 0; i < nmappings; i++) {
		size_t nbytes = (1 + number_below(&n, 16)) * SLOT_NBYTES;
		char *p = map(nbytes);

		nbare += nslots_bare(p, nbytes);
		if (touch)
			fill(p, nbytes);
		umpa_munmap(p, nbytes);
	}
	return nbare;
}

TEST(left_are_mappings_that_nobody_touches)
{
	uint64_t cleared;
	size_t nframes;

	PLAN(5 + END_CHECKS);
	begin();
	nframes = fake_nframes();
	churn(2000, 0);
	CHECK(umpa_left_all(SLOT_NPAGES) && umpa_left_all(8 * SLOT_NPAGES));
	CHECK(!umpa_left_all(64 * SLOT_NPAGES)); /* there were none */
	cleared = stats().cleared_nbytes;
	churn(200, 0);
	CHECK_EQ(stats().cleared_nbytes, cleared);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(umpa_pool_nslots(), POOL_NSLOTS);
	end();
}

/* Few lose a slot to see whether it is still so, and fewer and fewer. */
TEST(left_are_few_of_who_touches)
{
	size_t nframes;

	PLAN(3 + END_CHECKS);
	begin();
	nframes = fake_nframes();
	CHECK(churn(1000, 1) < 50);
	CHECK(!umpa_left_all(8 * SLOT_NPAGES));
	CHECK_EQ(fake_nframes(), nframes);
	end();
}

/* Of mappings that live on few slots are without frames at a time. */
TEST(left_are_few_slots_at_a_time)
{
	char *p[POOL_NSLOTS];
	size_t nbare = 0;

	PLAN(4 + END_CHECKS);
	begin();
	for (size_t i = 0; i < POOL_NSLOTS; i++) {
		p[i] = map(SLOT_NBYTES);
		nbare += nslots_bare(p[i], SLOT_NBYTES);
	}
	CHECK_EQ(nbare, POOL_NSLOTS / LEFT_NSLOTS_HELD_MIN);
	CHECK_EQ(umpa_left.nlost, nbare);
	for (size_t i = 0; i < POOL_NSLOTS; i++)
		umpa_munmap(p[i], SLOT_NBYTES);
	CHECK_EQ(umpa_left.nlost, 0);
	CHECK_EQ(umpa_pool_nslots(), POOL_NSLOTS);
	end();
}

/* Not always the first: who touches a part of what he maps begins there as a rule. */
TEST(left_is_any_slot)
{
	unsigned seen = 0;

	PLAN(1 + END_CHECKS);
	begin();
	for (unsigned i = 0; i < 12; i++) {
		char *p = map(8 * SLOT_NBYTES);

		umpa_left.streak[3].nuntouched = 0;
		for (unsigned k = 0; k < 8; k++)
			seen |= !fake_frame(p + k * SLOT_NBYTES) << k;
		umpa_munmap(p, 8 * SLOT_NBYTES);
	}
	CHECK(__builtin_popcount(seen) >= 5);
	end();
}

/* Some that don't end are not waited for for ever. */
TEST(left_is_waited_for_a_while)
{
	char *p, *q;
	unsigned n = 0;
	uint32_t nprobed;

	PLAN(4 + END_CHECKS);
	begin();
	p = map(SLOT_NBYTES);
	q = map(SLOT_NBYTES);
	CHECK_EQ(umpa_left.nlost, 2);
	nprobed = umpa_left.nprobed;
	for (; umpa_left.nprobed == nprobed && n < 1000; n++)
		umpa_munmap(map(SLOT_NBYTES), SLOT_NBYTES);
	CHECK_EQ(n, LEFT_PATIENCE + 1);
	umpa_munmap(map(SLOT_NBYTES), SLOT_NBYTES);
	CHECK_EQ(umpa_left.nprobed, nprobed + 2);
	umpa_munmap(p, SLOT_NBYTES);
	umpa_munmap(q, SLOT_NBYTES);
	CHECK_EQ(umpa_left.nlost, 0);
	end();
}

TEST(left_is_nothing_of_a_small_process)
{
	char *p;
	size_t nbare = 0;

	PLAN(1 + END_CHECKS);
	begin();
	umpa_trim(LEFT_NSLOTS_HELD_MIN / 2 * SLOT_NBYTES);
	for (int i = 0; i < 100; i++) {
		p = map(2 * SLOT_NBYTES);
		nbare += nslots_bare(p, 2 * SLOT_NBYTES);
		umpa_munmap(p, 2 * SLOT_NBYTES);
	}
	CHECK_EQ(nbare, 0);
	end();
}

TEST(left_and_touched_holds_no_more_memory_than_before)
{
	const size_t nbytes = 7 * SLOT_NBYTES / 2;
	size_t nframes;
	char *p;

	PLAN(8 + END_CHECKS);
	begin();
	nframes = fake_nframes();
	leave_all();
	p = map(nbytes);
	CHECK_EQ(nslots_bare(p, nbytes), 4);
	fill(p, nbytes);
	CHECK(fake_nframes() > nframes);
	CHECK_EQ(umpa_munmap(p, nbytes), 0);
	CHECK(!umpa_left_all(nbytes >> PAGE_SHIFT));
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(umpa_pool_nslots(), POOL_NSLOTS);
	p = map(nbytes);
	CHECK(is_zero(p, nbytes) && nslots_bare(p, nbytes) == 0);
	CHECK_EQ(umpa_munmap(p, nbytes), 0);
	end();
}

/* To clear all for the sake of one slot takes longer. */
TEST(left_is_still_right_where_little_is_touched)
{
	const size_t nbytes = 8 * SLOT_NBYTES;
	size_t nframes;
	char *p;

	PLAN(4 + END_CHECKS);
	begin();
	nframes = fake_nframes();
	leave_all();
	for (size_t n = 1; n <= 2; n++) {
		p = map(nbytes);
		fill(p, n * SLOT_NBYTES);
		umpa_munmap(p, nbytes);
		CHECK_EQ(umpa_left_all(nbytes >> PAGE_SHIFT), n == 1);
		CHECK_EQ(fake_nframes(), nframes);
	}
	end();
}

/* Without a pool the frames of what was touched are its beginning. */
TEST(left_and_touched_goes_to_a_pool_that_is_empty)
{
	char *p;

	PLAN(3 + END_CHECKS);
	begin();
	leave_all();
	umpa_trim(0);
	CHECK_EQ(umpa_pool_nslots(), 0);
	p = map(4 * SLOT_NBYTES);
	fill(p, 2 * SLOT_NBYTES);
	umpa_munmap(p, 4 * SLOT_NBYTES);
	CHECK(umpa_pool_nslots() >= 1);
	CHECK_EQ(fake_nframes(), umpa_pool_nslots() * SLOT_NPAGES);
	end();
}

/* Other mappings that lie there later, whole slots or parts, are no guess. */
TEST(left_is_not_what_is_mapped_there_later)
{
	const size_t part = SLOT_NBYTES / 8;
	char *p, *kept;
	uint32_t n;

	PLAN(4 + END_CHECKS);
	begin();
	kept = map(2 * SLOT_NBYTES);
	leave_all();
	p = map(2 * SLOT_NBYTES);
	umpa_munmap(p, 2 * SLOT_NBYTES);
	n = umpa_pool_nslots();
	CHECK(umpa_mmap(p, part, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == (void *)p);
	fill(p, part);
	umpa_munmap(p, part);
	CHECK_EQ(umpa_pool_nslots(), n + 1);
	p += SLOT_NBYTES;
	CHECK(umpa_mmap(p, SLOT_NBYTES, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == (void *)p);
	fill(p, SLOT_NBYTES);
	umpa_munmap(p, SLOT_NBYTES);
	CHECK_EQ(umpa_pool_nslots(), n + 1);
	umpa_munmap(kept, 2 * SLOT_NBYTES);
	end();
}

/* Neither the slots nor what is over in the last one make the frontier go on. */
TEST(left_is_had_again_and_again)
{
	const size_t nbytes = 5 * SLOT_NBYTES / 2;
	uint32_t nopen;
	char *p;

	PLAN(2 + END_CHECKS);
	begin();
	leave_all();
	p = map(nbytes);
	umpa_munmap(p, nbytes);
	nopen = umpa_window_nslots_open(&umpa_core.window);
	for (int i = 0; i < 1000; i++) {
		p = map(nbytes);
		umpa_munmap(p, nbytes);
	}
	CHECK_EQ(umpa_window_nslots_open(&umpa_core.window), nopen);
	CHECK_EQ(umpa_pool_nslots(), POOL_NSLOTS);
	end();
}

/* What is unmapped piece by piece tells piece by piece, and what stays is not touched. */
TEST(left_is_ended_in_pieces)
{
	const size_t nbytes = 6 * SLOT_NBYTES;
	char *p, *q;

	PLAN(6 + END_CHECKS);
	begin();
	leave_all();
	p = map(nbytes);
	fill(p + SLOT_NBYTES, 2 * SLOT_NBYTES);
	CHECK_EQ(umpa_munmap(p + 3 * SLOT_NBYTES / 2, SLOT_NBYTES), 0);
	CHECK(p[SLOT_NBYTES] == 'f' && p[3 * SLOT_NBYTES - PAGE_NBYTES] == 'f');
	CHECK(is_zero(p, SLOT_NBYTES) && is_zero(p + 3 * SLOT_NBYTES, 3 * SLOT_NBYTES));
	q = umpa_mmap(p + 3 * SLOT_NBYTES / 2, SLOT_NBYTES, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(q == p + 3 * SLOT_NBYTES / 2 && is_zero(q, SLOT_NBYTES));
	CHECK_EQ(umpa_munmap(p, nbytes), 0);
	p = map(nbytes);
	CHECK(is_zero(p, nbytes));
	umpa_munmap(p, nbytes);
	end();
}

/* However it ends, and wherever it is by then, as many frames go as came for a guess. */
TEST(left_and_touched_holds_no_more_memory_in_pieces)
{
	const size_t nbytes = 4 * SLOT_NBYTES;
	size_t nframes;
	char *p;

	PLAN(7 + END_CHECKS);
	begin();
	nframes = fake_nframes();
	for (int how = 0; how < 3; how++) {
		leave_all();
		p = map(nbytes);
		CHECK_EQ(nslots_bare(p, nbytes), 4);
		fill(p, nbytes);
		if (how == 0)
			umpa_munmap(p + SLOT_NBYTES / 2, 2 * SLOT_NBYTES);
		if (how == 1)
			umpa_mprotect(p, nbytes, PROT_READ);
		if (how == 2) {
			char *behind = umpa_mmap(
				p + nbytes, SLOT_NBYTES, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
			char *moved = umpa_mremap(p, nbytes, 3 * nbytes, MREMAP_MAYMOVE, NULL);

			CHECK(moved != p && moved[nbytes - PAGE_NBYTES] == 'f');
			umpa_munmap(behind, SLOT_NBYTES);
			p = moved;
		}
		umpa_munmap(p, how == 2 ? 3 * nbytes : nbytes);
		CHECK(fake_nframes() <= nframes);
	}
	end();
}

/* Others have pages behind what is over: they are no part of what is told. */
TEST(left_may_be_beside_others)
{
	const size_t nbytes = 5 * SLOT_NBYTES / 2;
	char *p, *q, *r;

	PLAN(6 + END_CHECKS);
	begin();
	leave_all();
	p = map(nbytes);
	q = umpa_mmap(p + nbytes, SLOT_NBYTES / 4, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	REQUIRE(q == p + nbytes);
	fill(q, SLOT_NBYTES / 4);
	CHECK_EQ(umpa_munmap(p, nbytes), 0);
	CHECK(q[0] == 'f');
	r = umpa_mmap(p, nbytes, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(r == p && is_zero(r, nbytes));
	CHECK_EQ(umpa_munmap(q, SLOT_NBYTES / 4), 0);
	CHECK_EQ(umpa_munmap(r, nbytes), 0);
	end();
}

/* MAP_POPULATE; memory that has frames at once; and where opening counts. */
TEST(left_is_nothing_that_is_filled_anyway)
{
	char *p;

	uint64_t before;

	PLAN(6 + END_CHECKS);
	begin();
	leave_all();
	before = stats().nslots_from_kernel;
	p = map_as(4 * SLOT_NBYTES, MAP_POPULATE);
	CHECK_EQ(stats().nslots_from_kernel, before);
	CHECK_EQ(nslots_bare(p, 4 * SLOT_NBYTES), 0);
	umpa_munmap(p, 4 * SLOT_NBYTES);
	CHECK(umpa_left_all(SLOT_NPAGES));
	umpa_core.space.locked = 1;
	CHECK(!umpa_left_all(SLOT_NPAGES));
	umpa_core.space.locked = 0;
	umpa_core.machine.strict_commit = 1;
	CHECK(!umpa_left_all(SLOT_NPAGES));
	umpa_core.machine.strict_commit = 0;
	CHECK(umpa_left_all(SLOT_NPAGES));
	end();
}

/* The window has no void slots any more: frames that are there are cleared as ever. */
TEST(left_is_nothing_in_a_window_that_is_full)
{
	char *p = NULL, *q;
	size_t nslots;

	PLAN(4 + END_CHECKS);
	begin();
	leave_all();
	umpa_trim(0);
	nslots = umpa_core.window.nslots;
	p = map((nslots - 2) * SLOT_NBYTES);
	REQUIRE(p);
	q = map(SLOT_NBYTES);
	fill(q, SLOT_NBYTES);
	leave_all();
	umpa_munmap(q, SLOT_NBYTES);
	leave_all();
	q = map(2 * SLOT_NBYTES);
	CHECK(umpa_in_window(q));
	CHECK(is_zero(q, 2 * SLOT_NBYTES));
	umpa_munmap(q, 2 * SLOT_NBYTES);
	CHECK_EQ(umpa_munmap(p, (nslots - 2) * SLOT_NBYTES), 0);
	end();
}

/* --- other threads -------------------------------------------------------------------------- */

static void *map_two_slots(void *arg)
{
	(void)arg;
	return map(2 * SLOT_NBYTES);
}

static char *map_on(unsigned cpu)
{
	pthread_t thread;
	void *p;

	fake_cpu = cpu;
	pthread_create(&thread, NULL, map_two_slots, NULL);
	pthread_join(thread, &p);
	fake_cpu = 0;
	return p;
}

/* So often that the shard of CPU 1 has superpages of its own. */
static void need_two_shards(void)
{
	for (int i = 0; i < 17; i++)
		umpa_munmap(map_on(1), 2 * SLOT_NBYTES);
}

/* Who ends more than is his, while another thread maps what is in the gap, ends his own. */
TEST(left_of_others_is_not_told_or_ended)
{
	struct umpa_pages_shard *s;
	size_t page;
	char *p, *q;

	PLAN(8 + END_CHECKS);
	begin();
	fake_threads(1);
	umpa_shard_crowd = 0;
	need_two_shards();
	leave_all();
	p = map(4 * SLOT_NBYTES);
	page = umpa_pages_number(p);
	CHECK_EQ(umpa_munmap(p + 2 * SLOT_NBYTES, 2 * SLOT_NBYTES), 0);
	s = umpa_pages_lock_shard(page, page + 4 * SLOT_NPAGES);
	REQUIRE(s);
	q = map_on(1);
	CHECK(q == p + 2 * SLOT_NBYTES);
	fill(q, 2 * SLOT_NBYTES);
	umpa_left_end(s, page, page + 4 * SLOT_NPAGES);
	umpa_pages_unlock_shard(s);
	CHECK(umpa_left_all(4 * SLOT_NPAGES));
	CHECK(q[0] == 'f' && q[2 * SLOT_NBYTES - PAGE_NBYTES] == 'f');
	CHECK_EQ(nslots_bare(q, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_munmap(q, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(stats().mapping_nbytes, 0);
	umpa_shard_crowd = 4;
	fake_threads(0);
	end();
}

/* --- refusals ------------------------------------------------------------------------------- */

/* Each call refused in turn, of a mapping that is left, touched in part, and ended. */
TEST(left_survives_refusals)
{
	const size_t nbytes = 7 * SLOT_NBYTES / 2;
	int done = 0, nwrong = 0;

	PLAN(3);
	for (uint64_t n = 1; !done && n < 100; n++) {
		uint64_t before;
		char *p, *kept;

		begin();
		leave_all();
		kept = map(2 * SLOT_NBYTES);
		fill(kept, 2 * SLOT_NBYTES);
		leave_all();
		before = fake_ncalls();
		fake_fail_at(n, -ENOMEM);
		p = map(nbytes);
		nwrong += !p || !is_zero(p, nbytes);
		fill(p, SLOT_NBYTES);
		nwrong += umpa_munmap(p, nbytes) != 0;
		done = fake_ncalls() - before < n;
		fake_fail_at(0, 0);
		p = map(nbytes);
		nwrong += !p || !is_zero(p, nbytes) || !is_zero(kept, 0) || kept[0] != 'f';
		nwrong += umpa_munmap(p, nbytes) || umpa_munmap(kept, 2 * SLOT_NBYTES);
		nwrong += !fake_mmap_ends_well();
	}
	CHECK(done);
	CHECK_EQ(nwrong, 0);
	umpa_mapping_stop();
	umpa_core_stop();
	CHECK_EQ(fake_nframes(), 0);
}

/* A slot that had no frames tells nothing, and keeps what the program brings. */
TEST(left_is_no_slot_that_is_bare)
{
	char *p;

	PLAN(2 + END_CHECKS);
	begin();
	umpa_trim(0);
	p = map(POOL_NSLOTS * SLOT_NBYTES);
	CHECK_EQ(umpa_left.nlost, 0);
	fill(p, POOL_NSLOTS * SLOT_NBYTES);
	umpa_munmap(p, POOL_NSLOTS * SLOT_NBYTES);
	CHECK_EQ(umpa_pool_nslots(), POOL_NSLOTS);
	end();
}

/* The frames of a slot that is to tell, too. */
TEST(left_survives_refusals_of_the_move)
{
	int done = 0, nwrong = 0;

	PLAN(2);
	for (uint64_t n = 1; !done && n < 100; n++) {
		uint64_t before;
		char *p;

		begin();
		before = fake_ncalls();
		fake_fail_at(n, -EBUSY);
		p = map(SLOT_NBYTES);
		nwrong += !p || !is_zero(p, SLOT_NBYTES);
		nwrong += umpa_munmap(p, SLOT_NBYTES) != 0;
		done = fake_ncalls() - before < n;
		fake_fail_at(0, 0);
		nwrong += done && umpa_left.streak[0].nuntouched != 1;
		p = map(8 * SLOT_NBYTES);
		nwrong += !is_zero(p, 8 * SLOT_NBYTES);
		umpa_munmap(p, 8 * SLOT_NBYTES);
		nwrong += !fake_mmap_ends_well();
	}
	CHECK(done);
	CHECK_EQ(nwrong, 0);
}
