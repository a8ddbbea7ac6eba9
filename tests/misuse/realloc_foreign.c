/* stderr: umpa: umpa_realloc(0x*): not a pointer umpa handed out */
#include <stdlib.h>
#include <umpa/umpa.h>

int main(void)
{
	return umpa_realloc(malloc(100), 8192, 0) != NULL;
}
