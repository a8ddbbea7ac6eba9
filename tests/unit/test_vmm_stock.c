/* The stock of tables: each is had by one, and none is lost, however many take and give at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/numbers.h"
#include "support/together.h"
#include "vmm/stock.h"

enum {
	NTABLES = 9
};

static uint64_t memory[NTABLES * 512 + 512] __attribute__((aligned(4096)));
static struct umpa_stock stock;

/* Whose a table is; 0: nobody's. */
static int owner[NTABLES]; /* atomic */

static void begin(void)
{
	memset(memory, 0, sizeof(memory));
	memset(owner, 0, sizeof(owner));
	umpa_stock_init(&stock, memory, NTABLES);
}

static size_t number_of(const uint64_t *table)
{
	return (size_t)(table - memory) / 512;
}

TEST(stock_gives_each_once)
{
	uint64_t *table[NTABLES];
	unsigned nwrong = 0;

	PLAN(7);
	begin();
	for (int i = 0; i < NTABLES; i++) {
		table[i] = umpa_stock_take(&stock);
		nwrong += !table[i] || !umpa_stock_has(&stock, table[i]) ||
			  owner[number_of(table[i])]++;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(!umpa_stock_take(&stock) && !umpa_stock_take(&stock));
	umpa_stock_give(&stock, table[5]);
	umpa_stock_give(&stock, table[2]);
	CHECK(umpa_stock_take(&stock) == table[2]);
	CHECK(umpa_stock_take(&stock) == table[5]);
	CHECK(!umpa_stock_take(&stock));
	CHECK(!umpa_stock_has(&stock, memory + 7) && umpa_stock_has(&stock, memory + 512));
	CHECK(!umpa_stock_has(&stock, memory + (size_t)NTABLES * 512) &&
		!umpa_stock_has(&stock, NULL));
}

/* What was given back is taken before what never was any's. */
TEST(stock_takes_used_ones_first)
{
	uint64_t *a, *b;

	PLAN(3);
	begin();
	a = umpa_stock_take(&stock);
	b = umpa_stock_take(&stock);
	umpa_stock_give(&stock, a);
	CHECK(umpa_stock_take(&stock) == a);
	umpa_stock_give(&stock, b);
	CHECK(umpa_stock_take(&stock) == b);
	CHECK_EQ(stock.nfresh, 2);
}

enum {
	NTHREADS = 4,
	NROUNDS = 1000000,
	NMINE = NTABLES / NTHREADS
};

/* Each has as many as its part at most, so that there always is one. */
static void *take_and_give(void *seed)
{
	struct numbers numbers = numbers_of_seed(*(uint64_t *)seed);
	int me = (int)*(uint64_t *)seed;
	uint64_t *mine[NMINE], *table;
	uintptr_t nwrong = 0;
	unsigned n = 0;

	for (int i = 0; i < NROUNDS; i++) {
		if (n < NMINE && (!n || number_below(&numbers, 2))) {
			int nobody = 0;

			table = umpa_stock_take(&stock);
			if (!table || !__atomic_compare_exchange_n(&owner[number_of(table)],
					      &nobody, me, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
				nwrong++;
				continue;
			}
			table[5] = (uint64_t)me; /* its content is who has it's */
			mine[n++] = table;
		} else {
			table = mine[--n];
			nwrong += table[5] != (uint64_t)me;
			__atomic_store_n(&owner[number_of(table)], 0, __ATOMIC_RELAXED);
			umpa_stock_give(&stock, table);
		}
	}
	while (n) {
		__atomic_store_n(&owner[number_of(mine[--n])], 0, __ATOMIC_RELAXED);
		umpa_stock_give(&stock, mine[n]);
	}
	return (void *)nwrong;
}

TEST(stock_of_several)
{
	unsigned n = 0;

	PLAN(2);
	begin();
	CHECK_EQ(together(NTHREADS, take_and_give, take_and_give, 1), 0);
	while (umpa_stock_take(&stock))
		n++;
	CHECK_EQ(n, NTABLES);
}
