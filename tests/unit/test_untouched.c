/* What spans lack and nobody touches, on the fake OS: left void where moves take long, and told
 * from what was touched by its frames. */
#include <errno.h>
#include <string.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/pool.h"
#include "core/space.h"
#include "core/untouched.h"
#include "support/check.h"
#include "support/fake_blocks.h"
#include "support/fake_os.h"
#include "support/numbers.h"

#define MIB ((size_t)1 << 20)

enum {
	SLOW_NS = 20000
};

static char *front; /* behind which blocks are put in order */

static void begin(void)
{
	fake_reset();
	fake_machine.memory_nbytes = (size_t)4 << 30;
	front = touched(2 * MIB, 0);
	fake_move_ns = SLOW_NS;
}

enum {
	END_CHECKS = 3
};

static void end(void)
{
	umpa_free(front);
	CHECK_EQ(stats().nblocks, 0);
	CHECK(umpa_extents_valid(&umpa_core.space.extents) && fake_consistent());
	umpa_core_stop();
	CHECK_EQ(fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes(), 0);
}

/* From now on all that may be left is. */
static void leave_all(void)
{
	umpa_core.left_void.move_ns = SLOW_NS;
	umpa_core.left_void.streak.nuntouched = STREAK_NROW;
}

/*
 * Blocks of other sizes again and again, so that frames lie where blocks are not: a third of them
 * is free at a time. touch: writes to what is handed out.
 */
enum {
	NLIVE = 24
};

static void churn(unsigned nblocks, int touch)
{
	struct numbers n = numbers_of_seed(7);
	char *live[NLIVE] = {NULL};

	for (unsigned i = 0; i < nblocks; i++) {
		char **block = &live[number_below(&n, NLIVE)];
		size_t nbytes = (2 + number_below(&n, 14)) * MIB * 2;

		umpa_free(*block);
		*block = touch ? touched(nbytes, 0) : umpa_alloc(nbytes, 0);
	}
	for (unsigned i = 0; i < NLIVE; i++)
		umpa_free(live[i]);
}

static uint64_t nmoves_while(unsigned nblocks, int touch)
{
	uint64_t before = stats().nmove_calls;

	churn(nblocks, touch);
	return stats().nmove_calls - before;
}

TEST(untouched_is_not_moved_for_any_more)
{
	uint64_t nbefore, nnone;

	PLAN(4 + END_CHECKS);
	begin();
	fake_move_ns = LEFT_MOVE_NS / 2;
	churn(200, 1);
	nbefore = nmoves_while(2000, 0);
	CHECK(nbefore > 100);
	fake_move_ns = SLOW_NS;
	churn(6000, 0);
	CHECK_EQ(umpa_core.left_void.streak.nuntouched, STREAK_NROW);
	nnone = nmoves_while(2000, 0);
	CHECK(nnone * 4 < nbefore);
	CHECK_EQ(stats().block_nbytes, 2 * MIB);
	end();
}

/* Each so manieth is left to be told by, and the more of them the longer the row. */
TEST(untouched_is_asked_more_often_by_and_by)
{
	static const struct {
		uint32_t nuntouched, each;
	} rows[] = {{0, 16}, {2, 16}, {3, 8}, {6, 4}, {9, 2}, {12, 1}, {15, 1}};
	struct space_grant g = {.npieces = 1};

	PLAN(7 + END_CHECKS);
	begin();
	g.piece[0] = (struct umpa_extent_piece){{8}, 1, EXTENT_VOID};
	g.slot = g.piece[0].slot;
	umpa_core.space.npool = umpa_core.space.nused = 100;
	umpa_core.left_void.move_ns = SLOW_NS;
	for (size_t i = 0; i < 7; i++) {
		unsigned nleft = 0;

		umpa_core.left_void.streak.nuntouched = rows[i].nuntouched;
		for (int k = 0; k < 32; k++)
			nleft += umpa_untouched_leave(&g, 1).is_left != 0;
		CHECK_EQ(nleft, 32 / rows[i].each);
	}
	umpa_core.left_void.streak.nuntouched = 0;
	end();
}

