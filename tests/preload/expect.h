/*
 * Checks for the programs that run under preload: they know nothing of umpa, link with nothing, and
 * state how many checks they make, so that one which stops early fails.
 */
#ifndef UMPA_TESTS_EXPECT_H
#define UMPA_TESTS_EXPECT_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static unsigned long nexpected, nfailed;

static inline int expect_that(int ok, const char *file, int line, const char *text)
{
	__atomic_fetch_add(&nexpected, 1, __ATOMIC_RELAXED);
	if (!ok && __atomic_fetch_add(&nfailed, 1, __ATOMIC_RELAXED) < 20)
		fprintf(stderr, "%s:%d: not so: %s\n", file, line, text);
	return ok;
}

#define EXPECT(c) expect_that(!!(c), __FILE__, __LINE__, #c)

/* The program's exit status, if it was to make nplanned checks. */
static inline int expect_end(unsigned long nplanned)
{
	if (nexpected != nplanned)
		fprintf(stderr, "%lu checks made, %lu planned\n", nexpected, nplanned);
	printf("%lu checks, %lu failed\n", nexpected, nfailed);
	return nfailed || nexpected != nplanned;
}

/* 1 if umpa serves p, 0 if it does not or is not there at all. */
static inline int umpas(const void *p)
{
	int (*owns)(const void *);
	void *f = dlsym(RTLD_DEFAULT, "umpa_owns");

	memcpy(&owns, &f, sizeof(owns));
	return f && owns(p);
}

/* Content that tells which block and which place in it: a word in every STEP bytes, and the last
 * byte. */
#define STEP 512

static inline uint64_t tag_at(uint64_t seed, size_t offset)
{
	return (seed + 1) * 0x9e3779b97f4a7c15u ^ offset * 0xff51afd7ed558ccdu;
}

static inline void tag(void *p, size_t nbytes, uint64_t seed)
{
	for (size_t at = 0; at + 8 <= nbytes; at += STEP) {
		uint64_t t = tag_at(seed, at);

		memcpy((char *)p + at, &t, 8);
	}
}

/* 1 if the first nbytes are as tag() left them. */
static inline int tagged(const void *p, size_t nbytes, uint64_t seed)
{
	for (size_t at = 0; at + 8 <= nbytes; at += STEP) {
		uint64_t t = tag_at(seed, at);

		if (memcmp((const char *)p + at, &t, 8))
			return 0;
	}
	return 1;
}

static inline int all_zero(const void *p, size_t nbytes)
{
	const char *c = (const char *)p;

	return !nbytes || (!c[0] && !memcmp(c, c + 1, nbytes - 1));
}

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* A size between 1 and 1 << log2_max, every magnitude as likely as the next. */
static inline size_t random_nbytes(uint64_t *state, unsigned log2_max)
{
	unsigned log2 = (unsigned)(random_next(state) % log2_max);

	return ((size_t)1 << log2) + random_next(state) % ((size_t)1 << log2);
}

#endif
