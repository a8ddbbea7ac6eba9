/* Workloads of a few blocks each: growing, resizing, using a size again, cleared blocks, moving,
 * sparse use. */
#include <stdlib.h>
#include <string.h>

#include <umpa/stats.h>

#include "base/units.h"
#include "cli/cli.h"
#include "cli/measure.h"
#include "worker.h"

static int refuse(const char *kind)
{
	return umpa_refuse(-1, "bench: %s: out of memory", kind);
}

/* --- grow: one block from min to max by factor percent, touching what is added -------------- */

struct growth {
	uint64_t total_ns, resize_ns;
};

static int grow_once(const struct umpa_work *w, struct growth *g)
{
	uint64_t start_ns = umpa_now_ns(), before_ns, nbytes = w->min, next;
	char *block = w->api->alloc(nbytes);

	if (!block)
		return -1;
	umpa_touch(block, nbytes);
	for (g->resize_ns = 0; nbytes < w->max; nbytes = next) {
		char *grown;

		next = nbytes * w->factor / 100;
		next = next < w->max ? next : w->max;
		before_ns = umpa_now_ns();
		grown = w->api->resize(block, nbytes, next);
		g->resize_ns += umpa_now_ns() - before_ns;
		if (!grown)
			return -1;
		block = grown;
		umpa_touch(block + nbytes, next - nbytes);
	}
	if (block[0] != 1 || block[w->min - 1] != 1 || block[w->max - 1] != 1)
		return umpa_refuse(-1, "bench: grow: content lost");
	w->api->release(block, w->max);
	g->total_ns = umpa_now_ns() - start_ns;
	return 0;
}

int umpa_work_grow(const struct umpa_work *w)
{
	struct growth first = {0}, again = {0};

	if (w->factor <= 100 || !w->min)
		return umpa_refuse(-1, "bench: grow: factor must be above 100");
	umpa_phase_begin(w);
	if (grow_once(w, &first))
		return refuse("grow");
	if (grow_once(w, &again))
		return refuse("grow");
	umpa_phase_end(w);
	umpa_put("first_ns", 0, (double)first.total_ns);
	umpa_put("first_resize_ns", 0, (double)first.resize_ns);
	umpa_put("again_ns", 0, (double)again.total_ns);
	umpa_put("again_resize_ns", 0, (double)again.resize_ns);
	return 0;
}

/* --- resize: blocks of min grow to max once each, a ring of live ones ----------------------- */

struct resizing {
	const struct umpa_work *w;
	void **block;
	uint64_t resize_ns, total_ns;
};

static int resize_batch(struct resizing *r, uint64_t from)
{
	const struct umpa_work *w = r->w;
	uint64_t i, before_ns, start_ns = umpa_now_ns();
	void **block = r->block + from % w->live;

	for (i = 0; i < w->batch; i++) {
		if (from >= w->live)
			w->api->release(block[i], w->max);
		block[i] = w->api->alloc(w->min);
		if (!block[i])
			return -1;
		umpa_touch(block[i], w->min);
	}
	before_ns = umpa_now_ns();
	for (i = 0; i < w->batch; i++) {
		void *grown = w->api->resize(block[i], w->min, w->max);

		if (!grown)
			return -1;
		block[i] = grown;
	}
	r->resize_ns += umpa_now_ns() - before_ns;
	for (i = 0; i < w->batch; i++)
		umpa_touch((char *)block[i] + w->min, w->max - w->min);
	r->total_ns += umpa_now_ns() - start_ns;
	return 0;
}

static int resize_all(struct resizing *r, uint64_t from, uint64_t to)
{
	r->resize_ns = r->total_ns = 0;
	for (; from < to; from += r->w->batch)
		if (resize_batch(r, from))
			return -1;
	return 0;
}

int umpa_work_resize(const struct umpa_work *w)
{
	struct resizing r = {.w = w, .block = umpa_worker_take(w->live * sizeof(*r.block))};

	if (!w->batch || w->live % w->batch || w->warmup % w->batch || w->ops % w->batch)
		return umpa_refuse(-1, "bench: resize: whole batches");
	if (resize_all(&r, 0, w->warmup))
		return refuse("resize");
	umpa_phase_begin(w);
	if (resize_all(&r, w->warmup, w->warmup + w->ops))
		return refuse("resize");
	umpa_phase_end(w);
	umpa_put("resize_ns", 0, (double)r.resize_ns / (double)w->ops);
	umpa_put("cost_ns", 0, (double)r.total_ns / (double)w->ops);
	return 0;
}

/* --- reuse: a size that was used before is handed out and taken back, untouched -------------- */

