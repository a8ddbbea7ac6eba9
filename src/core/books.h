/*
 * The books of spans: how many were handed out and came back, kept by each shard for its threads.
 * They are written without a lock, as often as a span is, and read by umpa_get_stats() alone: what
 * came back first, so that nothing has come back that was not handed out.
 */
#ifndef UMPA_CORE_BOOKS_H
#define UMPA_CORE_BOOKS_H

#include <stdint.h>

struct umpa_span_books {
	uint64_t nallocs, npages_taken;
	uint64_t nslots_in_place; /* of those, slots that had frames */
	uint64_t nfrees, npages_given;
};

static inline void umpa_books_add(uint64_t *book, uint64_t n)
{
	/* Release, which pairs with umpa_books_read(): what it takes back was noted before. */
	__atomic_fetch_add(book, n, __ATOMIC_RELEASE);
}

static inline uint64_t umpa_books_read(const uint64_t *book)
{
	return __atomic_load_n(book, __ATOMIC_ACQUIRE);
}

static inline void umpa_books_alloc(
	struct umpa_span_books *b, uint64_t npages, uint64_t nslots_in_place)
{
	umpa_books_add(&b->nallocs, 1);
	umpa_books_add(&b->npages_taken, npages);
	umpa_books_add(&b->nslots_in_place, nslots_in_place);
}

static inline void umpa_books_free(struct umpa_span_books *b, uint64_t npages)
{
	umpa_books_add(&b->npages_given, npages);
	umpa_books_add(&b->nfrees, 1);
}

/* A span has npages more, or fewer. */
static inline void umpa_books_resize(struct umpa_span_books *b, int64_t npages)
{
	umpa_books_add(npages < 0 ? &b->npages_given : &b->npages_taken,
		(uint64_t)(npages < 0 ? -npages : npages));
}

#endif
