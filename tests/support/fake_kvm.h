/*
 * A fake /dev/kvm: implements os/kvm.h without a guest. Machines and CPUs are counted, what is
 * shown of memory is noted, and a CPU comes out as it is told to. Calls fail as fake_fail_at()
 * says.
 */
#ifndef UMPA_TESTS_FAKE_KVM_H
#define UMPA_TESTS_FAKE_KVM_H

#include "os/kvm.h"

/* What there is: facts of a good host, error 0, after reset. */
struct fake_kvm {
	struct umpa_kvm_facts facts;
	int error; /* that umpa_kvm_open() gives */
	unsigned nmachines, ncpus, nalarms, nstates, nforgets, nrearmed;
	uint64_t shown_nbytes, shown_end; /* of the machine made last: all, and the highest */
	struct umpa_kvm_state state;      /* that was set last */
	/* Called by umpa_kvm_run(): what the CPU does, with its registers; comes out as event says.
	 */
	int (*run)(struct umpa_kvm_event *event);
	void (*interrupted)(int thread); /* umpa_kvm_interrupt(); NULL: nothing */
	int thread, dead; /* the number of who calls, if not 0; of one that is no more */
};

extern struct fake_kvm fake_kvm;

void fake_kvm_reset(void);

#endif
