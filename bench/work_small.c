/* Small blocks of one size, handed out and taken back: what a malloc costs at its fastest. */
#include <stdlib.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "worker.h"

/* A thread's caches hold this many of each size in every allocator that has some; so none of them
 * goes further. */
enum {
	NHELD = 8,
	NSAMPLES = 64 /* times that the clock is read, of which the median is taken */
};

/* malloc and free called as a program calls them; the compiler must not see that nobody uses the
 * block. */
static int hand_out_and_take_back(uint64_t nbytes, uint64_t nblocks)
{
	void *block[NHELD];
	int i, nrefused = 0;
	uint64_t n;

	for (n = 0; n < nblocks; n += NHELD) {
		for (i = 0; i < NHELD; i++) {
			block[i] = malloc(nbytes);
			__asm__ volatile("" : : "r"(block[i]) : "memory");
			if (likely(block[i]))
				*(volatile char *)block[i] = 1;
			else
				nrefused++;
		}
		for (i = 0; i < NHELD; i++)
			free(block[i]);
	}
	return nrefused ? -1 : 0;
}

static int run_size(const struct umpa_work *w, uint64_t nbytes, double *ns)
{
	double v[NSAMPLES];
	int i;

	if (hand_out_and_take_back(nbytes, w->warmup))
		return -1;
	for (i = 0; i < NSAMPLES; i++) {
		uint64_t start_ns = umpa_now_ns();

		if (hand_out_and_take_back(nbytes, w->ops))
			return -1;
		v[i] = (double)(umpa_now_ns() - start_ns) / (double)w->ops;
	}
	*ns = umpa_median(v, NSAMPLES);
	return 0;
}

/* Sizes from min to max, each four times the one before. */
int umpa_work_loop(const struct umpa_work *w)
{
	double ns[32];
	uint64_t nbytes;
	size_t n = 0, i;

	if (!w->min || !w->ops || w->ops % NHELD)
		return umpa_refuse(-1, "bench: loop: a size, and ops by %d", NHELD);
	umpa_phase_begin(w);
	for (nbytes = w->min; nbytes <= w->max && n < array_len(ns); nbytes *= 4)
		if (run_size(w, nbytes, &ns[n++]))
			return umpa_refuse(-1, "bench: loop: out of memory");
	umpa_phase_end(w);
	for (i = 0, nbytes = w->min; i < n; i++, nbytes *= 4)
		umpa_put("cost_ns", nbytes, ns[i]);
	return 0;
}
