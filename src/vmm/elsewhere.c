/* Where there is no guest mode that is known here. */
#include <errno.h>
#include <string.h>
#include <umpa/vmm.h>

#include "base/compiler.h"
#include "base/format.h"

public_api void umpa_vmm_probe(struct umpa_vmm_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->error = -ENODEV;
	umpa_format(caps->why, sizeof(caps->why), "this is no x86-64");
}

public_api int umpa_vmm_create(struct umpa_vmm **vmm, const struct umpa_vmm_options *options)
{
	(void)vmm, (void)options;
	return -ENODEV;
}

public_api void umpa_vmm_destroy(struct umpa_vmm *vmm)
{
	(void)vmm;
}

public_api int umpa_vmm_run(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg),
	void *arg, long *ret, struct umpa_vmm_fault *fault)
{
	(void)vmm, (void)fn, (void)arg, (void)ret, (void)fault;
	return -ENODEV;
}

public_api int umpa_vmm_sync(struct umpa_vmm *vmm, void *addr, size_t nbytes)
{
	(void)vmm, (void)addr, (void)nbytes;
	return -ENODEV;
}
