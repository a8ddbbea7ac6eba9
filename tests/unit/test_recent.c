/* Spans and runs freed lately, on the fake OS: a size that was used before costs no search and no
 * move, every other finds what it would without them. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <umpa/umpa.h>

#include "core/block.h"
#include "core/core.h"
#include "core/fork.h"
#include "core/recent.h"
#include "core/shard.h"
#include "core/span.h"
#include "support/check.h"
#include "support/child.h"
#include "support/fake_blocks.h"
#include "support/fake_os.h"

#define MIB ((size_t)1 << 20)

static char *in_use; /* so much that some may be kept */

static void begin(void)
{
	fake_reset();
	fake_threads(1);
	fake_machine.memory_nbytes = (size_t)1 << 30;
	fake_machine.ncpus = 2;
	umpa_shard_crowd = 1;
	fake_cpu = 1; /* that all threads but the first run on */
	in_use = umpa_alloc(400 * MIB, 0);
}

enum {
	END_CHECKS = 4
};

static void end(void)
{
	umpa_free(in_use);
	CHECK_EQ(stats().nblocks, 0);
	CHECK_EQ(stats().block_nbytes, 0);
	CHECK(umpa_extents_valid(&umpa_core.space.extents) && fake_consistent());
	umpa_core_stop();
	CHECK_EQ(fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes(), 0);
	fake_threads(0);
}

/* Spans in all lists. */
static unsigned nrecent(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < umpa_core.nshards; i++)
		n += umpa_shard(i)->recent.n;
	return n;
}

/* Spans that slots of the space became, or that were given back to it. */
static uint64_t nfrom_space(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < umpa_core.nshards; i++)
		n += umpa_shard(i)->spans.nallocs + umpa_shard(i)->spans.nfrees;
	return n;
}

static int same_frames(const char *block, size_t nbytes, const uint64_t *frame)
{
	for (size_t i = 0; i < nbytes; i += MIB)
		if (fake_frame(block + i) != *frame++)
			return 0;
	return 1;
}

static void frames_of(const char *block, size_t nbytes, uint64_t *frame)
{
	for (size_t i = 0; i < nbytes; i += MIB)
		*frame++ = fake_frame(block + i);
}

/* Whole slots, with a tail, a header, and one that is a little smaller than its slots. */
static const size_t sizes[] = {4 * MIB, 5 * MIB, 8 * MIB + 4096, 22 * MIB - 8192};

enum {
	NSIZES = sizeof(sizes) / sizeof(sizes[0])
};

static void free_again(void *block)
{
	umpa_free(block);
}

static void *free_it(void *block)
{
	umpa_free(block);
	return NULL;
}

static void look_up(void *block)
{
	umpa_usable_size(block);
}

TEST(recent_span_is_handed_out_again_as_it_is)
{
	PLAN(6 * NSIZES + END_CHECKS);
	begin();
	for (int i = 0; i < NSIZES; i++) {
		char *other = touched(1 * MIB, 0), *block = touched(sizes[i], 0);
		uint64_t n = nfrom_space(), nframes = fake_nframes(), frame[32];

		frames_of(block, sizes[i], frame);
		for (int round = 0; round < 3; round++) {
			umpa_free(block);
			if (round == 0)
				CHECK_EQ(umpa_block_find(block).kind, BLOCK_NONE);
			if (umpa_alloc(sizes[i], 0) != block)
				break;
		}
		CHECK_EQ(umpa_usable_size(block), sizes[i]);
		CHECK_EQ(nfrom_space(), n);
		CHECK(same_frames(block, sizes[i], frame));
		CHECK_EQ(fake_nframes(), nframes);
		CHECK_EQ(stats().nslots_moved, 0);
		umpa_free(block);
		umpa_free(other);
	}
	end();
}

