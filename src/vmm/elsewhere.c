/* Where there is no guest mode that is known here: functions run outside, or not at all. */
#include <errno.h>
#include <string.h>
#include <umpa/vmm.h>

#include "base/compiler.h"
#include "base/format.h"
#include "base/units.h"
#include "os/os.h"
#include "os/process.h"

struct umpa_vmm {
	int pid; /* who made it */
	unsigned ncpus,
		nfree; /* functions that may run, and that may run beside those that do: atomic */
};

public_api void umpa_vmm_probe(struct umpa_vmm_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->error = -ENODEV;
	umpa_format(caps->why, sizeof(caps->why), "this is no x86-64");
}

public_api int umpa_vmm_create(struct umpa_vmm **vmm, const struct umpa_vmm_options *options)
{
	unsigned flags = options ? options->flags : 0, ncpus = options ? options->ncpus : 0;
	void *addr;
	int error;

	if (!vmm || flags & ~(UMPA_VMM_ALLOW_SLOW | UMPA_VMM_ALLOW_HOST) ||
		ncpus > UMPA_VMM_NCPUS_MAX)
		return -EINVAL;
	if (!(flags & UMPA_VMM_ALLOW_HOST))
		return -ENODEV;
	if (options->time_ns)
		return -ENOTSUP;
	error = umpa_os_map(PAGE_NBYTES, &addr);
	if (!error) {
		*vmm = addr;
		(*vmm)->pid = umpa_process_id();
		(*vmm)->ncpus = (*vmm)->nfree = ncpus ? ncpus : 1;
	}
	return error;
}

public_api void umpa_vmm_destroy(struct umpa_vmm *vmm)
{
	if (vmm)
		umpa_os_unmap(vmm, PAGE_NBYTES);
}

/* 0: n more functions may run: the caller's. */
static int take(struct umpa_vmm *vmm, unsigned n)
{
	unsigned nfree = __atomic_load_n(&vmm->nfree, __ATOMIC_RELAXED);

	if (vmm->pid != umpa_process_id())
		return -ESTALE;
	do {
		if (nfree < n)
			return -EBUSY;
	} while (!__atomic_compare_exchange_n(
		&vmm->nfree, &nfree, nfree - n, 1, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	return 0;
}

static void give(struct umpa_vmm *vmm, unsigned n)
{
	__atomic_add_fetch(&vmm->nfree, n, __ATOMIC_RELEASE);
}

public_api int umpa_vmm_run(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg),
	void *arg, long *ret, struct umpa_vmm_fault *fault)
{
	int error = vmm && fn ? take(vmm, 1) : -EINVAL;
	struct umpa_guest guest;
	long result;

	if (error)
		return error;
	memset(&guest, 0, sizeof(guest));
	if (fault)
		memset(fault, 0, sizeof(*fault));
	result = fn(&guest, arg);
	if (ret)
		*ret = result;
	give(vmm, 1);
	return 0;
}

/* What functions see is what there is. */
public_api int umpa_vmm_sync(struct umpa_vmm *vmm, void *addr, size_t nbytes)
{
	int error = vmm ? take(vmm, vmm->ncpus) : -EINVAL;

	(void)addr, (void)nbytes;
	if (!error)
		give(vmm, vmm->ncpus);
	return error;
}