static int alloc_and_free(const struct umpa_work *w, uint64_t nbytes, uint64_t n, int touch)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		void *block = w->api->alloc(nbytes);

		if (!block)
			return -1;
		if (touch)
			umpa_touch(block, nbytes);
		w->api->release(block, nbytes);
	}
	return 0;
}

int umpa_work_reuse(const struct umpa_work *w)
{
	uint64_t start_ns, small_ns, large_ns;

	if (alloc_and_free(w, w->max, 1, 1) || alloc_and_free(w, w->min, 1, 1) ||
		alloc_and_free(w, w->max, 1, 0) || alloc_and_free(w, w->min, 1, 0))
		return refuse("reuse");
	umpa_phase_begin(w);
	start_ns = umpa_now_ns();
	if (alloc_and_free(w, w->min, w->ops, 0))
		return refuse("reuse");
	small_ns = umpa_now_ns();
	if (alloc_and_free(w, w->max, w->ops, 0))
		return refuse("reuse");
	large_ns = umpa_now_ns();
	umpa_phase_end(w);
	umpa_put("cost_ns", w->min, (double)(small_ns - start_ns) / (double)w->ops);
	umpa_put("cost_ns", w->max, (double)(large_ns - small_ns) / (double)w->ops);
	return 0;
}

/* --- calloc: a cleared block is handed out and taken back, one page of it touched, then all --- */

#define CALLOC_NBYTES_MAX  (32 << 20)
#define CALLOC_NBLOCKS_MAX 1024

static const uint64_t calloc_nbytes[] = {64 << 10, 1 << 20, 4 << 20, CALLOC_NBYTES_MAX};

/* ops blocks of the largest size; the same volume of the others, as far as that takes no longer
 * where each free returns the memory and each page is a fault. */
static uint64_t calloc_nblocks(const struct umpa_work *w, uint64_t nbytes)
{
	uint64_t n = w->ops * CALLOC_NBYTES_MAX / nbytes;

	return n < CALLOC_NBLOCKS_MAX ? n : CALLOC_NBLOCKS_MAX;
}

static int is_clear(const char *block, uint64_t nbytes)
{
	return !block[0] && !memcmp(block, block + 1, nbytes - 1);
}

/* Makes what comes next find used memory, if the allocator keeps any; and is it cleared? */
static int calloc_warm(const struct umpa_work *w, uint64_t nbytes)
{
	int i, clear = 1;

	for (i = 0; i < 3 && clear; i++) {
		char *block = w->api->alloc_zeroed(nbytes);

		if (!block)
			return refuse("calloc");
		clear = is_clear(block, nbytes);
		memset(block, 1, nbytes);
		w->api->release(block, nbytes);
	}
	return clear ? 0 : umpa_refuse(-1, "bench: calloc: a block is not clear");
}

/* The page touched alone lies in the middle: at the front an allocator may have written itself. */
static int calloc_and_free(const struct umpa_work *w, uint64_t nbytes, uint64_t n, int whole)
{
	uint64_t i;

	for (i = 0; i < n; i++) {
		char *block = w->api->alloc_zeroed(nbytes);

		if (!block)
			return refuse("calloc");
		umpa_touch(whole ? block : block + nbytes / 2, whole ? nbytes : 1);
		w->api->release(block, nbytes);
	}
	return 0;
}

struct calloc_figures {
	double ns, nfaults; /* per block */
};

static int calloc_measure(
	const struct umpa_work *w, uint64_t nbytes, int whole, struct calloc_figures *f)
{
	uint64_t n = calloc_nblocks(w, nbytes), nfaults, start_ns;

	if (calloc_warm(w, nbytes))
		return -1;
	nfaults = umpa_faults_now();
	start_ns = umpa_now_ns();
	if (calloc_and_free(w, nbytes, n, whole))
		return -1;
	f->ns = (double)(umpa_now_ns() - start_ns) / (double)n;
	f->nfaults = (double)(umpa_faults_now() - nfaults) / (double)n;
	return 0;
}

/* The phase holds the warming of each size too: its totals say less than the figures by size. */
int umpa_work_calloc(const struct umpa_work *w)
{
	struct calloc_figures f[array_len(calloc_nbytes)][2];
	size_t i, n = 0;

	if (!w->api->alloc_zeroed || !w->ops)
		return umpa_refuse(-1, "bench: calloc: no cleared memory by %s", w->api->name);
	while (n < array_len(calloc_nbytes) && calloc_nbytes[n] <= w->max)
		n++;
	umpa_phase_begin(w);
	for (i = 0; i < n; i++)
		if (calloc_measure(w, calloc_nbytes[i], 0, &f[i][0]) ||
			calloc_measure(w, calloc_nbytes[i], 1, &f[i][1]))
			return -1;
	umpa_phase_end(w);
	for (i = 0; i < n; i++) {
		umpa_put("page_ns", calloc_nbytes[i], f[i][0].ns);
		umpa_put("page_nfaults", calloc_nbytes[i], f[i][0].nfaults);
		umpa_put("whole_ns", calloc_nbytes[i], f[i][1].ns);
		umpa_put("whole_nfaults", calloc_nbytes[i], f[i][1].nfaults);
	}
	return 0;
}

