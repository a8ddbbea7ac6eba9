/* Bytes are operations on extents, each compared with a naive model. */
#include <stdio.h>
#include <stdlib.h>

#include "support/extents_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct extents_model m;
	struct numbers numbers = numbers_of_bytes(bytes, n);
	uint32_t nslots = 1 + number_below(&numbers, 256);
	const char *wrong = NULL;

	extents_model_init(&m, nslots, number_below(&numbers, 256));
	while (!wrong && !numbers_end(&numbers))
		wrong = extents_model_step(&m, &numbers);
	if (!wrong)
		wrong = extents_model_compare(&m);
	if (wrong) {
		fprintf(stderr, "step %llu: %s\n", (unsigned long long)m.nsteps, wrong);
		abort();
	}
	return 0;
}
