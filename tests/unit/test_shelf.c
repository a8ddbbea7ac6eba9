/* Runs in slots: each operation by itself, and random ones against a naive model. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "support/check.h"
#include "support/shelf_model.h"

enum {
	NSLOTS = 8
};

static struct umpa_run_map maps[NSLOTS];
static int16_t leaf[64], inner[128], pair_leaf[64], pair_inner[128];
static struct umpa_shelf s;

static void begin(void)
{
	memset(maps, 0, sizeof(maps));
	memset(leaf, 0, sizeof(leaf));
	memset(inner, 0, sizeof(inner));
	memset(pair_leaf, 0, sizeof(pair_leaf));
	memset(pair_inner, 0, sizeof(pair_inner));
	umpa_shelf_init(&s, maps, NSLOTS, leaf, inner);
	umpa_shelf_pair(&s, NSLOTS, pair_leaf, pair_inner);
}

static void add(uint32_t slot, unsigned npages, enum umpa_shelf_part part, int dirty)
{
	umpa_shelf_add(&s, (struct slot){slot}, npages, part, dirty);
}

/* Where the run begins, in pages from slot 0 on; -1 if there is no room. */
static int take(unsigned npages, unsigned align)
{
	struct umpa_run run;

	if (!umpa_shelf_take(&s, npages, align, &run, NULL))
		return -1;
	return (int)(run.slot.i * SLOT_NPAGES + run.page);
}

static int give(uint32_t slot, unsigned page, unsigned npages)
{
	return umpa_shelf_give(&s, (struct slot){slot}, page, npages);
}

static unsigned found(uint32_t slot, unsigned page)
{
	return umpa_shelf_find(&s, (struct slot){slot}, page).npages;
}

TEST(shelf_empty_has_nothing)
{
	PLAN(3);
	begin();
	CHECK_EQ(take(1, 1), -1);
	CHECK(slot_is(umpa_shelf_remove_free(&s, 0), NO_SLOT));
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_packs_runs_from_the_front)
{
	PLAN(10);
	begin();
	add(2, 0, FIRST_TAIL, 0);
	CHECK_EQ(take(100, 1), 2 * 512);
	CHECK_EQ(take(411, 1), 2 * 512 + 100);
	CHECK_EQ(take(2, 1), -1);
	CHECK_EQ(take(1, 1), 2 * 512 + 511);
	CHECK_EQ(take(1, 1), -1);
	CHECK_EQ(s.nfree_pages, 0);
	CHECK_EQ(found(2, 100), 411);
	CHECK_EQ(found(2, 101), 0);
	CHECK_EQ(found(2, 511), 1);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_takes_the_first_slot_that_fits)
{
	PLAN(5);
	begin();
	add(0, 300, FIRST_RUN, 0); /* longest rows: 212, 12, 412 */
	add(1, 500, FIRST_RUN, 0);
	add(2, 100, FIRST_RUN, 0);
	CHECK_EQ(take(213, 1), 2 * 512 + 100);
	CHECK_EQ(take(205, 1), 300);
	CHECK_EQ(take(12, 1), 1 * 512 + 500);
	CHECK_EQ(take(7, 1), 505);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_aligns_runs)
{
	PLAN(6);
	begin();
	add(0, 1, FIRST_RUN, 0);
	CHECK_EQ(take(16, 16), 16);
	CHECK_EQ(take(15, 1), 1);
	CHECK_EQ(take(1, 256), 256);
	CHECK_EQ(take(1, 512), -1);
	CHECK_EQ(take(200, 128), -1);
	CHECK(umpa_shelf_valid(&s));
}

/* Where the run begins, in pages from slot 0 on; -1 if there is no room. */
static int across(unsigned npages, uint32_t from)
{
	struct umpa_run run;

	if (!umpa_shelf_take_across(&s, (struct slot){from}, npages, &run, NULL))
		return -1;
	return (int)(run.slot.i * SLOT_NPAGES + run.page);
}

