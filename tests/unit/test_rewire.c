/* Moving and swapping on the fake OS: which frame is behind which page, what is copied, and that
 * nothing is lost. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "support/check.h"
#include "support/fake_blocks.h"
#include "support/fake_os.h"
#include "support/marked.h"

#define PAGE ((size_t)4096)
#define MIB  ((size_t)1 << 20)
#define SLOT (2 * MIB)

static void begin(void)
{
	fake_reset();
	marked_fronts_only = 1;
	fake_machine.memory_nbytes = (size_t)512 << 20;
}

static void end(void)
{
	CHECK_EQ(stats().nblocks, 0);
	CHECK(umpa_extents_valid(&umpa_core.space.extents));
	CHECK(fake_consistent());
	umpa_core_stop();
	CHECK_EQ(fake_nframes(), 0);
}
enum {
	END_CHECKS = 4
};

/* Pages that have frames and marks. */
static char *marked(size_t nbytes, unsigned flags, uint64_t value)
{
	char *p = umpa_alloc(nbytes, flags);

	fake_touch(p, nbytes);
	mark(p, nbytes, value);
	return p;
}

#define NFRAMES_MAX 16384

static void note_frames(uint64_t *frame, const char *p, size_t nbytes)
{
	for (size_t at = 0; at < nbytes; at += PAGE)
		frame[at / PAGE] = fake_frame(p + at);
}

static uint64_t count_other_frames(const uint64_t *frame, const char *p, size_t nbytes)
{
	uint64_t n = 0;

	for (size_t at = 0; at < nbytes; at += PAGE)
		n += fake_frame(p + at) != frame[at / PAGE];
	return n;
}

/* --- whole slots -------------------------------------------------------------------------- */

TEST(rewire_move_carries_frames)
{
	static uint64_t frame[NFRAMES_MAX], old[NFRAMES_MAX];
	char *a, *b, *c;
	size_t nframes;

	PLAN(12 + END_CHECKS);
	begin();
	a = marked(16 * MIB, 0, 1ull << 32);
	b = marked(16 * MIB, 0, 2ull << 32);
	note_frames(frame, a, 16 * MIB);
	note_frames(old, b, 16 * MIB);
	nframes = fake_nframes();
	errno = 7;
	CHECK_EQ(umpa_move(b, a, 16 * MIB), 0);
	CHECK_EQ(errno, 7);
	CHECK_EQ(count_other_frames(frame, b, 16 * MIB), 0);
	CHECK_EQ(count_unmarked(b, 16 * MIB, 1ull << 32), 0);
	CHECK_EQ(count_not_zero(a, 16 * MIB), 0);
	CHECK_EQ(fake_frame(a), 0);
	/* What was behind b is in the pool, and comes to the next who wants it. */
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(stats().pool_nbytes, 16 * MIB);
	CHECK_EQ(stats().nslots_copied, 0);
	c = umpa_alloc(16 * MIB, 0);
	CHECK_EQ(count_other_frames(old, c, 16 * MIB), 0);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(umpa_move(b, a, 0), 0);
	umpa_free(a);
	umpa_free(b);
	umpa_free(c);
	end();
}

