/*
 * Runs: blocks below a superpage, and the heads and tails of spans. A run lies in one slot, or
 * where no slot has room, in the last pages of one and the first of the next: its tail there is
 * like a span's. Such runs may be longer than a slot. Shared out to shards (shard.h), whose
 * locks guard them.
 */
#ifndef UMPA_CORE_RUNS_H
#define UMPA_CORE_RUNS_H

#include "core/core.h"

enum {
	RUN_NPAGES_MAX = SLOT_NPAGES - 1,
	RUN_LONG_NPAGES_MAX = 2 * RUN_NPAGES_MAX /* across two slots */
};

/* A run from this many pages on may straddle two slots; smaller ones find a place soon enough.
 * (Simulated as in span.h: peak 1.087 from 16 pages on, 1.091 from 32, 1.096 from 64.) */
enum {
	RUN_STRADDLE_NPAGES_MIN = 16
};

/* Hands out a run of 1 to RUN_NPAGES_MAX pages at a multiple of align pages (up to 512). flags:
 * UMPA_ZERO counts. NULL: no slot to be had. */
void *umpa_run_alloc(unsigned npages, unsigned align, unsigned flags);

/* Hands out a run of SLOT_NPAGES + 1 to RUN_LONG_NPAGES_MAX pages, across two slots of which the
 * first has room already. flags as above. NULL: there is none. */
void *umpa_run_alloc_long(unsigned npages, unsigned flags);

/* The run that begins at page `page` of a slot on a shelf; npages 0 if none. */
struct umpa_run umpa_run_find(struct slot slot, unsigned page);

/* The run that page `page` of a slot on a shelf lies in; npages 0 if none. */
struct umpa_run umpa_run_around(struct slot slot, unsigned page);

/* 1 if the page belongs to the tail of a span. */
int umpa_run_in_tail(struct slot slot, unsigned page);

/* Takes a run back. 0; -EINVAL if no run begins there; 1 and nothing done if it is the head of the
 * span that begins at the next slot. */
must_check int umpa_run_free(struct slot slot, unsigned page);

/* Changes a run's size in place; flags: UMPA_ZERO counts. 1, or 0 if the pages behind it are in
 * use. */
int umpa_run_resize(struct umpa_run run, unsigned npages, unsigned flags);

/* A slot of which npages stay in use (as shelf.h says) goes to this thread's shard. */
void umpa_run_adopt(struct slot slot, unsigned npages, enum umpa_shelf_part part, int dirty);

/* The same of one that was on a shelf of somebody else's, with this map: its runs are blocks. */
void umpa_run_adopt_all(struct slot slot, const struct umpa_run_map *map);

/* 1 if the run is the head of the span that begins at the next slot. */
static inline int umpa_run_is_head(struct umpa_run run)
{
	return run.npages && run.page + run.npages == SLOT_NPAGES &&
	       slot_nhead(slot_after(run.slot, 1));
}

/* The head of a span, the last pages of a slot on a shelf: taken (1, or 0 if they are not free;
 * flags: UMPA_ZERO counts). And ended, with the span: the next slot claims it no more, and nkeep of
 * its pages stay, as a run. */
int umpa_run_take_head(struct slot slot, unsigned nhead, unsigned flags);
void umpa_run_end_head(struct slot slot, unsigned nhead, unsigned nkeep);

/* The tail of a block, in a slot on a shelf: made longer (1, or 0 if there is no room), shorter or
 * ended (nkeep 0), or the whole slot taken off the shelf (1, or 0 if it holds runs). */
int umpa_run_extend_tail(struct slot slot, unsigned ntail, unsigned npages, unsigned flags);
void umpa_run_trim_tail(struct slot slot, unsigned ntail, unsigned nkeep);
int umpa_run_reclaim(struct slot slot, unsigned ntail);

/* Moves free slots from the shelves to the pool; those of the nursery stay, and their frames go
 * back to the kernel. Result: the bytes given back so, as far as they were ever in use. */
size_t umpa_run_release_free(void);

#endif
