/* stderr: umpa: umpa_usable_size(0x*): no live block begins here; freed twice, or inside a block */
#include <umpa/umpa.h>

int main(void)
{
	char *block = umpa_alloc(1 << 20, 0);

	return (int)umpa_usable_size(block + ((size_t)1 << 34));
}
