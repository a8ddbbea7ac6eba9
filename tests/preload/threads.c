/* Short-lived threads whose TLS destructors allocate and free, and blocks freed by other threads.
 * The argument, if any: how many blocks each of those threads makes. */
#include <pthread.h>
#include <stdlib.h>

#include "expect.h"

enum {
	NSHORT = 1000,
	NMANY = 400,
	NATONCE = 8,
	NTHREADS = 4,
	NPLACES = 256
};

static pthread_key_t key;
static unsigned long ndestroyed;

static size_t nbytes_of(unsigned i)
{
	return (size_t)1 << (4 + i % 18);
}

/* Runs at thread exit, when much of the thread is gone already. */
static void destroy(void *p)
{
	unsigned i = *(unsigned *)p;
	char *q = malloc(200000), *r = malloc(200);

	EXPECT(q && r && tagged((char *)p + STEP, nbytes_of(i), i));
	q = realloc(q, 3000000);
	free(q);
	free(r);
	free(p);
	__atomic_fetch_add(&ndestroyed, 1, __ATOMIC_RELAXED);
}

static void *live_short(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	char *p = malloc(nbytes_of(i) + STEP);

	*(unsigned *)(void *)p = i;
	tag(p + STEP, nbytes_of(i), i);
	pthread_setspecific(key, p);
	return malloc(70000 + i);
}

static unsigned long short_lives(void)
{
	pthread_t thread[NATONCE];
	void *p;

	EXPECT(!pthread_key_create(&key, destroy));
	for (unsigned i = 0; i < NSHORT; i += NATONCE) {
		for (unsigned j = 0; j < NATONCE; j++)
			EXPECT(!pthread_create(
				&thread[j], NULL, live_short, (void *)(uintptr_t)(i + j)));
		for (unsigned j = 0; j < NATONCE; j++) {
			EXPECT(!pthread_join(thread[j], &p) && p);
			free(p);
		}
	}
	EXPECT(ndestroyed == NSHORT);
	return NSHORT * 3 + 2;
}

static pthread_barrier_t barrier;

/* All hold their blocks at the same time. */
static void *live_among_many(void *arg)
{
	unsigned i = (unsigned)(uintptr_t)arg;
	size_t nbytes = 66000 + 100 * i;
	char *p = malloc(nbytes), *q = calloc(1, 30000);
	int right;

	tag(p, nbytes, i);
	pthread_barrier_wait(&barrier);
	right = tagged(p, nbytes, i) && all_zero(q, 30000);
	free(p);
	free(q);
	return right ? arg : NULL;
}

static unsigned long many_at_once(void)
{
	static pthread_t thread[NMANY];
	pthread_attr_t attr;
	void *result;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	pthread_barrier_init(&barrier, NULL, NMANY);
	for (unsigned i = 0; i < NMANY; i++)
		if (!EXPECT(!pthread_create(
			    &thread[i], &attr, live_among_many, (void *)(uintptr_t)(i + 1))))
			exit(expect_end(0));
	for (unsigned i = 0; i < NMANY; i++) {
		pthread_join(thread[i], &result);
		EXPECT(result != NULL);
	}
	return NMANY * 2;
}

/* A block in a place that any thread may take out and free. Its first words say what it is. */
struct parcel {
	size_t nbytes;
	uint64_t seed;
	char content[];
};

static struct parcel *place[NPLACES];

static struct parcel *make(uint64_t *state)
{
	size_t nbytes = random_nbytes(state, 21);
	struct parcel *p = malloc(sizeof(*p) + nbytes);

	p->nbytes = nbytes;
	p->seed = random_next(state);
	tag(p->content, nbytes, p->seed);
	return p;
}

static int unmake(struct parcel *p)
{
	int right = !p || tagged(p->content, p->nbytes, p->seed);

	free(p);
	return right;
}

static unsigned nsteps = 20000;

static void *exchange(void *arg)
{
	uint64_t state = (uintptr_t)arg * 7919 + 1;

	for (unsigned i = 0; i < nsteps; i++) {
		struct parcel *p = make(&state);

		p = __atomic_exchange_n(&place[random_next(&state) % NPLACES], p, __ATOMIC_ACQ_REL);
		EXPECT(unmake(p));
	}
	return NULL;
}

static unsigned long strangers_free(void)
{
	pthread_t thread[NTHREADS];

	for (unsigned i = 0; i < NTHREADS; i++)
		EXPECT(!pthread_create(&thread[i], NULL, exchange, (void *)(uintptr_t)(i + 1)));
	for (unsigned i = 0; i < NTHREADS; i++)
		EXPECT(!pthread_join(thread[i], NULL));
	for (unsigned i = 0; i < NPLACES; i++)
		EXPECT(unmake(place[i]));
	return NTHREADS * (2 + nsteps) + NPLACES;
}

int main(int argc, char **argv)
{
	unsigned long n = short_lives();

	if (argc > 1)
		nsteps = (unsigned)atoi(argv[1]);
	n += many_at_once();
	n += strangers_free();
	return expect_end(n);
}
