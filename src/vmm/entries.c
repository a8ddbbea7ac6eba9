#include "vmm/entries.h"

#include "base/units.h"

/* More than so many are forgotten by forgetting all: an instruction each, against all that is
 * looked up anew. */
enum {
	NFLUSHED_MAX = 64
};

static void flush(char *addr, size_t n, size_t one_nbytes)
{
	for (; n; n--, addr += one_nbytes)
		umpa_g_flush(addr);
}

static int exchange(struct umpa_mover *m, void *a, void *b, size_t nbytes, size_t *done)
{
	struct umpa_guest *g = ((struct umpa_entries_mover *)m)->guest;
	int whole = !(((uintptr_t)a | (uintptr_t)b | nbytes) & (SLOT_NBYTES - 1));
	size_t one_nbytes = whole ? SLOT_NBYTES : PAGE_NBYTES, n = nbytes / one_nbytes;

	if (whole)
		umpa_g_exchange(g, a, b, n);
	else
		umpa_g_exchange_pages(g, a, b, n);
	if (n <= NFLUSHED_MAX) {
		flush(a, n, one_nbytes);
		flush(b, n, one_nbytes);
	} else {
		umpa_g_flush_all();
	}
	*done = nbytes;
	return 0;
}

/* What is behind dst is no frame. */
static int move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	(void)flags;
	return exchange(m, dst, src, nbytes, moved);
}

void umpa_entries_mover_init(struct umpa_entries_mover *m, struct umpa_guest *guest)
{
	*m = (struct umpa_entries_mover){.mover = {.name = "entries",
						 .move = move,
						 .exchange = exchange,
						 .one_step = 1,
						 .fd = -1},
		.guest = guest};
}