/* One that begins in the slot of runs is known by the page it begins at. */
TEST(recent_span_with_a_head_is_handed_out_again)
{
	struct child_end e;
	char *run[9], *span;

	PLAN(8 + END_CHECKS);
	begin();
	for (int i = 0; i < 9; i++)
		run[i] = touched(1 * MIB - 4096, 0);
	umpa_free(in_use); /* behind the last run */
	in_use = NULL;
	umpa_trim(0);
	span = touched(5 * MIB - 4096, 0);
	CHECK_EQ(span, run[8] + 1 * MIB + 4096);
	in_use = umpa_alloc(400 * MIB, 0);
	umpa_free(span);
	CHECK_EQ(nrecent(), 1);
	CHECK_EQ(umpa_block_find(span).kind, BLOCK_NONE);
	CHECK_EQ(umpa_block_find(span + 1 * MIB - 4096).kind, BLOCK_NONE);
	child_run(free_again, span, &e);
	CHECK_EQ(e.signal, SIGABRT);
	CHECK(strstr(e.stderr_text, "no live block begins here"));
	CHECK_EQ(umpa_alloc(5 * MIB - 4096, 0), span);
	CHECK_EQ(umpa_usable_size(span), 5 * MIB - 4096);
	umpa_free(span);
	for (int i = 0; i < 9; i++)
		umpa_free(run[i]);
	end();
}

/* Sizes that take the same slots stand in for each other; an alignment that the place has not, and
 * room to grow, do not. */
TEST(recent_span_serves_what_it_fits)
{
	char *block, *again;

	PLAN(7 + END_CHECKS);
	begin();
	block = touched(8 * MIB, 0);
	umpa_free(block);
	again = umpa_alloc(8 * MIB - 5000, 0);
	CHECK_EQ(again, block);
	CHECK_EQ(umpa_usable_size(again), 8 * MIB - 4096);
	CHECK_EQ(stats().block_nbytes, 408 * MIB - 4096);
	umpa_free(again);
	CHECK_EQ(nrecent(), 1);
	again = umpa_alloc(8 * MIB, UMPA_RESERVE(2));
	CHECK_EQ(nrecent(), 0);
	umpa_free(again);
	CHECK_EQ(nrecent(), 0); /* nor is one with room kept */
	again = umpa_alloc(8 * MIB, UMPA_ALIGN(24));
	CHECK_EQ((uintptr_t)again % (16 * MIB), 0);
	umpa_free(again);
	end();
}

TEST(recent_span_is_zero_when_asked_for)
{
	static const char zeros[4096];
	size_t nwrong = 0;

	PLAN(NSIZES + 1 + END_CHECKS);
	begin();
	for (int i = 0; i < NSIZES; i++) {
		char *other = touched(1 * MIB, 0), *block = umpa_alloc(sizes[i], 0);

		fake_touch(block, sizes[i]);
		for (size_t at = 0; at < sizes[i]; at += 4096)
			block[at] = 1;
		umpa_free(block);
		CHECK_EQ(umpa_alloc(sizes[i], UMPA_ZERO), block);
		for (size_t at = 0; at < sizes[i]; at += 4096)
			nwrong += memcmp(block + at, zeros, 4096) != 0;
		umpa_free(block);
		umpa_free(other);
	}
	CHECK_EQ(nwrong, 0);
	end();
}

/* Freed neighbours are one place for a larger block, at once. */
TEST(recent_spans_are_joined_for_another_size)
{
	char *a, *b, *behind;
	size_t nframes;

	PLAN(4 + END_CHECKS);
	begin();
	a = touched(4 * MIB, 0);
	b = touched(4 * MIB, 0);
	behind = touched(4 * MIB, 0);
	CHECK_EQ(b, a + 4 * MIB);
	nframes = fake_nframes();
	umpa_free(a);
	umpa_free(b);
	CHECK_EQ(nrecent(), 2);
	CHECK_EQ(touched(8 * MIB, 0), a);
	CHECK_EQ(fake_nframes(), nframes);
	umpa_free(a);
	umpa_free(behind);
	end();
}

