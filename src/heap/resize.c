/* realloc, where it is more than the engine's: inside umpa, and from one owner to the other. */
#include <stdint.h>
#include <string.h>

#include "core/page.h"
#include "heap/heap.h"
#include "heap/learn.h"
#include "heap/prove.h"

/* A shrunk block is copied to the engine only if that is this cheap. */
#define COPY_MAX_NBYTES ((size_t)128 << 10)

/* What misuse is told of. */
#define CALL "realloc"

static size_t lesser(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t threshold(void)
{
	return __atomic_load_n(&umpa_heap_min, __ATOMIC_ACQUIRE);
}

/* A copy of the first ncopy bytes of p in an engine's block of nbytes. NULL: refused, p untouched.
 */
static void *copy_to_engine(const void *p, size_t ncopy, size_t nbytes)
{
	void *q = umpa_engine.malloc(nbytes);

	return q ? memcpy(q, p, ncopy) : NULL;
}

/*
 * Small enough for the engine, and worth the move: within half of its size a block stays, so that
 * one which wavers around the threshold is not carried to and fro.
 */
static int belongs_to_engine(size_t old_nbytes, size_t nbytes)
{
	return nbytes < threshold() && nbytes <= old_nbytes / 2 && nbytes <= COPY_MAX_NBYTES;
}

static void *resize_block(void *p, size_t nbytes)
{
	size_t old_nbytes = umpa_page_usable_size(p, CALL);
	void *q = NULL;

	umpa_prove_end(p);
	if (umpa_heap_is_beyond(nbytes)) {
		errno = ENOMEM; /* not every engine sets it */
	} else if (!belongs_to_engine(old_nbytes, nbytes)) {
		q = umpa_page_realloc(p, nbytes, 0, CALL);
		if (likely(q)) {
			umpa_learn_of_block(nbytes);
			return q;
		}
	}
	q = copy_to_engine(p, lesser(old_nbytes, nbytes), nbytes);
	if (q)
		umpa_page_free(p, CALL);
	else if (nbytes <= old_nbytes)
		q = umpa_page_realloc(p, nbytes, UMPA_NOMOVE, CALL);
	return q;
}

/* What the engine makes of realloc(p, 0), free and NULL or a block of no bytes, is what its users
 * get. */
static void *resize_block_to_0(void *p)
{
	void *probe = umpa_engine.malloc(1);

	umpa_prove_end(p);
	umpa_page_free(p, CALL);
	return probe ? umpa_engine.realloc(probe, 0) : NULL;
}

static void *resize_boot(void *p, size_t nbytes)
{
	void *q = umpa_heap_malloc(nbytes);

	return q ? memcpy(q, p, lesser(umpa_boot_usable_size(p), nbytes)) : NULL;
}

/*
 * The engine's block grows past the threshold. One that is far past it already is large because
 * umpa had refused it or had not started: the engine may know how to grow it without a copy.
 */
static void *resize_engines(void *p, size_t nbytes)
{
	size_t old_nbytes = umpa_engine.measures ? umpa_engine.usable_size(p) : SIZE_MAX;
	void *q;

	if (!threshold() || nbytes < threshold() || old_nbytes / 2 > threshold())
		return umpa_engine.realloc(p, nbytes);
	q = umpa_heap_block(nbytes, 0);
	if (!q)
		return umpa_engine.realloc(p, nbytes);
	memcpy(q, p, lesser(old_nbytes, nbytes));
	umpa_engine.free(p);
	return q;
}

void *umpa_heap_realloc_slow(void *p, size_t nbytes)
{
	if (umpa_heap_is_small_yet(nbytes) && umpa_heap_is_engines(p))
		return umpa_engine.realloc(p, nbytes);
	if (!p)
		return umpa_heap_malloc_slow(nbytes);
	if (nbytes > PTRDIFF_MAX)
		return umpa_heap_refuse();
	if (umpa_boot_owns(p))
		return resize_boot(p, nbytes);
	if (!umpa_engine_start())
		return NULL;
	if (!threshold())
		umpa_heap_start();
	if (umpa_owns_block(p))
		return nbytes ? resize_block(p, nbytes) : resize_block_to_0(p);
	return resize_engines(p, nbytes);
}
