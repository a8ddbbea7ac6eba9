/* Functions in guest mode, on whatever /dev/kvm there is: also where instructions are interpreted,
 * a few at a time. So they are compiled for general registers alone. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "support/check.h"

#define MIB ((size_t)1 << 20)

#define GUEST __attribute__((target("general-regs-only"), noinline))

static struct umpa_vmm *vmm;

/* A machine, or a skip that says why there is none. */
static void begin(void)
{
	struct umpa_vmm_options options = {UMPA_VMM_ALLOW_SLOW, 0};
	static struct umpa_vmm_caps caps;

	if (umpa_vmm_create(&vmm, &options)) {
		umpa_vmm_probe(&caps);
		SKIP(caps.why);
	}
}

GUEST static long add_one(struct umpa_guest *g, void *arg)
{
	(void)g;
	return (long)arg + 1;
}

TEST(vmm_runs_a_function)
{
	struct umpa_vmm_fault fault;
	long ret = 0;

	PLAN(5);
	begin();
	for (long i = 0; i < 3; i++)
		CHECK_EQ(umpa_vmm_run(vmm, add_one, (void *)(41 + i), &ret, &fault), 0);
	CHECK_EQ(ret, 44);
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_NONE);
	umpa_vmm_destroy(vmm);
}
