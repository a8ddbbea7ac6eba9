/* Entries that two CPUs write at a time, in one superpage. Without a machine, so that the thread
 * sanitizer, whose shadow is beyond the addresses of any guest, can look on. */
#include <stdlib.h>
#include <string.h>
#include <umpa/vmm.h>

#include "support/check.h"
#include "support/together.h"
#include "vmm/peers.h"

#define MIB ((size_t)1 << 20)

enum {
	NCPUS = 2,
	NROUNDS = 500
};

static struct umpa_epoch_cpu epoch_cpu[NCPUS];
static struct umpa_peer peer[NCPUS];
static struct umpa_peers peers;
static struct umpa_guest guest[NCPUS];
static uint64_t superpage;
static int turn; /* atomic; of both */

static void nothing(void)
{
}

static void begin(void)
{
	uint32_t ntables = (uint32_t)umpa_peers_ntables(NCPUS, 1);
	size_t nbytes = (umpa_stock_nbytes(ntables) + 4095) / 4096 * 4096;
	void *tables = aligned_alloc(4096, nbytes);

	REQUIRE(tables);
	memset(tables, 0, nbytes);
	peers = (struct umpa_peers){.epochs = {1, NCPUS, epoch_cpu},
		.peer = peer,
		.forget = nothing,
		.interrupt = nothing};
	umpa_stock_init(&peers.stock, tables, ntables);
	for (unsigned i = 0; i < NCPUS; i++) {
		guest[i] = (struct umpa_guest){.base = 2 * MIB,
			.nbytes = 2 * MIB,
			.physical = 64 * MIB,
			.superpage = &superpage,
			.peers = &peers,
			.number = i};
		umpa_epoch_leave(&peers.epochs, i);
	}
	superpage = umpa_g_entry(&guest[0], (void *)(2 * MIB)) | UMPA_G_LEAF;
	turn = 0;
}

/* Both begin at once. */
static void meet(int round)
{
	__atomic_add_fetch(&turn, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&turn, __ATOMIC_SEQ_CST) < 2 * round + 2)
		;
}

static unsigned nwrong_homes(struct umpa_guest *g, char *own)
{
	unsigned n = 0;

	for (size_t i = 0; i < 3; i++) {
		char *a = own + i * 4096, *b = a + (size_t)100 * 4096;

		n += umpa_g_home(g, a) != b || umpa_g_home(g, b) != a;
	}
	return n;
}

static uintptr_t exchange_own(unsigned cpu)
{
	struct umpa_guest *g = &guest[cpu];
	char *all = (char *)g->base, *own = all + cpu * MIB;
	uintptr_t nwrong = 0;

	for (int i = 0; i < NROUNDS; i++) {
		meet(2 * i);
		umpa_g_exchange_pages(g, own, own + (size_t)100 * 4096, 3);
		meet(2 * i + 1);
		if (cpu)
			continue;
		nwrong += nwrong_homes(g, all) + nwrong_homes(g, all + MIB);
		umpa_g_set_superpage(g, all, umpa_g_entry(g, all) | UMPA_G_LEAF);
	}
	return nwrong;
}

static void *exchange_as_0(void *seed)
{
	(void)seed;
	return (void *)exchange_own(0);
}

static void *exchange_as_1(void *seed)
{
	(void)seed;
	return (void *)exchange_own(1);
}

/* Blocks of two CPUs may lie in one superpage, which both find whole: each page's entry is where
 * its CPU has written it, and the table that came second is not lost. */
TEST(vmm_split_at_a_time)
{
	PLAN(4);
	begin();
	CHECK_EQ(together(2, exchange_as_0, exchange_as_1, 0), 0);
	for (int i = 0; i < NCPUS; i++)
		CHECK(peer[i].nkept <= PEER_NKEPT);
	free(peers.stock.tables);
}
