#include "vmm/machine.h"

#include <errno.h>
#include <sys/mman.h>

#include "core/core.h"
#include "os/process.h"
#include "vmm/left.h"
#include "vmm/mirror.h"

#define STACK_NBYTES     ((size_t)1 << 20)
#define STACK_NBYTES_MAX ((size_t)1 << 40)
#define WINDOW_ROOM      ((size_t)16 << 30)

/* --- memory ------------------------------------------------------------------------------- */

int umpa_vmm_take(struct umpa_vmm_piece *p, size_t nbytes)
{
	void *addr;
	int error = umpa_os_map(rounded_up(nbytes, PAGE_NBYTES), &addr);

	if (!error)
		*p = (struct umpa_vmm_piece){addr, rounded_up(nbytes, PAGE_NBYTES)};
	return error;
}

void umpa_vmm_give(struct umpa_vmm_piece *p)
{
	if (p->addr)
		umpa_os_unmap(p->addr, p->nbytes);
	p->addr = NULL;
}

/* The books of a machine: itself, what the processor wants to find, and its CPUs. */
struct books {
	struct umpa_vmm vmm;
	struct umpa_gate gates[GUEST_NVECTORS];
	struct seat {
		struct umpa_vmm_cpu cpu;
		struct umpa_peer peer;
		struct umpa_epoch_cpu epoch;
	} seat[];
};

/* One for each CPU, at the end of whole superpages that nobody may touch: a page at least is below.
 */
static int take_stacks(struct umpa_vmm *vmm, size_t nbytes)
{
	size_t each = (nbytes + SLOT_NBYTES) & ~(SLOT_NBYTES - 1);
	void *addr;
	int error = umpa_os_reserve(each * vmm->ncpus, &addr);

	if (error)
		return error;
	vmm->stacks = (struct umpa_vmm_piece){addr, each * vmm->ncpus};
	for (unsigned i = 0; !error && i < vmm->ncpus; i++) {
		vmm->cpu[i].stack_end = (uintptr_t)addr + each * (i + 1);
		vmm->cpu[i].stack_begin = vmm->cpu[i].stack_end - nbytes;
		error = umpa_os_open((void *)vmm->cpu[i].stack_begin, nbytes);
	}
	return error;
}

static void give_stacks(struct umpa_vmm *vmm)
{
	if (vmm->stacks.addr)
		umpa_os_release(vmm->stacks.addr, vmm->stacks.nbytes);
}

/* --- the machine -------------------------------------------------------------------------- */

static int show_memory(struct umpa_vmm *vmm)
{
	int error = 0;

	for (unsigned i = 0; !error && i < vmm->layout.nclusters; i++) {
		const struct umpa_cluster *c = &vmm->layout.cluster[i];

		error = umpa_kvm_show(&vmm->kvm, (void *)c->begin, c->end - c->begin, c->physical);
	}
	return error;
}

static void fill_state(struct umpa_vmm_cpu *cpu)
{
	const struct umpa_vmm *vmm = cpu->vmm;
	const struct umpa_guest_cpu *c = &cpu->inner;

	cpu->state = (struct umpa_kvm_state){.tables = umpa_hide_root(&c->hide),
		.gdt = (uintptr_t)c->descriptor,
		.gdt_limit = sizeof(c->descriptor) - 1,
		.idt = (uintptr_t)vmm->gates,
		.idt_limit = GUEST_NVECTORS * sizeof(struct umpa_gate) - 1,
		.tss = (uintptr_t)&c->task,
		.tss_limit = sizeof(c->task) - 1,
		.code = GUEST_SELECTOR_CODE,
		.data = GUEST_SELECTOR_DATA,
		.task = GUEST_SELECTOR_TASK,
		.gs_base = (uintptr_t)c,
		.syscall_rip = (uintptr_t)umpa_guest_call};
}

static void stake_ground(struct umpa_vmm *vmm)
{
	const struct umpa_vmm_piece held = {
		(void *)vmm->peers.held, vmm->peers.held_nbytes * vmm->ncpus};
	const struct umpa_vmm_piece *pieces[] = {
		&vmm->books, &vmm->stacks, &vmm->upper, &vmm->window, &vmm->held, &held};

	for (size_t i = 0; i < array_len(pieces); i++)
		vmm->ground[i] = (struct umpa_ground){
			(uintptr_t)pieces[i]->addr, (uintptr_t)pieces[i]->addr + pieces[i]->nbytes};
	for (unsigned i = 0; i < vmm->ncpus; i++) {
		const struct umpa_kvm_cpu *kvm = &vmm->cpu[i].kvm;

		vmm->cpu[i].ground = (struct umpa_ground){
			(uintptr_t)kvm->shared, (uintptr_t)kvm->shared + kvm->nbytes};
	}
}

