/*
 * Preloaded after umpa, so that the loader relocates it before umpa; its IFUNC resolver allocates
 * at that time, when no library's malloc is ready.
 */
#include <stdlib.h>
#include <string.h>

int ifunc_answer(void);
int ifunc_right(void);

static char *early[3];

static int answer(void)
{
	return 42;
}

__attribute__((used)) static int (*resolve(void))(void)
{
	early[0] = malloc(100);
	early[1] = calloc(10, 10);
	early[2] = realloc(NULL, 3000);
	for (unsigned i = 0; i < 3; i++)
		if (early[i])
			early[i][0] = (char)('0' + i);
	early[1] = realloc(early[1], 4000);
	free(malloc(50));
	free(NULL);
	return answer;
}

int ifunc_answer(void) __attribute__((ifunc("resolve")));

/* Result: 1 if what was allocated early is there, can be resized and freed. */
int ifunc_right(void)
{
	int right = ifunc_answer() == 42;

	for (unsigned i = 0; i < 3; i++) {
		right &= early[i] && early[i][0] == (char)('0' + i);
		early[i] = realloc(early[i], 100000);
		right &= early[i] && early[i][0] == (char)('0' + i);
		free(early[i]);
	}
	return right;
}
