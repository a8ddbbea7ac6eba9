/*
 * What a pointer is: the block that begins at an address, or that an address lies in.
 *
 * Owns nothing: it reads the window's bounds, the slots' records, the shelves (under their locks)
 * and the table of outside blocks. What it says of a live block holds until the block's owner frees
 * or resizes it. Of an address that no live block holds it says BLOCK_NONE, as far as that can be
 * seen. umpa is started (umpa_core_need()) before any of these is called.
 */
#ifndef UMPA_CORE_BLOCK_H
#define UMPA_CORE_BLOCK_H

#include "core/core.h"

enum umpa_block_kind {
	BLOCK_NONE,
	BLOCK_RUN,
	BLOCK_SPAN,
	BLOCK_OUTSIDE,
	BLOCK_LENT /* of another allocator (core/lent.h); for the page API's own use */
};

struct umpa_block {
	enum umpa_block_kind kind;
	size_t npages;
	char *begin;
	struct slot slot; /* a run's; a span's first whole one */
	unsigned page;    /* a run's, in its slot */
};

/*
 * Blocks with unlike pages: a program may protect, lock, advise or map over pages of a block, and
 * free it so. The layer that sees such calls (mm/mapping.c) marks the block; what is marked is
 * settled before its pages go anywhere. A mark may be there for another block in the slot.
 */
void umpa_block_mark(const struct umpa_block *b);
void umpa_block_unmark(const struct umpa_block *b);

static inline int umpa_block_begins_marked(struct slot slot)
{
	return __atomic_load_n(&umpa_core.record[slot.i].marked, __ATOMIC_RELAXED) != 0;
}

/* 1 if the block, which umpa_block_find() found, is marked. */
int umpa_block_marked(const struct umpa_block *b);

/* Makes all pages of a block ordinary memory, by what that layer has put here; keep: and keeps
 * their content. 0; -ENOMEM: the system refuses; -EBUSY: the content can't be kept but by copying.
 * Called without a lock. */
extern int (*umpa_block_settle)(const struct umpa_block *b, int keep);

/* What may be done to pages of a block, as far as that layer knows. */
enum umpa_pages_kind {
	PAGES_ORDINARY,
	PAGES_ODD,    /* read and written; the frames are locked, a file's or the like, and stay */
	PAGES_CLOSED, /* not all can be read and written */
};

/* Of [addr, addr + nbytes), whole pages of b. Called without a lock. */
enum umpa_pages_kind umpa_block_pages(const struct umpa_block *b, const void *addr, size_t nbytes);

/* The same of a marked block, by what that layer has put here. */
extern enum umpa_pages_kind (*umpa_block_look)(const void *addr, size_t nbytes);

/* The block that begins at ptr. */
struct umpa_block umpa_block_find(const void *ptr);

/* The block that all of [addr, addr + nbytes) lies in; nbytes 0 stands for the byte at addr. 0, or
 * -EINVAL and *b unspecified. A span is found from its middle by walking back over its slots. */
must_check int umpa_block_of_range(const void *addr, size_t nbytes, struct umpa_block *b);

/* 1 if all of [addr, addr + nbytes) lies in the block. A block of 0 pages holds nothing. */
int umpa_block_holds(const struct umpa_block *b, const void *addr, size_t nbytes);

/* The whole slots of [from, to), a part of the block, that a span holds alone: [*first, *first +
 * result). */
uint32_t umpa_block_whole_slots(
	const struct umpa_block *b, uintptr_t from, uintptr_t to, struct slot *first);

#endif