/* What waits there is the pool's: for runs, for blocks that grow, for what is backed or moved. */
TEST(recent_spans_are_used_before_the_kernel_is_asked)
{
	char *a, *b, *run[8];
	size_t nframes;

	PLAN(6 + END_CHECKS);
	begin();
	for (int i = 0; i < 8; i++) /* the nursery */
		run[i] = touched(1 * MIB, 0);
	a = touched(8 * MIB, 0);
	b = touched(8 * MIB, 0);
	nframes = fake_nframes();
	umpa_free(b);
	CHECK_EQ(nrecent(), 1);
	CHECK_EQ(umpa_realloc(a, 16 * MIB, 0), a);
	fake_touch(a, 16 * MIB);
	CHECK_EQ(fake_nframes(), nframes);
	b = umpa_alloc(8 * MIB, UMPA_NOBACK);
	a = umpa_realloc(a, 8 * MIB, 0);
	umpa_back(b, 8 * MIB);
	CHECK_EQ(fake_nframes(), nframes);
	umpa_free(b);
	CHECK_EQ(nrecent(), 1);
	b = touched(2 * MIB - 4096, 0); /* a run, for which there is no room */
	CHECK_EQ(fake_nframes(), nframes);
	umpa_free(b);
	umpa_free(a);
	for (int i = 0; i < 8; i++)
		umpa_free(run[i]);
	end();
}

TEST(recent_spans_are_used_before_the_window_is_left)
{
	static char *block[400];
	size_t n = 0;

	PLAN(4 + END_CHECKS);
	begin();
	umpa_free(in_use);
	umpa_core_stop();
	fake_machine.as_limit_nbytes = 1024 * MIB; /* a window of 256 MiB */
	in_use = NULL;
	while (n < 400 && !stats().outside_nbytes)
		block[n++] = umpa_alloc(4 * MIB, 0);
	umpa_free(block[--n]);
	CHECK_EQ(stats().outside_nbytes, 0);
	umpa_free(block[3]);
	umpa_free(block[4]);
	CHECK_EQ(nrecent(), 2);
	block[3] = umpa_alloc(7 * MIB, UMPA_RESERVE(1));
	CHECK_EQ(stats().outside_nbytes, 0);
	block[4] = umpa_alloc(1 * MIB, 0);
	CHECK_EQ(stats().outside_nbytes, 0);
	while (n)
		umpa_free(block[--n]);
	end();
}

TEST(recent_spans_are_trimmed)
{
	char *block;
	size_t nframes;

	PLAN(3 + END_CHECKS);
	begin();
	umpa_trim(0);
	nframes = fake_nframes();
	block = touched(8 * MIB, 0);
	umpa_free(block);
	CHECK_EQ(nrecent(), 1);
	CHECK_EQ(umpa_trim(0), 8 * MIB);
	CHECK_EQ(fake_nframes(), nframes);
	end();
}

/* A core that is started anew knows of no list of the one before, which had more shards. */
TEST(recent_spans_are_forgotten_with_the_core)
{
	pthread_t thread;

	PLAN(2 + END_CHECKS);
	begin();
	umpa_free(umpa_alloc(4096, 0));
	for (int i = 0; i < 2; i++) { /* by a thread of each shard */
		pthread_create(&thread, NULL, free_it, umpa_alloc(8 * MIB, 0));
		pthread_join(thread, NULL);
	}
	CHECK(nrecent() > 0);
	umpa_core_stop();
	fake_machine.ncpus = 1;
	in_use = umpa_alloc(400 * MIB, 0);
	CHECK_EQ(nrecent(), 0);
	end();
}

/* In a child, where the thread that was about to flush them is not. */
TEST(recent_spans_are_found_after_a_fork)
{
	char *block;

	PLAN(2 + END_CHECKS);
	begin();
	block = touched(8 * MIB, 0);
	umpa_free(block);
	CHECK_EQ(nrecent(), 1);
	umpa_core.recent_shards = 0;
	umpa_fork_prepare();
	umpa_fork_child();
	umpa_recent_flush();
	CHECK_EQ(nrecent(), 0);
	end();
}

