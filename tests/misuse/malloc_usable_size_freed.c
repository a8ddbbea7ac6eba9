/* stderr: umpa: malloc_usable_size(0x*): no live block begins here; freed twice, or inside a block
 */
#include <malloc.h>
#include <stdlib.h>

int main(void)
{
	void *p = malloc(200000);

	free(p);
	return (int)malloc_usable_size(p);
}
