#include "vmm/machine.h"

#include <errno.h>
#include <umpa/page.h>

#include "core/block.h"
#include "core/core.h"
#include "core/space.h"
#include "core/span.h"
#include "os/process.h"
#include "vmm/mirror.h"

#define STACK_NBYTES     ((size_t)1 << 20)
#define STACK_NBYTES_MAX ((size_t)1 << 40)
#define WINDOW_ROOM      ((size_t)16 << 30)

/* --- memory ------------------------------------------------------------------------------- */

int umpa_vmm_take(struct umpa_vmm_piece *p, size_t nbytes)
{
	void *addr;
	int error = umpa_os_map(pages_of(nbytes) << PAGE_SHIFT, &addr);

	if (!error)
		*p = (struct umpa_vmm_piece){addr, pages_of(nbytes) << PAGE_SHIFT};
	return error;
}

static void give(struct umpa_vmm_piece *p)
{
	if (p->addr)
		umpa_os_unmap(p->addr, p->nbytes);
	p->addr = NULL;
}

/* The books of a machine: itself, and what the processor wants to find. */
struct books {
	struct umpa_vmm vmm;
	struct umpa_guest_cpu cpu;
	struct umpa_gate gates[GUEST_NVECTORS];
};

/* At the end of whole superpages that nobody may touch: a page at least is below. */
static int take_stack(struct umpa_vmm *vmm, size_t nbytes)
{
	size_t all = (nbytes + SLOT_NBYTES) & ~(SLOT_NBYTES - 1);
	void *addr;
	int error = umpa_os_reserve(all, &addr);

	if (error)
		return error;
	vmm->stack = (struct umpa_vmm_piece){addr, all};
	return umpa_os_open((char *)addr + all - nbytes, nbytes);
}

static void give_stack(struct umpa_vmm *vmm)
{
	if (vmm->stack.addr)
		umpa_os_release(vmm->stack.addr, vmm->stack.nbytes);
}

/* --- the holding -------------------------------------------------------------------------- */

/* Whole slots, of any nbytes. */
static size_t slots_in(size_t nbytes)
{
	return nbytes / SLOT_NBYTES + (nbytes % SLOT_NBYTES != 0);
}

/* Its first slots get frames of the pool. */
static void stock(struct umpa_holding *h, uint32_t nslots)
{
	struct slot first = umpa_window_slot(&umpa_core.window, h->begin);
	uint32_t n = nslots ? nslots - umpa_space_fill(first, nslots, 0) : 0;

	if (n)
		umpa_extents_grow(&h->extents, n, EXTENT_RESIDENT);
}

/* Slots of the window, as a block without frames. */
static int take_holding(struct umpa_vmm *vmm, const struct umpa_vmm_options *o)
{
	size_t nslots = slots_in(o->holding_nbytes);
	void *block;
	int error;

	if (!nslots)
		return 0;
	error = nslots > HOLDING_NSLOTS_MAX
			? -ENOMEM
			: umpa_vmm_take(&vmm->held, umpa_holding_nbytes((uint32_t)nslots));
	if (error)
		return error;
	block = umpa_alloc(nslots << SLOT_SHIFT, UMPA_NOBACK | UMPA_ALIGN(SLOT_SHIFT));
	if (!umpa_window_has(&umpa_core.window, block)) {
		umpa_free(block);
		return -ENOMEM;
	}
	umpa_entries_mover_init(&vmm->mover, &vmm->guest);
	umpa_holding_init(
		&vmm->holding, block, (uint32_t)nslots, &vmm->mover.mover, vmm->held.addr);
	vmm->guest.holding = &vmm->holding;
	stock(&vmm->holding, (uint32_t)slots_in(o->frames_nbytes));
	return 0;
}

/* Each slot as it is: what has no frames is no part of the pool. */
static void give_slots(const struct umpa_holding *h, struct slot first)
{
	uint32_t n;

	for (uint32_t i = 0; i < h->nslots; i += n) {
		enum umpa_extent_kind kind = umpa_holding_kind(h, i, &n);

		umpa_space_give(slot_after(first, i), n, kind);
	}
	umpa_space_keep_limit();
}

