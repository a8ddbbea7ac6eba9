/*
 * The libc names: the whole malloc family, and nothing else in umpa defines one. C++'s operators
 * are in operators.c. cfree left glibc's headers with 2.26 but old programs still call it;
 * free_sized and free_aligned_sized are C23's, here before a libc has its own that would not know
 * umpa's blocks.
 */
#include <stdlib.h>

#include "heap/heap.h"
#include "heap/learn.h"

void cfree(void *p);
void free_sized(void *p, size_t nbytes);
void free_aligned_sized(void *p, size_t align, size_t nbytes);
void *memalign(size_t align, size_t nbytes);
void *pvalloc(size_t nbytes);
size_t malloc_usable_size(void *p);
int mallopt(int param, int value);

public_api void *malloc(size_t nbytes)
{
	return umpa_heap_malloc(nbytes);
}

public_api void *calloc(size_t n, size_t each)
{
	return umpa_heap_calloc(n, each);
}

public_api void *realloc(void *p, size_t nbytes)
{
	return umpa_heap_realloc(p, nbytes);
}

/* As libc's: where a program, or a library before this one, has a malloc of its own without this
 * function, it is made of that one's realloc. */
public_api void *reallocarray(void *p, size_t n, size_t each)
{
	size_t nbytes;

	if (unlikely(__builtin_mul_overflow(n, each, &nbytes)))
		return umpa_heap_refuse();
	return realloc(p, nbytes);
}

public_api void free(void *p)
{
	umpa_heap_free(p);
}

public_api void cfree(void *p)
{
	umpa_heap_free(p);
}

public_api void free_sized(void *p, size_t nbytes)
{
	(void)nbytes;
	umpa_heap_free(p);
}

public_api void free_aligned_sized(void *p, size_t align, size_t nbytes)
{
	(void)align;
	(void)nbytes;
	umpa_heap_free(p);
}

public_api int posix_memalign(void **out, size_t align, size_t nbytes)
{
	return umpa_heap_posix_memalign(out, align, nbytes);
}

public_api void *aligned_alloc(size_t align, size_t nbytes)
{
	return umpa_heap_aligned_alloc(align, nbytes);
}

public_api void *memalign(size_t align, size_t nbytes)
{
	return umpa_heap_memalign(align, nbytes);
}

public_api void *valloc(size_t nbytes)
{
	return umpa_heap_valloc(nbytes);
}

public_api void *pvalloc(size_t nbytes)
{
	return umpa_heap_pvalloc(nbytes);
}

public_api size_t malloc_usable_size(void *p)
{
	return umpa_heap_usable_size(p);
}

/* umpa has no numbers of its own that mallopt could set. */
public_api int mallopt(int param, int value)
{
	return umpa_heap_mallopt(param, value);
}
