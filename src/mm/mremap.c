/* mremap: pages of the window that shrink, grow, move, or leave it. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <umpa/mmap.h>

#include "core/core.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/mapping_parts.h"
#include "mm/pages.h"
#include "mm/range.h"

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

static intptr_t map_nothing(const struct mremap_args *a)
{
	return umpa_os_mmap(a->new_addr, a->new_nbytes, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

static intptr_t map_nothing_over(void *arg)
{
	return map_nothing(arg);
}

/* A destination in the window: its pages become the kernel's first. */
static int clear_way(struct mremap_args *a)
{
	struct range to;
	intptr_t got = 0;

	if (a->flags & MREMAP_FIXED && range_cut(a->new_addr, a->new_nbytes, &to) &&
		range_is_ours(&to))
		got = umpa_mapping_over(&(struct umpa_overlay){
			to.first, to.last, PROT_NONE, 0, map_nothing_over, a});
	return umpa_os_failed(got) ? (int)got : 0;
}

/* The advice that the pages have about forks; 0: not all of them have the same. */
static int advice_of(size_t first, size_t end)
{
	const unsigned bit = PAGE_UNFORKED;
	size_t row_end;
	unsigned has = umpa_attributes_row(&umpa_mapping_table, first, end, &row_end) & bit;

	while (row_end < end)
		if ((umpa_attributes_row(&umpa_mapping_table, row_end, end, &row_end) & bit) != has)
			return 0;
	return has ? MADV_DONTFORK : MADV_DOFORK;
}

/* A confined process may not ask. */
static int may_be_locked(const struct mremap_args *a)
{
	return umpa_os_confined() || umpa_os_sync(a->addr, a->old_nbytes, MS_INVALIDATE) == -EBUSY;
}

/*
 * With MREMAP_DONTUNMAP. The kernel takes all of the mapping that the pages are part of out of
 * mlock(), not only them. So where they are locked they are made a mapping of their own first, by
 * advice that differs from their neighbours'; with the lock, for which a fork waits. (Where that
 * differs among them they are no single mapping, and not moved.)
 */
static intptr_t leave(const struct mremap_args *a)
{
	size_t first = umpa_pages_number(a->addr);
	int advice, other, apart;
	intptr_t got;

	/* Several it moves to a given place one by one, and when it refuses one those before it
	 * have gone (Linux 6.17). */
	if (a->flags & MREMAP_FIXED && !umpa_os_is_one_mapping(a->addr, a->old_nbytes))
		return -EFAULT;
	if (!may_be_locked(a))
		return kernel_mremap(a);
	umpa_pages_lock();
	advice = advice_of(first, first + pages_of(a->old_nbytes));
	other = advice == MADV_DOFORK ? MADV_DONTFORK : MADV_DOFORK;
	apart = advice && !umpa_os_advise(a->addr, a->old_nbytes, other);
	got = kernel_mremap(a);
	if (apart && !umpa_os_failed(got))
		(void)!umpa_os_advise((void *)got, a->new_nbytes, advice);
	if (apart)
		(void)!umpa_os_advise(a->addr, a->old_nbytes, advice);
	umpa_pages_unlock();
	return got;
}

/* What move_out() did is taken back: the pages are where they were, as the kernel's. */
static void move_back(void *out, const struct mremap_args *a)
{
	struct mremap_args back = {
		out, a->old_nbytes, a->old_nbytes, MREMAP_MAYMOVE | MREMAP_FIXED, a->addr};

	INVARIANT(!clear_way(&back) && kernel_mremap(&back) == (intptr_t)a->addr);
}

/* A place outside the window as large as the source that has nothing of the destination, which may
 * be a gap that the kernel would choose. NULL: none. */
