/* How much of the pool is kept: the numbers alone, and the slots and frames of a core that sheds.
 */
#include <errno.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/pool.h"
#include "core/shard.h"
#include "core/space.h"
#include "core/surplus.h"
#include "support/check.h"
#include "support/fake_blocks.h"
#include "support/fake_os.h"
#include "support/model.h"

#define MIB ((size_t)1 << 20)
#define MS  ((uint64_t)1000000)

/* --- numbers ------------------------------------------------------------------------------ */

TEST(surplus_what_is_little_is_kept)
{
	struct umpa_surplus s = {.nwanted = 0};

	PLAN(7);
	CHECK_EQ(umpa_surplus_floor(0), SURPLUS_NSLOTS_MIN);
	CHECK_EQ(umpa_surplus_floor(400), 100);
	CHECK(!umpa_surplus_is_likely(SURPLUS_NSLOTS_MIN + SURPLUS_SLACK_NSLOTS, 0));
	CHECK(umpa_surplus_is_likely(SURPLUS_NSLOTS_MIN + SURPLUS_SLACK_NSLOTS + 1, 0));
	CHECK_EQ(umpa_surplus_keep(&s, 0, 0, 0, 0), SURPLUS_NSLOTS_MIN);
	CHECK_EQ(umpa_surplus_keep(&s, 0, 50, 0, 0), SURPLUS_NSLOTS_MIN);
	CHECK_EQ(umpa_surplus_keep(&s, 0, 50, 40, 0), 10);
}

TEST(surplus_what_came_out_of_the_pool_is_wanted)
{
	struct umpa_surplus s = {.nwanted = 0};

	PLAN(4);
	CHECK_EQ(umpa_surplus_keep(&s, 20, 50, 0, 0), 20);
	CHECK_EQ(umpa_surplus_keep(&s, 25, 50, 0, 0), 25);
	/* More than there is, which it may be by the time some are given back. */
	CHECK_EQ(umpa_surplus_keep(&s, 500, 50, 0, 0), 500);
	/* What was given back did not come out to be used. */
	umpa_surplus_given(&s, 30, 0);
	umpa_surplus_keep(&s, 530, 20, 0, 0);
	CHECK_EQ(s.nwanted, 320); /* NPOOLS_MAX times 20 */
}

/* Two threads that look at once may tell what they have counted in the wrong order. */
TEST(surplus_told_of_less_than_before_wants_no_more)
{
	struct umpa_surplus s = {.ntaken = 20};

	PLAN(2);
	CHECK_EQ(umpa_surplus_keep(&s, 18, 50, 0, 0), SURPLUS_NSLOTS_MIN);
	CHECK_EQ(umpa_surplus_keep(&s, 25, 50, 0, 0), 5);
}

TEST(surplus_is_forgotten_by_halves)
{
	struct umpa_surplus s = {.nwanted = 0};
	uint64_t patience_ns = 64 * SURPLUS_SLOT_MS * MS;

	PLAN(5);
	CHECK_EQ(umpa_surplus_keep(&s, 64, 64, 0, 0), 64);
	CHECK_EQ(umpa_surplus_keep(&s, 64, 64, 0, patience_ns - 1), 64);
	CHECK_EQ(umpa_surplus_keep(&s, 64, 64, 0, patience_ns), 32);
	CHECK_EQ(umpa_surplus_keep(&s, 64, 64, 0, 3 * patience_ns), 8);
	CHECK_EQ(umpa_surplus_keep(&s, 64, 64, 0, UINT64_MAX), SURPLUS_NSLOTS_MIN);
}

