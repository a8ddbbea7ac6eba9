#include "heap/prove.h"

#include "core/core.h"
#include "core/evidence.h"
#include "core/options.h"
#include "core/outside.h"
#include "core/pool.h"
#include "core/space.h"

size_t umpa_prove_misfit_npages;

static int is_misfit(size_t npages)
{
	size_t nwasted = ((size_t)slots_of(npages) << (SLOT_SHIFT - PAGE_SHIFT)) - npages;

	return nwasted * MISFIT_SHARE > npages;
}

/* 1 if the process is small, and has no superpages that a block of npages could have. */
static int is_small(size_t npages)
{
	uint32_t npool = umpa_pool_nslots_about();

	return npool < slots_of(npages) && npool + umpa_space_nused_about() < MISFITS_NSLOTS_MAX;
}

/* A misfit that is to be the kernel's; NULL: it is none, or the kernel refuses. */
static void *alloc_misfit(size_t npages)
{
	size_t before = __atomic_load_n(&umpa_prove_misfit_npages, __ATOMIC_RELAXED);
	void *p = NULL;

	/* Two threads at once may have a little more. */
	if (before + npages <= MISFITS_NPAGES_MAX && is_misfit(npages) && is_small(npages))
		p = umpa_outside_alloc(npages, PAGE_NBYTES);
	if (p)
		__atomic_fetch_add(&umpa_prove_misfit_npages, npages, __ATOMIC_RELAXED);
	return p;
}

void *umpa_prove_alloc(size_t nbytes, int zero)
{
	size_t npages = pages_of(nbytes);
	unsigned class = zero ? umpa_evidence_class_of_zeroed(npages) : EVIDENCE_OF_BLOCKS;
	void *p;

	if (!umpa_option(OPTION_prove) || (!zero && nbytes >= PROVE_NBYTES_MAX))
		return NULL;
	if (umpa_evidence_for(class))
		return alloc_misfit(npages);
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
