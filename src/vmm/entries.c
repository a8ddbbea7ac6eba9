#include "vmm/entries.h"

#include <errno.h>

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

/* Superpages and no pages. */
static int are_superpages(const void *a, const void *b, size_t npages)
{
	return !(((uintptr_t)a | (uintptr_t)b | npages << PAGE_SHIFT) & (SLOT_NBYTES - 1));
}

int umpa_entries_forget_all(struct umpa_guest *g, void *a, void *b, size_t npages)
{
	size_t n = npages / SLOT_NPAGES;

	if (!are_superpages(a, b, npages))
		return npages > NFLUSHED_MAX;
	for (size_t i = 0; i < n && n <= NFLUSHED_MAX; i++)
		if (umpa_g_is_split(umpa_g_pte(g, a, 1)[i]) ||
			umpa_g_is_split(umpa_g_pte(g, b, 1)[i]))
			return 1;
	return n > NFLUSHED_MAX;
}

/* The bits that all of them have. */
static uint64_t bits_of_all(const volatile uint64_t *entry, size_t n)
{
	const volatile uint64_t *end = entry + n;
	uint64_t bits = UMPA_G_OPEN;

	while (entry < end)
		bits &= *entry++;
	return bits;
}

int umpa_entries_are_open(struct umpa_guest *g, void *addr, size_t npages)
{
	char *at = addr;

	for (size_t n; npages; npages -= n, at += n << PAGE_SHIFT) {
		int split = umpa_g_is_split(*umpa_g_pte(g, at, 1));

		n = umpa_g_npages_left(at) < npages ? umpa_g_npages_left(at) : npages;
		if (bits_of_all(umpa_g_pte(g, at, !split), split ? n : 1) != UMPA_G_OPEN)
			return 0;
	}
	return 1;
}

static void exchange_and_forget(struct umpa_guest *g, char *a, char *b, size_t npages)
{
	int whole = are_superpages(a, b, npages);
	size_t one_nbytes = whole ? SLOT_NBYTES : PAGE_NBYTES;
	size_t n = (npages << PAGE_SHIFT) / one_nbytes;

	if (whole)
		umpa_g_exchange(g, a, b, n);
	else
		umpa_g_exchange_pages(g, a, b, n);
	if (umpa_entries_forget_all(g, a, b, npages)) {
		umpa_g_flush_all();
	} else {
		flush(a, n, one_nbytes);
		flush(b, n, one_nbytes);
	}
}

/* What a page may be used for stays with its address: pages of which that is less are left. */
static int exchange(struct umpa_mover *m, void *a, void *b, size_t nbytes, size_t *done)
{
	struct umpa_guest *g = ((struct umpa_entries_mover *)m)->guest;
	size_t npages = nbytes >> PAGE_SHIFT;

	*done = 0;
	if (!umpa_entries_are_open(g, a, npages) || !umpa_entries_are_open(g, b, npages))
		return -EBUSY;
	exchange_and_forget(g, a, b, npages);
	*done = nbytes;
	return 0;
}

/* What is behind dst is no frame. */
static int move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	(void)flags;
	exchange_and_forget(
		((struct umpa_entries_mover *)m)->guest, dst, src, nbytes >> PAGE_SHIFT);
	*moved = nbytes;
	return 0;
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
