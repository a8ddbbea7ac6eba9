#include <errno.h>

#include "base/units.h"
#include "check.h"
#include "fake_os.h"
#include "mover_contract.h"

static int init(struct umpa_mover *m, void *window, size_t nbytes)
{
	fake_mover_init(m, window, nbytes);
	return 0;
}

static const struct contract on_huge = {init, fake_touch, 1};
static const struct contract on_small = {init, fake_touch, 0};

#define AS_TESTS(name)                                                                             \
	TEST(fake_huge_##name)                                                                     \
	{                                                                                          \
		fake_reset();                                                                      \
		contract_##name(&on_huge);                                                         \
	}                                                                                          \
	TEST(fake_small_##name)                                                                    \
	{                                                                                          \
		fake_reset();                                                                      \
		contract_##name(&on_small);                                                        \
	}
CONTRACT_CASES(AS_TESTS)

/* Two slots to move. */
static void begin(struct bench *b, char **dst, char **src)
{
	fake_reset();
	contract_setup(b, &on_huge);
	*dst = bench_slot(b, 8);
	*src = bench_slot(b, 2);
	bench_fill(b, *src, 2 * SLOT_NBYTES, 1);
}

TEST(fake_mover_stops_at_shared_frames)
{
	struct bench b;
	char *dst, *src;
	size_t moved;

	PLAN(SETUP_NCHECKS + 5);
	begin(&b, &dst, &src);
	fake_share(src + SLOT_NBYTES, PAGE_NBYTES, 1);
	CHECK_EQ(bench_move(&b, dst, src, 2 * SLOT_NBYTES, 0, &moved), -EBUSY);
	CHECK(moved == SLOT_NBYTES && bench_is_moved(dst, src, 2 * SLOT_NBYTES, moved, 1));
	fake_share(src + SLOT_NBYTES, PAGE_NBYTES, 0);
	CHECK_EQ(bench_move(&b, dst + SLOT_NBYTES, src + SLOT_NBYTES, SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_holds(dst, 2 * SLOT_NBYTES, 1));
	CHECK(fake_consistent());
}

TEST(fake_mover_goes_part_of_the_way)
{
	struct bench b;
	char *dst, *src;
	size_t moved;

	PLAN(SETUP_NCHECKS + 5);
	begin(&b, &dst, &src);
	fake_mover_partial(SLOT_NBYTES + 3 * PAGE_NBYTES);
	CHECK_EQ(bench_move(&b, dst, src, 2 * SLOT_NBYTES, 0, &moved), -EAGAIN);
	CHECK_EQ(moved, SLOT_NBYTES + 3 * PAGE_NBYTES);
	CHECK(bench_is_moved(dst, src, 2 * SLOT_NBYTES, moved, 1));
	CHECK_EQ(bench_move(&b, dst + moved, src + moved, 2 * SLOT_NBYTES - moved, 0, &moved), 0);
	CHECK(bench_holds(dst, 2 * SLOT_NBYTES, 1));
}

/* --- choosing ------------------------------------------------------------------------------- */

/* What the first mover leaves when it fails half-way is not in the second one's way. */
TEST(fake_mover_that_fails_half_way_spoils_nothing)
{
	struct umpa_mover_trial trials[3];
	struct umpa_mover_scratch scratch = {NULL, NULL, NULL, NULL};
	struct umpa_mover m;
	struct bench b;
	char *dst, *src;

	PLAN(SETUP_NCHECKS + 5);
	begin(&b, &dst, &src);
	scratch.dst = dst;
	scratch.src = src;
	fake_mover_partial(10 * PAGE_NBYTES);
	fake_fail_at(2, -EBUSY);
	CHECK_EQ(umpa_mover_choose(&m, UMPA_MOVER_AUTO, b.window, CONTRACT_NSLOTS * SLOT_NBYTES,
			 &scratch, trials),
		1);
	fake_fail_at(0, 0);
	CHECK_STR(m.name, "mremap");
	CHECK_EQ(trials[0].error, -EBUSY);
	CHECK_STR(trials[0].step, "move superpage");
	CHECK(fake_consistent());
}
