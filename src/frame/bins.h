/*
 * Bins: runs of a shelf that were freed lately and are set aside there, by their length, the last
 * one of each first. Who wants a run of that length takes it without a search, and none of the
 * shelf's books change but the bits of its first page.
 *
 * A run that nobody takes costs more than one that went home at once, and breaks up the free pages
 * around it meanwhile: with blocks of random sizes a tenth more time. So runs are set aside only
 * while two of three asked for are as long as one of the last four freed: as where a program uses
 * buffers of a few sizes. Told by one number for all lengths: by one for each, which would find
 * more, the processor guessed wrong so often that nothing was won.
 *
 * Pure: no OS call, no allocation; the caller holds the lock of the shelf. All zero is empty.
 */
#ifndef UMPA_FRAME_BINS_H
#define UMPA_FRAME_BINS_H

#include "base/compiler.h"
#include "frame/shelf.h"

enum {
	BIN_NRUNS = 8,    /* a cache line */
	BINS_LIKELY = 16, /* from here on runs are set aside */
	BINS_SURE = 32
};

struct umpa_bins {
	uint32_t npages;                  /* of all runs in them. atomic */
	uint32_t luck;                    /* up to BINS_SURE */
	uint64_t freed;                   /* the lengths of the last four freed */
	uint64_t maybe[SLOT_NPAGES / 64]; /* a bit a length: 0 if there is none of it */
	uint8_t n[SLOT_NPAGES];           /* by length */
	struct umpa_run run[SLOT_NPAGES][BIN_NRUNS] __attribute__((aligned(64)));
};

static inline void umpa_bins_set_npages(struct umpa_bins *b, uint32_t npages)
{
	__atomic_store_n(&b->npages, npages, __ATOMIC_RELAXED);
}

/* 1 if there are none; a hint without the lock. */
static inline int umpa_bins_are_empty(const struct umpa_bins *b)
{
	return !__atomic_load_n(&b->npages, __ATOMIC_RELAXED);
}

/* 1 if one of the last four freed was of npages. */
static inline uint32_t umpa_bins_freed(const struct umpa_bins *b, unsigned npages)
{
	const uint64_t each = 0x0001000100010001;
	uint64_t differs = b->freed ^ npages * each;

	return ((differs - each) & ~differs & each << 15) != 0;
}

/* A run of 1 to 511 pages is freed. 1: it is in the bins, which have up to npages_max then; 0: it
 * is not. */
must_check static inline int umpa_bins_put(
	struct umpa_bins *b, struct umpa_run run, uint64_t npages_max)
{
	uint8_t *n = &b->n[run.npages];

	b->freed = b->freed << 16 | run.npages;
	if (b->luck < BINS_LIKELY || *n == BIN_NRUNS || b->npages + run.npages > npages_max)
		return 0;
	b->run[run.npages][(*n)++] = run;
	b->maybe[run.npages / 64] |= (uint64_t)1 << run.npages % 64;
	umpa_bins_set_npages(b, b->npages + run.npages);
	return 1;
}

/* Without a branch, as nothing could foresee it where sizes are random. was_freed: 0 or 1. */
static inline uint32_t umpa_bins_luck_after(uint32_t luck, uint32_t was_freed)
{
	uint32_t more = luck < BINS_SURE, less = (luck > 0) + (luck > 1);

	return luck + (more & -was_freed) - (less & (was_freed - 1));
}

/* A run of npages, 1 to 511, is wanted: takes out the one that was put in last, 1; or 0. */
static inline int umpa_bins_take(struct umpa_bins *b, unsigned npages, struct umpa_run *run)
{
	b->luck = umpa_bins_luck_after(b->luck, umpa_bins_freed(b, npages));
	if (b->luck < BINS_LIKELY || !b->n[npages])
		return 0;
	*run = b->run[npages][--b->n[npages]];
	umpa_bins_set_npages(b, b->npages - npages);
	return 1;
}

/* Takes out any run, to go home: 1; 0 if there is none. */
int umpa_bins_take_any(struct umpa_bins *b, struct umpa_run *run);

#endif
