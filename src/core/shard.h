/*
 * Shards: which one is a thread's, and how pages come back to one. A thread takes from its own
 * shard's shelf and gives to the one the slot is on, or leaves a run in that one's inbox
 * (frame/inbox.h), which is emptied when it is half full, when a slot's last run is given back, and
 * before a place is looked for in vain.
 *
 * A run that is given back is set aside in the shard's bins (frame/bins.h) as a rule, and is the
 * next one of its length. It is free, though nobody else sees it, and goes home when anything else
 * lacks pages: a run of the shard, or whoever wants slots (recent.h).
 *
 * Each shard's lock guards its shelf; no other lock is taken while it is held. So what leaves a
 * shelf is put down under it, and goes to the space once it is given.
 */
#ifndef UMPA_CORE_SHARD_H
#define UMPA_CORE_SHARD_H

#include "core/core.h"

/* Pages that a shard may set aside whatever else is in use. */
enum {
	ASIDE_LITTLE_NPAGES = 64
};

/* So many threads a shard have it for good. Tests set it. */
extern unsigned umpa_shard_crowd;

/* This thread's shard, by its number plus 1; 0: it has none yet. And 1 if it is chosen each time
 * anew. */
extern __thread unsigned umpa_shard_mine;
extern __thread unsigned umpa_shard_by_cpu;

cold_path struct umpa_shard *umpa_shard_choose(void);

static inline struct umpa_shard *umpa_shard_of_thread(void)
{
	/* Too high where the core was started anew, with fewer. */
	if (unlikely(umpa_shard_mine - 1 >= umpa_core.nshards || umpa_shard_by_cpu))
		return umpa_shard_choose();
	return umpa_shard(umpa_shard_mine - 1);
}

/* 1 if it was this thread's when it last asked. */
static inline int umpa_shard_is_mine(const struct umpa_shard *s)
{
	return s->number + 1 == umpa_shard_mine;
}

/* Takes the lock of this thread's shard, or that of another one, which is its from now on. */
struct umpa_shard *umpa_shard_lock_some(void);

/* Takes and gives the locks of all shards. */
void umpa_shards_lock(void);
void umpa_shards_unlock(void);

/* Whose shelf a slot is on. */
static inline struct umpa_shard *umpa_shard_of_slot(struct slot slot)
{
	return umpa_shard(slot_shard(slot));
}

/* Puts a slot on the shelf, as umpa_shelf_add(), under the lock. */
void umpa_shard_add_slot(struct umpa_shard *s, struct slot slot, unsigned npages,
	enum umpa_shelf_part part, int dirty);

/* Slots that all of a shard's runs have left, on their way to the pool; and one of the nursery's
 * that has too many idle pages, or NO_SLOT; whether what is set aside goes home. */
struct umpa_leaving {
	struct slot slot[INBOX_NBLOCKS + 1];
	unsigned n;
	struct slot idle;
	int aside;
};

static inline void umpa_leave_none(struct umpa_leaving *l)
{
	l->n = 0;
	l->idle = NO_SLOT;
	l->aside = 0;
}

/* Give pages back, or a run, which is set aside perhaps, under the shard's lock. keep: the last
 * free slot of the shelf stays. */
void umpa_shard_give_pages(struct umpa_shard *s, struct slot slot, unsigned page, unsigned npages,
	int keep, struct umpa_leaving *l);
void umpa_shard_give_run(struct umpa_shard *s, struct umpa_run run, struct umpa_leaving *l);

/* Gives the shard's lock, and to the space what has left the shelf under it. */
void umpa_shard_give_lock(struct umpa_shard *s, const struct umpa_leaving *l);

/* Sets aside a run that is freed, under the lock: 1; 0 if it had better go home. */
int umpa_shard_set_aside(struct umpa_shard *s, struct umpa_run run);

/* Hands out one of npages that was set aside, under the lock: 1; 0 if there is none. Its pages are
 * dirty. */
static inline int umpa_shard_take_recent(
	struct umpa_shard *s, unsigned npages, struct umpa_run *run)
{
	if (!umpa_bins_take(&s->bins, npages, run))
		return 0;
	umpa_shelf_take_again(&s->shelf, *run);
	s->nallocs++;
	s->block_npages += npages;
	return 1;
}

/* Tells umpa_recent_flush() of something that was freed lately. Under the lock, for a fork. */
void umpa_shard_note_recent(const struct umpa_shard *s);

/* Gives the runs of the inbox back, under the shard's lock. */
void umpa_shard_empty_inbox(struct umpa_shard *s, struct umpa_leaving *l);

/* The same without the lock. 1 if there was something in the inbox. */
int umpa_shard_collect(struct umpa_shard *s);

/* Gives home the runs of the bins. 1 if there were any. */
int umpa_shard_empty_bins(struct umpa_shard *s);

/* Both: the shelf has all then that is free. 1 if there was something. */
int umpa_shard_settle(struct umpa_shard *s);

/* Gives back the runs in all inboxes. */
void umpa_shards_collect(void);

#endif