TEST(shelf_takes_runs_across_two_slots)
{
	PLAN(18);
	begin();
	CHECK_EQ(across(2, 0), -1);
	add(1, 500, FIRST_RUN, 0); /* free: 12 at the end */
	add(3, 0, FIRST_TAIL, 0);
	CHECK_EQ(across(2, 0), -1); /* not neighbours */
	add(2, 100, LAST_RUN, 0);   /* free: 412 at the beginning */
	CHECK_EQ(across(425, 0), -1);
	CHECK_EQ(across(424, 2), -1);
	CHECK_EQ(across(300, 0), 1 * 512 + 500);
	CHECK_EQ(found(1, 500), 12);
	CHECK_EQ(maps[2].ntail, 288);
	CHECK_EQ(across(2, 0), -1);
	CHECK(umpa_shelf_valid(&s));
	/* What is given back is found again, in any order of the two parts. */
	give(2, 0, 288);
	give(1, 500, 12);
	CHECK_EQ(across(424, 0), 1 * 512 + 500);
	give(1, 500, 12);
	give(2, 0, 412);
	CHECK_EQ(across(13, 0), 1 * 512 + 500);
	give(2, 0, 1);
	/* All of a slot is no tail: the run begins in one and ends in the other. */
	give(2, 412, 100);
	umpa_shelf_remove(&s, (struct slot){2});
	add(2, 0, FIRST_TAIL, 0);
	give(1, 500, 12);
	CHECK_EQ(across(12 + 512, 1), 2 * 512);
	CHECK_EQ(found(2, 0), 512);
	CHECK_EQ(maps[3].ntail, 12);
	CHECK_EQ(across(13, 0), -1);
	give(2, 0, 512);
	CHECK_EQ(across(12 + 511, 1), 1 * 512 + 500);
	CHECK_EQ(maps[2].ntail, 511);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_tells_of_free_slots)
{
	PLAN(11);
	begin();
	add(0, 5, FIRST_RUN, 0);
	add(1, 7, FIRST_RUN, 0);
	CHECK_EQ(give(0, 0, 5), 1);
	CHECK_EQ(umpa_shelf_has_spare(&s), 0);
	CHECK_EQ(give(1, 2, 5), 0); /* shorter */
	CHECK_EQ(found(1, 0), 2);
	CHECK_EQ(give(1, 0, 2), 1);
	CHECK_EQ(umpa_shelf_has_spare(&s), 1);
	umpa_shelf_remove(&s, (struct slot){1});
	CHECK_EQ(umpa_shelf_has_spare(&s), 0);
	CHECK_EQ(s.nslots, 1);
	CHECK_EQ(umpa_shelf_remove_free(&s, 0).i, 0);
	CHECK_EQ(s.nfree_pages, 0);
	CHECK(umpa_shelf_valid(&s));
}

/* Counted, not searched for: by whatever way a slot becomes all free, or is so no more. */
TEST(shelf_counts_free_slots)
{
	PLAN(13);
	begin();
	add(0, 0, FIRST_TAIL, 0);
	add(1, 0, FIRST_TAIL, 0);
	add(2, 9, FIRST_TAIL, 0);
	add(3, 9, LAST_RUN, 0);
	CHECK_EQ(s.nall_free, 2);
	CHECK_EQ(take(3, 1), 0);
	CHECK_EQ(s.nall_free, 1);
	CHECK_EQ(umpa_shelf_take_at(&s, (struct slot){1}, 512 - 5, 5, NULL), 1);
	CHECK_EQ(s.nall_free, 0);
	CHECK(slot_is(umpa_shelf_remove_free(&s, 0), NO_SLOT));
	give(0, 0, 3);
	give(1, 507, 5);
	give(3, 503, 9);
	CHECK_EQ(s.nall_free, 3);
	CHECK_EQ(umpa_shelf_remove_free(&s, 0).i, 0);
	CHECK_EQ(umpa_shelf_remove_tail(&s, (struct slot){2}, 9), 1);
	CHECK_EQ(s.nall_free, 2);
	CHECK_EQ(umpa_shelf_remove_tail(&s, (struct slot){1}, 0), 1);
	CHECK_EQ(s.nall_free, 1);
	add(0, 0, FIRST_TAIL, 0);
	CHECK(s.nall_free == 2 && umpa_shelf_valid(&s));
}

/* A height stays when pages are taken, until a search finds less than it promises. */
TEST(shelf_heights_are_bounds)
{
	PLAN(13);
	begin();
	add(0, 0, FIRST_TAIL, 0);
	add(1, 0, FIRST_TAIL, 0);
	CHECK_EQ(take(400, 1), 0);
	CHECK_EQ(leaf[0], 513);
	CHECK_EQ(take(100, 1), 400);
	CHECK_EQ(leaf[0], 513);
	CHECK_EQ(take(13, 1), 512);
	CHECK_EQ(leaf[0], 13);
	CHECK_EQ(give(0, 400, 100), 0); /* one row with the 12 behind it */
	CHECK_EQ(leaf[0], 113);
	CHECK_EQ(take(110, 1), 400);
	CHECK_EQ(give(0, 350, 50), 0); /* shorter than the row was */
	CHECK_EQ(leaf[0], 113);
	CHECK_EQ(take(51, 1), 512 + 13);
	CHECK(leaf[0] == 51 && umpa_shelf_valid(&s));
}

