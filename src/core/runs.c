#include "core/runs.h"

#include <errno.h>

#include "core/clear.h"
#include "core/space.h"

/* This thread's shard plus 1; 0: it has none yet. by_cpu: and is whose CPU it runs on. */
static __thread unsigned mine, by_cpu;

unsigned umpa_shard_crowd = 4;

/*
 * The first threads have a shard each, in turns and for good: a thread that the system carries from
 * CPU to CPU does not leave half-used slots behind. Where a shard has a crowd of them, those that
 * come later share it with others whatever they do, so each uses the shard of its CPU, which is in
 * that one's caches, and which hardly anyone else uses at the same moment. A crowd is not just one
 * more than the shards are: with as many working threads as CPUs behind an idle first one, the last
 * would meet another all the time.
 */
static void choose_shard(void)
{
	static unsigned nthreads;

	if (!by_cpu) {
		unsigned n = __atomic_fetch_add(&nthreads, 1, __ATOMIC_RELAXED);

		by_cpu = n >= umpa_shard_crowd * umpa_core.nshards;
		mine = 1 + n % umpa_core.nshards;
	}
	if (by_cpu)
		mine = 1 + umpa_os_cpu() % umpa_core.nshards;
}

struct umpa_shard *umpa_shard_of_thread(void)
{
	/* Too high where the core was started anew, with fewer. */
	if (unlikely(!mine || by_cpu || mine > umpa_core.nshards))
		choose_shard();
	return umpa_shard(mine - 1);
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

static int is_mine(const struct umpa_shard *s)
{
	return s->number + 1 == mine;
}

static struct umpa_shard *shard_of(struct slot slot)
{
	return umpa_shard(slot_shard(slot));
}

static void add_locked(struct umpa_shard *s, struct slot slot, unsigned npages,
	enum umpa_shelf_part part, int dirty)
{
	slot_set_shard(slot, s->number);
	umpa_shelf_add(&s->shelf, slot, npages, part, dirty);
	slot_set_use(slot, SLOT_SHELF);
}

static int in_nursery(struct slot slot)
{
	return slot.i < umpa_core.space.nnursery;
}

/* --- idle pages of the nursery ------------------------------------------------------------ */

/*
 * Blocks that grow by copying leave pages behind which larger ones don't fit into. Of the nursery's
 * slots, in base pages, they go back to the kernel where a slot has more of them than this after a
 * free, but for what is little beside all slots in use. Where such are wanted again within
 * IDLE_PAGE_NS for each (twenty times what a fault takes), twice as many may stay, and then all: so
 * giving back is in vain for a superpage's pages at most.
 *
 * Where slots come from the kernel, a few idle pages are given for them, so that the peak of a
 * small process is not both; within IDLE_FORGET_NS of a time that was in vain they are not, unless
 * most of a slot is idle: its pages cost no more to get back than the superpage just given.
 */
enum {
	NIDLE_MAX = 256,
	NIDLE_MAX_AT_GROWTH = 64,
	NIDLE_LITTLE = 4,     /* of a slot of the nursery, for each slot in use */
	IDLE_NPAGES_MIN = 16, /* in a row, for a system call */
	IDLE_PAGE_NS = 50000,
	IDLE_FORGET_NS = 250000000
};

static unsigned nidle_max(const struct umpa_shard *s)
{
	return s->nidle_max ? s->nidle_max : NIDLE_MAX;
}

static int has_idle_above(const struct umpa_shard *s, struct slot slot, unsigned n)
{
	unsigned nidle = umpa_shelf_count_idle(&s->shelf, slot);

	return nidle > n && nidle / NIDLE_LITTLE > umpa_space_nused_about();
}

static int has_too_many_idle(const struct umpa_shard *s, struct slot slot)
{
	return in_nursery(slot) && umpa_space_may_shed() && has_idle_above(s, slot, nidle_max(s));
}

/* Gives the next row of idle pages, from page `from` on, to the kernel. Result: that row; npages 0
 * if there is none, or the kernel refuses. */
static struct umpa_run give_idle_row(struct umpa_shard *s, struct slot slot, unsigned from)
{
	struct umpa_run row;
	int err;

