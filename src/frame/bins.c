#include "frame/bins.h"

#include <string.h>

int umpa_bins_take_any(struct umpa_bins *b, struct umpa_run *run)
{
	uint64_t some = 0;
	unsigned npages = 0;

	_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first is the lowest");
	if (!b->npages)
		return 0;
	for (; !some && npages < SLOT_NPAGES; npages += sizeof(some))
		memcpy(&some, &b->n[npages], sizeof(some));
	npages += (unsigned)__builtin_ctzll(some) / 8 - (unsigned)sizeof(some);
	return umpa_bins_take(b, npages, run);
}
