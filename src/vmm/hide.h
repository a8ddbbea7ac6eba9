/*
 * Pages that a CPU's functions don't see, and everybody else does: of the stack of the thread that
 * runs one, where the host's frames are meanwhile. A function that has left by longjmp() goes on
 * above, in frames of who called, and comes down to these: it must not write there.
 *
 * So a CPU has a root of its own, and one way of its own from there down to the pages of two
 * superpages, neighbours; all else it shares. The shared tables stay as they are, so what is copied
 * of them stays right. Of a GiB that the window has a part of there must be no way: its entries
 * change.
 *
 * Pure. Runs in guest mode, where a kernel that shadows page tables sees what is written; told how
 * to forget what is remembered of the page tables of this CPU. Whoever runs it may be ended in the
 * middle, for good: the next call begins anew.
 */
#ifndef UMPA_VMM_HIDE_H
#define UMPA_VMM_HIDE_H

#include "vmm/tables.h"

enum {
	HIDE_NTABLES = TABLE_NLEVELS + 1
};

struct umpa_hide {
	const struct umpa_tables *shared;
	uint64_t *way;     /* one a level, from the pages up, and one for pages below those */
	uint64_t physical; /* of those */
	void (*forget)(void);
	uintptr_t superpage;  /* that the way leads to, and to the one below; 0: none */
	uintptr_t begin, end; /* hidden now; 0: nothing is */
	int is_under_way;     /* a call that may have been ended */
};

/* Of tables that are complete. `way` is memory for HIDE_NTABLES, zero, found at `physical`. */
void umpa_hide_init(struct umpa_hide *h, const struct umpa_tables *shared, uint64_t *way,
	uint64_t physical, void (*forget)(void));

/* The physical address of the CPU's root. */
uint64_t umpa_hide_root(const struct umpa_hide *h);

/* How far down pages can be hidden that end there: to the begin of the superpage below, if that is
 * in the same GiB. */
uintptr_t umpa_hide_lowest(uintptr_t end);

/* From now on those pages are hidden, and no others: as far down as that; or none, both 0. */
void umpa_hide(struct umpa_hide *h, uintptr_t begin, uintptr_t end);

#endif