/* Few are left to see whether it is still so, and fewer and fewer. */
TEST(untouched_is_asked_seldom_of_who_touches)
{
	uint64_t before;

	PLAN(3 + END_CHECKS);
	begin();
	churn(200, 1);
	before = stats().nslots_from_kernel;
	CHECK(nmoves_while(6000, 1) > 300);
	CHECK(stats().nslots_from_kernel - before < 200);
	CHECK(umpa_core.left_void.streak.each >= LEFT_EACH_MIN * 4);
	end();
}

TEST(untouched_is_moved_for_where_moves_are_cheap)
{
	PLAN(2 + END_CHECKS);
	begin();
	fake_move_ns = LEFT_MOVE_NS - 1;
	churn(200, 1);
	umpa_core.left_void.streak.nuntouched = STREAK_NROW - 1;
	CHECK(nmoves_while(2000, 1) > 20);
	CHECK_EQ(umpa_core.left_void.streak.nasked, 0);
	end();
}

TEST(untouched_moves_are_timed)
{
	PLAN(3 + END_CHECKS);
	begin();
	for (int i = 0; i < 40; i++)
		umpa_untouched_note_move(16000);
	CHECK(umpa_core.left_void.move_ns > 15000 && umpa_core.left_void.move_ns <= 16000);
	/* One that was interrupted says nothing, others do by and by. */
	umpa_untouched_note_move((uint64_t)1 << 40);
	CHECK(umpa_core.left_void.move_ns <= 16000);
	for (int i = 0; i < 40; i++)
		umpa_untouched_note_move(1000);
	CHECK(umpa_core.left_void.move_ns < 2000);
	end();
}

/* --- what was left ------------------------------------------------------------------------- */

static struct slot_record *record(const char *block)
{
	return &umpa_core.record[umpa_window_slot(&umpa_core.window, block).i];
}

enum {
	NSLOTS = 12,
	NOTHERS = 60
};

static char *others[NOTHERS];

/* The next row of slots that a span lacked is looked at when it ends, or given back unseen. */
static void next_is_looked_at(void)
{
	umpa_core.left_void.nended = LEFT_LOOK_EACH - 1;
}

static void next_is_believed(void)
{
	umpa_core.left_void.nended = 0;
}

/* A block of nslots superpages, all left void though the pool could fill them with such as lie
 * apart, and of ntail pages more. */
static char *lacking_some(unsigned nslots, unsigned ntail)
{
	char *apart[NOTHERS], *block;

	for (unsigned i = 0; i < NOTHERS; i++) {
		apart[i] = touched(2 * MIB, 0);
		others[i] = touched(2 * MIB, 0);
	}
	for (unsigned i = 0; i < NOTHERS; i++)
		umpa_free(apart[i]);
	umpa_core.left_void.streak.each = 0;
	leave_all();
	block = umpa_alloc(nslots * 2 * MIB + ntail * PAGE_NBYTES, 0);
	REQUIRE(record(block)->is_left);
	REQUIRE(record(block)->lack == ((uint64_t)1 << nslots) - 1);
	next_is_looked_at();
	return block;
}

static char *lacking(void)
{
	return lacking_some(NSLOTS, 0);
}

static void free_others(void)
{
	for (unsigned i = 0; i < NOTHERS; i++) {
		umpa_free(others[i]);
		others[i] = NULL;
	}
}

TEST(untouched_slots_are_void_again)
{
	uint32_t before;
	char *block;

	PLAN(10 + END_CHECKS);
	begin();
	block = lacking();
	CHECK(!fake_frame(block) && !fake_frame(block + (NSLOTS * 2 - 1) * MIB));
	before = umpa_pool_nslots();
	umpa_free(block);
	CHECK_EQ(umpa_pool_nslots(), before);
	CHECK_EQ(umpa_core.left_void.streak.nuntouched, STREAK_NROW);
	free_others();
	/* But for two that were touched, one by a byte. */
	block = lacking();
	before = umpa_pool_nslots();
	fake_touch(block + 7 * MIB, 1);
	fake_touch(block + (NSLOTS - 1) * 2 * MIB, 2 * MIB);
	umpa_free(block);
	CHECK_EQ(umpa_pool_nslots(), before + 2);
	CHECK_EQ(umpa_core.left_void.streak.nuntouched, 0);
	CHECK_EQ(umpa_core.left_void.streak.each, LEFT_EACH_MIN * 4);
	free_others();
	end();
}

