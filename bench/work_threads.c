/*
 * Many threads at once. Each has books of its own, on cache lines of its own, in which the blocks
 * it holds are; what else it reads is constant while measured, but for the flag that ends it.
 *
 *	own     a thread frees what it was handed out: a random one of its blocks, then a new one
 *	handed  one half of the threads is handed out blocks, the other frees them, in pairs with a
 *	        queue each; one thread alone does both
 *	random  a thread puts a new block in a random one of the slots that all share, and frees
 *	        what was there
 *	larson  as own, but a thread soon ends and leaves its blocks to a new one
 *
 * Where blocks are touched, a mark in each is looked at before it is freed.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/cli.h"
#include "worker.h"

enum {
	LINE_NBYTES = 128, /* a cache line and the one that is fetched with it */
	NSIZES = 4096,
	NPARTS = 16, /* of the sizes */
	NTHREADS_MAX = 1024,
	NLARSON = 10000, /* blocks in the life of a thread */
	NSPINS = 200,    /* looks at a queue before the processor is given up */
	STACK_NBYTES = 64 << 10
};

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define own_lines __attribute__((aligned(LINE_NBYTES)))

/* A block and the index of its size: 48 and 16 bits. 0: none. */
typedef uint64_t held_block;

#define HELD_SHIFT 48

/* Written by one thread, read by one; each looks at the other's count only where what it saw last
 * does not do. */
struct queue {
	held_block *block;
	uint64_t nblocks;
	uint64_t nwritten own_lines; /* atomic */
	uint64_t nread_seen;         /* by who writes */
	uint64_t nread own_lines;    /* atomic */
	uint64_t nwritten_seen;      /* by who reads */
} own_lines;

struct place {
	held_block block; /* atomic */
} own_lines;

struct team;

struct member {
	struct team *team;
	uint64_t seed;
	uint64_t npicked; /* sizes, by parts */
	uint64_t nblocks; /* handed out, or for who only frees, freed */
	uint64_t limit;   /* of those */
	uint64_t least;   /* of those, even if the time is over */
	unsigned number;
	int failed, measured;
	held_block *block; /* own, larson: nlive of them */
	uint64_t nlive;
	struct queue *queue; /* handed */
} own_lines;

struct pattern {
	const char *name;
	/* Fills the books, every page touched. */
	void (*fill)(struct member *m);
	/* As many blocks as lie between two looks at whether to end, or fewer. */
	void (*burst)(struct member *m);
	uint64_t lifetime; /* blocks until a thread leaves its books to a new one; 0: none does */
};

struct team {
	const struct umpa_work *w;
	const struct pattern *pattern;
	struct member *member;
	struct place *slot; /* random: w->live of them */
	pthread_attr_t attr;
	pthread_barrier_t barrier; /* all members and who measures */
	uint64_t nbytes[NSIZES];
	int stop own_lines; /* an enum stop; atomic */
};

enum stop {
	STOP_NOT,
	STOP_TIME,  /* the time is over: once the least number of blocks is done */
	STOP_FAILED /* somebody has failed: at once, nobody is to wait for him */
};

/* --- blocks ---------------------------------------------------------------------------------- */

static uint64_t pick_size(const struct umpa_work *w, uint64_t *seed)
{
	unsigned nbins = 0;

	while (w->min << nbins < w->max)
		nbins++;
	if (!nbins)
		return w->min;
	return umpa_random_size(seed, w->min << (umpa_random(seed) >> 32) % nbins);
}

static int compare_sizes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* As umpa_random(), but without a call, which would count where a block costs a few of them. */
static uint64_t next_random(struct member *m)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed;
}

/* One of n below 2^32, from the upper bits; the lower ones are for the size. */
static uint64_t one_of(uint64_t random, uint64_t n)
{
	return (random >> 32) * n >> 32;
}

static char mark_of(uint64_t size_index)
{
	return (char)(size_index % 251 + 2);
}

static char *block_of(held_block held)
{
	return (char *)(uintptr_t)(held & (((uint64_t)1 << HELD_SHIFT) - 1));
}

static void touch_marked(void *block, uint64_t nbytes, uint64_t size_index)
{
	umpa_touch(block, nbytes);
	*(volatile char *)block = mark_of(size_index);
}

/*
 * Where few blocks may be all, their sizes are dealt out evenly, so that they are no luck: of
 * NPARTS in a row each is from another part of the range, and so are the first of the members.
 */
static uint64_t pick_index(struct member *m, uint64_t random)
{
	enum {
		STEP = 7 /* so that they don't rise one by one */
	};

	if (!m->team->w->least)
		return random % NSIZES;
	return (m->npicked++ * STEP % NPARTS * NSIZES + random % NSIZES) / NPARTS;
}

