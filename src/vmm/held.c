/* What a machine holds of the window: slots in a row, as one block of the core, and of those a
 * holding for each CPU. */
#include <errno.h>
#include <umpa/page.h>

#include "core/block.h"
#include "core/carry.h"
#include "core/core.h"
#include "core/fork.h"
#include "core/pool.h"
#include "core/runs.h"
#include "core/space.h"
#include "core/span.h"
#include "vmm/machine.h"

/* Whole slots, of any nbytes. */
static size_t slots_in(size_t nbytes)
{
	return nbytes / SLOT_NBYTES + (nbytes % SLOT_NBYTES != 0);
}

static struct slot first_slot(const struct umpa_holding *h)
{
	return umpa_window_slot(&umpa_core.window, h->begin);
}

/* Superpages that machines have left to the pool, more than they had taken of it. The next one
 * takes them, if it is not told how many: so who makes one after the other takes what one does.
 * Atomic; roughly, as others use the pool meanwhile. */
static int64_t nleft;

static uint32_t nslots_to_stock(const struct umpa_vmm *vmm, const struct umpa_vmm_options *o)
{
	int64_t n = __atomic_load_n(&nleft, __ATOMIC_RELAXED) / vmm->ncpus;
	size_t nslots = vmm->peers.held_nbytes >> SLOT_SHIFT;

	if (o->frames_nbytes)
		return (uint32_t)slots_in(o->frames_nbytes);
	return n < 0 ? 0 : (uint32_t)((size_t)n < nslots ? (size_t)n : nslots);
}

/* Its first slots get frames of the pool. */
static void stock(struct umpa_holding *h, uint32_t nslots)
{
	uint32_t n = nslots ? nslots - umpa_carry_fill(first_slot(h), nslots, 0) : 0;

	if (n)
		umpa_extents_grow(&h->extents, n, EXTENT_RESIDENT);
	__atomic_fetch_sub(&nleft, n, __ATOMIC_RELAXED);
}

static size_t books_nbytes(size_t nslots)
{
	return rounded_up(umpa_holding_nbytes((uint32_t)nslots), PAGE_NBYTES);
}

static void give_to(struct umpa_vmm_cpu *cpu, char *begin, size_t nslots)
{
	struct umpa_vmm *vmm = cpu->vmm;
	unsigned i = cpu->guest.number;
	struct umpa_holding *h = &cpu->holding;

	umpa_entries_mover_init(&cpu->mover, &cpu->guest);
	umpa_holding_init(h, begin + vmm->peers.held_nbytes * i, (uint32_t)nslots,
		&cpu->mover.mover, (char *)vmm->held.addr + books_nbytes(nslots) * i);
	if (vmm->ncpus > 1)
		umpa_holding_join(h, &vmm->peers.epochs, i);
	cpu->guest.holding = h;
	vmm->peers.peer[i].holding = h;
}

/* --- blocks, outside ---------------------------------------------------------------------- */

static struct umpa_holding *holder(const struct umpa_lent *l, const void *block)
{
	const struct umpa_vmm *vmm =
		(const struct umpa_vmm *)((const char *)l - offsetof(struct umpa_vmm, lent));

	return umpa_peers_holder(&vmm->peers, block);
}

static size_t lent_npages(const struct umpa_lent *l, const void *block)
{
	const struct umpa_holding *h = holder(l, block);

	return h ? umpa_holding_npages(h, block) : 0;
}

static int lent_free(struct umpa_lent *l, void *block)
{
	struct umpa_holding *h = holder(l, block);

	return h ? umpa_holding_free_from_afar(h, block) : -EINVAL;
}

/* --- taking ------------------------------------------------------------------------------- */

/* The first slot of what is taken is the core's block, and nobody's: where a holding begins, none
 * does, so that the two are never taken for each other. */
static char *block_of(const struct umpa_vmm *vmm)
{
	return (char *)vmm->peers.held - SLOT_NBYTES;
}

/* All in one block, without frames. */
static char *take_slots(size_t nslots)
{
	char *block = umpa_alloc((nslots + 1) << SLOT_SHIFT, UMPA_NOBACK | UMPA_ALIGN(SLOT_SHIFT));

	if (umpa_window_has(&umpa_core.window, block)) {
		struct umpa_block b = umpa_block_find(block);

		umpa_block_unmark(&b); /* of one that began there before */
		return block + SLOT_NBYTES;
	}
	umpa_free(block);
	return NULL;
}