	umpa_lock_take(&s->lock);
	row = umpa_shelf_take_idle(&s->shelf, slot, from, IDLE_NPAGES_MIN);
	umpa_lock_give(&s->lock);
	if (!row.npages)
		return row;
	err = umpa_os_unback(page_address(slot, row.page), (size_t)row.npages << PAGE_SHIFT);
	umpa_lock_take(&s->lock);
	if (err) {
		umpa_shelf_give(&s->shelf, slot, row.page, row.npages);
		s->nidle_max = SLOT_NPAGES;
	} else {
		umpa_shelf_give_zero(&s->shelf, row);
	}
	umpa_lock_give(&s->lock);
	row.npages = err ? 0 : row.npages;
	return row;
}

static void give_idle(struct umpa_shard *s, struct slot slot)
{
	struct umpa_run row = {slot, 0, 0}, longest = row;
	uint64_t npages = 0, now_ns;

	while ((row = give_idle_row(s, slot, row.page + row.npages)).npages) {
		npages += row.npages;
		longest = row.npages > longest.npages ? row : longest;
	}
	event_add(&umpa_core.events.trimmed_nbytes, npages << PAGE_SHIFT);
	now_ns = umpa_os_clock_ns();
	umpa_lock_take(&s->lock);
	s->idle_given = longest;
	s->idle_given_ns = now_ns;
	umpa_lock_give(&s->lock);
}

static int is_to_give(struct umpa_shard *s, struct slot slot, uint64_t now_ns)
{
	int in_vain, is;

	umpa_lock_take(&s->lock);
	in_vain = s->nidle_max && now_ns - s->idle_given_ns < IDLE_FORGET_NS;
	is = has_idle_above(s, slot, in_vain ? NIDLE_MAX : NIDLE_MAX_AT_GROWTH);
	umpa_lock_give(&s->lock);
	return is;
}

static void give_idle_of_all(uint32_t nslots)
{
	uint64_t now_ns = umpa_os_clock_ns();

	for (struct slot slot = {0}; slot.i < nslots; slot.i++) {
		struct umpa_shard *s = shard_of(slot);

		if (is_to_give(s, slot, now_ns))
			give_idle(s, slot);
	}
}

void umpa_run_give_for_growth(void)
{
	struct umpa_space *s = &umpa_core.space;

	if (likely(!__atomic_load_n(&s->grown, __ATOMIC_RELAXED)))
		return;
	__atomic_store_n(&s->grown, 0, __ATOMIC_RELAXED);
	if (umpa_space_may_shed())
		give_idle_of_all(__atomic_load_n(&s->nnursery_used, __ATOMIC_RELAXED));
}

static int overlap(const struct umpa_run *a, const struct umpa_run *b)
{
	return slot_is(a->slot, b->slot) && a->page < b->page + b->npages &&
	       b->page < a->page + a->npages;
}

/* A run was taken out of the row that went to the kernel last. */
static void note_idle_wanted(struct umpa_shard *s)
{
	uint64_t now_ns = umpa_os_clock_ns();

	umpa_lock_take(&s->lock);
	if (now_ns - s->idle_given_ns < (uint64_t)s->idle_given.npages * IDLE_PAGE_NS)
		s->nidle_max = 2 * nidle_max(s);
	s->idle_given.npages = 0;
	umpa_lock_give(&s->lock);
}

/* --- giving pages back ---------------------------------------------------------------------- */

/* Slots that all of a shard's runs have left, on their way to the pool; and one of the nursery's
 * that has too many idle pages, or NO_SLOT. */
struct leaving {
	struct slot slot[INBOX_NBLOCKS + 1];
	unsigned n;
	struct slot idle;
};

static void leave_none(struct leaving *l)
{
	l->n = 0;
	l->idle = NO_SLOT;
}

/*
 * Gives pages back, under the shard's lock. A slot all free goes to the pool, but for the
 * nursery's, and but for one that the shard keeps, so that a thread which allocates and frees one
 * block stays with its shelf. The end of a span's tail does not count for that: its slot belongs
 * beside the span's others.
 */
static void give_pages(struct umpa_shard *s, struct slot slot, unsigned page, unsigned npages,
	int keep, struct leaving *l)
{
	int free = umpa_shelf_give(&s->shelf, slot, page, npages) && !in_nursery(slot);

	s->block_npages -= npages;
	if (!free || (keep && !umpa_shelf_has_spare(&s->shelf))) {
		if (has_too_many_idle(s, slot))
			l->idle = slot;
		return;
	}
	umpa_shelf_remove(&s->shelf, slot);
	slot_set_use(slot, SLOT_INNER);
	l->slot[l->n++] = slot;
}

static void give_run(struct umpa_shard *s, struct umpa_run run, struct leaving *l)
{
	s->nfrees++;
	give_pages(s, run.slot, run.page, run.npages, 1, l);
}

/* Gives the shard's lock, and to the space what has left the shelf under it. */
static void give_lock(struct umpa_shard *s, const struct leaving *l)
{
	umpa_lock_give(&s->lock);
	for (unsigned i = 0; i < l->n; i++)
		umpa_space_give(l->slot[i], 1, EXTENT_RESIDENT);
	if (!slot_is(l->idle, NO_SLOT))
		give_idle(s, l->idle);
}

/* --- the inbox ------------------------------------------------------------------------------ */

/* Gives the runs of the inbox back, under the shard's lock. None of them has a tail, or is a span's
 * head (lock_or_put()). */
static void empty_full_inbox(struct umpa_shard *s, struct leaving *l)
{
	void *block[INBOX_NBLOCKS];
	unsigned n = umpa_inbox_take(&s->inbox, block);

	for (unsigned i = 0; i < n; i++) {
		struct umpa_run run =
			umpa_shelf_find(&s->shelf, umpa_window_slot(&umpa_core.window, block[i]),
				umpa_window_page_in_slot(block[i]));

		if (!run.npages)
			umpa_misuse("umpa_free", block[i], "freed twice, by two threads at once");
		give_run(s, run, l);
	}
}

static void empty_inbox(struct umpa_shard *s, struct leaving *l)
{
	if (unlikely(!umpa_inbox_is_empty(&s->inbox)))
		empty_full_inbox(s, l);
}

/* 1 if there was something in the shard's inbox, which is on the shelf now. */
static int collect(struct umpa_shard *s)
{
	struct leaving l;

	if (umpa_inbox_is_empty(&s->inbox))
		return 0;
	leave_none(&l);
	umpa_lock_take(&s->lock);
	empty_inbox(s, &l);
	give_lock(s, &l);
	return 1;
}

void umpa_run_collect(void)
{
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		collect(umpa_shard(i));
}

/* The shard of a slot, whose shelf knows now of all that was freed before this call. */
static struct umpa_shard *collected_shard_of(struct slot slot)
{
	struct umpa_shard *s = shard_of(slot);

