#include <string.h>

#include "core/core.h"
#include "core/fork.h"
#include "core/options.h"
#include "core/outside.h"
#include "core/owns.h"
#include "core/runs.h"
#include "core/space.h"
#include "core/trial.h"
#include "os/fork_lock.h"

late_data struct umpa_core umpa_core;
int umpa_core_started;
struct umpa_bounds umpa_bounds;

static struct umpa_lock start_lock = UMPA_LOCK_INITIALIZER(LOCK_INIT);

/* The window is this many times physical memory, so that addresses never have to be fought for. */
enum {
	WINDOW_PER_MEMORY = 16,
	WINDOW_SHARE = 4 /* at most, of a limit of address space */
};

#define WINDOW_NBYTES_MIN ((size_t)64 << 20)
#define WINDOW_NBYTES_MAX ((size_t)8 << 40)

enum {
	NSHARDS_MAX = 64
};

/* A power of two that n, WINDOW_NBYTES_MAX at most, fits in. */
static size_t power_of_two_from(size_t n)
{
	size_t p = WINDOW_NBYTES_MIN;

	while (p < n)
		p *= 2;
	return p;
}

static size_t window_nbytes(const struct umpa_os_machine *m)
{
	size_t wanted = umpa_option(OPTION_window);
	size_t limit = m->as_limit_nbytes / WINDOW_SHARE;

	if (wanted != OPTION_AUTO)
		return wanted < WINDOW_NBYTES_MAX ? wanted : WINDOW_NBYTES_MAX;
	wanted = m->memory_nbytes > WINDOW_NBYTES_MAX / WINDOW_PER_MEMORY
			 ? WINDOW_NBYTES_MAX
			 : power_of_two_from(m->memory_nbytes * WINDOW_PER_MEMORY);
	/* Under a limit of address space the program must keep most of it. */
	while (wanted > limit && wanted > SLOT_NBYTES)
		wanted /= 2;
	return wanted;
}

static unsigned shard_count(const struct umpa_os_machine *m)
{
	size_t n = umpa_option(OPTION_shards);

	if (n == OPTION_AUTO || !n)
		n = m->ncpus;
	return n < NSHARDS_MAX ? (unsigned)n : NSHARDS_MAX;
}

/* The tables beside the window: of extents, of what slots are used for, of runs, and of each
 * shelf's heights, its slots' and its pairs'. */
enum {
	TABLE_EXTENTS,
	TABLE_RECORDS,
	TABLE_RUN_MAPS,
	TABLE_HEIGHTS
};

/* The upper part of one of the heights of a shard's shelf. */
static size_t inner_nbytes(const struct umpa_core *c)
{
	return rounded_up(umpa_heights_inner_nbytes(c->window.nslots), SHARD_ALIGN);
}

/* The shards lie side by side, as all of them are written to here, and then what they need. */
static int init_shards(struct umpa_core *c)
{
	size_t nbytes = c->nshards * (sizeof(struct umpa_shard) + 2 * inner_nbytes(c));
	void *memory;
	char *inner;
	int error;

	c->shards_nbytes = rounded_up(nbytes, PAGE_NBYTES);
	error = umpa_os_map(c->shards_nbytes, &memory);
	if (error)
		return error;
	c->shards = memory;
	inner = (char *)(c->shards + c->nshards);
	for (unsigned i = 0; i < c->nshards; i++, inner += 2 * inner_nbytes(c)) {
		struct umpa_shard *s = umpa_shard(i);
		const struct umpa_window_table *height = &c->window.table[TABLE_HEIGHTS + 2 * i];

		umpa_lock_init(&s->lock, LOCK_SHELF);
		s->number = i;
		umpa_shelf_init(&s->shelf, c->map, c->window.nslots, height[0].base, inner);
		umpa_shelf_pair(
			&s->shelf, c->window.nslots, height[1].base, inner + inner_nbytes(c));
	}
	return 0;
}

/* The window's front stays in base pages, so that a process with few small blocks does not pay for
 * a superpage. */
static void init_nursery(struct umpa_core *c)
{
	size_t nslots = umpa_option(OPTION_nursery) >> SLOT_SHIFT;
	void *front = (void *)c->window.base;

	/* Where memory counts before it is touched, all of it would count from the start. */
	if (nslots > c->window.nslots / 4 || c->machine.strict_commit)
		nslots = 0;
	if (nslots && !umpa_window_open(&c->window, (uint32_t)nslots)) {
		c->space.nnursery = (uint32_t)nslots;
		umpa_extents_skip(&c->space.extents, (uint32_t)nslots);
	}
	c->huge = umpa_option(OPTION_huge) != 0 &&
		  !umpa_os_advise_huge(slot_address((struct slot){c->space.nnursery}),
			  c->window.nbytes - ((size_t)c->space.nnursery << SLOT_SHIFT), 1);
	if (!c->huge)
		(void)!umpa_os_advise_huge(front, c->window.nbytes, 0);
	else if (c->space.nnursery)
		(void)!umpa_os_advise_huge(front, (size_t)c->space.nnursery << SLOT_SHIFT, 0);
}

