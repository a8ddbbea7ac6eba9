/*
 * The units everything is counted in. A slot and a page of the window are numbered from 0 and are
 * distinct types, so that one cannot be handed to a function that wants the other.
 */
#ifndef UMPA_BASE_UNITS_H
#define UMPA_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#define PAGE_SHIFT  12
#define PAGE_NBYTES ((size_t)1 << PAGE_SHIFT)

#define SLOT_SHIFT  21
#define SLOT_NBYTES ((size_t)1 << SLOT_SHIFT)
#define SLOT_NPAGES (SLOT_NBYTES >> PAGE_SHIFT)

/* The kernel has none that are larger where base pages are 4 KiB. */
#define HUGE_PAGE_NBYTES_MAX ((size_t)1 << 30)

/* The place of one superpage in the window. */
struct slot {
	uint32_t i;
};

#define NO_SLOT ((struct slot){UINT32_MAX})

static inline int slot_is(struct slot a, struct slot b)
{
	return a.i == b.i;
}

static inline struct slot slot_after(struct slot a, uint32_t nslots)
{
	return (struct slot){a.i + nslots};
}

/* Whole pages that hold nbytes; nbytes is at most PTRDIFF_MAX, so this can't wrap. */
static inline size_t pages_of(size_t nbytes)
{
	return (nbytes + PAGE_NBYTES - 1) >> PAGE_SHIFT;
}

/* n, rounded up to a multiple of a unit, which is a power of two; n + unit does not wrap. */
static inline size_t rounded_up(size_t n, size_t unit)
{
	return (n + unit - 1) & ~(unit - 1);
}

/* Whole slots that hold npages. */
static inline uint32_t slots_of(size_t npages)
{
	return (uint32_t)((npages + SLOT_NPAGES - 1) / SLOT_NPAGES);
}

#endif
