/*
 * Attributes: in what a mapped page of the window differs from ordinary memory, six bits a page.
 * Most have none, so the table is address space that is opened only as far as a page with some ever
 * lay.
 *
 * The caller holds the lock that guards it. Pages are numbered from the window's begin.
 */
#ifndef UMPA_MM_ATTRIBUTES_H
#define UMPA_MM_ATTRIBUTES_H

#include "base/bitmap.h"
#include "base/compiler.h"
#include "base/units.h"

/* Ordinary pages are readable and writable. */
enum umpa_attribute {
	PAGE_UNREADABLE = 1,
	PAGE_UNWRITABLE = 2,
	PAGE_EXECUTABLE = 4,
	PAGE_ODD = 8,       /* mapped over, locked, advised: must be mapped anew to be ordinary */
	PAGE_UNFORKED = 16, /* MADV_DONTFORK: not there in a child after fork */
	PAGE_VOID = 32, /* zero, and never open since it became so; has no frame in a whole slot */
	PAGE_GUARDED = PAGE_UNREADABLE | PAGE_UNWRITABLE | PAGE_EXECUTABLE,
};

enum {
	NATTRIBUTES = 6
};

struct umpa_page_bits {
	struct bitmap bit[NATTRIBUTES];
};

/* A confined process may not ask which one it is. */
#define UNFORKED_BY_SOMEBODY -1

struct umpa_attributes {
	struct umpa_page_bits *slot;
	uint32_t nslots_open, nslots;
	size_t open_nbytes; /* whole pages: of one slot more, perhaps, a part */
	int unforked_by;    /* the process whose pages are PAGE_UNFORKED; 0: none are */
};

/* For a window of nslots slots, all ordinary. 0 or -ENOMEM. */
must_check int umpa_attributes_init(struct umpa_attributes *a, uint32_t nslots);
void umpa_attributes_fini(struct umpa_attributes *a);

/* The window has nslots slots now, no more than before. */
void umpa_attributes_narrow(struct umpa_attributes *a, uint32_t nslots);

/* Sees to it that the pages below `end` can be given attributes. 0 or -ENOMEM. */
must_check int umpa_attributes_need(struct umpa_attributes *a, size_t end);

/* The attributes of the first page, and in *row_end how far the pages before `end` are like it. */
unsigned umpa_attributes_row(
	const struct umpa_attributes *a, size_t first, size_t end, size_t *row_end);

/* Takes attributes from the pages of [first, end) and gives them others; needed before, if it gives
 * any. */
void umpa_attributes_change(
	struct umpa_attributes *a, size_t first, size_t end, unsigned taken, unsigned given);

#endif
