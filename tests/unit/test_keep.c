/* The option keep: whatever feeds the pool, no more stays there than it says. */
#include <stdlib.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "support/check.h"
#include "support/fake_blocks.h"
#include "support/fake_os.h"

#define KEEP 8
#define MIB  ((size_t)1 << 20)

/* Before anybody reads the options. */
__attribute__((constructor)) static void set_option(void)
{
	setenv("UMPA_OPTIONS", "keep=8M,nursery=0", 1);
}

static void begin(void)
{
	fake_reset();
	fake_machine.memory_nbytes = (size_t)1 << 30;
}

static size_t pool_mib(void)
{
	return stats().pool_nbytes / MIB;
}

static void end(void)
{
	CHECK(fake_consistent());
	umpa_core_stop();
	CHECK_EQ(fake_nframes(), 0);
}
enum {
	END_CHECKS = 2
};

TEST(keep_bounds_what_a_span_leaves)
{
	PLAN(2 + END_CHECKS);
	begin();
	umpa_free(touched(600 * MIB, 0));
	CHECK_EQ(pool_mib(), KEEP);
	CHECK_EQ(fake_nframes(), KEEP * MIB / PAGE_NBYTES);
	end();
}

TEST(keep_bounds_what_a_move_leaves)
{
	char *a, *b;

	PLAN(4 + END_CHECKS);
	begin();
	a = touched(64 * MIB, UMPA_ALIGN(21));
	b = touched(64 * MIB, UMPA_ALIGN(21));
	CHECK_EQ(umpa_move(a, b, 64 * MIB), 0);
	CHECK_EQ(pool_mib(), KEEP);
	fake_touch(b, 64 * MIB);
	CHECK_EQ(umpa_movev(&(struct umpa_move_op){a, b, 64 * MIB}, 1, NULL), 0);
	CHECK_EQ(pool_mib(), KEEP);
	umpa_free(a);
	umpa_free(b);
	end();
}

TEST(keep_bounds_what_runs_leave)
{
	char *run[100];

	PLAN(1 + END_CHECKS);
	begin();
	for (int i = 0; i < 100; i++)
		run[i] = touched(MIB, 0);
	for (int i = 0; i < 100; i++)
		umpa_free(run[i]);
	CHECK_EQ(pool_mib(), KEEP);
	end();
}

TEST(keep_bounds_what_shrinking_and_unbacking_leave)
{
	char *a;

	PLAN(5 + END_CHECKS);
	begin();
	a = touched(200 * MIB, 0);
	CHECK_EQ(umpa_unback(a, 100 * MIB), 0);
	CHECK_EQ(pool_mib(), KEEP);
	CHECK(umpa_realloc(a, 150 * MIB, 0) == a);
	CHECK(umpa_realloc(a, 4096, 0) == a);
	CHECK_EQ(pool_mib(), KEEP);
	umpa_free(a);
	end();
}

/* What is bounded is the pool, not the blocks: nothing of a live one is given away. */
TEST(keep_leaves_blocks_alone)
{
	uint64_t frame;
	char *a;

	PLAN(2 + END_CHECKS);
	begin();
	a = touched(64 * MIB, 0);
	frame = fake_frame(a);
	umpa_free(touched(64 * MIB, 0));
	CHECK_EQ(fake_frame(a), frame);
	CHECK_EQ(fake_nframes(), (64 + KEEP) * MIB / PAGE_NBYTES);
	umpa_free(a);
	end();
}
