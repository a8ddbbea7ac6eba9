#include "vmm/peers.h"

#include "base/panic.h"

void umpa_peers_forget(struct umpa_guest *g)
{
	struct umpa_epochs *e = &g->peers->epochs;
	uint64_t now = umpa_epoch_now(e);

	g->peers->forget();
	umpa_epoch_reach(e, g->number, now);
}

public_api void umpa_g_flush_others(struct umpa_guest *g)
{
	struct umpa_peers *p = g->peers;

	if (!p || umpa_epoch_is_over(&p->epochs, g->number, umpa_epoch_begin(&p->epochs)))
		return;
	g->ninterruptions++;
	p->interrupt();
}

/* --- tables ------------------------------------------------------------------------------- */

/* While the machine is out of guest mode, as in a sync, it forgets when it is entered. */
static int is_in_guest_mode(const struct umpa_guest *g)
{
	return umpa_epoch_reached(&g->peers->epochs, g->number) != EPOCH_OUT;
}

static void give_back(struct umpa_guest *g, uint64_t *table)
{
	struct umpa_peer *own = &g->peers->peer[g->number];

	if (own->nkept == PEER_NKEPT) {
		umpa_stock_give(&g->peers->stock, table);
		return;
	}
	own->kept[own->nkept] = table;
	keep_order();
	own->nkept++;
}

static void give_all_back(struct umpa_guest *g, struct umpa_peer *own)
{
	umpa_g_flush_others(g);
	if (is_in_guest_mode(g))
		g->peers->forget();
	while (own->nfreed) {
		uint64_t *table = own->freed[own->nfreed - 1];

		own->nfreed--;
		keep_order();
		give_back(g, table);
	}
}

public_api void umpa_g_end_table(struct umpa_guest *g, uint64_t *table)
{
	struct umpa_peer *own = &g->peers->peer[g->number];

	if (g->peers->epochs.ncpus == 1) {
		give_back(g, table);
		return;
	}
	/* A function may have been ended while it gave them back. */
	if (unlikely(own->nfreed == PEER_NFREED))
		give_all_back(g, own);
	own->freed[own->nfreed] = table;
	keep_order();
	own->nfreed++;
	if (own->nfreed == PEER_NFREED)
		give_all_back(g, own);
}

public_api uint64_t *umpa_g_begin_table(struct umpa_guest *g)
{
	struct umpa_peer *own = &g->peers->peer[g->number];
	uint64_t *table;

	if (own->nkept) {
		table = own->kept[own->nkept - 1];
		own->nkept--;
		keep_order(); /* before it is led to */
		return table;
	}
	table = umpa_stock_take(&g->peers->stock);
	INVARIANT(table);
	return table;
}