/* Taken at any time since it was asked before, as far as is known. */
TEST(surplus_taken_is_spread_over_the_time)
{
	struct umpa_surplus s, often;
	uint64_t patience_ns = 64 * SURPLUS_SLOT_MS * MS;
	uint32_t keep = 0;

	PLAN(7);
	umpa_surplus_init(&s, 5);
	CHECK_EQ(umpa_surplus_keep(&s, 32, 64, 0, 5 + patience_ns - 1), 32);
	umpa_surplus_init(&s, 5);
	CHECK_EQ(umpa_surplus_keep(&s, 32, 64, 0, 5 + patience_ns), 32);
	umpa_surplus_init(&s, 5);
	CHECK_EQ(umpa_surplus_keep(&s, 32, 64, 0, 5 + 4 * patience_ns), 15);
	umpa_surplus_init(&s, 5);
	CHECK_EQ(umpa_surplus_keep(&s, 1000, 64, 0, 5 + 1000 * patience_ns), SURPLUS_NSLOTS_MIN);
	CHECK_EQ(umpa_surplus_keep(&s, 1000, 0, 0, UINT64_MAX), SURPLUS_NSLOTS_MIN);
	/* So it makes little difference how often it is asked. */
	umpa_surplus_init(&s, 0);
	umpa_surplus_init(&often, 0);
	for (unsigned i = 1; i <= 40; i++)
		keep = umpa_surplus_keep(&often, i * 16, 64, 0, i * patience_ns);
	CHECK_EQ(keep, 31);
	CHECK_EQ(umpa_surplus_keep(&s, 40 * 16, 64, 0, 40 * patience_ns), 32);
}

TEST(surplus_missed_soon_is_wanted)
{
	struct umpa_surplus s = {.nwanted = 0};
	uint64_t soon_ns = 10 * SURPLUS_SLOT_MS * MS;

	PLAN(6);
	umpa_surplus_given(&s, 10, MS);
	umpa_surplus_asked(&s, 4, soon_ns);
	CHECK_EQ(s.nwanted, 4);
	CHECK_EQ(s.ngiven, 6);
	/* For the six that are left the time is up. */
	umpa_surplus_asked(&s, 100, soon_ns);
	CHECK_EQ(s.nwanted, 4);
	CHECK_EQ(s.ngiven, 0);
	/* A clock that runs backwards is soon; nothing given is nothing missed. */
	umpa_surplus_given(&s, 3, 9 * MS);
	umpa_surplus_asked(&s, 100, 0);
	CHECK_EQ(s.nwanted, 7);
	umpa_surplus_asked(&s, 100, 0);
	CHECK_EQ(s.nwanted, 7);
}

TEST(surplus_given_in_steps_is_missed_as_a_whole)
{
	struct umpa_surplus s = {.nwanted = 0};

	PLAN(3);
	umpa_surplus_given(&s, 10, MS);
	umpa_surplus_given(&s, 6, 2 * MS);
	CHECK_EQ(s.ngiven, 16);
	umpa_surplus_asked(&s, 12, 3 * MS);
	CHECK_EQ(s.nwanted, 12);
	/* What is left was given long ago. */
	umpa_surplus_given(&s, 3, 1000 * MS);
	CHECK_EQ(s.ngiven, 3);
}

/* --- slots and frames --------------------------------------------------------------------- */

static void begin(void)
{
	fake_reset();
	fake_machine.memory_nbytes = (size_t)1 << 30;
	umpa_pool_sheds = 1;
}

static void end(void)
{
	CHECK(fake_consistent());
	umpa_pool_sheds = 0;
	umpa_core_stop();
	CHECK_EQ(fake_nframes(), 0);
}
enum {
	END_CHECKS = 2
};

static size_t pool_nslots(void)
{
	return stats().pool_nbytes / SLOT_NBYTES;
}

TEST(surplus_of_a_large_block_goes_back_when_it_is_freed)
{
	PLAN(3 + END_CHECKS);
	begin();
	umpa_free(touched(64 * MIB, 0));
	CHECK_EQ(pool_nslots(), SURPLUS_NSLOTS_MIN);
	CHECK_EQ(fake_nframes(), SURPLUS_NSLOTS_MIN * SLOT_NPAGES);
	CHECK_EQ(fake_ncalls_of("unback"), 1);
	end();
}