static void give_holding(struct umpa_vmm *vmm)
{
	const struct umpa_holding *h = &vmm->holding;
	struct slot first = umpa_window_slot(&umpa_core.window, h->begin);

	if (!vmm->guest.holding)
		return;
	vmm->guest.holding = NULL;
	/* Pages that are unlike others (core/block.h) are for umpa_free() to settle. */
	if (umpa_block_begins_marked(first) || umpa_span_dissolve(first))
		umpa_free(h->begin);
	else
		give_slots(h, first);
}

/* 1 if the machine reaches all of it. */
static int reaches_holding(const struct umpa_vmm *vmm)
{
	const struct umpa_holding *h = &vmm->holding;

	return !vmm->guest.holding || (uintptr_t)h->begin + ((size_t)h->nslots << SLOT_SHIFT) <=
					      umpa_core.window.base + (vmm->nslots << SLOT_SHIFT);
}

/* --- the machine -------------------------------------------------------------------------- */

static int show_memory(struct umpa_vmm *vmm)
{
	int error = 0;

	for (unsigned i = 0; !error && i < vmm->layout.nclusters; i++) {
		const struct umpa_cluster *c = &vmm->layout.cluster[i];

		error = umpa_kvm_show(
			&vmm->kvm, i, (void *)c->begin, c->end - c->begin, c->physical);
	}
	return error;
}

static void fill_state(struct umpa_vmm *vmm)
{
	const struct umpa_guest_cpu *c = vmm->guest_cpu;

	vmm->state = (struct umpa_kvm_state){.tables = vmm->tables.physical,
		.gdt = (uintptr_t)c->descriptor,
		.gdt_limit = sizeof(c->descriptor) - 1,
		.idt = (uintptr_t)vmm->gates,
		.idt_limit = GUEST_NVECTORS * sizeof(struct umpa_gate) - 1,
		.tss = (uintptr_t)&c->task,
		.tss_limit = sizeof(c->task) - 1,
		.code = GUEST_SELECTOR_CODE,
		.data = GUEST_SELECTOR_DATA,
		.task = GUEST_SELECTOR_TASK,
		.fs_base = umpa_kvm_fs_base(),
		.gs_base = (uintptr_t)c,
		.syscall_rip = (uintptr_t)umpa_guest_call};
}

static void stake_ground(struct umpa_vmm *vmm)
{
	const struct umpa_vmm_piece *pieces[] = {
		&vmm->books, &vmm->stack, &vmm->upper, &vmm->window, &vmm->held};

	for (size_t i = 0; i < array_len(pieces); i++)
		vmm->ground[i] = (struct umpa_ground){
			(uintptr_t)pieces[i]->addr, (uintptr_t)pieces[i]->addr + pieces[i]->nbytes};
	vmm->ground[array_len(pieces)] = (struct umpa_ground){
		(uintptr_t)vmm->holding.begin, (uintptr_t)vmm->holding.begin + vmm->holding.nbytes};
}

static int add_cpu(struct umpa_vmm *vmm)
{
	int error = umpa_kvm_add_cpu(&vmm->kvm, 0, &vmm->cpu);

	if (error)
		return error;
	umpa_guest_gates_init(vmm->gates);
	umpa_guest_cpu_init(vmm->guest_cpu, &vmm->guest);
	fill_state(vmm);
	error = umpa_kvm_set_state(&vmm->cpu, &vmm->state);
	if (error)
		umpa_kvm_remove_cpu(&vmm->cpu);
	return error;
}

static size_t nslots_wanted(const struct umpa_vmm_options *o)
{
	size_t all = umpa_core.window.nslots, room = WINDOW_ROOM >> SLOT_SHIFT;
	size_t n = o->window_nbytes >> SLOT_SHIFT;

	if (!n)
		n = umpa_window_nslots_open(&umpa_core.window) + room;
	return n < all ? n : all;
}