static void *room_beside(const struct mremap_args *a)
{
	size_t old = a->old_nbytes, nbytes;
	char *to = a->new_addr, *room, *end;
	intptr_t got;

	if (__builtin_add_overflow(a->new_nbytes, 2 * old, &nbytes))
		return NULL;
	got = umpa_os_mmap(
		NULL, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (umpa_os_failed(got))
		return NULL;
	room = (char *)got;
	end = room + nbytes;
	/* To one side of the destination there is room. */
	if (to < end && to + a->new_nbytes > room && to < room + old)
		room = to + a->new_nbytes;
	if (room > (char *)got)
		(void)!umpa_os_munmap((char *)got, (size_t)(room - (char *)got));
	if (room + old < end)
		(void)!umpa_os_munmap(room + old, (size_t)(end - room - old));
	return room;
}

/* Where the kernel has put the pages is part of where they are to go, which was a gap. */
static int is_over(intptr_t out, const struct mremap_args *a)
{
	return (char *)out < (char *)a->new_addr + a->new_nbytes &&
	       (char *)a->new_addr < (char *)out + a->old_nbytes;
}

/* Where it can't be they stay, and the next step is refused. */
static intptr_t move_beside(intptr_t out, const struct mremap_args *a)
{
	void *room = room_beside(a);
	intptr_t got;

	if (!room)
		return out;
	got = umpa_os_mremap(
		(void *)out, a->old_nbytes, a->old_nbytes, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	if (!umpa_os_failed(got))
		return got;
	(void)!umpa_os_munmap(room, a->old_nbytes);
	return out;
}

/*
 * Out of the window, by the kernel. The pages leave a mapping behind, since nobody else may ever
 * get an address in the window. Where all that there shall be at a given place can come from here,
 * that is all: there is nothing to take back. Else it is two steps: what has left, to anywhere, is
 * made what was asked for.
 */
static intptr_t move_out(const struct mremap_args *a)
{
	struct mremap_args step = *a, rest = *a;
	intptr_t out, got;

	step.flags |= MREMAP_DONTUNMAP;
	if (a->flags & MREMAP_FIXED && a->new_nbytes <= a->old_nbytes) {
		step.old_nbytes = a->new_nbytes;
		return leave(&step);
	}
	step.flags &= ~MREMAP_FIXED;
	step.new_nbytes = a->old_nbytes;
	step.new_addr = NULL;
	out = leave(&step);
	if (umpa_os_failed(out))
		return out;
	if (a->flags & MREMAP_FIXED && is_over(out, a))
		out = move_beside(out, a);
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

/* What has been brought to another place in the window may be shared memory. */
static void note_moved(const struct mremap_args *a, const struct range *from)
{
	size_t npages = pages_of(a->new_nbytes), have = from->last - from->first;
	struct range to;

	if (a->flags & MREMAP_FIXED && range_cut(a->new_addr, a->new_nbytes, &to) &&
		range_is_ours(&to) && range_is_all_ours(&to))
		umpa_mapping_moved(
			from->first, from->first + (npages < have ? npages : have), to.first);
}

static int is_somebodys(const struct range *r)
{
	return umpa_mapping_reach(r->first, r->last) == r->last;
}

static int is_mapped(const struct range *r)
{
	int mapped;

	return umpa_mapping_row(r->first, r->last, &mapped) == r->last && mapped;
}

/* To where the kernel puts it or was told to. What are several mappings for the kernel, as movers
 * leave them or pages that were mapped anew, it does not move: that is copied. */
static intptr_t leave_window(const struct mremap_args *a, const struct range *from)
{
	int prot = umpa_mapping_prot(from->first, from->last);
	intptr_t got = move_out(a);

	if (got == -EFAULT && prot >= 0) {
		got = copy_out(a, from, prot);
		/* What of it is a block's stays, and is zero then. */
		if (!umpa_os_failed(got) && !is_mapped(from))
			(void)!umpa_mapping_again(from->first, from->last);
	}
	if (umpa_os_failed(got))
		return got;
	note_moved(a, from);
	/* Where that is refused the pages stay mapped, empty. */
	(void)!umpa_mapping_end(from->first, from->last);
	return got;
}

/* MREMAP_DONTUNMAP: what was in the pages goes, and they stay mapped, empty. What the kernel does
 * not move is copied here too. */
static intptr_t leave_behind(const struct mremap_args *a, const struct range *from)
{
	const int rw = PROT_READ | PROT_WRITE;
	int prot = umpa_mapping_prot(from->first, from->last);
	intptr_t got = leave(a);

	if (!umpa_os_failed(got))
		note_moved(a, from);
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

/* What leaves the window the kernel does not account for: it is not to be more than there is. */
static intptr_t leave_accounted(const struct mremap_args *a, const struct range *from)
{
	if (a->new_nbytes > a->old_nbytes && umpa_core_is_beyond(a->new_nbytes))
		return -ENOMEM;
	return leave_window(a, from);
}

/* To more than there is: so it is copied to what the kernel does account for. */
static intptr_t grow_beyond(const struct mremap_args *a, const struct range *from)
{
	intptr_t got = -ENOMEM;

	if (a->flags & MREMAP_MAYMOVE)
		got = copy_out(a, from, PROT_READ | PROT_WRITE);
	if (!umpa_os_failed(got))
		(void)!umpa_mapping_end(from->first, from->last);
	return got;
}

/* Of ordinary pages, in the window if there is room. */
static intptr_t grow_ordinary(struct mremap_args *a, const struct range *from)
{
	size_t npages = pages_of(a->new_nbytes);
	void *to;

	if (umpa_core_is_beyond(a->new_nbytes))
		return grow_beyond(a, from);
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

/* The kernel knows best whether these are one mapping, as pages stay odd when advice is taken back
 * and locks are undone. Without leave to move them it refuses to map more, since what is behind is
 * the window, and says why. */
static intptr_t grow_odd(const struct mremap_args *a, const struct range *from)
{
	size_t end = (size_t)umpa_core.window.nslots * SLOT_NPAGES;

	if (a->flags & MREMAP_MAYMOVE)
		return leave_accounted(a, from);
	return from->last < end ? kernel_mremap(a) : -ENOMEM;
}

/* Pages that are all protected alike grow as ordinary ones, and are protected again. A block's
 * leave the window for good: the block is zero there then. */
static intptr_t grow(struct mremap_args *a, const struct range *from)
{
	const int rw = PROT_READ | PROT_WRITE;
	int is_plain = is_mapped(from) && !umpa_mapping_distrusted();
	int prot = is_plain ? umpa_mapping_prot(from->first, from->last) : MAPPING_ODD;
	int error = prot >= 0 && prot != rw ? umpa_mapping_protect(from->first, from->last, rw) : 0;
	intptr_t got;

	if (prot < 0)
		return grow_odd(a, from);
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
	return a->flags & MREMAP_FIXED ? leave_accounted(a, from) : grow(a, from);
}

/* What is closed has nothing to bring along: the place it goes to is reserved. */
static intptr_t remap_closed(const struct mremap_args *a, const struct range *from)
{
	const int fixed = a->flags & MREMAP_FIXED;
	intptr_t got;

	if (!(a->flags & MREMAP_MAYMOVE))
		return -ENOMEM;
	got = fixed ? map_nothing(a) : umpa_mm_reserve(a->new_nbytes);
	if (umpa_os_failed(got) || a->flags & MREMAP_DONTUNMAP ||
		!umpa_mapping_end(from->first, from->last) || fixed)
		return got;
	/* Where that is refused too, address space is lost. */
	(void)!umpa_munmap((void *)got, a->new_nbytes);
	return -ENOMEM;
}

/* 0 if the first page is mapped, which is all the kernel asks for before it unmaps anything. */
static int refusal(const struct mremap_args *a)
{
	size_t one = umpa_os_page_nbytes(a->addr);
	struct range r;
	intptr_t got;

	if (range_cut(a->addr, PAGE_NBYTES, &r) && range_is_ours(&r))
		return is_somebodys(&r) ? 0 : -EFAULT;
	got = umpa_os_mremap(a->addr, one, one, 0, NULL);
	return umpa_os_failed(got) ? (int)got : 0;
}

/*
 * The kernel looks at all of the source before it ends what is at the destination (Linux 6.17; it
 * did for some of this always). What is refused later than that is left to the call.
 */
static int source_refusal(const struct mremap_args *a, const struct range *from)
{
	int same = pages_of(a->new_nbytes) == pages_of(a->old_nbytes);
	intptr_t got;

	if (!a->old_nbytes) {
		got = umpa_os_mremap(a->addr, 0, PAGE_NBYTES, 0, NULL);
		return got == -EINVAL ? (int)got : 0; /* as only shared memory is doubled */
	}
	if (from && (!range_is_all_ours(from) || !is_somebodys(from)))
		return -EFAULT;
	if (same || a->new_nbytes < a->old_nbytes ||
		(from && umpa_mapping_prot(from->first, from->last) >= 0))
		return 0;
	return umpa_os_is_one_mapping(a->addr, a->old_nbytes) ? 0 : -EFAULT;
}

static int stays(const struct mremap_args *a)
{
	return pages_of(a->new_nbytes) <= pages_of(a->old_nbytes) &&
	       !(a->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP));
}

/* What the range has beyond the new size is ended, be it mapped or not. */
static intptr_t shrink(const struct mremap_args *a)
{
	size_t keep = rounded_up(a->new_nbytes, PAGE_NBYTES);
	size_t have = rounded_up(a->old_nbytes, PAGE_NBYTES);
	int error = refusal(a);

	if (!error && keep < have)
		error = umpa_mm_end(a->addr + keep, have - keep);
	return error ? error : (intptr_t)a->addr;
}

/* From the window. */
static intptr_t remap(struct mremap_args *a, const struct range *from)
{
	size_t npages = pages_of(a->new_nbytes), have = from->last - from->first;

	if (stays(a))
		return shrink(a);
	if (!range_is_all_ours(from) || !is_somebodys(from))
		return -EFAULT;
	a->old_nbytes = have << PAGE_SHIFT;
	a->new_nbytes = npages << PAGE_SHIFT;
	if (a->flags & MREMAP_DONTUNMAP && npages != have)
		return -EINVAL;
	return umpa_mapping_is_closed(from->first, from->last) ? remap_closed(a, from)
							       : carry(a, from);
}

/* The range, or what is to be moved into it, may be of huge pages. */
static int may_be_huge(const struct mremap_args *a, int ours, const struct range *from)
{
	if (a->flags & MREMAP_FIXED && range_may_reach_window(a->new_addr, a->new_nbytes))
		return 1;
	return ours ? umpa_mapping_prot(from->first, from->first + 1) == MAPPING_ODD
		    : range_may_reach_window(a->addr, a->old_nbytes);
}

/* Of huge pages the kernel maps and unmaps whole ones. It neither maps more of them, nor moves them
 * so that a mapping is left behind, without which they can't leave the window. */
static int round_to_pages(struct mremap_args *a, int ours)
{
	size_t page_nbytes = umpa_os_page_nbytes(a->addr);
	int moves = a->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP);

	if (page_nbytes == PAGE_NBYTES)
		return 0;
	if (!page_nbytes || (a->flags & MREMAP_FIXED && (uintptr_t)a->new_addr % page_nbytes))
		return -EINVAL;
	a->old_nbytes = rounded_up(a->old_nbytes, page_nbytes);
	a->new_nbytes = rounded_up(a->new_nbytes, page_nbytes);
	return a->new_nbytes > a->old_nbytes || (ours && moves) ? -EINVAL : 0;
}

static int is_wrong(const struct mremap_args *a)
{
	const int all = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

	return a->flags & ~all || !a->new_nbytes || a->new_nbytes > PTRDIFF_MAX ||
	       (a->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(a->flags & MREMAP_MAYMOVE)) ||
	       (a->flags & MREMAP_DONTUNMAP &&
		       pages_of(a->new_nbytes) != pages_of(a->old_nbytes)) ||
	       (a->flags & MREMAP_FIXED &&
		       ((uintptr_t)a->new_addr % PAGE_NBYTES ||
			       (uintptr_t)a->new_addr - (uintptr_t)a->addr < a->old_nbytes ||
			       (uintptr_t)a->addr - (uintptr_t)a->new_addr < a->new_nbytes));
}

/* A destination in the window that the kernel has ended, and then refused, is no gap. */
static void mend_way(const struct mremap_args *a)
{
	if (!umpa_os_is_mapped(a->new_addr))
		INVARIANT(umpa_os_reserve_at(a->new_addr, rounded_up(a->new_nbytes, PAGE_NBYTES)) !=
			  -EEXIST);
}

static intptr_t mremap_in_window(struct mremap_args *a, const struct range *from, int into)
{
	int error = into ? refusal(a) : 0;
	intptr_t got;

	if (!error && into)
		error = source_refusal(a, from);
	if (!error && into)
		error = clear_way(a);
	if (error)
		return error;
	got = from ? remap(a, from) : kernel_mremap(a);
	if (into && umpa_os_failed(got))
		mend_way(a);
	return got;
}

/* There is no memory for the books of what it takes, or of where that is to go. */
static int lacks_books(const struct mremap_args *a)
{
	struct range r;

	return range_find(a->addr, a->old_nbytes, &r) < 0 ||
	       (a->flags & MREMAP_FIXED && range_find(a->new_addr, a->new_nbytes, &r) < 0);
}

static intptr_t mremap_any(struct mremap_args *a)
{
	struct range from, to;
	int ours, into, error;

	if (lacks_books(a))
		return -ENOMEM;
	ours = range_cut(a->addr, a->old_nbytes, &from) && range_is_ours(&from);
	error = !is_wrong(a) && may_be_huge(a, ours, &from) ? round_to_pages(a, ours) : 0;
	if (error)
		return error;
	ours = ours && range_cut(a->addr, a->old_nbytes, &from);
	into = a->flags & MREMAP_FIXED && range_cut(a->new_addr, a->new_nbytes, &to) &&
	       range_is_ours(&to);
	if (!ours && !into)
		return kernel_mremap(a);
	if (is_wrong(a))
		return -EINVAL;
	return mremap_in_window(a, ours ? &from : NULL, into);
}

public_api void *umpa_mremap(
	void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *new_addr)
{
	struct mremap_args a = {addr, old_nbytes, new_nbytes, flags, new_addr};

	return umpa_answer_address(mremap_any(&a));
}
