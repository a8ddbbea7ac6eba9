/*
 * Spans: blocks of a superpage and more. A span holds whole slots; where its last slot would be
 * left mostly empty, those last pages (its tail) are the first pages of a slot that runs share.
 * Beyond its pages a span may hold slots to grow into, which are void.
 *
 * Guarded by the block's owner; slots come and go through the space.
 */
#ifndef UMPA_CORE_SPAN_H
#define UMPA_CORE_SPAN_H

#include "core/core.h"

/*
 * Hands out a span of npages, at a multiple of align slots, with room to grow to npages_room
 * (npages or more). flags: UMPA_ZERO and UMPA_NOBACK count. NULL: the window has no room.
 */
void *umpa_span_alloc(size_t npages, size_t npages_room, uint32_t align, unsigned flags);

/* Takes back the span that begins at slot (its record says SLOT_SPAN). */
void umpa_span_free(struct slot slot);

/* Changes a span's size in place. 1, or 0 and nothing changed. flags: UMPA_ZERO and UMPA_NOBACK
 * count. */
int umpa_span_resize(struct slot slot, size_t npages, unsigned flags);

/* Moves a span's frames to a new span of npages (more than it has), with room to grow to
 * npages_room, at a multiple of align slots. The old one is freed. NULL: no room, nothing changed.
 */
void *umpa_span_move(
	struct slot slot, size_t npages, size_t npages_room, uint32_t align, unsigned flags);

/* The slots that npages touch. */
static inline uint32_t span_slots(size_t npages)
{
	return (uint32_t)((npages + SLOT_NPAGES - 1) / SLOT_NPAGES);
}

#endif
