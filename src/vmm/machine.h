/*
 * A machine over the memory of this process: what it is made of, and how it is made.
 *
 * Its books lie in memory of the process that the guest sees, as it sees all of it: the upper page
 * tables, which mirror the process superpage by superpage and stay as they are; entries for each
 * superpage of the window, and tables of entries for its pages, which are the guest's to write.
 *
 * One function at a time runs in it: who has changed `is_busy` owns all the rest.
 */
#ifndef UMPA_VMM_MACHINE_H
#define UMPA_VMM_MACHINE_H

#include <umpa/vmm.h>

#include "os/kvm.h"
#include "vmm/calls.h"
#include "vmm/entries.h"
#include "vmm/guest.h"
#include "vmm/holding.h"
#include "vmm/layout.h"
#include "vmm/tables.h"

/* Memory that the machine has taken. */
struct umpa_vmm_piece {
	void *addr;
	size_t nbytes;
};

struct umpa_vmm {
	struct umpa_kvm kvm;
	struct umpa_kvm_cpu cpu;
	struct umpa_kvm_state state; /* that the CPU is in, but for its registers */
	struct umpa_layout layout;
	struct umpa_tables tables; /* the upper ones */
	struct umpa_guest guest;
	struct umpa_guest_cpu *guest_cpu;
	struct umpa_gate *gates;
	struct umpa_vmm_piece books, stack, upper, window, held;
	struct umpa_ground ground[6]; /* and, the last one, what it holds */
	struct umpa_entries_mover mover;
	struct umpa_holding holding; /* nslots 0: none */
	int is_host;                 /* there is no machine: functions run outside */
	int is_stale;                /* what the CPU remembers of the page tables */
	uint64_t time_ns;            /* that a function may take; 0: any */
	size_t nslots;               /* of the window, that the machine reaches */
	uint64_t *page_tables;       /* for the pages of those: a table for each */
	int pid;                     /* who made it */
	int is_busy;                 /* atomic */
};

/* umpa_vmm_run() for who has the machine to itself. */
must_check int umpa_vmm_enter(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *, void *),
	void *arg, long *ret, struct umpa_vmm_fault *fault);

/* Takes memory, zero, for a machine. -ENOMEM. */
must_check int umpa_vmm_take(struct umpa_vmm_piece *p, size_t nbytes);

/* 0 if a host will do, with those flags; else -ENOTSUP. */
must_check int umpa_vmm_verdict(const struct umpa_kvm_facts *f, unsigned flags);

#endif
