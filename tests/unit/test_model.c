/* The page API on the fake OS under millions of random operations. */
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/untouched.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/model.h"

static void all_valid(void)
{
	CHECK(umpa_extents_valid(&umpa_core.space.extents));
	CHECK(fake_consistent());
	for (unsigned i = 0; i < 4; i++)
		CHECK(i >= umpa_core.nshards || umpa_shelf_valid(&umpa_shard(i)->shelf));
}

/* Everything is free again and everything that was given is counted. */
static void check_at_rest(void)
{
	struct umpa_stats st;

	CHECK_EQ(umpa_get_stats(&st, sizeof(st)), 0);
	CHECK_EQ(st.nblocks, 0);
	CHECK_EQ(st.block_nbytes, 0);
	CHECK_EQ(umpa_core.space.ntransit, 0);
	all_valid();
}

static void go_on(struct model_options o)
{
	struct model_result r;

	o.nops = check_times(o.nops);
	o.seed = check_seed(o.seed);
	r = model_run(&o);
	CHECK_EQ(r.nwrong_tags, 0);
	CHECK_EQ(r.nwrong_zeros, 0);
	CHECK(o.refusals_allowed || r.nrefused == 0);
	check_at_rest();
	umpa_core_stop();
	CHECK_EQ(fake_reserved_nbytes(), 0);
	CHECK_EQ(fake_mapped_nbytes(), 0);
	CHECK_EQ(fake_nframes(), 0);
}

static void run(struct model_options o)
{
	fake_reset();
	o.touch = fake_touch;
	go_on(o);
}

enum {
	CHECKS_A_RUN = 16
};

TEST(model_small_blocks)
{
	PLAN(3 * CHECKS_A_RUN);
	for (uint64_t seed = 1; seed <= 3; seed++)
		run((struct model_options){.seed = seed,
			.nops = 20000,
			.nblocks = 300,
			.log2_min = 10,
			.log2_max = 21});
}

TEST(model_all_sizes)
{
	PLAN(6 * CHECKS_A_RUN);
	for (uint64_t seed = 11; seed <= 16; seed++)
		run((struct model_options){
			.seed = seed, .nops = 2000, .nblocks = 24, .log2_min = 12, .log2_max = 24});
}

TEST(model_spans)
{
	PLAN(3 * CHECKS_A_RUN);
	for (uint64_t seed = 21; seed <= 23; seed++)
		run((struct model_options){
			.seed = seed, .nops = 600, .nblocks = 12, .log2_min = 20, .log2_max = 25});
}

/* What spans lack is left void, though it is touched soon after, and what was believed is looked at
 * by turns. */
static void leave_void(void *arg, uint64_t op)
{
	umpa_core.left_void.move_ns = 1000000;
	umpa_core.left_void.streak.nuntouched = op / 16 % 2 ? STREAK_NROW : 0;
	*(uint64_t *)arg += umpa_core.left_void.nended;
}

TEST(model_spans_left_void)
{
	uint64_t nleft = 0;

	PLAN(3 * CHECKS_A_RUN + 1);
	for (uint64_t seed = 31; seed <= 33; seed++)
		run((struct model_options){.seed = seed,
			.nops = 1500,
			.nblocks = 16,
			.log2_min = 20,
			.log2_max = 25,
			.between = leave_void,
			.arg = &nleft});
	CHECK(nleft > 0);
}

/* --- a process that confines itself half-way ------------------------------------------------ */

static const char *const unforeseen[] = {"move", "resident", "bare"};
static uint64_t ntouches, ncalls_before[3];

static void touch_and_confine(void *addr, size_t nbytes)
{
	fake_touch(addr, nbytes);
	if (++ntouches != 800)
		return;
	for (int i = 0; i < 3; i++)
		ncalls_before[i] = fake_ncalls_of(unforeseen[i]);
	umpa_os_confine();
}

TEST(model_confined)
{
	PLAN(CHECKS_A_RUN + 4);
	fake_reset();
	ntouches = 0;
	go_on((struct model_options){.seed = 71,
		.nops = 2000,
		.nblocks = 24,
		.log2_min = 12,
		.log2_max = 24,
		.touch = touch_and_confine});
	CHECK(ntouches > 800 && ncalls_before[0]);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(fake_ncalls_of(unforeseen[i]), ncalls_before[i]);
}
