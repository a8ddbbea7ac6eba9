/* stderr: umpa: umpa_realloc(0x*): no live block begins here; freed twice, or inside a block */
#include <umpa/umpa.h>

int main(void)
{
	char *block = umpa_alloc(1 << 20, 0);

	return !umpa_realloc(block + ((size_t)1 << 34), 1, 0);
}
