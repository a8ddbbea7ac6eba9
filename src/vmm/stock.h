/*
 * Page tables that are nobody's, for all CPUs of a machine: those that were given back, the last
 * one first, then those that never were any's.
 *
 * Pure; by any CPU in guest mode and any thread outside, at a time; no locks. Who is stopped in the
 * middle keeps nobody from anything, and loses one table at most.
 *
 * Source: R. K. Treiber, "Systems programming: coping with parallelism", 1986; with a count of
 * changes beside the top, as a table may have been taken and given back meanwhile.
 */
#ifndef UMPA_VMM_STOCK_H
#define UMPA_VMM_STOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/units.h"

struct umpa_stock {
	uint64_t *tables; /* ntables of them, a page each */
	uint32_t *below;  /* atomic; of each that was given back: the number of the next, plus 1 */
	uint32_t ntables;
	uint32_t nfresh; /* atomic; the first that never was any's */
	uint64_t top;    /* atomic; the number of the last given back, plus 1, and, from bit 32 on,
			    how often it has changed */
};

/* Memory for them: the tables, and behind these the rest. */
static inline size_t umpa_stock_nbytes(uint32_t ntables)
{
	return ((size_t)ntables << PAGE_SHIFT) + ntables * sizeof(uint32_t);
}

/* memory is of so many bytes, page by page, zero. */
void umpa_stock_init(struct umpa_stock *s, void *memory, uint32_t ntables);

/* One of them, whatever its content; NULL: there is none. And back. */
uint64_t *umpa_stock_take(struct umpa_stock *s);
void umpa_stock_give(struct umpa_stock *s, uint64_t *table);

/* 1: a table begins there. */
static inline int umpa_stock_has(const struct umpa_stock *s, const void *at)
{
	uintptr_t offset = (uintptr_t)at - (uintptr_t)s->tables;

	return offset < (size_t)s->ntables << PAGE_SHIFT && offset % PAGE_NBYTES == 0;
}

#endif
