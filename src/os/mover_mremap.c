/*
 * The mover that uses mremap(MREMAP_FIXED | MREMAP_DONTUNMAP) on whole superpages: Linux 5.7 and
 * later. The page tables move; shared and pinned frames too.
 *
 * Each move puts a mapping of its own at the destination, which knows by an offset where it was
 * first made and merges with its neighbours only if they were made beside it. How many mappings
 * that are is exactly known from `origin`, one number a slot: mappings end where origin doesn't
 * rise by one. The share of vm.max_map_count they may take is never more than the number of slots,
 * and going back to where a mapping was made merges it again, so the budget binds only in very
 * large windows; what is over it is refused, -ENOMEM.
 *
 * Traps, and what is done about them:
 *  - The kernel unmaps the destination, frames and all, so nothing may be there, not even a page
 *    swapped out (umpa_os_bare()).
 *  - Before Linux 6.17 (tried: 6.1, 6.12) it does so before it looks at the source. What can be
 *    known beforehand is asked beforehand (one mapping? not locked in memory?), the rest is
 *    repaired.
 *  - It asks the limits (RLIMIT_AS, RLIMIT_DATA) after it has unmapped the destination. One that
 *    was lowered below what is in use refuses then, also to the repair; so a page is mapped on
 *    trial.
 *  - It takes the whole source mapping out of mlock(): msync(MS_INVALIDATE) tells of such a lock
 *    without doing anything to anonymous memory, and the move is refused.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/panic.h"
#include "base/units.h"
#include "os/fork_lock.h"
#include "os/mover.h"
#include "os/os_proc.h"
#include "os/syscall.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* The program keeps three quarters of its mappings for itself. */
#define BUDGET_SHARE 4

static size_t slot_of(const struct umpa_mover *m, const char *addr)
{
	return (size_t)(addr - (char *)m->window) / SLOT_NBYTES;
}

/* --- the budget --------------------------------------------------------------------------- */

/* origin holds the difference to the slot's own number, so that fresh memory says "made here". */
static uint32_t origin_of(const struct umpa_mover *m, size_t slot)
{
	return (uint32_t)slot + m->origin[slot];
}

/* Borders between mappings at slots first..end, which lie before the slot of that number. */
static uint32_t count_borders(const struct umpa_mover *m, size_t first, size_t end)
{
	uint32_t n = 0;

	for (size_t i = first ? first : 1; i <= end && i < m->window_nbytes / SLOT_NBYTES; i++)
		n += origin_of(m, i) != origin_of(m, i - 1) + 1;
	return n;
}

/* Mappings of [dst, dst + nslots) are now those of the slots from origin on. */
static void set_origin(struct umpa_mover *m, size_t dst, size_t nslots, uint32_t origin)
{
	m->nsplit -= count_borders(m, dst, dst + nslots);
	for (size_t i = 0; i < nslots; i++)
		m->origin[dst + i] = origin - (uint32_t)dst;
	m->nsplit += count_borders(m, dst, dst + nslots);
}

/* How many of the slots from src on have one mapping, as far as it is ours to know. */
static size_t run_length(struct umpa_mover *m, size_t src, size_t nslots)
{
	size_t n = 1;

	while (n < nslots && origin_of(m, src + n) == origin_of(m, src) + n)
		n++;
	return n;
}

/* The mapping of slots src.. is to be put at dst. -ENOMEM: over budget. */
static int charge(struct umpa_mover *m, size_t dst, size_t src, size_t nslots)
{
	int error = 0;

	fork_lock_take(&m->lock);
	if (m->nsplit + 2 > m->split_max)
		error = -ENOMEM;
	else
		set_origin(m, dst, nslots, origin_of(m, src));
	fork_lock_give(&m->lock);
	return error;
}

/* --- what must hold before ---------------------------------------------------------------- */

static int is_locked(const char *addr, size_t nbytes)
{
	return SYS_3(SYS_msync, addr, nbytes, MS_INVALIDATE | MS_ASYNC) == -EBUSY;
}

static int is_limited(int resource)
{
	struct rlimit limit = {0};

	return SYS_4(SYS_prlimit64, 0, resource, NULL, &limit) || limit.rlim_cur != RLIM_INFINITY;
}

/* Whether what is in use is within the limits. Other threads can't bring it above them meanwhile.
 */
static int within_limits(void)
{
	long page;

	if (!is_limited(RLIMIT_AS) && !is_limited(RLIMIT_DATA))
		return 1;
	page = sys_mmap(NULL, PAGE_NBYTES, PROT_READ | PROT_WRITE, MAP_NORESERVE);
	if (sys_failed(page))
		return 0;
	SYS_2(SYS_munmap, page, PAGE_NBYTES);
	return 1;
}

