/*
 * The page API, or one like it, against a naive model: random operations on a ring of live blocks,
 * every page of every block tagged with the block's number and the page's place in it, so that a
 * page behind two blocks (P1), a byte lost in a realloc, or a dirty page called zero (P2) shows at
 * once.
 *
 * Runs on the fake OS (where touch is fake_touch) and on the real kernel (where touching is
 * writing).
 */
#ifndef UMPA_TESTS_MODEL_H
#define UMPA_TESTS_MODEL_H

#include <stddef.h>
#include <stdint.h>

/* The calls that are tried; NULL for umpa_back and umpa_trim: left out. */
struct model_api {
	void *(*alloc)(size_t nbytes, unsigned flags);
	void (*free)(void *block);
	void *(*realloc)(void *block, size_t nbytes, unsigned flags);
	size_t (*usable_size)(const void *block);
	int (*unback)(void *addr, size_t nbytes);
	int (*move)(void *dst, void *src, size_t nbytes);
	int (*swap)(void *a, void *b, size_t nbytes);
	int (*back)(void *addr, size_t nbytes);
	size_t (*trim)(size_t keep_nbytes);
};

struct model_options {
	const struct model_api *api; /* NULL: umpa's own */
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
