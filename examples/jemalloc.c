/*
 * A program whose malloc is jemalloc, and jemalloc's memory umpa's:
 *
 *	cc jemalloc.c queues.c -lumpa -ljemalloc
 */
#include <jemalloc/jemalloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <umpa/umpa.h>

#include "queues.h"

enum {
	NRECORDS = 8000
};

static void set(const char *name, void *value, size_t nbytes)
{
	if (mallctl(name, NULL, NULL, value, nbytes)) {
		fprintf(stderr, "jemalloc refuses %s\n", name);
		exit(1);
	}
}

/* An arena over umpa, which gives up at once what is freed. */
static unsigned make_arena(void)
{
	extent_hooks_t *hooks = umpa_jemalloc_hooks();
	size_t nbytes = sizeof(unsigned);
	ssize_t at_once = 0;
	unsigned arena;
	char name[64];

	if (mallctl("arenas.create", &arena, &nbytes, &hooks, sizeof(hooks))) {
		fputs("jemalloc makes no arena\n", stderr);
		exit(1);
	}
	snprintf(name, sizeof(name), "arena.%u.dirty_decay_ms", arena);
	set(name, &at_once, sizeof(at_once));
	return arena;
}

/* Arena 0 is jemalloc's own again. */
static void destroy_arena(unsigned arena)
{
	unsigned own = 0;
	char name[64];

	set("thread.arena", &own, sizeof(own));
	set("thread.tcache.flush", NULL, 0);
	snprintf(name, sizeof(name), "arena.%u.destroy", arena);
	set(name, NULL, 0);
}

static uint64_t mapped_nbytes(void)
{
	struct umpa_stats stats;

	umpa_get_stats(&stats, sizeof(stats));
	return stats.mapping_nbytes;
}

/* What jemalloc says it has for the arena. */
static uint64_t arena_nbytes(unsigned arena, const char *what)
{
	size_t value = 0, nbytes = sizeof(value);
	uint64_t epoch = 1;
	char name[64];

	set("epoch", &epoch, sizeof(epoch));
	snprintf(name, sizeof(name), "stats.arenas.%u.%s", arena, what);
	mallctl(name, &value, &nbytes, NULL, 0);
	return value;
}

int main(void)
{
	static const struct verbs verbs = {realloc, free};
	unsigned arena = make_arena();
	struct queues_result result;
	uint64_t jemalloc_nbytes, umpa_nbytes;
	int right;

	set("thread.arena", &arena, sizeof(arena)); /* from here on, for this thread */
	result = queues_run(&verbs, NRECORDS);
	right = queues_right(&result, "jemalloc over umpa");
	jemalloc_nbytes = arena_nbytes(arena, "mapped") + arena_nbytes(arena, "retained");
	umpa_nbytes = mapped_nbytes();
	destroy_arena(arena);
	printf("the arena had %llu KiB, says jemalloc; %llu, says umpa; %llu when it was gone\n",
		(unsigned long long)jemalloc_nbytes >> 10, (unsigned long long)umpa_nbytes >> 10,
		(unsigned long long)mapped_nbytes() >> 10);
	return !right || !umpa_nbytes || umpa_nbytes != jemalloc_nbytes || mapped_nbytes();
}