/* More pieces than are given back at once. */
TEST(untouched_slots_between_touched_ones)
{
	enum {
		NMANY = 2 * GRANT_NPIECES_MAX + 3
	};
	uint32_t before;
	char *block;

	PLAN(5 + END_CHECKS);
	begin();
	block = lacking_some(NMANY, 0);
	before = umpa_pool_nslots();
	for (size_t i = 0; i < NMANY; i += 2)
		fake_touch(block + i * 2 * MIB, 1);
	umpa_free(block);
	CHECK_EQ(umpa_pool_nslots(), before + NMANY / 2 + 1);
	CHECK_EQ(umpa_core.left_void.streak.nuntouched, 0);
	CHECK(umpa_extents_valid(&umpa_core.space.extents));
	free_others();
	end();
}

static size_t nnonzero(const char *block, size_t nbytes)
{
	size_t n = 0;

	for (size_t i = 0; i < nbytes; i++)
		n += block[i] != 0;
	return n;
}

/* --- what is believed ----------------------------------------------------------------------- */

TEST(untouched_slots_are_believed_resident)
{
	uint64_t ncalls;
	uint32_t before;
	char *block, *again;

	PLAN(7 + END_CHECKS);
	begin();
	block = lacking();
	before = umpa_pool_nslots();
	next_is_believed();
	ncalls = fake_ncalls();
	umpa_free(block);
	CHECK_EQ(umpa_pool_nslots(), before + NSLOTS);
	/* Nothing is asked or moved for the next one that is there, and nothing left. */
	again = umpa_alloc((NSLOTS - 1) * 2 * MIB, 0);
	CHECK_EQ(again - block, 0);
	CHECK(!record(again)->is_left && !record(again)->lack);
	CHECK_EQ(fake_ncalls(), ncalls);
	umpa_free(again);
	/* They are void, and known to be, once they have been given to the kernel. */
	umpa_trim(0);
	CHECK_EQ(umpa_pool_nslots(), 0);
	free_others();
	end();
}

/* It reads as zero, as what is resident must be made to. */
TEST(untouched_slots_believed_are_zero)
{
	char *block;

	PLAN(3 + END_CHECKS);
	begin();
	block = lacking();
	fake_touch(block + 6 * MIB, 2 * MIB);
	memset(block + 6 * MIB, 7, 2 * MIB);
	next_is_believed();
	umpa_free(block);
	block = umpa_alloc((NSLOTS - 1) * 2 * MIB, UMPA_ZERO);
	CHECK_EQ(nnonzero(block, (NSLOTS - 1) * 2 * MIB), 0);
	umpa_free(block);
	free_others();
	end();
}

/* Once one was touched, spans look at what they take, until all that was believed may have been. */
TEST(untouched_slots_believed_are_looked_at)
{
	uint64_t nmoved;
	uint32_t before;
	char *block;

	PLAN(8 + END_CHECKS);
	begin();
	block = lacking();
	next_is_believed();
	umpa_free(block);
	before = umpa_pool_nslots();
	umpa_untouched_learn(1);
	nmoved = stats().nslots_moved;
	block = umpa_alloc((NSLOTS - 1) * 2 * MIB, 0);
	CHECK_EQ(stats().nslots_moved - nmoved, NSLOTS - 1);
	CHECK(fake_frame(block) && fake_frame(block + (NSLOTS - 2) * 2 * MIB));
	CHECK_EQ(before - umpa_pool_nslots(), 2 * (NSLOTS - 1));
	CHECK(umpa_untouched_doubts());
	umpa_free(block);
	/* Those with frames are looked at in vain, and that is the end of it. */
	umpa_core.left_void.ndoubted = NSLOTS - 1;
	block = umpa_alloc((NSLOTS - 1) * 2 * MIB, 0);
	CHECK(fake_frame(block) != 0);
	CHECK(!umpa_untouched_doubts());
	umpa_free(block);
	free_others();
	end();
}