	collect(s);
	return s;
}

/*
 * Takes the lock of a run's shard, to give the run back: 1. Or leaves the run in the inbox, where
 * the lock is another shard's or isn't to be had at once: 0. -EINVAL: it was there.
 *
 * In the inbox it must be known to end in its slot, which is seen without the lock if another run
 * follows. So the last run of a slot is given back under the lock, and those that wait with it:
 * what waits keeps no superpage from the pool.
 */
static int lock_or_put(struct umpa_shard *s, struct slot slot, unsigned page)
{
	if (is_mine(s) && umpa_lock_try(&s->lock))
		return 1;
	if (umpa_shelf_is_followed(&s->shelf, slot, page)) {
		int err = umpa_inbox_put(&s->inbox, page_address(slot, page));

		if (err != -ENOSPC)
			return err ? -EINVAL : 0;
	}
	umpa_lock_take(&s->lock);
	return 1;
}

/* --- taking --------------------------------------------------------------------------------- */

/* Puts one more slot on the shard's shelf. */
static int restock(struct umpa_shard *s)
{
	enum umpa_extent_kind kind;
	unsigned nreserved;
	struct slot slot;
	int err = umpa_space_take_for_shelf(&slot, &kind, &nreserved);

	if (err)
		return err;
	umpa_lock_take(&s->lock);
	add_locked(s, slot, nreserved, FIRST_TAIL, kind == EXTENT_RESIDENT);
	umpa_lock_give(&s->lock);
	return 0;
}

/*
 * Takes the lock of this thread's shard, or, for a thread of the crowd that finds it taken, of
 * another one: so it waits only where all are taken, which is where threads are stopped while they
 * hold them. A thread that has its shard for good keeps to it: one that went elsewhere for once
 * would leave blocks there which it frees across shards, and so would meet others ever after. (Two
 * threads with their own blocks of 64 KiB to 1 MiB: 2.6 million blocks a second instead of 5.7, by
 * hand.)
 */
static struct umpa_shard *lock_some_shard(void)
{
	struct umpa_shard *s = umpa_shard_of_thread();

