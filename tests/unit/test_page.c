/* The page API on the fake OS: which frame is behind which block, and what costs how many calls. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <umpa/umpa.h>

#include "core/block.h"
#include "core/core.h"
#include "core/trial.h"
#include "support/check.h"
#include "support/fake_blocks.h"
#include "support/fake_os.h"

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static void begin(void)
{
	fake_reset();
	fake_machine.memory_nbytes = (size_t)512 << 20;
}

static void end(void)
{
	struct umpa_stats st;

	CHECK_EQ(umpa_get_stats(&st, sizeof(st)), 0);
	CHECK_EQ(st.nblocks, 0);
	CHECK(fake_consistent());
	umpa_core_stop();
	CHECK_EQ(fake_nframes(), 0);
}
enum {
	END_CHECKS = 4
};

static void all_valid(void)
{
	int valid = umpa_extents_valid(&umpa_core.space.extents);

	for (unsigned i = 0; i < umpa_core.nshards; i++)
		valid &= umpa_shelf_valid(&umpa_shard(i)->shelf);
	CHECK(valid);
}

TEST(page_bad_arguments)
{
	PLAN(16 + END_CHECKS);
	begin();
	errno = 0;
	CHECK(!umpa_alloc((size_t)PTRDIFF_MAX + 1, 0) && errno == ENOMEM);
	errno = 0;
	CHECK(!umpa_alloc(SIZE_MAX, 0) && errno == ENOMEM);
	errno = 0;
	CHECK(!umpa_alloc(PTRDIFF_MAX / 4, UMPA_RESERVE(255)) && errno == ENOMEM);
	errno = 0;
	CHECK(!umpa_alloc(4096, 0x10) && errno == EINVAL);
	errno = 0;
	CHECK(!umpa_alloc(4096, 0x80000000u) && errno == EINVAL);
	errno = 0;
	CHECK(!umpa_alloc(4096, UMPA_BACKED | UMPA_NOBACK) && errno == EINVAL);
	errno = 0;
	CHECK(!umpa_alloc(4096, UMPA_ALIGN(41)) && errno == EINVAL);
	CHECK(!umpa_alloc(4096, UMPA_ALIGN(64)) && errno == EINVAL);
	CHECK(UMPA_RESERVE(256) == UMPA_RESERVE(255));
	CHECK(!umpa_realloc(NULL, SIZE_MAX, 0) && errno == ENOMEM);
	CHECK_EQ(umpa_usable_size(NULL), 0);
	CHECK(!umpa_owns(NULL) && !umpa_owns(&errno));
	errno = 0;
	CHECK(umpa_back(&errno, 1) == -1 && errno == EINVAL);
	errno = 0;
	CHECK(umpa_unback(NULL, 1) == -1 && errno == EINVAL);
	errno = 0;
	CHECK(umpa_get_stats(NULL, 8) == -1 && errno == EINVAL);
	errno = 77;
	umpa_free(NULL);
	CHECK_EQ(errno, 77);
	end();
}

TEST(page_zero_size_is_a_block)
{
	void *a, *b;

	PLAN(4 + END_CHECKS);
	begin();
	a = umpa_alloc(0, 0);
	b = umpa_alloc(0, 0);
	CHECK(a && b && a != b);
	CHECK_EQ(umpa_usable_size(a), 4096);
	CHECK((a = umpa_realloc(a, 100000, 0)) && (a = umpa_realloc(a, 0, 0)));
	CHECK_EQ(umpa_usable_size(a), 4096);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* free + alloc of one size: the same frames, and the kernel hears nothing of it. */
TEST(page_reuse_costs_no_call)
{
	static const size_t sizes[] = {4096, 65536, 300000, 2 * MIB, 3 * MIB, 64 * MIB};
	enum {
		NSIZES = sizeof(sizes) / sizeof(sizes[0])
	};

	PLAN(3 * NSIZES + END_CHECKS);
	begin();
	for (int i = 0; i < NSIZES; i++) {
		char *p = touched(sizes[i], 0), *q;
		uint64_t ncalls, first = fake_frame(p), last = fake_frame(p + sizes[i] - 1);

		umpa_free(p);
		ncalls = fake_ncalls();
		q = umpa_alloc(sizes[i], 0);
		CHECK_EQ(fake_frame(q), first);
		CHECK_EQ(fake_frame(q + sizes[i] - 1), last);
		umpa_free(q);
		CHECK_EQ(fake_ncalls(), ncalls);
	}
	end();
}

/* Two blocks freed apart serve one larger block: by moves, without a new frame. */
TEST(page_span_is_filled_from_the_pool)
{
	char *a, *between, *b, *c;
	uint64_t nframes;

	PLAN(5 + END_CHECKS);
	begin();
	a = touched(8 * MIB, 0);
	between = touched(8 * MIB, 0);
	b = touched(8 * MIB, 0);
	umpa_free(a);
	umpa_free(b);
	nframes = fake_nframes();
	c = umpa_alloc(16 * MIB, 0);
	CHECK_EQ(stats().nslots_moved, 8 - stats().nslots_in_place);
	CHECK_EQ(fake_nframes(), nframes);
	fake_touch(c, 16 * MIB);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(stats().pool_nbytes, 0);
	CHECK(fake_frame(between) != 0);
	umpa_free(between);
	umpa_free(c);
	end();
}

/* Moves n superpages, neighbours, by making a block longer that has another behind it. Result: in
 * how many calls, or 0 if others moved. */
static uint64_t calls_to_move(uint32_t n)
{
	char *a = touched(n * SLOT_NBYTES, 0), *behind = touched(SLOT_NBYTES, 0);
	struct umpa_stats before = stats();
	uint64_t first = fake_frame(a), ncalls;

	a = umpa_realloc(a, (n + 1) * SLOT_NBYTES, 0);
	ncalls = stats().nmove_calls - before.nmove_calls;
	if (fake_frame(a) != first || stats().nslots_moved - before.nslots_moved != n)
		ncalls = 0;
	umpa_free(behind);
	umpa_free(a);
	return ncalls;
}

/* Neighbours move in one call; but few of them one by one where a host keeps shadow page tables. */
TEST(page_few_move_one_by_one_under_a_shadow)
{
	static const uint32_t few[] = {2, 64}, many = 65;

	PLAN(12 + 6 * END_CHECKS);
	for (int shadowed = 0; shadowed < 2; shadowed++)
		for (int i = 0; i < 3; i++) {
			uint32_t n = i < 2 ? few[i] : many;

			begin();
			fake_first_look_ns = shadowed ? 5000 : 200;
			umpa_core_need();
			CHECK_EQ(umpa_trial_mover()->shadowed, shadowed);
			CHECK_EQ(calls_to_move(n), shadowed && n != many ? n : 1);
			end();
		}
}

