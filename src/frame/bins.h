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

#include "frame/shelf.h"

enum {
	BIN_NRUNS = 8, /* a cache line */
	/* 16 would do, but batches of 16 blocks of about one size reach that too: then runs lay
	 * where one had been, not where they fit best, and a ring of 4 KiB to 8 MiB had a quarter
	 * more page faults. */
	BINS_LIKELY = 48, /* from here on runs are set aside */
	BINS_SURE = 64
};

struct umpa_bins {
	uint32_t npages;        /* of all runs in them. atomic */
	uint32_t luck;          /* up to BINS_SURE */
	uint64_t freed;         /* the lengths of the last four freed */
	struct slot slot;       /* of the last one put in */
	int is_mixed;           /* they are in others too, or were */
	uint8_t n[SLOT_NPAGES]; /* by length */
	struct umpa_run run[SLOT_NPAGES][BIN_NRUNS] __attribute__((aligned(64)));
};

/* A hint without the lock. */
static inline uint32_t umpa_bins_npages(const struct umpa_bins *b)
{
	return __atomic_load_n(&b->npages, __ATOMIC_RELAXED);
}

/* 1 if lengths repeat. */
static inline int umpa_bins_are_used(const struct umpa_bins *b)
{
	return b->luck >= BINS_LIKELY;
}

static inline void umpa_bins_set_npages(struct umpa_bins *b, uint32_t npages)
{
	__atomic_store_n(&b->npages, npages, __ATOMIC_RELAXED);
}

/* 1 if runs of npages, 1 to 512, are set aside, and there is room for one. */
static inline int umpa_bins_have_room(const struct umpa_bins *b, unsigned npages)
{
	return umpa_bins_are_used(b) && npages < SLOT_NPAGES && b->n[npages] < BIN_NRUNS;
}

/* 1 if all runs in them are in that slot, or there are none. */
static inline int umpa_bins_are_in(const struct umpa_bins *b, struct slot slot)
{
	return !b->npages || (slot_is(b->slot, slot) && !b->is_mixed);
}

/* Nothing is set aside for a while. */
static inline void umpa_bins_rest(struct umpa_bins *b)
{
	b->luck = 0;
}

/* A run of npages, 1 to 511, is freed. */
static inline void umpa_bins_note_freed(struct umpa_bins *b, unsigned npages)
{
	b->freed = b->freed << 16 | npages;
}

/* Puts it in, if there is room. */
static inline void umpa_bins_put(struct umpa_bins *b, struct umpa_run run)
{
	b->is_mixed = !umpa_bins_are_in(b, run.slot);
	b->slot = run.slot;
	b->run[run.npages][b->n[run.npages]++] = run;
	umpa_bins_set_npages(b, b->npages + run.npages);
}

/* 1 if one of the last four freed was of npages. */
static inline uint32_t umpa_bins_freed(const struct umpa_bins *b, unsigned npages)
{
	const uint64_t each = 0x0001000100010001;
	uint64_t differs = b->freed ^ npages * each;

	return ((differs - each) & ~differs & each << 15) != 0;
}

/* A run of npages, 1 to 511, is wanted. Without a branch, as nothing could foresee it where sizes
 * are random. */
static inline void umpa_bins_note_wanted(struct umpa_bins *b, unsigned npages)
{
	uint32_t was_freed = umpa_bins_freed(b, npages), luck = b->luck;
	uint32_t more = luck < BINS_SURE, less = (luck > 0) + (luck > 1);

	b->luck = luck + (more & -was_freed) - (less & (was_freed - 1));
}

/* Takes the run of npages out that was put in last: 1; 0 if there is none. */
static inline int umpa_bins_take(struct umpa_bins *b, unsigned npages, struct umpa_run *run)
{
	if (!b->n[npages])
		return 0;
	*run = b->run[npages][--b->n[npages]];
	umpa_bins_set_npages(b, b->npages - npages);
	return 1;
}

/* Takes out any run, to go home: 1; 0 if there is none. */
int umpa_bins_take_any(struct umpa_bins *b, struct umpa_run *run);

#endif
