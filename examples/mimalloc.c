/*
 * A program that has a heap of mimalloc 2 in memory of umpa's:
 *
 *	cc mimalloc.c queues.c -lumpa -lmimalloc
 *
 * mimalloc keeps what it is given for good: the block can't be freed, nor trimmed, while mimalloc
 * is in use. So it is a bound, too: where the arena is full, the heap has no memory.
 */
#include <mimalloc.h>
#include <stdio.h>
#include <umpa/umpa.h>

#include "queues.h"

enum {
	NRECORDS = 8000,
	ARENA_ALIGN_LOG2 = 26, /* mimalloc's segments want 64 MiB at most */
	ARENA_NBYTES = 512 << 20
};

static mi_heap_t *heap;

static void *resize(void *block, size_t nbytes)
{
	return mi_heap_realloc(heap, block, nbytes);
}

/* "Large" to mimalloc is memory that it must not give back to the system behind umpa's back. */
static mi_heap_t *heap_over_umpa(void)
{
	void *block = umpa_alloc(ARENA_NBYTES, UMPA_ZERO | UMPA_ALIGN(ARENA_ALIGN_LOG2));
	mi_arena_id_t arena;

	if (!block ||
		!mi_manage_os_memory_ex(block, ARENA_NBYTES, true, true, true, -1, true, &arena))
		return NULL;
	return mi_heap_new_in_arena(arena);
}

int main(void)
{
	static const struct verbs verbs = {resize, mi_free};
	struct queues_result result;
	struct umpa_stats stats;

	heap = heap_over_umpa();
	if (!heap) {
		fputs("mimalloc makes no heap\n", stderr);
		return 1;
	}
	result = queues_run(&verbs, NRECORDS);
	umpa_get_stats(&stats, sizeof(stats));
	printf("umpa has %llu MiB in blocks\n", (unsigned long long)stats.block_nbytes >> 20);
	return !queues_right(&result, "mimalloc over umpa") || stats.block_nbytes < ARENA_NBYTES;
}