/* One of them refuses: it goes to the kernel, and those behind it, as when they move in one call.
 */
TEST(page_one_by_one_up_to_a_refusal)
{
	char *a, *between, *b, *c;
	uint64_t first;

	PLAN(6 + END_CHECKS);
	begin();
	fake_first_look_ns = 5000;
	umpa_core_need();
	umpa_trial_mover();
	a = touched(8 * MIB, 0);
	between = touched(8 * MIB, 0);
	b = touched(8 * MIB, 0);
	first = fake_frame(a);
	umpa_free(b);
	umpa_free(a);
	fake_share(a + 2 * MIB, 2 * MIB, 1);
	c = umpa_alloc(16 * MIB, 0);
	CHECK(c != a);
	CHECK_EQ(stats().nmoves_refused, 1);
	CHECK_EQ(fake_frame(c + 8 * MIB), first);
	CHECK_EQ(fake_frame(c + 10 * MIB), 0);
	CHECK_EQ(fake_frame(c + 14 * MIB), 0);
	CHECK_EQ(stats().pool_nbytes, 0);
	umpa_free(between);
	umpa_free(c);
	end();
}

/* A mover that refuses: the pool goes back to the kernel as the block is touched, so memory does
 * not grow. */
TEST(page_refused_moves_do_not_add_memory)
{
	char *a, *between, *b, *c;
	uint64_t nframes;

	PLAN(3 + END_CHECKS);
	begin();
	a = touched(8 * MIB, 0);
	between = touched(8 * MIB, 0);
	b = touched(8 * MIB, 0);
	umpa_free(a);
	umpa_free(b);
	nframes = fake_nframes();
	fake_share(a, 8 * MIB, 1);
	fake_share(b, 8 * MIB, 1);
	c = touched(16 * MIB, 0);
	CHECK(fake_nframes() <= nframes);
	fake_share(between, 8 * MIB, 1);
	CHECK((between = umpa_realloc(between, 512 * MIB, 0)) != NULL);
	CHECK(stats().nslots_copied >= 4);
	umpa_free(between);
	umpa_free(c);
	end();
}

/* Superpages nobody touched come into the pool without frames: they are not moved about. */
TEST(page_holes_are_not_moved)
{
	char *a, *between, *b, *c;

	PLAN(4 + END_CHECKS);
	begin();
	a = umpa_alloc(8 * MIB, 0);
	between = touched(8 * MIB, 0);
	b = touched(8 * MIB, 0);
	umpa_free(a);
	umpa_free(b);
	CHECK_EQ(stats().pool_nbytes, 16 * MIB);
	c = umpa_alloc(24 * MIB, 0); /* more than either place has */
	CHECK(stats().nslots_moved <= 4);
	CHECK_EQ(stats().pool_nbytes, 0);
	fake_touch(c, 24 * MIB);
	CHECK_EQ(fake_nframes(), 8 * 512 / 2 + 12 * 512);
	umpa_free(between);
	umpa_free(c);
	end();
}

TEST(page_realloc_moves_frames)
{
	char *a, *wall, *b;
	uint64_t frame[16];
	int nsame = 0;

	PLAN(5 + END_CHECKS);
	begin();
	a = touched(32 * MIB, 0);
	wall = touched(2 * MIB, 0);
	for (int i = 0; i < 16; i++)
		frame[i] = fake_frame(a + i * 2 * MIB + 4096);
	b = umpa_realloc(a, 64 * MIB, 0);
	CHECK(b && b != a);
	for (int i = 0; i < 16; i++)
		nsame += fake_frame(b + i * 2 * MIB + 4096) == frame[i];
	CHECK_EQ(nsame, 16);
	CHECK_EQ(stats().nreallocs_moved, 1);
	/* It has room to grow now. */
	CHECK(umpa_realloc(b, 128 * MIB, 0) == b);
	CHECK_EQ(stats().nreallocs_in_place, 1);
	umpa_free(b);
	umpa_free(wall);
	end();
}

/* Slots of a sparse block that were never touched stay bare at the new place, and cost no move. */
TEST(page_realloc_leaves_bare_slots_out)
{
	char *a, *wall, *b;
	uint64_t frame[3], nframes;

	PLAN(6 + END_CHECKS);
	begin();
	a = umpa_alloc(32 * MIB, 0);
	wall = touched(2 * MIB, 0);
	fake_touch(a, 1);
	fake_touch(a + 10 * MIB, 4 * MIB);
	frame[0] = fake_frame(a);
	frame[1] = fake_frame(a + 10 * MIB);
	frame[2] = fake_frame(a + 14 * MIB - 4096);
	nframes = fake_nframes();
	b = umpa_realloc(a, 64 * MIB, 0);
	CHECK(b && b != a);
	CHECK(fake_frame(b) == frame[0] && fake_frame(b + 10 * MIB) == frame[1]);
	CHECK_EQ(fake_frame(b + 14 * MIB - 4096), frame[2]);
	CHECK_EQ(stats().nslots_moved, 3);
	CHECK_EQ(stats().nslots_copied, 0);
	CHECK_EQ(fake_nframes(), nframes);
	umpa_free(b);
	umpa_free(wall);
	end();
}

/* What is free behind a block has frames; the block that grows over it wants none. */
TEST(page_noback_grows_without_frames)
{
	char *a, *b;
	size_t nframes;

	PLAN(6 + END_CHECKS);
	begin();
	a = touched(4 * MIB, UMPA_ALIGN(21));
	b = touched(64 * MIB, UMPA_ALIGN(21));
	CHECK(b == a + 4 * MIB);
	umpa_free(b);
	nframes = fake_nframes();
	CHECK(umpa_realloc(a, 68 * MIB, UMPA_NOBACK | UMPA_ZERO | UMPA_NOMOVE) == a);
	CHECK_EQ(nframes - fake_nframes(), 64 * MIB / PAGE_NBYTES);
	CHECK_EQ(stats().cleared_nbytes, 0);
	umpa_free(a);
	/* Refused, the block stays as it is. */
	a = touched(4 * MIB, UMPA_ALIGN(21));
	umpa_free(touched(64 * MIB, UMPA_ALIGN(21)));
	fake_fail_from(1, -ENOMEM);
	CHECK(!umpa_realloc(a, 68 * MIB, UMPA_NOBACK | UMPA_NOMOVE));
	fake_fail_from(0, 0);
	CHECK_EQ(umpa_usable_size(a), 4 * MIB);
	umpa_free(a);
	end();
}