/* 0: slot src can go to dst. Else why not. */
static int look(const char *dst, const char *src, unsigned flags)
{
	unsigned char vec[SLOT_NPAGES];
	int error = umpa_os_bare(dst, SLOT_NPAGES);

	if (error || flags & UMPA_MOVE_HOLES)
		return error;
	error = umpa_os_resident(src, SLOT_NPAGES, vec);
	for (size_t i = 0; !error && i < SLOT_NPAGES; i++)
		if (!(vec[i] & 1))
			return -ENOENT;
	return error;
}

/* --- moving ------------------------------------------------------------------------------- */

/* After a refusal the destination may be unmapped. Nobody else may ever get an address there. */
static void repair(struct umpa_mover *m, char *dst, size_t nslots)
{
	unsigned char vec[1];

	if (umpa_os_resident(dst, 1, vec) == -ENOMEM) {
		long got = sys_mmap(dst, nslots * SLOT_NBYTES, PROT_READ | PROT_WRITE,
			MAP_NORESERVE | MAP_FIXED_NOREPLACE);

		INVARIANT(got == (long)dst);
	}
	fork_lock_take(&m->lock);
	set_origin(m, slot_of(m, dst), nslots, (uint32_t)slot_of(m, dst));
	fork_lock_give(&m->lock);
}

/* Moves the longest run of slots that is one mapping, at least one slot. */
static int move_run(struct umpa_mover *m, char *dst, char *src, size_t nbytes, size_t *moved)
{
	size_t n = run_length(m, slot_of(m, src), nbytes / SLOT_NBYTES);
	long got;
	int error;

	if (n > 1 && !umpa_os_is_one_mapping(src, n * SLOT_NBYTES))
		n = 1; /* the program split it */
	if (!umpa_os_is_one_mapping(src, n * SLOT_NBYTES))
		return -EINVAL;
	if (!within_limits())
		return -ENOMEM;
	error = charge(m, slot_of(m, dst), slot_of(m, src), n);
	if (error)
		return error;
	got = SYS_5(SYS_mremap, src, n * SLOT_NBYTES, n * SLOT_NBYTES,
		MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, dst);
	if (!sys_failed(got)) {
		*moved += n * SLOT_NBYTES;
		return 0;
	}
	repair(m, dst, n);
	return got == -ENOMEM || got == -EAGAIN ? (int)got : -EINVAL;
}

static int move_mremap(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	size_t good = 0;
	int refused = 0, error = 0;

	*moved = 0;
	if (((uintptr_t)dst | (uintptr_t)src | nbytes) % SLOT_NBYTES)
		return -ENOSYS;
	if (is_locked(src, nbytes) || is_locked(dst, nbytes))
		return -EINVAL;
	while (good < nbytes && !refused) {
		refused = look((char *)dst + good, (char *)src + good, flags);
		good += refused ? 0 : SLOT_NBYTES;
	}
	while (*moved < good && !error)
		error = move_run(
			m, (char *)dst + *moved, (char *)src + *moved, good - *moved, moved);
	return error ? error : refused;
}

static void renewed_mremap(struct umpa_mover *m, void *addr, size_t nbytes)
{
	uintptr_t begin = rounded_up((uintptr_t)addr, SLOT_NBYTES);
	uintptr_t end = ((uintptr_t)addr + nbytes) & ~(SLOT_NBYTES - 1);
	size_t first = (begin - (uintptr_t)m->window) / SLOT_NBYTES;

	/* A slot that is new in part is more than one mapping perhaps; then it is refused. */
	if (begin >= end)
		return;
	fork_lock_take(&m->lock);
	set_origin(m, first, (end - begin) / SLOT_NBYTES, (uint32_t)first);
	fork_lock_give(&m->lock);
}

static void fini_mremap(struct umpa_mover *m)
{
	umpa_os_unmap(m->origin, rounded_up(m->norigin * sizeof(*m->origin), PAGE_NBYTES));
	m->origin = NULL;
}

int umpa_mover_mremap_init(struct umpa_mover *m, void *window, size_t nbytes)
{
	void *origin;
	int error;

	umpa_mover_plain_init(m, window, nbytes);
	m->norigin = nbytes / SLOT_NBYTES;
	error = umpa_os_map(rounded_up(m->norigin * sizeof(*m->origin), PAGE_NBYTES), &origin);
	if (error)
		return error;
	m->origin = origin;
	m->split_max = umpa_os_max_map_count() / BUDGET_SHARE;
	m->name = "mremap";
	m->move = move_mremap;
	m->renewed = renewed_mremap;
	m->fini = fini_mremap;
	return 0;
}
