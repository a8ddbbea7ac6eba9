/* Locks: ranks are kept in debug builds, and a lock is one. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "os/lock.h"
#include "support/check.h"
#include "support/child.h"

static struct umpa_lock locks[LOCK_NRANKS];

static void begin(void)
{
	for (int r = 0; r < LOCK_NRANKS; r++)
		umpa_lock_init(&locks[r], (enum umpa_lock_rank)r);
}

static int nheld(void)
{
	int n = 0;

	for (int r = 0; r < LOCK_NRANKS; r++)
		n += umpa_locks_held[r];
	return n;
}

TEST(locks_are_taken_in_rising_rank)
{
	PLAN(2);
	begin();
	for (int r = 0; r < LOCK_NRANKS; r++)
		umpa_lock_take(&locks[r]);
	CHECK_EQ(nheld(), LOCK_NRANKS);
	for (int r = LOCK_NRANKS; r-- > 0;)
		umpa_lock_give(&locks[r]);
	CHECK_EQ(nheld(), 0);
}

struct pair {
	int first, second;
};

static void take_two(void *arg)
{
	const struct pair *p = arg;

	umpa_lock_take(&locks[p->first]);
	umpa_lock_take(&locks[p->second]);
}

/* Every pair of ranks, rising: in order; falling: the end. */
TEST(locks_of_falling_rank_end_the_process)
{
	struct child_end end;
	unsigned nended = 0, nfalling = 0, nwrong = 0;

	PLAN(2);
	begin();
	for (int a = 0; a < LOCK_NRANKS; a++)
		for (int b = 0; b < LOCK_NRANKS; b++) {
			struct pair p = {a, b};

			if (a == b)
				continue;
			child_run(take_two, &p, &end);
			nfalling += b < a;
			nended += end.signal == SIGABRT;
			nwrong += (end.signal == SIGABRT) != (b < a);
			nwrong += b < a && !strstr(end.stderr_text, "umpa: broken invariant: ");
		}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(nended, nfalling);
}

/* Fork takes all the shelves. */
TEST(locks_of_one_rank_may_be_held_together)
{
	struct umpa_lock other = UMPA_LOCK_INITIALIZER(LOCK_SHELF);

	PLAN(2);
	begin();
	umpa_lock_take(&locks[LOCK_SHELF]);
	umpa_lock_take(&other);
	umpa_lock_take(&locks[LOCK_SPACE]);
	CHECK_EQ(nheld(), 3);
	umpa_lock_give(&locks[LOCK_SPACE]);
	umpa_lock_give(&locks[LOCK_SHELF]);
	umpa_lock_give(&other);
	CHECK_EQ(nheld(), 0);
}

/* A lock given back no longer counts: lower ranks may be taken again. */
TEST(locks_given_back_are_forgotten)
{
	PLAN(1);
	begin();
	for (int r = LOCK_NRANKS; r-- > 0;) {
		umpa_lock_take(&locks[r]);
		umpa_lock_give(&locks[r]);
	}
	CHECK_EQ(nheld(), 0);
}

static void *try_it(void *arg)
{
	struct umpa_lock *l = arg;
	int got = umpa_lock_try(l);

	if (got)
		umpa_lock_give(l);
	return got || nheld() || umpa_critical.nsections ? l : NULL;
}

/* Not when another thread has it, and then nothing is held. */
TEST(locks_are_tried_without_waiting)
{
	pthread_t thread;
	void *wrong;

	PLAN(7);
	begin();
	CHECK(umpa_lock_try(&locks[LOCK_SPACE]));
	CHECK_EQ(nheld(), 1);
	CHECK_EQ(umpa_critical.nsections, 1);
	CHECK(!umpa_lock_try(&locks[LOCK_SPACE]));
	pthread_create(&thread, NULL, try_it, &locks[LOCK_SPACE]);
	pthread_join(thread, &wrong);
	CHECK(!wrong);
	umpa_lock_give(&locks[LOCK_SPACE]);
	CHECK_EQ(nheld(), 0);
	CHECK_EQ(umpa_critical.nsections, 0);
}

static void give_what_is_not_held(void *arg)
{
	umpa_rank_leave(((struct umpa_lock *)arg)->rank);
}

TEST(locks_not_held_cannot_be_given)
{
	struct child_end end;

	PLAN(2);
	begin();
	child_run(give_what_is_not_held, &locks[LOCK_SPACE], &end);
	CHECK_EQ(end.signal, SIGABRT);
	CHECK(strstr(end.stderr_text, "umpa: broken invariant: "));
}

/* --- threads ------------------------------------------------------------------------------ */

enum {
	NTHREADS = 4,
	NROUNDS = 20000
};

static uint64_t shared[2];

/* Both counters always equal under the lock; another thread's ranks don't count. */
static void *count_up(void *arg)
{
	uint64_t *nwrong = arg;

	for (int i = 0; i < NROUNDS; i++) {
		umpa_lock_take(&locks[LOCK_SPACE]);
		*nwrong += shared[0] != shared[1] || nheld() != 1;
		shared[0]++;
		if (i % 64 == 0)
			sched_yield(); /* whoever else got in sees the two differ */
		shared[1]++;
		umpa_lock_give(&locks[LOCK_SPACE]);
	}
	return NULL;
}

static void *take_once(void *arg)
{
	umpa_lock_take(arg);
	umpa_lock_give(arg);
	return NULL;
}

/* Long enough for the others to go to sleep: each is woken, by the one before it. */
TEST(locks_wake_all_who_sleep)
{
	struct timespec while_they_sleep = {0, 20000000};
	pthread_t threads[NTHREADS];

	PLAN(2);
	begin();
	umpa_lock_take(&locks[LOCK_SPACE]);
	for (int i = 0; i < NTHREADS; i++)
		pthread_create(&threads[i], NULL, take_once, &locks[LOCK_SPACE]);
	nanosleep(&while_they_sleep, NULL);
	CHECK_EQ(__atomic_load_n(&locks[LOCK_SPACE].state, __ATOMIC_RELAXED), LOCK_AWAITED);
	umpa_lock_give(&locks[LOCK_SPACE]);
	for (int i = 0; i < NTHREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(locks[LOCK_SPACE].state, LOCK_FREE);
}

TEST(locks_let_one_thread_in)
{
	pthread_t threads[NTHREADS];
	uint64_t nwrong[NTHREADS] = {0}, sum = 0;

	PLAN(2);
	begin();
	shared[0] = shared[1] = 0;
	for (int i = 0; i < NTHREADS; i++)
		pthread_create(&threads[i], NULL, count_up, &nwrong[i]);
	for (int i = 0; i < NTHREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += nwrong[i];
	}
	CHECK_EQ(sum, 0);
	CHECK_EQ(shared[0], NTHREADS * NROUNDS);
}
