/* Threads on the fake OS: what the thread sanitizer is to see, and content that no other thread
 * touches. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/pool.h"
#include "core/space.h"
#include "core/trial.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/model.h"
#include "support/together.h"

enum {
	NTHREADS = 4,
	NHANDED = 64
};

static void *run_model(void *arg)
{
	struct model_options o = {.seed = *(uint64_t *)arg,
		.nops = 300,
		.nblocks = 12,
		.log2_min = 12,
		.log2_max = 23,
		.touch = fake_touch};
	struct model_result r = model_run(&o);

	return (void *)(uintptr_t)(r.nwrong_tags + r.nwrong_zeros + r.nrefused);
}

static uintptr_t run_all(void *(*fn)(void *))
{
	return together(NTHREADS, fn, fn, 100);
}

static void end(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.nblocks, 0);
	CHECK_EQ(st.block_nbytes, 0);
	CHECK(umpa_extents_valid(&umpa_core.space.extents));
	umpa_core_stop();
	CHECK_EQ(fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes(), 0);
	fake_threads(0);
}

static void begin(void)
{
	fake_reset();
	fake_threads(1);
	fake_machine.memory_nbytes = (size_t)512 << 20;
	fake_machine.ncpus = 3;
}

TEST(threads_each_with_its_own_blocks)
{
	PLAN(5);
	begin();
	CHECK_EQ(run_all(run_model), 0);
	end();
}

static void *handed[NHANDED];
static int done; /* atomic: who looks on may stop */

/* Takes what another thread left at a place, leaves a new block there: of any size, or for a while
 * of two, as runs of those are set aside. */
static void *hand_over(void *arg)
{
	unsigned seed = (unsigned)*(uint64_t *)arg;

	for (int i = 0; i < 4000; i++) {
		size_t nbytes = (size_t)4096 << (rand_r(&seed) % 11);
		size_t more = i / 1000 % 2 ? 0 : (size_t)rand_r(&seed) % nbytes;
		void *block = umpa_alloc(more ? nbytes + more : 16384 + (nbytes & 32768), 0);

		umpa_free(__atomic_exchange_n(
			&handed[rand_r(&seed) % NHANDED], block, __ATOMIC_ACQ_REL));
		if (i % 512 == 0)
			umpa_trim((size_t)8 << 20);
	}
	return NULL;
}

static void free_handed(void)
{
	for (int i = 0; i < NHANDED; i++) {
		umpa_free(handed[i]);
		handed[i] = NULL;
	}
}

TEST(threads_free_each_others_blocks)
{
	PLAN(5);
	begin();
	CHECK_EQ(run_all(hand_over), 0);
	free_handed();
	end();
}

/* Each free may give something back, of another thread's shard too. */
TEST(threads_shed_what_is_not_wanted)
{
	PLAN(6);
	begin();
	umpa_pool_sheds = 1;
	CHECK_EQ(run_all(run_model), 0);
	CHECK_EQ(run_all(hand_over), 0);
	free_handed();
	umpa_pool_sheds = 0;
	end();
}

/* --- what changes while it is looked at --------------------------------------------------- */

enum {
	NBACK_LONG = 100,
	NBACK_SHORT = 3
};

static void *change_back(void *arg)
{
	struct umpa_run_map *m = &umpa_core.map[((struct slot *)arg)->i];

	for (unsigned i = 0; !__atomic_load_n(&done, __ATOMIC_RELAXED); i++)
		__atomic_store_n(&m->nback, i % 2 ? NBACK_SHORT : NBACK_LONG, __ATOMIC_RELAXED);
	return NULL;
}

/* A slot that seems to be on a shelf, with a void slot behind it. */
static struct slot begin_with_back(void)
{
	struct space_grant g;

	begin();
	umpa_core_start();
	REQUIRE(!umpa_space_take(2, 1, PREFER_VOID, &g));
	slot_set_use(g.slot, SLOT_SHELF);
	umpa_space_give(slot_after(g.slot, 1), 1, EXTENT_VOID);
	return g.slot;
}

/* A block is laid out by what it was told: were that less than what was looked for, it would end
 * behind its last slot. */
TEST(threads_shorten_a_back_that_is_looked_at)
{
	struct slot slot = begin_with_back();
	const struct space_neighbour wanted = {SLOT_SHELF, ANY_SHARD, NBACK_LONG};
	struct space_grant g;
	unsigned nback, nfound = 0, nshort = 0;
	pthread_t thread;

	PLAN(7);
	done = 0;
	pthread_create(&thread, NULL, change_back, &slot);
	while (nfound < check_steps(1000000) && !nshort)
		if (!umpa_space_take_behind(&wanted, 1, 0, &g, &nback)) {
			nfound++;
			nshort += nback < NBACK_LONG;
			umpa_space_give_grant(&g);
		}
	__atomic_store_n(&done, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK_EQ(nshort, 0);
	CHECK_EQ(slot_use(slot), SLOT_SHELF);
	slot_set_use(slot, SLOT_INNER);
	umpa_space_give(slot, 1, EXTENT_VOID);
	end();
}

static void *look_at_counters(void *arg)
{
	return (void *)(uintptr_t)umpa_get_stats(arg, sizeof(struct umpa_stats));
}

/* The counters are those of one moment: while they are read a block can't be counted as freed whose
 * handing out was not counted. */
TEST(threads_wait_while_counters_are_read)
{
	struct umpa_stats st;
	pthread_t thread;
	void *failed;
	int got;

	PLAN(7);
	begin();
	umpa_core_start();
	umpa_lock_take(&umpa_shard(1)->lock);
	pthread_create(&thread, NULL, look_at_counters, &st);
	while (__atomic_load_n(&umpa_shard(1)->lock.state, __ATOMIC_RELAXED) != LOCK_AWAITED)
		sched_yield();
	got = umpa_lock_try(&umpa_shard(0)->lock);
	CHECK(!got);
	if (got)
		umpa_lock_give(&umpa_shard(0)->lock);
	umpa_lock_give(&umpa_shard(1)->lock);
	pthread_join(thread, &failed);
	CHECK(!failed);
	CHECK_EQ(st.nallocs, 0);
	end();
}

static void *ask_for_mover(void *arg)
{
	uintptr_t nwrong = 0;

	for (int i = 0; i < 20000; i++)
		nwrong += !__atomic_load_n(&umpa_trial_mover()->move, __ATOMIC_RELAXED);
	(void)arg;
	return (void *)nwrong;
}

/* Without memory to try one with, each call tries again, and is given what refuses: the same. */
TEST(threads_without_room_for_a_trial)
{
	PLAN(6);
	begin();
	umpa_core_start();
	fake_open_max = 0;
	CHECK_EQ(run_all(ask_for_mover), 0);
	CHECK_STR(umpa_mover_in_use(), "undecided");
	end();
}
