/* fork, vfork and spawn while other threads allocate: the child finds its blocks as they were, and
 * works. The argument, if any: how often. */
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

enum {
	NTHREADS = 3,
	NBLOCKS = 24,
	NSTEPS = 60
};

struct block {
	char *p;
	size_t nbytes;
};

static int stop;

/* Changes the blocks at random, nsteps times. Result: 1 if all kept their content. */
static int churn(struct block *block, uint64_t *state, unsigned nsteps)
{
	while (nsteps--) {
		unsigned i = (unsigned)(random_next(state) % NBLOCKS);
		size_t nbytes = random_nbytes(state, 21), old = block[i].nbytes;
		char *p;

		if (!tagged(block[i].p, old, i))
			return 0;
		p = realloc(block[i].p, nbytes);
		if (!p || !tagged(p, old < nbytes ? old : nbytes, i))
			return 0;
		tag(p, nbytes, i);
		block[i] = (struct block){p, nbytes};
	}
	return 1;
}

static int drop(struct block *block)
{
	int right = 1;

	for (unsigned i = 0; i < NBLOCKS; i++) {
		right &= tagged(block[i].p, block[i].nbytes, i);
		free(block[i].p);
	}
	return right;
}

static void *busy(void *arg)
{
	struct block block[NBLOCKS] = {{0}};
	uint64_t state = (uintptr_t)arg;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		EXPECT(churn(block, &state, NSTEPS));
	EXPECT(drop(block));
	return NULL;
}

static void *busy_in_child(void *arg)
{
	struct block block[NBLOCKS] = {{0}};
	uint64_t state = (uintptr_t)arg;

	return churn(block, &state, NSTEPS) && drop(block) ? arg : NULL;
}

/* The child's life: its parent's blocks, new ones, a thread, a child of its own. Result: 0, or
 * where it failed. */
static int live(struct block *block, uint64_t state, int depth)
{
	pthread_t thread;
	void *result = NULL;
	int status = 0;

	if (!churn(block, &state, NSTEPS))
		return 1;
	if (pthread_create(&thread, NULL, busy_in_child, &state) || pthread_join(thread, &result) ||
		!result)
		return 2;
	if (depth) {
		pid_t pid = fork();

		if (!pid)
			_exit(live(block, state + 1, depth - 1));
		if (waitpid(pid, &status, 0) != pid || status)
			return 3;
	}
	return drop(block) ? 0 : 4;
}

static unsigned long forks(unsigned nforks)
{
	struct block block[NBLOCKS] = {{0}};
	uint64_t state = 4711;

	for (unsigned i = 0; i < nforks; i++) {
		int status = -1;
		pid_t pid;

		EXPECT(churn(block, &state, NSTEPS / 4));
		pid = fork();
		if (!pid)
			_exit(live(block, state, i % 8 == 0));
		/* The parent goes on while the frames are shared. */
		EXPECT(churn(block, &state, NSTEPS / 4));
		EXPECT(waitpid(pid, &status, 0) == pid);
		EXPECT(status == 0);
	}
	EXPECT(drop(block));
	return nforks * 4 + 1;
}

static unsigned long spawns(unsigned nforks)
{
	char *argv[] = {(char *)"true", NULL};
	extern char **environ;

	for (unsigned i = 0; i < nforks; i++) {
		char *p = malloc(300000);
		int status = -1;
		pid_t pid;

		tag(p, 300000, i);
		pid = vfork();
		if (!pid) {
			execvp(argv[0], argv);
			_exit(9);
		}
		EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
		EXPECT(!posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ));
		EXPECT(waitpid(pid, &status, 0) == pid && status == 0);
		EXPECT(tagged(p, 300000, i));
		free(p);
	}
	return nforks * 4;
}

int main(int argc, char **argv)
{
	unsigned nforks = argc > 1 ? (unsigned)atoi(argv[1]) : 20;
	pthread_t thread[NTHREADS];
	unsigned long n = 0, nbefore;

	for (unsigned i = 0; i < NTHREADS; i++)
		EXPECT(!pthread_create(&thread[i], NULL, busy, (void *)(uintptr_t)(i + 1)));
	n = NTHREADS;
	n += forks(nforks);
	n += spawns(nforks);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < NTHREADS; i++)
		pthread_join(thread[i], NULL);
	/* How often the busy threads went round is not known beforehand; that they did is. */
	nbefore = n + 2 * NTHREADS;
	if (nexpected < nbefore)
		return expect_end(nbefore);
	return expect_end(nexpected);
}
