/* Free extents of slots: each operation by itself, and random ones against a naive model. */
#include <stdio.h>
#include <string.h>

#include "support/check.h"
#include "support/child.h"
#include "support/extents_model.h"

enum {
	NSLOTS = 4096
};

static struct umpa_extent tags[NSLOTS];
static struct umpa_extents e;

/* n slots in use. */
static void begin(uint32_t n)
{
	memset(tags, 0, sizeof(tags));
	umpa_extents_init(&e, tags);
	if (n)
		umpa_extents_skip(&e, n);
}

static void give(uint32_t slot, uint32_t n, enum umpa_extent_kind kind)
{
	umpa_extents_give(&e, (struct slot){slot}, n, kind);
}

static uint32_t take(enum umpa_extent_kind kind, uint32_t n, uint32_t align)
{
	return umpa_extents_take(&e, kind, n, align).i;
}

static uint32_t take_near(enum umpa_extent_kind kind, uint32_t near, uint32_t max, uint32_t *n)
{
	return umpa_extents_take_near(&e, kind, (struct slot){near}, max, n).i;
}

#define NONE UINT32_MAX

TEST(extents_forget_what_is_free_at_the_end)
{
	PLAN(13);
	begin(100);
	give(10, 10, EXTENT_VOID);
	umpa_extents_shrink(&e, 50);
	CHECK_EQ(e.nslots, 100); /* the last one is in use */
	give(60, 20, EXTENT_RESIDENT);
	give(80, 20, EXTENT_VOID);
	umpa_extents_shrink(&e, 90);
	CHECK_EQ(e.nslots, 90);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_VOID), 10);
	CHECK(umpa_extents_valid(&e));
	umpa_extents_shrink(&e, 70);
	CHECK_EQ(e.nslots, 70);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_RESIDENT), 10);
	CHECK(umpa_extents_valid(&e));
	umpa_extents_shrink(&e, 5);
	CHECK_EQ(e.nslots, 60);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_RESIDENT), 0);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_VOID), 10);
	CHECK(umpa_extents_valid(&e));
	give(20, 40, EXTENT_VOID);
	umpa_extents_shrink(&e, 0);
	CHECK_EQ(e.nslots, 10);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_empty_have_nothing)
{
	struct umpa_extent_piece piece[2];
	uint32_t n = 5;

	PLAN(9);
	begin(0);
	CHECK_EQ(take(EXTENT_VOID, 1, 1), NONE);
	CHECK_EQ(take_near(EXTENT_VOID, 0, 1, &n), NONE);
	CHECK_EQ(n, 0);
	n = 5;
	CHECK_EQ(umpa_extents_take_last(&e, EXTENT_RESIDENT, 1, &n).i, NONE);
	CHECK_EQ(n, 0);
	CHECK_EQ(umpa_extents_take_at(&e, (struct slot){0}, 1, piece, 2), 0);
	CHECK_EQ(umpa_extents_take_mixed(&e, 1, piece, 2), 0);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_VOID), 0);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_merge_with_neighbours_of_their_kind_alone)
{
	PLAN(9);
	begin(100);
	give(10, 10, EXTENT_VOID);
	give(30, 10, EXTENT_VOID);
	give(20, 10, EXTENT_VOID); /* both sides */
	CHECK_EQ(tags[10].nslots, 30);
	CHECK(umpa_extents_valid(&e));
	give(40, 10, EXTENT_RESIDENT);
	give(0, 10, EXTENT_RESIDENT);
	CHECK_EQ(tags[10].nslots, 30);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_VOID), 30);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_RESIDENT), 20);
	give(50, 50, EXTENT_RESIDENT);
	CHECK_EQ(tags[40].nslots, 60);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_RESIDENT), 60);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_VOID), 0);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_grow_merges_with_the_end)
{
	PLAN(6);
	begin(8);
	give(4, 4, EXTENT_VOID);
	umpa_extents_grow(&e, 12, EXTENT_VOID);
	CHECK_EQ(e.nslots, 20);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_VOID), 16);
	umpa_extents_grow(&e, 5, EXTENT_RESIDENT);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_VOID), 0);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_RESIDENT), 5);
	umpa_extents_skip(&e, 1);
	CHECK_EQ(umpa_extents_at_end(&e, EXTENT_RESIDENT), 0);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_take_prefers_the_shortest_class)
{
	PLAN(6);
	begin(1000);
	give(0, 100, EXTENT_VOID);
	give(200, 9, EXTENT_VOID);
	give(300, 7, EXTENT_VOID);
	give(400, 8, EXTENT_RESIDENT);
	CHECK_EQ(take(EXTENT_VOID, 8, 1), 200);
	CHECK_EQ(take(EXTENT_VOID, 8, 1), 0);
	CHECK_EQ(take(EXTENT_VOID, 1, 1), 208);
	CHECK_EQ(take(EXTENT_VOID, 7, 1), 300);
	CHECK_EQ(take(EXTENT_VOID, 93, 1), NONE);
	CHECK(umpa_extents_valid(&e));
}

