#include "core/evidence.h"

#include <stdint.h>
#include <string.h>

#include "base/compiler.h"
#include "base/units.h"
#include "core/options.h"
#include "os/os.h"

/* The engine's and blocks; by powers of two of pages, what is mapped, zeroed, and reserved. */
enum {
	NSIZES = 64,
	OF_MAPPED = EVIDENCE_OF_BLOCKS + 1,
	OF_ZEROED = OF_MAPPED + NSIZES,
	OF_RESERVED = OF_ZEROED + NSIZES,
	NCLASSES = OF_RESERVED + NSIZES,
	PROBE_EACH = 16,
	BLOCKS_NPAGES_MIN = 2048, /* of probes in a row, before blocks are served */
	/* A large probe is looked at in places: a system call each. */
	NPLACES = 4,
	PLACE_NPAGES = 256,
	ENGINE_NPAGES_MIN = 6144 /* of the kernel's, before an engine is served */
};

/* All atomic. */
struct alike {
	void *probe; /* NULL: none */
	size_t probe_npages;
	size_t npages_probed; /* on the whole */
	unsigned nserved;     /* since the last probe */
	size_t npages_used;   /* of probes in a row that were used */
};

static late_data struct alike classes[NCLASSES];
static uint64_t reserved_probes; /* a bit for each class of reservations that had a probe. atomic */

/* 0 to 63. */
static unsigned log2_of(size_t npages)
{
	return 63 - (unsigned)__builtin_clzll(npages);
}

unsigned umpa_evidence_class(size_t npages)
{
	return OF_MAPPED + log2_of(npages);
}

unsigned umpa_evidence_class_of_zeroed(size_t npages)
{
	return OF_ZEROED + log2_of(npages);
}

unsigned umpa_evidence_class_reserved(size_t npages)
{
	return OF_RESERVED + log2_of(npages);
}

static struct alike *blocks(void)
{
	return &classes[EVIDENCE_OF_BLOCKS];
}

/* Once they are served they are so for good. */
static int is_of_blocks(const struct alike *c)
{
	return c == blocks() || (c >= &classes[OF_ZEROED] && c < &classes[OF_RESERVED]);
}

static int is_used(const struct alike *c)
{
	return __atomic_load_n(&c->npages_used, __ATOMIC_RELAXED) >=
	       (c == blocks() ? BLOCKS_NPAGES_MIN : 1);
}

static void *probe_of(const struct alike *c)
{
	return __atomic_load_n(&c->probe, __ATOMIC_RELAXED);
}

/* Pages with a frame, of so many looked at. */
struct look {
	size_t nframes, npages;
	size_t npages_gone; /* in places that were looked at and are no longer mapped, or not all of
			       them */
};

static void look_at(const char *addr, size_t npages, struct look *l)
{
	unsigned char vec[PLACE_NPAGES];

	if (umpa_os_resident(addr, npages, vec)) {
		l->npages_gone += npages; /* no evidence by itself */
		return;
	}
	for (size_t i = 0; i < npages; i++)
		l->nframes += vec[i] & 1;
	l->npages += npages;
}

static struct look look_all_over(const char *addr, size_t npages)
{
	struct look l = {0, 0, 0};
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

/* What the program maps and cuts down to an alignment has frames all over at first, and what is cut
 * off keeps them, as part of a superpage. */
static int is_cut(const struct alike *c, const struct look *l)
{
	return l->npages_gone && umpa_option(OPTION_huge) &&
	       c >= &classes[umpa_evidence_class(SLOT_NPAGES)] && c < &classes[OF_ZEROED];
}

static int is_full(const struct alike *c, const struct look *l)
{
	if (is_cut(c, l))
		return 4 * l->nframes >= 3 * (l->npages + l->npages_gone);
	return c == blocks() ? 4 * l->nframes >= 3 * l->npages : 2 * l->nframes >= l->npages;
}

/* Looks at a class's probe and learns from it. */
static void learn(struct alike *c, void *probe)
{
	size_t npages = __atomic_load_n(&c->probe_npages, __ATOMIC_RELAXED);
	struct look l = look_all_over(probe, npages);

	if (!l.npages)
		return;
	if (is_full(c, &l))
		__atomic_fetch_add(&c->npages_used, npages, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&c->npages_used, 0, __ATOMIC_RELAXED);
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
	if (is_of_blocks(c))
		return 1;
	return __atomic_add_fetch(&c->nserved, 1, __ATOMIC_RELAXED) % PROBE_EACH != 0;
}

int umpa_evidence_says_used(unsigned class)
{
	return !is_small_engine(class) && is_used(&classes[class]);
}

static void set_probe(struct alike *c, void *addr, size_t npages)
{
	__atomic_store_n(&c->probe_npages, npages, __ATOMIC_RELAXED);
	__atomic_store_n(&c->probe, addr, __ATOMIC_RELAXED);
}

void umpa_evidence_note(unsigned class, void *addr, size_t npages)
{
	struct alike *c = &classes[class];

	__atomic_fetch_add(&c->npages_probed, npages, __ATOMIC_RELAXED);
	set_probe(c, addr, npages);
	if (class - OF_RESERVED < NSIZES)
		__atomic_fetch_or(
			&reserved_probes, (uint64_t)1 << (class - OF_RESERVED), __ATOMIC_RELAXED);
}

/* The probe is over, or loses its front or its end, as where an alignment was wanted. */
static void learn_from_end(struct alike *c, void *addr, size_t npages)
{
	size_t probe_npages = __atomic_load_n(&c->probe_npages, __ATOMIC_RELAXED);
	uintptr_t begin = (uintptr_t)addr, end = begin + (npages << PAGE_SHIFT);
	uintptr_t probe = (uintptr_t)probe_of(c), probe_end = probe + (probe_npages << PAGE_SHIFT);

	if (likely(!probe || end <= probe || begin >= probe_end) || (is_of_blocks(c) && is_used(c)))
		return;
	if (begin > probe && end >= probe_end) {
		set_probe(c, (void *)probe, (begin - probe) >> PAGE_SHIFT);
	} else if (begin == probe && end < probe_end) {
		set_probe(c, (void *)end, probe_npages - npages);
	} else if (begin == probe) {
		learn(c, addr);
		set_probe(c, NULL, 0);
	}
}

void umpa_evidence_unmap(void *addr, size_t npages)
{
	uint64_t reserved = __atomic_load_n(&reserved_probes, __ATOMIC_RELAXED);

	learn_from_end(&classes[umpa_evidence_class(npages)], addr, npages);
	learn_from_end(&classes[EVIDENCE_OF_ENGINE], addr, npages);
	/* One that was trimmed is of the size it had. */
	for (; unlikely(reserved); reserved &= reserved - 1)
		learn_from_end(&classes[OF_RESERVED + __builtin_ctzll(reserved)], addr, npages);
}

void umpa_evidence_free(void *addr, size_t npages)
{
	learn_from_end(&classes[umpa_evidence_class_of_zeroed(npages)], addr, npages);
	learn_from_end(blocks(), addr, npages);
}

void umpa_evidence_stop(void)
{
	memset(classes, 0, sizeof(classes));
	reserved_probes = 0;
}
