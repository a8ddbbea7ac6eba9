#include "mm/evidence.h"

#include <string.h>

#include "base/compiler.h"
#include "base/units.h"
#include "os/os.h"

enum {
	NCLASSES = 65, /* the engine's, and powers of two of pages */
	PROBE_EACH = 16,
	/* A large probe is looked at in places: a system call each. */
	NPLACES = 4,
	PLACE_NPAGES = 256,
	ENGINE_NPAGES_MIN = 4096 /* of the kernel's, before an engine is served */
};

/* All atomic. */
struct alike {
	void *probe; /* NULL: none */
	size_t probe_npages;
	size_t npages_probed; /* on the whole */
	unsigned nserved;     /* since the last probe */
	int used;
};

static struct alike classes[NCLASSES];

unsigned umpa_evidence_class(size_t npages)
{
	return NCLASSES - 1 - (unsigned)__builtin_clzll(npages);
}

static int is_used(const struct alike *c)
{
	return __atomic_load_n(&c->used, __ATOMIC_RELAXED);
}

static void *probe_of(const struct alike *c)
{
	return __atomic_load_n(&c->probe, __ATOMIC_RELAXED);
}

/* Pages with a frame, of so many looked at. */
struct look {
	size_t nframes, npages;
};

static void look_at(const char *addr, size_t npages, struct look *l)
{
	unsigned char vec[PLACE_NPAGES];

	if (umpa_os_resident(addr, npages, vec))
		return; /* no longer mapped: no evidence */
	for (size_t i = 0; i < npages; i++)
		l->nframes += vec[i] & 1;
	l->npages += npages;
}

static struct look look_all_over(const char *addr, size_t npages)
{
	struct look l = {0, 0};
	size_t nplaces = (npages + PLACE_NPAGES - 1) / PLACE_NPAGES, step = PLACE_NPAGES;

	if (nplaces > NPLACES) {
		nplaces = NPLACES;
		step = (npages - PLACE_NPAGES) / (NPLACES - 1);
	}
	for (size_t i = 0; i < nplaces; i++) {
		size_t from = i * step, n = npages - from;

		look_at(addr + (from << PAGE_SHIFT), n < PLACE_NPAGES ? n : PLACE_NPAGES, &l);
	}
	return l;
}

/* Looks at a class's probe and learns from it. */
static void learn(struct alike *c, void *probe)
{
	struct look l = look_all_over(probe, __atomic_load_n(&c->probe_npages, __ATOMIC_RELAXED));

	if (l.npages)
		__atomic_store_n(&c->used, 2 * l.nframes >= l.npages, __ATOMIC_RELAXED);
}

static int is_small_engine(unsigned class)
{
	return class == EVIDENCE_OF_ENGINE &&
	       __atomic_load_n(&classes[class].npages_probed, __ATOMIC_RELAXED) < ENGINE_NPAGES_MIN;
}

int umpa_evidence_for(unsigned class)
{
	struct alike *c = &classes[class];

	if (is_small_engine(class))
		return 0;
	if (!is_used(c) && probe_of(c))
		learn(c, probe_of(c));
	if (!is_used(c))
		return 0;
	return __atomic_add_fetch(&c->nserved, 1, __ATOMIC_RELAXED) % PROBE_EACH != 0;
}

void umpa_evidence_note(unsigned class, void *addr, size_t npages)
{
	struct alike *c = &classes[class];

	__atomic_fetch_add(&c->npages_probed, npages, __ATOMIC_RELAXED);
	__atomic_store_n(&c->probe_npages, npages, __ATOMIC_RELAXED);
	__atomic_store_n(&c->probe, addr, __ATOMIC_RELAXED);
}

/* The probe is over, or loses its front, as where an alignment was wanted. */
static void learn_from_end(struct alike *c, void *addr, size_t npages)
{
	size_t probe_npages = __atomic_load_n(&c->probe_npages, __ATOMIC_RELAXED);

	if (likely(probe_of(c) != addr))
		return;
	if (npages < probe_npages) {
		__atomic_store_n(&c->probe_npages, probe_npages - npages, __ATOMIC_RELAXED);
		__atomic_store_n(
			&c->probe, (char *)addr + (npages << PAGE_SHIFT), __ATOMIC_RELAXED);
		return;
	}
	learn(c, addr);
	__atomic_store_n(&c->probe, NULL, __ATOMIC_RELAXED);
}

void umpa_evidence_unmap(void *addr, size_t npages)
{
	learn_from_end(&classes[umpa_evidence_class(npages)], addr, npages);
	learn_from_end(&classes[EVIDENCE_OF_ENGINE], addr, npages);
}

void umpa_evidence_stop(void)
{
	memset(classes, 0, sizeof(classes));
}
