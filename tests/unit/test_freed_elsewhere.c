/* Runs freed by a thread of another shard: they wait in an inbox, and nobody can tell but by what
 * it costs. On the fake OS. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "core/block.h"
#include "core/core.h"
#include "core/shard.h"
#include "core/span.h"
#include "support/check.h"
#include "support/child.h"
#include "support/fake_blocks.h"
#include "support/fake_os.h"

#define MIB ((size_t)1 << 20)

enum {
	NBLOCKS = 4 * INBOX_NBLOCKS
};

static char *block[NBLOCKS];

/* Blocks of so many bytes each, next to each other, from one shard. */
static void take_blocks(int n, size_t nbytes)
{
	for (int i = 0; i < n; i++) {
		block[i] = umpa_alloc(nbytes, 0);
		fake_touch(block[i], nbytes);
	}
}

static void begin(void)
{
	fake_reset();
	fake_threads(1);
	fake_machine.memory_nbytes = (size_t)512 << 20;
	fake_machine.ncpus = 2;
}

enum {
	END_CHECKS = 3
};

static void end(void)
{
	int valid = umpa_extents_valid(&umpa_core.space.extents);

	CHECK_EQ(stats().nblocks, 0);
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		valid &= umpa_shelf_valid(&umpa_shard(i)->shelf);
	CHECK(valid && fake_consistent());
	umpa_core_stop();
	CHECK_EQ(fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes(), 0);
	fake_threads(0);
}

struct some_blocks {
	int first, n;
};

static void *free_them(void *arg)
{
	const struct some_blocks *b = arg;

	for (int i = 0; i < b->n; i++)
		umpa_free(block[b->first + i]);
	return NULL;
}

/* By a thread that has no shard, and ends. */
static void free_elsewhere(int first, int n)
{
	struct some_blocks b = {first, n};
	pthread_t thread;

	pthread_create(&thread, NULL, free_them, &b);
	pthread_join(thread, NULL);
}

static struct umpa_shard *shard(void)
{
	struct slot slot = umpa_window_slot(&umpa_core.window, block[0]);

	return umpa_shard(umpa_core.record[slot.i].shard);
}

TEST(freed_elsewhere_waits_without_the_lock)
{
	PLAN(5 + END_CHECKS);
	begin();
	take_blocks(NBLOCKS, 8192);
	umpa_lock_take(&shard()->lock); /* who needed it would stand still */
	free_elsewhere(0, INBOX_NBLOCKS);
	umpa_lock_give(&shard()->lock);
	CHECK_EQ(shard()->nfrees, 0);
	CHECK(umpa_inbox_has(&shard()->inbox, block[0]));
	free_elsewhere(INBOX_NBLOCKS, 1); /* the inbox is full: it takes all along */
	CHECK_EQ(shard()->nfrees, INBOX_NBLOCKS + 1);
	CHECK(umpa_inbox_is_empty(&shard()->inbox));
	CHECK_EQ(stats().nfrees, INBOX_NBLOCKS + 1);
	free_elsewhere(INBOX_NBLOCKS + 1, NBLOCKS - INBOX_NBLOCKS - 1);
	end();
}

/* Whether it is one of blocks 1 to n, and the first time so. */
static int is_one_of(const void *run, int n)
{
	static const void *seen[NBLOCKS];
	int i = 1;

	while (i <= n && block[i] != run)
		i++;
	if (i > n || seen[i] == run)
		return 0;
	seen[i] = run;
	return 1;
}

TEST(freed_elsewhere_is_taken_in_when_the_inbox_is_half_full)
{
	PLAN(INBOX_NHALF + 3 + END_CHECKS);
	begin();
	take_blocks(NBLOCKS, 8192);
	free_elsewhere(1, INBOX_NHALF - 1);
	umpa_free(block[0]);
	CHECK_EQ(umpa_alloc(8192, 0), block[0]);
	CHECK_EQ(shard()->nfrees, 1);
	free_elsewhere(INBOX_NHALF, 1);
	CHECK(is_one_of(umpa_alloc(8192, 0), INBOX_NHALF));
	CHECK_EQ(shard()->nfrees, INBOX_NHALF + 1);
	for (int i = 2; i <= INBOX_NHALF; i++)
		CHECK(is_one_of(umpa_alloc(8192, 0), INBOX_NHALF));
	free_elsewhere(0, NBLOCKS);
	end();
}

TEST(freed_elsewhere_is_counted_as_freed)
{
	PLAN(4 + END_CHECKS);
	begin();
	take_blocks(NBLOCKS, 8192);
	free_elsewhere(0, 3);
	CHECK(!umpa_inbox_is_empty(&shard()->inbox));
	CHECK_EQ(stats().nfrees, 3);
	CHECK_EQ(stats().block_nbytes, (NBLOCKS - 3) * 8192);
	CHECK_EQ(umpa_block_find(block[0]).kind, BLOCK_NONE);
	free_elsewhere(3, NBLOCKS - 3);
	end();
}

static void *alloc_one(void *arg)
{
	(void)arg;
	return umpa_alloc(8192, 0);
}