	if (unlikely(umpa_inbox_is_due(&s->inbox)))
		collect(s);
	if (likely(umpa_lock_try(&s->lock)))
		return s;
	for (unsigned i = 1; by_cpu && i < umpa_core.nshards; i++) {
		struct umpa_shard *other = umpa_shard((s->number + i) % umpa_core.nshards);

		if (umpa_lock_try(&other->lock)) {
			mine = other->number + 1;
			return other;
		}
	}
	umpa_lock_take(&s->lock);
	return s;
}

/* Ends the taking of a run, under the shard's lock, which is given. got: 0 if there is none. */
static int end_taking(struct umpa_shard *s, const struct umpa_run *run, int got)
{
	int was_given = 0;

	if (got) {
		s->nallocs++;
		s->block_npages += run->npages;
		was_given = s->idle_given.npages && overlap(run, &s->idle_given);
	}
	umpa_lock_give(&s->lock);
	if (unlikely(was_given))
		note_idle_wanted(s);
	return got;
}

/* Takes a run, under the shard's lock, which is given. */
static int take(struct umpa_shard *s, unsigned npages, unsigned align, struct umpa_run *run,
	struct bitmap *dirty)
{
	return end_taking(s, run, umpa_shelf_take(&s->shelf, npages, align, run, dirty));
}

/* A run from this many pages on may straddle two slots; smaller ones find a place soon enough.
 * (Simulated as in span.c: peak 1.087 from 16 pages on, 1.091 from 32, 1.096 from 64.) */
enum {
	STRADDLE_NPAGES_MIN = 16
};

/* Takes the last npages of a slot as the beginning of a block, which counts as nblocks. */
static int take_back(struct slot slot, unsigned npages, unsigned nblocks, unsigned flags)
{
	struct umpa_shard *s = shard_of(slot);
	struct bitmap dirty;
	int got;

	umpa_lock_take(&s->lock);
	got = slot_use(slot) == SLOT_SHELF &&
	      umpa_shelf_take_at(&s->shelf, slot, SLOT_NPAGES - npages, npages, &dirty);
	if (got) {
		s->nallocs += nblocks;
		s->block_npages += npages;
	}
	umpa_lock_give(&s->lock);
	if (got && flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(slot), SLOT_NPAGES - npages, npages, &dirty);
	return got;
}

/* A run that begins in the free back of a slot of the shelf, from `from` on, and ends in the free
 * front of the next. */
static void *alloc_across(struct umpa_shard *s, struct slot from, unsigned npages, unsigned flags)
{
	struct bitmap dirty[2];
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	if (!end_taking(s, &run, umpa_shelf_take_across(&s->shelf, from, npages, &run, dirty)))
		return NULL;
	if (flags & UMPA_ZERO) {
		unsigned nfirst = SLOT_NPAGES - run.page;

		umpa_clear_dirty(slot_address(run.slot), run.page, nfirst, &dirty[0]);
		umpa_clear_dirty(
			slot_address(slot_after(run.slot, 1)), 0, npages - nfirst, &dirty[1]);
	}
	return page_address(run.slot, run.page);
}

/* What a run that is to end in the next slot must have in the first at least. */
static unsigned nback_min(unsigned npages)
{
	return npages < SLOT_NPAGES + STRADDLE_NPAGES_MIN / 2 ? STRADDLE_NPAGES_MIN / 2
							      : npages - RUN_NPAGES_MAX;
}

/* A run that begins in the free back of a slot and ends in a fresh one. Of a slot of this shard: in
 * another's it would be freed across shards, and the two would meet there ever after. (Two threads
 * with their own blocks of 64 KiB to 1 MiB: 320 ns of processor time a block instead of 343, and
 * no waiting for locks, which was 4 % of it.) */
static void *alloc_straddling(unsigned npages, unsigned flags, int may_grow)
{
	struct space_neighbour mine_with_room = {
		SLOT_SHELF, umpa_shard_of_thread()->number, nback_min(npages)};
	struct space_grant g;
	struct slot first;
	unsigned nback;
	int dirty;

	if (umpa_space_take_behind(&mine_with_room, 1, may_grow, &g, &nback))
		return NULL;
	first = (struct slot){g.slot.i - 1};
	dirty = g.piece[0].kind == EXTENT_RESIDENT;
	if (nback >= npages)
		nback = npages - 1;
	if (!nback || !take_back(first, nback, 1, flags)) {
		umpa_space_give(g.slot, 1, g.piece[0].kind);
		return NULL;
	}
	if (dirty && flags & UMPA_ZERO)
		umpa_clear_frames(slot_address(g.slot), npages - nback);
	umpa_run_adopt(g.slot, npages - nback, FIRST_TAIL, dirty);
	return page_address(first, SLOT_NPAGES - nback);
}

static int nursery_is_used_up(void)
{
	const struct umpa_space *s = &umpa_core.space;

	return __atomic_load_n(&s->nnursery_used, __ATOMIC_RELAXED) == s->nnursery;
}

static void *alloc_in_two_slots(struct umpa_shard *s, unsigned npages, unsigned flags)
{
	void *block = alloc_across(s, (struct slot){0}, npages, flags);

	return block || !nursery_is_used_up() ? block : alloc_straddling(npages, flags, 0);
}

void *umpa_run_alloc_long(unsigned npages, unsigned flags)
{
	struct umpa_shard *s = umpa_shard_of_thread();
	struct slot from = {umpa_core.space.nnursery};
	void *block = NULL;

	do
		block = alloc_across(s, from, npages, flags);
	while (!block && collect(s));
	return block ? block : alloc_straddling(npages, flags, 1);
}

void *umpa_run_alloc(unsigned npages, unsigned align, unsigned flags)
{
	struct umpa_shard *s = lock_some_shard();
	struct bitmap dirty;
	struct umpa_run run;

	while (!take(s, npages, align, &run, flags & UMPA_ZERO ? &dirty : NULL)) {
		void *block = NULL;

		if (!collect(s)) {
			if (npages >= STRADDLE_NPAGES_MIN && align == 1)
				block = alloc_in_two_slots(s, npages, flags);
			if (block)
				return block;
			if (restock(s))
				return NULL;
		}
		umpa_lock_take(&s->lock);
	}
	if (flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(run.slot), run.page, npages, &dirty);
	return page_address(run.slot, run.page);
}

/* Pages that a run, which reaches the end of its slot, has in the next one. A slot on a shelf is
 * followed by a tail only if its last run goes on there: before the tail of a span there is the
 * span. */
static unsigned tail_behind(struct slot slot)
{
	struct slot next = slot_after(slot, 1);

	if (next.i >= umpa_window_nslots_open(&umpa_core.window) || slot_use(next) != SLOT_SHELF)
		return 0;
	return __atomic_load_n(&umpa_core.map[next.i].ntail, __ATOMIC_RELAXED);
}

static unsigned tail_of(struct umpa_run run)
{
	return run.npages && run.page + run.npages == SLOT_NPAGES ? tail_behind(run.slot) : 0;
}

struct umpa_run umpa_run_find(struct slot slot, unsigned page)
{
	struct umpa_shard *s = collected_shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	run = umpa_shelf_find(&s->shelf, slot, page);
	umpa_lock_give(&s->lock);
	run.npages = (uint16_t)(run.npages + tail_of(run));
	return run;
}

struct umpa_run umpa_run_around(struct slot slot, unsigned page)
{
	struct umpa_shard *s = collected_shard_of(slot);
	struct umpa_run run;

