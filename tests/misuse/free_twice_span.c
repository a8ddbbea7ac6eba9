/* stderr: umpa: umpa_free(0x*): no live block begins here; freed twice, or inside a block */
#include <umpa/umpa.h>

int main(void)
{
	void *block = umpa_alloc(10 << 20, 0);

	umpa_free(block);
	umpa_free(block);
	return 0;
}
