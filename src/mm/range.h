/*
 * The range of a call of the mmap family: which of its pages lie in the window, and what lies
 * before and behind.
 */
#ifndef UMPA_MM_RANGE_H
#define UMPA_MM_RANGE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "core/core.h"
#include "core/owns.h"
#include "mm/mapping.h"
#include "mm/pages.h"

/* A range, and which of its pages lie in the window, numbered from the window's begin. */
struct range {
	uintptr_t begin, end;
	size_t first, last; /* equal: none */
};

/* 0 if the kernel will refuse the range or find nothing to do: it shall say so itself. */
static inline int range_cut(const void *addr, size_t nbytes, struct range *r)
{
	/* As umpa_in_window(): who sees nbytes sees base. */
	size_t window_nbytes = __atomic_load_n(&umpa_bounds.nbytes, __ATOMIC_ACQUIRE);
	uintptr_t base = __atomic_load_n(&umpa_bounds.base, __ATOMIC_RELAXED);
	uintptr_t top = base + window_nbytes;

	r->begin = (uintptr_t)addr;
	if (r->begin % PAGE_NBYTES || !nbytes || nbytes > PTRDIFF_MAX ||
		__builtin_add_overflow(r->begin, rounded_up(nbytes, PAGE_NBYTES), &r->end))
		return 0;
	r->first = r->last = 0;
	if (r->begin < top && r->end > base) {
		r->first = r->begin > base ? (r->begin - base) >> PAGE_SHIFT : 0;
		r->last = ((r->end < top ? r->end : top) - base) >> PAGE_SHIFT;
	}
	return 1;
}

/* What is mapped there may lie in the window, with a huge page more than nbytes if need be. */
static inline int range_may_reach_window(const void *addr, size_t nbytes)
{
	uintptr_t base = __atomic_load_n(&umpa_bounds.base, __ATOMIC_RELAXED);

	return umpa_in_window(addr) ||
	       ((uintptr_t)addr < base && nbytes <= PTRDIFF_MAX &&
		       base - (uintptr_t)addr < nbytes + HUGE_PAGE_NBYTES_MAX);
}

static inline int range_is_ours(const struct range *r)
{
	return r->first < r->last && umpa_mapping_need();
}

/* Before something is done to a range. 1: part of it is ours; 0: it is for the kernel; -ENOMEM:
 * there is no memory for the books of what lies in the window, which is not for the kernel to do
 * with as it likes: there would be holes in the window, or what nobody knows of. */
static inline int range_find(const void *addr, size_t nbytes, struct range *r)
{
	if (!range_cut(addr, nbytes, r) || r->first == r->last)
		return 0;
	return umpa_mapping_need() ? 1 : -ENOMEM;
}

/* The parts of the range before the window and behind it. */
static inline size_t range_nbytes_before(const struct range *r)
{
	uintptr_t from = (uintptr_t)umpa_pages_address(r->first);

	return r->begin < from ? from - r->begin : 0;
}

static inline size_t range_nbytes_behind(const struct range *r)
{
	uintptr_t to = (uintptr_t)umpa_pages_address(r->last);

	return r->end > to ? r->end - to : 0;
}

static inline int range_is_all_ours(const struct range *r)
{
	return !range_nbytes_before(r) && !range_nbytes_behind(r);
}

#endif
