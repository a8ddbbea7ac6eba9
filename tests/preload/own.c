/*
 * A program with a malloc of its own, as far as most go: what libc makes of it, which is
 * reallocarray(), must be made of it under umpa too.
 */
#include <stdlib.h>

#include "expect.h"

enum {
	ARENA_NBYTES = 8 << 20,
	HEAD_NBYTES = 16
};

static _Alignas(16) char arena[ARENA_NBYTES];
static size_t ntaken;

static int is_own(const void *p)
{
	return (uintptr_t)p - (uintptr_t)arena < ARENA_NBYTES;
}

void *malloc(size_t nbytes)
{
	size_t need = HEAD_NBYTES + ((nbytes + 15) & ~(size_t)15);
	char *at = arena + ntaken;

	if (need < nbytes || need > ARENA_NBYTES - ntaken)
		return NULL;
	ntaken += need;
	memcpy(at, &nbytes, sizeof(nbytes));
	return at + HEAD_NBYTES;
}

void free(void *p)
{
	if (p && !is_own(p))
		abort();
}

void *calloc(size_t n, size_t each)
{
	return malloc(n * each); /* nothing is given twice */
}

void *realloc(void *p, size_t nbytes)
{
	void *q = malloc(nbytes);
	size_t old = 0;

	if (p && !is_own(p))
		abort();
	if (p)
		memcpy(&old, (char *)p - HEAD_NBYTES, sizeof(old));
	if (p && q)
		memcpy(q, p, old < nbytes ? old : nbytes);
	return q;
}

int main(void)
{
	char *p = reallocarray(NULL, 300, 10), *q;

	EXPECT(is_own(p));
	tag(p, 3000, 1);
	q = reallocarray(p, 300, 1000);
	EXPECT(is_own(q) && tagged(q, 3000, 1));
	q = reallocarray(q, 300, 10);
	EXPECT(is_own(q) && tagged(q, 3000, 1));
	free(q);
	return expect_end(3);
}