/* 16 and 17 slots are of one class: the newest extent there is not the only one looked at. */
TEST(extents_take_looks_at_others_of_the_class)
{
	PLAN(3);
	begin(1000);
	give(0, 17, EXTENT_VOID);
	give(100, 16, EXTENT_VOID);
	give(200, 16, EXTENT_VOID);
	CHECK_EQ(take(EXTENT_VOID, 17, 1), 0);
	CHECK_EQ(take(EXTENT_VOID, 17, 1), NONE);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_take_aligned_leaves_both_sides_free)
{
	PLAN(7);
	begin(100);
	give(5, 60, EXTENT_RESIDENT);
	CHECK_EQ(take(EXTENT_RESIDENT, 10, 16), 16);
	CHECK_EQ(tags[5].nslots, 11);
	CHECK_EQ(tags[26].nslots, 39);
	CHECK_EQ(take(EXTENT_RESIDENT, 16, 16), 32);
	CHECK_EQ(take(EXTENT_RESIDENT, 16, 16), 48);
	CHECK_EQ(take(EXTENT_RESIDENT, 16, 16), NONE);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_are_aligned_by_address)
{
	PLAN(4);
	begin(100);
	e.origin = UINT32_MAX - 2; /* slot 3 is at a multiple of everything */
	give(0, 100, EXTENT_VOID);
	CHECK_EQ(take(EXTENT_VOID, 10, 32), 3);
	CHECK_EQ(take(EXTENT_VOID, 10, 32), 35);
	CHECK_EQ(take(EXTENT_VOID, 3, 1), 0);
	CHECK(umpa_extents_valid(&e));
}

