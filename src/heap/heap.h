/*
 * The malloc family: nbytes of `malloc_min` and more are blocks of umpa's core, the rest is the
 * engine's.
 *
 * The functions here are what the shim's libc names consist of. Their first lines are inline: for
 * small memory a compare and an indirect tail call, nothing else. All follow glibc 2.36 in results
 * and errno; what glibc and the engine disagree on (an odd alignment, realloc to 0) is decided by
 * the engine, as it was before umpa came.
 *
 * Whose memory a pointer is: the window's and umpa's outside blocks (umpa_owns_block), the
 * bootstrap arena's (umpa_boot_owns), else the engine's, which may have its memory from mappings in
 * the window. The three never overlap and a pointer never changes its owner.
 *
 * Invariants
 *  1. umpa_heap_min is 0 until the engine is known and umpa may act; then it is the threshold
 *     for good: SIZE_MAX where umpa may not act at all. umpa_heap_plain is 0 until then, too, and
 *     never more than it: what is smaller is the engine's, and nothing else is to be done.
 *  2. Where umpa refuses, the engine is asked before the caller is refused.
 */
#ifndef UMPA_HEAP_HEAP_H
#define UMPA_HEAP_HEAP_H

#include <errno.h>
#include <stddef.h>
#include <umpa/page.h>

#include "base/units.h"
#include "core/owns.h"
#include "heap/boot.h"
#include "heap/engine.h"
#include "heap/huge.h"

extern within_library size_t umpa_heap_min, umpa_heap_plain;
extern within_library int umpa_heap_had_first; /* its first block, which is not umpa's */

/* Does all that can be done now so that umpa serves. Called by the first allocation by itself. */
void umpa_heap_start(void);

void *umpa_heap_malloc_slow(size_t nbytes);
void *umpa_heap_calloc_slow(size_t nbytes);
void *umpa_heap_realloc_slow(void *p, size_t nbytes);
int umpa_heap_posix_memalign_slow(void **out, size_t align, size_t nbytes);
void *umpa_heap_aligned_alloc_slow(size_t align, size_t nbytes);
void *umpa_heap_memalign_slow(size_t align, size_t nbytes);

/* A block of umpa's, of nbytes or more; NULL where it refuses, or the engine shall be asked. For
 * the heap's own files. */
void *umpa_heap_block(size_t nbytes, unsigned flags);

/* Requests from nbytes up come by the slow functions, where the engine's heap is looked at; at most
 * from the threshold. */
void umpa_heap_look_from(size_t nbytes);

/* Small, and the engine is known. Acquire pairs with the release in heap.c: who sees the bound sees
 * the engine. */
static inline int umpa_heap_is_small(size_t nbytes)
{
	return likely(nbytes < __atomic_load_n(&umpa_heap_plain, __ATOMIC_ACQUIRE));
}

/* For the slow functions: small all the same. Looks at the engine's heap. */
static inline int umpa_heap_is_small_yet(size_t nbytes)
{
	if (nbytes >= __atomic_load_n(&umpa_heap_min, __ATOMIC_ACQUIRE))
		return 0;
	umpa_huge_look();
	return 1;
}

static inline void *umpa_heap_refuse(void)
{
	errno = ENOMEM;
	return NULL;
}

/* From now on new blocks are the engine's, whatever their size. */
void umpa_heap_retire(void);

/* umpa_core_is_beyond(), also before umpa is started: then the engine asks the kernel. */
int umpa_heap_is_beyond(size_t nbytes);

/*
 * Certainly the engine's, or NULL, which it knows what to do with: lua asks realloc for all that it
 * allocates. A block of umpa's is in the window or begins at a page, like a bootstrap block; for
 * these and the engine's own pages the slow functions look closer. What lies in a mapping is in
 * memory that the engine has mapped (shim/mman.c).
 */
static inline int umpa_heap_is_engines(const void *p)
{
	if (likely(!umpa_in_window(p)))
		return likely((uintptr_t)p % PAGE_NBYTES) || !p;
	return umpa_in_mappings(p);
}

static inline void *umpa_heap_malloc(size_t nbytes)
{
	if (umpa_heap_is_small(nbytes))
		return umpa_engine.malloc(nbytes);
	return umpa_heap_malloc_slow(nbytes);
}

static inline void *umpa_heap_calloc(size_t n, size_t each)
{
	size_t nbytes;

	if (unlikely(__builtin_mul_overflow(n, each, &nbytes)))
		return umpa_heap_refuse();
	if (umpa_heap_is_small(nbytes))
		return umpa_engine.calloc(n, each);
	return umpa_heap_calloc_slow(nbytes);
}

static inline void *umpa_heap_realloc(void *p, size_t nbytes)
{
	if (umpa_heap_is_small(nbytes) && umpa_heap_is_engines(p))
		return umpa_engine.realloc(p, nbytes);
	return umpa_heap_realloc_slow(p, nbytes);
}

static inline void umpa_heap_free(void *p)
{
	if (umpa_heap_is_engines(p))
		/* Until the engine is known this is the slow function too. */
		__atomic_load_n(&umpa_engine.free, __ATOMIC_RELAXED)(p);
	else
		umpa_heap_free_slow(p);
}

/* Asked of every block by some programs: redis counts by it. */
static inline size_t umpa_heap_usable_size(void *p)
{
	if (umpa_heap_is_engines(p))
		return __atomic_load_n(&umpa_engine.usable_size, __ATOMIC_RELAXED)(p);
	return umpa_heap_usable_size_slow(p);
}

static inline int umpa_heap_posix_memalign(void **out, size_t align, size_t nbytes)
{
	if (umpa_heap_is_small(nbytes))
		return umpa_engine.posix_memalign(out, align, nbytes);
	return umpa_heap_posix_memalign_slow(out, align, nbytes);
}

static inline void *umpa_heap_aligned_alloc(size_t align, size_t nbytes)
{
	if (umpa_heap_is_small(nbytes))
		return umpa_engine.aligned_alloc(align, nbytes);
	return umpa_heap_aligned_alloc_slow(align, nbytes);
}

static inline void *umpa_heap_memalign(size_t align, size_t nbytes)
{
	if (umpa_heap_is_small(nbytes))
		return umpa_engine.memalign(align, nbytes);
	return umpa_heap_memalign_slow(align, nbytes);
}

static inline void *umpa_heap_valloc(size_t nbytes)
{
	return umpa_heap_memalign(PAGE_NBYTES, nbytes);
}

static inline void *umpa_heap_pvalloc(size_t nbytes)
{
	size_t rounded;

	if (unlikely(__builtin_add_overflow(nbytes, PAGE_NBYTES - 1, &rounded)))
		return umpa_heap_refuse();
	return umpa_heap_memalign(PAGE_NBYTES, rounded & ~(PAGE_NBYTES - 1));
}

#endif
