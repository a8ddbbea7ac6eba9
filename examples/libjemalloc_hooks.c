/*
 * To be preloaded: malloc of the main thread is jemalloc's, over umpa. `umpa bench dlmalloc`
 * compares it with jemalloc alone.
 *
 *	cc -shared -fPIC libjemalloc_hooks.c -lumpa -ljemalloc
 */
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <umpa/umpa.h>

__attribute__((constructor)) static void begin(void)
{
	extent_hooks_t *hooks = umpa_jemalloc_hooks();
	size_t nbytes = sizeof(unsigned);
	ssize_t at_once = 0;
	unsigned arena;
	char name[64];

	if (mallctl("arenas.create", &arena, &nbytes, &hooks, sizeof(hooks)))
		abort();
	snprintf(name, sizeof(name), "arena.%u.dirty_decay_ms", arena);
	if (mallctl(name, NULL, NULL, &at_once, sizeof(at_once)) ||
		mallctl("thread.arena", NULL, NULL, &arena, sizeof(arena)))
		abort();
}
