/* stderr: umpa: umpa_realloc(0x*): no live block begins here; freed twice, or inside a block */
#include <umpa/umpa.h>

int main(void)
{
	void *block = umpa_alloc(5 << 20, 0);

	umpa_free(block);
	return umpa_realloc(block, 8192, 0) != NULL;
}
