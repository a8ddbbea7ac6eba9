/*
 * The scaling test of 2011 inside: blocks of 4 KiB to 8 MiB, sizes 2^uniform, 32 of them live,
 * every page touched; by blocks of the machine's holding, and by the kernel's mmap() and munmap().
 * Then a block that grows to 1 GiB, moving each time: by entries, and by mremap().
 */
#include <sys/mman.h>

#include "inside.h"

enum {
	NLIVE = 32,
	LOG2_MIN = 12,
	LOG2_MAX = 23,
	NBINS = LOG2_MAX - LOG2_MIN,
	NBLOCKS = 1024,
	NROUNDS = 3, /* of growing, in machines of their own: each step counts by the least, as */
	NSTEPS_MAX = 16 /* the kernel may do something else in any */
};

#define HOLDING_NBYTES ((size_t)4 << 30)

/* Who gives and takes blocks; and address space alone, so that what lies before it can't grow. */
struct giver {
	void *(*get)(struct umpa_guest *g, size_t nbytes);
	void *(*get_fence)(struct umpa_guest *g, size_t nbytes);
	void (*put)(struct umpa_guest *g, void *block, size_t nbytes);
	void *(*grow)(struct umpa_guest *g, void *block, size_t nbytes, size_t to_nbytes);
};

struct work {
	const struct giver *giver;
	size_t nblocks, grown_nbytes;
	uint64_t ticks[NBINS], n[NBINS];
	uint64_t step[NSTEPS_MAX]; /* each time it has doubled: the least */
	unsigned nsteps;
	size_t moved_nbytes; /* while growing */
	long nwrong;
};

static void *get_inside(struct umpa_guest *g, size_t nbytes)
{
	return umpa_g_alloc(g, nbytes, 0);
}

static void *get_fence_inside(struct umpa_guest *g, size_t nbytes)
{
	return umpa_g_alloc(g, nbytes, UMPA_NOBACK);
}

static void put_inside(struct umpa_guest *g, void *block, size_t nbytes)
{
	(void)nbytes;
	umpa_g_free(g, block);
}

static void *grow_inside(struct umpa_guest *g, void *block, size_t nbytes, size_t to_nbytes)
{
	(void)nbytes;
	return umpa_g_realloc(g, block, to_nbytes, UMPA_NOBACK);
}

static void *get_by_call(struct umpa_guest *g, size_t nbytes)
{
	void *block =
		mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)g;
	return block == MAP_FAILED ? NULL : block;
}

static void put_by_call(struct umpa_guest *g, void *block, size_t nbytes)
{
	(void)g;
	munmap(block, nbytes);
}

/* To another place, as it would if something lay behind it. */
static void *grow_by_call(struct umpa_guest *g, void *block, size_t nbytes, size_t to_nbytes)
{
	void *to = get_by_call(g, to_nbytes);

	return to ? mremap(block, nbytes, to_nbytes, MREMAP_MAYMOVE | MREMAP_FIXED, to) : NULL;
}

static const struct giver inside_giver = {get_inside, get_fence_inside, put_inside, grow_inside};
static const struct giver kernel_giver = {get_by_call, get_by_call, put_by_call, grow_by_call};

struct live {
	char *block;
	size_t nbytes;
};

static unsigned bin_of(size_t nbytes)
{
	return 63 - LOG2_MIN - (unsigned)__builtin_clzll(nbytes);
}

static void put(struct umpa_guest *g, struct work *w, const struct live *l, int counts)
{
	uint64_t start = inside_ticks();

	w->giver->put(g, l->block, l->nbytes);
	if (counts)
		w->ticks[bin_of(l->nbytes)] += inside_ticks() - start;
}

static void get(struct umpa_guest *g, struct work *w, struct live *l, int counts)
{
	uint64_t start = inside_ticks();

	l->block = w->giver->get(g, l->nbytes);
	for (size_t at = 0; l->block && at < l->nbytes; at += PAGE_NBYTES)
		*(volatile char *)(l->block + at) = 1;
	if (counts) {
		w->ticks[bin_of(l->nbytes)] += inside_ticks() - start;
		w->n[bin_of(l->nbytes)]++;
	}
	w->nwrong += !l->block;
}

