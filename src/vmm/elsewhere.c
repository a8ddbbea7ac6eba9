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
	struct umpa_guest guest; /* all 0 */
	int pid;                 /* who made it */
	int is_busy;             /* atomic */
};

public_api void umpa_vmm_probe(struct umpa_vmm_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->error = -ENODEV;
	umpa_format(caps->why, sizeof(caps->why), "this is no x86-64");
}

public_api int umpa_vmm_create(struct umpa_vmm **vmm, const struct umpa_vmm_options *options)
{
	unsigned flags = options ? options->flags : 0;
	void *addr;
	int error;

	if (!vmm || flags & ~(UMPA_VMM_ALLOW_SLOW | UMPA_VMM_ALLOW_HOST))
		return -EINVAL;
	if (!(flags & UMPA_VMM_ALLOW_HOST))
		return -ENODEV;
	if (options->time_ns)
		return -ENOTSUP;
	error = umpa_os_map(PAGE_NBYTES, &addr);
	if (!error) {
		*vmm = addr;
		(*vmm)->pid = umpa_process_id();
	}
	return error;
}

public_api void umpa_vmm_destroy(struct umpa_vmm *vmm)
{
	if (vmm)
		umpa_os_unmap(vmm, PAGE_NBYTES);
}

/* 0: the caller has it to itself. */
static int take(struct umpa_vmm *vmm)
{
	if (vmm->pid != umpa_process_id())
		return -ESTALE;
	return __atomic_exchange_n(&vmm->is_busy, 1, __ATOMIC_ACQUIRE) ? -EBUSY : 0;
}

static void give(struct umpa_vmm *vmm)
{
	__atomic_store_n(&vmm->is_busy, 0, __ATOMIC_RELEASE);
}

public_api int umpa_vmm_run(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg),
	void *arg, long *ret, struct umpa_vmm_fault *fault)
{
	int error = vmm && fn ? take(vmm) : -EINVAL;
	long result;

	if (error)
		return error;
	if (fault)
		memset(fault, 0, sizeof(*fault));
	result = fn(&vmm->guest, arg);
	if (ret)
		*ret = result;
	give(vmm);
	return 0;
}

/* What functions see is what there is. */
public_api int umpa_vmm_sync(struct umpa_vmm *vmm, void *addr, size_t nbytes)
{
	int error = vmm ? take(vmm) : -EINVAL;

	(void)addr, (void)nbytes;
	if (!error)
		give(vmm);
	return error;
}