/* Not more than a share of what is in use, so that a process which frees all of it keeps none. */
TEST(recent_spans_are_a_share_of_what_is_in_use)
{
	static char *block[100];
	uint32_t nslots = 0;

	PLAN(4 + END_CHECKS);
	begin();
	for (int i = 0; i < 100; i++)
		block[i] = umpa_alloc(4 * MIB, 0);
	for (int i = 0; i < 50; i++)
		umpa_free(block[i]);
	CHECK_EQ(nrecent(), RECENT_NSPANS);
	for (int i = 50; i < 100; i++)
		umpa_free(block[i]);
	umpa_free(in_use);
	in_use = umpa_alloc(8 * MIB, 0); /* another size: empties the lists */
	CHECK_EQ(nrecent(), 0);
	for (int i = 0; i < 10; i++)
		block[i] = umpa_alloc(4 * MIB, 0);
	for (int i = 0; i < 10; i++)
		umpa_free(block[i]);
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		nslots += umpa_shard(i)->recent.nslots;
	CHECK(nslots * RECENT_SHARE <= umpa_core.space.nused);
	umpa_free(umpa_alloc(200 * MIB, 0));
	CHECK_EQ(nrecent(), 0); /* too large */
	end();
}

/* Two threads that free one at once: both have seen a block there. */
TEST(recent_span_is_freed_by_one_thread)
{
	struct slot slot;
	char *block;

	PLAN(4 + END_CHECKS);
	begin();
	block = touched(8 * MIB, 0);
	slot = umpa_window_slot(&umpa_core.window, block);
	CHECK_EQ(umpa_span_free(slot), 0);
	CHECK_EQ(umpa_span_free(slot), -EINVAL);
	umpa_recent_flush();
	CHECK_EQ(umpa_span_free(slot), -EINVAL);
	CHECK_EQ(slot_use(slot), SLOT_INNER);
	end();
}

/* --- runs --------------------------------------------------------------------------------- */

/* Pages of runs set aside, in all shards. */
static unsigned naside(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < umpa_core.nshards; i++)
		n += umpa_shard(i)->bins.npages;
	return n;
}

static struct umpa_shelf *shelf(void)
{
	return &umpa_shard_of_thread()->shelf;
}

/* Fills the nursery, whose first two pages are set apart, and half of a slot behind it. */
static void fill_nursery(char *run[9])
{
	for (int i = 0; i < 9; i++)
		run[i] = touched(i ? 1 * MIB : 1 * MIB - 8192, 0);
}

static void free_all(char **run, int n)
{
	for (int i = 0; i < n; i++)
		umpa_free(run[i]);
}

/* Only then: what goes home at once is a better place for another length. */
TEST(recent_runs_are_set_aside_where_sizes_repeat)
{
	char *block[8] = {NULL};
	uint32_t nwrong = 0;

	PLAN(3 + END_CHECKS);
	begin();
	for (int i = 0; i < 2 * BINS_SURE; i++) { /* each length once, and late */
		block[i % 8] = umpa_alloc(4096 * (size_t)(1 + i), 0);
		umpa_free(block[i % 8]);
		nwrong += naside() != 0;
	}
	CHECK_EQ(nwrong, 0);
	for (int i = 0; i < 2 * BINS_SURE; i++) { /* two in turns */
		block[0] = umpa_alloc(16384, 0);
		block[1] = umpa_alloc(8192, 0);
		umpa_free(block[0]);
		umpa_free(block[1]);
	}
	CHECK_EQ(naside(), 6);
	for (int i = 0; i < 2 * BINS_SURE; i++)
		umpa_free(umpa_alloc(4096 * (size_t)(1 + i % 60), 0));
	umpa_recent_flush();
	umpa_free(umpa_alloc(4096, 0));
	CHECK_EQ(naside(), 0);
	end();
}

