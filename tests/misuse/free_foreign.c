/* stderr: umpa: umpa_free(0x*): not a pointer umpa handed out */
#include <stdlib.h>
#include <umpa/umpa.h>

int main(void)
{
	umpa_free(malloc(100));
	return 0;
}
