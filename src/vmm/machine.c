#include "vmm/machine.h"

#include <errno.h>
#include <string.h>

#include "base/format.h"
#include "core/core.h"
#include "os/process.h"

enum {
	STACK_NBYTES = 1 << 20,
	NAREAS_MAX = 256
};

/* What mappings that come later may take of addresses below those that are there: how far the
 * machine reaches. */
#define MAPPINGS_NBYTES ((size_t)16 << 30)
#define HEAP_NBYTES     ((size_t)256 << 20)
#define STACK_ROOM      ((size_t)8 << 20)
#define WINDOW_ROOM     ((size_t)16 << 30)

#define STACK_NBYTES_MAX ((size_t)1 << 40)

#define GIB_SHIFT 30

/* --- memory ------------------------------------------------------------------------------- */

static int take(struct umpa_vmm_piece *p, size_t nbytes)
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

static uintptr_t window_base(void)
{
	return umpa_core.window.base;
}

static uintptr_t window_end(const struct umpa_vmm *vmm)
{
	return window_base() + (vmm->nslots << SLOT_SHIFT);
}

/* Superpages of the GiB that the window begins in, before it. */
static size_t nslots_before(void)
{
	return window_base() >> SLOT_SHIFT & (TABLE_NENTRIES - 1);
}

/* Entries for superpages, in whole tables; the tables of each; and where those are. */
static size_t superpages_nbytes(const struct umpa_vmm *vmm)
{
	return (nslots_before() + vmm->nslots + TABLE_NENTRIES - 1) / TABLE_NENTRIES * PAGE_NBYTES;
}

static int take_window_tables(struct umpa_vmm *vmm)
{
	int error = take(&vmm->window, superpages_nbytes(vmm) + (vmm->nslots << PAGE_SHIFT));
	char *at = vmm->window.addr;

	if (error)
		return error;
	vmm->guest.superpage = (uint64_t *)at + nslots_before();
	vmm->page_tables = (uint64_t *)(at + superpages_nbytes(vmm));
	return 0;
}

/* --- how the process lies ----------------------------------------------------------------- */

static uintptr_t lesser(uintptr_t a, uintptr_t b)
{
	return a < b ? a : b;
}

static uintptr_t greater(uintptr_t a, uintptr_t b)
{
	return a > b ? a : b;
}

static struct umpa_area area_with_room(const struct umpa_process_area *a, uintptr_t newest)
{
	struct umpa_area area = {a->begin, a->end, 0, 0};

	if (newest >= a->begin && newest < a->end)
		area.below_nbytes = MAPPINGS_NBYTES;
	if (a->kind == PROCESS_STACK && area.below_nbytes < STACK_ROOM)
		area.below_nbytes = STACK_ROOM;
	if (a->kind == PROCESS_HEAP)
		area.above_nbytes = HEAP_NBYTES;
	if (area.end > LAYOUT_TOP)
		area.end = LAYOUT_TOP;
	return area;
}

/* What of an area lies in [begin, end), with its room as far as that is on the side of the whole.
 */
static void add_part(struct umpa_area *areas, size_t *n, const struct umpa_area *whole,
	uintptr_t begin, uintptr_t end)
{
	struct umpa_area a = {greater(whole->begin, begin), lesser(whole->end, end), 0, 0};

	if (a.begin >= a.end)
		return;
	a.below_nbytes = a.begin == whole->begin ? whole->below_nbytes : 0;
	a.above_nbytes = a.end == whole->end ? whole->above_nbytes : 0;
	areas[(*n)++] = a;
}

/* All of the process but what of the window the machine does not reach. */
static int lay_out(struct umpa_vmm *vmm, uintptr_t newest)
{
	struct umpa_process_area found[NAREAS_MAX];
	struct umpa_area areas[NAREAS_MAX + 1];
	uintptr_t out_of_reach_end = window_base() + umpa_core.window.nbytes;
	size_t nfound, n = 0;
	int error = umpa_process_areas(found, NAREAS_MAX, &nfound);

	if (error)
		return -ENOTSUP;
	for (size_t i = 0; i < nfound; i++) {
		struct umpa_area area = area_with_room(&found[i], newest);

		add_part(areas, &n, &area, 0, window_end(vmm));
		add_part(areas, &n, &area, out_of_reach_end, LAYOUT_TOP);
	}
	return umpa_layout_make(&vmm->layout, areas, n, vmm->kvm.facts.physical_nbits);
}

