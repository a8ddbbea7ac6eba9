/*
 * What a machine mirrors: the process as it lies, by page tables that stay as they are, and the
 * window, by tables that are the guest's to write. Parts of the making of a machine, in this order;
 * each gives 0 or -errno, and what it has taken is in the machine, to be given back with it.
 */
#ifndef UMPA_VMM_MIRROR_H
#define UMPA_VMM_MIRROR_H

#include "vmm/machine.h"

/* Memory for the window's tables: entries for superpages, a table for each. -ENOMEM. */
must_check int umpa_vmm_take_window_tables(struct umpa_vmm *vmm);

/* Where all of the process is for the guest, and what may come beside it. -ENOTSUP, -ENOMEM. */
must_check int umpa_vmm_lay_out(struct umpa_vmm *vmm);

/* Page tables, and where the guest finds those of the window. -ENOMEM. */
must_check int umpa_vmm_make_tables(struct umpa_vmm *vmm);

#endif
