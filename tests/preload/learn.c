/*
 * learn [nbytes]: frees a block of so many bytes, then allocates and frees a heap's worth of small
 * ones over and over. Prints how many page faults a round takes: none once the heap keeps its top.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
	NBLOCKS = 40,
	NBYTES = 60000,
	NROUNDS = 100
};

static long nfaults(void)
{
	struct rusage r;

	getrusage(RUSAGE_SELF, &r);
	return r.ru_minflt;
}

static void go_round(void)
{
	static void *block[NBLOCKS];

	for (int i = 0; i < NBLOCKS; i++) {
		block[i] = malloc(NBYTES);
		memset(block[i], i, NBYTES);
	}
	for (int i = 0; i < NBLOCKS; i++)
		free(block[i]);
}

int main(int argc, char **argv)
{
	long before;

	if (argc > 1) {
		char *large = malloc(strtoul(argv[1], NULL, 0));

		large[0] = 1;
		free(large);
	}
	go_round();
	before = nfaults();
	for (int i = 0; i < NROUNDS; i++)
		go_round();
	printf("%ld\n", (nfaults() - before) / NROUNDS);
	return 0;
}
