/* stderr: umpa: umpa_free(0x*): no live block begins here; freed twice, or inside a block */
#include <umpa/umpa.h>

int main(void)
{
	char *block = umpa_alloc(1 << 20, 0);

	umpa_free(block + ((size_t)1 << 34));
	return 0;
}
