/* stderr: umpa: umpa_free(0x*): no live block begins here; freed twice, or inside a block */
#include <umpa/umpa.h>

int main(void)
{
	char *block = umpa_alloc(10 << 20, 0);

	umpa_free(block + (2 << 20));
	return 0;
}