/* Every length from 1 on has its own place to be found, up to the longest there can be. */
TEST(extents_of_every_length_are_found_again)
{
	uint32_t nwrong = 0;

	PLAN(3);
	for (uint32_t n = 1; n <= NSLOTS; n++) {
		begin(NSLOTS);
		give(NSLOTS - n, n, EXTENT_VOID);
		nwrong += take(EXTENT_VOID, n + 1, 1) != NONE;
		nwrong += take(EXTENT_VOID, n, 1) != NSLOTS - n;
		nwrong += umpa_extents_count(&e, EXTENT_VOID) != 0;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(umpa_extents_valid(&e));
	CHECK_EQ(take(EXTENT_VOID, 1, 1), NONE);
}

TEST(extents_are_taken_to_the_last_slot)
{
	uint32_t nwrong = 0;

	PLAN(4);
	begin(0);
	umpa_extents_grow(&e, NSLOTS, EXTENT_RESIDENT);
	for (uint32_t i = 0; i < NSLOTS; i++)
		nwrong += take(EXTENT_RESIDENT, 1, 1) != i;
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(take(EXTENT_RESIDENT, 1, 1), NONE);
	for (uint32_t i = 0; i < NSLOTS; i += 2)
		give(i, 1, EXTENT_RESIDENT);
	CHECK_EQ(take(EXTENT_RESIDENT, 2, 1), NONE);
	for (uint32_t i = 1; i < NSLOTS; i += 2)
		give(i, 1, EXTENT_RESIDENT);
	CHECK_EQ(take(EXTENT_RESIDENT, NSLOTS, NSLOTS), 0);
}

TEST(extents_take_near_spares_the_long_ones)
{
	uint32_t n;

	PLAN(8);
	begin(200);
	give(0, 100, EXTENT_RESIDENT);
	give(150, 3, EXTENT_RESIDENT);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 0, 2, &n), 150);
	CHECK_EQ(n, 2);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 0, 8, &n), 152);
	CHECK_EQ(n, 1);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 0, 8, &n), 0);
	CHECK_EQ(n, 8);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 0, 0, &n), NONE);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_take_near_prefers_the_directory)
{
	uint32_t n;

	PLAN(7);
	begin(2000);
	e.origin = 12; /* a directory begins at slot 500 */
	give(100, 1, EXTENT_RESIDENT);
	give(499, 2, EXTENT_RESIDENT);
	give(700, 9, EXTENT_RESIDENT);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 1011, 4, &n), 700);
	CHECK_EQ(n, 4);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 0, 4, &n), 100);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 1012, 4, &n), 499); /* nothing there: the shortest */
	CHECK_EQ(n, 2);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 499, 4, &n), 704);
	CHECK(umpa_extents_valid(&e));
}

/* Lists are not searched to their end. */
TEST(extents_take_near_tries_a_few)
{
	uint32_t n;

	PLAN(3);
	begin(2000);
	give(1000, 1, EXTENT_RESIDENT);
	for (uint32_t i = 0; i < 15; i++)
		give(2 * i, 1, EXTENT_RESIDENT);
	CHECK_EQ(take_near(EXTENT_RESIDENT, 600, 1, &n), 1000);
	give(1000, 1, EXTENT_RESIDENT);
	for (uint32_t i = 15; i < 32; i++)
		give(2 * i, 1, EXTENT_RESIDENT);
	CHECK(take_near(EXTENT_RESIDENT, 600, 1, &n) < 512);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_take_last_takes_the_end_of_a_long_one)
{
	uint32_t n;

	PLAN(6);
	begin(200);
	give(0, 100, EXTENT_RESIDENT);
	give(150, 3, EXTENT_RESIDENT);
	CHECK_EQ(umpa_extents_take_last(&e, EXTENT_RESIDENT, 30, &n).i, 70);
	CHECK_EQ(n, 30);
	CHECK_EQ(umpa_extents_take_last(&e, EXTENT_RESIDENT, 100, &n).i, 0);
	CHECK_EQ(n, 70);
	CHECK_EQ(umpa_extents_take_last(&e, EXTENT_RESIDENT, 100, &n).i, 150);
	CHECK(umpa_extents_valid(&e));
}

static int is_slot(struct slot neighbour, const void *arg)
{
	const uint32_t *wanted = arg;

	return neighbour.i == *wanted;
}

static uint32_t take_before(uint32_t n, uint32_t slot)
{
	return umpa_extents_take_end(&e, EXTENT_VOID, n, is_slot, &slot).i;
}

static uint32_t take_behind(uint32_t n, uint32_t slot)
{
	return umpa_extents_take_begin(&e, EXTENT_VOID, n, is_slot, &slot).i;
}

TEST(extents_are_taken_beside_a_slot)
{
	PLAN(12);
	begin(100);
	give(0, 10, EXTENT_VOID);
	give(20, 10, EXTENT_VOID);
	give(40, 10, EXTENT_RESIDENT);
	give(60, 40, EXTENT_VOID);
	CHECK_EQ(take_before(4, 30), 26);
	CHECK_EQ(take_before(4, 26), 22);
	CHECK_EQ(take_before(4, 22), NONE);  /* two are left */
	CHECK_EQ(take_before(4, 50), NONE);  /* resident ones */
	CHECK_EQ(take_before(4, 100), NONE); /* nothing is behind the last */
	CHECK_EQ(take_behind(4, 59), 60);
	CHECK_EQ(take_behind(36, 63), 64);
	CHECK_EQ(take_behind(1, UINT32_MAX), NONE); /* nothing is before the first */
	CHECK_EQ(take_behind(1, 39), NONE);
	CHECK_EQ(take_before(10, 10), 0);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_VOID), 2);
	CHECK(umpa_extents_valid(&e));
}

