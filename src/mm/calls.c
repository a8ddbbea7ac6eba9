/* The mmap family: what munmap, mprotect, madvise, locks and the like make of the parts of a range.
 */
#include <errno.h>
#include <sys/mman.h>
#include <umpa/mmap.h>

#include "core/core.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/range.h"

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
	size_t before = range_nbytes_before(r), behind = range_nbytes_behind(r);
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

/* More than there are addresses, but none that wraps: the kernel goes on to the first gap, or over
 * all of them, and so do we. */
static size_t within_addresses(const void *addr, size_t nbytes)
{
	const size_t most = ((size_t)PTRDIFF_MAX & ~(PAGE_NBYTES - 1)) - (uintptr_t)addr;

	if (nbytes <= PTRDIFF_MAX || (uintptr_t)addr > PTRDIFF_MAX ||
		nbytes > -(PAGE_NBYTES + (uintptr_t)addr))
		return nbytes;
	return most;
}

static int of_range(const struct task *t, void *addr, size_t nbytes, int arg)
{
	struct range r;
	int ours;

	nbytes = within_addresses(addr, nbytes);
	ours = range_find(addr, nbytes, &r);
	if (ours < 0)
		return ours;
	return ours ? in_parts(t, &r, arg) : t->kernel(addr, nbytes, arg);
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

/* The part behind the window first: there may be no such addresses, and then nothing ends. */
int umpa_mm_end(void *addr, size_t nbytes)
{
	static const struct task unmap = {kernel_unmap, our_unmap, 0};
	struct range r;
	size_t behind;
	int error, ours = range_find(addr, nbytes, &r);

	if (ours <= 0)
		return ours ? ours : umpa_os_munmap(addr, nbytes);
	behind = range_nbytes_behind(&r);
	error = behind ? umpa_os_munmap((void *)(r.end - behind), behind) : 0;
	r.end -= behind;
	return error ? error : in_parts(&unmap, &r, 0);
}

public_api int umpa_munmap(void *addr, size_t nbytes)
{
	return umpa_answer(umpa_mm_end(addr, nbytes));
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

	if (!range_cut(addr, nbytes, &r) || !range_is_ours(&r))
		return 0;
	return umpa_mapping_expect_oddity(r.first, r.last);
}

/* From its begin: how much of a range is somebody's, all of it where none lies in the window. */
static size_t nbytes_to_gap(const void *addr, size_t nbytes)
{
	struct range r;
	size_t gap;

	if (!range_cut(addr, nbytes, &r) || !range_is_ours(&r))
		return nbytes;
	gap = umpa_mapping_reach(r.first, r.last);
	return gap < r.last ? (uintptr_t)umpa_pages_address(gap) - r.begin : nbytes;
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

	nbytes = within_addresses((const char *)addr - offset, nbytes);
	if (!nbytes || nbytes > PTRDIFF_MAX)
		return (struct pages_around){addr, nbytes};
	return (struct pages_around){
		(const char *)addr - offset, rounded_up(nbytes + offset, PAGE_NBYTES)};
}

int umpa_mm_lock(const void *addr, size_t nbytes, unsigned flags)
{
	struct pages_around a = pages_around(addr, nbytes);
	size_t whole = nbytes_to_gap(a.begin, a.nbytes);
	int error = expect_oddity(a.begin, whole);

	/* Of nothing, too: it may be refused before it is seen that there is a gap. */
	if (!error)
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

static void mend_gaps(const void *addr, size_t nbytes)
{
	struct range r;

	if (range_cut(addr, nbytes, &r) && range_is_ours(&r))
		umpa_mapping_mend_gaps(r.first, r.last);
}

void umpa_mm_advised(void *addr, size_t nbytes, int advice)
{
	/* Of which other processes' memory has none: so this is ours. */
	if (advice == MADV_DONTFORK || advice == MADV_DOFORK)
		(void)!umpa_madvise(addr, nbytes, advice);
	else if (!is_passing(advice))
		(void)!expect_oddity(addr, nbytes);
	/* The kernel has seen no gap there. */
	if (advice == MADV_DONTFORK || !is_passing(advice))
		mend_gaps(addr, nbytes);
}

void umpa_mm_distrust(void)
{
	umpa_mapping_distrust();
}

int umpa_mm_protect_key(void *addr, size_t nbytes, int prot, int key)
{
	size_t whole = nbytes_to_gap(addr, nbytes);
	int error = expect_oddity(addr, whole);

	if (!error && (whole || !nbytes))
		error = umpa_os_protect_key(addr, whole, prot, key);
	return umpa_answer(!error && whole < nbytes ? -ENOMEM : error);
}

void umpa_mm_heed_limit(size_t nbytes)
{
	umpa_core_heed_limit(nbytes);
	umpa_mapping_narrow();
}

/* --- what only looks at pages -------------------------------------------------------------- */

/* Those that are nobody's are a gap, though the kernel has them. */

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
