/*
 * young few: asks for as few large blocks as small programs do.
 * young many: goes on until blocks are umpa's, and grows one from before.
 */
#include <stdlib.h>

#include "expect.h"

#define KIB ((size_t)1 << 10)

static unsigned long few(void)
{
	char *p = malloc(72 * KIB), *q = calloc(512, KIB), *r = malloc(300 * KIB);

	EXPECT(p && q && r && all_zero(q, 512 * KIB));
	tag(p, 72 * KIB, 1);
	tag(r, 300 * KIB, 2);
	r = realloc(r, 900 * KIB);
	EXPECT(r && tagged(r, 300 * KIB, 2));
	EXPECT(tagged(p, 72 * KIB, 1));
	free(q);
	free(p);
	free(r);
	return 3;
}

static unsigned long many(void)
{
	enum {
		NBLOCKS = 80
	};
	char *block[NBLOCKS], *early = malloc(200 * KIB);
	int nwrong = 0;

	tag(early, 200 * KIB, 3);
	for (uint64_t i = 0; i < NBLOCKS; i++) {
		block[i] = malloc(100 * KIB);
		tag(block[i], 100 * KIB, i + 10);
	}
	EXPECT(!umpas(early) && !umpas(block[0]) && umpas(block[NBLOCKS - 1]));
	early = realloc(early, 6000 * KIB);
	EXPECT(umpas(early) && tagged(early, 200 * KIB, 3));
	for (uint64_t i = 0; i < NBLOCKS; i++) {
		nwrong += !tagged(block[i], 100 * KIB, i + 10);
		free(block[i]);
	}
	EXPECT(!nwrong);
	free(early);
	return 3;
}

int main(int argc, char **argv)
{
	unsigned long nplanned = few();

	if (argc > 1 && !strcmp(argv[1], "many"))
		nplanned += many();
	return expect_end(nplanned);
}
