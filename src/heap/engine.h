/*
 * The engine: the next malloc in the chain (glibc's, or jemalloc, mimalloc, tcmalloc when preloaded
 * after umpa), which serves what is too small for umpa. A table of its functions, filled once.
 *
 * Until umpa_engine_start() has succeeded the table is all NULL, but for free and usable_size,
 * which are the heap's slow functions: they take no look at whether the engine is known. It never
 * changes afterwards; malloc is written last, with release, so whoever sees it set sees the rest.
 * Nothing here takes a lock: two threads that start at once find the same functions.
 *
 * Does not allocate. What it asks of the program it lives in (umpa_host_*) is supplied by the shim,
 * or by a test.
 */
#ifndef UMPA_HEAP_ENGINE_H
#define UMPA_HEAP_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define within_library __attribute__((visibility("hidden")))

struct umpa_engine {
	void *(*malloc)(size_t nbytes);
	void *(*calloc)(size_t n, size_t nbytes);
	void *(*realloc)(void *p, size_t nbytes);
	void (*free)(void *p);
	int (*posix_memalign)(void **out, size_t align, size_t nbytes);
	void *(*aligned_alloc)(size_t align, size_t nbytes);
	void *(*memalign)(size_t align, size_t nbytes);
	size_t (*usable_size)(void *p);
	int (*mallopt)(int param, int value);
	/* The library malloc comes from, which maps memory for its blocks: [begin, end). */
	uintptr_t begin, end;
	/* usable_size, mallopt come from the same library as malloc, so that they speak of its
	 * blocks. */
	int measures, learns;
	int breaks; /* it is libc's, whose heap lies below the program break */
};

/* Of heap.h. */
void umpa_heap_free_slow(void *p);
size_t umpa_heap_usable_size_slow(void *p);

/* What the table is before the engine is known. */
#define UMPA_ENGINE_UNKNOWN                                                                        \
	{                                                                                          \
		.free = umpa_heap_free_slow, .usable_size = umpa_heap_usable_size_slow             \
	}

extern within_library struct umpa_engine umpa_engine;

static inline int umpa_engine_known(void)
{
	return __atomic_load_n(&umpa_engine.malloc, __ATOMIC_ACQUIRE) != NULL;
}

/* 1 if the code at this address is the engine's. */
static inline int umpa_engine_has(const void *code)
{
	uintptr_t begin = __atomic_load_n(&umpa_engine.begin, __ATOMIC_RELAXED);

	return (uintptr_t)code - begin <
	       __atomic_load_n(&umpa_engine.end, __ATOMIC_RELAXED) - begin;
}

/*
 * Finds the engine if it is not known yet. Result: 1 if it is known, 0 if it can't be found now:
 * this thread is in the middle of finding it, or this library is not relocated yet.
 */
int umpa_engine_start(void);

/*
 * Fills *out (zeroed by the caller). May allocate, recursing into this very library, and may run in
 * several threads at once. Result: 1, or 0: no engine there.
 */
int umpa_host_find_engine(struct umpa_engine *out);

enum umpa_consent {
	UMPA_CONSENT_NOT_YET, /* too early: the environment can't be read */
	UMPA_CONSENT_NEVER,   /* umpa must not act in this process */
	UMPA_CONSENT_GIVEN,
};

/* May umpa serve memory in this process? Allocates nothing. */
enum umpa_consent umpa_host_consent(void);

/* 1 if the environment sets one of the numbers from which glibc's heap decides what to give back.
 * Allocates nothing. */
int umpa_host_tunes_engine(void);

/* 1 if the environment says whether glibc's heap has huge pages. Allocates nothing. */
int umpa_host_has_huge_heap(void);

#endif
