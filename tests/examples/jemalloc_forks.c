/*
 * Forks while other threads allocate from arenas over umpa, make such arenas and destroy them:
 * jemalloc holds its locks while it waits for umpa's then, and a fork takes both. The child
 * allocates too.
 */
#include <jemalloc/jemalloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <unistd.h>

enum {
	NTHREADS = 2,
	NFORKS = 40,
	LIMIT_S = 120
};

static int stop;

static int stopped(void)
{
	return __atomic_load_n(&stop, __ATOMIC_RELAXED);
}

static unsigned make_arena(void)
{
	extent_hooks_t *hooks = umpa_jemalloc_hooks();
	size_t nbytes = sizeof(unsigned);
	ssize_t at_once = 0;
	unsigned arena;
	char name[64];

	if (mallctl("arenas.create", &arena, &nbytes, &hooks, sizeof(hooks)))
		return 0;
	snprintf(name, sizeof(name), "arena.%u.dirty_decay_ms", arena);
	mallctl(name, NULL, NULL, &at_once, sizeof(at_once));
	return arena;
}

/* 1 if blocks of many sizes keep what is written to them. */
static int churn(unsigned arena, unsigned nsteps)
{
	const int flags = MALLOCX_ARENA(arena) | MALLOCX_TCACHE_NONE;
	char *last = NULL;
	size_t nlast = 0;
	int right = 1;

	for (unsigned i = 1; right && i <= nsteps; i++) {
		size_t nbytes = (size_t)4096 << i % 10;
		char *p = mallocx(nbytes, flags);

		right = p && (!last || (last[0] == 'a' && last[nlast - 1] == 'z'));
		if (!right)
			break;
		p[0] = 'a';
		p[nbytes - 1] = 'z';
		if (last)
			dallocx(last, flags);
		last = p;
		nlast = nbytes;
	}
	if (last)
		dallocx(last, flags);
	return right;
}

static void *run_churn(void *arg)
{
	unsigned *arena = arg;
	intptr_t right = 1;

	while (right && !stopped())
		right = churn(*arena, 50);
	return (void *)right;
}

static void *run_arenas(void *arg)
{
	(void)arg;
	while (!stopped()) {
		unsigned arena = make_arena();
		char name[64];

		if (!arena || !churn(arena, 10))
			return NULL;
		snprintf(name, sizeof(name), "arena.%u.destroy", arena);
		mallctl(name, NULL, NULL, NULL, 0);
	}
	return (void *)1;
}

static int fork_once(unsigned arena)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		alarm(LIMIT_S);
		_exit(!churn(arena, 20) || !make_arena());
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       !WEXITSTATUS(status);
}

int main(void)
{
	pthread_t thread[NTHREADS + 1];
	unsigned arena = make_arena(), nright = 0, nthreads = 0;

	alarm(LIMIT_S); /* a deadlock */
	for (unsigned i = 0; i < NTHREADS; i++)
		pthread_create(&thread[i], NULL, run_churn, &arena);
	pthread_create(&thread[NTHREADS], NULL, run_arenas, NULL);
	for (unsigned i = 0; i < NFORKS; i++)
		nright += (unsigned)fork_once(arena);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (unsigned i = 0; i <= NTHREADS; i++) {
		void *right;

		pthread_join(thread[i], &right);
		nthreads += right != NULL;
	}
	printf("%u of %u children and %u of %u threads were right\n", nright, NFORKS, nthreads,
		NTHREADS + 1);
	return !arena || nright != NFORKS || nthreads != NTHREADS + 1;
}