/* Room to grow has no frames, and brings none to the pool. */
TEST(page_room_is_void_when_it_is_freed)
{
	PLAN(1 + END_CHECKS);
	begin();
	umpa_free(touched(4 * MIB, UMPA_RESERVE(4)));
	CHECK_EQ(stats().pool_nbytes, 4 * MIB);
	end();
}

/* Frames that the system refuses: there is no block then. */
TEST(page_backed_refused)
{
	PLAN(3 + END_CHECKS);
	begin();
	umpa_free(umpa_alloc(8 * MIB, 0)); /* opens the window */
	fake_nframes_max = SLOT_NPAGES;
	errno = 0;
	CHECK(!umpa_alloc(4 * MIB, UMPA_BACKED) && errno == ENOMEM);
	fake_nframes_max = SIZE_MAX;
	CHECK_EQ(stats().nblocks, 0);
	CHECK_EQ(stats().block_nbytes, 0);
	end();
}

/* In a window whose slots all are in the pool. */
TEST(page_void_where_all_is_resident)
{
	char *a;

	PLAN(3 + END_CHECKS);
	begin();
	fake_machine.memory_nbytes = 4 * MIB; /* the smallest window: 64 MiB */
	a = touched(50 * MIB, 0);
	CHECK(umpa_window_has(&umpa_core.window, a));
	umpa_free(a);
	a = umpa_alloc(32 * MIB, UMPA_NOBACK | UMPA_ALIGN(22));
	CHECK(umpa_window_has(&umpa_core.window, a));
	CHECK_EQ(fake_frame(a), 0);
	umpa_free(a);
	end();
}

/* The slot behind the last one that is open has no record yet, nor has the page its record would
 * be in. */
