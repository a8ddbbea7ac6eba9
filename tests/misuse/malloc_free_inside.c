/* stderr: umpa: free(0x*): inside a page, so not the beginning of a block */
#include <stdlib.h>

int main(void)
{
	char *p = malloc(64 << 20);

	free(p + 16);
	return 0;
}
