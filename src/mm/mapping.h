/*
 * Mappings: pages of the window that the mmap family has handed out. The kernel knows mappings by
 * addresses, not as things that were once handed out, and so it is here: a page is mapped or it is
 * not, any range of them can be ended, protected or mapped over. Pages are numbered from the
 * window's begin; a range [first, end) lies in the window.
 *
 * A slot all of whose pages are mapped is whole; one with some is on a shelf of the mappings' own,
 * where mappings below a superpage find a place. A slot without any goes back to the space, with
 * its frames.
 *
 * One lock guards all of it, as the kernel's mmap_lock guards a process's mappings: the shelf, the
 * run maps of the slots on it, and the attributes. It is held across the system calls that make
 * protected and mapped-over pages ordinary again, and never while pages are cleared or frames move.
 *
 * Invariants
 *  1. A page that is not mapped has no attributes: it is readable, writable and the window's own.
 *  2. A slot says SLOT_MAPPED if all its pages are mapped and it is on no shelf, SLOT_PART_MAPPED
 * if it is on the shelf.
 */
#ifndef UMPA_MM_MAPPING_H
#define UMPA_MM_MAPPING_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/units.h"

/* Makes mappings ready if they are not. 1, or 0 if there is no window to serve them from. umpa is
 * started before. */
int umpa_mapping_need(void);

/* Maps npages, above 0, wherever there is room: zero, readable and writable. NULL if there is
 * none. */
void *umpa_mapping_new(size_t npages);

/* Maps exactly these pages, which are not mapped, as above. 0; -ENOMEM: somebody has them, or they
 * begin deep in a long row of free slots. */
must_check int umpa_mapping_extend(size_t first, size_t end);

/* Maps these pages, whether they are mapped or not: ordinary and zero. 0; -ENOMEM: somebody has
 * them, or the system did not make them ordinary. */
must_check int umpa_mapping_again(size_t first, size_t end);

/* Ends what is mapped of the range. 0; -ENOMEM: the system did not make protected pages ordinary
 * again, and they stay mapped. */
must_check int umpa_mapping_end(size_t first, size_t end);

/*
 * Moves a range that is mapped to another place, where npages are mapped, no fewer; what was not
 * there before is zero. All of it is ordinary. Whole superpages are carried, the rest is copied.
 * NULL and nothing changed: no room.
 */
void *umpa_mapping_move(size_t first, size_t end, size_t npages);

/* How far the pages from `first` on are mapped, or are not, as the first of them: *mapped. */
size_t umpa_mapping_row(size_t first, size_t end, int *mapped);

/* The protection that all pages of the range have, or one of: */
enum {
	MAPPING_MIXED = -1, /* they differ in that or in something else */
	MAPPING_ODD = -2,   /* they are mapped over, advised, or otherwise not like others */
};
int umpa_mapping_prot(size_t first, size_t end);

/* mprotect() of what is mapped up to the first page that isn't; -ENOMEM if there is one. */
must_check int umpa_mapping_protect(size_t first, size_t end, int prot);

/* madvise() of what is mapped of the range; lasting: it changes more than the pages' frames.
 * -ENOMEM if not all is mapped. */
must_check int umpa_mapping_advise(size_t first, size_t end, int advice, int lasting);

/* From now on what is mapped of the range is MAPPING_ODD. 0 or -ENOMEM. */
must_check int umpa_mapping_expect_oddity(size_t first, size_t end);

/*
 * Calls map(arg), which maps something of the kernel's over the range, with that protection, if the
 * range is or can be mapped here. Result: that of map, or -ENOMEM and map not called.
 */
intptr_t umpa_mapping_over(
	size_t first, size_t end, int prot, intptr_t (*map)(void *arg), void *arg);

/* Gives all back; no page may be mapped. For tests. */
void umpa_mapping_stop(void);
/* The invariants; for tests. */
int umpa_mapping_valid(void);

#endif
