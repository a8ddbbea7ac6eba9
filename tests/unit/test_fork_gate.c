/* An allocator over umpa, with a lock of its own that it holds across umpa's calls, and that a fork
 * takes after umpa's: what the gate of core/fork.h is for. */
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "core/core.h"
#include "core/fork.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_os.h"

enum {
	NTHREADS = 3,
	NSTEPS = 300,
	NFORKS = 100
};

/* No mutex: the thread sanitizer would see that this lock and umpa's are taken in either order, and
 * not that the gate is between. */
static int allocator_lock; /* atomic */

static void take_allocator(void)
{
	while (__atomic_exchange_n(&allocator_lock, 1, __ATOMIC_ACQUIRE))
		sched_yield();
}

static void give_allocator(void)
{
	__atomic_store_n(&allocator_lock, 0, __ATOMIC_RELEASE);
}

/* Counts what went wrong. */
static void *allocate(void *arg)
{
	size_t npages = *(size_t *)arg;
	uintptr_t nwrong = 0;

	for (int i = 0; i < NSTEPS; i++) {
		take_allocator();
		if (umpa_fork_enter()) {
			char *p = umpa_map(npages * PAGE_NBYTES, UMPA_ZERO);

			nwrong += p == MAP_FAILED || *p;
			*p = 'x';
			nwrong += umpa_munmap(p, npages * PAGE_NBYTES) != 0;
			umpa_fork_leave();
		}
		give_allocator();
	}
	return (void *)nwrong;
}

static void fork_phases(void (*end)(void))
{
	umpa_fork_prepare();
	take_allocator();
	give_allocator();
	end();
}

TEST(gate_lets_nobody_wait_for_a_fork)
{
	size_t npages[NTHREADS] = {3, 100, 700};
	pthread_t thread[NTHREADS];
	struct umpa_stats st;

	PLAN(NTHREADS + 2);
	fake_reset();
	fake_threads(1);
	for (int i = 0; i < NTHREADS; i++)
		pthread_create(&thread[i], NULL, allocate, &npages[i]);
	for (int i = 0; i < NFORKS; i++)
		fork_phases(umpa_fork_parent);
	for (int i = 0; i < NTHREADS; i++) {
		void *nwrong;

		pthread_join(thread[i], &nwrong);
		CHECK_EQ((uintptr_t)nwrong, 0);
	}
	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.mapping_nbytes, 0);
	CHECK(umpa_mapping_valid());
	fake_threads(0);
}

TEST(gate_is_open_in_the_child)
{
	PLAN(3);
	umpa_fork_prepare();
	CHECK(!umpa_fork_enter());
	umpa_fork_child();
	CHECK(umpa_fork_enter());
	umpa_fork_leave();
	fork_phases(umpa_fork_parent);
	CHECK(umpa_fork_enter());
	umpa_fork_leave();
}

/* Or the next fork would wait for them for ever. */
TEST(gate_forgets_whom_it_has_turned_away)
{
	PLAN(3);
	umpa_fork_prepare();
	CHECK(!umpa_fork_enter());
	umpa_fork_parent();
	fork_phases(umpa_fork_parent);
	CHECK(umpa_fork_enter());
	umpa_fork_leave();
	fork_phases(umpa_fork_parent);
	CHECK(umpa_fork_enter());
	umpa_fork_leave();
}

/* No other thread can hold a lock, so a fork takes none and leaves no page written. */
TEST(gate_stays_open_in_a_process_of_one_thread)
{
	void (*const end[])(void) = {umpa_fork_parent, umpa_fork_child};

	PLAN(2 * 2 + 1);
	fake_single_threaded = 1;
	for (size_t i = 0; i < array_len(end); i++) {
		char *block;

		umpa_fork_prepare();
		CHECK(umpa_fork_enter());
		umpa_fork_leave();
		block = umpa_alloc(1 << 20, 0);
		CHECK(block != NULL);
		end[i]();
		umpa_free(block);
	}
	fake_single_threaded = 0;
	umpa_fork_prepare();
	CHECK(!umpa_fork_enter());
	umpa_fork_parent();
}

/* --- slots in transit ----------------------------------------------------------------------- */

static int is_filled; /* atomic */

static void *fill_from_the_pool(void *arg)
{
	(void)arg;
	/* Room to grow is void, and frames are carried to it. */
	umpa_free(umpa_alloc((size_t)8 << 20, UMPA_ZERO | UMPA_RESERVE(2)));
	__atomic_store_n(&is_filled, 1, __ATOMIC_RELEASE);
	return NULL;
}

static int (*true_move)(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved);
static unsigned nmoves, noutside;

static int move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	nmoves++;
	noutside += !umpa_critical.nsections;
	return true_move(m, dst, src, nbytes, flags, moved);
}

/* A fork waits for who has slots in transit, so no handler may hold them up. */
TEST(gate_transit_is_a_critical_section)
{
	PLAN(3);
	umpa_mapping_stop();
	umpa_core_stop();
	fake_reset();
	umpa_free(umpa_alloc((size_t)32 << 20, UMPA_BACKED));
	/* Once before, by which the mover is chosen. */
	fill_from_the_pool(NULL);
	umpa_free(umpa_alloc((size_t)64 << 20, UMPA_BACKED));
	nmoves = noutside = 0;
	true_move = umpa_core.mover.move;
	umpa_core.mover.move = move;
	umpa_free(umpa_alloc((size_t)24 << 20, UMPA_ZERO | UMPA_RESERVE(2)));
	umpa_core.mover.move = true_move;
	CHECK(nmoves > 0);
	CHECK_EQ(noutside, 0);
	CHECK_EQ(umpa_critical.nsections, 0);
}

/* Where others went on departing, a fork could wait for as long as they do. */
TEST(gate_lets_nobody_depart_while_a_fork_waits)
{
	struct umpa_space *s = &umpa_core.space;
	uint64_t nmoved;
	struct umpa_stats st;
	pthread_t thread;

	PLAN(4);
	umpa_mapping_stop();
	umpa_core_stop();
	fake_reset();
	fake_threads(1);
	__atomic_store_n(&is_filled, 0, __ATOMIC_RELAXED);
	umpa_free(umpa_alloc((size_t)32 << 20, UMPA_BACKED));
	umpa_lock_take(&s->lock);
	s->nresting++;
	umpa_lock_give(&s->lock);
	umpa_get_stats(&st, sizeof(st));
	nmoved = st.nslots_moved;
	pthread_create(&thread, NULL, fill_from_the_pool, NULL);
	for (int i = 0; i < 50 && !__atomic_load_n(&is_filled, __ATOMIC_ACQUIRE); i++)
		usleep(1000);
	CHECK(!__atomic_load_n(&is_filled, __ATOMIC_ACQUIRE));
	umpa_lock_take(&s->lock);
	CHECK_EQ(s->ntransit, 0);
	s->nresting--;
	umpa_lock_give(&s->lock);
	pthread_join(thread, NULL);
	CHECK(is_filled);
	umpa_get_stats(&st, sizeof(st));
	CHECK(st.nslots_moved > nmoved);
	fake_threads(0);
}
