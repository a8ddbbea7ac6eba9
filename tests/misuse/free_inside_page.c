/* stderr: umpa: umpa_free(0x*): inside a page, so not the beginning of a block */
#include <umpa/umpa.h>

int main(void)
{
	char *block = umpa_alloc(10000, 0);

	umpa_free(block + 16);
	return 0;
}