/* Who fills block after block and frees none is seen to. */
TEST(untouched_blocks_are_watched)
{
	enum {
		NBLOCKS = LEFT_WATCH_EACH + LEFT_WATCH_FOR
	};
	char *block[2 * NBLOCKS];

	PLAN(3 + END_CHECKS);
	begin();
	leave_all();
	for (unsigned i = 0; i < NBLOCKS; i++)
		block[i] = umpa_alloc(4 * MIB, 0);
	CHECK_EQ(umpa_core.left_void.streak.nuntouched, STREAK_NROW);
	for (unsigned i = NBLOCKS; i < 2 * NBLOCKS; i++) {
		block[i] = umpa_alloc(4 * MIB, 0);
		fake_touch(block[i], 1);
	}
	CHECK_EQ(umpa_core.left_void.streak.nuntouched, 0);
	CHECK(umpa_untouched_doubts());
	for (unsigned i = 0; i < 2 * NBLOCKS; i++)
		umpa_free(block[i]);
	end();
}

/* Void slots are left alone where a tail would fit beside them: they would be believed resident
 * when they come back, and the next ones taken, without end. */
TEST(untouched_void_slots_are_left_alone)
{
	const size_t nbytes = 4 * MIB + 20 * PAGE_NBYTES;
	char *block, *beside, *elsewhere;

	PLAN(3 + END_CHECKS);
	begin();
	leave_all();
	block = umpa_alloc(nbytes, 0);
	beside = umpa_alloc(MIB, 0);
	CHECK_EQ((size_t)(beside - block), nbytes);
	next_is_looked_at();
	umpa_free(block);
	elsewhere = umpa_alloc(nbytes, 0);
	CHECK(elsewhere != block);
	umpa_core.left_void.streak.nuntouched = 0;
	CHECK(umpa_alloc(nbytes, 0) == block);
	umpa_free(elsewhere);
	umpa_free(block);
	umpa_free(beside);
	end();
}

TEST(untouched_slots_believed_between_others)
{
	size_t nframes = 0;
	char *block;

	PLAN(3 + END_CHECKS);
	begin();
	block = lacking();
	fake_touch(block, 2 * MIB);
	fake_touch(block + 8 * MIB, 4 * MIB);
	next_is_believed();
	umpa_free(block);
	umpa_untouched_learn(1);
	block = umpa_alloc((NSLOTS - 1) * 2 * MIB, 0);
	for (unsigned i = 0; i < NSLOTS - 1; i++)
		nframes += fake_frame(block + i * 2 * MIB) != 0;
	CHECK_EQ(nframes, NSLOTS - 1);
	umpa_free(block);
	free_others();
	end();
}

/* A slot for a tail alone stays void too, and what else is in it need not be cleared. */
TEST(untouched_tail_stays_void)
{
	const size_t ntail = 20;
	char *block, *beside;

	PLAN(6 + END_CHECKS);
	begin();
	block = lacking_some(NSLOTS, ntail);
	CHECK_EQ(record(block)->ntail, ntail);
	CHECK(!fake_frame(block + NSLOTS * 2 * MIB));
	beside = umpa_alloc((SLOT_NPAGES - ntail) * PAGE_NBYTES, UMPA_ZERO);
	CHECK_EQ(beside - block, NSLOTS * 2 * MIB + ntail * PAGE_NBYTES);
	CHECK_EQ(nnonzero(beside, (SLOT_NPAGES - ntail) * PAGE_NBYTES), 0);
	umpa_free(beside);
	umpa_free(block);
	free_others();
	end();
}

/* As what can't be told may have been touched. */
TEST(untouched_slots_that_cant_be_told)
{
	uint32_t before;
	char *block;

	PLAN(4 + END_CHECKS);
	begin();
	block = lacking();
	before = umpa_pool_nslots();
	fake_fail_from(1, -ENOMEM);
	umpa_free(block);
	CHECK_EQ(umpa_pool_nslots(), before + NSLOTS);
	fake_fail_at(0, 0);
	CHECK(umpa_core.left_void.streak.nuntouched < STREAK_NROW);
	free_others();
	end();
}

