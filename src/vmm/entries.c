#include "vmm/entries.h"

#include "base/units.h"

/* More than so many are forgotten by forgetting all: an instruction each, against all that is
 * looked up anew. */
enum {
	NFLUSHED_MAX = 64
};

static int move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	struct umpa_guest *g = ((struct umpa_entries_mover *)m)->guest;
	size_t nslots = nbytes >> SLOT_SHIFT;

	(void)flags;
	*moved = 0;
	if (((uintptr_t)dst | (uintptr_t)src | nbytes) & (SLOT_NBYTES - 1))
		return -ENOSYS;
	umpa_g_exchange(g, dst, src, nslots);
	for (size_t i = 0; i < nslots && nslots <= NFLUSHED_MAX; i++) {
		umpa_g_flush((char *)dst + (i << SLOT_SHIFT));
		umpa_g_flush((char *)src + (i << SLOT_SHIFT));
	}
	if (nslots > NFLUSHED_MAX)
		umpa_g_flush_all();
	*moved = nbytes;
	return 0;
}

void umpa_entries_mover_init(struct umpa_entries_mover *m, struct umpa_guest *guest)
{
	*m = (struct umpa_entries_mover){
		.mover = {.name = "entries", .move = move, .one_step = 1, .fd = -1},
		.guest = guest};
}