/* A new block of a size that the random number says; 0: refused, and the member has failed. */
static held_block take(struct member *m, uint64_t random, int touch)
{
	uint64_t index = pick_index(m, random), nbytes = m->team->nbytes[index];
	char *block = m->team->w->api->alloc(nbytes);

	if (!block) {
		m->failed = umpa_refuse(1, "bench: threads: out of memory");
		return 0;
	}
	if (touch)
		touch_marked(block, nbytes, index);
	return (uintptr_t)block | index << HELD_SHIFT;
}

/* Has the kernel bring a block's whole pages in one call, as faults would: where each of those
 * leaves the virtual machine they take longer than all that is measured. A kernel that doesn't know
 * the call leaves them to the faults. */
static void populate(char *block, uint64_t nbytes)
{
	size_t before = -(uintptr_t)block % PAGE_NBYTES;

	if (nbytes >= before + PAGE_NBYTES)
		syscall(SYS_madvise, block + before, (nbytes - before) & -PAGE_NBYTES,
			MADV_POPULATE_WRITE);
}

/* One for the books, touched, before anything is measured. */
static held_block take_first(struct member *m)
{
	held_block held = take(m, next_random(m), 0);
	uint64_t index = held >> HELD_SHIFT, nbytes = m->team->nbytes[index];

	if (held) {
		populate(block_of(held), nbytes);
		touch_marked(block_of(held), nbytes, index);
	}
	return held;
}

/* Frees it if there is one; its mark must be there. */
static void release(struct member *m, held_block held, int touched)
{
	uint64_t index = held >> HELD_SHIFT;
	char *block = block_of(held);

	if (!held)
		return;
	if (touched && *(volatile char *)block != mark_of(index))
		m->failed = umpa_refuse(1, "bench: threads: content lost");
	m->team->w->api->release(block, m->team->nbytes[index]);
}

/* --- own, larson ----------------------------------------------------------------------------- */

static void fill_own(struct member *m)
{
	uint64_t i;

	for (i = 0; i < m->nlive; i++)
		m->block[i] = take_first(m);
}

static void burst_own(struct member *m)
{
	uint64_t i, n = m->team->w->burst;
	int touch = m->team->w->touch != 0;

	for (i = 0; i < n; i++) {
		uint64_t random = next_random(m);
		held_block *at = &m->block[one_of(random, m->nlive)];

		release(m, *at, touch);
		*at = take(m, random, touch);
	}
	m->nblocks += n;
}

/* --- handed ---------------------------------------------------------------------------------- */

static int is_to_end(const struct member *m)
{
	int stop = __atomic_load_n(&m->team->stop, __ATOMIC_RELAXED);

	return stop && (stop == STOP_FAILED || m->nblocks >= m->least);
}

/* 1 if there is room, or a block, in the queue. Acquire pairs with the other side's release. */
static int can_put(struct queue *q)
{
	if (q->nwritten - q->nread_seen == q->nblocks)
		q->nread_seen = __atomic_load_n(&q->nread, __ATOMIC_ACQUIRE);
	return q->nwritten - q->nread_seen < q->nblocks;
}

static int can_get(struct queue *q)
{
	if (q->nwritten_seen == q->nread)
		q->nwritten_seen = __atomic_load_n(&q->nwritten, __ATOMIC_ACQUIRE);
	return q->nwritten_seen != q->nread;
}

/* Waits until it can; 0 if all is to end before. */
static int await(const struct member *m, int (*can)(struct queue *q))
{
	unsigned i;

	for (i = 1; !can(m->queue); i++) {
		if (is_to_end(m))
			return 0;
		if (i % NSPINS == 0)
			sched_yield();
	}
	return 1;
}

static void put_one(struct member *m, held_block held)
{
	struct queue *q = m->queue;

	q->block[q->nwritten % q->nblocks] = held;
	/* Pairs with can_get(): who sees the count sees the block. */
	__atomic_store_n(&q->nwritten, q->nwritten + 1, __ATOMIC_RELEASE);
}

static void get_one(struct member *m, int touched)
{
	struct queue *q = m->queue;
	held_block held = q->block[q->nread % q->nblocks];

	/* Pairs with can_put(): the place is read before it is written again. */
	__atomic_store_n(&q->nread, q->nread + 1, __ATOMIC_RELEASE);
	release(m, held, touched);
}

static int makes(const struct member *m)
{
	return m->number % 2 == 0;
}

static int frees(const struct member *m)
{
	return !makes(m) || m->team->w->threads == 1;
}

/* As many as the queue has room for, though the other may take some out already: when both have
 * done as many blocks as they are to, none waits. */
