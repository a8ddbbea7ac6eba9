#include "core/sparse.h"

#include "core/shard.h"

enum {
	NCALLS_A_LOOK = 32,
	NSLOTS_MAX = 16,  /* of the nursery, that are looked at */
	NTOUCHED_MIN = 64 /* one page in so many tells that blocks are used at all */
};

int umpa_sparse_ruled_out;
static unsigned ncalls; /* atomic, as what follows */
static int is_sparse;

void umpa_sparse_forget(void)
{
	umpa_sparse_ruled_out = is_sparse = 0;
	ncalls = 0;
}

/* Adds the pages of a slot that blocks have, and those of them that have frames. */
static void count(struct slot slot, size_t *nused, size_t *ntouched)
{
	struct umpa_shard *s = umpa_shard_of_slot(slot);
	unsigned char vec[SLOT_NPAGES];
	struct umpa_run_map map;
	int in_block = 0;

	umpa_lock_take(&s->lock);
	map = umpa_core.map[slot.i];
	umpa_lock_give(&s->lock);
	if (umpa_os_resident(slot_address(slot), SLOT_NPAGES, vec))
		return;
	for (unsigned p = 0; p < SLOT_NPAGES; p++) {
		if (bitmap_get(&map.head, p))
			in_block = 1;
		else if (!bitmap_get(&map.used, p) || !bitmap_get(&map.dirty, p))
			in_block = 0; /* free, or set aside */
		*nused += (size_t)in_block;
		*ntouched += (size_t)(in_block & vec[p]);
	}
}

static int look(void)
{
	uint32_t nslots = umpa_core.space.nnursery;
	size_t nused = 0, ntouched = 0;

	if (!umpa_core.huge)
		return 0; /* a page touched is a page anywhere */
	nslots = nslots < NSLOTS_MAX ? nslots : NSLOTS_MAX;
	for (uint32_t i = 0; i < nslots; i++)
		if (slot_use((struct slot){i}) == SLOT_SHELF)
			count((struct slot){i}, &nused, &ntouched);
	if (2 * nused < (size_t)nslots * SLOT_NPAGES || NTOUCHED_MIN * ntouched < nused)
		return 0;
	if (2 * ntouched >= nused) {
		__atomic_store_n(&umpa_sparse_ruled_out, 1, __ATOMIC_RELAXED);
		return 0;
	}
	return 1;
}

int umpa_sparse_look(void)
{
	if (__atomic_fetch_add(&ncalls, 1, __ATOMIC_RELAXED) % NCALLS_A_LOOK == 0)
		__atomic_store_n(&is_sparse, look(), __ATOMIC_RELAXED);
	return __atomic_load_n(&is_sparse, __ATOMIC_RELAXED);
}
