/* stderr: umpa: malloc_usable_size(0x*): inside a page, so not the beginning of a block */
#include <malloc.h>
#include <stdlib.h>

int main(void)
{
	char *p = malloc(200000);

	return (int)malloc_usable_size(p + 16);
}