/* --- moved: a span filled with superpages that lie scattered --------------------------------- */

static void fill(char *block, uint64_t tag)
{
	uint64_t i;

	for (i = 0; i < SLOT_NBYTES; i += PAGE_NBYTES)
		memcpy(block + i, &tag, sizeof(tag));
}

static int still_filled(const char *block, uint64_t tag)
{
	uint64_t i;

	for (i = 0; i < SLOT_NBYTES; i += PAGE_NBYTES)
		if (memcmp(block + i, &tag, sizeof(tag)))
			return 0;
	return 1;
}

static uint64_t slots_moved(void)
{
	struct umpa_stats stats;

	return umpa_get_stats(&stats, sizeof(stats)) ? 0 : stats.nslots_moved;
}

static int check_others(const struct umpa_work *w, char **block)
{
	uint64_t i;

	for (i = 1; i < w->live; i += 2)
		if (!still_filled(block[i], i))
			return umpa_refuse(-1, "bench: moved: content of another block changed");
	return 0;
}

/* The first move of a process also chooses the mover: not what is measured. */
static int move_once(const struct umpa_work *w)
{
	void *block[3], *span;
	size_t i;

	for (i = 0; i < array_len(block); i++) {
		block[i] = w->api->alloc(SLOT_NBYTES);
		if (!block[i])
			return -1;
		fill(block[i], 0);
	}
	w->api->release(block[0], SLOT_NBYTES);
	w->api->release(block[2], SLOT_NBYTES);
	span = w->api->alloc(2 * SLOT_NBYTES);
	if (!span)
		return -1;
	w->api->release(span, 2 * SLOT_NBYTES);
	w->api->release(block[1], SLOT_NBYTES);
	return 0;
}

/* Every other one of `live` superpages is freed, and one span is asked for that takes them all. */
int umpa_work_moved(const struct umpa_work *w)
{
	char **block = umpa_worker_take(w->live * sizeof(*block));
	uint64_t i, nmoved, start_ns, alloc_ns, touch_ns;
	void *span;

	if (move_once(w))
		return refuse("moved");
	for (i = 0; i < w->live; i++) {
		block[i] = w->api->alloc(SLOT_NBYTES);
		if (!block[i])
			return refuse("moved");
		fill(block[i], i);
	}
	for (i = 0; i < w->live; i += 2)
		w->api->release(block[i], SLOT_NBYTES);
	nmoved = slots_moved();
	umpa_phase_begin(w);
	start_ns = umpa_now_ns();
	span = w->api->alloc(w->live / 2 * SLOT_NBYTES);
	alloc_ns = umpa_now_ns() - start_ns;
	if (!span)
		return refuse("moved");
	umpa_touch(span, w->live / 2 * SLOT_NBYTES);
	touch_ns = umpa_now_ns() - start_ns - alloc_ns;
	umpa_phase_end(w);
	nmoved = slots_moved() - nmoved;
	umpa_put("alloc_ns", 0, (double)alloc_ns);
	umpa_put("touch_ns", 0, (double)touch_ns);
	umpa_put("nslots_moved", 0, (double)nmoved);
	if (nmoved)
		umpa_put("slot_ns", 0, (double)alloc_ns / (double)nmoved);
	return check_others(w, block);
}

/* --- sparse: one page touched in each superpage of a block ------------------------------------ */

int umpa_work_sparse(const struct umpa_work *w)
{
	uint64_t i, before_nbytes = umpa_status_nbytes("VmRSS:"), after_nbytes;
	volatile char *block;

	umpa_phase_begin(w);
	block = w->api->alloc(w->max);
	if (!block)
		return refuse("sparse");
	for (i = 0; i < w->max; i += SLOT_NBYTES)
		block[i] = 1;
	umpa_phase_end(w);
	after_nbytes = umpa_status_nbytes("VmRSS:");
	umpa_put("resident_nbytes", 0, (double)after_nbytes - (double)before_nbytes);
	return 0;
}

/* --- idle: a program that does next to nothing: hands out ops blocks of min
 * ------------------------- */

int umpa_work_idle(const struct umpa_work *w)
{
	umpa_phase_begin(w);
	if (alloc_and_free(w, w->min, w->ops, 1))
		return refuse("idle");
	umpa_phase_end(w);
	return 0;
}