TEST(rewire_swap_changes_frames_about)
{
	static uint64_t frame_a[NFRAMES_MAX], frame_b[NFRAMES_MAX];
	char *a, *b;
	size_t nframes, n = 64 * MIB;
	uint64_t ncalls;

	PLAN(9 + END_CHECKS);
	begin();
	a = marked(n, 0, 1ull << 32);
	b = marked(n, 0, 2ull << 32);
	note_frames(frame_a, a, n);
	note_frames(frame_b, b, n);
	nframes = fake_nframes();
	umpa_swap(a, b, SLOT); /* chooses the mover */
	umpa_swap(a, b, SLOT);
	ncalls = fake_ncalls_of("move");
	CHECK_EQ(umpa_swap(a, b, n), 0);
	CHECK_EQ(fake_ncalls_of("move") - ncalls, 3);
	CHECK_EQ(count_other_frames(frame_b, a, n) + count_other_frames(frame_a, b, n), 0);
	CHECK_EQ(count_unmarked(a, n, 2ull << 32) + count_unmarked(b, n, 1ull << 32), 0);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(stats().pool_nbytes, 0);
	CHECK_EQ(stats().cleared_nbytes, 0);
	/* Halves of one block, too. */
	CHECK_EQ(umpa_swap(a, a + n / 2, n / 2), 0);
	CHECK_EQ(count_other_frames(frame_b, a + n / 2, n / 2), 0);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* However many chunks a range is, what does not refuse is never copied. */
TEST(rewire_many_chunks)
{
	const size_t n = 2048 * MIB;
	char *a, *b;

	PLAN(3 + END_CHECKS);
	begin();
	a = umpa_alloc(n, UMPA_NOBACK);
	b = umpa_alloc(n, UMPA_NOBACK);
	fake_touch(b + n - SLOT, SLOT);
	mark(b + n - SLOT, SLOT, 1);
	CHECK_EQ(umpa_swap(a, b, n), 0);
	CHECK_EQ(count_unmarked(a + n - SLOT, SLOT, 1), 0);
	CHECK_EQ(stats().nslots_copied, 0);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* Slots nobody touched cost no frame, and nothing is left behind where they come to. */
TEST(rewire_bare_slots)
{
	char *a, *b;
	size_t nframes;
	uint64_t frame, moved;

	PLAN(13 + END_CHECKS);
	begin();
	a = umpa_alloc(16 * MIB, UMPA_NOBACK);
	b = marked(16 * MIB, 0, 2ull << 32);
	fake_touch(a + 4 * MIB, 1); /* a whole slot: the fake's huge page */
	mark(a + 4 * MIB, PAGE, 1);
	frame = fake_frame(a + 4 * MIB);
	nframes = fake_nframes();
	CHECK_EQ(umpa_move(b, a, 16 * MIB), 0);
	CHECK_EQ(fake_frame(b + 4 * MIB), frame);
	CHECK_EQ(count_not_zero(b, 4 * MIB) + count_not_zero(b + 6 * MIB, 10 * MIB), 0);
	CHECK(!fake_frame(b) && !fake_frame(b + 14 * MIB));
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(stats().pool_nbytes, 16 * MIB);
	/* To a place that is bare, nothing has to be put aside. */
	moved = stats().nslots_moved;
	CHECK_EQ(umpa_move(a, b, 16 * MIB), 0);
	CHECK_EQ(stats().nslots_moved - moved, 1);
	CHECK_EQ(fake_frame(a + 4 * MIB), frame);
	CHECK_EQ(umpa_swap(a, b, 16 * MIB), 0);
	CHECK_EQ(fake_frame(b + 4 * MIB), frame);
	CHECK(!fake_frame(a + 4 * MIB) && !fake_frame(b));
	CHECK_EQ(fake_nframes(), nframes);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* Single pages missing in a slot stay missing. */
TEST(rewire_holes_in_slots)
{
	char *a, *b;

	PLAN(7 + END_CHECKS);
	begin();
	a = marked(8 * MIB, 0, 1ull << 32);
	b = marked(8 * MIB, 0, 2ull << 32);
	umpa_unback(a + 3 * MIB, 5 * PAGE);
	umpa_unback(b + 5 * MIB, PAGE);
	umpa_unback(b, PAGE);
	CHECK_EQ(umpa_swap(a, b, 8 * MIB), 0);
	CHECK_EQ(count_unmarked(b, 8 * MIB, 1ull << 32), 5);
	CHECK_EQ(count_unmarked(a, 8 * MIB, 2ull << 32), 2);
	CHECK(!fake_frame(b + 3 * MIB) && !fake_frame(a) && !fake_frame(a + 5 * MIB));
	CHECK_EQ(umpa_move(a, b, 8 * MIB), 0);
	CHECK_EQ(count_unmarked(a, 8 * MIB, 1ull << 32), 5);
	CHECK_EQ(count_not_zero(b, 8 * MIB), 0);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* --- what is copied ----------------------------------------------------------------------- */

/* Pages before and behind the whole slots are copied to the frames that are there. */
TEST(rewire_head_whole_and_tail)
{
	static uint64_t frame_a[NFRAMES_MAX], frame_b[NFRAMES_MAX];
	char *a, *b;
	size_t from = 3 * PAGE, n = 9 * MIB, whole = 2 * MIB;

	PLAN(11 + END_CHECKS);
	begin();
	a = marked(16 * MIB, UMPA_ALIGN(21), 1ull << 32);
	b = marked(16 * MIB, UMPA_ALIGN(21), 2ull << 32);
	note_frames(frame_a, a, 16 * MIB);
	note_frames(frame_b, b, 16 * MIB);
	CHECK_EQ(umpa_move(b + from, a + from, n), 0);
	CHECK_EQ(count_unmarked(b, from, 2ull << 32), 0);
	CHECK_EQ(count_unmarked(b + from, n, (1ull << 32) + from), 0);
	CHECK_EQ(count_unmarked(b + from + n, 16 * MIB - from - n, (2ull << 32) + from + n), 0);
	CHECK_EQ(count_other_frames(frame_b, b, whole), 0);
	CHECK_EQ(count_other_frames(frame_a + 512, b + whole, 6 * MIB), 0);
	CHECK_EQ(count_other_frames(frame_b + 4 * 512, b + 8 * MIB, 8 * MIB), 0);
	CHECK_EQ(count_unmarked(a, from, 1ull << 32), 0);
	CHECK_EQ(count_not_zero(a + from, n), 0);
	CHECK_EQ(count_unmarked(a + from + n, 16 * MIB - from - n, (1ull << 32) + from + n), 0);
	CHECK_EQ(stats().nslots_moved, 3 + 3);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* Every pair of kinds of blocks, from one page up, at congruent places and others. */
TEST(rewire_all_kinds_of_blocks)
{
	static const size_t sizes[] = {PAGE, 5 * PAGE, 300 * PAGE, 511 * PAGE, SLOT,
		SLOT + 3 * PAGE, 5 * MIB, 9 * MIB + PAGE};
	enum {
		N = sizeof(sizes) / sizeof(sizes[0]),
		NCONTEXT = 40
	};
	char *context[NCONTEXT];
	uint64_t nwrong = 0;

	PLAN(2 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 256 * MIB; /* a window of 64 MiB: some lie outside */
	for (int i = 0; i < NCONTEXT; i++)        /* slots that runs share */
		context[i] = marked(i % 2 ? 200 * PAGE : 260 * PAGE, 0, 77);
	for (int i = 0; i < N * N; i++) {
		size_t na = sizes[i / N], nb = sizes[i % N], n = na < nb ? na : nb;
		char *a = marked(na, 0, 1ull << 32), *b = marked(nb, 0, 2ull << 32);
		size_t at = i % 3 && n > PAGE ? PAGE : 0;

		n -= at;
		nwrong += umpa_swap(a + na - n, b + at, n) != 0;
		nwrong += count_unmarked(a, na - n, 1ull << 32);
		nwrong += count_unmarked(a + na - n, n, (2ull << 32) + at);
		nwrong += count_unmarked(b + at, n, (1ull << 32) + na - n);
		nwrong += umpa_move(b + at, a + na - n, n) != 0;
		nwrong += count_unmarked(b, at, 2ull << 32);
		nwrong += count_unmarked(b + at, n, (2ull << 32) + at);
		nwrong += count_unmarked(b + at + n, nb - n - at, (2ull << 32) + at + n);
		nwrong += count_not_zero(a + na - n, n);
		umpa_free(a);
		umpa_free(b);
	}
	CHECK_EQ(nwrong, 0);
	for (int i = 0; i < NCONTEXT; i++) {
		nwrong += count_unmarked(context[i], i % 2 ? 200 * PAGE : 260 * PAGE, 77);
		umpa_free(context[i]);
	}
	CHECK_EQ(nwrong, 0);
	end();
}

TEST(rewire_not_congruent)
{
	char *a, *b;

	PLAN(6 + END_CHECKS);
	begin();
	a = marked(16 * MIB, 0, 1ull << 32);
	b = marked(16 * MIB, 0, 2ull << 32);
	CHECK_EQ(umpa_move(b + PAGE, a, 16 * MIB - PAGE), 0);
	CHECK_EQ(count_unmarked(b + PAGE, 16 * MIB - PAGE, 1ull << 32), 0);
	CHECK_EQ(count_not_zero(a, 16 * MIB - PAGE), 0);
	CHECK_EQ(umpa_swap(a + PAGE, b, 16 * MIB - PAGE), 0);
	CHECK_EQ(count_unmarked(a + 2 * PAGE, 16 * MIB - 2 * PAGE, 1ull << 32), 0);
	CHECK_EQ(fake_ncalls_of("move"), 0);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* A block of the kernel's and one of the window. */
TEST(rewire_outside_blocks)
{
	char *a, *b;

	PLAN(7 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 128 * MIB;
	a = marked(48 * MIB, UMPA_ALIGN(21), 1ull << 32);
	b = marked(8 * MIB, 0, 2ull << 32);
	CHECK(stats().outside_nbytes == 48 * MIB);
	CHECK_EQ(umpa_swap(a + 2 * MIB, b, 8 * MIB), 0);
	CHECK_EQ(count_unmarked(a + 2 * MIB, 8 * MIB, 2ull << 32), 0);
	CHECK_EQ(count_unmarked(b, 8 * MIB, (1ull << 32) + 2 * MIB), 0);
	CHECK_EQ(umpa_move(b, a + 40 * MIB, 8 * MIB), 0);
	CHECK_EQ(count_unmarked(b, 8 * MIB, (1ull << 32) + 40 * MIB), 0);
	CHECK_EQ(count_not_zero(a + 40 * MIB, 8 * MIB), 0);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* Frames that don't move, at either end: copied to the frames that are there. */
TEST(rewire_shared_frames)
{
	static uint64_t frame_a[NFRAMES_MAX], frame_b[NFRAMES_MAX];
	uint64_t nwrong = 0;

	PLAN(2 + END_CHECKS);
	begin();
	for (int i = 0; i < 8; i++) {
		char *a = marked(8 * MIB, 0, 1ull << 32), *b = marked(8 * MIB, 0, 2ull << 32);
		char *shared = (i & 1 ? a : b) + (i & 2 ? 2 * MIB : 3 * MIB);
		size_t nframes;

		fake_share(shared, 2 * MIB, 1);
		note_frames(frame_a, a, 8 * MIB);
		note_frames(frame_b, b, 8 * MIB);
		nframes = fake_nframes();
		if (i & 4) {
			nwrong += umpa_swap(a, b, 8 * MIB) != 0;
			nwrong += count_unmarked(a, 8 * MIB, 2ull << 32);
		} else {
			nwrong += umpa_move(b, a, 8 * MIB) != 0;
			nwrong += count_not_zero(a, 8 * MIB);
		}
		nwrong += count_unmarked(b, 8 * MIB, 1ull << 32);
		/* The slot that holds shared frames keeps its own, the last one was carried. */
		nwrong += count_other_frames(frame_b + 512, b + 2 * MIB, 2 * MIB);
		nwrong += count_other_frames(frame_a + 3 * 512, b + 6 * MIB, 2 * MIB);
		nwrong += fake_nframes() != nframes;
		fake_share(shared, 2 * MIB, 0);
		umpa_free(a);
		umpa_free(b);
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(stats().nslots_copied, 4 + 2 * 4);
	end();
}

/* A mover that stops in the middle of a slot, in any of the steps. */
TEST(rewire_partial_moves)
{
	uint64_t nwrong = 0;

	PLAN(1 + END_CHECKS);
	begin();
	for (size_t stop = 0; stop < 4 * MIB; stop += 77 * PAGE)
		for (int how = 0; how < 2; how++) {
			char *a = marked(4 * MIB, 0, 1ull << 32);
			char *b = marked(4 * MIB, 0, 2ull << 32);

			fake_mover_partial(stop);
			if (how)
				nwrong += umpa_move(b, a, 4 * MIB) || count_not_zero(a, 4 * MIB);
			else
				nwrong += umpa_swap(a, b, 4 * MIB) ||
					  count_unmarked(a, 4 * MIB, 2ull << 32);
			nwrong += count_unmarked(b, 4 * MIB, 1ull << 32);
			fake_mover_partial(SIZE_MAX);
			umpa_free(a);
			umpa_free(b);
		}
	CHECK_EQ(nwrong, 0);
	end();
}

/* No void slot to put frames aside in. */
TEST(rewire_full_window)
{
	char *a, *b, *rest[64];
	int n = 0;

	PLAN(6 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 256 * MIB;
	a = marked(8 * MIB, 0, 1ull << 32);
	b = marked(8 * MIB, 0, 2ull << 32);
	while (n < 63 && (rest[n] = marked(4 * MIB, 0, 3)) && !stats().outside_nbytes)
		n++;
	CHECK(n > 5 && n < 60);
	CHECK_EQ(umpa_swap(a, b, 8 * MIB), 0);
	CHECK_EQ(count_unmarked(a, 8 * MIB, 2ull << 32), 0);
	CHECK_EQ(count_unmarked(b, 8 * MIB, 1ull << 32), 0);
	CHECK_EQ(umpa_move(b, a, 8 * MIB), 0);
	CHECK_EQ(count_unmarked(b, 8 * MIB, 2ull << 32) + count_not_zero(a, 8 * MIB), 0);
	for (int i = 0; i <= n; i++)
		umpa_free(rest[i]);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* --- misuse ------------------------------------------------------------------------------- */

static int refused(void *dst, void *src, size_t nbytes)
{
	struct umpa_move_op op = {dst, src, nbytes};
	size_t done = 9;
	int nrefused = 0;

	errno = 0;
	nrefused += umpa_move(dst, src, nbytes) == -1 && errno == EINVAL;
	errno = 0;
	nrefused += umpa_swap(src, dst, nbytes) == -1 && errno == EINVAL;
	errno = 0;
	nrefused += umpa_movev(&op, 1, &done) == -1 && errno == EINVAL && !done;
	return nrefused;
}

TEST(rewire_refuses_misuse)
{
	char *a, *b, *run, *gone, foreign[2 * 4096] __attribute__((aligned(4096)));

	PLAN(18 + END_CHECKS);
	begin();
	a = marked(8 * MIB, 0, 1ull << 32);
	b = marked(8 * MIB, 0, 2ull << 32);
	run = marked(8 * PAGE, 0, 3ull << 32);
	gone = marked(8 * MIB, 0, 4ull << 32);
	umpa_free(gone);
	CHECK_EQ(refused(b + 1, a, PAGE), 3);
	CHECK_EQ(refused(b, a + 8, PAGE), 3);
	CHECK_EQ(refused(b, a, PAGE + 1), 3);
	CHECK_EQ(refused(b, a, 1), 3);
	CHECK_EQ(refused(a, a, PAGE), 3);
	CHECK_EQ(refused(a + PAGE, a, 2 * PAGE), 3);
	CHECK_EQ(refused(a, a + PAGE, 2 * PAGE), 3);
	CHECK_EQ(refused(b, a, 8 * MIB + PAGE), 3);
	CHECK_EQ(refused(b + 4 * MIB, a, 6 * MIB), 3);
	CHECK_EQ(refused(run + 7 * PAGE, a, 2 * PAGE), 3);
	CHECK_EQ(refused(b, a, SIZE_MAX - PAGE + 1), 3);
	CHECK_EQ(refused(b, (void *)(UINTPTR_MAX - PAGE + 1), PAGE), 3);
	CHECK_EQ(refused(NULL, a, PAGE) + refused(a, NULL, PAGE), 6);
	CHECK_EQ(refused(foreign, a, PAGE) + refused(a, foreign, PAGE), 6);
	CHECK_EQ(refused(gone, a, PAGE) + refused(a, gone, PAGE), 6);
	CHECK_EQ(umpa_movev(NULL, 1, NULL), -1);
	CHECK_EQ(
		count_unmarked(a, 8 * MIB, 1ull << 32) + count_unmarked(b, 8 * MIB, 2ull << 32), 0);
	CHECK_EQ(fake_ncalls_of("move"), 0);
	umpa_free(run);
	umpa_free(a);
	umpa_free(b);
	end();
}

TEST(rewire_nothing_is_fine)
{
	size_t done = 9;
	char here;

	PLAN(5 + END_CHECKS);
	begin();
	CHECK_EQ(umpa_move(NULL, NULL, 0), 0);
	CHECK_EQ(umpa_swap(&here, (void *)(UINTPTR_MAX - 5), 0), 0);
	CHECK_EQ(umpa_movev(NULL, 0, &done), 0);
	CHECK_EQ(done, 0);
	CHECK_EQ(umpa_movev(NULL, 0, NULL), 0);
	end();
}

/* --- batches ------------------------------------------------------------------------------ */

/* Ops that continue one another cost what one op costs, whatever pieces they are in. */
TEST(rewire_movev_merges)
{
	enum {
		NOPS = 4096
	};
	static struct umpa_move_op op[NOPS + 2];
	static uint64_t frame[NFRAMES_MAX];
	char *a, *b;
	uint64_t ncalls;
	size_t done;

	PLAN(6 + END_CHECKS);
	begin();
	a = marked(16 * MIB, 0, 1ull << 32);
	b = marked(16 * MIB, 0, 2ull << 32);
	note_frames(frame, a, 16 * MIB);
	umpa_swap(a, b, SLOT); /* chooses the mover */
	umpa_swap(a, b, SLOT);
	ncalls = fake_ncalls_of("move");
	for (size_t i = 0; i < NOPS; i++)
		op[i] = (struct umpa_move_op){b + i * PAGE, a + i * PAGE, PAGE};
	op[NOPS] = (struct umpa_move_op){NULL, b, 0};
	CHECK_EQ(umpa_movev(op, NOPS + 1, &done), 0);
	CHECK_EQ(done, NOPS + 1);
	CHECK_EQ(fake_ncalls_of("move") - ncalls, 2);
	CHECK_EQ(count_other_frames(frame, b, 16 * MIB), 0);
	CHECK_EQ(count_unmarked(b, 16 * MIB, 1ull << 32), 0);
	CHECK_EQ(count_not_zero(a, 16 * MIB), 0);
	umpa_free(a);
	umpa_free(b);
	end();
}

/* Ops go one after the other, also where they look as if they continued each other. */
TEST(rewire_movev_is_sequential)
{
	enum {
		NSLOTS = 8
	};
	struct umpa_move_op op[NSLOTS];
	char *a;
	size_t done;

	PLAN(8 + END_CHECKS);
	begin();
	a = marked(NSLOTS * SLOT, 0, 1ull << 32);
	for (size_t i = 0; i < NSLOTS - 1; i++) /* everything a slot down */
		op[i] = (struct umpa_move_op){a + i * SLOT, a + (i + 1) * SLOT, SLOT};
	CHECK_EQ(umpa_movev(op, NSLOTS - 1, &done), 0);
	CHECK_EQ(done, NSLOTS - 1);
	CHECK_EQ(count_unmarked(a, (NSLOTS - 1) * SLOT, (1ull << 32) + SLOT), 0);
	CHECK_EQ(count_not_zero(a + (NSLOTS - 1) * SLOT, SLOT), 0);
	/* The first page goes all the way up, page by page, and wipes what it passes. */
	mark(a, NSLOTS * SLOT, 1ull << 32);
	for (size_t i = 0; i < NSLOTS - 1; i++)
		op[i] = (struct umpa_move_op){a + (i + 1) * PAGE, a + i * PAGE, PAGE};
	CHECK_EQ(umpa_movev(op, NSLOTS - 1, &done), 0);
	CHECK_EQ(count_unmarked(a + (NSLOTS - 1) * PAGE, PAGE, 1ull << 32), 0);
	CHECK_EQ(count_not_zero(a, (NSLOTS - 1) * PAGE), 0);
	CHECK_EQ(count_unmarked(a + NSLOTS * PAGE, SLOT, (1ull << 32) + NSLOTS * PAGE), 0);
	umpa_free(a);
	end();
}

/* One bad op, and none is carried out; two blocks side by side are not one range. */
TEST(rewire_movev_is_checked_first)
{
	struct umpa_move_op op[3];
	char *a, *b, *c;
	size_t done = 9;

	PLAN(7 + END_CHECKS);
	begin();
	a = marked(SLOT, UMPA_ALIGN(21), 1ull << 32);
	b = marked(SLOT, UMPA_ALIGN(21), 2ull << 32);
	c = marked(2 * SLOT, UMPA_ALIGN(21), 3ull << 32);
	op[0] = (struct umpa_move_op){c, a, SLOT};
	op[1] = (struct umpa_move_op){c + SLOT, b, SLOT};
	op[2] = (struct umpa_move_op){c, c + PAGE, 2 * PAGE};
	CHECK_EQ(umpa_movev(op, 3, &done), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(done, 0);
	CHECK_EQ(count_unmarked(c, 2 * SLOT, 3ull << 32), 0);
	CHECK_EQ(umpa_movev(op, 2, NULL), 0);
	CHECK_EQ(count_unmarked(c, SLOT, 1ull << 32), 0);
	CHECK_EQ(count_unmarked(c + SLOT, SLOT, 2ull << 32), 0);
	umpa_free(a);
	umpa_free(b);
	umpa_free(c);
	end();
}
