/* stderr: umpa: operator new: out of memory, and no library of C++ to tell of it */
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

int main(void)
{
	void *found = dlsym(RTLD_DEFAULT, "_Znwm");
	void *(*new_bytes)(size_t nbytes);

	if (!found)
		return 1;
	memcpy(&new_bytes, &found, sizeof(found));
	return !new_bytes(100) || new_bytes(PTRDIFF_MAX);
}
