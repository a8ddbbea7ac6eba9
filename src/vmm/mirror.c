#include "vmm/mirror.h"

#include <errno.h>
#include <sys/syscall.h>

#include "core/core.h"
#include "os/process.h"

enum {
	NAREAS_MAX = 4096
};

/* How a process lies: too much for a stack. */
struct lie {
	struct umpa_process_area found[NAREAS_MAX + 1]; /* and a heap */
	struct umpa_area area[NAREAS_MAX + 2];          /* the window may part one */
};

/* How far the machine reaches beyond what is there: for later mappings and the stack, and for the
 * heap. */
#define ROOM_BELOW ((size_t)16 << 30)
#define HEAP_ROOM  ((size_t)256 << 20)

#define GIB_SHIFT 30

/* --- the window --------------------------------------------------------------------------- */

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

int umpa_vmm_take_window_tables(struct umpa_vmm *vmm)
{
	uint32_t ntables = (uint32_t)umpa_peers_ntables(vmm->ncpus, vmm->nslots);
	int error =
		umpa_vmm_take(&vmm->window, superpages_nbytes(vmm) + umpa_stock_nbytes(ntables));

	if (!error)
		umpa_stock_init(&vmm->peers.stock,
			(char *)vmm->window.addr + superpages_nbytes(vmm), ntables);
	return error;
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

/* The next mapping may come below any, into whichever gap is large enough. */
static struct umpa_area area_with_room(const struct umpa_process_area *a)
{
	return (struct umpa_area){a->begin, lesser(a->end, LAYOUT_TOP), ROOM_BELOW,
		a->kind == PROCESS_HEAP ? HEAP_ROOM : 0};
}

/* A program that has no heap may have one later: it will begin there. Result: how many areas. */
static size_t add_heap(struct umpa_process_area *areas, size_t n)
{
	static const uint64_t none[6];
	uintptr_t at = (uintptr_t)umpa_process_call(SYS_brk, none) & ~(PAGE_NBYTES - 1);
	size_t i = 0;

	for (size_t k = 0; k < n; k++)
		if (areas[k].kind == PROCESS_HEAP)
			return n;
	while (i < n && areas[i].end <= at)
		i++;
	if (i < n && areas[i].begin < at + PAGE_NBYTES) {
		areas[i].kind = PROCESS_HEAP;
		return n;
	}
	for (size_t k = n; k > i; k--)
		areas[k] = areas[k - 1];
	areas[i] = (struct umpa_process_area){at, at + PAGE_NBYTES, PROCESS_HEAP};
	return n + 1;
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
static int lay_out(struct umpa_vmm *vmm, struct lie *lie)
{
	uintptr_t out_of_reach_end = window_base() + umpa_core.window.nbytes;
	size_t nfound, n = 0;

	if (umpa_process_areas(lie->found, NAREAS_MAX, &nfound))
		return -ENOTSUP;
	nfound = add_heap(lie->found, nfound);
	for (size_t i = 0; i < nfound; i++) {
		struct umpa_area area = area_with_room(&lie->found[i]);

		add_part(lie->area, &n, &area, 0, window_end(vmm));
		add_part(lie->area, &n, &area, out_of_reach_end, LAYOUT_TOP);
	}
	return umpa_layout_make(&vmm->layout, lie->area, n, vmm->kvm.facts.physical_nbits);
}

int umpa_vmm_lay_out(struct umpa_vmm *vmm)
{
	struct umpa_vmm_piece piece;
	int error = umpa_vmm_take(&piece, sizeof(struct lie));

	if (error)
		return error;
	error = lay_out(vmm, piece.addr);
	umpa_vmm_give(&piece);
	return error;
}

static int physical_of(const struct umpa_vmm *vmm, const void *addr, uint64_t *physical)
{
	return umpa_layout_physical(&vmm->layout, (uintptr_t)addr, physical);
}

/* --- page tables -------------------------------------------------------------------------- */

static int mirror_level(const struct umpa_vmm *vmm)
{
	return vmm->is_by_pages ? 0 : vmm->kvm.facts.gib_leaves ? 2 : 1;
}

static uint64_t whole_nbytes(const struct umpa_cluster *c)
{
	return rounded_up(c->end - c->begin, SLOT_NBYTES);
}

/* Tables that the mirror needs at most, and the window's. */
static uint64_t ntables_most(const struct umpa_vmm *vmm)
{
	uint64_t n = 1 + umpa_tables_most(window_base(), vmm->nslots << SLOT_SHIFT, 2);

	for (unsigned i = 0; i < vmm->layout.nclusters; i++) {
		const struct umpa_cluster *c = &vmm->layout.cluster[i];

		n += umpa_tables_most(c->begin, whole_nbytes(c), !vmm->is_by_pages);
	}
	return n;
}

static int mirror(struct umpa_vmm *vmm, uintptr_t begin, uintptr_t end)
{
	uint64_t physical;
	int error;

	if (begin >= end)
		return 0;
	error = umpa_layout_physical(&vmm->layout, begin, &physical);
	return error ? error
		     : umpa_tables_map(&vmm->tables, begin, physical, end - begin, ENTRY_OPEN,
			       mirror_level(vmm));
}

/* All of a cluster but GiB that the window has a part of. */
static int mirror_around_window(struct umpa_vmm *vmm, const struct umpa_cluster *c)
{
	const uintptr_t gib = (uintptr_t)1 << GIB_SHIFT;
	uintptr_t from = window_base() & ~(gib - 1), end = c->begin + whole_nbytes(c);
	uintptr_t to = rounded_up(window_end(vmm), gib);
	int error = mirror(vmm, c->begin, lesser(end, from));

	return error ? error : mirror(vmm, greater(c->begin, to), end);
}

/* All of the GiB that the window has a part of, where there is something of the process. */
static void fill_superpages(struct umpa_vmm *vmm)
{
	uint64_t *entry = vmm->window.addr;
	uintptr_t at = window_base() - (nslots_before() << SLOT_SHIFT);
	size_t n = superpages_nbytes(vmm) / sizeof(*entry);

	for (size_t i = 0; i < n; i++, at += SLOT_NBYTES) {
		uint64_t physical;

		if (!umpa_layout_physical(&vmm->layout, at, &physical))
			entry[i] = physical | ENTRY_OPEN | ENTRY_LEAF;
	}
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

/* What a function on a CPU finds: the window, and its tables. */
static void fill_guest(
	struct umpa_vmm *vmm, struct umpa_guest *g, uint64_t physical, uint64_t tables_physical)
{
	g->base = window_base();
	g->nbytes = vmm->nslots << SLOT_SHIFT;
	g->physical = physical;
	g->superpage = (uint64_t *)vmm->window.addr + nslots_before();
	g->table_offset = (uintptr_t)vmm->peers.stock.tables - (tables_physical | UMPA_G_OPEN);
	g->peers = &vmm->peers;
}

static int fill_guests(struct umpa_vmm *vmm)
{
	uint64_t physical, tables_physical;
	int error = physical_of(vmm, (void *)window_base(), &physical);

	if (!error)
		error = physical_of(vmm, vmm->peers.stock.tables, &tables_physical);
	for (unsigned i = 0; !error && i < vmm->ncpus; i++)
		fill_guest(vmm, &vmm->cpu[i].guest, physical, tables_physical);
	return error;
}

int umpa_vmm_make_tables(struct umpa_vmm *vmm)
{
	uint64_t ntables = ntables_most(vmm), physical;
	int error = umpa_vmm_take(&vmm->upper, ntables << PAGE_SHIFT);

	if (!error)
		error = physical_of(vmm, vmm->upper.addr, &physical);
	if (error)
		return error == -EFAULT ? -ENOMEM : error;
	umpa_tables_init(&vmm->tables, vmm->upper.addr, physical, (uint32_t)ntables);
	for (unsigned i = 0; !error && i < vmm->layout.nclusters; i++)
		error = mirror_around_window(vmm, &vmm->layout.cluster[i]);
	fill_superpages(vmm);
	if (!error)
		error = hang_in_superpages(vmm);
	return error ? error : fill_guests(vmm);
}