TEST(shelf_extends_into_free_pages_alone)
{
	PLAN(8);
	begin();
	add(0, 10, FIRST_RUN, 0);
	CHECK_EQ(umpa_shelf_extend(&s, (struct slot){0}, 10, 5, NULL), 1);
	CHECK_EQ(found(0, 0), 15);
	CHECK_EQ(take(1, 1), 15);
	CHECK_EQ(umpa_shelf_extend(&s, (struct slot){0}, 15, 1, NULL), 0);
	CHECK_EQ(umpa_shelf_extend(&s, (struct slot){0}, 16, 496, NULL), 1);
	CHECK_EQ(umpa_shelf_extend(&s, (struct slot){0}, 512, 1, NULL), 0);
	CHECK_EQ(found(0, 15), 497);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_gives_the_last_pages)
{
	struct bitmap dirty;
	struct slot slot = {1};

	PLAN(9);
	begin();
	CHECK_EQ(umpa_shelf_take_at(&s, slot, 512 - 1, 1, &dirty), 0); /* not on the shelf */
	add(1, 10, FIRST_RUN, 0);
	CHECK_EQ(umpa_shelf_take_at(&s, slot, 512 - 503, 503, &dirty), 0);
	CHECK_EQ(umpa_shelf_take_at(&s, slot, 512 - 100, 100, &dirty), 1);
	CHECK_EQ(bitmap_count(&dirty), 10);
	CHECK_EQ(found(1, 412), 100);
	CHECK_EQ(umpa_shelf_take_at(&s, slot, 512 - 1, 1, NULL), 0);
	CHECK_EQ(take(402, 1), 512 + 10);
	CHECK_EQ(s.nfree_pages, 0);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_tails_are_no_runs)
{
	struct slot slot = {3};

	PLAN(14);
	begin();
	add(3, 20, FIRST_TAIL, 1);
	CHECK_EQ(found(3, 0), 0);
	CHECK_EQ(take(4, 1), 3 * 512 + 20);
	CHECK_EQ(umpa_shelf_remove_tail(&s, slot, 20), 0);
	CHECK_EQ(umpa_shelf_extend(&s, slot, 20, 1, NULL), 0);
	CHECK_EQ(give(3, 20, 4), 0);
	CHECK_EQ(umpa_shelf_extend(&s, slot, 20, 30, NULL), 1);
	CHECK(umpa_shelf_valid(&s));
	CHECK_EQ(give(3, 10, 40), 0);
	CHECK_EQ(take(1, 1), 3 * 512 + 10);
	CHECK_EQ(give(3, 10, 1), 0);
	CHECK_EQ(umpa_shelf_remove_tail(&s, slot, 11), 0); /* it has 10 pages */
	CHECK_EQ(umpa_shelf_remove_tail(&s, slot, 10), 1);
	CHECK_EQ(s.nslots + s.nfree_pages, 0);
	CHECK(umpa_shelf_valid(&s));
}

/* The dirty bits are those of before, so that the caller knows which of its pages to clear. */
TEST(shelf_knows_what_is_zero)
{
	struct bitmap dirty;
	struct umpa_run run;

	PLAN(8);
	begin();
	add(0, 3, FIRST_TAIL, 0);
	CHECK(umpa_shelf_take(&s, 10, 1, &run, &dirty));
	CHECK_EQ(bitmap_count(&dirty), 3);
	CHECK(!bitmap_any_in(&dirty, 3, 509));
	give(0, 3, 10);
	CHECK(umpa_shelf_take(&s, 20, 1, &run, &dirty));
	CHECK_EQ(bitmap_count(&dirty), 13);
	CHECK(umpa_shelf_extend(&s, run.slot, 23, 1, &dirty));
	CHECK_EQ(bitmap_next_clear(&dirty, 0), 23);
	add(1, 0, FIRST_TAIL, 1);
	take(489, 1);
	CHECK_EQ(bitmap_count(&maps[1].dirty), 512);
}

