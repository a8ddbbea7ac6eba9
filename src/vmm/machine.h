/*
 * A machine over the memory of this process: what it is made of, and how it is made.
 *
 * Its books lie in memory of the process that the guest sees, as it sees all of it: the upper page
 * tables, which mirror the process superpage by superpage and stay as they are; entries for each
 * superpage of the window, and tables of entries for its pages, which are the guest's to write.
 *
 * A function runs on one of its CPUs: who has changed `busy` owns the rest of that one. What the
 * CPUs share stays as it was made, but for entries, which are the functions' own business, and
 * epochs. Who has all CPUs has the machine to himself.
 */
#ifndef UMPA_VMM_MACHINE_H
#define UMPA_VMM_MACHINE_H

#include <umpa/vmm.h>

#include "core/lent.h"
#include "os/kvm.h"
#include "vmm/calls.h"
#include "vmm/entries.h"
#include "vmm/guest.h"
#include "vmm/holding.h"
#include "vmm/layout.h"
#include "vmm/lead.h"
#include "vmm/peers.h"
#include "vmm/tables.h"

/* A flag of the options, for tests: the mirror is made of pages. Else an emulated processor forgets
 * all that is in one of its leaves where it is told to forget an address. */
#define VMM_MIRROR_BY_PAGES 0x80000000u

/* Memory that the machine has taken. */
struct umpa_vmm_piece {
	void *addr;
	size_t nbytes;
};

/* On the stack of a thread that runs a function (vmm/left.h): where umpa_vmm_run()'s frame pointer
 * is; and a page below it that is nobody's. */
struct umpa_stand {
	uintptr_t frame, guard;
	uintptr_t saved[2]; /* at the frame pointer: its caller's, and the way back */
};

/* Where a function that has left goes on. */
struct umpa_left {
	struct umpa_trap at;
	void *vectors;
	uint64_t parts;
};

/* A CPU. */
struct umpa_vmm_cpu {
	struct umpa_vmm *vmm;
	struct umpa_guest guest; /* with its number */
	struct umpa_kvm_cpu kvm;
	struct umpa_kvm_state state; /* that it is in, but for its registers; fs_base 0: it has run
					nothing */
	struct umpa_ground ground;   /* what it shares with the kernel */
	uintptr_t stack_begin, stack_end;
	struct umpa_entries_mover mover;
	struct umpa_holding holding; /* nslots 0: none */
	uint64_t forgot;         /* the epoch that it had reached when it came out; 0: not known */
	uint64_t busy;           /* atomic: who has it, and from where (taken.c); 0: nobody */
	struct umpa_stand stand; /* where that has called from; frame 0: it is not looked whether a
				    function leaves */
	uint64_t end_ns;         /* until when a function may run; 0: as long as it likes */
	int is_armed;            /* it may be called out, and has what does that: */
	struct umpa_kvm_alarm alarm;
	int thread; /* atomic: that runs a function on it, and takes interrupts; negative: one is
		       being sent; 0: none does */
	struct umpa_led led; /* the system call that is being made */
	struct umpa_left left;
	struct umpa_guest_cpu inner;
};

struct umpa_vmm {
	struct umpa_kvm kvm;
	struct umpa_layout layout;
	struct umpa_tables tables; /* the upper ones */
	struct umpa_gate *gates;
	struct umpa_vmm_piece books, stacks, upper, window, held;
	struct umpa_ground ground[6]; /* and, the last one, what it holds */
	struct umpa_peers peers;
	struct umpa_lent lent; /* its holdings */
	unsigned ncpus;
	struct umpa_vmm_cpu *cpu;
	int is_host;      /* there is no machine: functions run outside */
	int is_by_pages;  /* VMM_MIRROR_BY_PAGES */
	int keeps_blocks; /* those of its holdings stay when it ends */
	int loses_blocks; /* those, as they can not be kept: with the memory */
	uint64_t time_ns; /* that a function may take; 0: any */
	size_t nslots;    /* of the window, that the machine reaches */
	int pid;          /* who made it */
};

/* A CPU that nobody has (taken.c), for who stands there: the one that this thread had last, or that
 * no thread ever had, if there is such a one; NULL. And back: at once, or for `busy` to be 0. */
struct umpa_vmm_cpu *umpa_vmm_take_cpu(struct umpa_vmm *vmm, const struct umpa_stand *stand);
void umpa_vmm_give_cpu(struct umpa_vmm_cpu *cpu);
void umpa_vmm_forsake_cpu(void);

/* The number of the thread that has it; 0: nobody. And, for tests, that one has. */
int umpa_vmm_owner(const struct umpa_vmm_cpu *cpu);
void umpa_vmm_set_owner(struct umpa_vmm_cpu *cpu, int owner);

/* All of them: 1, or 0 and none. */
int umpa_vmm_take_all(struct umpa_vmm *vmm, const struct umpa_stand *stand);
void umpa_vmm_give_all(struct umpa_vmm *vmm);

/* Of a function that nobody will come back to: the CPU as new. By the thread that ran it, or
 * another. */
void umpa_vmm_break_off(struct umpa_vmm_cpu *cpu, int by_own_thread);

/* A function to be run, and how long it may take in guest mode; 0: as long as it likes. */
struct umpa_vmm_visit {
	long (*fn)(struct umpa_guest *g, void *arg);
	void *arg;
	uint64_t time_ns;
};

enum {
	VMM_LEFT = 1
};

/* umpa_vmm_run() for who has the CPU; or VMM_LEFT: the function has, and goes on where cpu->left
 * says. */
must_check int umpa_vmm_enter(struct umpa_vmm_cpu *cpu, const struct umpa_vmm_visit *v, long *ret,
	struct umpa_vmm_fault *fault);

/* Takes memory, zero, for a machine; nbytes 0: none. -ENOMEM. And back, if there is any. */
must_check int umpa_vmm_take(struct umpa_vmm_piece *p, size_t nbytes);
void umpa_vmm_give(struct umpa_vmm_piece *p);

/* What the machine holds of the window (held.c): a holding for each CPU. Back: slots and frames to
 * the pool, and blocks, if they are kept, to the core. 1 if the machine reaches all of it. */
must_check int umpa_vmm_take_holdings(struct umpa_vmm *vmm, const struct umpa_vmm_options *o);
void umpa_vmm_give_holdings(struct umpa_vmm *vmm);
int umpa_vmm_reaches_holdings(const struct umpa_vmm *vmm);

/* For who has all CPUs, before those end: blocks of the holdings are kept, as functions see them,
 * if that can be. */
void umpa_vmm_keep_blocks(struct umpa_vmm *vmm);

/* Brings all of the holdings home, where no function runs. Errors as umpa_vmm_sync(). */
must_check int umpa_vmm_bring_home(struct umpa_vmm *vmm);

/* Of the window, so much is to be reached. */
size_t umpa_vmm_nslots_wanted(const struct umpa_vmm_options *o);

/* 0 if a host will do, with those flags; else -ENOTSUP. */
must_check int umpa_vmm_verdict(const struct umpa_kvm_facts *f, unsigned flags);

#endif
