/* usage: mmap SEED NSTEPS: random calls of libc's mmap family, whoever is behind it. Prints what
 * all answers come to; exit status 1 if a page did not hold what it should. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "support/mmap_model.h"

enum {
	NANSWERS_MAX = 1 << 18
};

static int answers[NANSWERS_MAX];

/* Used whole and unmapped, twice: reason for umpa to serve what is as large, or as large and closed
 * at first. */
static void use(size_t nbytes, int prot)
{
	const int rw = PROT_READ | PROT_WRITE;

	for (int i = 0; i < 2; i++) {
		char *p = mmap(NULL, nbytes, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED || (prot != rw && mprotect(p, nbytes, rw)))
			abort();
		memset(p, 1, nbytes);
		munmap(p, nbytes);
	}
}

int main(int argc, char **argv)
{
	size_t n = NANSWERS_MAX;
	uint64_t sum = 14695981039346656037u; /* FNV-1a */
	unsigned nwrong;

	if (argc != 3)
		return 2;
	for (size_t nbytes = 4096; nbytes <= (size_t)8 << 20; nbytes *= 2) {
		use(nbytes, PROT_READ | PROT_WRITE);
		use(nbytes, PROT_NONE);
	}
	nwrong = mmap_model_run(&mmap_world_kernel, numbers_of_seed(strtoul(argv[1], NULL, 10)),
		strtoul(argv[2], NULL, 10), answers, &n);
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (unsigned)answers[i]) * 1099511628211u;
	printf("%zu answers: %016llx\n", n, (unsigned long long)sum);
	return nwrong != 0;
}