TEST(shelf_gives_idle_pages_to_the_system)
{
	struct slot slot = {0};
	struct umpa_run row;
	struct bitmap dirty;

	PLAN(17);
	begin();
	add(0, 0, FIRST_TAIL, 0);
	CHECK_EQ(umpa_shelf_count_idle(&s, slot), 0);
	CHECK_EQ(take(100, 1), 0);
	CHECK_EQ(take(10, 1), 100);
	CHECK_EQ(take(30, 1), 110);
	CHECK_EQ(take(5, 1), 140);
	give(0, 0, 100);
	give(0, 110, 30);
	CHECK_EQ(umpa_shelf_count_idle(&s, slot), 130);
	row = umpa_shelf_take_idle(&s, slot, 0, 31);
	CHECK(row.page == 0 && row.npages == 100);
	CHECK_EQ(take(100, 1), 145); /* nobody gets it meanwhile */
	give(0, 145, 100);
	CHECK_EQ(umpa_shelf_take_idle(&s, slot, 0, 101).npages, 0);
	umpa_shelf_give_zero(&s, row);
	CHECK_EQ(umpa_shelf_count_idle(&s, slot), 130);
	row = umpa_shelf_take_idle(&s, slot, 50, 10);
	CHECK(row.page == 110 && row.npages == 30);
	umpa_shelf_give_zero(&s, row);
	CHECK(umpa_shelf_take(&s, 120, 1, &row, &dirty) && row.page == 145);
	CHECK(umpa_shelf_take(&s, 95, 1, &row, &dirty) && row.page == 0);
	CHECK_EQ(bitmap_next_set(&dirty, 0), 100);
	/* A row that reaches the end of the slot. */
	give(0, 145, 120);
	CHECK_EQ(take(367, 1), 145);
	give(0, 145, 367);
	row = umpa_shelf_take_idle(&s, slot, 0, 100);
	CHECK(row.page == 145 && row.npages == 367);
	umpa_shelf_give_zero(&s, row);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_has_no_idle_pages_of_a_slot_that_is_elsewhere)
{
	struct slot slot = {0};

	PLAN(3);
	begin();
	add(0, 0, FIRST_TAIL, 1);
	CHECK_EQ(umpa_shelf_count_idle(&s, slot), SLOT_NPAGES);
	umpa_shelf_remove(&s, slot);
	CHECK_EQ(umpa_shelf_count_idle(&s, slot), 0);
	CHECK_EQ(umpa_shelf_take_idle(&s, slot, 0, 1).npages, 0);
}

TEST(shelf_sets_runs_aside)
{
	struct umpa_run run = {{0}, 100, 50};

	PLAN(21);
	begin();
	add(0, 0, FIRST_TAIL, 0);
	CHECK_EQ(take(100, 1), 0);
	CHECK_EQ(take(50, 1), 100);
	umpa_shelf_set_aside(&s, run);
	CHECK_EQ(found(0, 100), 0);
	CHECK_EQ(found(0, 0), 100); /* which ends where it ended */
	CHECK_EQ(umpa_shelf_is_followed(&s, run.slot, 0), 0);
	CHECK_EQ(umpa_shelf_begin_of(&s, run.slot, 99), 0);
	CHECK_EQ(umpa_shelf_begin_of(&s, run.slot, 149), 100);
	CHECK_EQ(take(20, 1), 150); /* nobody else gets it */
	CHECK_EQ(umpa_shelf_extend(&s, run.slot, 100, 1, NULL), 0);
	CHECK(umpa_shelf_is_aside(&s, run.slot, 100, 1));
	CHECK(umpa_shelf_is_aside(&s, run.slot, 0, 512));
	CHECK(!umpa_shelf_is_aside(&s, run.slot, 101, 300));
	CHECK(!umpa_shelf_is_aside(&s, run.slot, 100, 413));
	CHECK(!umpa_shelf_is_aside(&s, (struct slot){1}, 0, 512));
	CHECK(umpa_shelf_valid(&s));
	umpa_shelf_take_again(&s, run);
	CHECK_EQ(bitmap_next_clear(&maps[0].dirty, 0), 170);
	CHECK_EQ(found(0, 100), 50);
	CHECK_EQ(found(0, 150), 20);
	CHECK(umpa_shelf_valid(&s));
	give(0, 100, 50);
	CHECK_EQ(umpa_shelf_count_idle(&s, run.slot), 50);
	CHECK(umpa_shelf_valid(&s));
}

/* What umpa_shelf_valid() is for: every tampering is seen. */
/* Of another shelf: a tail of 5 pages, a free one that has been a run's, one that is zero, a run of
 * 20 pages, one of 3 set aside, 400 free ones that are zero, a run of 70, and 12 that were free and
 * dirty all along. */
