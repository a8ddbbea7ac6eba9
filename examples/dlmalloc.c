/*
 * A program with dlmalloc inside, over umpa. malloc.c is dlmalloc's, of version 2.8.6;
 * scripts/fetch-dlmalloc brings it:
 *
 *	scripts/fetch-dlmalloc DIR && cc -IDIR dlmalloc.c queues.c -lumpa
 */
#include <umpa/dlmalloc.h>

#define USE_DL_PREFIX
#include "dlmalloc_source.h"

#include <stdint.h>
#include <umpa/umpa.h>

#include "queues.h"

enum {
	NRECORDS = 8000
};

static uint64_t mapped_nbytes(void)
{
	struct umpa_stats stats;

	umpa_get_stats(&stats, sizeof(stats));
	return stats.mapping_nbytes;
}

int main(void)
{
	static const struct verbs verbs = {dlrealloc, dlfree};
	struct queues_result result = queues_run(&verbs, NRECORDS);
	int right = queues_right(&result, "dlmalloc over umpa");
	size_t most = dlmalloc_max_footprint(), rest = dlmalloc_footprint();

	printf("dlmalloc had %zu MiB at most, has %zu KiB; umpa says %llu KiB\n", most >> 20,
		rest >> 10, (unsigned long long)mapped_nbytes() >> 10);
	return !right || most < result.most_nbytes || mapped_nbytes() != rest;
}