TEST(surplus_stays_with_who_calls_umpa_by_name)
{
	PLAN(1 + END_CHECKS);
	begin();
	umpa_pool_sheds = 0;
	umpa_free(touched(64 * MIB, 0));
	CHECK_EQ(pool_nslots(), 32);
	end();
}

/* Faults are for memory that is new: once for all, and once more for what was given back. */
TEST(surplus_of_blocks_that_come_and_go_is_missed_once)
{
	uint64_t nunbacks;

	PLAN(3 + END_CHECKS);
	begin();
	for (int i = 0; i < 3; i++, fake_clock_ns += MS)
		umpa_free(touched(64 * MIB, 0));
	CHECK_EQ(pool_nslots(), 32);
	nunbacks = fake_ncalls_of("unback");
	CHECK_EQ(nunbacks, 1);
	for (int i = 0; i < 100; i++, fake_clock_ns += MS)
		umpa_free(touched(64 * MIB, 0));
	CHECK_EQ(fake_ncalls_of("unback"), nunbacks);
	end();
}

TEST(surplus_of_blocks_that_come_seldom_goes_back_each_time)
{
	PLAN(4 + END_CHECKS);
	begin();
	for (int i = 0; i < 4; i++) {
		umpa_free(touched(64 * MIB, 0));
		CHECK(pool_nslots() <= 2 * SURPLUS_NSLOTS_MIN);
		fake_clock_ns += 32 * SURPLUS_SLOT_MS * MS;
	}
	end();
}

/* Slots that come and go while there are too few of them for a look at the clock. */
static void take_few(unsigned ntimes)
{
	while (ntimes--)
		umpa_free(touched((SURPLUS_NSLOTS_MIN + SURPLUS_SLACK_NSLOTS) * SLOT_NBYTES, 0));
}

TEST(surplus_taken_long_ago_is_not_wanted)
{
	char *p;

	PLAN(3 + END_CHECKS);
	begin();
	take_few(1000);
	p = touched(64 * MIB, 0);
	fake_clock_ns += 3600 * 1000 * MS;
	CHECK_EQ(stats().trimmed_nbytes, 0);
	umpa_free(p);
	CHECK(stats().trimmed_nbytes > 0);
	CHECK_EQ(pool_nslots(), SURPLUS_NSLOTS_MIN);
	end();
}

/* The price: what was taken just now counts for little after an hour, and is missed; once, each
 * time. */
TEST(surplus_taken_in_bursts_is_missed_once_a_burst)
{
	uint64_t trimmed_nbytes = 0;

	PLAN(5 * 2 + END_CHECKS);
	begin();
	for (int burst = 0; burst < 5; burst++, fake_clock_ns += 3600 * 1000 * MS) {
		for (int i = 0; i < 20; i++, fake_clock_ns += MS) {
			take_few(5);
			umpa_free(touched(64 * MIB, 0));
		}
		trimmed_nbytes = stats().trimmed_nbytes - trimmed_nbytes;
		CHECK(trimmed_nbytes > 0 && trimmed_nbytes <= 64 * MIB);
		trimmed_nbytes = stats().trimmed_nbytes;
		CHECK_EQ(pool_nslots(), 32);
	}
	end();
}

/* A ring gives nothing back, from its first block on: what is free is little beside what is used,
 * or comes out of the pool again. */
TEST(surplus_of_a_ring_is_none)
{
	enum {
		NLIVE = 64
	};
	char *block[NLIVE] = {NULL};
	unsigned r = 1;

	PLAN(1 + END_CHECKS);
	begin();
	for (int i = 0; i < 2000; i++, fake_clock_ns += MS / 2) {
		r = r * 1103515245 + 12345;
		umpa_free(block[i % NLIVE]);
		block[i % NLIVE] = touched(((r >> 16) % 8 + 1) * MIB, 0);
	}
	CHECK_EQ(stats().trimmed_nbytes, 0);
	for (int i = 0; i < NLIVE; i++)
		umpa_free(block[i]);
	end();
}