static struct umpa_run_map map_of_all_kinds(void)
{
	struct umpa_run_map m = {.ntail = 5, .nback = 12};

	bitmap_set_range(&m.used, 0, 5);
	bitmap_set_range(&m.used, 7, 20 + 3);
	bitmap_set_range(&m.used, 430, 70);
	m.dirty = m.used;
	bitmap_set(&m.dirty, 5);
	bitmap_clear(&m.dirty, 27);
	bitmap_set_range(&m.dirty, 500, 12);
	bitmap_set(&m.head, 7);
	bitmap_set(&m.head, 430);
	return m;
}

/* What the slot's map said before is forgotten, all that it was elsewhere is known here. */
TEST(shelf_puts_a_slot_as_it_was_elsewhere)
{
	const struct umpa_run_map was = map_of_all_kinds();
	struct bitmap dirty;

	PLAN(24);
	begin();
	memset(&maps[2], 0xa5, sizeof(maps[2]));
	add(1, 500, FIRST_RUN, 0);
	add(3, 9, LAST_RUN, 0);
	umpa_shelf_put(&s, (struct slot){2}, &was);
	CHECK(umpa_shelf_valid(&s));
	CHECK(s.nslots == 3 && s.nall_free == 0);
	CHECK_EQ(s.nfree_pages, 12 + 2 + 400 + 12 + 503);
	CHECK_EQ(leaf[2], 401);
	CHECK_EQ(umpa_shelf_count_idle(&s, (struct slot){2}), 1 + 12);
	CHECK(found(2, 7) == 20 && found(2, 430) == 70 && found(2, 0) == 0 && found(2, 27) == 0);
	CHECK(umpa_shelf_is_aside(&s, (struct slot){2}, 27, 1));
	CHECK_EQ(umpa_shelf_begin_of(&s, (struct slot){2}, 499), 430);
	CHECK(umpa_shelf_is_followed(&s, (struct slot){2}, 7));
	/* The tail grows, and its pages that were another's are dirty, the next one is not. */
	CHECK_EQ(umpa_shelf_extend(&s, (struct slot){2}, 5, 2, &dirty), 1);
	CHECK(bitmap_get(&dirty, 5) && !bitmap_get(&dirty, 6));
	CHECK_EQ(maps[2].ntail, 7);
	/* The last pages, and what a neighbour has in front of it, are one row. */
	CHECK_EQ(across(13, 2), 2 * 512 + 500);
	give(2, 500, 12);
	give(2, 7, 20);
	umpa_shelf_take_again(&s, (struct umpa_run){{2}, 27, 3});
	give(2, 27, 3);
	CHECK_EQ(leaf[2], 424);
	give(2, 430, 70);
	CHECK_EQ(umpa_shelf_remove_tail(&s, (struct slot){2}, 7), 1);
	CHECK(umpa_shelf_valid(&s) && s.nslots == 2);
	give(3, 0, 1);
	CHECK_EQ(s.nfree_pages, 12 + 503);
	/* In front of it, too. */
	maps[0] = was;
	bitmap_clear_range(&maps[0].used, 0, 5);
	maps[0].nfront = 7;
	maps[0].ntail = 0;
	umpa_shelf_put(&s, (struct slot){2}, &maps[0]);
	CHECK_EQ(across(19, 1), 1 * 512 + 500);
	CHECK(umpa_shelf_valid(&s));
	/* And one that is free. */
	maps[0] = (struct umpa_run_map){.nfront = 512, .nback = 512};
	bitmap_set_range(&maps[0].dirty, 100, 50);
	umpa_shelf_put(&s, (struct slot){4}, &maps[0]);
	CHECK(s.nall_free == 1 && leaf[4] == 513);
	CHECK_EQ(umpa_shelf_count_idle(&s, (struct slot){4}), 50);
	CHECK_EQ(umpa_shelf_remove_free(&s, 0).i, 4);
	CHECK_EQ(s.nall_free, 0);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_valid_sees_what_is_broken)
{
	static struct umpa_run_map whole[NSLOTS];
	int16_t heights[array_len(leaf)], pairs[array_len(pair_leaf)];
	struct umpa_shelf before;
	uint32_t nmissed = 0;

	PLAN(2);
	begin();
	add(0, 10, FIRST_TAIL, 0);
	add(1, 10, FIRST_RUN, 0);
	add(2, 10, LAST_RUN, 0);
	take(20, 1);
	CHECK(umpa_shelf_valid(&s));
	memcpy(whole, maps, sizeof(whole));
	before = s;
	memcpy(heights, leaf, sizeof(heights));
	memcpy(pairs, pair_leaf, sizeof(pairs));
	for (int fault = 0; fault < 14; fault++) {
		if (fault == 0)
			bitmap_set(&maps[0].used, 200);
		else if (fault == 1)
			bitmap_set(&maps[0].head, 5);
		else if (fault == 2)
			bitmap_set(&maps[1].head, 100);
		else if (fault == 3)
			bitmap_clear(&maps[1].dirty, 0); /* a head */
		else if (fault == 4)
			maps[0].ntail = 11;
		else if (fault == 5)
			s.nfree_pages++;
		else if (fault == 6)
			s.nslots--;
		else if (fault == 7)
			maps[1].nfront = 1;
		else if (fault == 8)
			maps[1].nback--;
		else if (fault == 9)
			s.nall_free++;
		else if (fault == 10)
			leaf[1] = 502; /* its longest row has 502 pages */
		else if (fault == 11)
			leaf[1] = 514;
		else if (fault == 12)
			pair_leaf[1] = 1004; /* 502 and 502 pages */
		else
			pair_inner[0] = 1004;
		nmissed += umpa_shelf_valid(&s) != 0;
		memcpy(maps, whole, sizeof(maps));
		memcpy(leaf, heights, sizeof(leaf));
		memcpy(pair_leaf, pairs, sizeof(pair_leaf));
		pair_inner[0] = pairs[1];
		s = before;
	}
	CHECK_EQ(nmissed, 0);
}