int umpa_vmm_take_holdings(struct umpa_vmm *vmm, const struct umpa_vmm_options *o)
{
	size_t nslots = slots_in(o->holding_nbytes);
	uint32_t nstocked;
	char *begin;
	int error;

	if (!nslots)
		return 0;
	error = nslots > HOLDING_NSLOTS_MAX
			? -ENOMEM
			: umpa_vmm_take(&vmm->held, books_nbytes(nslots) * vmm->ncpus);
	if (error)
		return error;
	begin = take_slots(nslots * vmm->ncpus);
	if (!begin)
		return -ENOMEM;
	vmm->peers.held = (uintptr_t)begin;
	vmm->peers.held_nbytes = nslots << SLOT_SHIFT;
	vmm->lent = (struct umpa_lent){(uintptr_t)begin, vmm->peers.held_nbytes * vmm->ncpus,
		lent_npages, lent_free, NULL};
	nstocked = nslots_to_stock(vmm, o);
	for (unsigned i = 0; i < vmm->ncpus; i++) {
		give_to(&vmm->cpu[i], begin, nslots);
		stock(&vmm->cpu[i].holding, nstocked);
	}
	umpa_lent_begin(&vmm->lent);
	return 0;
}

/* --- giving back -------------------------------------------------------------------------- */

static char *slot_at(const struct umpa_holding *h, uint32_t i)
{
	return h->begin + ((size_t)i << SLOT_SHIFT);
}

/* Where the host has the superpage that is seen at addr. NULL: not as a whole, or nowhere. */
static char *whole_home(struct umpa_guest *g, char *addr)
{
	if (!g->superpage)
		return addr; /* a machine that came to nothing */
	return umpa_g_is_split(*umpa_g_pte(g, addr, 1)) ? NULL : umpa_g_home(g, addr);
}

/* A void slot is one without frames where it is seen. For the host its home is. */
static void mark_bare_homes(struct umpa_vmm_cpu *cpu)
{
	const struct umpa_holding *h = &cpu->holding;
	uint32_t n;

	for (uint32_t i = 0; i < h->extents.nslots; i += n) {
		enum umpa_extent_kind kind = umpa_holding_kind(h, i, &n);

		for (uint32_t k = i; kind == EXTENT_VOID && k < i + n; k++) {
			char *home = whole_home(&cpu->guest, slot_at(h, k));
			struct umpa_holding *of = umpa_peers_holder(&cpu->vmm->peers, home);
			uint32_t at = of ? umpa_holding_slot(of, home) : 0;

			if (of && at < of->extents.nslots)
				umpa_holding_mark_bare(of, at);
		}
	}
}

/* Of slot i, for the host; one that was never used is as it was, if nobody led it elsewhere. */
static enum umpa_extent_kind kind_of_home(struct umpa_vmm_cpu *cpu, uint32_t i)
{
	const struct umpa_holding *h = &cpu->holding;
	char *addr = slot_at(h, i);
	int is_bare = i < h->extents.nslots ? umpa_holding_is_bare(h, i)
					    : whole_home(&cpu->guest, addr) == addr;

	return is_bare ? EXTENT_VOID : EXTENT_RESIDENT;
}

/* From slot i on, blocks that the core has from now on: how many slots; 0: none. */
static uint32_t hand_over(const struct umpa_holding *h, uint32_t i)
{
	struct slot slot = slot_after(first_slot(h), i);
	size_t npages;
	unsigned ntail;

	switch (umpa_holding_use(h, i, &npages, &ntail)) {
	case HELD_RUNS:
		umpa_run_adopt_all(slot, &h->shelf.map[i]);
		return 1;
	case HELD_SPAN:
		umpa_span_adopt(slot, npages, slots_of(npages - ntail), ntail);
		return slots_of(npages - ntail);
	default:
		return 0;
	}
}

static int is_to_give(struct umpa_vmm_cpu *cpu, uint32_t i, enum umpa_extent_kind kind)
{
	const struct umpa_holding *h = &cpu->holding;
	size_t npages;
	unsigned ntail;

	return i < h->nslots && kind_of_home(cpu, i) == kind &&
	       (!cpu->vmm->keeps_blocks || umpa_holding_use(h, i, &npages, &ntail) == HELD_FREE);
}

