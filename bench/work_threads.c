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
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "worker.h"

enum {
	LINE_NBYTES = 128, /* a cache line and the one that is fetched with it */
	NSIZES = 4096,
	NTHREADS_MAX = 1024,
	NBURST = 16,     /* blocks between two looks at whether to end */
	NLARSON = 10000, /* blocks in the life of a thread */
	NSPINS = 200,    /* looks at a queue before the processor is given up */
	STACK_NBYTES = 64 << 10
};

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

struct slot {
	held_block block; /* atomic */
} own_lines;

struct team;

struct member {
	struct team *team;
	uint64_t seed;
	uint64_t nblocks; /* handed out, or for who only frees, freed */
	uint64_t limit;   /* of those */
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
	/* NBURST blocks, or fewer. */
	void (*burst)(struct member *m);
	uint64_t lifetime; /* bursts until a thread leaves its books to a new one; 0: none does */
};

struct team {
	const struct umpa_work *w;
	const struct pattern *pattern;
	struct member *member;
	struct slot *slot; /* random: w->live of them */
	pthread_attr_t attr;
	pthread_barrier_t barrier; /* all members and who measures */
	uint64_t nbytes[NSIZES];
	int stop own_lines; /* atomic */
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

/* A new block of a size that the random number says; 0: refused, and the member has failed. */
static held_block take(struct member *m, uint64_t random, int touch)
{
	uint64_t index = random % NSIZES, nbytes = m->team->nbytes[index];
	char *block = m->team->w->api->alloc(nbytes);

	if (!block) {
		m->failed = umpa_refuse(1, "bench: threads: out of memory");
		return 0;
	}
	if (touch) {
		umpa_touch(block, nbytes);
		*(volatile char *)block = mark_of(index);
	}
	return (uintptr_t)block | index << HELD_SHIFT;
}

/* Frees it if there is one; its mark must be there. */
static void release(struct member *m, held_block held, int touched)
{
	uint64_t index = held >> HELD_SHIFT;
	char *block = (char *)(uintptr_t)(held & (((uint64_t)1 << HELD_SHIFT) - 1));

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
		m->block[i] = take(m, next_random(m), 1);
}

static void burst_own(struct member *m)
{
	int i, touch = m->team->w->touch != 0;

	for (i = 0; i < NBURST; i++) {
		uint64_t random = next_random(m);
		held_block *at = &m->block[one_of(random, m->nlive)];

		release(m, *at, touch);
		*at = take(m, random, touch);
	}
	m->nblocks += NBURST;
}

/* --- handed ---------------------------------------------------------------------------------- */

static int stopped(const struct team *t)
{
	return __atomic_load_n(&t->stop, __ATOMIC_RELAXED);
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
		if (stopped(m->team))
			return 0;
		if (i % NSPINS == 0)
			sched_yield();
	}
	return 1;
}

static void put_one(struct member *m, int touch)
{
	struct queue *q = m->queue;

	q->block[q->nwritten % q->nblocks] = take(m, next_random(m), touch);
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
		put_one(m, 1);
}

static void burst_handed(struct member *m)
{
	int i, touch = m->team->w->touch != 0;

	for (i = 0; i < NBURST; i++) {
		if (frees(m)) {
			if (!await(m, can_get))
				break;
			get_one(m, touch);
		}
		if (makes(m)) {
			if (!await(m, can_put))
				break;
			put_one(m, touch);
		}
		m->nblocks++;
	}
}

/* --- random ---------------------------------------------------------------------------------- */

static void fill_random(struct member *m)
{
	uint64_t i;

	for (i = m->number; i < m->team->w->live; i += m->team->w->threads) {
		held_block held = take(m, next_random(m), 1);

		__atomic_store_n(&m->team->slot[i].block, held, __ATOMIC_RELEASE);
	}
}

static void burst_random(struct member *m)
{
	int i, touch = m->team->w->touch != 0;

	for (i = 0; i < NBURST; i++) {
		uint64_t random = next_random(m);
		held_block held = take(m, random, touch);
		struct slot *at = &m->team->slot[one_of(random, m->team->w->live)];

		/* Release for who takes it out, acquire for what was there. */
		release(m, __atomic_exchange_n(&at->block, held, __ATOMIC_ACQ_REL), touch);
	}
	m->nblocks += NBURST;
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
	uint64_t n;

	for (n = 1; !m->failed && !stopped(t) && m->nblocks < m->limit; n++) {
		t->pattern->burst(m);
		if (n == t->pattern->lifetime && !m->failed)
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
	pthread_barrier_wait(&m->team->barrier);
	pthread_barrier_wait(&m->team->barrier);
}

static void *live(void *arg)
{
	struct member *m = arg;

	if (work(m))
		return NULL;
	if (!m->measured) {
		get_ready(m);
		return live(m);
	}
	if (m->failed)
		__atomic_store_n(&m->team->stop, 1, __ATOMIC_RELAXED);
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

/* Every member gets books of its own, away from the others'. */
static void init_member(struct team *t, unsigned number)
{
	const struct umpa_work *w = t->w;
	struct member *m = &t->member[number];
	uint64_t npairs = w->threads > 1 ? w->threads / 2 : 1;

	m->team = t;
	m->number = number;
	m->seed = w->seed + ((uint64_t)number << 32);
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
	t->slot = umpa_worker_take(w->live * sizeof(*t->slot));
	t->member = umpa_worker_take(w->threads * sizeof(*t->member));
	for (i = 0; i < w->threads; i++)
		init_member(t, (unsigned)i);
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
	struct timespec left = {(time_t)(t->w->ms / 1000), (long)(t->w->ms % 1000) * 1000000};

	if (t->w->traced)
		return;
	nanosleep(&left, NULL);
	__atomic_store_n(&t->stop, 1, __ATOMIC_RELAXED);
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
	if (!w->min || w->max < w->min || !w->seed || !w->ms || !w->threads ||
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
	static const struct pattern larson = {"larson", fill_own, burst_own, NLARSON / NBURST};

	return run(w, &larson);
}
