/* Bytes are calls of the mmap family, and which of them the system refuses; every page is compared
 * with a model of what it holds and may be used for. */
#include <stdio.h>
#include <stdlib.h>

#include "support/fake_mmap.h"

/* A window of 512 MiB: the fake OS has a table of its pages, which is new each time. */
#define MEMORY_NBYTES ((size_t)32 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct numbers numbers = numbers_of_bytes(bytes, n);
	int refuse = (int)number_below(&numbers, 2);

	if (fake_mmap_run(numbers, n, MEMORY_NBYTES, refuse)) {
		fflush(stdout);
		abort();
	}
	return 0;
}
