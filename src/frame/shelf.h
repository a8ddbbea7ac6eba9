/*
 * A shelf: the slots that one shard fills with runs (blocks below a superpage), packed densely.
 *
 * A slot on a shelf has a map of its 512 pages. A run goes to the first slot, by address, whose
 * longest row of free pages is long enough, and there to the first place that fits: so the slots at
 * the front stay full, those at the back empty and become superpages again. (Measured against the
 * fullest slot and against best fit, on the scaling test: the least memory.) The tail of a span may
 * occupy the first pages of a slot: used pages that begin no run.
 *
 * A run that no slot has a row for may lie across two neighbouring slots of the shelf, in the last
 * pages of one and the first of the next, as they are left by one that lay so before: what a slot
 * and the next have together is looked up like the longest row. That is for shelves of which
 * umpa_shelf_pair() was told.
 *
 * Pure: no OS call, no allocation, no lock. The caller supplies one struct umpa_run_map a slot of
 * the window, shared by all shelves, and holds the lock of the shelf that a slot is on.
 *
 * Invariants
 *  1. A page with its head bit set is used; a run is its head and the used pages behind it up to
 *     the next head, free page, or run set aside, and lies in one slot.
 *  2. A free page not dirty reads as zero: no one has been given it since the kernel cleared it. A
 *     used one not dirty begins a run set aside, and is no head.
 *  3. heights has, for a slot on this shelf, the length of its longest row of free pages plus 1,
 *     or more; else 0.
 *  4. pairs has, for a slot on this shelf that the next one is on, too, how many free pages are
 *     at the end of the one and the beginning of the other plus 1, or more.
 *
 * Heights are bounds, as taking pages leaves them alone: only then would all of a map have to be
 * looked at for what is its longest row now. A search that finds no room where a height promised it
 * does that, once for any number of runs taken. Giving pages makes one row longer, the one around
 * them.
 */
#ifndef UMPA_FRAME_SHELF_H
#define UMPA_FRAME_SHELF_H

#include "base/bitmap.h"
#include "base/heights.h"
#include "base/units.h"

/* On cache lines of its own, as neighbouring slots are on different shards' shelves, whose threads
 * write them all the time. */
struct umpa_run_map {
	struct bitmap used, dirty;
	struct bitmap head; /* atomic, a word at a time: umpa_shelf_is_followed() */
	/* Atomic: a block that ends here, or one that looks for a place, reads them without the
	 * lock. */
	uint16_t ntail;  /* first pages, that belong to a block which begins in a slot before */
	uint16_t nfront; /* first pages, that are free */
	uint16_t nback;  /* last pages, that are free */
} __attribute__((aligned(128)));

static inline void umpa_run_map_set_heads(struct umpa_run_map *m, unsigned w, uint64_t heads)
{
	__atomic_store_n(&m->head.word[w], heads, __ATOMIC_RELAXED);
}

static inline void umpa_run_map_set_head(struct umpa_run_map *m, unsigned page)
{
	umpa_run_map_set_heads(m, page / 64, m->head.word[page / 64] | (uint64_t)1 << page % 64);
}

static inline void umpa_run_map_clear_head(struct umpa_run_map *m, unsigned page)
{
	umpa_run_map_set_heads(m, page / 64, m->head.word[page / 64] & ~((uint64_t)1 << page % 64));
}

struct umpa_shelf {
	struct umpa_run_map *map;
	struct umpa_heights heights;
	struct umpa_heights pairs; /* without memory: not looked after */
	uint32_t nslots;
	uint32_t nall_free; /* of those, slots without a page in use */
	uint32_t nfree_pages;
};

/* A run's place. */
struct umpa_run {
	struct slot slot;
	uint16_t page, npages;
};

/* leaf and inner: memory for the heights of nslots slots (base/heights.h). */
void umpa_shelf_init(
	struct umpa_shelf *s, struct umpa_run_map *maps, uint32_t nslots, void *leaf, void *inner);

/* Before anything is on the shelf: memory for umpa_shelf_take_across(). */
void umpa_shelf_pair(struct umpa_shelf *s, uint32_t nslots, void *leaf, void *inner);

/*
 * Puts a slot on the shelf, free but for npages, 0 to 511: its first, which are a run (FIRST_RUN)
 * or the end of a block that begins before (FIRST_TAIL), or its last, where a block begins
 * (LAST_RUN). dirty: its pages may hold anything; else all but those are zero.
 */
enum umpa_shelf_part {
	FIRST_TAIL,
	FIRST_RUN,
	LAST_RUN
};
void umpa_shelf_add(struct umpa_shelf *s, struct slot slot, unsigned npages,
	enum umpa_shelf_part part, int dirty);

/* Puts a slot on the shelf as it was on another one, of which this was its map: with its runs, and
 * the pages of its tail. */
void umpa_shelf_put(struct umpa_shelf *s, struct slot slot, const struct umpa_run_map *map);

