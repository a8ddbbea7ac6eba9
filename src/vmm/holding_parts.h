/* What the parts of a holding, holding.c and holding_resize.c, know of each other. */
#ifndef UMPA_VMM_HOLDING_PARTS_H
#define UMPA_VMM_HOLDING_PARTS_H

#include "vmm/holding.h"

enum {
	GRANT_NPIECES_MAX = 16
};

/* Slots taken: front to back, void or resident. */
struct umpa_grant {
	struct slot slot;
	unsigned npieces;
	struct umpa_extent_piece piece[GRANT_NPIECES_MAX];
};

static inline uint32_t what_of(size_t npages, unsigned bits)
{
	return (uint32_t)npages << HOLDING_SHIFT | bits;
}

static inline size_t npages_of(uint32_t what)
{
	return what >> HOLDING_SHIFT;
}

static inline unsigned tail_of(uint32_t what)
{
	return what & HOLDING_SHARED ? (unsigned)(npages_of(what) % SLOT_NPAGES) : 0;
}

/* Slots that a span has to itself. */
static inline uint32_t nslots_of(uint32_t what)
{
	return slots_of(npages_of(what) - tail_of(what));
}

static inline char *page_at(const struct umpa_holding *h, size_t page)
{
	return h->begin + (page << PAGE_SHIFT);
}

static inline char *slot_at(const struct umpa_holding *h, struct slot slot)
{
	return page_at(h, (size_t)slot.i * SLOT_NPAGES);
}

static inline uint32_t page_of(const struct umpa_holding *h, const void *addr)
{
	return (uint32_t)(((uintptr_t)addr - (uintptr_t)h->begin) >> PAGE_SHIFT);
}

static inline struct slot slot_of(uint32_t page)
{
	return (struct slot){page / SLOT_NPAGES};
}

static inline int is_run(const struct umpa_holding *h, uint32_t page)
{
	return umpa_heights_get(&h->shelf.heights, slot_of(page).i) != 0;
}

static inline void *begin_block(struct umpa_holding *h, uint32_t page, size_t npages, unsigned bits)
{
	umpa_holding_at(h, page)->what = what_of(npages, bits | HOLDING_LIVE);
	return page_at(h, page);
}

/* Zeroes those of npages of a slot that are dirty. */
void umpa_holding_clear_dirty(
	char *slot, unsigned from, unsigned npages, const struct bitmap *dirty);

void umpa_holding_give_slots(
	struct umpa_holding *h, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind);

/* Pages of a slot of the shelf; all of it, if that is free now and not the only one that is. */
void umpa_holding_give_pages(
	struct umpa_holding *h, struct slot slot, unsigned page, unsigned npages);

/* A block's end; nmoved of a span's slots, the first ones, have no frames any more. */
void umpa_holding_end_block(struct umpa_holding *h, uint32_t page, uint32_t nmoved);

/* Neighbouring slots at a multiple of align slots. bare: they need no frames. 1; 0: no room. */
int umpa_holding_take(
	struct umpa_holding *h, struct umpa_grant *g, uint32_t nslots, uint32_t align, int bare);

/* The same without frames, and no others. */
int umpa_holding_take_void(
	struct umpa_holding *h, struct umpa_grant *g, uint32_t nslots, uint32_t align);

/* Carries frames to where there are none. Result: bytes, from the front, that have come. */
size_t umpa_holding_move(struct umpa_holding *h, void *dst, void *src, uint32_t nslots);

/* Brings frames of the pool to void slots, as long as it has some and they move; what gets none is
 * zero, and the kernel's fault fills it. Result: slots, from the front, that may not be zero. */
uint32_t umpa_holding_fill(struct umpa_holding *h, struct slot slot, uint32_t nslots);

void umpa_holding_clear_slots(struct umpa_holding *h, struct slot slot, uint32_t nslots);

/* Makes slots that were granted ready for use. flags: UMPA_ZERO, UMPA_NOBACK. */
void umpa_holding_ready(struct umpa_holding *h, const struct umpa_grant *g, unsigned flags);

/* What the last pages of a span leave of their slot is for runs. Result: HOLDING_SHARED, or 0: they
 * leave little. */
unsigned umpa_holding_share(struct umpa_holding *h, struct slot slot, size_t npages);

#endif