TEST(recent_run_is_handed_out_again_as_it_is)
{
	char *before, *run, *behind;
	uint64_t frame;
	uint32_t nfree;

	PLAN(9 + END_CHECKS);
	begin();
	repeat_sizes();
	before = touched(40000, 0);
	run = touched(65536, 0);
	behind = touched(40000, 0);
	frame = fake_frame(run + 4096);
	nfree = shelf()->nfree_pages;
	umpa_free(run);
	CHECK_EQ(naside(), 16);
	CHECK_EQ(shelf()->nfree_pages, nfree);
	CHECK_EQ(umpa_block_find(run).kind, BLOCK_NONE);
	CHECK_EQ(umpa_usable_size(before), 40960);
	CHECK_EQ(umpa_alloc(65536, 0), run);
	CHECK_EQ(fake_frame(run + 4096), frame);
	CHECK_EQ(umpa_usable_size(run), 65536);
	CHECK_EQ(naside(), 0);
	CHECK(umpa_shelf_valid(shelf()));
	free_all((char *[]){before, run, behind}, 3);
	end();
}

TEST(recent_run_is_zero_when_asked_for)
{
	static const char zeros[65536];
	char *run;

	PLAN(2 + END_CHECKS);
	begin();
	repeat_sizes();
	run = touched(65536, 0);
	memset(run, 1, 65536);
	umpa_free(run);
	CHECK_EQ(umpa_alloc(65536, UMPA_ZERO), run);
	CHECK(!memcmp(run, zeros, 65536));
	umpa_free(run);
	end();
}

static void free_by_another(void *block)
{
	pthread_t thread;

	pthread_create(&thread, NULL, free_it, block);
	pthread_join(thread, NULL);
}

static void realloc_it(void *block)
{
	umpa_realloc(block, 100000, 0);
}

/* Whoever uses it, and at once. */
TEST(recent_run_is_nobodys)
{
	void (*const use[])(void *) = {free_again, look_up, realloc_it, free_by_another};
	char *run, *behind;

	PLAN(4 * 2 + 3 + END_CHECKS);
	begin();
	repeat_sizes();
	run = touched(65536, 0);
	behind = touched(65536, 0);
	umpa_free(run);
	CHECK_EQ(naside(), 16);
	for (int k = 0; k < 4; k++) {
		struct child_end e;

		child_run(use[k], run, &e);
		CHECK_EQ(e.signal, SIGABRT);
		CHECK(strstr(e.stderr_text, "no live block begins here"));
	}
	errno = 0;
	CHECK_EQ(umpa_back(run + 4096, 4096), -1);
	CHECK_EQ(errno, EINVAL);
	umpa_free(behind);
	end();
}

/* One that waits in the inbox isn't set aside beside that. */
TEST(recent_run_that_another_thread_freed_is_nobodys)
{
	struct child_end e;
	pthread_t thread;
	char *run, *behind;

	PLAN(3 + END_CHECKS);
	begin();
	run = touched(65536, 0);
	behind = touched(65536, 0);
	repeat_sizes();
	pthread_create(&thread, NULL, free_it, run);
	pthread_join(thread, NULL);
	CHECK(umpa_inbox_has(&umpa_shard_of_thread()->inbox, run));
	child_run(free_again, run, &e);
	CHECK_EQ(e.signal, SIGABRT);
	CHECK(strstr(e.stderr_text, "no live block begins here"));
	umpa_free(behind);
	end();
}

/* No slot is taken, nor any memory, while pages are set aside. */
TEST(recent_runs_are_used_before_more_slots)
{
	char *run[9], *small[64], *large;
	uint32_t nslots;

	PLAN(4 + END_CHECKS);
	begin();
	repeat_sizes();
	fill_nursery(run);
	repeat_sizes();
	for (int i = 0; i < 64; i++) /* 256 pages: the slot is full */
		small[i] = touched(16384, 0);
	nslots = shelf()->nslots;
	repeat_sizes();
	free_all(small, 64);
	CHECK(naside() > 0);
	large = umpa_alloc(1 * MIB, 0);
	CHECK_EQ(large, small[0]);
	CHECK_EQ(shelf()->nslots, nslots);
	CHECK_EQ(naside(), 0);
	umpa_free(large);
	free_all(run, 9);
	end();
}

