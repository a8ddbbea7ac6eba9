/* Bytes are operations on a shelf, each compared with a naive model. */
#include <stdio.h>
#include <stdlib.h>

#include "support/shelf_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	static struct shelf_model m;
	struct numbers numbers = numbers_of_bytes(bytes, n);
	const char *wrong = NULL;

	shelf_model_init(&m);
	while (!wrong && !numbers_end(&numbers))
		wrong = shelf_model_step(&m, &numbers);
	if (!wrong)
		wrong = shelf_model_compare(&m);
	if (wrong) {
		fprintf(stderr, "step %llu: %s\n", (unsigned long long)m.nsteps, wrong);
		abort();
	}
	return 0;
}