static int physical_of(const struct umpa_vmm *vmm, const void *addr, uint64_t *physical)
{
	return umpa_layout_physical(&vmm->layout, (uintptr_t)addr, physical);
}

/* --- page tables -------------------------------------------------------------------------- */

static int mirror_level(const struct umpa_vmm *vmm)
{
	return vmm->kvm.facts.gib_leaves ? 2 : 1;
}

static uint64_t whole_nbytes(const struct umpa_cluster *c)
{
	return (c->end - c->begin + SLOT_NBYTES - 1) & ~(SLOT_NBYTES - 1);
}

/* Tables that the mirror needs at most, and the window's. */
static uint64_t ntables_most(const struct umpa_vmm *vmm)
{
	uint64_t n = 1 + umpa_tables_most(window_base(), vmm->nslots << SLOT_SHIFT, 2);

	for (unsigned i = 0; i < vmm->layout.nclusters; i++) {
		const struct umpa_cluster *c = &vmm->layout.cluster[i];

		n += umpa_tables_most(c->begin, whole_nbytes(c), 1);
	}
	return n;
}

static int mirror(struct umpa_vmm *vmm, uintptr_t begin, uintptr_t end)
{
	uint64_t physical;
	int error = begin < end ? umpa_layout_physical(&vmm->layout, begin, &physical) : -EINVAL;

	if (error)
		return begin < end ? error : 0;
	return umpa_tables_map(
		&vmm->tables, begin, physical, end - begin, ENTRY_OPEN, mirror_level(vmm));
}

/* All of a cluster but GiB that the window has a part of. */
static int mirror_around_window(struct umpa_vmm *vmm, const struct umpa_cluster *c)
{
	const uintptr_t gib = (uintptr_t)1 << GIB_SHIFT;
	uintptr_t from = window_base() & ~(gib - 1), end = c->begin + whole_nbytes(c);
	uintptr_t to = (window_end(vmm) + gib - 1) & ~(gib - 1);
	int error = mirror(vmm, c->begin, lesser(end, from));

	return error ? error : mirror(vmm, greater(c->begin, to), end);
}

/* The part of a GiB that the window has only a part of. */
static int fill_superpages(struct umpa_vmm *vmm)
{
	uint64_t *entry = vmm->window.addr;
	uintptr_t at = window_base() - (nslots_before() << SLOT_SHIFT);
	size_t n = superpages_nbytes(vmm) / sizeof(*entry);

	for (size_t i = 0; i < n; i++, at += SLOT_NBYTES) {
		uint64_t physical;

		if (!umpa_layout_physical(&vmm->layout, at, &physical))
			entry[i] = physical | ENTRY_OPEN | ENTRY_LEAF;
	}
	return 0;
}

static int hang_in_superpages(struct umpa_vmm *vmm)
{
	uintptr_t at = window_base() - (nslots_before() << SLOT_SHIFT);
	size_t n = superpages_nbytes(vmm) / PAGE_NBYTES;
	uint64_t physical, *entry;
	int error = physical_of(vmm, vmm->window.addr, &physical);

	for (size_t i = 0; !error && i < n; i++) {
		error = umpa_tables_need(&vmm->tables, at + (i << GIB_SHIFT), 2, &entry);
		if (!error)
			entry_set(entry, (physical + i * PAGE_NBYTES) | ENTRY_OPEN);
	}
	return error;
}

static int fill_guest(struct umpa_vmm *vmm)
{
	struct umpa_guest *g = &vmm->guest;
	uint64_t tables_physical;
	int error = physical_of(vmm, (void *)window_base(), &g->physical);

	if (!error)
		error = physical_of(vmm, vmm->page_tables, &tables_physical);
	if (error)
		return error;
	g->base = window_base();
	g->nbytes = vmm->nslots << SLOT_SHIFT;
	g->fresh_table = vmm->page_tables;
	g->table_offset = (uintptr_t)vmm->page_tables - (tables_physical | UMPA_G_OPEN);
	return 0;
}

