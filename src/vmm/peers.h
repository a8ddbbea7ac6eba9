/*
 * The CPUs of a machine among themselves: which of them remember what (vmm/epoch.h), whose a table
 * of entries is, and whose a block. By functions in guest mode, each on its CPU; no lock.
 *
 * A table belongs to a CPU for good, which is where it goes back to: an end of a superpage made of
 * pages by another CPU is noted there until no CPU may walk it any more, and then returned.
 */
#ifndef UMPA_VMM_PEERS_H
#define UMPA_VMM_PEERS_H

#include <umpa/vmm.h>

#include "vmm/epoch.h"
#include "vmm/holding.h"

enum {
	PEER_NFREED = 64
};

struct umpa_peer {
	struct umpa_holding *holding; /* NULL: none is set apart */
	uint64_t *returned; /* atomic; its tables that others have ended, by their first words */
	unsigned nfreed;
	uint64_t *freed[PEER_NFREED]; /* tables that it has ended, and others may still walk */
} __attribute__((aligned(64)));

struct umpa_peers {
	struct umpa_epochs epochs;
	struct umpa_peer *peer; /* as many as epochs have CPUs */
	uintptr_t tables, held; /* of the first, and so on: */
	size_t tables_nbytes, held_nbytes;
	void (*forget)(void);    /* in guest mode: this CPU forgets all that it remembers, */
	void (*interrupt)(void); /* and every other one */
};

/* Tables that a CPU needs so that it always has one, for nslots superpages: those that are not its
 * own and free are in use, or noted. */
static inline size_t umpa_peer_ntables(unsigned ncpus, size_t nslots)
{
	return nslots + (ncpus > 1 ? (size_t)ncpus * PEER_NFREED : 0);
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
	const struct umpa_peers *p = g->peers;
	uintptr_t at = (uintptr_t)umpa_g_table(g, superpage) - p->tables;

	return at < p->tables_nbytes * p->epochs.ncpus && at % PAGE_NBYTES == 0;
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
