#include "frame/bins.h"

int umpa_bins_take_any(struct umpa_bins *b, struct umpa_run *run)
{
	for (unsigned w = 0; !umpa_bins_are_empty(b) && w < array_len(b->maybe); w++)
		for (; b->maybe[w]; b->maybe[w] &= b->maybe[w] - 1) {
			unsigned npages = w * 64 + (unsigned)__builtin_ctzll(b->maybe[w]);

			if (!b->n[npages])
				continue;
			*run = b->run[npages][--b->n[npages]];
			umpa_bins_set_npages(b, b->npages - npages);
			return 1;
		}
	return 0;
}