static void keep_least(uint64_t *least, uint64_t ticks)
{
	*least = *least && *least < ticks ? *least : ticks;
}

/* Doubles to its full size, moving each time: as much as it has itself is right behind it, since
 * nothing that it has left is so long. Each superpage says its number. */
static long grow(struct umpa_guest *g, void *arg)
{
	struct work *w = arg;
	size_t nbytes = SUPERPAGE_NBYTES;
	char *block = w->giver->get(g, nbytes);

	w->moved_nbytes = 0;
	w->nsteps = 0;
	for (size_t next; block && nbytes < w->grown_nbytes; nbytes = next) {
		void *fence = w->giver->get_fence(g, nbytes);
		char *was = block;
		uint64_t start = inside_ticks();

		next = 2 * nbytes;
		block = w->giver->grow(g, block, nbytes, next);
		keep_least(&w->step[w->nsteps++], inside_ticks() - start);
		w->moved_nbytes += block != was ? nbytes : 0;
		w->giver->put(g, fence, nbytes);
		for (size_t at = nbytes; block && at < next; at += SUPERPAGE_NBYTES)
			*(volatile size_t *)(block + at) = at;
	}
	for (size_t at = SUPERPAGE_NBYTES; block && at < nbytes; at += SUPERPAGE_NBYTES)
		w->nwrong += *(volatile size_t *)(block + at) != at;
	w->nwrong += !block;
	if (block)
		w->giver->put(g, block, nbytes);
	return 0;
}

static uint64_t all_steps(const struct work *w)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->nsteps; i++)
		sum += w->step[i];
	return sum;
}

static long run(struct umpa_guest *g, void *arg)
{
	struct live live[NLIVE] = {{NULL, 0}};
	struct work *w = arg;
	uint64_t random = 1;

	/* The first half is warming up. */
	for (size_t i = 0; i < 2 * w->nblocks; i++) {
		struct live *l = &live[i % NLIVE];
		unsigned log2 = LOG2_MIN + inside_random(&random) % NBINS;

		if (l->block)
			put(g, w, l, i >= w->nblocks);
		l->nbytes = ((size_t)1 << log2) + inside_random(&random) % ((size_t)1 << log2);
		get(g, w, l, i >= w->nblocks);
	}
	for (size_t i = 0; i < NLIVE; i++)
		if (live[i].block)
			w->giver->put(g, live[i].block, live[i].nbytes);
	return 0;
}

int main(void)
{
	struct inside in = inside_begin(HOLDING_NBYTES, NBLOCKS);
	size_t grown = in.ntimes < NBLOCKS ? (size_t)64 << 20 : (size_t)1 << 30;
	struct work inside = {.giver = &inside_giver, .nblocks = in.ntimes, .grown_nbytes = grown},
		    kernel = {.giver = &kernel_giver, .nblocks = in.ntimes, .grown_nbytes = grown};
	char name[32];

	inside_run(&in, run, &inside);
	run(NULL, &kernel);
	for (unsigned i = 0; i < NROUNDS; i++) {
		inside_renew(&in, HOLDING_NBYTES);
		inside_run(&in, grow, &inside);
		grow(NULL, &kernel);
	}
	inside_need(!inside.nwrong && !kernel.nwrong, "blocks and what they hold");
	for (unsigned i = 0; i < NBINS; i++) {
		snprintf(name, sizeof(name), "scaling: %u KiB", 4u << i);
		if (inside.n[i])
			inside_say(name, inside.ticks[i], kernel.ticks[i], inside.n[i]);
	}
	inside_need(inside.moved_nbytes >= grown / 2 && kernel.moved_nbytes >= grown / 2,
		"blocks that grow move");
	inside_say("realloc: a superpage", all_steps(&inside), all_steps(&kernel),
		grown / SUPERPAGE_NBYTES);
	umpa_vmm_destroy(in.vmm);
	return 0;
}
