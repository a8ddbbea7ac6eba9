/* Bins: a run that was put in is taken out once, the last one of its length first. */
#include <string.h>

#include "frame/bins.h"
#include "support/check.h"
#include "support/numbers.h"

static struct umpa_bins b;

/* Empty, where most lengths are wanted again. */
static void begin(void)
{
	memset(&b, 0, sizeof(b));
	b.luck = BINS_SURE;
}

static int put(struct umpa_run run)
{
	int room = umpa_bins_have_room(&b, run.npages);

	umpa_bins_note_freed(&b, run.npages);
	if (room)
		umpa_bins_put(&b, run);
	return room;
}

static int take(unsigned npages, struct umpa_run *run)
{
	umpa_bins_note_wanted(&b, npages);
	return umpa_bins_take(&b, npages, run);
}

static struct umpa_run run_of(uint32_t slot, unsigned npages)
{
	return (struct umpa_run){{slot}, (uint16_t)(slot % 7), (uint16_t)npages};
}

static int is(struct umpa_run a, struct umpa_run other)
{
	return slot_is(a.slot, other.slot) && a.page == other.page && a.npages == other.npages;
}

TEST(bins_have_the_last_of_a_length_first)
{
	struct umpa_run run;

	PLAN(11);
	begin();
	CHECK_EQ(b.npages, 0);
	CHECK(!take(16, &run));
	CHECK(put(run_of(1, 16)) && put(run_of(2, 16)));
	CHECK(put(run_of(3, 511)));
	CHECK_EQ(b.npages, 2 * 16 + 511);
	CHECK(!take(15, &run));
	CHECK(take(16, &run) && is(run, run_of(2, 16)));
	CHECK(take(16, &run) && is(run, run_of(1, 16)));
	CHECK(!take(16, &run));
	CHECK(take(511, &run) && is(run, run_of(3, 511)));
	CHECK_EQ(b.npages, 0);
}

TEST(bins_hold_a_few_of_a_length)
{
	struct umpa_run run;

	PLAN(3 + BIN_NRUNS);
	begin();
	for (uint32_t i = 0; i < BIN_NRUNS; i++)
		CHECK(put(run_of(i, 1)));
	CHECK(!put(run_of(BIN_NRUNS, 1)));
	CHECK_EQ(b.npages, BIN_NRUNS);
	CHECK(take(1, &run) && is(run, run_of(BIN_NRUNS - 1, 1)));
}

TEST(bins_know_whether_all_are_in_one_slot)
{
	struct slot first = {1}, other = {2};
	struct umpa_run run;

	PLAN(8);
	begin();
	CHECK(!umpa_bins_have_room(&b, SLOT_NPAGES)); /* a slot of its own */
	CHECK(umpa_bins_are_in(&b, first) && umpa_bins_are_in(&b, other));
	CHECK(put(run_of(1, 100)) && put(run_of(1, 50)));
	CHECK(umpa_bins_are_in(&b, first) && !umpa_bins_are_in(&b, other));
	CHECK(put(run_of(2, 16)));
	CHECK(!umpa_bins_are_in(&b, first) && !umpa_bins_are_in(&b, other));
	while (umpa_bins_take_any(&b, &run))
		;
	CHECK(put(run_of(2, 16)) && umpa_bins_are_in(&b, other));
	umpa_bins_rest(&b);
	CHECK(!put(run_of(2, 16)));
}

/* How many of n runs are in the bins, if of each nlengths, in turn, one is wanted and then freed.
 */
static unsigned nput(unsigned n, unsigned nlengths)
{
	unsigned nput = 0;

	for (unsigned i = 0; i < n; i++) {
		struct umpa_run run;

		(void)take(1 + i % nlengths, &run);
		nput += (unsigned)put(run_of(i, 1 + i % nlengths));
	}
	return nput;
}

TEST(bins_are_used_where_lengths_repeat)
{
	struct umpa_run run;

	PLAN(7 + BINS_SURE / 2);
	memset(&b, 0, sizeof(b));
	CHECK_EQ(nput(100, 5), 0); /* one more than are remembered */
	CHECK_EQ(b.luck, 0);
	CHECK_EQ(nput(4 + BINS_LIKELY - 1, 4), 0);
	CHECK_EQ(nput(100, 4), 100);
	CHECK_EQ(b.luck, BINS_SURE);
	for (unsigned i = 0; i < BINS_SURE / 2; i++)
		CHECK_EQ(take(100, &run), 0);
	CHECK_EQ(b.luck, 0);
	CHECK(take(1, &run)); /* what is there is taken in any case */
}

/* Every run has a slot of its own, which tells it. */
TEST(bins_lose_none_and_have_none_twice)
{
	static unsigned char in[4096];
	struct numbers numbers = numbers_of_seed(5);
	struct umpa_run run;
	uint32_t nwrong = 0, npages = 0, last = 0;

	PLAN(3);
	begin();
	for (int i = 0; i < 100000; i++) {
		unsigned n = number_below(&numbers, 2) ? number_up_to(&numbers, 8)
						       : number_up_to(&numbers, SLOT_NPAGES - 1);
		int got = 0;

		b.luck = BINS_SURE;
		if (number_below(&numbers, 2)) {
			last = (last + 1) % sizeof(in);
			run = run_of(last, n);
			got = !in[last] && put(run);
			in[last] |= (unsigned char)got;
			npages += got ? n : 0;
			continue;
		}
		got = number_below(&numbers, 8) ? take(n, &run) : umpa_bins_take_any(&b, &run);
		if (!got)
			continue;
		nwrong += !in[run.slot.i] || run.page != run.slot.i % 7;
		in[run.slot.i] = 0;
		npages -= run.npages;
		nwrong += npages != b.npages;
	}
	CHECK_EQ(nwrong, 0);
	while (umpa_bins_take_any(&b, &run))
		in[run.slot.i] = 0;
	CHECK_EQ(b.npages, 0);
	CHECK(!memchr(in, 1, sizeof(in)));
}
