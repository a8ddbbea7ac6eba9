/* usage: mmap SEED NSTEPS: random calls of libc's mmap family, whoever is behind it. Prints what
 * all answers come to; exit status 1 if a page did not hold what it should. */
#include <stdio.h>
#include <stdlib.h>

#include "support/mmap_model.h"

enum {
	NANSWERS_MAX = 1 << 18
};

static int answers[NANSWERS_MAX];

int main(int argc, char **argv)
{
	size_t n = NANSWERS_MAX;
	uint64_t sum = 14695981039346656037u; /* FNV-1a */
	unsigned nwrong;

	if (argc != 3)
		return 2;
	nwrong = mmap_model_run(&mmap_world_kernel, numbers_of_seed(strtoul(argv[1], NULL, 10)),
		strtoul(argv[2], NULL, 10), answers, &n);
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (unsigned)answers[i]) * 1099511628211u;
	printf("%zu answers: %016llx\n", n, (unsigned long long)sum);
	return nwrong != 0;
}