/* What is below the stack of each trap. */
static int guard_traps(struct umpa_guest_cpu *c)
{
	int error = 0;

	for (int i = 0; !error && i < GUEST_NTRAPS; i++)
		error = umpa_os_protect(c->trap_stack + (size_t)i * GUEST_TRAP_STACK_NBYTES,
			PAGE_NBYTES, PROT_NONE);
	return error;
}

static int prepare_to_hide(struct umpa_vmm_cpu *cpu)
{
	struct umpa_vmm *vmm = cpu->vmm;
	struct umpa_guest_cpu *c = &cpu->inner;
	uint64_t physical;
	int error = umpa_layout_physical(&vmm->layout, (uintptr_t)c->way, &physical);

	if (!error)
		umpa_hide_init(&c->hide, &vmm->tables, c->way, physical, umpa_guest_forget);
	return error == -EFAULT ? -ENOMEM : error;
}

static int add_cpu(struct umpa_vmm_cpu *cpu)
{
	int error = umpa_kvm_add_cpu(&cpu->vmm->kvm, cpu->guest.number, &cpu->kvm);

	if (error)
		return error;
	umpa_guest_cpu_init(&cpu->inner, &cpu->guest);
	error = prepare_to_hide(cpu);
	fill_state(cpu);
	if (!error)
		error = guard_traps(&cpu->inner);
	if (!error)
		error = umpa_kvm_set_state(&cpu->kvm, &cpu->state);
	if (error)
		umpa_kvm_remove_cpu(&cpu->kvm);
	return error;
}

static void remove_cpus(struct umpa_vmm *vmm, unsigned n)
{
	while (n)
		umpa_kvm_remove_cpu(&vmm->cpu[--n].kvm);
}

static int add_cpus(struct umpa_vmm *vmm)
{
	umpa_guest_gates_init(vmm->gates);
	for (unsigned i = 0; i < vmm->ncpus; i++) {
		int error = add_cpu(&vmm->cpu[i]);

		if (error) {
			remove_cpus(vmm, i);
			return error;
		}
	}
	return 0;
}

size_t umpa_vmm_nslots_wanted(const struct umpa_vmm_options *o)
{
	size_t all = umpa_core.window.nslots, room = WINDOW_ROOM >> SLOT_SHIFT;
	size_t n = o->window_nbytes >> SLOT_SHIFT;

	if (!n)
		n = umpa_window_nslots_open(&umpa_core.window) + room;
	return n < all ? n : all;
}

static int furnish(struct umpa_vmm *vmm, const struct umpa_vmm_options *o)
{
	int error = umpa_vmm_take_holdings(vmm, o);

	vmm->nslots = umpa_vmm_nslots_wanted(o);
	if (!error && !umpa_vmm_reaches_holdings(vmm))
		error = -ENOMEM;
	if (!error)
		error = take_stacks(vmm, o->stack_nbytes ? o->stack_nbytes : STACK_NBYTES);
	if (!error)
		error = umpa_vmm_take_window_tables(vmm);
	if (!error)
		error = umpa_vmm_lay_out(vmm);
	if (!error)
		error = umpa_vmm_make_tables(vmm);
	if (!error)
		error = show_memory(vmm);
	if (!error)
		error = add_cpus(vmm);
	if (!error)
		stake_ground(vmm);
	return error;
}

static void give_all(struct umpa_vmm *vmm)
{
	struct umpa_vmm_piece books = vmm->books;

	umpa_vmm_give_holdings(vmm); /* which entries tell of */
	umpa_vmm_give(&vmm->upper);
	umpa_vmm_give(&vmm->window);
	umpa_vmm_give(&vmm->held);
	give_stacks(vmm);
	umpa_vmm_give(&books);
}