/* Where the lock is taken, by a thread that was stopped with it perhaps, nobody waits who needn't:
 * not who frees, nor a thread of the crowd that allocates. */
TEST(freed_or_taken_past_a_lock_that_is_taken)
{
	struct umpa_shard *first, *other;
	pthread_t thread;
	void *more;

	PLAN(3 + END_CHECKS);
	begin();
	umpa_shard_crowd = 0;
	take_blocks(2, 8192);
	first = shard();
	other = umpa_shard(1 - first->number);
	fake_cpu = first->number;
	umpa_lock_take(&first->lock);
	umpa_free(block[0]);
	CHECK(umpa_inbox_has(&first->inbox, block[0]));
	pthread_create(&thread, NULL, alloc_one, NULL);
	pthread_join(thread, &more);
	umpa_lock_give(&first->lock);
	CHECK_EQ(first->nallocs, 2);
	CHECK_EQ(other->nallocs, 1);
	umpa_shard_crowd = 4;
	umpa_free(block[1]);
	umpa_free(more);
	end();
}

static void *take_one(void *shard)
{
	char *mine = umpa_alloc(8192, 0);
	struct slot slot = umpa_window_slot(&umpa_core.window, mine);

	*(unsigned *)shard = umpa_core.record[slot.i].shard;
	umpa_free(mine);
	return NULL;
}

/* As many threads as there are shards have one of their own. */
TEST(shards_are_shared_by_cpu_beyond_their_number)
{
	pthread_t thread;
	unsigned number;

	PLAN(6 + END_CHECKS);
	begin();
	umpa_shard_crowd = 1;
	take_blocks(1, 8192);
	for (int i = 0; i < 8; i++) {
		fake_cpu = (unsigned)i / 2;
		pthread_create(&thread, NULL, take_one, &number);
		pthread_join(thread, NULL);
		if (i >= 2)
			CHECK_EQ(number, fake_cpu % 2);
	}
	umpa_free(block[0]);
	end();
}

/* The last run of a slot may have a tail, or be a span's head: only the lock tells. */
TEST(freed_elsewhere_at_the_end_of_a_slot_goes_home_at_once)
{
	PLAN(4 + END_CHECKS);
	begin();
	take_blocks(2, 8192);
	free_elsewhere(1, 1);
	CHECK(umpa_inbox_is_empty(&shard()->inbox));
	CHECK_EQ(shard()->nfrees, 1);
	block[1] = umpa_alloc(8192, 0);
	free_elsewhere(0, 1);
	CHECK(!umpa_inbox_is_empty(&shard()->inbox));
	free_elsewhere(1, 1);
	CHECK_EQ(shard()->nfrees, 3); /* and takes along what is there */
	end();
}

/* A block gets the pages, and the frames, of one that waits before it gets others. */
TEST(freed_elsewhere_is_used_before_more_is_taken)
{
	uint64_t frame;
	size_t nframes;
	char *more;

	PLAN(5 + END_CHECKS);
	begin();
	take_blocks(7, 1 * MIB); /* all of the nursery but 252 pages of its first slot */
	more = umpa_alloc(8192, 0);
	nframes = fake_nframes();
	frame = fake_frame(block[3]);
	free_elsewhere(3, 1);
	CHECK(!umpa_inbox_is_empty(&shard()->inbox));
	CHECK_EQ(umpa_alloc(1 * MIB, 0), block[3]);
	CHECK_EQ(fake_frame(block[3]), frame);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK(umpa_inbox_is_empty(&shard()->inbox));
	free_elsewhere(0, 7);
	umpa_free(more);
	end();
}

/* Who frees the last run of a slot takes along what waits in it, so that what waits keeps no
 * superpage from the pool. */
TEST(freed_elsewhere_keeps_no_superpage)
{
	size_t pool;
	char *span;

	PLAN(4 + END_CHECKS);
	begin();
	take_blocks(12, 1 * MIB - 4096); /* two a slot; four slots are the nursery */
	pool = stats().pool_nbytes;
	free_elsewhere(10, 1);
	CHECK(!umpa_inbox_is_empty(&shard()->inbox));
	umpa_free(block[11]);
	free_elsewhere(8, 2);
	CHECK_EQ(stats().pool_nbytes, pool + 2 * MIB); /* one is kept by the shelf */
	free_elsewhere(0, 8);
	/* The same where the last run is the head of a span. */
	umpa_trim(0); /* so that places are in order of address */
	take_blocks(9, 1 * MIB - 4096);
	span = umpa_alloc(5 * MIB - 4096, 0);
	CHECK_EQ(span, block[8] + 1 * MIB + 4096);
	free_elsewhere(8, 1);
	umpa_free(span);
	CHECK(umpa_inbox_is_empty(&shard()->inbox));
	free_elsewhere(0, 8);
	end();
}

static void *end_span(void *slot)
{
	return (void *)(intptr_t)umpa_span_free(*(struct slot *)slot);
}

/* The head of a span looks like a run once its span does not claim it: then who frees it again, at
 * the same moment, would not be told. So it is claimed until its pages are free. */
