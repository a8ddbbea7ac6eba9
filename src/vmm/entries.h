/*
 * The mover of guest mode: superpages and pages change places by an exchange of two entries. A page
 * that has no frame keeps none, as its home has none: so the rules of every mover (os/mover.h)
 * hold, and no page ever leads nowhere.
 */
#ifndef UMPA_VMM_ENTRIES_H
#define UMPA_VMM_ENTRIES_H

#include <umpa/vmm.h>

#include "os/mover.h"

struct umpa_entries_mover {
	struct umpa_mover mover;
	struct umpa_guest *guest;
};

/* For the function in guest mode alone, and handlers of its faults. */
void umpa_entries_mover_init(struct umpa_entries_mover *m, struct umpa_guest *guest);

/* After an exchange of npages and npages others: 1 if one page after the other would not do, or too
 * many, and all that this CPU remembers has to go. Of a superpage made of pages each is remembered
 * by itself. */
int umpa_entries_forget_all(struct umpa_guest *g, void *a, void *b, size_t npages);

/* 1 if all pages are there and may be written. */
int umpa_entries_are_open(struct umpa_guest *g, void *addr, size_t npages);

#endif
