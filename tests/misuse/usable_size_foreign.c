/* stderr: umpa: umpa_usable_size(0x*): not a pointer umpa handed out */
#include <umpa/umpa.h>

int main(void)
{
	int local;

	return (int)umpa_usable_size(&local);
}
