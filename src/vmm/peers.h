/*
 * The CPUs of a machine among themselves: which of them remember what (vmm/epoch.h), where tables
 * of entries for pages come from and go to, and whose a block is. By functions in guest mode, each
 * on its CPU; no lock.
 *
 * A table that a CPU has ended, where there are others, is noted until none of them may walk it any
 * more. Then it keeps it, as far as it has not enough, and the stock gets the rest.
 */
#ifndef UMPA_VMM_PEERS_H
#define UMPA_VMM_PEERS_H

#include <umpa/vmm.h>

#include "vmm/epoch.h"
#include "vmm/holding.h"
#include "vmm/stock.h"

enum {
	PEER_NFREED = 64,
	PEER_NKEPT = 64
};

struct umpa_peer {
	struct umpa_holding *holding; /* NULL: none is set apart */
	unsigned nfreed, nkept;
	uint64_t *freed[PEER_NFREED]; /* tables that it has ended, and others may still walk; */
	uint64_t *kept[PEER_NKEPT];   /* and for its use */
} __attribute__((aligned(64)));

struct umpa_peers {
	struct umpa_epochs epochs;
	struct umpa_peer *peer; /* as many as epochs have CPUs */
	struct umpa_stock stock;
	uintptr_t held; /* of the first, and so on */
	size_t held_nbytes;
	void (*forget)(void);    /* in guest mode: this CPU forgets all that it remembers, */
	void (*interrupt)(void); /* and every other one */
};

/* So many tables that there always is one, for nslots superpages: beside those in use each CPU has
 * as many as it may keep and note, and one in hand. */
static inline size_t umpa_peers_ntables(unsigned ncpus, size_t nslots)
{
	return nslots + (size_t)ncpus * (PEER_NFREED + PEER_NKEPT + 1);
}

/* Whose an address is; NULL: of no holding. */
static inline struct umpa_holding *umpa_peers_holder(const struct umpa_peers *p, const void *addr)
{
	uintptr_t at = (uintptr_t)addr - p->held;

	return likely(at >= p->held_nbytes * p->epochs.ncpus)
		       ? NULL
		       : p->peer[at / p->held_nbytes].holding;
}

/* Entries may be anything that a function has written. 1: that of a superpage made of pages leads
 * to a table of the machine's. */
static inline int umpa_peers_has_table(const struct umpa_guest *g, uint64_t superpage)
{
	return umpa_stock_has(&g->peers->stock, umpa_g_table(g, superpage));
}

/* umpa_g_home() for the host, which a wrong entry does nothing to: it leads nowhere. */
static inline void *umpa_peers_home(struct umpa_guest *g, const void *addr)
{
	uint64_t entry = __atomic_load_n(umpa_g_pte(g, addr, 1), __ATOMIC_ACQUIRE);
	size_t inside = (uintptr_t)addr & (SLOT_NBYTES - 1);
	char *home;

	if (umpa_g_is_split(entry)) {
		if (!umpa_peers_has_table(g, entry))
			return NULL;
		entry = umpa_g_table(g, entry)[inside >> PAGE_SHIFT];
		inside &= PAGE_NBYTES - 1;
	}
	home = (char *)umpa_g_home_of(g, entry);
	return home ? home + inside : NULL;
}

/* No CPU runs but one, so that none needs an interruption to forget. */
static inline int umpa_peers_are_out(const struct umpa_peers *p, unsigned but)
{
	return umpa_epoch_is_over(&p->epochs, but, EPOCH_OUT);
}

/* In guest mode, and not in the middle of a change: forgets, if others wait for that. */
void umpa_peers_forget(struct umpa_guest *g);

static inline void umpa_peers_poll(struct umpa_guest *g)
{
	if (unlikely(g->peers && umpa_epoch_is_behind(&g->peers->epochs, g->number)))
		umpa_peers_forget(g);
}

#endif