	umpa_lock_take(&s->lock);
	while (page && !bitmap_get(&umpa_core.map[slot.i].head, page))
		page--;
	run = umpa_shelf_find(&s->shelf, slot, page);
	umpa_lock_give(&s->lock);
	run.npages = (uint16_t)(run.npages + tail_of(run));
	return run;
}

int umpa_run_in_tail(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	int in_tail;

	umpa_lock_take(&s->lock);
	in_tail = page < umpa_core.map[slot.i].ntail;
	umpa_lock_give(&s->lock);
	return in_tail;
}

static void shorten(struct slot slot, unsigned page, unsigned npages)
{
	struct umpa_shard *s = shard_of(slot);
	struct leaving l;

	leave_none(&l);
	umpa_lock_take(&s->lock);
	empty_inbox(s, &l);
	give_pages(s, slot, page, npages, 0, &l);
	give_lock(s, &l);
}

/* 1 if a run that is given back under the lock can't be without what waits: it may wait itself,
 * freed by another thread before, or be the last of its slot. A shard's own threads leave the rest
 * until it is due. */
static int inbox_matters(const struct umpa_shard *s, struct slot slot, unsigned page)
{
	return !umpa_inbox_is_empty(&s->inbox) &&
	       (!is_mine(s) || !umpa_shelf_is_followed(&s->shelf, slot, page) ||
		       umpa_inbox_has(&s->inbox, page_address(slot, page)));
}

int umpa_run_free(struct slot slot, unsigned page)
{
	struct umpa_shard *s = shard_of(slot);
	struct leaving l;
	struct umpa_run run;
	unsigned ntail, nhead;
	int locked = lock_or_put(s, slot, page);

	if (locked != 1)
		return locked;
	leave_none(&l);
	if (inbox_matters(s, slot, page))
		empty_inbox(s, &l);
	run = umpa_shelf_find(&s->shelf, slot, page);
	ntail = tail_of(run);
	nhead = umpa_run_is_head(run);
	if (!run.npages || ntail || nhead) {
		give_lock(s, &l);
		if (!run.npages || nhead)
			return nhead ? 1 : -EINVAL;
		/* The tail goes first: while it is there, the end of this slot must not be
		 * another's. */
		umpa_run_trim_tail(slot_after(slot, 1), ntail, 0);
		leave_none(&l);
		umpa_lock_take(&s->lock);
	}
	give_run(s, run, &l);
	give_lock(s, &l);
	return 0;
}

static int extend(struct slot slot, unsigned page, unsigned npages, unsigned flags)
{
	struct umpa_shard *s = shard_of(slot);
	struct bitmap dirty;
	int got;

	do {
		umpa_lock_take(&s->lock);
		got = umpa_shelf_extend(&s->shelf, slot, page, npages, &dirty);
		if (got)
			s->block_npages += npages;
		umpa_lock_give(&s->lock);
	} while (!got && collect(s));
	if (got && flags & UMPA_ZERO)
		umpa_clear_dirty(slot_address(slot), page, npages, &dirty);
	return got;
}

int umpa_run_resize(struct umpa_run run, unsigned npages, unsigned flags)
{
	unsigned nhere = run.npages, ntail = 0;
	struct slot next = slot_after(run.slot, 1);

	if (run.page + nhere > SLOT_NPAGES) {
		nhere = SLOT_NPAGES - run.page;
		ntail = run.npages - nhere;
	}
	if (npages > run.npages)
		return ntail ? umpa_run_extend_tail(next, ntail, npages - run.npages, flags)
			     : extend(run.slot, run.page + nhere, npages - nhere, flags);
	if (ntail && npages < run.npages)
		umpa_run_trim_tail(next, ntail, npages > nhere ? npages - nhere : 0);
	if (npages < nhere)
		shorten(run.slot, run.page + npages, nhere - npages);
	return 1;
}

int umpa_run_take_head(struct slot slot, unsigned nhead, unsigned flags)
{
	return take_back(slot, nhead, 0, flags);
}

void umpa_run_trim_head(struct slot slot, unsigned nhead, unsigned nkeep)
{
	shorten(slot, SLOT_NPAGES - nhead + nkeep, nhead - nkeep);
}

void umpa_run_adopt(struct slot slot, unsigned npages, enum umpa_shelf_part part, int dirty)
{
	struct umpa_shard *s = umpa_shard_of_thread();

	umpa_lock_take(&s->lock);
	add_locked(s, slot, npages, part, dirty);
	s->block_npages += npages;
	umpa_lock_give(&s->lock);
}

int umpa_run_extend_tail(struct slot slot, unsigned ntail, unsigned npages, unsigned flags)
{
	return extend(slot, ntail, npages, flags);
}

void umpa_run_trim_tail(struct slot slot, unsigned ntail, unsigned nkeep)
{
	shorten(slot, nkeep, ntail - nkeep);
}

int umpa_run_reclaim(struct slot slot, unsigned ntail)
{
	struct umpa_shard *s = shard_of(slot);
	int got;

	umpa_lock_take(&s->lock);
	got = umpa_shelf_remove_tail(&s->shelf, slot, ntail);
	if (got) {
		s->block_npages -= ntail;
		slot_set_use(slot, SLOT_INNER);
	}
	umpa_lock_give(&s->lock);
	return got;
}

static struct slot remove_free(struct umpa_shard *s, uint32_t from)
{
	struct slot slot;

