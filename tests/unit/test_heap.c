/*
 * The malloc family on the fake OS, over an engine of the test's own that counts what it is asked
 * and can be told to refuse.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "core/evidence.h"
#include "core/owns.h"
#include "core/pool.h"
#include "core/sparse.h"
#include "core/stats.h"
#include "heap/heap.h"
#include "heap/learn.h"
#include "heap/prove.h"
#include "support/check.h"
#include "support/fake_os.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* --- the engine ----------------------------------------------------------------------------- */

static struct {
	unsigned nmallocs, naligned, nfrees, nfinds;
	int refuses;    /* every request */
	int keeps_at_0; /* realloc to 0 gives a block, as mimalloc's does */
	int measures;
	int recursions; /* mallocs made while it is being found */
	int nowhere;    /* there is none */
	int learns;     /* mallopt is its own */
	int tuned;      /* by the environment */
	unsigned nmallopts;
	int param, value; /* of the last mallopt */
	enum umpa_consent consent;
} engine;

static void *engine_malloc(size_t nbytes)
{
	__atomic_fetch_add(&engine.nmallocs, 1, __ATOMIC_RELAXED);
	return engine.refuses ? umpa_heap_refuse() : malloc(nbytes);
}

static void *engine_calloc(size_t n, size_t each)
{
	return engine.refuses ? umpa_heap_refuse() : calloc(n, each);
}

static void *engine_realloc(void *p, size_t nbytes)
{
	if (engine.refuses)
		return umpa_heap_refuse();
	return realloc(p, nbytes || !engine.keeps_at_0 ? nbytes : 1);
}

static void engine_free(void *p)
{
	__atomic_fetch_add(&engine.nfrees, 1, __ATOMIC_RELAXED);
	free(p);
}

static int engine_posix_memalign(void **out, size_t align, size_t nbytes)
{
	engine.naligned++;
	errno = ERANGE;
	return engine.refuses ? ENOMEM : posix_memalign(out, align, nbytes);
}

static void *engine_aligned(size_t align, size_t nbytes)
{
	engine.naligned++;
	if (align & (align - 1)) {
		errno = EINVAL;
		return NULL;
	}
	return engine.refuses ? umpa_heap_refuse() : aligned_alloc(align, nbytes);
}

static size_t engine_usable_size(void *p)
{
	return p ? 48 * KIB : 0;
}

static int engine_mallopt(int param, int value)
{
	engine.nmallopts++;
	engine.param = param;
	engine.value = value;
	errno = ERANGE;
	return 1;
}

/* What libc's own lookup does: it allocates, from the malloc that is being looked up. */
static int recurse(void)
{
	char *p = umpa_heap_calloc(4, 25), *q = umpa_heap_malloc(3000), *r = NULL;
	int right = p && q && umpa_boot_owns(p) && umpa_boot_owns(q) &&
		    umpa_heap_usable_size(p) == 100 && !umpa_heap_usable_size(NULL) && !p[99];

	memset(p, 7, 100);
	r = umpa_heap_realloc(p, 5000);
	right &= r && umpa_boot_owns(r) && r[99] == 7 && !r[100];
	umpa_heap_free(r);
	umpa_heap_free(q);
	umpa_heap_free(NULL);
	return right;
}

int umpa_host_find_engine(struct umpa_engine *out)
{
	__atomic_fetch_add(&engine.nfinds, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < engine.recursions; i++)
		CHECK(recurse());
	if (engine.nowhere)
		return 0;
	*out = (struct umpa_engine){.malloc = engine_malloc,
		.calloc = engine_calloc,
		.realloc = engine_realloc,
		.free = engine_free,
		.posix_memalign = engine_posix_memalign,
		.aligned_alloc = engine_aligned,
		.memalign = engine_aligned,
		.usable_size = engine_usable_size,
		.mallopt = engine_mallopt,
		.begin = 1000,
		.end = 2000,
		.measures = engine.measures,
		.learns = engine.learns};
	return 1;
}

int umpa_host_has_huge_heap(void)
{
	return 0;
}

int umpa_host_tunes_engine(void)
{
	return engine.tuned;
}

enum umpa_consent umpa_host_consent(void)
{
	return engine.consent;
}

