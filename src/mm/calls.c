/* The mmap family: which part of a range is whose, and what each call makes of that. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <umpa/mmap.h>

#include "core/core.h"
#include "core/evidence.h"
#include "core/owns.h"
#include "core/space.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/pages.h"

/* --- whose a range is --------------------------------------------------------------------- */

/* A range, and which of its pages lie in the window, numbered from the window's begin. */
struct range {
	uintptr_t begin, end;
	size_t first, last; /* equal: none */
};

/* 0 if the kernel will refuse the range or find nothing to do: it shall say so itself. */
static int cut(const void *addr, size_t nbytes, struct range *r)
{
	/* As umpa_in_window(): who sees nbytes sees base. */
	size_t window_nbytes = __atomic_load_n(&umpa_bounds.nbytes, __ATOMIC_ACQUIRE);
	uintptr_t base = __atomic_load_n(&umpa_bounds.base, __ATOMIC_RELAXED);
	uintptr_t top = base + window_nbytes;

	r->begin = (uintptr_t)addr;
	if (r->begin % PAGE_NBYTES || !nbytes || nbytes > PTRDIFF_MAX ||
		__builtin_add_overflow(r->begin, pages_of(nbytes) << PAGE_SHIFT, &r->end))
		return 0;
	r->first = r->last = 0;
	if (r->begin < top && r->end > base) {
		r->first = r->begin > base ? (r->begin - base) >> PAGE_SHIFT : 0;
		r->last = ((r->end < top ? r->end : top) - base) >> PAGE_SHIFT;
	}
	return 1;
}

static int is_ours(const struct range *r)
{
	return r->first < r->last && umpa_mapping_need();
}

static uintptr_t address_of(size_t page)
{
	return (uintptr_t)page_address((struct slot){0}, page);
}

/* The parts of the range before the window and behind it. */
static size_t nbytes_before(const struct range *r)
{
	uintptr_t from = address_of(r->first);

	return r->begin < from ? from - r->begin : 0;
}

static size_t nbytes_behind(const struct range *r)
{
	uintptr_t to = address_of(r->last);

	return r->end > to ? r->end - to : 0;
}

static int is_all_ours(const struct range *r)
{
	return !nbytes_before(r) && !nbytes_behind(r);
}

/* Something to do with the parts of a range, in order of address: the kernel's and ours. The first
 * error ends it, but an -ENOMEM (a gap) does not if `go_on`. */
struct task {
	int (*kernel)(void *addr, size_t nbytes, int arg);
	int (*ours)(size_t first, size_t last, int arg);
	int go_on;
};

static int carry_on(const struct task *t, int error)
{
	return !error || (t->go_on && error == -ENOMEM);
}

static int in_parts(const struct task *t, const struct range *r, int arg)
{
	size_t before = nbytes_before(r), behind = nbytes_behind(r);
	int error = before ? t->kernel((void *)r->begin, before, arg) : 0, next;

	if (carry_on(t, error)) {
		next = t->ours(r->first, r->last, arg);
		error = next ? next : error;
	}
	if (carry_on(t, error) && behind) {
		next = t->kernel((void *)(r->end - behind), behind, arg);
		error = next ? next : error;
	}
	return error;
}

static int of_range(const struct task *t, void *addr, size_t nbytes, int arg)
{
	struct range r;

	if (!cut(addr, nbytes, &r) || !is_ours(&r))
		return t->kernel(addr, nbytes, arg);
	return in_parts(t, &r, arg);
}

/* --- munmap, mprotect, madvise ------------------------------------------------------------ */

static int kernel_unmap(void *addr, size_t nbytes, int arg)
{
	(void)arg;
	return umpa_os_munmap(addr, nbytes);
}

static int our_unmap(size_t first, size_t last, int arg)
{
	(void)arg;
	return umpa_mapping_end(first, last);
}

public_api int umpa_munmap(void *addr, size_t nbytes)
{
	static const struct task unmap = {kernel_unmap, our_unmap, 0};

	return umpa_answer(of_range(&unmap, addr, nbytes, 0));
}