	umpa_lock_take(&s->lock);
	slot = umpa_shelf_remove_free(&s->shelf, from);
	if (!slot_is(slot, NO_SLOT))
		slot_set_use(slot, SLOT_INNER);
	umpa_lock_give(&s->lock);
	return slot;
}

/* Takes the frames of a free slot of the nursery, which goes back to the shelf. Result: pages. */
static unsigned release_nursery_slot(struct umpa_shard *s, struct slot slot)
{
	int err = umpa_os_unback(slot_address(slot), SLOT_NBYTES);
	unsigned ndirty = err ? 0 : bitmap_count(&umpa_core.map[slot.i].dirty);

	umpa_lock_take(&s->lock);
	add_locked(s, slot, 0, FIRST_TAIL, err != 0);
	umpa_lock_give(&s->lock);
	return ndirty;
}

static size_t release_shard(struct umpa_shard *s)
{
	uint32_t from = 0;
	struct slot slot;
	size_t npages = 0;

	collect(s);
	while (!slot_is(slot = remove_free(s, from), NO_SLOT))
		if (in_nursery(slot)) {
			npages += release_nursery_slot(s, slot);
			from = slot.i + 1;
		} else {
			umpa_space_give(slot, 1, EXTENT_RESIDENT);
		}
	return npages;
}

size_t umpa_run_release_free(void)
{
	size_t npages = 0;

	for (unsigned i = 0; i < umpa_core.nshards; i++)
		npages += release_shard(umpa_shard(i));
	return npages << PAGE_SHIFT;
}
