/* What tests of blocks on the fake OS all want: the counters, a block with frames, and sizes that
 * repeat. */
#ifndef UMPA_TESTS_FAKE_BLOCKS_H
#define UMPA_TESTS_FAKE_BLOCKS_H

#include <umpa/umpa.h>

#include "core/core.h"
#include "support/fake_os.h"

static inline struct umpa_stats stats(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	return st;
}

/* A block whose every page has a frame; NULL if it is refused. */
static inline char *touched(size_t nbytes, unsigned flags)
{
	char *block = umpa_alloc(nbytes, flags);

	if (block)
		fake_touch(block, nbytes);
	return block;
}

/* As if nearly all lengths asked for so far were such as had been freed before: then runs that are
 * freed are set aside. */
static inline void repeat_sizes(void)
{
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		umpa_shard(i)->bins.luck = BINS_SURE;
}

#endif