TEST(page_runs_at_the_frontier)
{
	enum {
		NSLOTS = 4096 / sizeof(struct slot_record),
		NPAGES = 256
	};
	static char *block[2 * NSLOTS];
	uint64_t nwrong = 0;

	PLAN(2 + END_CHECKS);
	begin();
	fake_machine.strict_commit = 1; /* slots are opened one by one */
	for (int i = 0; i < 2 * NSLOTS; i++) {
		block[i] = umpa_alloc(NPAGES * 4096, 0);
		nwrong += umpa_usable_size(block[i]) != NPAGES * 4096;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(umpa_core.window.nslots_open >= NSLOTS);
	for (int i = 0; i < 2 * NSLOTS; i++)
		umpa_free(block[i]);
	end();
}

enum {
	NFILLING = 64
};

/* The smallest window, of 64 MiB, with a block in each slot that is to be had: how many. */
static int fill_window(char *block[NFILLING])
{
	int n = 0;

	fake_machine.memory_nbytes = 4 * MIB;
	do
		block[n] = touched(2 * MIB, 0);
	while (umpa_window_has(&umpa_core.window, block[n]) && ++n < NFILLING);
	umpa_free(block[n]);
	return n;
}

/* There is no place for the frames but where they are. */
TEST(page_unback_in_a_full_window)
{
	char *block[NFILLING];
	int n;

	PLAN(4 + END_CHECKS);
	begin();
	n = fill_window(block);
	CHECK(n > 20 && n < 33);
	*block[3] = block[3][511 * 4096] = 'x';
	CHECK_EQ(umpa_unback(block[3], 2 * MIB), 0);
	CHECK_EQ(*block[3], 0);
	CHECK_EQ(block[3][511 * 4096], 0);
	while (n-- > 0)
		umpa_free(block[n]);
	end();
}

TEST(page_stats_of_odd_length)
{
	struct umpa_stats st;

	PLAN(3 + END_CHECKS);
	begin();
	errno = 0;
	CHECK(umpa_get_stats(&st, sizeof(st) - 1) == -1 && errno == EINVAL);
	CHECK(umpa_get_stats(&st, 4) == -1);
	CHECK_EQ(umpa_get_stats(&st, 8), 0);
	end();
}

TEST(page_slots_that_the_kernel_fills_are_counted)
{
	char *a;

	PLAN(2 + END_CHECKS);
	begin();
	a = touched(8 * MIB, 0);
	CHECK_EQ(stats().nslots_from_kernel, 4);
	umpa_free(a);
	umpa_free(umpa_alloc(8 * MIB, 0));
	CHECK_EQ(stats().nslots_from_kernel, 4);
	end();
}

/* Frames that can't move go to the system, and the pool has no more than before. */
TEST(page_unback_of_shared_frames)
{
	char *a;

	PLAN(4 + END_CHECKS);
	begin();
	a = touched(4 * MIB, 0);
	*a = 'x';
	fake_share(a, 4 * MIB, 1);
	CHECK_EQ(umpa_unback(a, 4 * MIB), 0);
	CHECK_EQ(*a, 0);
	CHECK_EQ(stats().pool_nbytes, 0);
	CHECK_EQ(fake_frame(a + 2 * MIB), 0);
	umpa_free(a);
	end();
}

/* The pages of a head are a run's, as long as the span is in nobody's hands and not given back. */
TEST(page_freed_span_with_a_head_is_no_block)
{
	enum {
		NBLOCKS = 60
	};
	char *run[4], *block[NBLOCKS];
	uint64_t nwrong = 0, nheads = 0;

	PLAN(2 + END_CHECKS);
	begin();
	for (int i = 0; i < 4; i++) /* the nursery */
		run[i] = touched(2 * MIB - 8192, 0);
	for (int i = 0; i < NBLOCKS; i++)
		block[i] = touched((512 + 257) * (size_t)4096, 0);
	for (int i = 0; i < NBLOCKS; i++) {
		enum umpa_block_kind kind = umpa_block_find(block[i]).kind;

		nheads += kind == BLOCK_SPAN && (uintptr_t)block[i] % (2 * MIB) != 0;
		nwrong += kind == BLOCK_NONE;
		umpa_free(block[i]);
		nwrong += umpa_block_find(block[i]).kind != BLOCK_NONE;
	}
	CHECK(nheads > 0);
	CHECK_EQ(nwrong, 0);
	for (int i = 0; i < 4; i++)
		umpa_free(run[i]);
	end();
}

/* No slot is void when a mover is looked for. */
TEST(page_mover_is_tried_in_a_full_window)
{
	char *block[NFILLING];
	int n;

	PLAN(2 + END_CHECKS);
	begin();
	n = fill_window(block);
	CHECK_STR(umpa_mover_in_use(), "undecided");
	umpa_free(block[--n]);
	umpa_free(block[--n]);
	(void)umpa_trial_mover();
	CHECK_STR(umpa_mover_in_use(), "uffd");
	while (n-- > 0)
		umpa_free(block[n]);
	end();
}

/* Frames of the pool that neither move nor go: they are not offered again and again. */
TEST(page_pool_that_is_stuck)
{
	char *a;

	PLAN(2 + END_CHECKS);
	begin();
	umpa_free(umpa_alloc(2 * MIB, UMPA_RESERVE(32))); /* void slots */
	umpa_free(touched(8 * MIB, 0));
	(void)umpa_trial_mover();
	CHECK(stats().pool_nbytes >= 8 * MIB);
	fake_fail_from(1, -ENOENT); /* holes, say the movers */
	a = umpa_alloc(8 * MIB, UMPA_RESERVE(2));
	fake_fail_at(0, 0);
	CHECK(a != NULL);
	umpa_free(a);
	end();
}

/* The nursery is a small part of the window, or there is none. */
TEST(page_small_window_has_no_nursery)
{
	PLAN(2 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 64 * MIB;
	umpa_free(umpa_alloc(1, 0));
	CHECK_EQ(umpa_core.window.nbytes, 16 * MIB);
	CHECK_EQ(umpa_core.space.nnursery, 0);
	end();
}

/* Where little more may be opened, no more is asked for than is needed. */
TEST(page_opens_what_it_may)
{
	char *a;

	PLAN(1 + END_CHECKS);
	begin();
	umpa_free(umpa_alloc(1, 0));
	fake_open_max = fake_opened_nbytes() + 3 * MIB;
	a = umpa_alloc(2 * MIB, 0);
	CHECK(umpa_window_has(&umpa_core.window, a));
	umpa_free(a);
	end();
}

/* Slots whose frames the system does not take are in the pool as before, not lost. */
TEST(page_void_refused)
{
	uint64_t pool_nbytes;
	char *a;

	PLAN(3 + END_CHECKS);
	begin();
	fake_machine.memory_nbytes = 4 * MIB; /* the smallest window: 64 MiB */
	umpa_free(touched(50 * MIB, 0));
	pool_nbytes = stats().pool_nbytes;
	fake_fail_at(1, -ENOMEM);
	a = umpa_alloc(32 * MIB, UMPA_NOBACK | UMPA_ALIGN(22));
	fake_fail_at(0, 0);
	CHECK(a && !umpa_window_has(&umpa_core.window, a));
	CHECK_EQ(stats().pool_nbytes, pool_nbytes);
	CHECK_EQ(stats().nblocks, 1);
	umpa_free(a);
	end();
}

/* Where memory counts before it is touched. */
TEST(page_opens_no_more_than_needed)
{
	PLAN(1 + END_CHECKS);
	begin();
	fake_machine.strict_commit = 1;
	umpa_free(umpa_alloc(2 * MIB, 0));
	CHECK_EQ(umpa_core.window.nslots_open, umpa_core.space.nnursery + 1);
	end();
}

/* Down to what lies in the slot before, exactly. */
TEST(page_spans_shrink_to_their_heads)
{
	enum {
		NBLOCKS = 60
	};
	char *run[4], *block[NBLOCKS];
	uint64_t nwrong = 0, nheads = 0;

	PLAN(3 + END_CHECKS);
	begin();
	for (int i = 0; i < 4; i++) /* the nursery */
		run[i] = touched(2 * MIB - 8192, 0);
	for (int i = 0; i < NBLOCKS; i++)
		block[i] = touched((512 + 257) * (size_t)4096, 0);
	for (int i = 0; i < NBLOCKS; i++) {
		size_t head = -(uintptr_t)block[i] % (2 * MIB);

		if (!head || umpa_block_find(block[i]).kind != BLOCK_SPAN)
			continue;
		nheads++;
		nwrong += umpa_realloc(block[i], head, UMPA_NOMOVE) != block[i];
		nwrong += umpa_usable_size(block[i]) != head;
	}
	CHECK(nheads > 0);
	CHECK_EQ(nwrong, 0);
	all_valid();
	for (int i = 0; i < NBLOCKS; i++)
		umpa_free(block[i]);
	for (int i = 0; i < 4; i++)
		umpa_free(run[i]);
	end();
}

/* What moves leaves nothing behind that the pool could count on. */
TEST(page_moved_frames_are_not_in_the_pool)
{
	char *a, *b, *wall;

	PLAN(3 + END_CHECKS);
	begin();
	a = touched(8 * MIB, 0);
	wall = touched(8 * MIB, 0);
	b = umpa_realloc(a, 64 * MIB, 0);
	CHECK(b && b != a);
	CHECK_EQ(fake_frame(a), 0);
	CHECK_EQ(stats().pool_nbytes, 0);
	umpa_free(b);
	umpa_free(wall);
	end();
}

/* A head lies where it lies in its slot, so nothing with one can be brought to a multiple. */
TEST(page_spans_with_heads_move_to_where_they_are_aligned)
{
	enum {
		NBLOCKS = 60
	};
	char *run[4], *block[NBLOCKS];
	uint64_t nwrong = 0, nmoved = 0;

	PLAN(2 + END_CHECKS);
	begin();
	for (int i = 0; i < 4; i++) /* the nursery */
		run[i] = touched(2 * MIB - 8192, 0);
	for (int i = 0; i < NBLOCKS; i++)
		block[i] = touched((512 + 257) * (size_t)4096, 0);
	for (int i = 0; i < NBLOCKS; i++) {
		char *before = block[i];

		if ((uintptr_t)before % (2 * MIB) && umpa_block_find(before).kind == BLOCK_SPAN)
			block[i] = umpa_realloc(before, 8 * MIB, UMPA_ALIGN(21));
		nmoved += block[i] != before;
		nwrong += block[i] != before && (uintptr_t)block[i] % (2 * MIB);
	}
	CHECK(nmoved > 0);
	CHECK_EQ(nwrong, 0);
	for (int i = 0; i < NBLOCKS; i++)
		umpa_free(block[i]);
	for (int i = 0; i < 4; i++)
		umpa_free(run[i]);
	end();
}

TEST(page_nomove)
{
	char *a, *wall;

	PLAN(5 + END_CHECKS);
	begin();
	a = touched(8 * MIB, 0);
	wall = touched(8 * MIB, 0);
	errno = 0;
	CHECK(!umpa_realloc(a, 64 * MIB, UMPA_NOMOVE) && errno == ENOMEM);
	CHECK_EQ(umpa_usable_size(a), 8 * MIB);
	CHECK(umpa_realloc(a, 5 * MIB, UMPA_NOMOVE) == a);
	CHECK(umpa_realloc(a, 6 * MIB, UMPA_NOMOVE) == a || errno == ENOMEM);
	umpa_free(a);
	a = umpa_alloc(8 * MIB, UMPA_RESERVE(16));
	CHECK(umpa_realloc(a, 128 * MIB, UMPA_NOMOVE) == a);
	umpa_free(a);
	umpa_free(wall);
	end();
}

/* A little over a superpage: the rest of the last one serves small blocks. */
TEST(page_tail_is_shared)
{
	char *a, *b;

	PLAN(3 + END_CHECKS);
	begin();
	a = touched(2 * MIB + 65536, 0);
	fake_touch(a, 2 * MIB + 65536);
	for (int i = 0; i < 4; i++) /* fill the nursery, which comes first */
		touched(2 * MIB - 8192, 0);
	b = umpa_alloc(MIB + MIB / 2, 0);
	CHECK_EQ((uintptr_t)b >> 21, (uintptr_t)(a + 2 * MIB) >> 21);
	CHECK(umpa_realloc(a, 2 * MIB + 4096, 0) == a);
	CHECK(umpa_realloc(a, 2 * MIB + 131072, 0) == a || 1);
	umpa_core_stop();
	begin();
	umpa_free(umpa_alloc(1, 0));
	end();
}

/* Blocks of a little over half a superpage are packed without gaps, across slots. */
TEST(page_runs_straddle_slots)
{
	enum {
		NBLOCKS = 64,
		NPAGES = 257,
		NURSERY = 4
	};
	char *block[NBLOCKS];
	uint64_t nwrong = 0;

	PLAN(6 + END_CHECKS);
	begin();
	for (int i = 0; i < NBLOCKS; i++)
		block[i] = touched(NPAGES * 4096, 0);
	CHECK(fake_nframes() <= (NBLOCKS - NURSERY) * NPAGES + NURSERY * NPAGES + 2 * 512);
	for (int i = 0; i < NBLOCKS; i++) {
		nwrong += umpa_usable_size(block[i]) != NPAGES * 4096;
		nwrong += umpa_back(block[i], NPAGES * 4096) != 0;
		nwrong += umpa_back(block[i] + 256 * 4096, 4096) != 0;
		nwrong += umpa_back(block[i] + 256 * 4096, 4097) != -1;
	}
	CHECK_EQ(nwrong, 0);
	/* Shorter and longer again, over the border and on either side of it. */
	for (int i = 0; i < NBLOCKS; i++)
		for (int npages = 256; npages > 0; npages -= 51) {
			nwrong += umpa_realloc(block[i], (size_t)npages * 4096, 0) != block[i];
			nwrong += umpa_usable_size(block[i]) != (size_t)npages * 4096;
		}
	CHECK_EQ(nwrong, 0);
	for (int i = 0; i < NBLOCKS; i++) {
		block[i] = umpa_realloc(block[i], 257 * 4096, UMPA_ZERO);
		nwrong += block[i] == NULL;
	}
	CHECK_EQ(nwrong, 0);
	all_valid();
	for (int i = 0; i < NBLOCKS; i += 2)
		umpa_free(block[i]);
	for (int i = 1; i < NBLOCKS; i += 2)
		umpa_free(block[i]);
	all_valid();
	end();
}

/* Blocks of a little over a superpage and a half are packed as tightly, where runs leave room. */
TEST(page_spans_begin_in_a_slot)
{
	enum {
		NBLOCKS = 60,
		NPAGES = 512 + 257,
		NHEADS_MIN = NBLOCKS / 3,
		NRUNS = 4 + NBLOCKS / 3,
		RUN_NPAGES = 250
	};
	char *block[NBLOCKS], *run[NRUNS];
	uint64_t nwrong = 0, nheads = 0;

	PLAN(8 + END_CHECKS);
	begin();
	for (int i = 0; i < 4; i++) /* the nursery */
		run[i] = touched(2 * MIB - 8192, 0);
	for (int i = 0; i < NBLOCKS; i++) {
		block[i] = touched(NPAGES * 4096, i % 2 ? UMPA_ZERO : 0);
		nheads += (uintptr_t)block[i] % (2 * MIB) != 0;
	}
	CHECK(nheads >= NHEADS_MIN);
	for (int i = 4; i < NRUNS; i++) /* fill what the spans leave between a tail and a head */
		run[i] = touched(RUN_NPAGES * 4096, 0);
	/* Beginning on slots, the spans alone would take 120. */
	CHECK(fake_nframes() <= 4 * 512 + NBLOCKS * NPAGES + NRUNS * RUN_NPAGES + 4 * 512);
	for (int i = 0; i < NBLOCKS; i++) {
		nwrong += umpa_usable_size(block[i]) != NPAGES * 4096;
		nwrong += umpa_back(block[i], NPAGES * 4096) != 0;
		nwrong += umpa_back(block[i] + 256 * 4096, 4096) != 0;
		nwrong += umpa_back(block[i] + 600 * 4096, 4096) != 0;
		nwrong += umpa_back(block[i] + 600 * 4096, 170 * 4096) != -1;
	}
	CHECK_EQ(nwrong, 0);
	/* Shorter, down into the head. */
	for (int i = 0; i < NBLOCKS; i++)
		for (int npages = NPAGES; npages > 0; npages -= 51) {
			nwrong += umpa_realloc(block[i], (size_t)npages * 4096, UMPA_NOMOVE) !=
				  block[i];
			nwrong += umpa_usable_size(block[i]) != (size_t)npages * 4096;
		}
	CHECK_EQ(nwrong, 0);
	all_valid();
	for (int i = 0; i < NBLOCKS; i++) {
		umpa_free(block[i]);
		block[i] = touched(NPAGES * 4096, 0);
	}
	/* Longer, which moves most of them, and frames with them: the copied part is the head. */
	for (int i = 0; i < NBLOCKS; i += 5) {
		block[i] = umpa_realloc(block[i], 20 * MIB + 4096, UMPA_ZERO);
		nwrong += block[i] == NULL || umpa_usable_size(block[i]) < 20 * MIB + 4096;
	}
	CHECK_EQ(nwrong, 0);
	all_valid();
	for (int i = 0; i < NBLOCKS; i += 2)
		umpa_free(block[i]);
	for (int i = 1; i < NBLOCKS; i += 2)
		umpa_free(block[i]);
	CHECK_EQ(stats().nblocks, NRUNS);
	for (int i = 0; i < NRUNS; i++)
		umpa_free(run[i]);
	end();
}

TEST(page_unback_feeds_the_pool)
{
	char *a;
	uint64_t frame, nframes;

	PLAN(6 + END_CHECKS);
	begin();
	a = touched(8 * MIB, 0);
	frame = fake_frame(a + 2 * MIB);
	nframes = fake_nframes();
	CHECK_EQ(umpa_unback(a + 2 * MIB, 4 * MIB), 0);
	CHECK_EQ(fake_frame(a + 2 * MIB), 0);
	CHECK_EQ(stats().pool_nbytes, 4 * MIB);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(umpa_back(a, 8 * MIB), 0);
	CHECK(fake_nframes() == nframes && frame && fake_frame(a + 2 * MIB));
	umpa_free(a);
	end();
}

/* Another thread may write to the pages meanwhile: a mover that looks first and moves then might
 * take that away, so the kernel backs them. */
TEST(page_back_needs_a_mover_in_one_step)
{
	char *a;

	PLAN(4 + END_CHECKS);
	begin();
	a = touched(8 * MIB, 0);
	umpa_trial_mover()->one_step = 0;
	CHECK_EQ(umpa_unback(a, 4 * MIB), 0);
	CHECK_EQ(umpa_back(a, 8 * MIB), 0);
	CHECK_EQ(stats().pool_nbytes, 4 * MIB);
	CHECK(fake_frame(a) != 0);
	umpa_free(a);
	umpa_trim(0);
	end();
}

/* Ranges that are not in one block are refused, wherever they begin. */
TEST(page_back_and_unback_know_the_block)
{
	static const size_t sizes[] = {4096, 5 * 4096, 2 * MIB + 8192, 9 * MIB, 64 * MIB};
	uint64_t nwrong = 0;

	PLAN(1 + END_CHECKS);
	begin();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = sizes[i];
		char *p = touched(n, 0);

		for (size_t at = 0; at<n; at += n> MIB ? MIB / 2 + 4096 : 4096) {
			nwrong += umpa_back(p + at, n - at) != 0;
			nwrong += umpa_back(p + at, n - at + 1) != -1;
			nwrong += umpa_unback(p + at, n - at + 4096) != -1;
			nwrong += umpa_unback(p + at, SIZE_MAX) != -1;
			nwrong += umpa_unback(p + at, 4096) != 0;
			nwrong += fake_frame(p + at) != 0;
		}
		umpa_free(p);
		nwrong += umpa_back(p, 1) != -1;
		nwrong += umpa_unback(p, 1) != -1;
	}
	CHECK_EQ(nwrong, 0);
	end();
}

TEST(page_trim)
{
	char *a;

	PLAN(4 + END_CHECKS);
	begin();
	a = touched(64 * MIB, 0);
	umpa_free(a);
	CHECK_EQ(stats().pool_nbytes, 64 * MIB);
	CHECK_EQ(umpa_trim(16 * MIB), 48 * MIB);
	CHECK_EQ(umpa_trim(0), 16 * MIB);
	CHECK_EQ(fake_nframes(), 0);
	end();
}

/* What is free of the nursery goes back whatever the pool may keep, and counts as far as it was
 * used. */
TEST(page_trim_nursery)
{
	char *a, *b;

	PLAN(5 + END_CHECKS);
	begin();
	a = touched(MIB + MIB / 2, 0); /* in the slot whose first pages are the trial's */
	b = touched(MIB + MIB / 2, 0);
	umpa_free(b);
	CHECK_EQ(umpa_trim(SIZE_MAX), MIB + MIB / 2);
	CHECK_EQ(stats().trimmed_nbytes, MIB + MIB / 2);
	CHECK_EQ(fake_nframes(), (MIB + MIB / 2) / 4096);
	CHECK_EQ(umpa_trim(SIZE_MAX), 0);
	CHECK_EQ(umpa_trim(0), 0);
	umpa_free(a);
	end();
}

/* Where the system does not take the nursery's frames, nothing counts, and what is not zero is
 * known. */
TEST(page_trim_nursery_refused)
{
	char *a, *b;

	PLAN(3 + END_CHECKS);
	begin();
	a = touched(MIB + MIB / 2, 0);
	b = touched(MIB + MIB / 2, 0);
	*b = 7;
	umpa_free(b);
	fake_fail_from(1, -EINVAL);
	CHECK_EQ(umpa_trim(SIZE_MAX), 0);
	fake_fail_from(0, 0);
	CHECK_EQ(fake_nframes(), (MIB + MIB / 2) / 4096 * 2);
	b = umpa_alloc(MIB + MIB / 2, UMPA_ZERO);
	CHECK(!*b);
	umpa_free(b);
	umpa_free(a);
	end();
}

/* Zero costs no clearing where the kernel clears anyway, and no frames where there were none. */
TEST(page_zero_keeps_sparse_sparse)
{
	char *a;

	PLAN(5 + END_CHECKS);
	begin();
	fake_machine.memory_nbytes = (size_t)512 << 20;
	a = umpa_alloc(64 * MIB, UMPA_ZERO);
	CHECK_EQ(fake_nframes(), 0);
	CHECK_EQ(stats().cleared_nbytes, 0);
	fake_touch(a, 4096);
	a[0] = 1;
	umpa_free(a);
	a = umpa_alloc(64 * MIB, UMPA_ZERO);
	CHECK(fake_nframes() <= 512);
	CHECK_EQ(a[0], 0);
	CHECK(stats().cleared_nbytes <= 2 * MIB);
	umpa_free(a);
	end();
}

/* More than the window: the kernel serves it, and free and realloc find their way. */
TEST(page_outside_the_window)
{
	char *a, *b;

	PLAN(9 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 128 * MIB;
	a = umpa_alloc(64 * MIB, UMPA_ZERO | UMPA_ALIGN(16));
	CHECK(a && (uintptr_t)a % 65536 == 0);
	CHECK(umpa_owns(a) && umpa_owns(a + 64 * MIB - 1));
	CHECK_EQ(umpa_usable_size(a), 64 * MIB);
	CHECK_EQ(stats().outside_nbytes, 64 * MIB);
	b = umpa_realloc(a, 65 * MIB, 0);
	CHECK(b != NULL);
	CHECK_EQ(umpa_back(b, 4096), 0);
	CHECK_EQ(umpa_unback(b, 4096), 0);
	CHECK_EQ(fake_mapped_nbytes() >= 65 * MIB, 1);
	umpa_free(b);
	CHECK_EQ(stats().outside_nbytes, 0);
	end();
}

static size_t count_marked(const char *p, size_t npages)
{
	size_t n = 0;

	for (size_t i = 0; i < npages; i++)
		n += p[i * 4096] == 'm';
	return n;
}

/* The kernel takes frames by its own pages, of which the last one holds more than was asked about.
 */
TEST(page_on_larger_base_pages)
{
	char *a;

	PLAN(8 + END_CHECKS);
	begin();
	fake_machine.page_nbytes = 65536;
	a = touched(64 * 4096, 0);
	for (size_t i = 0; i < 64; i++)
		a[i * 4096] = 'm';
	CHECK_EQ(stats().outside_nbytes, 64 * 4096);
	CHECK_EQ(umpa_unback(a, 4096), 0);
	CHECK(!a[0] && count_marked(a, 64) == 63);
	CHECK_EQ(umpa_unback(a + 4096, 20 * 4096), 0);
	CHECK(!a[4096] && !a[20 * 4096] && count_marked(a, 64) == 43);
	CHECK_EQ(umpa_unback(a + 32 * 4096, 65536), 0);
	CHECK(count_marked(a, 64) == 27);
	CHECK(!fake_frame(a + 32 * 4096) && fake_frame(a + 48 * 4096));
	umpa_free(a);
	end();
}

TEST(page_strict_commit_opens_what_is_needed)
{
	char *a;

	PLAN(2 + END_CHECKS);
	begin();
	fake_machine.strict_commit = 1;
	a = umpa_alloc(64 * MIB, 0);
	CHECK(a != NULL);
	CHECK(fake_opened_nbytes() <= 64 * MIB + 2 * MIB + MIB);
	umpa_free(a);
	end();
}

/* The frontier can't move: what is open is used, the rest comes from outside, nothing is lost. */
TEST(page_frontier_refused)
{
	char *a, *b;

	PLAN(3 + END_CHECKS);
	begin();
	a = touched(16 * MIB, 0);
	fake_open_max = fake_opened_nbytes();
	b = umpa_alloc(256 * MIB, 0);
	CHECK(b && stats().outside_nbytes == 256 * MIB);
	umpa_free(a);
	a = umpa_alloc(16 * MIB, 0);
	CHECK(a && stats().outside_nbytes == 256 * MIB);
	umpa_free(b);
	umpa_free(a);
	CHECK_EQ(stats().nblocks, 0);
	end();
}

/* The window's first pages, set aside, are no block and no tail of one. */
TEST(page_ranges_before_the_first_block)
{
	char *b;

	PLAN(5 + END_CHECKS);
	begin();
	b = umpa_alloc(MIB, 0);
	CHECK_EQ(umpa_window_slot(&umpa_core.window, b).i, 0);
	errno = 0;
	CHECK(umpa_back(b - 1, 2) == -1 && errno == EINVAL);
	errno = 0;
	CHECK(umpa_unback(b - 4096, 4096) == -1 && errno == EINVAL);
	CHECK(umpa_back(b - 2 * 4096, 1) == -1);
	CHECK_EQ(umpa_back(b, 1), 0);
	umpa_free(b);
	end();
}

TEST(page_room_of_any_size_is_kept)
{
	char *a, *wall;

	PLAN(6 + END_CHECKS);
	begin();
	a = umpa_alloc(65536, UMPA_RESERVE(16));
	wall = umpa_alloc(MIB, 0);
	CHECK_EQ(umpa_usable_size(a), 65536);
	for (size_t n = 2 * 65536; n <= 16 * 65536; n *= 2)
		CHECK(umpa_realloc(a, n, UMPA_NOMOVE) == a);
	CHECK_EQ(stats().nblocks, 2);
	umpa_free(a);
	umpa_free(wall);
	end();
}

/* Room that the window does not have is not a reason to leave it. */
TEST(page_room_beyond_the_window)
{
	void *a;

	PLAN(2 + END_CHECKS);
	begin();
	a = umpa_alloc(256 * MIB, UMPA_RESERVE(255));
	CHECK(a != NULL);
	CHECK_EQ(stats().outside_nbytes, 0);
	umpa_free(a);
	end();
}

/* Blocks one page over whole slots lie one behind the other: each slot between them is full. */
TEST(page_spans_with_a_header_lie_densely)
{
	enum {
		N = 20
	};
	char *a[N];

	PLAN(3 + END_CHECKS);
	begin();
	for (int i = 0; i < N; i++)
		a[i] = touched(4 * MIB + 1, 0);
	CHECK_EQ(fake_nframes(), (2 * N + 1) * SLOT_NPAGES);
	CHECK_EQ(stats().block_nbytes, N * (4 * MIB + 4096));
	for (int i = 0; i < N; i++)
		umpa_free(a[i]);
	all_valid();
	end();
}

/* A pattern in every page, which says whose it is. */
static void write_pages(char *block, size_t npages, int number)
{
	fake_touch(block, npages * 4096);
	for (size_t p = 0; p < npages; p++)
		block[p * 4096 + 8] = (char)(number + (int)p % 97);
}

static uint64_t nwrong_pages(const char *block, size_t npages, int number)
{
	uint64_t nwrong = 0;

	for (size_t p = 0; p < npages; p++)
		nwrong += block[p * 4096 + 8] != (char)(number + (int)p % 97);
	return nwrong;
}

/* Writes to every page of each block, which begin as zero. */
static uint64_t nwrong_of_new(char *block, size_t npages, int number)
{
	uint64_t nwrong = umpa_usable_size(block) != npages * 4096;

	fake_touch(block, npages * 4096);
	for (size_t p = 0; p < npages; p++)
		nwrong += block[p * 4096 + 8] != 0;
	write_pages(block, npages, number);
	return nwrong;
}

enum {
	DENSE_N = 40,
	DENSE_CHECKS = 6
};

static void fill_densely(char *a[DENSE_N], size_t npages)
{
	uint64_t nframes = DENSE_N * npages, nwrong = 0;

	for (int i = 0; i < DENSE_N; i++) {
		a[i] = umpa_alloc(npages * 4096, 0);
		write_pages(a[i], npages, i);
	}
	CHECK(fake_nframes() <= nframes + nframes / 12);
	CHECK_EQ(stats().block_nbytes, nframes * 4096);
	for (int round = 0; round < 6; round++)
		for (int i = round % 3; i < DENSE_N; i += 3) {
			nwrong += nwrong_pages(a[i], npages, i);
			umpa_free(a[i]);
			a[i] = umpa_alloc(npages * 4096, UMPA_ZERO);
			nwrong += nwrong_of_new(a[i], npages, i);
		}
	CHECK_EQ(nwrong, 0);
	CHECK(fake_nframes() <= nframes + nframes / 10);
	all_valid();
	/* Many free at once, and taken again. */
	for (int i = 0; i < DENSE_N; i++)
		if (i % 4)
			umpa_free(a[i]);
	for (int i = 0; i < DENSE_N; i++)
		if (i % 4) {
			a[i] = umpa_alloc(npages * 4096, 0);
			write_pages(a[i], npages, i);
		}
	CHECK(fake_nframes() <= nframes + nframes / 6);
}

/* Blocks of one size lie one behind the other, wherever that is, and their places are found again.
 */
TEST(page_blocks_of_one_size_lie_densely)
{
	static const size_t npages[] = {513, 586, 769, 855, 1148, 1636};
	char *a[DENSE_N];
	uint64_t nwrong = 0;

	PLAN(array_len(npages) * (DENSE_CHECKS + 2 + END_CHECKS));
	for (size_t k = 0; k < array_len(npages); k++) {
		begin();
		fill_densely(a, npages[k]);
		/* Shorter in place, longer elsewhere. */
		for (int i = 0; i < DENSE_N; i += 2)
			for (size_t n = npages[k]; n > 73; n -= 73)
				nwrong += umpa_realloc(a[i], n * 4096, UMPA_NOMOVE) != a[i];
		for (int i = 1; i < DENSE_N; i += 2) {
			a[i] = umpa_realloc(a[i], 9 * MIB, 0);
			nwrong += nwrong_pages(a[i], npages[k], i);
		}
		CHECK_EQ(nwrong, 0);
		for (int i = 0; i < DENSE_N; i++)
			umpa_free(a[i]);
		all_valid();
		end();
	}
}

/* Sizes that differ keep whole superpages free for others: they have slots of their own. */
TEST(page_blocks_of_many_sizes_begin_on_slots)
{
	enum {
		N = 20
	};
	char *a[N];
	uint64_t nruns = 0;

	PLAN(1 + END_CHECKS);
	begin();
	for (int i = 0; i < N; i++) {
		a[i] = umpa_alloc((size_t)(513 + 7 * i) * 4096, 0);
		nruns += slot_use(umpa_window_slot(&umpa_core.window, a[i])) == SLOT_SHELF &&
			 !slot_nhead(slot_after(umpa_window_slot(&umpa_core.window, a[i]), 1));
	}
	CHECK_EQ(nruns, 0);
	for (int i = 0; i < N; i++)
		umpa_free(a[i]);
	end();
}

/* Grown in turns, as lists of one length are: none begins in the end of another's superpage, so
 * that all but the last superpage of each move as they are, and grow where they lie. */
TEST(page_blocks_that_grow_begin_on_slots)
{
	enum {
		N = 6
	};
	char *block[N] = {NULL};
	size_t nbytes = 0, room = 0;
	unsigned nheads = 0, nslots = 0;

	PLAN(3 + END_CHECKS);
	begin();
	for (; nbytes < 5 * MIB; nbytes += 32 << 10)
		for (int i = 0; i < N; i++) {
			if (nbytes >= room)
				block[i] = umpa_realloc(block[i], nbytes + nbytes / 8 + 1, 0);
			if (i == N - 1 && nbytes >= room)
				room = nbytes + nbytes / 8;
			fake_touch(block[i] + nbytes, 32 << 10);
		}
	for (int i = 0; i < N; i++)
		nheads += (uintptr_t)block[i] % SLOT_NBYTES != 0;
	CHECK_EQ(nheads, 0);
	for (uint32_t i = umpa_core.space.nnursery; i < umpa_core.window.nslots_open; i++)
		nslots += fake_frame(slot_address((struct slot){i})) != 0;
	CHECK_EQ(nslots, 3 * N);
	all_valid();
	for (int i = 0; i < N; i++)
		umpa_free(block[i]);
	umpa_trim(0);
	end();
}

/* Grows a block of nslots slots whose pages are numbered, by a move that stops within its first
 * superpage. */
static char *grow_by_half_a_move(char *block, size_t nslots)
{
	fake_mover_partial(SLOT_NBYTES / 2);
	block = umpa_realloc(block, nslots * SLOT_NBYTES, UMPA_ZERO);
	fake_mover_partial(SIZE_MAX);
	return block;
}

/* What has arrived stays, also where the pool has frames with a hole in front, as the move before
 * has left: where there is a frame at one end and none at the other, a mover takes it for moved. */
TEST(page_realloc_by_moves_that_stop)
{
	static const size_t nslots[] = {6, 40};
	unsigned nwrong = 0;
	char *block, *from;

	PLAN(3 + END_CHECKS);
	begin();
	umpa_core_need();
	umpa_trial_mover();
	block = touched(2 * SLOT_NBYTES, 0);
	for (size_t i = 0; i < 2 * SLOT_NPAGES; i++)
		block[i * PAGE_NBYTES] = (char)(1 + i % 100);
	for (int k = 0; k < 2; k++) {
		/* So that it has to move, and the pool stays. */
		char *behind = umpa_alloc(SLOT_NBYTES, UMPA_NOBACK);

		from = block;
		block = grow_by_half_a_move(block, nslots[k]);
		CHECK(block && block != from);
		umpa_free(behind);
		for (size_t i = 0; i < nslots[k] * SLOT_NPAGES; i++)
			nwrong += block[i * PAGE_NBYTES] !=
				  (i < 2 * SLOT_NPAGES ? (char)(1 + i % 100) : 0);
	}
	CHECK_EQ(nwrong, 0);
	umpa_free(block);
	end();
}
