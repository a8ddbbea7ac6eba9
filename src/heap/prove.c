#include "heap/prove.h"

#include "core/core.h"
#include "core/evidence.h"
#include "core/outside.h"

void *umpa_prove_alloc(size_t nbytes, int zero)
{
	size_t npages = pages_of(nbytes);
	unsigned class = zero ? umpa_evidence_class_of_zeroed(npages) : EVIDENCE_OF_BLOCKS;
	void *p;

	if (!umpa_option(OPTION_prove) || (!zero && nbytes >= PROVE_NBYTES_MAX))
		return NULL;
	if (umpa_evidence_for(class))
		return NULL;
	p = umpa_outside_alloc(npages, PAGE_NBYTES);
	if (p)
		umpa_evidence_note(class, p, npages);
	return p;
}

void umpa_prove_end_outside(void *p)
{
	size_t npages = umpa_outside_npages(p);

	if (npages)
		umpa_evidence_free(p, npages);
}