TEST(freed_elsewhere_head_is_a_head_to_its_end)
{
	struct umpa_lock *lock;
	struct umpa_block b;
	pthread_t thread;
	void *failed;

	PLAN(4 + END_CHECKS);
	begin();
	take_blocks(9, 1 * MIB - 4096);
	b = umpa_block_find(umpa_alloc(5 * MIB - 4096, 0));
	CHECK(b.kind == BLOCK_SPAN && slot_nhead(b.slot));
	lock = &umpa_shard_of_slot((struct slot){b.slot.i - 1})->lock;
	umpa_lock_take(lock);
	pthread_create(&thread, NULL, end_span, &b.slot);
	while (__atomic_load_n(&lock->state, __ATOMIC_RELAXED) != LOCK_AWAITED)
		sched_yield();
	CHECK(slot_nhead(b.slot));
	umpa_lock_give(lock);
	pthread_join(thread, &failed);
	CHECK(!failed);
	CHECK_EQ(slot_nhead(b.slot), 0);
	free_elsewhere(0, 9);
	end();
}

/* From here on it is not a slot of the pool that is missing, but room anywhere. */
TEST(freed_elsewhere_is_used_before_the_window_is_left)
{
	size_t n = 0, outside;
	char **all, *again;

	PLAN(4 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 256 * MIB;
	all = umpa_alloc(4096, 0);
	memset(all, 0, 4096);
	while (n < 500 && !stats().outside_nbytes)
		all[n++] = umpa_alloc(1 * MIB - 4096, 0);
	umpa_free(all[--n]);
	outside = stats().outside_nbytes;
	CHECK_EQ(outside, 0);
	block[0] = all[n / 2];
	free_elsewhere(0, 1);
	CHECK(!umpa_inbox_is_empty(&shard()->inbox));
	again = umpa_alloc(1 * MIB - 4096, 0);
	CHECK_EQ(again, block[0]);
	CHECK_EQ(stats().outside_nbytes, 0);
	while (n)
		umpa_free(all[--n]);
	umpa_free(all);
	end();
}

TEST(freed_elsewhere_makes_room_to_grow_in_place)
{
	PLAN(3 + END_CHECKS);
	begin();
	take_blocks(3, 8192);
	free_elsewhere(1, 1);
	CHECK(!umpa_inbox_is_empty(&shard()->inbox));
	CHECK_EQ(umpa_realloc(block[0], 16384, 0), block[0]);
	CHECK(umpa_inbox_is_empty(&shard()->inbox));
	umpa_free(block[0]);
	umpa_free(block[2]);
	end();
}

/* Two threads that free the last two runs of a slot at the same time may both see the other's. */
TEST(freed_elsewhere_is_trimmed)
{
	PLAN(4 + END_CHECKS);
	begin();
	take_blocks(12, 1 * MIB - 4096);
	free_elsewhere(0, 10);
	free_elsewhere(10, 1);
	CHECK_EQ(umpa_inbox_put(&shard()->inbox, block[11]), 0);
	CHECK(fake_frame(block[11]) != 0);
	CHECK(umpa_trim(0) > 0);
	CHECK_EQ(fake_frame(block[10]) + fake_frame(block[11]), 0);
	end();
}

/* --- misuse ------------------------------------------------------------------------------- */

static void free_again(void *elsewhere)
{
	if (elsewhere)
		free_elsewhere(0, 1);
	else
		umpa_free(block[0]);
}

static void look_up(void *unused)
{
	(void)unused;
	umpa_usable_size(block[0]);
}

static void put_twice_and_collect(void *unused)
{
	void *twice = block[0];

	(void)unused;
	shard()->inbox.block[0] = shard()->inbox.block[1] = twice;
	shard()->inbox.any = 1;
	stats();
}

/* As those do that write a report. */
static void allocate_and_leave(int number)
{
	(void)number;
	umpa_free(umpa_alloc(4096, 0));
	_exit(44);
}

static void put_twice_and_allocate(void *unused)
{
	signal(SIGABRT, allocate_and_leave);
	alarm(10);
	put_twice_and_collect(unused);
}

TEST(freed_elsewhere_and_used_ends_the_process)
{
	static int here;
	struct child_end e;

	PLAN(9 + END_CHECKS);
	begin();
	take_blocks(3, 8192);
	child_run(put_twice_and_collect, NULL, &e);
	CHECK_EQ(e.signal, SIGABRT);
	CHECK(strstr(e.stderr_text, "freed twice, by two threads at once"));
	child_run(put_twice_and_allocate, NULL, &e);
	CHECK_EQ(e.status, 44);
	free_elsewhere(0, 1);
	child_run(free_again, NULL, &e);
	CHECK_EQ(e.signal, SIGABRT);
	CHECK(strstr(e.stderr_text, "no live block begins here"));
	child_run(free_again, &here, &e);
	CHECK_EQ(e.signal, SIGABRT);
	CHECK(strstr(e.stderr_text, "no live block begins here"));
	child_run(look_up, NULL, &e);
	CHECK_EQ(e.signal, SIGABRT);
	CHECK(strstr(e.stderr_text, "no live block begins here"));
	umpa_free(block[1]);
	umpa_free(block[2]);
	end();
}