public_api int umpa_mprotect(void *addr, size_t nbytes, int prot)
{
	static const struct task protect = {umpa_os_protect, umpa_mapping_protect, 0};

	return umpa_answer(of_range(&protect, addr, nbytes, prot));
}

/*
 * Advice that leaves the pages' mapping as it was: it is over with the call, or says what is so
 * anyway.
 */
static int is_passing(int advice)
{
	static const unsigned char passing[] = {MADV_WILLNEED, MADV_DONTNEED, MADV_FREE, MADV_COLD,
		MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE, 24 /* DONTNEED_LOCKED */,
		25 /* COLLAPSE */, MADV_NORMAL, MADV_DODUMP, MADV_DOFORK, MADV_KEEPONFORK,
		MADV_UNMERGEABLE};

	for (size_t i = 0; i < array_len(passing); i++)
		if (advice == passing[i])
			return 1;
	return advice == (umpa_core.huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static int our_advise(size_t first, size_t last, int advice)
{
	return umpa_mapping_advise(first, last, advice, !is_passing(advice));
}

public_api int umpa_madvise(void *addr, size_t nbytes, int advice)
{
	static const struct task advise = {umpa_os_advise, our_advise, 1};

	return umpa_answer(of_range(&advise, addr, nbytes, advice));
}

/* --- what is not followed, but by a fresh mapping in the end ---------------------------------- */

static int expect_oddity(const void *addr, size_t nbytes)
{
	struct range r;

	if (!cut(addr, nbytes, &r) || !is_ours(&r))
		return 0;
	return umpa_mapping_expect_oddity(r.first, r.last);
}

/* From its begin: how much of a range is somebody's, all of it where none lies in the window. */
static size_t nbytes_to_gap(const void *addr, size_t nbytes)
{
	struct range r;
	size_t gap;

	if (!cut(addr, nbytes, &r) || !is_ours(&r))
		return nbytes;
	gap = umpa_mapping_reach(r.first, r.last);
	return gap < r.last ? address_of(gap) - r.begin : nbytes;
}

/* Locks begin and end anywhere: the pages around. What is too long for that the kernel shall see as
 * it is. */
struct pages_around {
	const char *begin;
	size_t nbytes;
};

static struct pages_around pages_around(const void *addr, size_t nbytes)
{
	size_t offset = (uintptr_t)addr % PAGE_NBYTES;

	if (!nbytes || nbytes > PTRDIFF_MAX)
		return (struct pages_around){addr, nbytes};
	return (struct pages_around){
		(const char *)addr - offset, pages_of(nbytes + offset) << PAGE_SHIFT};
}

int umpa_mm_lock(const void *addr, size_t nbytes, unsigned flags)
{
	struct pages_around a = pages_around(addr, nbytes);
	size_t whole = nbytes_to_gap(a.begin, a.nbytes);
	int error = expect_oddity(a.begin, whole);

	if (!error && (whole || !nbytes))
		error = umpa_os_lock(a.begin, whole, flags);
	return umpa_answer(!error && whole < a.nbytes ? -ENOMEM : error);
}

int umpa_mm_unlock(const void *addr, size_t nbytes)
{
	struct pages_around a = pages_around(addr, nbytes);
	size_t whole = nbytes_to_gap(a.begin, a.nbytes);
	int error = whole || !nbytes ? umpa_os_unlock(a.begin, whole) : 0;

	return umpa_answer(!error && whole < a.nbytes ? -ENOMEM : error);
}

int umpa_mm_protect_key(void *addr, size_t nbytes, int prot, int key)
{
	size_t whole = nbytes_to_gap(addr, nbytes);
	int error = expect_oddity(addr, whole);

	if (!error && (whole || !nbytes))
		error = umpa_os_protect_key(addr, whole, prot, key);
	return umpa_answer(!error && whole < nbytes ? -ENOMEM : error);
}

/* --- what only looks at pages: those that are nobody's are a gap, though the kernel has them ---
 */

int umpa_mm_sync(void *addr, size_t nbytes, int flags)
{
	int error = umpa_os_sync(addr, nbytes, flags);

	return umpa_answer(!error && nbytes_to_gap(addr, nbytes) < nbytes ? -ENOMEM : error);
}

int umpa_mm_incore(const void *addr, size_t nbytes, unsigned char *vec)
{
	if (nbytes_to_gap(addr, nbytes) < nbytes)
		return umpa_answer(-ENOMEM);
	return umpa_answer(umpa_os_incore(addr, nbytes, vec));
}

/* --- mmap --------------------------------------------------------------------------------- */

struct mmap_args {
	void *addr;
	size_t nbytes;
	int prot, flags, fd;
	off_t offset;
};

static intptr_t kernel_mmap(void *arg)
{
	const struct mmap_args *a = arg;

	return umpa_os_mmap(a->addr, a->nbytes, a->prot, a->flags, a->fd, a->offset);
}

/* What umpa serves, wherever it is to be. */
static int is_plain(const struct mmap_args *a)
{
	const int needed = MAP_PRIVATE | MAP_ANONYMOUS, allowed = needed | MAP_POPULATE;

	return (a->flags & needed) == needed &&
	       !(a->flags & ~(allowed | MAP_FIXED | MAP_FIXED_NOREPLACE)) &&
	       a->prot == (PROT_READ | PROT_WRITE) && a->offset % (off_t)PAGE_NBYTES == 0 &&
	       a->nbytes && a->nbytes <= PTRDIFF_MAX;
}

/* A reservation: address space that nobody may use before it is opened. */
static int is_reservation(const struct mmap_args *a)
{
	const int needed = MAP_PRIVATE | MAP_ANONYMOUS;

	return (a->flags & needed) == needed &&
	       !(a->flags & ~(needed | MAP_NORESERVE | MAP_FIXED | MAP_FIXED_NOREPLACE)) &&
	       a->prot == PROT_NONE && a->offset % (off_t)PAGE_NBYTES == 0 && a->nbytes &&
	       a->nbytes <= PTRDIFF_MAX;
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

static int can_reserve(const struct mmap_args *a)
{
	return can_close(a) && a->nbytes >= SLOT_NBYTES &&
	       a->nbytes >= umpa_option(OPTION_mmap_min) && a->nbytes <= RESERVATION_NBYTES_MAX &&
	       a->nbytes <= umpa_core.window.nbytes / RESERVATION_SHARE;
}

/* MAP_POPULATE can't fail: what has no frame yet faults later. */
static intptr_t ready(void *addr, const struct mmap_args *a)
{
	if (a->flags & MAP_POPULATE)
		(void)!umpa_os_back(addr, pages_of(a->nbytes) << PAGE_SHIFT);
	return (intptr_t)addr;
}

static int is_large_enough(const struct mmap_args *a)
{
	return is_plain(a) && a->nbytes >= umpa_option(OPTION_mmap_min);
}

/* mmap in a signal handler is no rare thing: one that has interrupted umpa gets the kernel's. */
static int may_serve(void)
{
	return !umpa_nlocks && umpa_mapping_need();
}

/* 0: not to be had from umpa. */
static intptr_t serve(const struct mmap_args *a)
{
	void *addr = NULL;

	if (is_large_enough(a) && may_serve())
		addr = umpa_pages_new(pages_of(a->nbytes), UMPA_ZERO);
	else if (can_reserve(a) && may_serve())
		addr = umpa_mapping_reserve(pages_of(a->nbytes), 1, 0);
	return addr ? ready(addr, a) : 0;
}

/* At an address in the window, where nothing is mapped as far as the program knows. 0: somebody has
 * pages of it. */
static intptr_t serve_at(const struct mmap_args *a, const struct range *r)
{
	int error = -ENOMEM;

	if (!is_all_ours(r))
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

/* Over what is mapped, or not, in the window. */
static intptr_t map_over(struct mmap_args *a, const struct range *r)
{
	const struct mmap_args reserved = if_reserved(*a);
	int error = -EBUSY;

	if (is_all_ours(r) && is_plain(&reserved))
		error = umpa_mapping_again(r->first, r->last);
	else if (is_all_ours(r) && can_close(a))
		error = umpa_mapping_close(r->first, r->last);
	if (!error)
		return ready(a->addr, a);
	return umpa_mapping_over(r->first, r->last, a->prot, kernel_mmap, a);
}

/* Where nothing is mapped. The kernel would find the window there: so the pages are taken first,
 * and then mapped over if they are to be something else. */
static intptr_t map_unless_mapped(struct mmap_args *a, const struct range *r)
{
	intptr_t got = serve_at(a, r);

	if (got)
		return got;
	if (!is_all_ours(r) || umpa_mapping_extend(r->first, r->last))
		return -EEXIST;
	a->flags = (a->flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED;
	got = map_over(a, r);
	if (umpa_os_failed(got))
		(void)!umpa_mapping_end(r->first, r->last);
	return got;
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

static intptr_t map(struct mmap_args *a)
{
	struct range r;
	intptr_t got = 0;

	if (a->addr && cut(a->addr, a->nbytes, &r) && is_ours(&r))
		return map_near(a, &r);
	/* An address outside the window is the kernel's to give, be it a wish or an order. */
	if (!a->addr && !(a->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)))
		got = serve(a);
	return got ? got : kernel_mmap(a);
}

public_api void *umpa_mmap(void *addr, size_t nbytes, int prot, int flags, int fd, off_t offset)
{
	struct mmap_args a = {addr, nbytes, prot, flags, fd, offset};

	umpa_core_need();
	return umpa_answer_address(map(&a));
}

/* --- mmap of a program that did not ask for umpa's -------------------------------------------- */

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

/* A size of which it is asked whether it is used. */
static int may_learn_to_reserve(const struct mmap_args *a)
{
	return can_reserve(a) && !(a->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) &&
	       !umpa_in_window(a->addr);
}

static void *reserve_if_used(struct mmap_args *a)
{
	unsigned class = umpa_evidence_class_reserved(pages_of(a->nbytes));
	void *p = NULL;

	if (!umpa_evidence_for(class))
		return map_as_probe(a, class);
	if (may_serve())
		p = umpa_mapping_reserve(pages_of(a->nbytes), wished_nslots(a), 1);
	return p ? p : umpa_answer_address(kernel_mmap(a));
}

void *umpa_mm_map_if_used(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset)
{
	struct mmap_args a = {addr, nbytes, prot, flags, fd, offset}, reserved = if_reserved(a);
	unsigned class;

	umpa_core_need();
	if (may_learn_to_reserve(&a))
		return reserve_if_used(&a);
	if (addr || !is_large_enough(&reserved))
		return umpa_answer_address(map(&a));
	class = umpa_evidence_class(pages_of(nbytes));
	if (!umpa_evidence_for(class))
		return map_as_probe(&a, class);
	return umpa_answer_address(map(&reserved));
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

	if (!may_serve())
		return NULL;
	return npages < SLOT_NPAGES ? umpa_pages_new(npages, UMPA_ZERO)
				    : umpa_pages_new_aligned(npages, wished_nslots(a), UMPA_ZERO);
}

void *umpa_mm_map_for_engine(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset)
{
	struct mmap_args a = {addr, nbytes, prot, flags, fd, offset};
	void *p;

	umpa_core_need();
	if (!is_for_blocks(&a))
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

/* --- mremap ------------------------------------------------------------------------------- */

struct mremap_args {
	char *addr;
	size_t old_nbytes, new_nbytes;
	int flags;
	void *new_addr;
};

static intptr_t kernel_mremap(const struct mremap_args *a)
{
	return umpa_os_mremap(a->addr, a->old_nbytes, a->new_nbytes, a->flags, a->new_addr);
}

static intptr_t map_nothing(void *arg)
{
	const struct mremap_args *a = arg;

	return umpa_os_mmap(a->new_addr, a->new_nbytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/* A destination in the window: its pages become the kernel's first. */
static int clear_way(struct mremap_args *a)
{
	struct range to;
	intptr_t got = 0;

	if (a->flags & MREMAP_FIXED && cut(a->new_addr, a->new_nbytes, &to) && is_ours(&to))
		got = umpa_mapping_over(to.first, to.last, PROT_NONE, map_nothing, a);
	return umpa_os_failed(got) ? (int)got : 0;
}

/* What move_out() did is taken back: the pages are where they were, as the kernel's. */
static void move_back(void *out, const struct mremap_args *a)
{
	struct mremap_args back = {
		out, a->old_nbytes, a->old_nbytes, MREMAP_MAYMOVE | MREMAP_FIXED, a->addr};

	INVARIANT(!clear_way(&back) && kernel_mremap(&back) == (intptr_t)a->addr);
}

/*
 * Out of the window, by the kernel. In two steps: the pages leave a mapping behind, since nobody
 * else may ever get an address in the window, and then what has left is made what was asked for.
 */
static intptr_t move_out(const struct mremap_args *a)
{
	const int leave = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
	intptr_t out = umpa_os_mremap(a->addr, a->old_nbytes, a->old_nbytes, leave, NULL);
	struct mremap_args rest = *a;
	intptr_t got;

	if (umpa_os_failed(out))
		return out;
	rest.addr = (char *)out;
	got = kernel_mremap(&rest);
	if (umpa_os_failed(got))
		move_back((void *)out, a);
	return got;
}

/* The same by copying. */
static intptr_t copy_out(const struct mremap_args *a, const struct range *from, int prot)
{
	const int rw = PROT_READ | PROT_WRITE, fixed = a->flags & MREMAP_FIXED;
	intptr_t got = umpa_os_mmap(fixed ? a->new_addr : NULL, a->new_nbytes, rw,
		MAP_PRIVATE | MAP_ANONYMOUS | (fixed ? MAP_FIXED : 0), -1, 0);

	if (umpa_os_failed(got))
		return got;
	if (prot != rw && umpa_mapping_protect(from->first, from->last, rw)) {
		(void)!umpa_munmap((void *)got, a->new_nbytes);
		return -ENOMEM;
	}
	memcpy((void *)got, a->addr, a->old_nbytes < a->new_nbytes ? a->old_nbytes : a->new_nbytes);
	if (prot != rw)
		(void)!umpa_os_protect((void *)got, a->new_nbytes, prot);
	return got;
}

/* To where the kernel puts it or was told to. What are several mappings for the kernel, as movers
 * leave them or pages that were mapped anew, it does not move: that is copied. */
static intptr_t leave_window(const struct mremap_args *a, const struct range *from)
{
	int prot = umpa_mapping_prot(from->first, from->last);
	intptr_t got = move_out(a);

	if (got == -EFAULT && prot >= 0)
		got = copy_out(a, from, prot);
	/* Where that is refused the pages stay mapped, empty. */
	if (!umpa_os_failed(got))
		(void)!umpa_mapping_end(from->first, from->last);
	return got;
}

/* MREMAP_DONTUNMAP: what was in the pages goes, and they stay mapped, empty. What the kernel does
 * not move is copied here too. */
static intptr_t leave_behind(const struct mremap_args *a, const struct range *from)
{
	const int rw = PROT_READ | PROT_WRITE;
	int prot = umpa_mapping_prot(from->first, from->last);
	intptr_t got = kernel_mremap(a);

	if (got != -EFAULT || prot < 0)
		return got;
	got = copy_out(a, from, prot);
	if (umpa_os_failed(got))
		return got;
	if (umpa_mapping_again(from->first, from->last)) {
		(void)!umpa_munmap((void *)got, a->new_nbytes);
		got = -ENOMEM;
	}
	if (prot != rw)
		(void)!umpa_mapping_protect(from->first, from->last, prot);
	return got;
}

/* Of ordinary pages, in the window if there is room. */
static intptr_t grow_ordinary(struct mremap_args *a, const struct range *from)
{
	size_t npages = pages_of(a->new_nbytes);
	void *to;

	if (!umpa_mapping_extend(from->last, from->first + npages))
		return (intptr_t)a->addr;
	if (!(a->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	to = umpa_pages_move(from->first, from->last, npages);
	return to ? (intptr_t)to : leave_window(a, from);
}

/* Where this is refused, the pages can do more than they should, which harms nobody who does no
 * more. */
static void protect_again(const struct mremap_args *a, intptr_t got, int prot)
{
	int failed = umpa_os_failed(got), kept = errno;

	(void)!umpa_mprotect(
		failed ? a->addr : (void *)got, failed ? a->old_nbytes : a->new_nbytes, prot);
	errno = kept;
}

/* Pages that are all protected alike grow as ordinary ones, and are protected again. */
static intptr_t grow(struct mremap_args *a, const struct range *from)
{
	const int rw = PROT_READ | PROT_WRITE;
	int prot = umpa_mapping_prot(from->first, from->last);
	int error = prot >= 0 && prot != rw ? umpa_mapping_protect(from->first, from->last, rw) : 0;
	intptr_t got;

	if (prot == MAPPING_MIXED)
		return -EFAULT;
	if (prot == MAPPING_ODD)
		return a->flags & MREMAP_MAYMOVE ? leave_window(a, from) : -ENOMEM;
	if (error)
		return error;
	got = grow_ordinary(a, from);
	if (prot != rw)
		protect_again(a, got, prot);
	return got;
}

static intptr_t carry(struct mremap_args *a, const struct range *from)
{
	if (a->flags & MREMAP_DONTUNMAP)
		return leave_behind(a, from);
	return a->flags & MREMAP_FIXED ? leave_window(a, from) : grow(a, from);
}

/* What is closed has nothing to bring along: the place it goes to is reserved. */
static intptr_t remap_closed(const struct mremap_args *a, const struct range *from)
{
	const int fixed = a->flags & MREMAP_FIXED;
	struct mmap_args to = {fixed ? a->new_addr : NULL, a->new_nbytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (fixed ? MAP_FIXED : 0), -1, 0};
	intptr_t got;

	if (!(a->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	got = fixed ? 0 : serve(&to);
	got = got ? got : kernel_mmap(&to);
	if (umpa_os_failed(got) || a->flags & MREMAP_DONTUNMAP ||
		!umpa_mapping_end(from->first, from->last) || fixed)
		return got;
	/* Where that is refused too, address space is lost. */
	(void)!umpa_munmap((void *)got, a->new_nbytes);
	return -ENOMEM;
}

/* From the window. */
static intptr_t remap(struct mremap_args *a, const struct range *from)
{
	size_t npages = pages_of(a->new_nbytes), have = from->last - from->first;
	int mapped;

	if (!is_all_ours(from) || umpa_mapping_row(from->first, from->last, &mapped) < from->last ||
		!mapped)
		return -EFAULT;
	a->old_nbytes = have << PAGE_SHIFT;
	a->new_nbytes = npages << PAGE_SHIFT;
	if (a->flags & MREMAP_DONTUNMAP && npages != have)
		return -EINVAL;
	if (npages > have || a->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP))
		return umpa_mapping_is_closed(from->first, from->last) ? remap_closed(a, from)
								       : carry(a, from);
	if (npages < have) {
		int error = umpa_mapping_end(from->first + npages, from->last);

		if (error)
			return error;
	}
	return (intptr_t)a->addr;
}

static int is_wrong(const struct mremap_args *a)
{
	const int all = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

	return a->flags & ~all || !a->new_nbytes || a->new_nbytes > PTRDIFF_MAX ||
	       (a->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(a->flags & MREMAP_MAYMOVE)) ||
	       (a->flags & MREMAP_FIXED &&
		       ((uintptr_t)a->new_addr % PAGE_NBYTES ||
			       (uintptr_t)a->new_addr - (uintptr_t)a->addr < a->old_nbytes ||
			       (uintptr_t)a->addr - (uintptr_t)a->new_addr < a->new_nbytes));
}

static intptr_t mremap_any(struct mremap_args *a)
{
	struct range from, to;
	int ours = cut(a->addr, a->old_nbytes, &from) && is_ours(&from);
	int into = a->flags & MREMAP_FIXED && cut(a->new_addr, a->new_nbytes, &to) && is_ours(&to);
	int error;

	if (!ours && !into)
		return kernel_mremap(a);
	if (is_wrong(a))
		return -EINVAL;
	error = into ? clear_way(a) : 0;
	if (error)
		return error;
	return ours ? remap(a, &from) : kernel_mremap(a);
}

public_api void *umpa_mremap(
	void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *new_addr)
{
	struct mremap_args a = {addr, old_nbytes, new_nbytes, flags, new_addr};

	return umpa_answer_address(mremap_any(&a));
}
