/* stderr: umpa: realloc(0x*): no live block begins here; freed twice, or inside a block */
#include <stdlib.h>

int main(void)
{
	void *p = malloc(64 << 20);

	free(p);
	return realloc(p, 0) != NULL;
}
