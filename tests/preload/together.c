/*
 * A program that uses the page API itself and is run under preload too: linked with one library or
 * the other, its blocks and its mallocs never get into each other's hands.
 */
#include <stdlib.h>
#include <umpa/page.h>

#include "expect.h"

#pragma weak umpa_alloc
#pragma weak umpa_realloc
#pragma weak umpa_free
#pragma weak umpa_usable_size

enum {
	NBLOCKS = 16,
	NROUNDS = 50,
	NBYTES = 300000
};

int main(void)
{
	char *block[NBLOCKS], *chunk[NBLOCKS];

	EXPECT(umpa_alloc != NULL);
	if (!umpa_alloc)
		return 1;
	for (unsigned round = 0; round < NROUNDS; round++) {
		for (unsigned i = 0; i < NBLOCKS; i++) {
			block[i] = umpa_alloc(NBYTES, 0);
			chunk[i] = malloc(NBYTES);
			tag(block[i], NBYTES, i);
			tag(chunk[i], NBYTES, i + NBLOCKS);
		}
		for (unsigned i = 0; i < NBLOCKS; i++) {
			block[i] = umpa_realloc(block[i], 10 * NBYTES, 0);
			chunk[i] = realloc(chunk[i], 10 * NBYTES);
			EXPECT(block[i] && tagged(block[i], NBYTES, i));
			EXPECT(chunk[i] && tagged(chunk[i], NBYTES, i + NBLOCKS));
			EXPECT(umpa_usable_size(block[i]) >= 10 * NBYTES);
			umpa_free(block[i]);
			free(chunk[i]);
		}
	}
	return expect_end(1 + 3 * NROUNDS * NBLOCKS);
}
