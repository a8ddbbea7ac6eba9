/*
 * large_heap nMiB [trim|lock|limit|tune|sparse]: what a heap of so many MiB in small blocks costs.
 * At half of it, the program may ask for memory back, lock what is to come, limit itself, or tune
 * the heap. Prints how many pages of the second half were faulted in for each hundred of it; of
 * what is locked, and has no faults, 100 unless the heap has more than a MiB ahead; of blocks that
 * are hardly written to, how many of a hundred pages have no frame.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
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

int main(int argc, char **argv)
{
	size_t nbytes = (argc > 1 ? strtoul(argv[1], NULL, 0) : 0) << 20;
	long before;

	if (argc > 2 && !strcmp(argv[2], "sparse")) {
		sparse(nbytes);
		return 0;
	}
	fill(nbytes / 2);
	if (argc > 2 && turn(argv[2])) {
		perror(argv[2]);
		return 77;
	}
	before = nfaults();
	fill(nbytes / 2);
	if (argc > 2 && !strcmp(argv[2], "lock"))
		puts((char *)sbrk(0) - (char *)malloc(1488) < 1 << 20 ? "100" : "0");
	else
		printf("%ld\n", (nfaults() - before) * 100 / (long)(nbytes / 2 / 4096));
	return 0;
}
