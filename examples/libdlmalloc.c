/*
 * dlmalloc as a process's malloc, to be preloaded: over umpa, or with DLMALLOC_OF_KERNEL over the
 * kernel's mmap. `umpa bench dlmalloc` compares the two.
 *
 *	cc -shared -fPIC -fno-builtin -IDIR libdlmalloc.c -lumpa
 */
#ifdef DLMALLOC_OF_KERNEL
#define HAVE_MORECORE 0
#else
#include <umpa/dlmalloc.h>
#endif

/* Under names that the compiler thinks it knows nothing of. */
#define USE_DL_PREFIX
#define USE_LOCKS 1
#include "dlmalloc_source.h"

void *malloc(size_t nbytes)
{
	return dlmalloc(nbytes);
}

void free(void *block)
{
	dlfree(block);
}

void *calloc(size_t n, size_t nbytes)
{
	return dlcalloc(n, nbytes);
}

void *realloc(void *block, size_t nbytes)
{
	return dlrealloc(block, nbytes);
}

void *memalign(size_t align, size_t nbytes)
{
	return dlmemalign(align, nbytes);
}

void *aligned_alloc(size_t align, size_t nbytes)
{
	return dlmemalign(align, nbytes);
}

int posix_memalign(void **block, size_t align, size_t nbytes)
{
	return dlposix_memalign(block, align, nbytes);
}

void *valloc(size_t nbytes)
{
	return dlvalloc(nbytes);
}

void *pvalloc(size_t nbytes)
{
	return dlpvalloc(nbytes);
}

size_t malloc_usable_size(void *block)
{
	return dlmalloc_usable_size(block);
}
