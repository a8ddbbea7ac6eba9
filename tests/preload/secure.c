/* Linked with the preload library by secure.sh. Argument: whether umpa should serve, yes or no. */
#include <stdlib.h>
#include <sys/auxv.h>

#include "expect.h"

int main(int argc, char **argv)
{
	int wanted = argc > 1 && !strcmp(argv[1], "yes");
	char *p = malloc(1000000), *q = calloc(1, 3000000), *r = realloc(malloc(100), 500000);

	EXPECT((getauxval(AT_SECURE) == 0) == wanted);
	EXPECT(umpas(p) == wanted);
	EXPECT(umpas(q) == wanted);
	EXPECT(umpas(r) == wanted);
	tag(p, 1000000, 1);
	p = realloc(p, 2000000);
	EXPECT(p && tagged(p, 1000000, 1) && umpas(p) == wanted);
	free(p);
	free(q);
	free(r);
	return expect_end(5);
}
