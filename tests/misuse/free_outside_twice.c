/* stderr: umpa: umpa_free(0x*): not a pointer umpa handed out */
#include <stdlib.h>
#include <umpa/umpa.h>

int main(void)
{
	void *block;

	setenv("UMPA_OPTIONS", "window=2M", 1);
	block = umpa_alloc(64 << 20, 0);
	umpa_free(block);
	umpa_free(block);
	return 0;
}
