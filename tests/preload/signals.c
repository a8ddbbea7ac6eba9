/* A timer's handler maps, writes and unmaps memory, as mmap lets it, whatever the program is at
 * just then: malloc, realloc, mmap, free. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include "expect.h"

enum {
	NBLOCKS = 40,
	NSIGNALS = 150,
	NSECONDS_MAX = 60
};

static volatile sig_atomic_t nsignals, nwrong;

static void map_some(int number)
{
	size_t nbytes = (size_t)4096 << nsignals % 9;
	char *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)number;
	nsignals = nsignals + 1;
	if (p == MAP_FAILED) {
		nwrong = nwrong + 1;
		return;
	}
	for (size_t at = 0; at < nbytes; at += 4096) {
		nwrong = nwrong + (p[at] != 0);
		p[at] = 1;
	}
	nwrong = nwrong + (munmap(p, nbytes) != 0);
}

static int change(void **block, size_t *nbytes, uint64_t *state)
{
	unsigned i = (unsigned)(random_next(state) % NBLOCKS);
	size_t wanted = random_nbytes(state, 22);
	void *p = i % 3 ? realloc(block[i], wanted) : NULL;

	if (p && nbytes[i] && !tagged(p, nbytes[i] < wanted ? nbytes[i] : wanted, i))
		return 0;
	if (!p) {
		free(block[i]);
		p = malloc(wanted);
	}
	if (!p)
		return 0;
	tag(p, wanted, i);
	block[i] = p;
	nbytes[i] = wanted;
	return 1;
}

int main(void)
{
	struct sigaction action = {.sa_handler = map_some, .sa_flags = SA_RESTART};
	struct itimerval each = {{0, 700}, {0, 700}}, none = {{0, 0}, {0, 0}};
	void *block[NBLOCKS] = {NULL};
	size_t nbytes[NBLOCKS] = {0};
	uint64_t state = 2026;
	time_t end = time(NULL) + NSECONDS_MAX;
	int right = 1;

	EXPECT(!sigaction(SIGPROF, &action, NULL));
	EXPECT(!setitimer(ITIMER_PROF, &each, NULL));
	while (right && nsignals < NSIGNALS && time(NULL) < end)
		right = change(block, nbytes, &state);
	EXPECT(!setitimer(ITIMER_PROF, &none, NULL));
	EXPECT(right);
	EXPECT(nsignals >= NSIGNALS);
	EXPECT(!nwrong);
	for (int i = 0; i < NBLOCKS; i++)
		free(block[i]);
	return expect_end(6);
}
