#include "vmm/stock.h"

enum {
	NENTRIES = PAGE_NBYTES / sizeof(uint64_t)
};

#define CHANGE    ((uint64_t)1 << 32)
#define NUMBER_OF ((uint64_t)UINT32_MAX)

void umpa_stock_init(struct umpa_stock *s, void *memory, uint32_t ntables)
{
	*s = (struct umpa_stock){.tables = memory,
		.below = (uint32_t *)((char *)memory + ((size_t)ntables << PAGE_SHIFT)),
		.ntables = ntables};
}

static uint64_t with_number(uint64_t top, uint32_t number)
{
	return ((top + CHANGE) & ~NUMBER_OF) | number;
}

/* Its number plus 1; 0: none was given back. */
static uint32_t take_top(struct umpa_stock *s)
{
	uint64_t top = __atomic_load_n(&s->top, __ATOMIC_ACQUIRE);
	uint32_t number, below;

	do {
		number = (uint32_t)top;
		if (!number)
			return 0;
		below = __atomic_load_n(&s->below[number - 1], __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(
		&s->top, &top, with_number(top, below), 1, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE));
	return number;
}

static uint32_t take_fresh(struct umpa_stock *s)
{
	uint32_t n = __atomic_load_n(&s->nfresh, __ATOMIC_RELAXED);

	do
		if (n == s->ntables)
			return 0;
	while (!__atomic_compare_exchange_n(
		&s->nfresh, &n, n + 1, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return n + 1;
}

uint64_t *umpa_stock_take(struct umpa_stock *s)
{
	uint32_t number = take_top(s);

	if (!number)
		number = take_fresh(s);
	if (!number)
		number = take_top(s); /* one may have come, and another gone, in between */
	return number ? s->tables + (size_t)(number - 1) * NENTRIES : NULL;
}

void umpa_stock_give(struct umpa_stock *s, uint64_t *table)
{
	uint32_t number = (uint32_t)((size_t)(table - s->tables) / NENTRIES) + 1;
	uint64_t top = __atomic_load_n(&s->top, __ATOMIC_RELAXED);

	do
		__atomic_store_n(&s->below[number - 1], (uint32_t)top, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(
		&s->top, &top, with_number(top, number), 1, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}