/* A superpage whose runs are all set aside is the pool's. */
TEST(recent_runs_keep_no_superpage)
{
	char *run[9], *filler[2], *span;
	size_t nframes;

	PLAN(4 + END_CHECKS);
	begin();
	repeat_sizes();
	fill_nursery(run);
	repeat_sizes();
	for (int i = 0; i < 2; i++)
		filler[i] = touched(1 * MIB, 0);
	nframes = fake_nframes();
	umpa_free(run[8]);
	umpa_free(filler[0]);
	CHECK(naside() > 0);
	umpa_free(filler[1]);
	span = touched(2 * MIB, 0); /* one of two slots, the other is the shelf's spare */
	CHECK(span == run[8] || span == filler[1]);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK_EQ(naside(), 0);
	umpa_free(span);
	free_all(run, 8);
	end();
}

TEST(recent_runs_are_trimmed)
{
	char *run[9], *more;
	size_t nframes;

	PLAN(4 + END_CHECKS);
	begin();
	repeat_sizes();
	fill_nursery(run);
	repeat_sizes();
	nframes = fake_nframes();
	more = touched(65536, 0);
	umpa_free(run[8]);
	umpa_free(more);
	CHECK(naside() > 0);
	CHECK_EQ(umpa_trim(0), 2 * MIB);
	CHECK_EQ(fake_nframes(), nframes - 512);
	CHECK_EQ(naside(), 0);
	free_all(run, 8);
	end();
}

TEST(recent_run_makes_way_for_a_block_that_grows)
{
	char *block, *run;

	PLAN(3 + END_CHECKS);
	begin();
	repeat_sizes();
	block = touched(65536, 0);
	run = touched(65536, 0);
	umpa_free(run);
	CHECK_EQ(naside(), 16);
	CHECK_EQ(umpa_realloc(block, 100000, 0), block);
	CHECK_EQ(naside(), 0);
	umpa_free(block);
	end();
}

/* Few of the nursery; a share of what is in use elsewhere; none where `keep` bounds what is free;
 * none that is as long as a slot. */
TEST(recent_runs_are_few)
{
	static char *small[600];
	uint64_t npages;
	char *run[9];

	PLAN(5 + END_CHECKS);
	begin();
	repeat_sizes();
	run[0] = touched(65 * 4096, 0);
	umpa_free(run[0]);
	CHECK_EQ(naside(), 0);
	fill_nursery(run);
	repeat_sizes();
	for (int i = 0; i < 600; i++)
		small[i] = touched(4096 * (size_t)(1 + i % 200), 0);
	npages = umpa_shard_of_thread()->block_npages;
	repeat_sizes();
	for (int i = 0; i < 300; i++)
		umpa_free(small[i]);
	CHECK(naside() > ASIDE_LITTLE_NPAGES);
	CHECK(naside() <= npages / 8);
	umpa_recent_flush();
	repeat_sizes();
	umpa_core.keep_nslots = 100000;
	for (int i = 300; i < 600; i++)
		umpa_free(small[i]);
	CHECK_EQ(naside(), 0);
	umpa_core.keep_nslots = UINT32_MAX;
	free_all(run, 9);
	CHECK(umpa_shelf_valid(shelf()));
	end();
}

/* What spans there are, and were freed, makes no difference to that. */
TEST(recent_runs_are_few_beside_spans)
{
	static char *small[300];
	char *run[9];
	uint64_t npages;

	PLAN(2 + END_CHECKS);
	begin();
	fill_nursery(run);
	for (int i = 0; i < 300; i++)
		small[i] = touched(4096 * (size_t)(1 + i % 20), 0);
	npages = umpa_shard_of_thread()->block_npages;
	umpa_free(umpa_alloc(16 * MIB, 0));
	CHECK_EQ(nrecent(), 1);
	repeat_sizes();
	free_all(small, 300);
	CHECK(naside() * 8 <= npages);
	free_all(run, 9);
	end();
}