/* A process's beginning: no engine, no window. */
static void begin(void)
{
	fake_reset();
	umpa_evidence_stop();
	umpa_prove_misfit_npages = 0;
	umpa_engine = (struct umpa_engine)UMPA_ENGINE_UNKNOWN;
	umpa_heap_min = umpa_heap_plain = 0;
	umpa_heap_had_first = 1;
	umpa_sparse_forget();
	memset(&engine, 0, sizeof(engine));
	engine.consent = UMPA_CONSENT_GIVEN;
	engine.measures = engine.learns = 1;
	umpa_learn_noted = umpa_learn_taught = LEARN_NBYTES_MIN;
}

static void end(void)
{
	struct umpa_stats st;

	CHECK_EQ(umpa_get_stats(&st, sizeof(st)), 0);
	CHECK_EQ(st.nblocks, 0);
	umpa_core_stop();
	CHECK_EQ(fake_nframes(), 0);
}
enum {
	END_CHECKS = 3
};

static int umpas(const void *p)
{
	return umpa_owns_block(p);
}

/* --- the tests ------------------------------------------------------------------------------ */

TEST(heap_small_is_the_engines)
{
	void *p, *q;

	PLAN(8 + END_CHECKS);
	begin();
	p = umpa_heap_malloc(64 * KIB - 1);
	q = umpa_heap_malloc(64 * KIB);
	CHECK(p && !umpas(p));
	CHECK(umpas(q));
	CHECK_EQ(engine.nmallocs, 1);
	CHECK_EQ(engine.nfinds, 1);
	CHECK_EQ(umpa_heap_usable_size(p), 48 * KIB);
	CHECK_EQ(umpa_heap_usable_size(q), 64 * KIB);
	CHECK_EQ(umpa_heap_usable_size(NULL), 0);
	umpa_heap_free(p);
	umpa_heap_free(q);
	CHECK_EQ(engine.nfrees, 1);
	end();
}

/* As C++'s library asks for one in every process. */
TEST(heap_first_block_is_the_engines)
{
	void *first, *second;

	PLAN(8 + 2 * END_CHECKS);
	begin();
	umpa_heap_had_first = 0;
	first = umpa_heap_malloc(72704);
	CHECK(first && !umpas(first));
	CHECK_EQ(fake_ncalls(), 0);
	second = umpa_heap_malloc(72704);
	CHECK(umpas(second));
	first = umpa_heap_realloc(first, 300 * KIB);
	CHECK(umpas(first));
	umpa_heap_free(first);
	umpa_heap_free(second);
	end();

	begin();
	umpa_heap_had_first = 0;
	first = umpa_heap_malloc(128 * KIB);
	second = umpa_heap_calloc(2, 64 * KIB);
	CHECK(umpas(first) && umpas(second));
	umpa_heap_free(first);
	umpa_heap_free(second);
	/* Aligned ones, too. */
	first = umpa_heap_memalign(PAGE_NBYTES, 72704);
	CHECK(umpas(first));
	umpa_heap_free(first);
	end();
	umpa_heap_had_first = 0;
	first = umpa_heap_memalign(PAGE_NBYTES, 73728);
	CHECK(first && !umpas(first));
	CHECK_EQ((uintptr_t)first % PAGE_NBYTES, 0);
	umpa_heap_free(first);
}

TEST(heap_boot_blocks_for_the_lookup)
{
	void *p;

	PLAN(6 + END_CHECKS);
	begin();
	engine.recursions = 3;
	p = umpa_heap_malloc(100);
	CHECK(p && !umpa_boot_owns(p));
	umpa_heap_free(p);
	CHECK_EQ(engine.nfinds, 1);
	CHECK_EQ(engine.nfrees, 1);
	end();
}

TEST(heap_boot_blocks_live_on)
{
	char *p, *q;

	PLAN(7 + END_CHECKS);
	begin();
	engine.nowhere = 1;
	p = umpa_heap_calloc(1, 5000);
	CHECK(umpa_boot_owns(p));
	memset(p, 3, 5000);
	CHECK(!umpa_heap_malloc(BOOT_NBYTES + 1));
	CHECK(umpa_boot_owns(umpa_heap_memalign(4096, 1)));
	engine.nowhere = 0;
	umpa_heap_start();
	q = umpa_heap_realloc(p, 100 * KIB);
	CHECK(umpas(q) && q[0] == 3 && q[4999] == 3);
	umpa_heap_free(q);
	q = umpa_heap_realloc(p, 50);
	CHECK(q && !umpas(q) && !umpa_boot_owns(q) && q[49] == 3);
	umpa_heap_free(p);
	CHECK_EQ(engine.nfrees, 0);
	umpa_heap_free(q);
	CHECK_EQ(engine.nfrees, 1);
	end();
}