TEST(extents_take_at_crosses_kinds)
{
	struct umpa_extent_piece p[3];
	struct slot at = {10};

	PLAN(15);
	begin(100);
	give(10, 5, EXTENT_VOID);
	give(15, 5, EXTENT_RESIDENT);
	give(20, 5, EXTENT_VOID);
	CHECK_EQ(umpa_extents_take_at(&e, at, 12, p, 2), 0);                /* three pieces */
	CHECK_EQ(umpa_extents_take_at(&e, at, 16, p, 3), 0);                /* longer */
	CHECK_EQ(umpa_extents_take_at(&e, slot_after(at, 1), 12, p, 3), 0); /* inside one */
	CHECK_EQ(umpa_extents_take_at(&e, (struct slot){9}, 12, p, 3), 0);  /* in use */
	CHECK_EQ(umpa_extents_take_inside(&e, (struct slot){9}, 12, p, 3), 0);
	CHECK_EQ(umpa_extents_take_at(&e, (struct slot){100}, 1, p, 3), 0); /* behind */
	CHECK_EQ(umpa_extents_count(&e, EXTENT_VOID), 10);
	CHECK_EQ(umpa_extents_take_at(&e, at, 12, p, 3), 3);
	CHECK(p[0].slot.i == 10 && p[0].nslots == 5 && p[0].kind == EXTENT_VOID);
	CHECK(p[1].slot.i == 15 && p[1].nslots == 5 && p[1].kind == EXTENT_RESIDENT);
	CHECK(p[2].slot.i == 20 && p[2].nslots == 2 && p[2].kind == EXTENT_VOID);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_VOID), 3);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_RESIDENT), 0);
	CHECK_EQ(tags[22].nslots, 3);
	CHECK(umpa_extents_valid(&e));
}

/* Where a place of n is found, which is then free again; NONE if there is none. */
static uint32_t find_mixed(uint32_t n)
{
	struct umpa_extent_piece p[8];
	unsigned npieces = umpa_extents_take_mixed(&e, n, p, 8);

	for (unsigned i = 0; i < npieces; i++)
		give(p[i].slot.i, p[i].nslots, p[i].kind);
	return npieces ? p[0].slot.i : NONE;
}

TEST(extents_take_mixed_counts_the_neighbours)
{
	PLAN(8);
	begin(100);
	give(20, 10, EXTENT_RESIDENT);
	CHECK_EQ(find_mixed(10), 20);
	CHECK_EQ(find_mixed(11), NONE);
	give(30, 10, EXTENT_VOID);
	CHECK_EQ(find_mixed(20), 20);
	give(15, 5, EXTENT_VOID);
	CHECK_EQ(find_mixed(12), 20);
	CHECK_EQ(find_mixed(20), 15); /* as good as 20, and before it */
	CHECK_EQ(find_mixed(25), 15);
	CHECK_EQ(find_mixed(26), NONE);
	CHECK(umpa_extents_valid(&e));
}

/* A place in the middle of a void extent, so that it ends where the frames do. */
TEST(extents_take_mixed_holds_frames)
{
	struct umpa_extent_piece p[2];

	PLAN(8);
	begin(100);
	give(10, 50, EXTENT_VOID);
	give(60, 5, EXTENT_RESIDENT);
	CHECK_EQ(find_mixed(56), NONE);
	CHECK_EQ(umpa_extents_take_mixed(&e, 50, p, 1), 0); /* two pieces */
	CHECK_EQ(umpa_extents_take_mixed(&e, 50, p, 2), 2);
	CHECK(p[0].slot.i == 15 && p[0].nslots == 45 && p[0].kind == EXTENT_VOID);
	CHECK(p[1].slot.i == 60 && p[1].nslots == 5 && p[1].kind == EXTENT_RESIDENT);
	CHECK_EQ(tags[10].nslots, 5);
	CHECK_EQ(umpa_extents_count(&e, EXTENT_RESIDENT), 0);
	CHECK(umpa_extents_valid(&e));
}