static void fill_handed(struct member *m)
{
	uint64_t i;

	for (i = 0; makes(m) && i < m->queue->nblocks; i++)
		put_one(m, take_first(m));
}

static void burst_handed(struct member *m)
{
	uint64_t i, n = m->team->w->burst;
	int touch = m->team->w->touch != 0;

	for (i = 0; i < n; i++) {
		if (frees(m)) {
			if (!await(m, can_get))
				break;
			get_one(m, touch);
		}
		if (makes(m)) {
			if (!await(m, can_put))
				break;
			put_one(m, take(m, next_random(m), touch));
		}
		m->nblocks++;
	}
}

/* --- random ---------------------------------------------------------------------------------- */

static void fill_random(struct member *m)
{
	uint64_t i;

	for (i = m->number; i < m->team->w->live; i += m->team->w->threads) {
		held_block held = take_first(m);

		__atomic_store_n(&m->team->slot[i].block, held, __ATOMIC_RELEASE);
	}
}

static void burst_random(struct member *m)
{
	uint64_t i, n = m->team->w->burst;
	int touch = m->team->w->touch != 0;

	for (i = 0; i < n; i++) {
		uint64_t random = next_random(m);
		held_block held = take(m, random, touch);
		struct place *at = &m->team->slot[one_of(random, m->team->w->live)];

		/* Release for who takes it out, acquire for what was there. */
		release(m, __atomic_exchange_n(&at->block, held, __ATOMIC_ACQ_REL), touch);
	}
	m->nblocks += n;
}

/* --- the threads ----------------------------------------------------------------------------- */

static void *live(void *arg);

static int start(struct team *t, void *(*begin)(void *), struct member *m)
{
	pthread_t thread;

	return pthread_create(&thread, &t->attr, begin, m);
}

/* Result: 1 if another thread goes on with the books. */
static int work(struct member *m)
{
	struct team *t = m->team;
	uint64_t last = t->pattern->lifetime ? m->nblocks + t->pattern->lifetime : UINT64_MAX;

	while (!m->failed && !is_to_end(m) && m->nblocks < m->limit) {
		t->pattern->burst(m);
		if (m->nblocks >= last && !m->failed)
			return !start(t, live, m);
	}
	return 0;
}

static int by_pairs(const struct team *t)
{
	return t->pattern->burst == burst_handed && t->w->threads > 1;
}

/* A pair shares its blocks. */
static uint64_t share_of(const struct member *m, uint64_t nblocks)
{
	uint64_t nshares = m->team->w->threads / (by_pairs(m->team) ? 2 : 1);

	return (nblocks + nshares - 1) / nshares;
}

/* The warm-up is over: once all are ready, what is measured begins. */
static void get_ready(struct member *m)
{
	const struct umpa_work *w = m->team->w;

	m->measured = 1;
	m->nblocks = 0;
	m->limit = w->traced ? share_of(m, w->ops) : UINT64_MAX;
	m->least = share_of(m, w->least);
	pthread_barrier_wait(&m->team->barrier);
	pthread_barrier_wait(&m->team->barrier);
}

static void *live(void *arg)
{
	struct member *m = arg;

	if (work(m))
		return NULL;
	if (m->failed)
		__atomic_store_n(&m->team->stop, STOP_FAILED, __ATOMIC_RELAXED);
	if (!m->measured) {
		get_ready(m);
		return live(m);
	}
	pthread_barrier_wait(&m->team->barrier);
	return NULL;
}

static void *begin(void *arg)
{
	struct member *m = arg;

	m->team->pattern->fill(m);
	m->limit = share_of(m, m->team->w->warmup);
	return live(m);
}

/* Every member gets books of its own, away from the others', and sizes of its own: seeds that
 * differ in a few bits would give all the same ones at first. */
static void init_member(struct team *t, unsigned number, uint64_t seed)
{
	const struct umpa_work *w = t->w;
	struct member *m = &t->member[number];
	uint64_t npairs = w->threads > 1 ? w->threads / 2 : 1;

	m->team = t;
	m->number = number;
	m->seed = seed | 1;
	m->npicked = number * NPARTS / w->threads;
	m->nlive = w->live / w->threads;
	m->block = umpa_worker_take((m->nlive + 1) * sizeof(*m->block) + LINE_NBYTES);
	if (number % 2) {
		m->queue = t->member[number - 1].queue;
		return;
	}
	m->queue = umpa_worker_take(sizeof(*m->queue));
	m->queue->nblocks = w->live / npairs;
	m->queue->block = umpa_worker_take(m->queue->nblocks * sizeof(*m->queue->block));
}