static int init_window(struct umpa_core *c)
{
	size_t record_nbytes[TABLE_HEIGHTS + 2 * NSHARDS_MAX] = {sizeof(struct umpa_extent),
		sizeof(struct slot_record), sizeof(struct umpa_run_map)};

	for (unsigned i = 0; i < 2 * c->nshards; i++)
		record_nbytes[TABLE_HEIGHTS + i] = sizeof(int16_t);
	return umpa_window_init(&c->window, window_nbytes(&c->machine), SLOT_NBYTES, record_nbytes,
		TABLE_HEIGHTS + 2 * c->nshards);
}

static uint32_t keep_nslots(void)
{
	size_t keep = umpa_option(OPTION_keep);

	return keep >> SLOT_SHIFT < UINT32_MAX ? (uint32_t)(keep >> SLOT_SHIFT) : UINT32_MAX;
}

/* Without a window every block comes from the kernel. */
static void set_up(struct umpa_core *c)
{
	if (umpa_os_confined())
		return;
	umpa_os_machine(&c->machine);
	c->keep_nslots = keep_nslots();
	c->nshards = shard_count(&c->machine);
	if (c->machine.page_nbytes != PAGE_NBYTES || init_window(c))
		return;
	c->record = (void *)c->window.table[TABLE_RECORDS].base;
	c->map = (void *)c->window.table[TABLE_RUN_MAPS].base;
	umpa_space_init(&c->space, (void *)c->window.table[TABLE_EXTENTS].base);
	umpa_mover_plain_init(&c->mover, (void *)c->window.base, c->window.nbytes);
	if (init_shards(c)) {
		umpa_window_fini(&c->window);
		return;
	}
	init_nursery(c);
	__atomic_store_n(&umpa_bounds.base, c->window.base, __ATOMIC_RELAXED);
	/* Pairs with umpa_in_window(): who sees nbytes sees base. */
	__atomic_store_n(&umpa_bounds.nbytes, c->window.nbytes, __ATOMIC_RELEASE);
}

void umpa_core_start(void)
{
	umpa_lock_take(&start_lock);
	if (!umpa_core_started) {
		set_up(&umpa_core);
		__atomic_store_n(&umpa_core_started, 1, __ATOMIC_RELEASE);
	}
	umpa_lock_give(&start_lock);
}

/* Shelves keep a free slot each, which may be the last one that is in use. A descriptor that is
 * lost at that moment is not registered anew for what is given back. */
static void narrow(size_t nslots)
{
	struct umpa_mover *m = &umpa_core.mover;

	umpa_run_release_free();
	umpa_trial_lock();
	fork_lock_take(&m->lock);
	umpa_space_narrow(nslots ? (uint32_t)nslots : 1);
	m->window_nbytes = umpa_core.window.nbytes;
	fork_lock_give(&m->lock);
	umpa_trial_unlock();
}

void umpa_core_heed_limit(size_t as_limit_nbytes)
{
	size_t nslots = as_limit_nbytes / WINDOW_SHARE >> SLOT_SHIFT;

	if (!umpa_core_is_started())
		return;
	__atomic_store_n(&umpa_core.machine.as_limit_nbytes, as_limit_nbytes, __ATOMIC_RELAXED);
	if (nslots < umpa_core.window.nslots)
		narrow(nslots);
}

int umpa_core_yield(size_t nbytes)
{
	size_t limit, before = umpa_core.window.nbytes;

	limit = __atomic_load_n(&umpa_core.machine.as_limit_nbytes, __ATOMIC_RELAXED);
	if (!umpa_core_is_started() || limit == SIZE_MAX || nbytes > limit || !before)
		return 0;
	/* Or in a handler that has interrupted umpa. */
	if (umpa_critical.nsections)
		return 0;
	narrow(0);
	return umpa_core.window.nbytes < before;
}

void umpa_core_stop(void)
{
	struct umpa_core *c = &umpa_core;

	if (c->window.nbytes) {
		if (c->mover.fini)
			c->mover.fini(&c->mover);
		umpa_os_unmap(c->shards, c->shards_nbytes);
		umpa_window_fini(&c->window);
	}
	umpa_outside_stop();
	memset(c, 0, sizeof(*c));
	umpa_bounds = (struct umpa_bounds){0, 0};
	umpa_core_started = 0;
}

void umpa_core_lock_start(void)
{
	umpa_lock_take(&start_lock);
}

void umpa_core_unlock_start(void)
{
	umpa_lock_give(&start_lock);
}

/*
 * When the library is loaded, and not in umpa_core_start(): registering allocates, and that may
 * come back here. Before the constructors of a program that links the archive, whose own handlers
 * may call umpa. In this file, because a linker takes no object from an archive that nothing
 * refers to.
 */
__attribute__((constructor(101))) static void register_fork(void)
{
	umpa_fork_register();
}
