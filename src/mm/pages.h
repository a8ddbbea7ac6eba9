/*
 * Which pages of the window are mapped by the mmap family, and where new ones lie. A page is mapped
 * or it is not; nothing else is known of a mapping, and so any range of pages can be ended. Pages
 * are numbered from the window's begin; a range [first, end) lies in the window.
 *
 * A slot all of whose pages are mapped is whole; one with some is on a shelf of the mappings' own,
 * where mappings below a superpage find a place. A slot without any goes back to the space, with
 * its frames.
 *
 * As with runs there are shards, as many as the core has, each with a shelf; slots that a thread
 * maps are its shard's, until none of their pages is mapped.
 *
 * Owns the locks of the mappings, one a shard. It guards the shard's shelf, the run maps of the
 * slots on it, which of the shard's whole slots are mapped, and, for looking, the attributes of the
 * shard's pages (mm/mapping.c). All of them together, umpa_pages_lock(), guard everything, and are
 * needed for giving attributes. Functions that say "with the lock" are called with all held; the
 * others take what they need, and never clear pages or move frames under it.
 *
 * Invariant: a slot says SLOT_MAPPED if all its pages are mapped and it is on no shelf,
 * SLOT_PART_MAPPED if it is on the shelf of the shard that its record says.
 */
#ifndef UMPA_MM_PAGES_H
#define UMPA_MM_PAGES_H

#include "core/space.h"

/* 0 or -ENOMEM; with the start's lock. What it took is given back by umpa_pages_stop(). */
must_check int umpa_pages_start(void);
void umpa_pages_stop(void);
void umpa_pages_lock_start(void);
void umpa_pages_unlock_start(void);

void umpa_pages_lock(void);
void umpa_pages_unlock(void);

/* Takes the lock of the shard whose all that is mapped of the range is. Result: the shard; NULL and
 * nothing taken if there is more than one. */
struct umpa_pages_shard *umpa_pages_lock_shard(size_t first, size_t end);
void umpa_pages_unlock_shard(struct umpa_pages_shard *s);

static inline char *umpa_pages_address(size_t page)
{
	return page_address((struct slot){0}, page);
}

/* The page that an address of the window lies in. */
static inline size_t umpa_pages_number(const char *addr)
{
	return (size_t)(addr - umpa_pages_address(0)) >> PAGE_SHIFT;
}

/* Maps npages, above 0, wherever there is room; flags: 0, UMPA_ZERO, and UMPA_BACKED with it if
 * all is about to get frames. NULL if there is none.
 * aligned: at a multiple of so many slots, a power of two; npages are SLOT_NPAGES or more then. */
void *umpa_pages_new(size_t npages, unsigned flags);
void *umpa_pages_new_aligned(size_t npages, uint32_t nslots, unsigned flags);
/* Maps npages, SLOT_NPAGES or more, that are zero, at the begin of a slot and a multiple of nslots
 * of them, a power of two; is_void: whole slots have no frame. */
void *umpa_pages_new_zero(size_t npages, uint32_t nslots, int is_void);

/* What a range was taken in: pages of a slot, whole slots, pages of a slot; and what they held. */
struct umpa_pages_part {
	struct slot slot;
	unsigned page, npages;
	struct bitmap dirty;
};

struct umpa_pages_taken {
	struct umpa_pages_part front, back;
	struct space_grant middle;
};

/* Maps exactly these pages, of which none is mapped, as they are; with the lock. Then without it:
 * makes them zero. 0; -ENOMEM: somebody has them, or they begin deep in a long row of free slots.
 */
must_check int umpa_pages_take(size_t first, size_t end, struct umpa_pages_taken *taken);
void umpa_pages_clear(const struct umpa_pages_taken *taken);

/* Ends what is mapped of the range, which is ordinary memory, and of which whole slots are of that
 * kind; with the lock. */
void umpa_pages_end(size_t first, size_t end, enum umpa_extent_kind kind);

/* The same of what is mapped by a shard's threads, with its lock alone. */
void umpa_pages_end_of_shard(
	const struct umpa_pages_shard *s, size_t first, size_t end, enum umpa_extent_kind kind);

/* Moves a range that is mapped, and ordinary, to another place, where npages are mapped, no fewer;
 * what was not there before is zero. Whole superpages are carried, the rest is copied. NULL and
 * nothing changed: no room. */
void *umpa_pages_move(size_t first, size_t end, size_t npages);

/* How far the pages from `first` on are mapped, or are not, as the first of them: *mapped. With the
 * lock. */
size_t umpa_pages_row(size_t first, size_t end, int *mapped);

/* The invariant, with the lock; for tests. 1 if it holds. */
int umpa_pages_valid(void);

#endif