static int init(struct team *t, const struct umpa_work *w)
{
	uint64_t seed = w->seed, i;

	t->w = w;
	for (i = 0; i < NSIZES; i++)
		t->nbytes[i] = pick_size(w, &seed);
	qsort(t->nbytes, NSIZES, sizeof(*t->nbytes), compare_sizes);
	t->slot = umpa_worker_take(w->live * sizeof(*t->slot));
	t->member = umpa_worker_take(w->threads * sizeof(*t->member));
	for (i = 0; i < w->threads; i++)
		init_member(t, (unsigned)i, umpa_random(&seed));
	if (pthread_attr_init(&t->attr) ||
		pthread_attr_setdetachstate(&t->attr, PTHREAD_CREATE_DETACHED) ||
		pthread_attr_setstacksize(&t->attr, STACK_NBYTES) ||
		pthread_barrier_init(&t->barrier, NULL, (unsigned)w->threads + 1))
		return -1;
	if (umpa_page_api_provide(w->api, w->max))
		return -1;
	for (i = 0; i < w->threads; i++)
		if (start(t, begin, &t->member[i]))
			return -1;
	return 0;
}

static void let_run(struct team *t)
{
	int stop = STOP_NOT;
	struct timespec left = {(time_t)(t->w->ms / 1000), (long)(t->w->ms % 1000) * 1000000};

	if (t->w->traced)
		return;
	nanosleep(&left, NULL);
	/* A failure stays one. */
	__atomic_compare_exchange_n(
		&t->stop, &stop, STOP_TIME, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static uint64_t count_blocks(const struct team *t, int *failed)
{
	uint64_t n = 0, i;

	for (i = 0; i < t->w->threads; i++) {
		const struct member *m = &t->member[i];

		*failed |= m->failed;
		if (!by_pairs(t) || makes(m))
			n += m->nblocks;
	}
	return n;
}

static int measure(struct team *t)
{
	uint64_t start_ns, start_cpu_ns, start_nfaults, ns, cpu_ns, nfaults, n;
	int failed = 0;

	pthread_barrier_wait(&t->barrier);
	umpa_phase_begin(t->w);
	start_nfaults = umpa_faults_now();
	start_cpu_ns = umpa_cpu_now_ns();
	start_ns = umpa_now_ns();
	pthread_barrier_wait(&t->barrier);
	let_run(t);
	pthread_barrier_wait(&t->barrier);
	ns = umpa_now_ns() - start_ns;
	cpu_ns = umpa_cpu_now_ns() - start_cpu_ns;
	nfaults = umpa_faults_now() - start_nfaults;
	umpa_phase_end(t->w);
	n = count_blocks(t, &failed);
	if (failed)
		return -1;
	if (!n)
		return umpa_refuse(-1, "bench: threads: not one block in the time");
	umpa_put("nblocks", 0, (double)n);
	umpa_put("blocks_per_s", 0, (double)n * 1e9 / (double)ns);
	umpa_put("block_cpu_ns", 0, (double)cpu_ns / (double)n);
	umpa_put("block_nfaults", 0, (double)nfaults / (double)n);
	return 0;
}

static int check(const struct umpa_work *w, const struct pattern *p)
{
	if (!w->min || w->max < w->min || !w->seed || !w->ms || !w->burst || !w->threads ||
		w->threads > NTHREADS_MAX)
		return umpa_refuse(-1, "bench: threads: bad sizes, time or number of threads");
	if (p->burst == burst_handed && w->threads > 1 && w->threads % 2)
		return umpa_refuse(-1, "bench: threads: handed takes pairs of threads, or one");
	if (w->live < w->threads)
		return umpa_refuse(-1, "bench: threads: less live blocks than threads");
	return 0;
}

static int run(const struct umpa_work *w, const struct pattern *p)
{
	static struct team t;

	t.pattern = p;
	if (check(w, p))
		return -1;
	if (init(&t, w))
		return umpa_refuse(-1, "bench: threads: can't start them");
	return measure(&t);
}

int umpa_work_own(const struct umpa_work *w)
{
	static const struct pattern own = {"own", fill_own, burst_own, 0};

	return run(w, &own);
}

int umpa_work_handed(const struct umpa_work *w)
{
	static const struct pattern handed = {"handed", fill_handed, burst_handed, 0};

	return run(w, &handed);
}

int umpa_work_random(const struct umpa_work *w)
{
	static const struct pattern random = {"random", fill_random, burst_random, 0};

	return run(w, &random);
}

int umpa_work_larson(const struct umpa_work *w)
{
	static const struct pattern larson = {"larson", fill_own, burst_own, NLARSON};

	return run(w, &larson);
}