static void *first_malloc(void *arg)
{
	size_t nbytes = 60 * KIB + ((uintptr_t)arg & 1) * 10 * KIB;
	char *p = umpa_heap_malloc(nbytes);

	if (!p || umpa_boot_owns(p))
		return NULL;
	if (umpas(p))
		fake_touch(p, nbytes);
	umpa_heap_free(p);
	return arg;
}

TEST(heap_starts_in_many_threads)
{
	enum {
		NTHREADS = 8,
		NROUNDS = 20
	};
	pthread_t thread[NTHREADS];
	void *result;

	PLAN(NROUNDS * (NTHREADS + END_CHECKS));
	for (unsigned round = 0; round < NROUNDS; round++) {
		begin();
		fake_threads(1);
		for (uintptr_t i = 0; i < NTHREADS; i++)
			pthread_create(&thread[i], NULL, first_malloc, (void *)(i + 2));
		for (unsigned i = 0; i < NTHREADS; i++) {
			pthread_join(thread[i], &result);
			CHECK(result != NULL);
		}
		fake_threads(0);
		end();
	}
}

TEST(heap_acts_with_consent_only)
{
	void *p;

	PLAN(8 + END_CHECKS);
	begin();
	engine.consent = UMPA_CONSENT_NOT_YET;
	p = umpa_heap_malloc(MIB);
	CHECK(p && !umpas(p));
	p = umpa_heap_realloc(p, 2 * MIB);
	CHECK(p && !umpas(p));
	umpa_heap_free(p);
	CHECK_EQ(fake_ncalls(), 0);
	engine.consent = UMPA_CONSENT_GIVEN;
	p = umpa_heap_malloc(MIB);
	CHECK(umpas(p));
	umpa_heap_free(p);
	end();

	begin();
	engine.consent = UMPA_CONSENT_NEVER;
	p = umpa_heap_calloc(1, MIB);
	CHECK(p && !umpas(p));
	p = umpa_heap_realloc(p, 2 * MIB);
	CHECK(p && !umpas(p));
	umpa_heap_free(p);
	CHECK_EQ(umpa_heap_min, SIZE_MAX);
	CHECK_EQ(fake_ncalls(), 0);
}

TEST(heap_resize_across_the_threshold)
{
	char *p, *q;

	PLAN(10 + END_CHECKS);
	begin();
	p = umpa_heap_malloc(48 * KIB);
	memset(p, 5, 48 * KIB);
	q = umpa_heap_realloc(p, 100 * KIB);
	CHECK(umpas(q) && q[0] == 5 && q[48 * KIB - 1] == 5);
	CHECK_EQ(engine.nfrees, 1);
	/* Above half of what it has, it stays. */
	p = umpa_heap_realloc(q, 60 * KIB);
	CHECK(p == q);
	CHECK_EQ(umpa_heap_usable_size(p), 60 * KIB);
	q = umpa_heap_realloc(p, 30 * KIB);
	CHECK(q && !umpas(q) && q[0] == 5 && q[30 * KIB - 1] == 5);
	umpa_heap_free(q);

	p = umpa_heap_malloc(4 * MIB);
	p[999] = 9;
	engine.refuses = 1;
	q = umpa_heap_realloc(p, 1000);
	CHECK(q == p && q[999] == 9);
	CHECK_EQ(umpa_heap_usable_size(q), 4 * KIB);
	engine.refuses = 0;
	q = umpa_heap_realloc(q, 10);
	CHECK(q && !umpas(q));
	CHECK(q != p);
	umpa_heap_free(q);
	CHECK_EQ(engine.nfrees, 3);
	end();
}

TEST(heap_resize_of_the_engines_large_blocks)
{
	void *p;

	PLAN(3 + END_CHECKS);
	begin();
	/* What can't be measured can't be copied: its engine resizes it. */
	engine.measures = 0;
	p = umpa_heap_malloc(100);
	p = umpa_heap_realloc(p, MIB);
	CHECK(p && !umpas(p));
	umpa_heap_free(p);
	p = umpa_heap_realloc(NULL, MIB);
	CHECK(umpas(p));
	umpa_heap_free(p);
	CHECK_EQ(engine.nfrees, 1);
	end();
}

TEST(heap_resize_to_nothing)
{
	void *p;

	PLAN(3 + END_CHECKS);
	begin();
	CHECK(!umpa_heap_realloc(umpa_heap_malloc(MIB), 0));
	engine.keeps_at_0 = 1;
	p = umpa_heap_realloc(umpa_heap_malloc(MIB), 0);
	CHECK(p && !umpas(p));
	umpa_heap_free(p);
	engine.refuses = 1;
	CHECK(!umpa_heap_realloc(umpa_heap_malloc(MIB), 0));
	end();
}

