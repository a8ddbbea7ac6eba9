/*
 * Small blocks by the ten thousand, in threads, with forks in between: what an engine's own memory
 * is like when it comes from umpa. The argument: how many forks.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

enum {
	NTHREADS = 3,
	NBLOCKS = 20000,
	NBYTES_LOG2 = 13
};

struct block {
	char *p;
	size_t nbytes;
};

struct owner {
	struct block block[NBLOCKS];
	uint64_t state;
	int wrong;
};

static struct owner owners[NTHREADS];
static int stop;

static void put(struct owner *o, unsigned i)
{
	struct block *b = &o->block[i];

	b->nbytes = random_nbytes(&o->state, NBYTES_LOG2);
	b->p = malloc(b->nbytes);
	if (b->p)
		tag(b->p, b->nbytes, i);
	else
		o->wrong++;
}

static void replace(struct owner *o, unsigned i)
{
	struct block *b = &o->block[i];

	o->wrong += !tagged(b->p, b->nbytes, i);
	free(b->p);
	put(o, i);
}

static void change(struct owner *o, unsigned nsteps)
{
	while (nsteps--)
		replace(o, (unsigned)(random_next(&o->state) % NBLOCKS));
}

static void *busy(void *arg)
{
	struct owner *o = arg;

	do
		change(o, 3000);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED));
	return NULL;
}

/* The child's life: its blocks are there, and its allocator works. Those of threads that it has not
 * may be half written. */
static int live(void)
{
	struct owner *o = &owners[0];

	for (unsigned i = 0; i < NBLOCKS; i++)
		o->wrong += !tagged(o->block[i].p, o->block[i].nbytes, i);
	change(o, 5000);
	return o->wrong ? 1 : 9;
}

int main(int argc, char **argv)
{
	int nforks = argc > 1 ? atoi(argv[1]) : 5;
	pthread_t thread[NTHREADS];

	for (int t = 0; t < NTHREADS; t++) {
		owners[t].state = 77 + (uint64_t)t;
		for (unsigned i = 0; i < NBLOCKS; i++)
			put(&owners[t], i);
	}
	for (int t = 1; t < NTHREADS; t++)
		EXPECT(!pthread_create(&thread[t], NULL, busy, &owners[t]));
	for (int k = 0; k < nforks; k++) {
		int status = 0;
		pid_t child = fork();

		if (!child)
			_exit(live());
		change(&owners[0], 2000);
		EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) &&
			WEXITSTATUS(status) == 9);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int t = 1; t < NTHREADS; t++)
		EXPECT(!pthread_join(thread[t], NULL));
	for (int t = 0; t < NTHREADS; t++)
		EXPECT(!owners[t].wrong);
	return expect_end((unsigned long)(2 * (NTHREADS - 1) + nforks + NTHREADS));
}
