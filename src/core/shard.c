#include "core/shard.h"

#include "core/idle.h"
#include "core/space.h"

__thread unsigned umpa_shard_mine;
__thread unsigned umpa_shard_by_cpu; /* it is that of the CPU the thread runs on */

unsigned umpa_shard_crowd = 4;

/*
 * The first threads have a shard each, in turns and for good: a thread that the system carries from
 * CPU to CPU does not leave half-used slots behind. Where a shard has a crowd of them, those that
 * come later share it with others whatever they do, so each uses the shard of its CPU, which is in
 * that one's caches, and which hardly anyone else uses at the same moment. A crowd is not just one
 * more than the shards are: with as many working threads as CPUs behind an idle first one, the last
 * would meet another all the time.
 */
struct umpa_shard *umpa_shard_choose(void)
{
	static unsigned nthreads;

	if (!umpa_shard_by_cpu) {
		unsigned n = __atomic_fetch_add(&nthreads, 1, __ATOMIC_RELAXED);

		umpa_shard_by_cpu = n >= umpa_shard_crowd * umpa_core.nshards;
		umpa_shard_mine = 1 + n % umpa_core.nshards;
	}
	if (umpa_shard_by_cpu)
		umpa_shard_mine = 1 + umpa_os_cpu() % umpa_core.nshards;
	return umpa_shard(umpa_shard_mine - 1);
}

void umpa_shards_lock(void)
{
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		umpa_lock_take(&umpa_shard(i)->lock);
}

void umpa_shards_unlock(void)
{
	for (unsigned i = umpa_core.nshards; i-- > 0;)
		umpa_lock_give(&umpa_shard(i)->lock);
}

void umpa_shard_add_slot(struct umpa_shard *s, struct slot slot, unsigned npages,
	enum umpa_shelf_part part, int dirty)
{
	slot_set_shard(slot, s->number);
	umpa_shelf_add(&s->shelf, slot, npages, part, dirty);
	slot_set_use(slot, SLOT_SHELF);
}

/*
 * Takes the lock of this thread's shard, or, for a thread of the crowd that finds it taken, of
 * another one: so it waits only where all are taken, which is where threads are stopped while they
 * hold them. A thread that has its shard for good keeps to it: one that went elsewhere for once
 * would leave blocks there which it frees across shards, and so would meet others ever after. (Two
 * threads with their own blocks of 64 KiB to 1 MiB: 2.6 million blocks a second instead of 5.7, by
 * hand.)
 */
struct umpa_shard *umpa_shard_lock_some(void)
{
	struct umpa_shard *s = umpa_shard_of_thread();

	if (unlikely(umpa_inbox_is_due(&s->inbox)))
		umpa_shard_collect(s);
	if (likely(umpa_lock_try(&s->lock)))
		return s;
	for (unsigned i = 1; umpa_shard_by_cpu && i < umpa_core.nshards; i++) {
		struct umpa_shard *other = umpa_shard((s->number + i) % umpa_core.nshards);

		if (umpa_lock_try(&other->lock)) {
			umpa_shard_mine = other->number + 1;
			return other;
		}
	}
	umpa_lock_take(&s->lock);
	return s;
}

/* --- giving pages back ---------------------------------------------------------------------- */

/*
 * A slot all free goes to the pool, but for the nursery's, and but for one that the shard keeps, so
 * that a thread which allocates and frees one block stays with its shelf. The end of a span's tail
 * does not count for that: its slot belongs beside the span's others.
 */
void umpa_shard_give_pages(struct umpa_shard *s, struct slot slot, unsigned page, unsigned npages,
	int keep, struct umpa_leaving *l)
{
	int free = umpa_shelf_give(&s->shelf, slot, page, npages) && !slot_in_nursery(slot);

	s->block_npages -= npages;
	if (slot_in_nursery(slot))
		s->naside_looked_at = 0;
	if (!free || (keep && !umpa_shelf_has_spare(&s->shelf))) {
		if (umpa_idle_is_much(s, slot))
			l->idle = slot;
		return;
	}
	umpa_shelf_remove(&s->shelf, slot);
	slot_set_use(slot, SLOT_INNER);
	l->slot[l->n++] = slot;
}

/* Pages in runs and tails that are not set aside. */
static uint64_t npages_in_use(const struct umpa_shard *s)
{
	return (uint64_t)s->shelf.nslots * SLOT_NPAGES - s->shelf.nfree_pages - s->bins.npages;
}

enum {
	ASIDE_SHARE = 8
};

/* So much is a share of what is in use: it keeps frames from nobody, as it goes home before any are
 * taken, and superpages from the pool only beside many that hold runs. */
static int is_share(const struct umpa_shard *s, unsigned npages)
{
	return (uint64_t)npages * ASIDE_SHARE <= npages_in_use(s);
}

/*
 * Not too much is set aside with this run. Beside a share that is little, in one slot: where all
 * else of it is free, it is as good as the free one that a shelf keeps. The nursery's pages have
 * frames of their own, for which others would get fresh ones meanwhile: little of those.
 */
static int is_bounded(const struct umpa_shard *s, struct umpa_run run)
{
	unsigned npages = s->bins.npages + run.npages;

	if (slot_in_nursery(run.slot))
		return npages <= ASIDE_LITTLE_NPAGES;
	return is_share(s, npages) ||
	       (npages <= ASIDE_LITTLE_NPAGES && umpa_bins_are_in(&s->bins, run.slot));
}

