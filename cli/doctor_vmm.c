/* The doctor's look at bare metal: whether functions can run in guest mode, and what would help. */
#include <errno.h>

#include <umpa/vmm.h>

#include "doctor.h"

static const char *value_of(const struct umpa_vmm_caps *c)
{
	switch (c->level) {
	case UMPA_VMM_NATIVE:
		return c->error ? "not for programs here" : "native";
	case UMPA_VMM_SHADOW:
		return "slow: shadow page tables";
	case UMPA_VMM_EMULATED:
		return "slow: emulated";
	default:
		return "none";
	}
}

static const char *fix_of(const struct umpa_vmm_caps *c)
{
	switch (c->error) {
	case -EACCES:
	case -EPERM:
		return "adduser $USER kvm   (and log in again)";
	case -ENODEV:
		return "modprobe kvm_intel || modprobe kvm_amd   (in a virtual machine: ask for "
		       "nested "
		       "virtualisation)";
	case -ENOTSUP:
		if (c->level == UMPA_VMM_SHADOW)
			return "modprobe kvm_intel ept=1 || modprobe kvm_amd npt=1   (unloaded "
			       "before; "
			       "else another machine)";
		if (c->level == UMPA_VMM_NATIVE)
			return "a machine with more bits of physical address, or fewer mappings "
			       "far apart";
		if (c->level == UMPA_VMM_NONE)
			return "a newer kernel";
		return "a machine whose processor walks two levels of page tables   (in a virtual "
		       "machine: ask for nested virtualisation)";
	default:
		return "see umpa_vmm(3)";
	}
}

void umpa_find_bare_metal(struct umpa_findings *f)
{
	struct umpa_vmm_caps caps;

	umpa_vmm_probe(&caps);
	umpa_finding(f, caps.error ? STATE_NOTE : STATE_OK, "bare metal", value_of(&caps),
		*caps.why ? caps.why : NULL, fix_of(&caps));
}
