/*
 * jemalloc's extent hooks. An extent is a row of mapped pages, which needs no record to be split,
 * merged or given up in part.
 *
 * They are called with locks of jemalloc held, which jemalloc takes at a fork too: so none of them
 * waits for a lock of umpa that a fork holds (core/fork.h).
 */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <umpa/engines.h>
#include <umpa/mmap.h>

#include "core/core.h"
#include "core/fork.h"
#include "core/owns.h"
#include "mm/map.h"
#include "mm/mapping.h"
#include "mm/pages.h"

/* jemalloc's, by its ABI: <jemalloc/jemalloc.h> is not needed to build umpa. */
struct extent_hooks_s {
	void *(*alloc)(struct extent_hooks_s *hooks, void *new_addr, size_t nbytes, size_t align,
		bool *zero, bool *commit, unsigned arena);
	bool (*dalloc)(struct extent_hooks_s *hooks, void *addr, size_t nbytes, bool committed,
		unsigned arena);
	void (*destroy)(struct extent_hooks_s *hooks, void *addr, size_t nbytes, bool committed,
		unsigned arena);
	bool (*commit)(struct extent_hooks_s *hooks, void *addr, size_t nbytes, size_t offset,
		size_t npart, unsigned arena);
	bool (*decommit)(struct extent_hooks_s *hooks, void *addr, size_t nbytes, size_t offset,
		size_t npart, unsigned arena);
	bool (*purge_lazy)(struct extent_hooks_s *hooks, void *addr, size_t nbytes, size_t offset,
		size_t npart, unsigned arena);
	bool (*purge_forced)(struct extent_hooks_s *hooks, void *addr, size_t nbytes, size_t offset,
		size_t npart, unsigned arena);
	bool (*split)(struct extent_hooks_s *hooks, void *addr, size_t nbytes, size_t nfront,
		size_t nback, bool committed, unsigned arena);
	bool (*merge)(struct extent_hooks_s *hooks, void *front, size_t nfront, void *back,
		size_t nback, bool committed, unsigned arena);
};

/* These pages, which are zero then, if nobody has them. 0 or -ENOMEM. */
static int extend(void *addr, size_t nbytes)
{
	size_t first;

	if (!umpa_in_window(addr) || !umpa_mapping_need())
		return -ENOMEM;
	first = umpa_pages_number(addr);
	return umpa_mapping_extend(first, first + (nbytes >> PAGE_SHIFT));
}

/* --- alloc -------------------------------------------------------------------------------- */

/*
 * Where jemalloc retains (its option, on by default), it takes an extent and one right behind it
 * that was split off another for neighbours in the same arena, and merges them. So where there are
 * several arenas, none may be given pages in front of what another one still has of an extent: what
 * is given must have had a page behind it that nobody had, if only for a moment.
 */
static uint64_t first_arena, several_arenas; /* atomic; the first one's number and 1, 0: none yet */

