/*
 * Page tables of one's own: four levels of 512 entries, as the MMU of x86-64 walks them, in memory
 * of the process. Level 0 has an entry a page, level 1 one a superpage, level 2 one a GiB.
 *
 * Pure: no OS call, no allocation, no lock. The caller supplies the memory that tables are made in,
 * and says at which physical address the MMU finds it: of a guest, where physical addresses are the
 * guest's. Tables are made as they are needed and never given back.
 *
 * An entry is written with one store, so whoever walks sees the old one or the new one. What the
 * MMU remembers of old entries is the caller's to flush.
 *
 * Invariants
 *  1. An entry that is not a leaf leads to a table of this memory, and no two lead to the same; or
 *     to one of the caller's own, which is as far from its physical address as this memory.
 *  2. A table that nothing leads to is zero.
 */
#ifndef UMPA_VMM_TABLES_H
#define UMPA_VMM_TABLES_H

#include <stdint.h>

#include "base/compiler.h"
#include "base/units.h"

enum {
	TABLE_NENTRIES = 512,
	TABLE_NLEVELS = 4,
	TABLE_SHIFT = 9
};

/* Bits of an entry. ACCESSED and DIRTY are set from the beginning: else the MMU would, by a write
 * of its own to the table. */
#define ENTRY_PRESENT  ((uint64_t)1)
#define ENTRY_WRITABLE ((uint64_t)1 << 1)
#define ENTRY_USER     ((uint64_t)1 << 2)
#define ENTRY_ACCESSED ((uint64_t)1 << 5)
#define ENTRY_DIRTY    ((uint64_t)1 << 6)
#define ENTRY_LEAF     ((uint64_t)1 << 7) /* at levels 1 and 2; at level 0 all are leaves */
#define ENTRY_NOEXEC   ((uint64_t)1 << 63)
#define ENTRY_ADDRESS  ((uint64_t)0x000ffffffffff000)

/* A page that may be read, written and executed: what a table must be, and a leaf may be. */
#define ENTRY_OPEN (ENTRY_PRESENT | ENTRY_WRITABLE | ENTRY_ACCESSED | ENTRY_DIRTY)

struct umpa_tables {
	uint64_t *memory;  /* of ntables tables, zero; the first is the root */
	uint64_t physical; /* where the MMU finds it, a multiple of a page */
	uint32_t ntables, nused;
};

void umpa_tables_init(struct umpa_tables *t, uint64_t *memory, uint64_t physical, uint32_t ntables);

static inline uint64_t table_span_nbytes(int level)
{
	return (uint64_t)PAGE_NBYTES << (TABLE_SHIFT * level);
}

static inline uint64_t *table_memory(const struct umpa_tables *t, uint64_t entry)
{
	return (uint64_t *)((char *)t->memory + ((entry & ENTRY_ADDRESS) - t->physical));
}

static inline int entry_is_leaf(uint64_t entry, int level)
{
	return !level || entry & ENTRY_LEAF;
}

static inline void entry_set(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELAXED);
}

/* The entry for an address at a level, or of a larger leaf above, whose level is in *level then.
 * NULL: no table goes down so far. */
uint64_t *umpa_tables_find(const struct umpa_tables *t, uint64_t va, int *level);

/* The entry for an address at exactly that level, with the tables above it made if they are not
 * there. 0; -ENOMEM: no memory for tables, of which some may be made; -EEXIST: a larger leaf is
 * there. */
must_check int umpa_tables_need(struct umpa_tables *t, uint64_t va, int level, uint64_t **entry);

/* How many tables, beside the root, any mapping of a range at that level can need at most. */
uint64_t umpa_tables_most(uint64_t va, uint64_t nbytes, int level);

/*
 * Leads [va, va + nbytes) to physical addresses from `physical` on, with these bits, in the largest
 * leaves that addresses allow, up to that level; all are multiples of a page. What was mapped there
 * is replaced. 0; -ENOMEM and -EEXIST as umpa_tables_need(): what lies before is mapped by then.
 */
must_check int umpa_tables_map(struct umpa_tables *t, uint64_t va, uint64_t physical,
	uint64_t nbytes, uint64_t bits, int level);

/* Where an address leads to: its physical address, and the entry's bits. -EFAULT: nowhere. */
must_check int umpa_tables_walk(
	const struct umpa_tables *t, uint64_t va, uint64_t *physical, uint64_t *bits);

/* The invariants above; for tests. 1 if they hold. */
int umpa_tables_valid(const struct umpa_tables *t);

#endif
