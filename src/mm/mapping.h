/*
 * Mappings: what the mmap family does to pages of the window that are mapped (mm/pages.h), and in
 * what they differ from ordinary memory then (mm/attributes.h). Ranges as there. Pages of blocks
 * may be protected, advised and mapped over too; they become ordinary when the block is freed
 * (core/block.h).
 *
 * All locks of the pages are held across the system calls that protect, advise or map over pages
 * and that make them ordinary again, as the kernel's mmap_lock is; never while pages are cleared.
 *
 * Pages of a reservation are *closed*: mapped, zero, and not to be read or written. Protecting them
 * otherwise opens them.
 *
 * Invariants
 *  1. A page that is neither mapped nor a block's has no attributes: it is readable, writable and
 *     the window's own. A block with pages that have some is marked.
 *  2. A page that says PAGE_VOID is mapped and closed.
 */
#ifndef UMPA_MM_MAPPING_H
#define UMPA_MM_MAPPING_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "mm/attachments.h"

/* Makes mappings ready if they are not. 1, or 0 if there is no window to serve them from. umpa is
 * started before. */
int umpa_mapping_need(void);

/* The window has been narrowed. */
void umpa_mapping_narrow(void);

/* Maps exactly these pages, which are not mapped: zero. 0; -ENOMEM as umpa_pages_take(). */
must_check int umpa_mapping_extend(size_t first, size_t end);

/* Makes these pages, a block's or mapped or not, ordinary and zero, and maps those that are
 * nobody's. 0; -ENOMEM: they are not to be had, or the system did not make them ordinary. */
must_check int umpa_mapping_again(size_t first, size_t end);

/* Maps npages, a superpage or more, that are closed, at a multiple of nslots slots, a power of two;
 * used: most of them will be opened soon, and may have frames already. NULL: they are not to be
 * had. */
void *umpa_mapping_reserve(size_t npages, uint32_t nslots, int used);

/* Maps exactly these pages, which are not mapped: closed. 0 or -ENOMEM. */
must_check int umpa_mapping_reserve_at(size_t first, size_t end);

/* Closes these pages, mapped or not; what they hold is lost. 0; -ENOMEM: they are not to be had, or
 * the system refuses; -EBUSY: a block has some, or they differ in more than their protection. */
must_check int umpa_mapping_close(size_t first, size_t end);

/* 1 if all of the range is known to be closed, and so has no content to keep. */
int umpa_mapping_is_closed(size_t first, size_t end);

/* Ends what is mapped of the range. 0; -ENOMEM: the system did not make protected pages ordinary
 * again, and they stay mapped. */
must_check int umpa_mapping_end(size_t first, size_t end);

/* umpa_pages_row(), by itself. */
size_t umpa_mapping_row(size_t first, size_t end, int *mapped);

/* The protection that all pages of the range have, or one of: */
enum {
	MAPPING_MIXED = -1, /* they differ in that or in something else */
	MAPPING_ODD = -2,   /* they are mapped over, advised, or otherwise not like others */
};
int umpa_mapping_prot(size_t first, size_t end);

/* The first page of the range, or its end, that is nobody's. */
size_t umpa_mapping_reach(size_t first, size_t end);

/* mprotect() of mappings and blocks up to the first page that is nobody's; -ENOMEM if there is one.
 * Whole slots that were closed and are opened get frames from the pool. */
must_check int umpa_mapping_protect(size_t first, size_t end, int prot);

/* madvise() of mappings and blocks in the range; lasting: it changes more than the pages' frames.
 * -ENOMEM if some of it is nobody's. */
must_check int umpa_mapping_advise(size_t first, size_t end, int advice, int lasting);

/* From now on what of the range is somebody's is MAPPING_ODD. 0 or -ENOMEM. */
must_check int umpa_mapping_expect_oddity(size_t first, size_t end);

/* What of the range is nobody's, which something may have been done to that lasts, is mapped anew.
 */
void umpa_mapping_mend_gaps(size_t first, size_t end);

/* 1 if the first page is somebody's and like any other, 0 if it is not; in *row_end how far that is
 * so. */
int umpa_mapping_ordinary(size_t first, size_t end, size_t *row_end);

/* The end of the pages from the first on that are nobody's; first if that is somebody's. */
size_t umpa_mapping_gap(size_t first, size_t end);

/* From now on the kernel may hold on to pages for somebody when they are unmapped: no frame of
 * theirs is used again, but goes back to it. */
void umpa_mapping_distrust(void);

/* 1 if so. */
int umpa_mapping_distrusted(void);

/* What is to be mapped over a range, all of it. */
struct umpa_overlay {
	size_t first, end;
	int prot;
	int gap_only; /* not over what is somebody's */
	intptr_t (*map)(void *arg);
	void *arg;
};

/*
 * Calls map(arg), which maps something of the kernel's over the range, if the range is or can be
 * mapped here. Result: that of map; -ENOMEM, or for gap_only -EEXIST, and map not called. Where the
 * kernel ends what was there and then refuses, the range is nobody's, and what blocks have of it is
 * zero.
 */
intptr_t umpa_mapping_over(const struct umpa_overlay *o);

/* The same where map(arg) attaches a segment of shared memory, which `a` is made for; where it does
 * not, that is given back. */
intptr_t umpa_mapping_attach(const struct umpa_overlay *o, struct umpa_attachment *a);

/* What umpa_attachments_find() finds for that address is ended. 0; -EINVAL: nothing is; -ENOMEM as
 * umpa_mapping_end(). */
must_check int umpa_mapping_detach(uintptr_t begin);

/* The pages, all of them mapped over, are at `to` as well, which is: mremap() has been called. */
void umpa_mapping_moved(size_t first, size_t end, size_t to);

/* Gives all back; no page may be mapped. For tests. */
void umpa_mapping_stop(void);
/* The invariants of mappings and pages; for tests. 1 if they hold. */
int umpa_mapping_valid(void);

#endif
