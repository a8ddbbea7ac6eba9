/*
 * Extents: which slots of the window are free, as ranges of neighbouring slots of one kind.
 *
 * Two kinds of free extent: void (address space alone: reads as zero, the next touch faults) and
 * resident (frames are behind it: the pool). Neighbours of one kind are always merged. Slots in use
 * belong to whoever took them; this module only remembers where a free extent begins and ends.
 *
 * Pure: no OS call, no allocation, no lock. The caller supplies one struct umpa_extent a slot,
 * zeroed, and holds the lock that guards them all. Every operation takes a bounded number of steps,
 * whatever the sizes: tags at both ends of an extent, and lists of extents by length, eight classes
 * to each power of two.
 *
 * Invariants
 *  1. tag[first].kind is the extent's kind and tag[first].nslots its length; tag[last].first
 *     is `first`.
 *  2. A slot that is not the first of a free extent has kind 0, one that is not the last of one has
 *     first 0: nothing stale is ever read as a border.
 *  3. nslots of each kind is the sum of its extents; a class's bit is set exactly if its list
 *     has one.
 *
 * Source of the idea: two-level segregated fit (Masmano et al., 2004), over boundary tags (Knuth).
 */
#ifndef UMPA_VA_EXTENTS_H
#define UMPA_VA_EXTENTS_H

#include "base/units.h"

enum umpa_extent_kind {
	EXTENT_VOID,
	EXTENT_RESIDENT,
	EXTENT_NKINDS,
};

/* Extents of up to 7 slots have a class each, then eight classes a power of two, up to 2^31. */
#define EXTENT_NCLASSES 240

/* A directory: the slots whose entries lie in one page table of the middle level (1 GiB). */
#define DIRECTORY_NSLOTS 512

struct umpa_extent {
	uint32_t nslots;
	uint32_t first; /* plus 1; 0: not the last slot of a free extent */
	uint32_t next, prev;
	uint32_t kind; /* plus 1; 0: not the first slot of a free extent */
};

struct umpa_extent_bins {
	uint64_t nonempty[(EXTENT_NCLASSES + 63) / 64];
	uint32_t head[EXTENT_NCLASSES]; /* slot plus 1 */
	uint32_t nslots;
};

struct umpa_extents {
	struct umpa_extent *tag;
	uint32_t nslots; /* slots known so far; those behind belong to nobody yet */
	uint32_t origin; /* number, in the whole address space, of slot 0: what alignment and
			    directories count from */
	struct umpa_extent_bins bins[EXTENT_NKINDS];
};

void umpa_extents_init(struct umpa_extents *e, struct umpa_extent *tags);

/* Adds nslots slots behind those known, free and of that kind. */
void umpa_extents_grow(struct umpa_extents *e, uint32_t nslots, enum umpa_extent_kind kind);

/* Adds nslots slots behind those known, in use. */
static inline void umpa_extents_skip(struct umpa_extents *e, uint32_t nslots)
{
	e->nslots += nslots;
}

/* How many of the last known slots are free and of that kind. */
uint32_t umpa_extents_at_end(const struct umpa_extents *e, enum umpa_extent_kind kind);

/* Knows the last slots no longer, as far as they are free and number nslots or more. */
void umpa_extents_shrink(struct umpa_extents *e, uint32_t nslots);

/*
 * Takes nslots neighbouring slots of one kind, from the front of the shortest class of extents
 * where any fits, at an address that is a multiple of `align` slots (a power of two). NO_SLOT if
 * there are none.
 */
struct slot umpa_extents_take(
	struct umpa_extents *e, enum umpa_extent_kind kind, uint32_t nslots, uint32_t align);

/*
 * Takes up to max slots of that kind that are neighbours, from a short extent, so that the long
 * ones stay whole, and from one that begins in the same directory as `near`, if a few tries find
 * it (NO_SLOT: wherever it is); *nslots is how many. NO_SLOT and 0 if there are none.
 */
struct slot umpa_extents_take_near(struct umpa_extents *e, enum umpa_extent_kind kind,
	struct slot near, uint32_t max, uint32_t *nslots);

/* Takes up to max slots from the end of a long extent, wherever it is, which suits giving back to
 * the system. Else as above. */
struct slot umpa_extents_take_last(
	struct umpa_extents *e, enum umpa_extent_kind kind, uint32_t max, uint32_t *nslots);

/*
 * Takes the last nslots slots of an extent of that kind for which fits(slot behind the extent, arg)
 * says 1; a bounded number of extents is looked at, short ones first. NO_SLOT if none of them fits.
 */
struct slot umpa_extents_take_end(struct umpa_extents *e, enum umpa_extent_kind kind,
	uint32_t nslots, int (*fits)(struct slot behind, const void *arg), const void *arg);

/* The same from the other end: takes the first nslots slots of an extent for which fits(slot before
 * it, arg) says 1. */
struct slot umpa_extents_take_begin(struct umpa_extents *e, enum umpa_extent_kind kind,
	uint32_t nslots, int (*fits)(struct slot before, const void *arg), const void *arg);

/* Pieces of free extents in a row, front to back, each of one kind. */
struct umpa_extent_piece {
	struct slot slot;
	uint32_t nslots;
	enum umpa_extent_kind kind;
};

/*
 * Takes exactly [slot, slot + nslots), which may lie across extents of both kinds and must begin at
 * the first slot of one. The pieces are written to piece[], at most max of them. Result: how many,
 * or 0 and nothing taken if the range is not free, does not begin at an extent or has more pieces.
 */
unsigned umpa_extents_take_at(struct umpa_extents *e, struct slot slot, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max);

/* The same where the range may begin inside an extent, at most 65536 slots (128 GiB) from its
 * first: they are walked over. */
unsigned umpa_extents_take_inside(struct umpa_extents *e, struct slot slot, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max);

/*
 * Takes nslots of which part are resident already and the rest are void and free: where most are,
 * among the places around the longest resident extents that begin or end where an extent does. A
 * bounded number of extents is looked at. Pieces, result and failure as umpa_extents_take_at().
 */
unsigned umpa_extents_take_mixed(
	struct umpa_extents *e, uint32_t nslots, struct umpa_extent_piece *piece, unsigned max);

/* Makes [slot, slot + nslots), which is in use, free and of that kind. */
void umpa_extents_give(
	struct umpa_extents *e, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind);

static inline uint32_t umpa_extents_count(const struct umpa_extents *e, enum umpa_extent_kind kind)
{
	return e->bins[kind].nslots;
}

/* Every invariant above, at the cost of a walk over all slots: for tests. 1 if they hold. */
int umpa_extents_valid(const struct umpa_extents *e);

#endif