static int may_be(const struct umpa_vmm_options *o)
{
	return !(o->flags & ~(UMPA_VMM_ALLOW_SLOW | UMPA_VMM_ALLOW_HOST | VMM_MIRROR_BY_PAGES)) &&
	       o->frames_nbytes <= o->holding_nbytes && o->stack_nbytes % PAGE_NBYTES == 0 &&
	       o->stack_nbytes <= STACK_NBYTES_MAX && o->ncpus <= UMPA_VMM_NCPUS_MAX;
}

/* Its CPUs and their peers are in two rows. */
static void seat_cpus(struct umpa_vmm *vmm, struct books *books)
{
	unsigned n = vmm->ncpus;
	char *at = (char *)books->seat;

	vmm->cpu = (struct umpa_vmm_cpu *)at;
	vmm->peers.peer = (struct umpa_peer *)(at += n * sizeof(struct umpa_vmm_cpu));
	vmm->peers.epochs.cpu = (struct umpa_epoch_cpu *)(at + n * sizeof(struct umpa_peer));
	vmm->peers.epochs.ncpus = n;
	vmm->peers.epochs.now = 1;
	vmm->peers.forget = umpa_guest_forget;
	vmm->peers.interrupt = umpa_guest_interrupt;
	for (unsigned i = 0; i < n; i++) {
		vmm->cpu[i].vmm = vmm;
		vmm->cpu[i].guest.number = i;
		vmm->cpu[i].forgot = vmm->peers.epochs.now;
		umpa_epoch_leave(&vmm->peers.epochs, i);
	}
}

/* The books of a machine that is nothing else yet. */
static int begin(struct umpa_vmm **out, const struct umpa_vmm_options *o)
{
	unsigned ncpus = o->ncpus ? o->ncpus : 1;
	struct umpa_vmm_piece piece;
	struct books *books;
	int error = umpa_vmm_take(&piece, sizeof(*books) + ncpus * sizeof(books->seat[0]));

	if (error)
		return error;
	books = piece.addr;
	books->vmm = (struct umpa_vmm){.gates = books->gates,
		.books = piece,
		.ncpus = ncpus,
		.time_ns = o->time_ns,
		.is_by_pages = (o->flags & VMM_MIRROR_BY_PAGES) != 0,
		.pid = umpa_process_id()};
	seat_cpus(&books->vmm, books);
	*out = &books->vmm;
	return 0;
}

static int make(struct umpa_vmm **out, const struct umpa_kvm *kvm, const struct umpa_vmm_options *o)
{
	struct umpa_vmm *vmm;
	int error = o->ncpus > kvm->facts.ncpus_max ? -ENOTSUP : begin(&vmm, o);

	if (error)
		return error;
	vmm->kvm = *kvm;
	error = furnish(vmm, o);
	if (error)
		give_all(vmm);
	else
		*out = vmm;
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

static int create_host(struct umpa_vmm **vmm, const struct umpa_vmm_options *o)
{
	int error = begin(vmm, o);

	if (!error)
		(*vmm)->is_host = 1;
	return error;
}

public_api int umpa_vmm_create(struct umpa_vmm **vmm, const struct umpa_vmm_options *options)
{
	struct umpa_vmm_options o = options ? *options : (struct umpa_vmm_options){0};
	int error, kept = errno;

	if (!vmm || !may_be(&o))
		return -EINVAL;
	umpa_core_need();
	error = create(vmm, &o);
	if (error && o.flags & UMPA_VMM_ALLOW_HOST)
		error = o.time_ns ? -ENOTSUP : create_host(vmm, &o);
	errno = kept;
	return error;
}

public_api void umpa_vmm_destroy(struct umpa_vmm *vmm)
{
	struct umpa_stand stand = umpa_stand_at((uintptr_t)__builtin_frame_address(0));
	struct umpa_vmm_piece books;
	struct umpa_kvm kvm;

	if (!vmm)
		return;
	/* What was left behind is taken back. What is not, or was in the middle when this child was
	 * forked, does not go on. */
	if (vmm->pid == umpa_process_id())
		(void)!umpa_vmm_take_all(vmm, &stand);
	for (unsigned i = 0; i < vmm->ncpus; i++)
		umpa_epoch_leave(&vmm->peers.epochs, i);
	if (!vmm->is_host)
		umpa_vmm_keep_blocks(vmm);
	if (vmm->is_host) {
		books = vmm->books;
		umpa_vmm_give(&books);
		return;
	}
	kvm = vmm->kvm;
	remove_cpus(vmm, vmm->ncpus);
	give_all(vmm);
	umpa_kvm_close(&kvm);
}
