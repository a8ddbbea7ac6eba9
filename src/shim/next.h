/* The function of a name in the libraries behind this one. */
#ifndef UMPA_SHIM_NEXT_H
#define UMPA_SHIM_NEXT_H

#include <dlfcn.h>
#include <string.h>

/* Into *function, which is NULL where there is none: an object pointer goes where a function
 * pointer is, which C has no cast for. */
static inline void umpa_find_next(const char *name, void *function)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof(found));
}

#endif
