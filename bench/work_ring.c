/*
 * The scaling test of 2011: blocks of 2^uniform bytes, a ring of live ones, each new block in the
 * place of the oldest.
 *
 * Two forms. In total: block by block, the clock read at the ends only. By bin: the blocks come in
 * batches of one size bin, each bin equally often, in random order; a batch of new blocks takes the
 * place of the oldest batch. Freeing, handing out and touching a batch are timed as one each, so
 * the clock is read once for that many blocks, and its own cost, measured before, is subtracted.
 */
#include <stdlib.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "worker.h"

enum step {
	FREE,
	ALLOC,
	TOUCH,
	NSTEPS
};

struct ring {
	const struct umpa_work *w;
	uint64_t n; /* blocks over all: warmup and ops */
	unsigned nbins;
	void **block;     /* live of them */
	uint64_t *nbytes; /* n of them */
	uint8_t *bin;     /* n of them */
	double *step_ns;  /* by bin: per block in each measured batch, NSTEPS a batch */
};

static unsigned count_bins(const struct umpa_work *w)
{
	unsigned n = 0;

	while (w->min << n < w->max)
		n++;
	return n;
}

static uint64_t pick_size(const struct ring *r, unsigned bin, uint64_t *seed)
{
	return r->nbins ? umpa_random_size(seed, r->w->min << bin) : r->w->min;
}

static void plan_total(struct ring *r, uint64_t *seed)
{
	uint64_t i;

	for (i = 0; i < r->n; i++) {
		r->bin[i] = r->nbins ? (uint8_t)((umpa_random(seed) >> 32) % r->nbins) : 0;
		r->nbytes[i] = pick_size(r, r->bin[i], seed);
	}
}

static void shuffle(uint8_t *v, unsigned n, uint64_t *seed)
{
	unsigned i;

	for (i = n; i > 1; i--) {
		unsigned j = (unsigned)((umpa_random(seed) >> 32) % i);
		uint8_t was = v[i - 1];

		v[i - 1] = v[j];
		v[j] = was;
	}
}

static void plan_batches(struct ring *r, uint64_t *seed)
{
	uint8_t order[64] = {0};
	unsigned at = 0, nbins = r->nbins ? r->nbins : 1;
	uint64_t i;

	for (i = 0; i < nbins; i++)
		order[i] = (uint8_t)i;
	for (i = 0; i < r->n; i++) {
		if (i % r->w->batch == 0 && at++ % nbins == 0)
			shuffle(order, nbins, seed);
		r->bin[i] = order[(at - 1) % nbins];
		r->nbytes[i] = pick_size(r, r->bin[i], seed);
	}
}

/* The most that is live at a time. */
static size_t peak_of(const struct ring *r)
{
	size_t now = 0, peak = 0;
	uint64_t i;

	for (i = 0; i < r->n; i++) {
		now += pages_of(r->nbytes[i]) * PAGE_NBYTES;
		if (i >= r->w->live)
			now -= pages_of(r->nbytes[i - r->w->live]) * PAGE_NBYTES;
		peak = now > peak ? now : peak;
	}
	return peak;
}

static int init(struct ring *r, const struct umpa_work *w)
{
	uint64_t seed = w->seed;

	r->w = w;
	r->n = w->warmup + w->ops;
	r->nbins = count_bins(w);
	r->block = umpa_worker_take(w->live * sizeof(*r->block));
	r->nbytes = umpa_worker_take(r->n * sizeof(*r->nbytes));
	r->bin = umpa_worker_take(r->n);
	if (w->batch) {
		r->step_ns = umpa_worker_take(NSTEPS * (r->n / w->batch) * sizeof(*r->step_ns));
		plan_batches(r, &seed);
	} else {
		plan_total(r, &seed);
	}
	return umpa_page_api_provide(w->api, peak_of(r));
}

static void free_one(struct ring *r, uint64_t i)
{
	if (i >= r->w->live)
		r->w->api->release(r->block[i % r->w->live], r->nbytes[i - r->w->live]);
}

static int alloc_one(struct ring *r, uint64_t i)
{
	void *block = r->w->api->alloc(r->nbytes[i]);

	r->block[i % r->w->live] = block;
	return block ? 0 : -1;
}

static int run_total(struct ring *r, uint64_t from, uint64_t to, int touch)
{
	uint64_t i;

	for (i = from; i < to; i++) {
		free_one(r, i);
		if (alloc_one(r, i))
			return -1;
		if (touch)
			umpa_touch(r->block[i % r->w->live], r->nbytes[i]);
	}
	return 0;
}

