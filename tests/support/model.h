/*
 * The page API against a naive model: random operations on a ring of live blocks, every page of
 * every block tagged with the block's number and the page's place in it, so that a page behind two
 * blocks (P1), a byte lost in a realloc, or a dirty page called zero (P2) shows at once.
 *
 * Runs on the fake OS (where touch is fake_touch) and on the real kernel (where touching is
 * writing).
 */
#ifndef UMPA_TESTS_MODEL_H
#define UMPA_TESTS_MODEL_H

#include <stddef.h>
#include <stdint.h>

struct model_options {
	uint64_t seed;
	uint64_t nops;
	unsigned nblocks;  /* live at most */
	unsigned log2_min; /* smallest and largest block, log-uniform */
	unsigned log2_max;
	size_t live_max; /* bytes in live blocks at most; 0: no bound */
	void (*touch)(void *addr,
		size_t nbytes); /* before the model reads or writes; NULL: nothing to do */
	void (*between)(void *arg, uint64_t op); /* after each operation; may be NULL */
	void *arg;
	int refusals_allowed; /* NULL results don't count as wrong */
};

/* What went wrong; all 0 if nothing did. The first thing is printed with the seed and operation. */
struct model_result {
	uint64_t nwrong_tags, nwrong_zeros, nrefused, nops;
};

struct model_result model_run(const struct model_options *o);

#endif
