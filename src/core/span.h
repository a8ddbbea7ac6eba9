/*
 * Spans: blocks of a superpage and more. A span holds whole slots; where its last slot would be
 * left mostly empty, those last pages (its tail) are the first pages of a slot that runs share, or
 * it begins (its head) in the last pages of one. A span is named by its first whole slot.
 * Beyond its pages a span may hold slots to grow into, which are void.
 *
 * Guarded by the block's owner; slots come and go through the space.
 */
#ifndef UMPA_CORE_SPAN_H
#define UMPA_CORE_SPAN_H

#include "core/core.h"

/* Flag of umpa_span_alloc(), none of the public ones: the block has grown and will again. It begins
 * with a slot: a head is copied each time the span moves, to a slot of its own where no other has
 * room, and what lies behind one that was packed tightly has to move before long. */
#define SPAN_GROWS 0x10u

/*
 * Hands out a span of npages, or where that packs tighter a run across two slots, at a multiple of
 * align pages, with room to grow to npages_room (npages or more). flags: UMPA_ZERO, UMPA_NOBACK
 * and SPAN_GROWS count. NULL: the window has no room.
 */
void *umpa_span_alloc(size_t npages, size_t npages_room, uint32_t align, unsigned flags);

/* Takes back the span whose first whole slot it is: it stays whole for a while (recent.h), or what
 * it held is given back. 0; -EINVAL: none begins there, or another thread has just freed it. */
must_check int umpa_span_free(struct slot slot);

/* The same, but its slots, all of them whole, are the caller's to give to the space. -EINVAL also
 * if it has pages in a slot that it shares. */
must_check int umpa_span_dissolve(struct slot slot);

/* Slots that are the caller's become a span of npages, the last `tail` of which lie in the slot
 * behind, that is on a shelf with such a tail. */
void umpa_span_adopt(struct slot slot, size_t npages, uint32_t nslots, unsigned tail);

/* Gives back what a span held that is no block any more. */
void umpa_span_release(struct slot slot);

/* 1 if a span holds no room to grow into. */
int umpa_span_is_tight(struct slot slot);

/* 1 if such a span can be a block of npages at a multiple of align pages, and holds what such a
 * block would. */
int umpa_span_fits(struct slot slot, size_t npages, uint32_t align);

/* Changes a span's size in place. 1, or 0 and nothing changed. flags: UMPA_ZERO and UMPA_NOBACK
 * count. */
int umpa_span_resize(struct slot slot, size_t npages, unsigned flags);

/* Moves a span's frames to a new span of npages (more than it has), with room to grow to
 * npages_room, at a multiple of align pages. The old one is freed. NULL: no room, or a head that
 * the alignment forbids, and nothing changed. */
void *umpa_span_move(
	struct slot slot, size_t npages, size_t npages_room, uint32_t align, unsigned flags);

/*
 * Pages of a span of npages in a last slot that is shared with runs: where holding it whole would
 * waste more than a SPAN_WASTE_SHAREth of the block, so that whole blocks of any size stay within a
 * few percent of what they need. 0: it isn't.
 */
enum {
	SPAN_WASTE_SHARE = 16
};

static inline unsigned umpa_span_tail_to_share(size_t npages)
{
	unsigned tail = npages % SLOT_NPAGES;

	return npages >= SLOT_NPAGES && tail && (SLOT_NPAGES - tail) * SPAN_WASTE_SHARE > npages
		       ? tail
		       : 0;
}

/*
 * A free back that does not hold all that is over whole slots is used up from this length on; a
 * shorter one is left to runs, which fill it anyway, and would cost the span one more shared slot.
 * (Simulated with the ring of the scaling test's A, 64 seeds, peak over live bytes: 16 pages 1.103,
 * 64 1.095, 128 to 192 1.09, 256 1.097.)
 */
enum {
	SPAN_HEAD_NPAGES_MIN = 192
};

/* A span's pages, all of them. */
static inline size_t umpa_span_npages(struct slot slot)
{
	return slot_nhead(slot) + umpa_core.record[slot.i].npages;
}

/* Where a span begins. */
static inline char *umpa_span_begin(struct slot slot)
{
	return (char *)slot_address(slot) - ((size_t)slot_nhead(slot) << PAGE_SHIFT);
}

#endif