static int is_alone(unsigned arena)
{
	uint64_t first = 0, self = (uint64_t)arena + 1;

	/* Who took pages that another arena had before sees what that one wrote: umpa's lock was
	 * between. */
	if (__atomic_load_n(&several_arenas, __ATOMIC_RELAXED))
		return 0;
	if (__atomic_compare_exchange_n(
		    &first_arena, &first, self, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
		first == self)
		return 1;
	__atomic_store_n(&several_arenas, 1, __ATOMIC_RELAXED);
	return 0;
}

static int is_apart(const char *end)
{
	size_t page = umpa_pages_number(end);
	int mapped;

	if (!umpa_in_window(end))
		return 0;
	umpa_mapping_row(page, page + 1, &mapped);
	return !mapped;
}

typedef intptr_t map_fn(size_t nbytes, size_t align, unsigned flags);

static void *map_apart(map_fn *map, size_t nbytes, size_t align, unsigned flags)
{
	intptr_t got = map(nbytes + PAGE_NBYTES, align, flags);

	if (umpa_os_failed(got))
		return NULL;
	(void)!umpa_munmap((char *)got + nbytes, PAGE_NBYTES);
	return (void *)got;
}

/* Whether the arena is alone is asked once it has the pages: what lies behind them may be another's
 * that has come meanwhile. */
static void *alloc_anywhere(size_t nbytes, size_t align, unsigned flags, unsigned arena)
{
	intptr_t got = umpa_mm_map(nbytes, align, flags);

	if (umpa_os_failed(got))
		return NULL;
	if (is_alone(arena) || is_apart((char *)got + nbytes))
		return (void *)got;
	(void)!umpa_munmap((void *)got, nbytes);
	return map_apart(umpa_mm_map, nbytes, align, flags);
}

static intptr_t map_of_kernel(size_t nbytes, size_t align, unsigned flags)
{
	(void)flags;
	return umpa_mm_map_of_kernel(nbytes, align);
}

static void *alloc(void *new_addr, size_t nbytes, size_t align, bool *zero, unsigned arena)
{
	if (!new_addr)
		return alloc_anywhere(nbytes, align, *zero ? UMPA_ZERO : 0, arena);
	*zero = true;
	return extend(new_addr, nbytes) ? NULL : new_addr;
}

/* What is not to be committed is jemalloc growing ahead of need, which is for the pool to do. */
static void *hook_alloc(struct extent_hooks_s *hooks, void *new_addr, size_t nbytes, size_t align,
	bool *zero, bool *commit, unsigned arena)
{
	void *addr;

	(void)hooks;
	if (!*commit)
		return NULL;
	if (!umpa_fork_enter()) {
		*zero = true;
		return new_addr ? NULL : map_apart(map_of_kernel, nbytes, align, 0);
	}
	addr = alloc(new_addr, nbytes, align, zero, arena);
	umpa_fork_leave();
	return addr;
}

/* --- the others ---------------------------------------------------------------------------- */

/* true: refused, which jemalloc can live with, and errno is kept. */
static bool outside_fork(int (*call)(void *addr, size_t nbytes), void *addr, size_t nbytes)
{
	int kept = errno, refused;

	if (!umpa_fork_enter())
		return true;
	refused = call(addr, nbytes);
	umpa_fork_leave();
	errno = kept;
	return refused != 0;
}

static bool hook_dalloc(
	struct extent_hooks_s *hooks, void *addr, size_t nbytes, bool committed, unsigned arena)
{
	(void)hooks, (void)committed, (void)arena;
	return outside_fork(umpa_munmap, addr, nbytes);
}

static void hook_destroy(
	struct extent_hooks_s *hooks, void *addr, size_t nbytes, bool committed, unsigned arena)
{
	hook_dalloc(hooks, addr, nbytes, committed, arena);
}

static bool hook_commit(struct extent_hooks_s *hooks, void *addr, size_t nbytes, size_t offset,
	size_t npart, unsigned arena)
{
	(void)hooks, (void)addr, (void)nbytes, (void)offset, (void)npart, (void)arena;
	return false;
}

static int unback(void *addr, size_t nbytes)
{
	return umpa_madvise(addr, nbytes, MADV_DONTNEED);
}

/* For decommit too: what jemalloc has decommitted reads as zero when it commits it. */
static bool hook_purge_forced(struct extent_hooks_s *hooks, void *addr, size_t nbytes,
	size_t offset, size_t npart, unsigned arena)
{
	(void)hooks, (void)nbytes, (void)arena;
	return outside_fork(unback, (char *)addr + offset, npart);
}

static bool hook_split(struct extent_hooks_s *hooks, void *addr, size_t nbytes, size_t nfront,
	size_t nback, bool committed, unsigned arena)
{
	(void)hooks, (void)addr, (void)nbytes, (void)nfront, (void)nback, (void)committed;
	(void)arena;
	return false;
}

static bool hook_merge(struct extent_hooks_s *hooks, void *front, size_t nfront, void *back,
	size_t nback, bool committed, unsigned arena)
{
	(void)hooks, (void)front, (void)nfront, (void)back, (void)nback, (void)committed;
	(void)arena;
	return false;
}

/* No lazy purging: what is not purged so is given up, and others can have it at once. */
static struct extent_hooks_s jemalloc_hooks = {
	.alloc = hook_alloc,
	.dalloc = hook_dalloc,
	.destroy = hook_destroy,
	.commit = hook_commit,
	.decommit = hook_purge_forced,
	.purge_lazy = NULL,
	.purge_forced = hook_purge_forced,
	.split = hook_split,
	.merge = hook_merge,
};

public_api struct extent_hooks_s *umpa_jemalloc_hooks(void)
{
	return &jemalloc_hooks;
}
