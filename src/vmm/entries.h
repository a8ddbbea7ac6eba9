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

#endif
