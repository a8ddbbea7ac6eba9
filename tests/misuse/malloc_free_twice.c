/* stderr: umpa: free(0x*): no live block begins here; freed twice, or inside a block */
#include <stdlib.h>

int main(void)
{
	void *p = malloc(1 << 20);

	free(p);
	free(p);
	return 0;
}