static int furnish(struct umpa_vmm *vmm, const struct umpa_vmm_options *o)
{
	int error = take_holding(vmm, o);

	vmm->nslots = nslots_wanted(o);
	if (!error && !reaches_holding(vmm))
		error = -ENOMEM;
	if (!error)
		error = take_stack(vmm, o->stack_nbytes ? o->stack_nbytes : STACK_NBYTES);
	if (!error)
		error = umpa_vmm_take_window_tables(vmm);
	if (!error)
		error = umpa_vmm_lay_out(vmm);
	if (!error)
		error = umpa_vmm_make_tables(vmm);
	if (!error)
		error = show_memory(vmm);
	if (!error)
		error = add_cpu(vmm);
	if (!error)
		stake_ground(vmm);
	return error;
}

static void give_all(struct umpa_vmm *vmm)
{
	struct umpa_vmm_piece books = vmm->books;

	give(&vmm->upper);
	give(&vmm->window);
	give_holding(vmm);
	give(&vmm->held);
	give_stack(vmm);
	give(&books);
}

static int may_be(const struct umpa_vmm_options *o)
{
	return !(o->flags & ~(UMPA_VMM_ALLOW_SLOW | UMPA_VMM_ALLOW_HOST)) &&
	       o->frames_nbytes <= o->holding_nbytes && o->stack_nbytes % PAGE_NBYTES == 0 &&
	       o->stack_nbytes <= STACK_NBYTES_MAX;
}

static int make(struct umpa_vmm **out, const struct umpa_kvm *kvm, const struct umpa_vmm_options *o)
{
	struct umpa_vmm_piece piece;
	struct books *books;
	int error = umpa_vmm_take(&piece, sizeof(*books));

	if (error)
		return error;
	books = piece.addr;
	books->vmm = (struct umpa_vmm){.kvm = *kvm,
		.guest_cpu = &books->cpu,
		.gates = books->gates,
		.books = piece,
		.time_ns = o->time_ns,
		.pid = umpa_process_id()};
	error = furnish(&books->vmm, o);
	if (error)
		give_all(&books->vmm);
	else
		*out = &books->vmm;
	return error;
}

/* A machine, if this host has one that will do. */
static int create(struct umpa_vmm **vmm, const struct umpa_vmm_options *o)
{
	struct umpa_kvm kvm;
	int error = umpa_core.window.nslots ? umpa_kvm_open(&kvm) : -ENOMEM;

	if (error)
		return error;
	error = umpa_vmm_verdict(&kvm.facts, o->flags);
	if (!error)
		error = make(vmm, &kvm, o);
	if (error)
		umpa_kvm_close(&kvm);
	return error;
}

static int create_host(struct umpa_vmm **vmm)
{
	struct umpa_vmm_piece piece;
	int error = umpa_vmm_take(&piece, sizeof(**vmm));

	if (error)
		return error;
	*vmm = piece.addr;
	**vmm = (struct umpa_vmm){.books = piece, .pid = umpa_process_id(), .is_host = 1};
	return 0;
}

public_api int umpa_vmm_create(struct umpa_vmm **vmm, const struct umpa_vmm_options *options)
{
	struct umpa_vmm_options o = options ? *options : (struct umpa_vmm_options){0};
	int error;

	if (!vmm || !may_be(&o))
		return -EINVAL;
	umpa_core_need();
	error = create(vmm, &o);
	if (!error || !(o.flags & UMPA_VMM_ALLOW_HOST))
		return error;
	return o.time_ns ? -ENOTSUP : create_host(vmm);
}

public_api void umpa_vmm_destroy(struct umpa_vmm *vmm)
{
	struct umpa_vmm_piece books;
	struct umpa_kvm kvm;

	if (!vmm)
		return;
	if (vmm->is_host) {
		books = vmm->books;
		give(&books);
		return;
	}
	kvm = vmm->kvm;
	umpa_kvm_remove_cpu(&vmm->cpu);
	give_all(vmm);
	umpa_kvm_close(&kvm);
}
