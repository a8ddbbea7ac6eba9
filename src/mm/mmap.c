/* mmap: what is served, out of what, and where; by whose wish. */
#include <errno.h>
#include <sys/mman.h>
#include <umpa/mmap.h>

#include "core/core.h"
#include "core/evidence.h"
#include "core/options.h"
#include "core/pool.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/pages.h"
#include "mm/range.h"

struct mmap_args {
	void *addr;
	size_t nbytes;
	int prot, flags, fd;
	off_t offset;
};

static intptr_t kernel_mmap(void *arg)
{
	const struct mmap_args *a = arg;
	intptr_t got = umpa_os_mmap(a->addr, a->nbytes, a->prot, a->flags, a->fd, a->offset);

	if (unlikely(got == -ENOMEM) && umpa_core_yield(a->nbytes))
		got = umpa_os_mmap(a->addr, a->nbytes, a->prot, a->flags, a->fd, a->offset);
	return got;
}

static int is_fixed(const struct mmap_args *a)
{
	return (a->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) != 0;
}

/* Private and anonymous, wherever it is to be, with no other flags than that. */
static int is_private(const struct mmap_args *a, int flag)
{
	const int needed = MAP_PRIVATE | MAP_ANONYMOUS, where = MAP_FIXED | MAP_FIXED_NOREPLACE;

	return (a->flags & ~(where | flag)) == needed && a->offset % (off_t)PAGE_NBYTES == 0 &&
	       a->nbytes && a->nbytes <= PTRDIFF_MAX;
}

/* What umpa serves. */
static int is_plain(const struct mmap_args *a)
{
	return a->prot == (PROT_READ | PROT_WRITE) && is_private(a, MAP_POPULATE);
}

/* A reservation: address space that nobody may use before it is opened. */
static int is_reservation(const struct mmap_args *a)
{
	return a->prot == PROT_NONE && is_private(a, MAP_NORESERVE);
}

/* Whether pages of the window can stand for it. They were open before and will be again: where
 * memory counts before it is touched, or gets frames when it is opened, that is not for nothing. */
static int can_close(const struct mmap_args *a)
{
	return is_reservation(a) && !umpa_core.machine.strict_commit && !umpa_space_locked();
}

/*
 * More than that is the kernel's, which has one record for all of it where umpa has one a slot: it
 * may never be opened. Less than a superpage is too: it shares one with others, whose mapping comes
 * apart when a part is closed, and which keeps the frames of what has ended as long as one of them
 * lives. (V8's pages of 256 KiB: a tenth fewer faults, a tenth more memory at the peak.)
 */
#define RESERVATION_SHARE      64 /* of the window */
#define RESERVATION_NBYTES_MAX ((size_t)1 << 30)

static int is_worth_reserving(const struct mmap_args *a)
{
	return is_reservation(a) && a->nbytes >= SLOT_NBYTES &&
	       a->nbytes >= umpa_option(OPTION_mmap_min) && a->nbytes <= RESERVATION_NBYTES_MAX;
}

static int can_reserve(const struct mmap_args *a)
{
	return is_worth_reserving(a) && can_close(a) &&
	       a->nbytes <= umpa_core.window.nbytes / RESERVATION_SHARE;
}

/* MAP_POPULATE can't fail: what has no frame yet faults later. */
static intptr_t ready(void *addr, const struct mmap_args *a)
{
	if (a->flags & MAP_POPULATE)
		(void)!umpa_os_back(addr, rounded_up(a->nbytes, PAGE_NBYTES));
	return (intptr_t)addr;
}

static int is_large_enough(const struct mmap_args *a)
{
	return is_plain(a) && a->nbytes >= umpa_option(OPTION_mmap_min);
}

/* Starts umpa if it is not. mmap in a signal handler is no rare thing: one that has interrupted
 * umpa, its start perhaps, gets the kernel's. */
static int may_start(void)
{
	if (umpa_critical.nsections)
		return 0;
	umpa_core_need();
	return 1;
}

static int may_serve(void)
{
	return may_start() && umpa_mapping_need();
}

/* 0: not to be had from umpa, which may not be started. */
static intptr_t serve(const struct mmap_args *a)
{
	void *addr = NULL;

	if (!umpa_core_is_started() || umpa_core_is_beyond(a->nbytes))
		return 0;
	if (is_large_enough(a) && may_serve())
		addr = umpa_pages_new(pages_of(a->nbytes),
			UMPA_ZERO | (a->flags & MAP_POPULATE ? UMPA_BACKED : 0));
	else if (can_reserve(a) && may_serve())
		addr = umpa_mapping_reserve(pages_of(a->nbytes), 1, 0);
	return addr ? ready(addr, a) : 0;
}

/* At an address in the window, where nothing is mapped as far as the program knows. 0: somebody has
 * pages of it. */
static intptr_t serve_at(const struct mmap_args *a, const struct range *r)
{
	int error = -ENOMEM;

	if (!range_is_all_ours(r))
		return 0;
	if (is_plain(a))
		error = umpa_mapping_extend(r->first, r->last);
	else if (can_close(a))
		error = umpa_mapping_reserve_at(r->first, r->last);
	return error ? 0 : ready(a->addr, a);
}

