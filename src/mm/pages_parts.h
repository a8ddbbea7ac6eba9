/* What the parts of pages.h know of each other: pages_shard.c, whose slots are whose; pages_new.c,
 * where new mappings lie; pages.c, what becomes of pages that are there. */
#ifndef UMPA_MM_PAGES_PARTS_H
#define UMPA_MM_PAGES_PARTS_H

#include "core/shard.h"
#include "mm/pages.h"

/* What threads of one shard of the core have mapped: whole slots, and those on its shelf. */
struct umpa_pages_shard {
	struct umpa_lock lock;
	unsigned number;
	int is_ready; /* has its shelf. atomic */
	struct umpa_shelf shelf;
	void *heights;
	size_t heights_nbytes;
} __attribute__((aligned(SHARD_ALIGN)));

/* Pages of one slot. */
struct part {
	struct slot slot;
	unsigned page, npages;
};

static inline int fits_window(size_t npages)
{
	return npages <= (size_t)umpa_core.window.nslots * SLOT_NPAGES;
}

/* The part of [first, end) that lies in the slot of its first page. */
static inline struct part first_part(size_t first, size_t end)
{
	struct part p = {{(uint32_t)(first / SLOT_NPAGES)}, first % SLOT_NPAGES, 0};

	p.npages = (unsigned)SLOT_NPAGES - p.page;
	if (p.npages > end - first)
		p.npages = (unsigned)(end - first);
	return p;
}

static inline enum slot_use use_of(struct slot slot)
{
	return slot.i < umpa_window_nslots_open(&umpa_core.window) ? slot_use(slot) : SLOT_INNER;
}

static inline int is_whole(struct slot slot)
{
	return use_of(slot) == SLOT_MAPPED;
}

static inline int is_part(struct slot slot)
{
	return use_of(slot) == SLOT_PART_MAPPED;
}

/* The slot has mapped pages, and they are the shard's (NULL: anybody's). */
static inline int is_shards(const struct umpa_pages_shard *s, struct slot slot)
{
	return (is_whole(slot) || is_part(slot)) && (!s || slot_shard(slot) == s->number);
}

/* So many more pages are mapped. */
static inline void count(int64_t npages)
{
	event_add(&umpa_shard_of_thread()->mapped_npages, (uint64_t)npages);
}

/* Whose a slot is that has mapped pages. */
struct umpa_pages_shard *umpa_pages_shard_of(struct slot slot);

/* This thread's, or the first where the thread's is not ready. And makes it so where it is time,
 * and there is memory for it; without locks. */
struct umpa_pages_shard *umpa_pages_my_shard(void);
void umpa_pages_need_shard(void);

/* Puts a slot on a shard's shelf, without a page that is mapped; dirty: they may hold anything. */
void umpa_pages_shelve_free(struct umpa_pages_shard *s, struct slot slot, int dirty);

/* The same with these pages mapped. */
void umpa_pages_shelve(struct umpa_pages_shard *s, struct part p, int dirty);

/* Slots all of whose pages are this thread's shard's now. */
void umpa_pages_keep_whole(struct slot slot, uint32_t nslots);

#endif