static int make_tables(struct umpa_vmm *vmm)
{
	uint64_t ntables = ntables_most(vmm), physical;
	int error = take(&vmm->upper, ntables << PAGE_SHIFT);

	if (!error)
		error = physical_of(vmm, vmm->upper.addr, &physical);
	if (error)
		return error == -EFAULT ? -ENOMEM : error;
	umpa_tables_init(&vmm->tables, vmm->upper.addr, physical, (uint32_t)ntables);
	for (unsigned i = 0; !error && i < vmm->layout.nclusters; i++)
		error = mirror_around_window(vmm, &vmm->layout.cluster[i]);
	if (!error)
		error = fill_superpages(vmm);
	if (!error)
		error = hang_in_superpages(vmm);
	return error ? error : fill_guest(vmm);
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
		&vmm->books, &vmm->stack, &vmm->upper, &vmm->window};

	for (size_t i = 0; i < array_len(pieces); i++)
		vmm->ground[i] = (struct umpa_ground){
			(uintptr_t)pieces[i]->addr, (uintptr_t)pieces[i]->addr + pieces[i]->nbytes};
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

static int furnish(struct umpa_vmm *vmm, size_t stack_nbytes)
{
	int error = take_stack(vmm, stack_nbytes);

	if (!error)
		error = take_window_tables(vmm);
	if (!error)
		error = lay_out(vmm, (uintptr_t)vmm->window.addr);
	if (!error)
		error = make_tables(vmm);
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
	give_stack(vmm);
	give(&books);
}

static int may_be(const struct umpa_vmm_options *o)
{
	return !(o->flags & ~UMPA_VMM_ALLOW_SLOW) && o->stack_nbytes % PAGE_NBYTES == 0 &&
	       o->stack_nbytes <= STACK_NBYTES_MAX;
}

static size_t nslots_wanted(const struct umpa_vmm_options *o)
{
	size_t all = umpa_core.window.nslots, room = WINDOW_ROOM >> SLOT_SHIFT;
	size_t n = o->window_nbytes >> SLOT_SHIFT;

	if (!n)
		n = umpa_window_nslots_open(&umpa_core.window) + room;
	return n < all ? n : all;
}

static int make(struct umpa_vmm **out, const struct umpa_kvm *kvm, const struct umpa_vmm_options *o)
{
	struct umpa_vmm_piece piece;
	struct books *books;
	int error = take(&piece, sizeof(*books));

	if (error)
		return error;
	books = piece.addr;
	books->vmm = (struct umpa_vmm){.kvm = *kvm,
		.guest_cpu = &books->cpu,
		.gates = books->gates,
		.books = piece,
		.nslots = nslots_wanted(o),
		.time_ns = o->time_ns,
		.pid = umpa_process_id()};
	error = furnish(&books->vmm, o->stack_nbytes ? o->stack_nbytes : STACK_NBYTES);
	if (error)
		give_all(&books->vmm);
	else
		*out = &books->vmm;
	return error;
}

/* --- what a host is good for -------------------------------------------------------------- */

static int verdict_of(const struct umpa_kvm_facts *f, unsigned flags)
{
	return (f->nested && !f->lacking) || flags & UMPA_VMM_ALLOW_SLOW ? 0 : -ENOTSUP;
}

public_api int umpa_vmm_create(struct umpa_vmm **vmm, const struct umpa_vmm_options *options)
{
	struct umpa_vmm_options o = options ? *options : (struct umpa_vmm_options){0};
	struct umpa_kvm kvm;
	int error;

	if (!vmm || !may_be(&o))
		return -EINVAL;
	umpa_core_need();
	if (!umpa_core.window.nslots)
		return -ENOMEM;
	error = umpa_kvm_open(&kvm);
	if (error)
		return error;
	error = verdict_of(&kvm.facts, o.flags);
	if (!error)
		error = make(vmm, &kvm, &o);
	if (error)
		umpa_kvm_close(&kvm);
	return error;
}

public_api void umpa_vmm_destroy(struct umpa_vmm *vmm)
{
	struct umpa_kvm kvm;

	if (!vmm)
		return;
	kvm = vmm->kvm;
	umpa_kvm_remove_cpu(&vmm->cpu);
	give_all(vmm);
	umpa_kvm_close(&kvm);
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
		else
			say(caps, "the kernel shadows page tables: slow", NULL);
		break;
	default:
		say(caps, "/dev/kvm does not work", NULL);
	}
}

public_api void umpa_vmm_probe(struct umpa_vmm_caps *caps)
{
	struct umpa_kvm kvm;
	int error = umpa_kvm_open(&kvm);

	memset(caps, 0, sizeof(*caps));
	caps->error = error;
	if (!error) {
		caps->error = verdict_of(&kvm.facts, 0);
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