/* The window has no reserves, with MAP_NORESERVE or without. */
static struct mmap_args if_reserved(struct mmap_args a)
{
	a.flags &= ~MAP_NORESERVE;
	return a;
}

/* What is not for umpa, over pages of the window. */
static intptr_t map_kernels(struct mmap_args *a, const struct range *r, int gap_only)
{
	return umpa_mapping_over(
		&(struct umpa_overlay){r->first, r->last, a->prot, gap_only, kernel_mmap, a});
}

/* Over what is mapped, or not, in the window. */
static intptr_t map_over(struct mmap_args *a, const struct range *r)
{
	const struct mmap_args reserved = if_reserved(*a);
	int error = -EBUSY;

	if (range_is_all_ours(r) && is_plain(&reserved))
		error = umpa_mapping_again(r->first, r->last);
	else if (range_is_all_ours(r) && can_close(a))
		error = umpa_mapping_close(r->first, r->last);
	return error ? map_kernels(a, r, 0) : ready(a->addr, a);
}

/* Where nothing is mapped. The kernel would find the window there: so the pages are taken, and
 * mapped over if they are to be something else. */
static intptr_t map_unless_mapped(struct mmap_args *a, const struct range *r)
{
	const struct mmap_args reserved = if_reserved(*a);
	intptr_t got = serve_at(&reserved, r);

	if (got)
		return got;
	a->flags = (a->flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED;
	return range_is_all_ours(r) ? map_kernels(a, r, 1) : -EEXIST;
}

/* At or near an address in the window. */
static intptr_t map_near(struct mmap_args *a, const struct range *r)
{
	intptr_t got;

	if (a->flags & MAP_FIXED_NOREPLACE)
		return map_unless_mapped(a, r);
	if (a->flags & MAP_FIXED)
		return map_over(a, r);
	got = serve_at(a, r);
	if (!got)
		got = serve(a);
	return got ? got : kernel_mmap(a);
}

/* In a confined process any file may be. */
static int may_be_huge(const struct mmap_args *a)
{
	return a->flags & MAP_ANONYMOUS ? a->flags & MAP_HUGETLB : umpa_os_is_huge(a->fd) != 0;
}

static int is_gap(const struct mmap_args *a)
{
	struct range r;

	return !range_cut(a->addr, a->nbytes, &r) || !range_is_ours(&r) ||
	       umpa_mapping_gap(r.first, r.last) == r.last;
}

/*
 * Huge pages cover more than was asked for: all of what will be mapped has to be noted. And where
 * there are none the kernel says so after it has ended what was there, so it is asked before,
 * elsewhere.
 */
static intptr_t round_to_pages(struct mmap_args *a)
{
	size_t page_nbytes;
	int error;

	if (a->flags & MAP_FIXED_NOREPLACE && !is_gap(a))
		return kernel_mmap(a); /* which knows what to refuse it for */
	error = umpa_os_measure_pages(a->nbytes, a->prot, a->flags, a->fd, a->offset, &page_nbytes);
	if (error)
		return error;
	if ((uintptr_t)a->addr % page_nbytes)
		return -EINVAL;
	a->nbytes = rounded_up(a->nbytes, page_nbytes);
	return 0;
}

static intptr_t map(struct mmap_args *a)
{
	struct range r;
	intptr_t got = 0;

	if (is_fixed(a) && range_may_reach_window(a->addr, a->nbytes) && may_be_huge(a))
		got = round_to_pages(a);
	if (got)
		return got;
	got = a->addr ? range_find(a->addr, a->nbytes, &r) : 0;
	if (got)
		return got < 0 ? got : map_near(a, &r);
	/* An address outside the window is the kernel's to give, be it a wish or an order. */
	if (!a->addr && !is_fixed(a))
		got = serve(a);
	return got ? got : kernel_mmap(a);
}

public_api void *umpa_mmap(void *addr, size_t nbytes, int prot, int flags, int fd, off_t offset)
{
	struct mmap_args a = {addr, nbytes, prot, flags, fd, offset};

	umpa_core_need();
	return umpa_answer_address(map(&a));
}

intptr_t umpa_mm_reserve(size_t nbytes)
{
	struct mmap_args a = {
		NULL, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0};

	return map(&a);
}

/* --- mmap of a program that did not ask for umpa's --------------------------------------------
 *
 * Many map a file or two and little else: umpa is started when it is to serve, and not before. */

static int kept_off; /* atomic */

void umpa_mm_keep_off(void)
{
	__atomic_store_n(&kept_off, 1, __ATOMIC_RELAXED);
}

static int is_kept_off(void)
{
	return __atomic_load_n(&kept_off, __ATOMIC_RELAXED);
}

static void *map_as_probe(struct mmap_args *a, unsigned class)
{
	intptr_t got = kernel_mmap(a);

	if (!umpa_os_failed(got))
		umpa_evidence_note(class, (void *)got, pages_of(a->nbytes));
	return umpa_answer_address(got);
}

/* Who wishes for an address wishes for its alignment: in slots, up to its size. */
static uint32_t wished_nslots(const struct mmap_args *a)
{
	uintptr_t addr = (uintptr_t)a->addr;
	uint32_t nslots = 1;

	while (addr && addr % ((uintptr_t)2 * nslots * SLOT_NBYTES) == 0 &&
		a->nbytes >= (size_t)2 * nslots * SLOT_NBYTES)
		nslots *= 2;
	return nslots;
}

/* A wish that is as round as this, with nothing before it, is one for an alignment. Others name the
 * place: right behind something, as where the brk of a machine's guest grows (qemu-user). */
#define ROUND_WISH_NBYTES ((uintptr_t)1 << 18)

static int is_wish_for_place(const struct mmap_args *a)
{
	uintptr_t addr = (uintptr_t)a->addr;
	unsigned char vec;

	return addr >= PAGE_NBYTES &&
	       (addr % ROUND_WISH_NBYTES ||
		       !umpa_os_resident((const char *)a->addr - PAGE_NBYTES, 1, &vec));
}

/* A size of which it is asked whether it is used. */
static int may_learn_to_reserve(const struct mmap_args *a)
{
	return is_worth_reserving(a) && !is_fixed(a) && !umpa_in_window(a->addr) &&
	       !is_wish_for_place(a);
}

static void *reserve_if_used(struct mmap_args *a)
{
	unsigned class = umpa_evidence_class_reserved(pages_of(a->nbytes));
	void *p = NULL;

	if (!umpa_evidence_for(class))
		return map_as_probe(a, class);
	if (may_start() && can_reserve(a) && may_serve())
		p = umpa_mapping_reserve(pages_of(a->nbytes), wished_nslots(a), 1);
	return p ? p : umpa_answer_address(kernel_mmap(a));
}

/* A probe that will be used takes frames from the kernel beside those of the pool that it would
 * have had. So many go back, or there would be both at once. Not for a reservation: what is opened
 * piece by piece has huge pages only if they come from the pool. */
static void give_for_probe(unsigned class, size_t nbytes)
{
	size_t nslots = nbytes >> SLOT_SHIFT;

	if (nslots && umpa_evidence_says_used(class) && umpa_core_is_started() && may_start())
		umpa_pool_trim(0, nslots < UINT32_MAX ? (uint32_t)nslots : UINT32_MAX);
}

void *umpa_mm_map_if_used(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset)
{
	struct mmap_args a = {addr, nbytes, prot, flags, fd, offset}, reserved = if_reserved(a);
	unsigned class;
	intptr_t got;

	if (is_kept_off())
		return umpa_answer_address(kernel_mmap(&a));
	if (may_learn_to_reserve(&a))
		return reserve_if_used(&a);
	if (addr || !is_large_enough(&reserved))
		return umpa_answer_address(map(&a));
	class = umpa_evidence_class(pages_of(nbytes));
	if (!umpa_evidence_for(class)) {
		give_for_probe(class, nbytes);
		return map_as_probe(&a, class);
	}
	got = may_start() ? serve(&reserved) : 0;
	return umpa_answer_address(got ? got : kernel_mmap(&a));
}

void *umpa_mm_map_at(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset)
{
	struct mmap_args a = {addr, nbytes, prot, flags, fd, offset};

	return umpa_answer_address(map(&a));
}

/* What an engine maps for blocks, and not for its books. */
#define ENGINE_MAPPING_NBYTES_MIN ((size_t)1 << 20)

static int is_for_blocks(const struct mmap_args *a)
{
	const struct mmap_args reserved = if_reserved(*a);

	return is_plain(&reserved) && a->nbytes >= ENGINE_MAPPING_NBYTES_MIN;
}

static void *serve_engine(const struct mmap_args *a)
{
	size_t npages = pages_of(a->nbytes);

	if (!may_serve() || umpa_core_is_beyond(a->nbytes))
		return NULL;
	return npages < SLOT_NPAGES ? umpa_pages_new(npages, UMPA_ZERO)
				    : umpa_pages_new_aligned(npages, wished_nslots(a), UMPA_ZERO);
}

void *umpa_mm_map_for_engine(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset)
{
	struct mmap_args a = {addr, nbytes, prot, flags, fd, offset};
	void *p;

	if (is_kept_off() || !is_for_blocks(&a))
		return umpa_answer_address(kernel_mmap(&a));
	if (!umpa_evidence_for(EVIDENCE_OF_ENGINE))
		return map_as_probe(&a, EVIDENCE_OF_ENGINE);
	p = serve_engine(&a);
	return umpa_answer_address(p ? ready(p, &a) : kernel_mmap(&a));
}

int umpa_mm_unmap(void *addr, size_t nbytes)
{
	if (nbytes && nbytes <= PTRDIFF_MAX && !umpa_in_window(addr))
		umpa_evidence_unmap(addr, pages_of(nbytes));
	return umpa_munmap(addr, nbytes);
}