/* What the system does not take stays in the pool, and is offered again. */
TEST(surplus_that_is_refused_stays)
{
	char *a, *b;

	PLAN(3 + END_CHECKS);
	begin();
	a = touched(64 * MIB, 0);
	b = touched(8 * MIB, 0);
	fake_fail_from(1, -EINVAL);
	umpa_free(a);
	fake_fail_at(0, 0);
	CHECK_EQ(pool_nslots(), 32);
	CHECK_EQ(fake_ncalls_of("unback"), 1);
	umpa_free(b);
	CHECK_EQ(pool_nslots(), SURPLUS_NSLOTS_MIN);
	end();
}

/* --- idle pages of the nursery ------------------------------------------------------------ */

enum {
	NIDLE_MAX = 256 /* idle.c's */
};

/* Six runs of 64 pages, of which four are freed. Result: how many frames there were before. */
static size_t leave_idle(char *run[6])
{
	size_t nframes;

	for (int i = 0; i < 6; i++)
		run[i] = touched(64 * PAGE_NBYTES, 0);
	nframes = fake_nframes();
	for (int i = 0; i < 4; i++)
		umpa_free(run[i]);
	return nframes;
}

static void free_rest(char *run[6])
{
	umpa_free(run[4]);
	umpa_free(run[5]);
}

TEST(surplus_of_idle_pages_goes_back)
{
	char *run[6], *more;
	size_t nframes;

	PLAN(6 + END_CHECKS);
	begin();
	nframes = leave_idle(run);
	CHECK_EQ(fake_nframes(), nframes); /* 256: not too many yet */
	umpa_free(run[4]);
	CHECK_EQ(fake_nframes(), nframes - 5 * 64);
	CHECK_EQ(stats().trimmed_nbytes, 5 * 64 * PAGE_NBYTES);
	CHECK_EQ(fake_ncalls_of("unback"), 1);
	/* They are zero, and wanted late. */
	fake_clock_ns += 1000 * MS;
	more = umpa_alloc(300 * PAGE_NBYTES, UMPA_ZERO);
	CHECK(more == run[0] && fake_frame(more) == 0);
	CHECK_EQ(umpa_shard(0)->nidle_max + umpa_shard(1)->nidle_max, 0);
	umpa_free(more);
	umpa_free(run[5]);
	end();
}

/* What is set aside is idle: set aside before the others, after them, and before and after. */
TEST(surplus_of_idle_pages_set_aside_goes_back)
{
	char *run[6];
	size_t nframes;

	PLAN(3 * 3 + END_CHECKS);
	begin();
	for (int when = 0; when < 3; when++) {
		for (int i = 0; i < 6; i++)
			run[i] = touched(64 * PAGE_NBYTES, 0);
		if (when == 2) {
			repeat_sizes();
			umpa_free(run[4]);
			CHECK_EQ(umpa_alloc(64 * PAGE_NBYTES, 0), run[4]);
			repeat_sizes();
		}
		nframes = fake_nframes();
		if (when == 0)
			repeat_sizes();
		for (int i = 0; i < 4; i++) {
			umpa_free(run[i]);
			for (unsigned k = 0; when && k < umpa_core.nshards; k++)
				umpa_shard_empty_bins(umpa_shard(k));
		}
		CHECK_EQ(fake_nframes(), nframes);
		if (when)
			repeat_sizes();
		umpa_free(run[4]);
		CHECK_EQ(fake_nframes(), nframes - 5 * 64);
		if (when < 2)
			CHECK_EQ(umpa_shard(0)->bins.npages + umpa_shard(1)->bins.npages, 0);
		umpa_free(run[5]);
		fake_clock_ns += 1000 * MS;
	}
	end();
}