/* Each slot that is nobody's as it is: what has no frames is no part of the pool. */
static void give_slots(struct umpa_vmm_cpu *cpu)
{
	const struct umpa_holding *h = &cpu->holding;

	for (uint32_t i = 0, n; i < h->nslots; i += n) {
		enum umpa_extent_kind kind = kind_of_home(cpu, i);

		n = cpu->vmm->keeps_blocks ? hand_over(h, i) : 0;
		if (n)
			continue;
		for (n = 1; is_to_give(cpu, i + n, kind);)
			n++;
		umpa_space_give(slot_after(first_slot(h), i), n, kind);
	}
}

static int any_is_broken(const struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		if (vmm->cpu[i].holding.is_broken || vmm->cpu[i].guest.nchanges)
			return 1;
	return 0;
}

/* Pages that are unlike others (core/block.h) are for umpa_free() to settle, and so are books that
 * are not to be trusted. */
static int may_dissolve(const struct umpa_vmm *vmm)
{
	return !any_is_broken(vmm) &&
	       !umpa_block_begins_marked(umpa_window_slot(&umpa_core.window, block_of(vmm)));
}

static int has_blocks(const struct umpa_holding *h)
{
	size_t npages;
	unsigned ntail;

	for (uint32_t i = 0; i < h->extents.nslots; i++)
		if (umpa_holding_use(h, i, &npages, &ntail) != HELD_FREE)
			return 1;
	return 0;
}

/* Kept ones first, where the books are in order: of those that are not no block is handed over. */
static int any_has_blocks(struct umpa_vmm *vmm)
{
	int any = 0, trusted = !any_is_broken(vmm);

	for (unsigned i = 0; i < vmm->ncpus; i++) {
		if (trusted)
			umpa_holding_end_kept(&vmm->cpu[i].holding);
		any |= has_blocks(&vmm->cpu[i].holding);
	}
	return any;
}

void umpa_vmm_keep_blocks(struct umpa_vmm *vmm)
{
	if (!vmm->peers.held || !any_has_blocks(vmm))
		return;
	vmm->keeps_blocks = may_dissolve(vmm) && !umpa_vmm_bring_home(vmm);
	vmm->loses_blocks = !vmm->keeps_blocks;
}

/* No CPU is in guest mode, so none remembers anything. */
static void give_all_slots(struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		umpa_holding_end_limbo(&vmm->cpu[i].holding);
	for (unsigned i = 0; i < vmm->ncpus; i++)
		mark_bare_homes(&vmm->cpu[i]);
	for (unsigned i = 0; i < vmm->ncpus; i++)
		give_slots(&vmm->cpu[i]);
	umpa_space_give(umpa_window_slot(&umpa_core.window, block_of(vmm)), 1, EXTENT_VOID);
}

/* Blocks that can't be handed over: nobody gets their memory, as somebody may still have them. */
static int give_in_order(struct umpa_vmm *vmm)
{
	struct slot first = umpa_window_slot(&umpa_core.window, block_of(vmm));

	if (vmm->loses_blocks)
		return 1;
	if (!may_dissolve(vmm) || umpa_span_dissolve(first))
		return 0;
	give_all_slots(vmm);
	return 1;
}

void umpa_vmm_give_holdings(struct umpa_vmm *vmm)
{
	uint32_t npooled;
	int entered;

	if (!vmm->peers.held)
		return;
	entered = umpa_fork_enter(); /* a child has all of them, or none */
	umpa_lent_end(&vmm->lent);
	npooled = umpa_pool_nslots();
	if (!give_in_order(vmm))
		umpa_free(block_of(vmm));
	__atomic_fetch_add(&nleft, (int64_t)umpa_pool_nslots() - npooled, __ATOMIC_RELAXED);
	if (entered)
		umpa_fork_leave();
	umpa_pool_keep_limit();
	vmm->peers.held = 0;
}

int umpa_vmm_reaches_holdings(const struct umpa_vmm *vmm)
{
	return vmm->peers.held + vmm->peers.held_nbytes * vmm->ncpus <=
	       umpa_core.window.base + (vmm->nslots << SLOT_SHIFT);
}