/* As many as were a share when they were set aside keep superpages when the others are gone: they
 * go home then, but for those in one slot. */
TEST(recent_runs_go_home_when_others_have_gone)
{
	static char *small[1600];
	char *run[9];
	struct umpa_shard *s;

	PLAN(3 + END_CHECKS);
	begin();
	fill_nursery(run);
	for (int i = 0; i < 1600; i++)
		small[i] = touched(8192, 0);
	s = umpa_shard_of_thread();
	repeat_sizes();
	for (int i = 0; i < 8; i++)
		umpa_free(small[200 * i]);
	CHECK(naside() == 16 && s->bins.is_mixed);
	for (int i = 0; i < 1600; i++)
		if (i % 200)
			umpa_free(small[i]);
	free_all(run, 9);
	CHECK(naside() == 0 || !s->bins.is_mixed);
	umpa_recent_flush();
	CHECK(s->shelf.nall_free <= 1 + umpa_core.space.nnursery);
	end();
}

/* Little is set aside whatever there is, but in one slot: it is as good as the shelf's free one. */
TEST(recent_runs_that_are_no_share_are_in_one_slot)
{
	char *run[9], *last[4];

	PLAN(4 + END_CHECKS);
	begin();
	fill_nursery(run);
	last[0] = touched(65536, 0); /* behind run[8] */
	last[1] = touched(65536, 0);
	last[2] = touched(896 * 1024, 0); /* to the end of the slot */
	last[3] = touched(65536, 0);
	CHECK(umpa_window_slot(&umpa_core.window, last[1]).i !=
		umpa_window_slot(&umpa_core.window, last[3]).i);
	free_all(run, 9);
	umpa_free(last[2]);
	repeat_sizes();
	umpa_free(last[0]);
	CHECK_EQ(naside(), 16);
	umpa_free(last[3]);
	CHECK_EQ(naside(), 16);
	umpa_free(last[1]);
	CHECK_EQ(naside(), 32);
	end();
}

/* Pages that are free are counted so, whichever way they are on. */
TEST(recent_runs_are_counted_as_free)
{
	pthread_t thread;
	char *run[8];
	uint64_t nbytes;

	PLAN(3 + END_CHECKS);
	begin();
	for (int i = 0; i < 8; i++)
		run[i] = touched(16384, 0);
	nbytes = stats().run_free_nbytes;
	repeat_sizes();
	umpa_free(run[0]);
	for (int i = 1; i < 3; i++) {
		pthread_create(&thread, NULL, free_it, run[i]);
		pthread_join(thread, NULL);
	}
	CHECK(!umpa_inbox_is_empty(&umpa_shard_of_thread()->inbox));
	CHECK_EQ(stats().run_free_nbytes, nbytes + 3 * 16384);
	CHECK_EQ(stats().run_free_nbytes, nbytes + 3 * 16384);
	free_all(run + 3, 5);
	end();
}

/* In a child, where the thread that was about to flush them is not. */
TEST(recent_runs_are_found_after_a_fork)
{
	PLAN(2 + END_CHECKS);
	begin();
	repeat_sizes();
	umpa_free(touched(65536, 0));
	CHECK_EQ(naside(), 16);
	umpa_core.recent_shards = 0;
	umpa_fork_prepare();
	umpa_fork_child();
	umpa_recent_flush();
	CHECK_EQ(naside(), 0);
	end();
}

/* What another thread freed goes through the inbox, and from there to the bins. */
TEST(recent_run_of_another_thread_is_used)
{
	pthread_t thread;
	char *run[INBOX_NHALF + 2];

	PLAN(2 + END_CHECKS);
	begin();
	repeat_sizes();
	for (int i = 0; i < INBOX_NHALF + 2; i++)
		run[i] = touched(8192, 0);
	repeat_sizes();
	for (int i = 1; i <= INBOX_NHALF; i++) {
		pthread_create(&thread, NULL, free_it, run[i]);
		pthread_join(thread, NULL);
	}
	run[1] = umpa_alloc(8192, 0);
	CHECK_EQ(naside(), 2 * (BIN_NRUNS - 1));
	CHECK_EQ(umpa_usable_size(run[1]), 8192);
	umpa_free(run[0]);
	umpa_free(run[1]);
	umpa_free(run[INBOX_NHALF + 1]);
	end();
}