TEST(surplus_of_idle_pages_that_are_wanted_soon_stays)
{
	char *run[6];

	PLAN(3 + 2 + END_CHECKS);
	begin();
	for (int i = 0; i < 3; i++, fake_clock_ns += MS) {
		leave_idle(run);
		free_rest(run);
		CHECK_EQ(fake_ncalls_of("unback"), 1);
	}
	CHECK_EQ(umpa_shard(0)->nidle_max + umpa_shard(1)->nidle_max, 2 * NIDLE_MAX);
	CHECK_EQ(umpa_shard(0)->idle_given.npages + umpa_shard(1)->idle_given.npages, 0);
	end();
}

TEST(surplus_of_idle_pages_that_is_refused_stays)
{
	uint64_t nfree;
	char *run[6];
	size_t nframes;

	PLAN(4 + END_CHECKS);
	begin();
	nframes = leave_idle(run);
	nfree = stats().run_free_nbytes;
	fake_fail_from(1, -EINVAL);
	umpa_free(run[4]);
	fake_fail_at(0, 0);
	CHECK_EQ(stats().run_free_nbytes, nfree + 64 * PAGE_NBYTES); /* they are free as before */
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(stats().trimmed_nbytes, 0);
	umpa_free(run[5]);
	CHECK_EQ(fake_nframes(), nframes); /* and is not offered again */
	end();
}

TEST(surplus_of_idle_pages_stays_with_who_calls_umpa_by_name)
{
	char *run[6];
	size_t nframes;

	PLAN(1 + END_CHECKS);
	begin();
	umpa_pool_sheds = 0;
	nframes = leave_idle(run);
	free_rest(run);
	CHECK_EQ(fake_nframes(), nframes);
	end();
}

/* Before memory is had from the kernel, fewer than those go back: the peak is not both. */
TEST(surplus_of_idle_pages_goes_back_before_growth)
{
	char *run[6], *large;
	size_t nframes;

	PLAN(4 + END_CHECKS);
	begin();
	nframes = leave_idle(run);
	large = umpa_alloc(8 * MIB, 0);
	CHECK_EQ(fake_nframes(), nframes - 4 * 64);
	CHECK_EQ(stats().trimmed_nbytes, 4 * 64 * PAGE_NBYTES);
	CHECK_EQ(umpa_core.space.grown, 0);
	/* 64 are few. */
	fake_touch(umpa_alloc(64 * PAGE_NBYTES, 0), 64 * PAGE_NBYTES);
	umpa_free(run[0]);
	umpa_free(umpa_alloc(8 * MIB, 0));
	CHECK_EQ(fake_ncalls_of("unback"), 1);
	umpa_free(large);
	free_rest(run);
	end();
}

/* A realloc that has slots from the kernel is growth, too. */
TEST(surplus_of_idle_pages_goes_back_before_a_block_grows)
{
	char *run[6], *large;

	PLAN(2 + END_CHECKS);
	begin();
	large = umpa_alloc(8 * MIB, 0);
	leave_idle(run);
	large = umpa_realloc(large, 16 * MIB, 0);
	CHECK_EQ(stats().trimmed_nbytes, 4 * 64 * PAGE_NBYTES);
	CHECK_EQ(umpa_core.space.grown, 0);
	umpa_free(large);
	free_rest(run);
	end();
}

/* What came from the pool is no growth; nor are those pages much beside many slots in use. */
TEST(surplus_of_idle_pages_stays_without_growth)
{
	char *run[6], *large;

	PLAN(2 + END_CHECKS);
	begin();
	umpa_free(umpa_alloc(4 * MIB, 0));
	leave_idle(run);
	large = umpa_alloc(4 * MIB, 0);
	CHECK_EQ(stats().trimmed_nbytes, 0);
	umpa_free(large);
	large = umpa_alloc(200 * MIB, 0);
	free_rest(run);
	CHECK_EQ(stats().trimmed_nbytes, 0);
	umpa_free(large);
	end();
}