/* Two extents with frames bring more than one that is longer than either. */
TEST(extents_take_mixed_takes_the_most_frames)
{
	PLAN(2);
	begin(100);
	give(0, 10, EXTENT_RESIDENT);
	give(10, 20, EXTENT_VOID);
	give(50, 8, EXTENT_RESIDENT);
	give(58, 2, EXTENT_VOID);
	give(60, 8, EXTENT_RESIDENT);
	CHECK_EQ(find_mixed(18), 50);
	CHECK_EQ(find_mixed(19), 0);
}

static void give_twice(void *arg)
{
	const uint32_t *slots = arg;

	give(slots[0], slots[1], EXTENT_VOID);
}

TEST(extents_given_twice_end_the_process)
{
	/* The whole, the front, the end, and more than there is. */
	static uint32_t slots[][2] = {{10, 20}, {10, 5}, {25, 5}, {90, 20}};
	struct child_end end;

	PLAN(4 * 2);
	begin(100);
	give(10, 20, EXTENT_VOID);
	for (int i = 0; i < 4; i++) {
		child_run(give_twice, slots[i], &end);
		CHECK(end.signal);
		CHECK(strstr(end.stderr_text, "umpa: broken invariant: "));
	}
}

/* What umpa_extents_valid() is for: every tampering is seen. */
TEST(extents_valid_sees_what_is_broken)
{
	static struct umpa_extent whole[NSLOTS];
	struct umpa_extents before;
	uint32_t nmissed = 0;

	PLAN(2);
	begin(100);
	give(10, 20, EXTENT_VOID);
	give(30, 10, EXTENT_RESIDENT);
	give(50, 20, EXTENT_VOID);
	CHECK(umpa_extents_valid(&e));
	memcpy(whole, tags, sizeof(whole));
	before = e;
	for (int fault = 0; fault < 9; fault++) {
		uint32_t *const place[] = {&tags[10].nslots, &tags[29].first, &tags[10].kind,
			&tags[20].kind, &tags[20].first, &tags[49].first, &e.bins[0].nslots,
			&e.bins[0].head[19], &tags[30].kind};

		*place[fault] = *place[fault] == 2 ? 1 : *place[fault] + 1;
		nmissed += umpa_extents_valid(&e) != 0;
		memcpy(tags, whole, sizeof(whole));
		e = before;
	}
	CHECK_EQ(nmissed, 0);
}

static uint32_t nwrong_of(uint64_t seed, uint32_t nslots, uint32_t nsteps)
{
	static struct extents_model m;
	struct numbers numbers = numbers_of_seed(seed);
	const char *wrong = NULL;

	extents_model_init(&m, nslots, (uint32_t)seed * 12345);
	while (!wrong && m.nsteps < nsteps)
		wrong = extents_model_step(&m, &numbers);
	if (wrong)
		printf("  seed %llu, %u slots, step %llu: %s\n", (unsigned long long)seed, nslots,
			(unsigned long long)m.nsteps, wrong);
	return wrong != NULL;
}

TEST(extents_do_what_the_model_does)
{
	static const uint32_t nslots[] = {1, 7, 64, 300, EXTENTS_MODEL_NSLOTS_MAX};
	uint32_t nwrong = 0;

	PLAN(1);
	for (unsigned i = 0; i < sizeof(nslots) / sizeof(nslots[0]); i++)
		for (uint64_t seed = 1; seed <= 4; seed++)
			nwrong += nwrong_of(seed, nslots[i], nslots[i] > 300 ? 40000 : 100000);
	CHECK_EQ(nwrong, 0);
}
