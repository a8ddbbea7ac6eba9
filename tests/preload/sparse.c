/*
 * sparse NTOUCHED: 160 blocks of 256 KiB, as rsync takes one for each folder, of which so many
 * pages are written to. Prints the peak of resident memory in MiB.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
	NBLOCKS = 160,
	NBYTES = 256 << 10
};

int main(int argc, char **argv)
{
	long ntouched = argc > 1 ? strtol(argv[1], NULL, 0) : 0;
	struct rusage r;

	for (int i = 0; i < NBLOCKS; i++) {
		char *p = malloc(NBYTES);

		if (!p)
			return 1;
		for (long k = 0; k < ntouched; k++)
			p[k * 4096] = 1;
	}
	getrusage(RUSAGE_SELF, &r);
	printf("%ld\n", r.ru_maxrss >> 10);
	return 0;
}
