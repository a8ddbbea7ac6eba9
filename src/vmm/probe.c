/* What a host is good for. */
#include <errno.h>
#include <string.h>

#include "base/format.h"
#include "core/core.h"
#include "vmm/machine.h"
#include "vmm/mirror.h"

int umpa_vmm_verdict(const struct umpa_kvm_facts *f, unsigned flags)
{
	return (f->nested && !f->lacking) || flags & UMPA_VMM_ALLOW_SLOW ? 0 : -ENOTSUP;
}

static void say(struct umpa_vmm_caps *caps, const char *what, const char *which)
{
	umpa_format(caps->why, sizeof(caps->why), "%s%s", what, which ? which : "");
}

static void explain(struct umpa_vmm_caps *caps, const struct umpa_kvm_facts *f)
{
	switch (caps->error) {
	case 0:
		break;
	case -ENODEV:
		say(caps, "there is no /dev/kvm", NULL);
		break;
	case -EACCES:
	case -EPERM:
		say(caps, "/dev/kvm may not be used", NULL);
		break;
	case -ENOTSUP:
		if (f->lacking)
			say(caps, "a guest lacks ", f->lacking);
		else if (!f->nested)
			say(caps, "the kernel shadows page tables: slow", NULL);
		else
			umpa_format(caps->why, sizeof(caps->why),
				"the process's mappings lie too far apart for %u bits of address, "
				"or are more than 4096",
				f->physical_nbits);
		break;
	case -ENOMEM:
		say(caps, "there is no memory", NULL);
		break;
	default:
		say(caps, "/dev/kvm does not work", NULL);
	}
}

/* 0 if a guest has addresses for the process as it lies now. */
static int has_room(const struct umpa_kvm_facts *f)
{
	struct umpa_vmm vmm = {.kvm = {.facts = *f}};

	umpa_core_need();
	vmm.nslots = umpa_vmm_nslots_wanted(&(struct umpa_vmm_options){0});
	return umpa_vmm_lay_out(&vmm);
}

public_api void umpa_vmm_probe(struct umpa_vmm_caps *caps)
{
	struct umpa_kvm kvm;
	int error = umpa_kvm_open(&kvm);

	memset(caps, 0, sizeof(*caps));
	caps->error = error;
	if (!error) {
		caps->error = umpa_vmm_verdict(&kvm.facts, 0);
		if (!caps->error)
			caps->error = has_room(&kvm.facts);
		caps->level = kvm.facts.nested    ? UMPA_VMM_NATIVE
			      : kvm.facts.lacking ? UMPA_VMM_EMULATED
						  : UMPA_VMM_SHADOW;
		caps->physical_nbits = kvm.facts.physical_nbits;
		caps->ncpus_max = kvm.facts.ncpus_max;
		caps->gib_leaves = kvm.facts.gib_leaves;
		umpa_kvm_close(&kvm);
	}
	explain(caps, &kvm.facts);
}