TEST(surplus_of_idle_pages_that_growth_gave_in_vain_stays_for_a_while)
{
	char *run[6], *large[3];

	PLAN(3 + END_CHECKS);
	begin();
	for (int i = 0; i < 3; i++, fake_clock_ns += i == 2 ? 250 * MS : MS) {
		leave_idle(run);
		large[i] = umpa_alloc(8 * MIB, 0);
		CHECK_EQ(fake_ncalls_of("unback"), i == 2 ? 2 : 1);
		free_rest(run);
	}
	for (int i = 0; i < 3; i++)
		umpa_free(large[i]);
	end();
}

TEST(surplus_of_idle_pages_that_growth_is_refused_stays)
{
	char *run[6], *large;
	size_t nframes;

	PLAN(2 + END_CHECKS);
	begin();
	large = umpa_alloc(8 * MIB, 0);
	nframes = leave_idle(run);
	fake_fail_from(1, -EINVAL);
	umpa_free(large);
	large = umpa_alloc(8 * MIB, 0);
	fake_fail_at(0, 0);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(stats().trimmed_nbytes, 0);
	umpa_free(large);
	free_rest(run);
	end();
}

/* --- at random ---------------------------------------------------------------------------- */

/* Time goes by, so that now something is wanted soon, now late. */
static void touch_slowly(void *addr, size_t nbytes)
{
	fake_touch(addr, nbytes);
	fake_clock_ns += nbytes % 7 * MS;
}

/* Whatever goes back: no block loses its content, and what shall be zero is. */
TEST(surplus_is_nobodys)
{
	struct model_options o = {.seed = check_seed(1),
		.nops = check_times(4000),
		.nblocks = 24,
		.log2_min = 12,
		.log2_max = 24,
		.touch = touch_slowly};
	struct model_result r;

	PLAN(4 + END_CHECKS);
	begin();
	r = model_run(&o);
	CHECK_EQ(r.nwrong_tags, 0);
	CHECK_EQ(r.nwrong_zeros, 0);
	CHECK_EQ(r.nrefused, 0);
	CHECK(stats().trimmed_nbytes > 0);
	end();
}

/* Each call fails once, in turn, or from some call on: nothing wrong, nothing lost. Result: the
 * calls made. */
static uint64_t run_refused(uint64_t n, int lasting, uint64_t *nbad)
{
	struct model_options o = {.seed = 7,
		.nops = 100,
		.nblocks = 10,
		.log2_min = 12,
		.log2_max = 24,
		.touch = touch_slowly,
		.refusals_allowed = 1};
	struct model_result r;
	uint64_t ncalls;

	fake_reset();
	umpa_pool_sheds = 1;
	if (lasting)
		fake_fail_from(n, -EINVAL);
	else
		fake_fail_at(n, -ENOMEM);
	r = model_run(&o);
	ncalls = fake_ncalls();
	fake_fail_at(0, 0);
	*nbad += r.nwrong_tags + r.nwrong_zeros + !fake_consistent() + umpa_core.space.ntransit;
	if (umpa_core.window.nbytes)
		*nbad += !umpa_extents_valid(&umpa_core.space.extents);
	umpa_pool_sheds = 0;
	umpa_core_stop();
	*nbad += fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes();
	return ncalls;
}

TEST(surplus_with_each_call_refused)
{
	uint64_t nbad = 0;

	PLAN(3);
	for (uint64_t n = 1; run_refused(n, 0, &nbad) >= n; n += CHECK_STRIDE)
		;
	CHECK_EQ(nbad, 0);
	for (uint64_t n = 1; run_refused(n, 1, &nbad) >= n; n += 3 * CHECK_STRIDE)
		;
	CHECK_EQ(nbad, 0);
	CHECK(run_refused(0, 0, &nbad) > 20);
}