/*
 * Takes npages in a row, 1 to 511, at a multiple of `align` pages (a power of two up to 512).
 * Result: 1 and *run; or 0: no slot fits (where align is above 1, after some tries only slots are
 * looked at that fit however their row lies). *dirty, if not NULL, gets the dirty bits as they
 * were.
 */
int umpa_shelf_take(struct umpa_shelf *s, unsigned npages, unsigned align, struct umpa_run *run,
	struct bitmap *dirty);

/*
 * Takes npages, 2 to 1022, of which the first are all the free ones at the end of a slot, from
 * `from` on, and the others the first of the next: those are a tail. Result as umpa_shelf_take();
 * dirty, if not NULL, gets the bits of the two slots.
 */
int umpa_shelf_take_across(struct umpa_shelf *s, struct slot from, unsigned npages,
	struct umpa_run *run, struct bitmap dirty[2]);

/* Takes exactly those pages of a slot as a run, which may go on behind the slot if it reaches the
 * end. 1; 0 if they are not free, or the slot is not on this shelf. *dirty as above. */
int umpa_shelf_take_at(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty);

/* The run that begins at that page, as far as it lies in this slot; npages 0 if none does. */
struct umpa_run umpa_shelf_find(const struct umpa_shelf *s, struct slot slot, unsigned page);

/* 1 if a run begins at that page and another one behind it in the slot: so it ends in it. Without
 * the lock, for who holds the run. */
int umpa_shelf_is_followed(const struct umpa_shelf *s, struct slot slot, unsigned page);

/*
 * Sets a run aside, for who may want one of its length soon: its pages stay in use, but no run
 * begins there any more. And makes it a run again, as it was.
 */
static inline void umpa_shelf_set_aside(struct umpa_shelf *s, struct umpa_run run)
{
	struct umpa_run_map *m = &s->map[run.slot.i];

	umpa_run_map_clear_head(m, run.page);
	bitmap_clear(&m->dirty, run.page);
}

static inline void umpa_shelf_take_again(struct umpa_shelf *s, struct umpa_run run)
{
	struct umpa_run_map *m = &s->map[run.slot.i];

	umpa_run_map_set_head(m, run.page);
	bitmap_set(&m->dirty, run.page);
}

/* 1 if one that is set aside begins in that range of a slot; 0 too if it reaches beyond the slot.
 */
int umpa_shelf_is_aside(
	const struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages);

/* The page at which the run begins that a page of a slot is in, if it is in one. */
unsigned umpa_shelf_begin_of(const struct umpa_shelf *s, struct slot slot, unsigned page);

/*
 * Gives pages of a slot back: a run's (found with umpa_shelf_find) or its last ones; of a tail,
 * likewise. Result: 1 if the slot, still on the shelf, is all free now; else 0.
 */
int umpa_shelf_give(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages);

/*
 * Gives any pages in use back, of one run or tail or of several: what is left of the last one
 * behind them becomes a run of its own. Result as umpa_shelf_give().
 */
int umpa_shelf_give_part(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages);

/*
 * Idle pages of a slot are free and not zero: frames are behind them. Their number; and the first
 * row of nmin or more of them, from page `from` on, taken as a run while its frames are given to
 * the system: npages 0 if there is none. None are there if the slot is not on this shelf. Given
 * back so, its pages are zero.
 */
unsigned umpa_shelf_count_idle(const struct umpa_shelf *s, struct slot slot);
struct umpa_run umpa_shelf_take_idle(
	struct umpa_shelf *s, struct slot slot, unsigned from, unsigned nmin);
void umpa_shelf_give_zero(struct umpa_shelf *s, struct umpa_run run);

/* Takes a slot that is all free off the shelf. */
void umpa_shelf_remove(struct umpa_shelf *s, struct slot slot);

/* 1 if more than one slot of the shelf is all free. */
static inline int umpa_shelf_has_spare(const struct umpa_shelf *s)
{
	return s->nall_free > 1;
}

/*
 * Makes the run or the tail that ends before `page` longer by npages. Result: 1; 0 if they aren't
 * free, or the slot is not on this shelf (any more). *dirty as above.
 */
int umpa_shelf_extend(struct umpa_shelf *s, struct slot slot, unsigned page, unsigned npages,
	struct bitmap *dirty);

/* Takes a slot with nothing but a tail of ntail pages off the shelf. Result: 1; 0 if it holds runs.
 */
int umpa_shelf_remove_tail(struct umpa_shelf *s, struct slot slot, unsigned ntail);

/* Takes the first slot from `from` on that is all free off the shelf. NO_SLOT if there is none. */
struct slot umpa_shelf_remove_free(struct umpa_shelf *s, uint32_t from);

/* Every invariant above; for tests. 1 if they hold. */
int umpa_shelf_valid(const struct umpa_shelf *s);

#endif
