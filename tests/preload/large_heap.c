/*
 * large_heap nMiB [trim|lock|limit|tune|sparse|child]: what a heap of so many MiB in small blocks
 * costs. At half of it, the program may ask for memory back, lock what is to come, limit itself, or
 * tune the heap. Prints how many pages of the second half were faulted in for each hundred of it;
 * of what is locked, and has no faults, 100 unless the heap has more than a MiB ahead; of blocks
 * that are hardly written to, how many of a hundred pages have no frame; how many children of a
 * hundred can limit themselves that come from _Fork() while another thread allocates.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static long nfaults(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_minflt;
}

static long peak_nbytes(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_maxrss << 10;
}

/* Blocks that are kept, of which the first byte is written to. */
static void fill_sparsely(size_t nbytes)
{
	for (size_t at = 0; at < nbytes; at += 30016) {
		char *p = malloc(30000);

		if (!p)
			exit(1);
		*p = 1;
	}
}

static void sparse(size_t nbytes)
{
	long before = peak_nbytes();

	fill_sparsely(nbytes);
	printf("%ld\n", 100 - (peak_nbytes() - before) / ((long)nbytes / 100));
}

/* Blocks that are kept, written to. */
static void fill(size_t nbytes)
{
	for (size_t at = 0; at < nbytes; at += 1504) {
		char *p = malloc(1488);

		if (!p)
			exit(1);
		memset(p, 1, 1488);
	}
}

static int turn(const char *how)
{
	struct rlimit limit = {(rlim_t)64 << 30, (rlim_t)64 << 30};

	if (!strcmp(how, "trim"))
		return malloc_trim(0) < 0;
	if (!strcmp(how, "lock"))
		return mlockall(MCL_CURRENT | MCL_FUTURE);
	if (!strcmp(how, "limit"))
		return setrlimit(RLIMIT_AS, &limit);
	return !mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

static int has_ahead(void)
{
	return (char *)sbrk(0) - (char *)malloc(1488) >= 1 << 20;
}

/* --- children ------------------------------------------------------------------------------- */

pid_t _Fork(void) __attribute__((weak)); /* glibc's since 2.34 */

static void *allocate(void *over)
{
	void *kept[64] = {0};

	for (unsigned i = 0; !__atomic_load_n((int *)over, __ATOMIC_RELAXED); i++) {
		free(kept[i % 64]);
		kept[i % 64] = malloc(2000 + i * 7919 % 16384);
	}
	for (int i = 0; i < 64; i++)
		free(kept[i]);
	return NULL;
}

/* The lock of the heap may be held for ever there. */
static int can_limit_itself(void)
{
	struct rlimit limit = {(rlim_t)64 << 30, (rlim_t)64 << 30};
	pid_t child = _Fork();
	int status = 1;

	if (!child) {
		alarm(10);
		_exit(setrlimit(RLIMIT_AS, &limit) ? 1 : 0);
	}
	return child > 0 && waitpid(child, &status, 0) == child && !status;
}

struct children {
	int nwell, over;
};

static void *have_children(void *arg)
{
	struct children *c = arg;

	while (c->nwell < 100 && can_limit_itself())
		c->nwell++;
	__atomic_store_n(&c->over, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* The thread that allocates is the first: its blocks are in the heap. */
static int count_children(void)
{
	struct children c = {0, 0};
	pthread_t thread;

	if (!_Fork || pthread_create(&thread, NULL, have_children, &c))
		return 77;
	allocate(&c.over);
	pthread_join(thread, NULL);
	printf("%d\n", c.nwell);
	return 0;
}

int main(int argc, char **argv)
{
	size_t nbytes = (argc > 1 ? strtoul(argv[1], NULL, 0) : 0) << 20;
	const char *how = argc > 2 ? argv[2] : "";
	int ahead;
	long before;

	if (!strcmp(how, "sparse")) {
		sparse(nbytes);
		return 0;
	}
	fill(nbytes / 2);
	if (!strcmp(how, "child"))
		return count_children();
	if (*how && turn(how)) {
		perror(how);
		return 77;
	}
	ahead = has_ahead();
	before = nfaults();
	fill(nbytes / 2);
	if (!strcmp(how, "lock"))
		puts(ahead || has_ahead() ? "0" : "100");
	else
		printf("%ld\n", (nfaults() - before) * 100 / (long)(nbytes / 2 / 4096));
	return 0;
}