int umpa_shard_set_aside(struct umpa_shard *s, struct umpa_run run)
{
	/* The option keep bounds what is free, and looks at the pool. */
	if (!umpa_bins_have_room(&s->bins, run.npages) || umpa_core.keep_nslots != UINT32_MAX)
		return 0;
	if (!is_bounded(s, run)) {
		if (!s->bins.npages)
			umpa_bins_rest(&s->bins);
		return 0;
	}
	umpa_bins_note_freed(&s->bins, run.npages);
	umpa_bins_put(&s->bins, run);
	umpa_shelf_set_aside(&s->shelf, run);
	s->nfrees++;
	s->block_npages -= run.npages;
	umpa_shard_note_recent(s);
	return 1;
}

/* What is set aside has become too much, by what else was freed. */
static int is_too_much_aside(const struct umpa_shard *s)
{
	return s->bins.npages && s->bins.is_mixed && !is_share(s, s->bins.npages);
}

void umpa_shard_give_run(struct umpa_shard *s, struct umpa_run run, struct umpa_leaving *l)
{
	if (umpa_shard_set_aside(s, run)) {
		if (umpa_idle_is_much(s, run.slot))
			l->idle = run.slot;
		else if (slot_in_nursery(run.slot))
			s->naside_looked_at = s->bins.npages;
		return;
	}
	umpa_bins_note_freed(&s->bins, run.npages);
	s->nfrees++;
	umpa_shard_give_pages(s, run.slot, run.page, run.npages, 1, l);
	l->aside = is_too_much_aside(s);
}

void umpa_shard_give_lock(struct umpa_shard *s, const struct umpa_leaving *l)
{
	umpa_lock_give(&s->lock);
	for (unsigned i = 0; i < l->n; i++)
		umpa_space_give(l->slot[i], 1, EXTENT_RESIDENT);
	if (unlikely(l->aside))
		umpa_shard_empty_bins(s);
	if (!slot_is(l->idle, NO_SLOT))
		umpa_idle_give(s, l->idle);
}

/* --- the inbox ------------------------------------------------------------------------------ */

/* None of the runs has a tail, or is a span's head (lock_or_put() in runs.c). */
static void empty_full_inbox(struct umpa_shard *s, struct umpa_leaving *l)
{
	void *block[INBOX_NBLOCKS];

	umpa_inbox_look(&s->inbox, block);
	for (unsigned i = 0; i < INBOX_NBLOCKS; i++) {
		struct umpa_run run;

		if (!block[i])
			continue;
		run = umpa_shelf_find(&s->shelf, umpa_window_slot(&umpa_core.window, block[i]),
			umpa_window_page_in_slot(block[i]));
		if (unlikely(!run.npages)) {
			umpa_lock_give(&s->lock); /* a handler of the abort may allocate */
			umpa_misuse("umpa_free", block[i], "freed twice, by two threads at once");
		}
		umpa_shard_give_run(s, run, l);
		umpa_inbox_clear(&s->inbox, i);
	}
}

void umpa_shard_empty_inbox(struct umpa_shard *s, struct umpa_leaving *l)
{
	if (unlikely(!umpa_inbox_is_empty(&s->inbox)))
		empty_full_inbox(s, l);
}

int umpa_shard_collect(struct umpa_shard *s)
{
	struct umpa_leaving l;

	if (umpa_inbox_is_empty(&s->inbox))
		return 0;
	umpa_leave_none(&l);
	umpa_lock_take(&s->lock);
	umpa_shard_empty_inbox(s, &l);
	umpa_shard_give_lock(s, &l);
	return 1;
}

/* --- the bins ------------------------------------------------------------------------------- */

void umpa_shard_note_recent(const struct umpa_shard *s)
{
	uint64_t bit = (uint64_t)1 << s->number;

	if (!(__atomic_load_n(&umpa_core.recent_shards, __ATOMIC_RELAXED) & bit))
		__atomic_fetch_or(&umpa_core.recent_shards, bit, __ATOMIC_RELAXED);
}

/* Takes up to nmax runs out as if they were blocks again, and gives them back. Result: pages. */
static uint32_t give_home(struct umpa_shard *s, unsigned nmax)
{
	struct umpa_leaving l;
	struct umpa_run run;
	uint32_t npages = 0;

	umpa_leave_none(&l);
	umpa_lock_take(&s->lock);
	while (nmax-- && umpa_bins_take_any(&s->bins, &run)) {
		umpa_shelf_take_again(&s->shelf, run);
		npages += run.npages;
		s->block_npages += run.npages;
		umpa_shard_give_pages(s, run.slot, run.page, run.npages, 1, &l);
	}
	l.idle = NO_SLOT; /* they were counted before */
	umpa_shard_give_lock(s, &l);
	return npages;
}

int umpa_shard_empty_bins(struct umpa_shard *s)
{
	uint32_t left = umpa_bins_npages(&s->bins), n = 1;
	int any = left != 0;

	/* As many at a time as umpa_leaving has room for the slots of. Others may go on freeing. */
	for (; left && n; left -= n < left ? n : left)
		n = give_home(s, INBOX_NBLOCKS);
	return any;
}

int umpa_shard_settle(struct umpa_shard *s)
{
	int any = umpa_shard_collect(s);

	return umpa_shard_empty_bins(s) || any;
}

void umpa_shards_collect(void)
{
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		umpa_shard_collect(umpa_shard(i));
}