static size_t nwrong(const char *block, size_t nbytes, uint64_t wanted)
{
	size_t n = 0;
	uint64_t word;

	for (size_t at = 0; at < nbytes; at += PAGE_NBYTES) {
		memcpy(&word, block + at, sizeof(word));
		n += word != wanted;
	}
	return n;
}

static void fill(char *block, size_t nbytes, uint64_t word)
{
	fake_touch(block, nbytes);
	for (size_t at = 0; at < nbytes; at += PAGE_NBYTES)
		memcpy(block + at, &word, sizeof(word));
}

/* In whatever way the block changes before it ends, each lacking slot is accounted for once, and
 * what was written is there. */
TEST(untouched_slots_of_blocks_that_change)
{
	const size_t whole = NSLOTS * 2 * MIB;
	const size_t sizes[] = {whole - 2 * MIB, whole - 5 * MIB, whole - 8 * MIB, 6 * MIB, MIB,
		PAGE_NBYTES, whole + 2 * MIB, 3 * whole};
	char *block;

	PLAN(2 * 8 * (5 + END_CHECKS));
	for (size_t i = 0; i < 16; i++) {
		size_t wanted = sizes[i / 2], nfilled = i % 2 ? whole : 2 * MIB;

		begin();
		block = lacking();
		fill(block, nfilled, i + 1);
		block = umpa_realloc(block, wanted, 0);
		CHECK(block != NULL);
		CHECK_EQ(nwrong(block, wanted < nfilled ? wanted : nfilled, i + 1), 0);
		umpa_free(block);
		free_others();
		CHECK(umpa_pool_nslots() > 0); /* what was freed lately is free now */
		end();
	}
}

/* --- at random ------------------------------------------------------------------------------ */

enum {
	NOPS = 600
};

struct live {
	char *block;
	size_t nbytes, nfilled; /* from its front on */
	uint64_t word;
};

static struct numbers numbers;

static size_t change(struct live *l, uint64_t word)
{
	size_t bad = 0, nbytes = (1 + number_below(&numbers, 80)) * MIB / 2;
	unsigned flags = number_below(&numbers, 2) ? UMPA_ZERO : 0;

	if (l->block)
		bad += nwrong(l->block, l->nfilled, l->word);
	if (l->block && !number_below(&numbers, 4)) {
		l->block = umpa_realloc(l->block, nbytes, 0);
		l->nfilled = l->nfilled < nbytes ? l->nfilled : nbytes;
		bad += nwrong(l->block, l->nfilled, l->word);
	} else {
		umpa_free(l->block);
		*l = (struct live){umpa_alloc(nbytes, flags), nbytes, 0, word};
		if (flags)
			bad += nwrong(l->block, nbytes, 0);
	}
	l->nbytes = nbytes;
	if (!number_below(&numbers, 3)) {
		l->word = word;
		l->nfilled = number_below(&numbers, 2)
				     ? nbytes
				     : number_below(&numbers, (uint32_t)(nbytes >> PAGE_SHIFT)) *
					       PAGE_NBYTES;
		fill(l->block, l->nfilled, word);
	}
	return bad + !fake_consistent();
}

TEST(untouched_at_random)
{
	struct live live[16] = {{0}};
	uint64_t nbad = 0, nleft = 0;

	PLAN(2 + END_CHECKS);
	begin();
	numbers = numbers_of_seed(check_seed(5));
	for (uint64_t i = 0; i < check_times(check_steps(NOPS)); i++) {
		if (i % 2)
			leave_all();
		nbad += change(&live[number_below(&numbers, 16)], i + 1);
		nleft += umpa_core.left_void.nended;
	}
	CHECK_EQ(nbad, 0);
	CHECK(nleft > 0);
	for (unsigned i = 0; i < 16; i++)
		umpa_free(live[i].block);
	end();
}