TEST(heap_asks_the_engine_where_umpa_refuses)
{
	char *p, *q;
	void *r = NULL;

	PLAN(9 + END_CHECKS);
	begin();
	p = umpa_heap_malloc(MIB);
	p[0] = 4;
	fake_fail_from(1, -ENOMEM);
	q = umpa_heap_malloc(200 * MIB);
	CHECK(q && !umpas(q));
	umpa_heap_free(q);
	q = umpa_heap_calloc(1, 200 * MIB);
	CHECK(q && !umpas(q) && !q[200 * MIB - 1]);
	umpa_heap_free(q);
	CHECK(!umpa_heap_posix_memalign(&r, 64, 200 * MIB) && r && !umpas(r));
	umpa_heap_free(r);
	q = umpa_heap_realloc(p, 200 * MIB);
	CHECK(q && !umpas(q) && q[0] == 4);
	umpa_heap_free(q);

	engine.refuses = 1;
	errno = 0;
	CHECK(!umpa_heap_malloc(200 * MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!umpa_heap_calloc(200, MIB) && errno == ENOMEM);
	errno = 0;
	CHECK(!umpa_heap_memalign(64, 200 * MIB) && errno == ENOMEM);
	errno = EDOM;
	r = &r;
	CHECK_EQ(umpa_heap_posix_memalign(&r, 64, 200 * MIB), ENOMEM);
	CHECK(r == &r && errno == EDOM);
	fake_fail_from(0, 0);
	end();
}

TEST(heap_alignment)
{
	void *p = NULL;

	PLAN(14 + END_CHECKS);
	begin();
	CHECK(umpa_heap_posix_memalign(&p, 64 * KIB, 64 * KIB) == 0 && umpas(p));
	CHECK(!((uintptr_t)p % (64 * KIB)));
	umpa_heap_free(p);
	p = umpa_heap_aligned_alloc(8 * MIB, MIB);
	CHECK(umpas(p) && !((uintptr_t)p % (8 * MIB)));
	umpa_heap_free(p);
	p = umpa_heap_valloc(MIB);
	CHECK(umpas(p));
	umpa_heap_free(p);
	p = umpa_heap_pvalloc(60 * KIB + 1);
	CHECK(umpas(p) || !((uintptr_t)p % PAGE_NBYTES));
	umpa_heap_free(p);
	CHECK_EQ(engine.naligned, 0);

	/* What an odd alignment means is for the engine to say. */
	errno = 0;
	CHECK(!umpa_heap_memalign(24, MIB) && errno == EINVAL);
	CHECK(!umpa_heap_aligned_alloc(24, MIB) && errno == EINVAL);
	CHECK_EQ(engine.naligned, 2);
	p = &p;
	errno = EDOM;
	CHECK_EQ(umpa_heap_posix_memalign(&p, 24, MIB), EINVAL);
	CHECK_EQ(umpa_heap_posix_memalign(&p, 0, MIB), EINVAL);
	CHECK_EQ(umpa_heap_posix_memalign(&p, 64, (size_t)PTRDIFF_MAX + 1), ENOMEM);
	CHECK(p == &p);
	CHECK_EQ(errno, EDOM);
	end();
}

/* The kernel says whether more than the machine has is to be had, so the engine asks it. */
TEST(heap_leaves_more_than_the_memory_to_the_engine)
{
	void *p;

	PLAN(3 + END_CHECKS);
	begin();
	fake_machine.memory_nbytes = (size_t)1 << 30;
	p = umpa_heap_malloc((size_t)1 << 30);
	CHECK(umpas(p));
	umpa_heap_free(p);
	engine.refuses = 1;
	errno = 0;
	CHECK(!umpa_heap_malloc(((size_t)1 << 30) + 1) && errno == ENOMEM);
	CHECK_EQ(engine.nmallocs, 1);
	end();
}

TEST(heap_refuses_alignments_by_itself)
{
	void *p = &p;

	PLAN(4 + END_CHECKS);
	begin();
	umpa_heap_free(umpa_heap_malloc(MIB));
	CHECK_EQ(
		umpa_heap_posix_memalign(&p, 4, MIB), EINVAL); /* no multiple of a pointer's size */
	CHECK(p == &p);
	/* Not every engine sets errno. */
	errno = 0;
	CHECK(!umpa_heap_memalign(64, (size_t)PTRDIFF_MAX + 1) && errno == ENOMEM);
	CHECK_EQ(engine.naligned, 0);
	end();
}

/* The bootstrap arena's blocks begin at pages and no better. */
TEST(heap_aligns_no_boot_blocks_beyond_a_page)
{
	void *p = &p;

	PLAN(3 + END_CHECKS);
	begin();
	engine.nowhere = 1;
	CHECK(!umpa_heap_memalign(64 * KIB, 100));
	CHECK_EQ(umpa_heap_posix_memalign(&p, 64 * KIB, 100), ENOMEM);
	CHECK(p == &p);
	end();
}

/* A pointer from before umpa came is the engine's to free, also where it is the first call of all.
 */
TEST(heap_finds_the_engine_to_free)
{
	PLAN(2 + END_CHECKS);
	begin();
	umpa_heap_free(malloc(100));
	CHECK_EQ(engine.nfinds, 1);
	CHECK_EQ(engine.nfrees, 1);
	end();
}

TEST(heap_finds_the_engine_to_measure)
{
	void *p = malloc(100);

	PLAN(3 + END_CHECKS);
	begin();
	CHECK_EQ(umpa_heap_usable_size(p), 48 * KIB);
	CHECK_EQ(engine.nfinds, 1);
	CHECK_EQ(umpa_heap_usable_size(p), 48 * KIB);
	umpa_heap_free(p);
	end();
}

/* Who calls malloc has not asked for a pool. */
TEST(heap_lets_the_pool_shed)
{
	PLAN(1 + END_CHECKS);
	begin();
	umpa_pool_sheds = 0;
	umpa_heap_free(umpa_heap_malloc(MIB));
	CHECK(umpa_pool_sheds);
	end();
}

/* --- what the engine would have learnt ------------------------------------------------------ */

/* A block comes and goes. Result: how often the engine was told something. */
static unsigned told_by(size_t nbytes)
{
	unsigned before = engine.nmallopts;

	umpa_heap_free(umpa_heap_malloc(nbytes));
	return engine.nmallopts - before;
}

TEST(heap_tells_the_engine_what_it_would_have_learnt)
{
	void *p;

	PLAN(17 + END_CHECKS);
	begin();
	CHECK_EQ(told_by(1000), 0);
	CHECK_EQ(told_by(128 * KIB), 0);
	p = umpa_heap_malloc(900 * KIB);
	CHECK_EQ(engine.nmallopts, 0);
	errno = EDOM;
	umpa_heap_free(p);
	CHECK_EQ(errno, EDOM);
	CHECK_EQ(engine.nmallopts, 1);
	CHECK_EQ(engine.param, -1);
	CHECK_EQ(engine.value, 2 * 928 * KIB);
	CHECK_EQ(told_by(928 * KIB), 0);
	CHECK_EQ(told_by(33 * MIB), 0);
	CHECK_EQ(told_by(MIB), 1);
	CHECK_EQ(engine.value, 2 * MIB);
	/* In sixteenths of a power of two, so that a block that grows tells it now and then. */
	CHECK_EQ(told_by(MIB + 1), 1);
	CHECK_EQ(engine.value, 2 * MIB + 128 * KIB);
	CHECK_EQ(told_by(MIB + 64 * KIB), 0);
	p = umpa_heap_realloc(umpa_heap_malloc(MIB), 32 * MIB);
	umpa_heap_free(p);
	CHECK_EQ(engine.value, 64 * MIB);
	/* What is not the heap's own affair goes to the engine and changes nothing else. */
	CHECK_EQ(umpa_heap_mallopt(-6, 85), 1);
	CHECK_EQ(engine.param, -6);
	end();
}

TEST(heap_does_not_tell_an_engine_that_is_not_glibc)
{
	PLAN(1 + END_CHECKS);
	begin();
	engine.learns = 0;
	CHECK_EQ(told_by(MIB), 0);
	end();
}

TEST(heap_leaves_a_heap_alone_that_somebody_tuned)
{
	PLAN(6 + 2 * END_CHECKS);
	begin();
	engine.tuned = 1;
	CHECK_EQ(told_by(MIB), 0);
	engine.tuned = 0;
	CHECK_EQ(told_by(8 * MIB), 0);
	end();

	begin();
	CHECK_EQ(told_by(MIB), 1);
	CHECK_EQ(umpa_heap_mallopt(-2, 4096), 1);
	CHECK_EQ(engine.value, 4096);
	CHECK_EQ(told_by(8 * MIB), 0);
	end();
}

TEST(heap_tells_nothing_where_the_engine_has_large_blocks_itself)
{
	PLAN(1 + END_CHECKS);
	begin();
	umpa_heap_start();
	umpa_heap_min = 256 * KIB;
	CHECK_EQ(told_by(MIB), 0);
	end();
}

/* The other numbers, glibc's count of arenas among them, don't end its learning. */
TEST(heap_goes_on_telling_after_other_mallopts)
{
	PLAN(2 + END_CHECKS);
	begin();
	CHECK_EQ(umpa_heap_mallopt(-8, 2), 1);
	CHECK_EQ(told_by(MIB), 1);
	end();
}

TEST(heap_keeps_a_shrunk_block_that_is_dear_to_copy)
{
	void *p;

	PLAN(3 + END_CHECKS);
	begin();
	umpa_heap_start();
	umpa_heap_min = MIB;
	p = umpa_heap_malloc(MIB + MIB / 2);
	CHECK(umpas(p));
	p = umpa_heap_realloc(p, 200 * KIB);
	CHECK(umpas(p));
	p = umpa_heap_realloc(p, 100 * KIB);
	CHECK(p && !umpas(p));
	umpa_heap_free(p);
	end();
}

TEST(heap_mallopt_without_an_engine)
{
	PLAN(2 + END_CHECKS);
	begin();
	engine.nowhere = 1;
	CHECK_EQ(umpa_heap_mallopt(-1, 1), 0);
	CHECK_EQ(engine.nmallopts, 0);
	end();
}

/* --- large blocks on probation -------------------------------------------------------------- */

static char *touched(char *p, size_t nbytes)
{
	fake_touch(p, nbytes);
	return p;
}

static int in_window(const void *p)
{
	return p && umpas(p) && umpa_in_window(p);
}

static int on_probation(const void *p)
{
	return p && umpas(p) && !umpa_in_window(p);
}

TEST(heap_large_blocks_are_the_kernels_first)
{
	char *p[4];

	PLAN(5 + END_CHECKS);
	begin();
	p[0] = touched(umpa_heap_malloc(4 * MIB), 4 * MIB);
	CHECK(on_probation(p[0]));
	p[1] = touched(umpa_heap_malloc(4 * MIB), 4 * MIB);
	CHECK(on_probation(p[1]));
	p[2] = umpa_heap_malloc(4 * MIB);
	CHECK(in_window(p[2]));
	umpa_heap_free(p[0]);
	umpa_heap_free(p[1]);
	p[3] = umpa_heap_realloc(NULL, 30 * MIB);
	CHECK(in_window(p[3]));
	umpa_heap_free(p[2]);
	umpa_heap_free(p[3]);
	CHECK_EQ(umpa_outside_nblocks, 0);
	end();
}

TEST(heap_blocks_that_are_not_filled_stay_the_kernels)
{
	char *p[8];

	PLAN(8 + 8 + 1 + END_CHECKS);
	begin();
	for (int i = 0; i < 8; i++) {
		p[i] = touched(umpa_heap_malloc((size_t)(i + 2) * MIB), MIB);
		CHECK(on_probation(p[i]));
	}
	CHECK_EQ(fake_nframes(), 8 * MIB / PAGE_NBYTES);
	for (int i = 0; i < 8; i++) {
		umpa_heap_free(p[i]);
		CHECK_EQ(umpa_outside_nblocks, 7 - i);
	}
	end();
}

TEST(heap_zeroed_blocks_have_a_probation_of_their_own)
{
	char *p, *q, *r;

	PLAN(6 + END_CHECKS);
	begin();
	p = touched(umpa_heap_calloc(64, MIB), 64 * MIB);
	CHECK(on_probation(p) && !p[0]);
	CHECK(on_probation(r = umpa_heap_malloc(4 * MIB)));
	q = umpa_heap_calloc(64, MIB);
	CHECK(in_window(q) && !q[0]);
	umpa_heap_free(p);
	umpa_heap_free(q);
	CHECK(on_probation(q = umpa_heap_calloc(4, MIB)));
	umpa_heap_free(q);
	CHECK(on_probation(q = umpa_heap_calloc(4, MIB)));
	umpa_heap_free(q);
	umpa_heap_free(r);
	CHECK_EQ(umpa_outside_nblocks, 0);
	end();
}

/* Blocks were seen to be filled: they come from the window. */
static void trust(void)
{
	for (int i = 0; i < 2; i++)
		umpa_heap_free(touched(umpa_heap_malloc(4 * MIB), 4 * MIB));
}

/* 3 MiB would leave half a superpage, 3.75 MiB an eighth of one. */
TEST(heap_misfits_are_the_kernels_while_a_process_is_small)
{
	char *p[5];

	PLAN(7 + END_CHECKS);
	begin();
	trust();
	CHECK(in_window(p[0] = umpa_heap_malloc(4 * MIB)));
	CHECK(on_probation(p[1] = umpa_heap_malloc(3 * MIB)));
	CHECK(in_window(p[2] = umpa_heap_malloc(3 * MIB + 768 * KIB)));
	CHECK(on_probation(p[3] = umpa_heap_malloc(2 * MIB + 1)));
	CHECK_EQ(umpa_prove_misfit_npages, 768 + 513);
	/* No more of them than MISFITS_NPAGES_MAX. */
	CHECK(in_window(p[4] = umpa_heap_malloc(3 * MIB)));
	for (int i = 0; i < 5; i++)
		umpa_heap_free(p[i]);
	CHECK_EQ(umpa_outside_nblocks, 0);
	end();
}

TEST(heap_misfits_of_zeros)
{
	char *p;

	PLAN(2 + END_CHECKS);
	begin();
	umpa_heap_free(touched(umpa_heap_calloc(3, MIB), 3 * MIB));
	CHECK(on_probation(p = umpa_heap_calloc(3, MIB)) && !p[0]);
	CHECK_EQ(umpa_prove_misfit_npages, 768);
	umpa_heap_free(p);
	end();
}

TEST(heap_misfits_of_a_large_process)
{
	char *p, *q;

	PLAN(2 + END_CHECKS);
	begin();
	trust();
	p = umpa_heap_malloc(40 * MIB);
	CHECK(in_window(q = umpa_heap_malloc(3 * MIB)));
	umpa_heap_free(q);
	umpa_heap_free(p);
	CHECK_EQ(umpa_prove_misfit_npages, 0);
	end();
}

TEST(heap_misfits_that_the_pool_has_superpages_for)
{
	char *p;

	PLAN(2 + END_CHECKS);
	begin();
	trust();
	umpa_heap_free(umpa_heap_malloc(4 * MIB));
	CHECK(in_window(p = umpa_heap_malloc(3 * MIB)));
	umpa_heap_free(p);
	CHECK_EQ(umpa_prove_misfit_npages, 0);
	end();
}

TEST(heap_misfit_is_refused)
{
	char *p, *q;

	PLAN(2 + END_CHECKS);
	begin();
	trust();
	p = umpa_heap_malloc(4 * MIB);
	fake_fail_at(1, -ENOMEM);
	CHECK(in_window(q = umpa_heap_malloc(3 * MIB)));
	fake_fail_at(0, 0);
	CHECK_EQ(umpa_prove_misfit_npages, 0);
	umpa_heap_free(q);
	umpa_heap_free(p);
	end();
}

/* What is far larger than a superpage, or smaller than one, or aligned. */
TEST(heap_blocks_without_probation)
{
	char *p[4];

	PLAN(4 + END_CHECKS);
	begin();
	p[0] = umpa_heap_malloc(32 * MIB);
	p[1] = umpa_heap_malloc(2 * MIB - 1);
	p[2] = umpa_heap_calloc(1, 2 * MIB - 1);
	p[3] = umpa_heap_memalign(64, 4 * MIB);
	for (int i = 0; i < 4; i++) {
		CHECK(in_window(p[i]));
		umpa_heap_free(p[i]);
	}
	end();
}

TEST(heap_block_on_probation_changes_its_size)
{
	char *p, *q;

	PLAN(5 + END_CHECKS);
	begin();
	p = touched(umpa_heap_malloc(4 * MIB), 4 * MIB);
	p[0] = 7;
	p[3 * MIB] = 8;
	q = umpa_heap_realloc(p, 12 * MIB);
	CHECK(umpas(q) && q[0] == 7 && q[3 * MIB] == 8);
	q = umpa_heap_realloc(q, 3 * MIB + PAGE_NBYTES);
	CHECK(umpas(q) && q[0] == 7 && q[3 * MIB] == 8);
	q = umpa_heap_realloc(q, 100);
	CHECK(q && !umpas(q) && q[0] == 7);
	umpa_heap_free(q);
	CHECK(on_probation(q = umpa_heap_malloc(2 * MIB)));
	CHECK(umpa_heap_realloc(q, 0) == NULL);
	end();
}

/* The kernel refuses: the block comes from the window. */
TEST(heap_probation_is_refused)
{
	char *p, *q;

	PLAN(3 + END_CHECKS);
	begin();
	p = umpa_heap_malloc(64 * KIB);
	fake_fail_at(1, -ENOMEM);
	q = umpa_heap_malloc(4 * MIB);
	CHECK(in_window(q));
	umpa_heap_free(q);
	fake_fail_at(2, -ENOMEM);
	q = umpa_heap_malloc(4 * MIB);
	CHECK(in_window(q));
	umpa_heap_free(q);
	CHECK_EQ(umpa_outside_nblocks, 0);
	umpa_heap_free(p);
	end();
}

/* Nothing that was served without umpa has started it. */
TEST(heap_block_on_probation_does_without_the_rest)
{
	struct umpa_stats st;
	char *p, *q;

	PLAN(6 + END_CHECKS);
	begin();
	p = umpa_heap_malloc(4 * MIB);
	q = umpa_heap_calloc(4, MIB);
	CHECK(on_probation(p) && on_probation(q));
	umpa_heap_free(p);
	umpa_stats_so_far(&st);
	CHECK(!umpa_core_started);
	CHECK_EQ(st.nallocs, 2);
	CHECK_EQ(st.outside_nbytes, 4 * MIB);
	CHECK_EQ(umpa_outside_nblocks, 1);
	umpa_heap_free(q);
	CHECK(!umpa_core_started);
	end();
}

/* --- blocks that are touched sparsely -------------------------------------------------------- */

enum {
	NPOOLS = 100
};

static void *pool[NPOOLS];

/* Blocks of 256 KiB, of each of which so many pages are touched. Result: how many are umpa's. */
static unsigned npools_of_umpa(size_t ntouched)
{
	unsigned n = 0;

	for (int i = 0; i < NPOOLS; i++) {
		pool[i] = umpa_heap_malloc(256 * KIB);
		if (umpas(pool[i]) && ntouched)
			fake_touch(pool[i], ntouched * PAGE_NBYTES);
		n += (unsigned)umpas(pool[i]);
	}
	return n;
}

static void free_pools(int from)
{
	for (int i = from; i < NPOOLS; i++)
		umpa_heap_free(pool[i]);
}

/* As many as the nursery holds, and what is between two looks. */
TEST(heap_sparse_blocks_are_the_engines)
{
	unsigned n;

	PLAN(5 + END_CHECKS);
	begin();
	n = npools_of_umpa(5);
	CHECK(n >= 24 && n <= 64 + 32);
	CHECK(!umpas(pool[NPOOLS - 1]));
	/* Larger ones are not asked about. */
	free_pools(NPOOLS - 1);
	pool[NPOOLS - 1] = umpa_heap_malloc(40 * MIB);
	CHECK(umpas(pool[NPOOLS - 1]));
	/* Once few are left there is room in base pages. */
	free_pools(2);
	n = 0;
	for (int i = 2; i < NPOOLS; i++) {
		pool[i] = umpa_heap_malloc(64 * KIB);
		n += (unsigned)umpas(pool[i]);
	}
	CHECK(n >= 32);
	CHECK(!umpa_sparse_ruled_out);
	free_pools(0);
	end();
}

TEST(heap_dense_blocks_are_umpas)
{
	PLAN(3 + END_CHECKS);
	begin();
	CHECK_EQ(npools_of_umpa(64), NPOOLS);
	CHECK(umpa_sparse_ruled_out);
	free_pools(0);
	CHECK_EQ(npools_of_umpa(1), NPOOLS);
	free_pools(0);
	end();
}

/* What nobody touches takes no memory, wherever it lies. */
TEST(heap_untouched_blocks_are_umpas)
{
	PLAN(2 + END_CHECKS);
	begin();
	CHECK_EQ(npools_of_umpa(0), NPOOLS);
	CHECK(!umpa_sparse_ruled_out);
	free_pools(0);
	end();
}

/* Where it can't be told, or pages are small everywhere, nothing is kept from umpa. */
TEST(heap_sparse_blocks_that_cost_nothing_or_say_nothing)
{
	PLAN(2 + 2 * END_CHECKS);
	begin();
	umpa_core_need();
	umpa_core.huge = 0;
	CHECK_EQ(npools_of_umpa(5), NPOOLS);
	free_pools(0);
	end();

	begin();
	umpa_core_need();
	umpa_os_confine(); /* mincore is not asked */
	CHECK_EQ(npools_of_umpa(5), NPOOLS);
	free_pools(0);
	end();
}