static uint32_t nwrong_of(uint64_t seed, uint32_t nsteps)
{
	static struct shelf_model m;
	struct numbers numbers = numbers_of_seed(seed);
	const char *wrong = NULL;

	shelf_model_init(&m);
	while (!wrong && m.nsteps < nsteps)
		wrong = shelf_model_step(&m, &numbers);
	if (wrong)
		printf("  seed %llu, step %llu: %s\n", (unsigned long long)seed,
			(unsigned long long)m.nsteps, wrong);
	return wrong != NULL;
}

TEST(shelf_does_what_the_model_does)
{
	uint32_t nwrong = 0;

	PLAN(1);
	for (uint64_t seed = 1; seed <= 8; seed++)
		nwrong += nwrong_of(seed, 25000);
	CHECK_EQ(nwrong, 0);
}

/* Whoever saw a slot on the shelf without its lock may come too late. */
TEST(shelf_refuses_a_slot_that_has_left)
{
	struct slot slot = {1};

	PLAN(6);
	begin();
	add(1, 0, FIRST_TAIL, 0);
	umpa_shelf_remove(&s, slot);
	CHECK_EQ(umpa_shelf_extend(&s, slot, 0, 10, NULL), 0);
	CHECK_EQ(umpa_shelf_take_at(&s, slot, 512 - 10, 10, NULL), 0);
	CHECK_EQ(take(1, 1), -1);
	CHECK(umpa_shelf_valid(&s));
	add(1, 3, FIRST_TAIL, 0);
	CHECK_EQ(umpa_shelf_extend(&s, slot, 3, 10, NULL), 1);
	CHECK(umpa_shelf_valid(&s));
}

TEST(shelf_gives_parts_of_runs)
{
	PLAN(10);
	begin();
	add(0, 100, FIRST_TAIL, 0);
	CHECK_EQ(take(100, 1), 100);
	CHECK_EQ(take(100, 1), 200);
	/* The end of the tail, all of one run and the beginning of another. */
	CHECK_EQ(umpa_shelf_give_part(&s, (struct slot){0}, 90, 150), 0);
	CHECK_EQ(maps[0].ntail, 90);
	CHECK_EQ(found(0, 100), 0);
	CHECK_EQ(found(0, 240), 60);
	CHECK_EQ(umpa_shelf_give_part(&s, (struct slot){0}, 250, 10), 0);
	CHECK_EQ(found(0, 240) + found(0, 260), 10 + 40);
	umpa_shelf_give_part(&s, (struct slot){0}, 0, 90);
	umpa_shelf_give_part(&s, (struct slot){0}, 240, 10);
	CHECK_EQ(umpa_shelf_give_part(&s, (struct slot){0}, 260, 40), 1);
	CHECK(umpa_shelf_valid(&s));
}
