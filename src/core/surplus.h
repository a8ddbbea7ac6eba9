/*
 * Surplus: how much of the pool a program is likely to want again soon. Pure: it is told the time
 * and what happened. Counts are slots; guarded by whoever owns it (the space's lock).
 *
 * Kept is what was *wanted* of late: slots that came out of the pool, or that were given back and
 * had to come from the kernel soon after. That number halves each time in which faulting in the
 * whole pool would take a twentieth (SURPLUS_SLOT_MS for each slot), so giving back costs a program
 * that much of its time at most. Whoever allocates and frees in turn pays once for what it misses,
 * and keeps it from then on. Whoever frees a large block, and asks for its like much later or
 * never, has that memory meanwhile for what is not umpa's: an engine's small blocks, say.
 *
 * When slots came out of the pool nobody notes, as that would take a look at the clock each time;
 * it is asked now and then how many did since. They count as if that had gone on evenly: what came
 * out a moment ago, after an hour in which little did, counts for little. Who takes and frees in
 * such bursts pays for one filling of the pool a burst, and only where they are further apart than
 * it takes to forget: within the same twentieth.
 *
 * Never surplus is what is little (SURPLUS_NSLOTS_MIN), or little beside the slots in use.
 */
#ifndef UMPA_CORE_SURPLUS_H
#define UMPA_CORE_SURPLUS_H

#include <stdint.h>

enum {
	SURPLUS_NSLOTS_MIN = 2,
	SURPLUS_USED_SHARE = 4,   /* a pool of one in so many slots in use is little */
	SURPLUS_SLACK_NSLOTS = 2, /* above that, so that one system call gives several */
	SURPLUS_SLOT_MS = 3,      /* twenty times what faulting in a superpage takes */
	SURPLUS_NPOOLS_MAX = 16,  /* wanted is at most this many times the pool */
};

struct umpa_surplus {
	uint64_t ntaken; /* out of the pool, on the whole, when last told */
	uint64_t nwanted;
	uint64_t halved_ns;
	uint64_t asked_ns; /* when last told */
	uint32_t ngiven;   /* and not asked for since */
	uint64_t given_ns; /* when the last of them were */
};

/* Nothing is wanted yet. */
void umpa_surplus_init(struct umpa_surplus *s, uint64_t now_ns);

/* What is little while nused slots are in use. */
uint32_t umpa_surplus_floor(uint32_t nused);

/* 1 if a pool of npool slots is so large that it is worth asking umpa_surplus_keep(). */
int umpa_surplus_is_likely(uint32_t npool, uint32_t nused);

/* How many slots to keep of a pool, which holds npool now and may hold more by the time some are
 * given back. ntaken: so many have ever come out of it, those given back included. */
uint32_t umpa_surplus_keep(
	struct umpa_surplus *s, uint64_t ntaken, uint32_t npool, uint32_t nused, uint64_t now_ns);

/* nslots of the pool went back to the kernel. */
void umpa_surplus_given(struct umpa_surplus *s, uint32_t nslots, uint64_t now_ns);

/* nslots were handed out that the kernel has to fill. */
void umpa_surplus_asked(struct umpa_surplus *s, uint32_t nslots, uint64_t now_ns);

#endif
