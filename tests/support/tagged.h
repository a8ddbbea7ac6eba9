/*
 * Tagged blocks: a handful of live blocks of the page API whose every page carries a tag made of
 * the block's identity and the page's number, so that a page lost, mixed up or given out twice
 * shows.
 *
 * The caller owns the struct, one thread uses it. Nothing here allocates but through umpa, or opens
 * a file: it works wherever umpa does. The first promise found broken is named in `wrong`, and
 * nothing more is done from then on; a refusal with ENOMEM breaks none and is counted.
 */
#ifndef UMPA_TESTS_TAGGED_H
#define UMPA_TESTS_TAGGED_H

#include <stddef.h>
#include <stdint.h>

#define TAGGED_MAX 32

struct tagged_block {
	unsigned char *addr; /* NULL: none */
	size_t npages;       /* all that carry tags */
	uint64_t tag;
};

struct tagged {
	struct tagged_block block[TAGGED_MAX];
	size_t live_npages;
	size_t budget_npages; /* more is not asked for */
	uint64_t random;
	uint64_t ntags;             /* tags given out so far */
	uint64_t nserved, nrefused; /* requests for memory */
	const char *wrong;          /* NULL while every promise has held */
};

void tagged_init(struct tagged *t, uint64_t seed, size_t budget_nbytes);

/* Asks for a block and tags it. Result: 0, -1 if refused or wrong, or if all TAGGED_MAX are in use.
 */
int tagged_alloc(struct tagged *t, size_t nbytes, unsigned flags);
int tagged_realloc(struct tagged *t, struct tagged_block *b, size_t nbytes, unsigned flags);
/* Looks at the tags before the block goes. */
void tagged_free(struct tagged *t, struct tagged_block *b);
void tagged_free_all(struct tagged *t);

/* nsteps random operations of all kinds on blocks from a page to 64 MiB, log-uniform. */
void tagged_churn(struct tagged *t, unsigned nsteps);

/* Looks at every tag of every live block. Result: 1 if all is well, 0 and `wrong` if not. */
int tagged_check(struct tagged *t);

#endif