/* --- threads ------------------------------------------------------------------------------ */

/* What another thread freed, and left when it ended, is found in its list. */
TEST(recent_span_of_another_thread_is_used)
{
	pthread_t thread;
	char *block;
	uint64_t n;

	PLAN(4 + END_CHECKS);
	begin();
	block = touched(8 * MIB, 0);
	n = nfrom_space();
	umpa_free(umpa_alloc(4096, 0)); /* this thread has a shard */
	pthread_create(&thread, NULL, free_it, block);
	pthread_join(thread, NULL);
	CHECK_EQ(nrecent(), 1);
	CHECK_EQ(umpa_alloc(8 * MIB, 0), block);
	CHECK_EQ(nfrom_space(), n);
	CHECK_EQ(nrecent(), 0);
	umpa_free(block);
	end();
}

static char *handed[16];

/* Takes what another thread left at a place, looks whether it is as it was left, leaves another. */
static void *hand_over(void *arg)
{
	uint64_t seed = *(uint64_t *)arg, nsteps = check_times(200);
	uintptr_t nwrong = 0;

	for (uint64_t i = 0; i < nsteps; i++) {
		size_t size, at;
		char *block;

		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size = sizes[seed >> 33 & 3];
		at = seed >> 40 & 15;
		block = umpa_alloc(size, 0);
		fake_touch(block, 4096);
		fake_touch(block + size - 4096, 4096);
		memcpy(block, &size, sizeof(size));
		memcpy(block + size - sizeof(size), &block, sizeof(block));
		block = __atomic_exchange_n(&handed[at], block, __ATOMIC_ACQ_REL);
		if (!block)
			continue;
		memcpy(&size, block, sizeof(size));
		nwrong += memcmp(block + size - sizeof(size), &block, sizeof(block)) != 0;
		nwrong += umpa_usable_size(block) != ((size + 4095) & ~(size_t)4095);
		memset(block, 0, sizeof(size));
		memset(block + size - sizeof(size), 0, sizeof(size));
		umpa_free(block);
		if (i % 64 == 0)
			umpa_trim(32 * MIB);
	}
	return (void *)nwrong;
}

TEST(recent_spans_are_never_two_threads)
{
	pthread_t thread[4];
	uint64_t seed[4];
	uintptr_t nwrong = 0;

	PLAN(1 + END_CHECKS);
	begin();
	for (int i = 0; i < 4; i++) {
		seed[i] = 7 + (uint64_t)i;
		pthread_create(&thread[i], NULL, hand_over, &seed[i]);
	}
	for (int i = 0; i < 4; i++) {
		void *result;

		pthread_join(thread[i], &result);
		nwrong += (uintptr_t)result;
	}
	CHECK_EQ(nwrong, 0);
	for (int i = 0; i < 16; i++) {
		umpa_free(handed[i]);
		handed[i] = NULL;
	}
	end();
}

TEST(recent_span_is_nobodys)
{
	void (*const use[])(void *) = {free_again, look_up};

	PLAN(4 * NSIZES + END_CHECKS);
	begin();
	for (int i = 0; i < NSIZES; i++) {
		char *other = touched(1 * MIB, 0), *block = touched(sizes[i], 0);

		umpa_free(block);
		for (int k = 0; k < 2; k++) {
			struct child_end e;

			child_run(use[k], block, &e);
			CHECK_EQ(e.signal, SIGABRT);
			CHECK(strstr(e.stderr_text, "no live block begins here"));
		}
		umpa_free(other);
	}
	end();
}
