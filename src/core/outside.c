#include "core/outside.h"

#include <stdint.h>
#include <string.h>

#include "base/units.h"
#include "core/clear.h"
#include "core/core.h"
#include "os/lock.h"
#include "os/os.h"

struct entry {
	uintptr_t addr;
	size_t npages;
};

static struct {
	struct umpa_lock lock;
	struct entry *entry;
	size_t table_nbytes;
	size_t npages, nallocs;
} table = {.lock = UMPA_LOCK_INITIALIZER(LOCK_OUTSIDE)};

size_t umpa_outside_nblocks;

/* The first entry whose address is above addr. */
static size_t above(uintptr_t addr)
{
	size_t lo = 0, hi = umpa_outside_nblocks;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (table.entry[mid].addr <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *find_locked(const void *ptr)
{
	size_t i = above((uintptr_t)ptr);

	return i && table.entry[i - 1].addr == (uintptr_t)ptr ? &table.entry[i - 1] : NULL;
}

static int make_room(void)
{
	size_t nbytes = table.table_nbytes ? 2 * table.table_nbytes : 16 * PAGE_NBYTES;
	void *memory;

	if ((umpa_outside_nblocks + 1) * sizeof(struct entry) <= table.table_nbytes)
		return 1;
	if (umpa_os_map(nbytes, &memory))
		return 0;
	if (table.table_nbytes) {
		memcpy(memory, table.entry, umpa_outside_nblocks * sizeof(struct entry));
		umpa_os_unmap(table.entry, table.table_nbytes);
	}
	table.entry = memory;
	table.table_nbytes = nbytes;
	return 1;
}

static void insert_locked(uintptr_t addr, size_t npages)
{
	size_t i = above(addr);

	memmove(&table.entry[i + 1], &table.entry[i],
		(umpa_outside_nblocks - i) * sizeof(struct entry));
	table.entry[i] = (struct entry){addr, npages};
	__atomic_store_n(&umpa_outside_nblocks, umpa_outside_nblocks + 1, __ATOMIC_RELAXED);
	table.npages += npages;
}

static void remove_locked(struct entry *e)
{
	size_t i = (size_t)(e - table.entry);

	table.npages -= e->npages;
	memmove(e, e + 1, (umpa_outside_nblocks - i - 1) * sizeof(struct entry));
	__atomic_store_n(&umpa_outside_nblocks, umpa_outside_nblocks - 1, __ATOMIC_RELAXED);
}

static int enter(void *addr, size_t npages)
{
	int ok;

	umpa_lock_take(&table.lock);
	ok = make_room();
	if (ok) {
		insert_locked((uintptr_t)addr, npages);
		table.nallocs++;
	}
	umpa_lock_give(&table.lock);
	return ok;
}

/* A mapping of nbytes at a multiple of align: one that is larger, its ends given back. */
static void *map_aligned(size_t nbytes, size_t align)
{
	size_t extra = align - PAGE_NBYTES, before, whole;
	void *addr;
	char *at;

	if (__builtin_add_overflow(nbytes, extra, &whole) || umpa_os_map(whole, &addr))
		return NULL;
	before = -(uintptr_t)addr & (align - 1);
	at = (char *)addr + before;
	if (before)
		umpa_os_unmap(addr, before);
	if (extra > before)
		umpa_os_unmap(at + nbytes, extra - before);
	return at;
}

void *umpa_outside_alloc(size_t npages, size_t align)
{
	size_t nbytes = npages << PAGE_SHIFT;
	void *addr = map_aligned(nbytes, align);

	if (unlikely(!addr) && umpa_core_yield(nbytes))
		addr = map_aligned(nbytes, align);
	if (addr && !enter(addr, npages)) {
		umpa_os_unmap(addr, nbytes);
		return NULL;
	}
	return addr;
}

size_t umpa_outside_npages(const void *ptr)
{
	const struct entry *e;
	size_t npages;

	if (likely(!umpa_outside_any()))
		return 0;
	umpa_lock_take(&table.lock);
	e = find_locked(ptr);
	npages = e ? e->npages : 0;
	umpa_lock_give(&table.lock);
	return npages;
}

size_t umpa_outside_find(const void *ptr, void **block)
{
	size_t i, npages = 0;

	if (likely(!umpa_outside_any()))
		return 0;
	umpa_lock_take(&table.lock);
	i = above((uintptr_t)ptr);
	if (i && (uintptr_t)ptr - table.entry[i - 1].addr < table.entry[i - 1].npages
								    << PAGE_SHIFT) {
		npages = table.entry[i - 1].npages;
		*block = (void *)table.entry[i - 1].addr;
	}
	umpa_lock_give(&table.lock);
	return npages;
}

int umpa_outside_free(void *ptr)
{
	struct entry *e;
	size_t npages = 0;

	if (likely(!umpa_outside_any()))
		return 0;
	umpa_lock_take(&table.lock);
	e = find_locked(ptr);
	if (e) {
		npages = e->npages;
		remove_locked(e);
	}
	umpa_lock_give(&table.lock);
	if (npages)
		umpa_os_unmap(ptr, npages << PAGE_SHIFT);
	return npages != 0;
}

int umpa_outside_resize(void *ptr, size_t npages)
{
	size_t old = umpa_outside_npages(ptr);
	void *same;

	if (npages == old)
		return 1;
	if (umpa_os_remap(ptr, old << PAGE_SHIFT, npages << PAGE_SHIFT, 0, &same)) {
		/* It keeps its pages, which are zero when they are asked for again. */
		if (npages < old)
			umpa_clear_by_unback((char *)ptr + (npages << PAGE_SHIFT), old - npages);
		return npages < old;
	}
	umpa_lock_take(&table.lock);
	find_locked(ptr)->npages = npages;
	table.npages += npages - old;
	umpa_lock_give(&table.lock);
	return 1;
}

void umpa_outside_stats(struct umpa_outside_stats *s)
{
	umpa_lock_take(&table.lock);
	*s = (struct umpa_outside_stats){umpa_outside_nblocks, table.npages, table.nallocs};
	umpa_lock_give(&table.lock);
}

void umpa_outside_lock(void)
{
	umpa_lock_take(&table.lock);
}

void umpa_outside_unlock(void)
{
	umpa_lock_give(&table.lock);
}

void umpa_outside_stop(void)
{
	INVARIANT(!umpa_outside_nblocks);
	if (table.table_nbytes)
		umpa_os_unmap(table.entry, table.table_nbytes);
	table.entry = NULL;
	table.table_nbytes = table.nallocs = 0;
}