static int run_batch(struct ring *r, uint64_t from, uint64_t at_ns[NSTEPS + 1])
{
	uint64_t i, to = from + r->w->batch;

	at_ns[FREE] = umpa_now_ns();
	for (i = from; i < to; i++)
		free_one(r, i);
	at_ns[ALLOC] = umpa_now_ns();
	for (i = from; i < to; i++)
		if (alloc_one(r, i))
			return -1;
	at_ns[TOUCH] = umpa_now_ns();
	for (i = from; r->w->touch && i < to; i++)
		umpa_touch(r->block[i % r->w->live], r->nbytes[i]);
	at_ns[NSTEPS] = umpa_now_ns();
	return 0;
}

static int run_batches(struct ring *r, uint64_t clock_ns)
{
	uint64_t from, at_ns[NSTEPS + 1];
	double *step_ns = r->step_ns;
	int s;

	for (from = r->w->warmup; from < r->n; from += r->w->batch) {
		if (run_batch(r, from, at_ns))
			return -1;
		for (s = 0; s < NSTEPS; s++) {
			double ns = (double)(at_ns[s + 1] - at_ns[s]) - (double)clock_ns;

			*step_ns++ = (ns > 0 ? ns : 0) / (double)r->w->batch;
		}
	}
	return 0;
}

/* The figures of one step and bin over all batches, into v. A batch of new blocks counts for its
 * bin, freeing counts for the bin of the old ones. */
static size_t gather(const struct ring *r, enum step s, unsigned bin, double *v)
{
	uint64_t from, old = s == FREE ? r->w->live : 0;
	const double *step_ns = r->step_ns + s;
	size_t n = 0;

	for (from = r->w->warmup; from < r->n; from += r->w->batch, step_ns += NSTEPS)
		if (r->bin[from - old] == bin)
			v[n++] = *step_ns;
	return n;
}

static double mean(const double *v, size_t n)
{
	double sum = 0;
	size_t i;

	for (i = 0; i < n; i++)
		sum += v[i];
	return sum / (double)n;
}

static void put_bin(const struct ring *r, unsigned bin, double *v)
{
	static const char *const names[] = {"free_ns", "alloc_ns", "touch_ns"};
	uint64_t lo = r->w->min << bin;
	double mean_ns = 0, median_ns = 0;
	int s;

	for (s = 0; s < NSTEPS; s++) {
		size_t n = gather(r, s, bin, v);

		if (!n)
			return;
		umpa_put(names[s], lo, mean(v, n));
		mean_ns += mean(v, n);
		median_ns += umpa_median(v, n);
	}
	umpa_put("cost_ns", lo, mean_ns);
	umpa_put("median_cost_ns", lo, median_ns);
}

static void put_bins(const struct ring *r)
{
	double *v = umpa_worker_take(r->n / r->w->batch * sizeof(*v));
	unsigned bin;

	for (bin = 0; bin < (r->nbins ? r->nbins : 1); bin++)
		put_bin(r, bin, v);
}

static int check(const struct umpa_work *w)
{
	if (!w->min || w->max < w->min || !w->live || !w->ops || !w->seed || count_bins(w) > 63)
		return umpa_refuse(-1, "bench: ring: bad sizes");
	if (w->batch && (w->live % w->batch || w->ops % w->batch || w->warmup % w->batch))
		return umpa_refuse(-1, "bench: ring: live, ops and warmup are whole batches");
	if (w->batch && w->warmup < w->live)
		return umpa_refuse(-1, "bench: ring: warmup fills the ring");
	return 0;
}

int umpa_work_ring(const struct umpa_work *w)
{
	uint64_t clock_ns = umpa_clock_ns();
	struct ring r;
	int failed;

	if (check(w))
		return -1;
	if (init(&r, w) || run_total(&r, 0, w->warmup, 1))
		return umpa_refuse(-1, "bench: ring: out of memory");
	umpa_phase_begin(w);
	failed =
		w->batch ? run_batches(&r, clock_ns) : run_total(&r, w->warmup, r.n, w->touch != 0);
	umpa_phase_end(w);
	if (failed)
		return umpa_refuse(-1, "bench: ring: out of memory");
	if (w->batch)
		put_bins(&r);
	return 0;
}
