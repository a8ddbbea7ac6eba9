/*
 * The space: every free slot of the window, void or resident. The resident ones are the pool
 * (core/pool.h); how frames get from one slot to another is in core/carry.h.
 *
 * Owns struct umpa_space, guarded by its lock, which is held across no system call but opening the
 * frontier (rare, and grows by shares) and never across a move. Between taking slots and giving
 * them back a call holds them in transit: nobody else can see them.
 *
 * Invariants
 *  1. A void free slot reads as zero and has no frames, but where the system put some there
 *     itself (mlockall).
 *  2. The content of a resident free slot is unspecified; frames are believed to be behind it. The
 *     belief may be wrong (a block that was never touched was freed): then moving it moves
 *     nothing, and the kernel's fault does the rest.
 */
#ifndef UMPA_CORE_SPACE_H
#define UMPA_CORE_SPACE_H

#include "core/core.h"

enum space_prefer {
	PREFER_RESIDENT, /* frames in place are welcome */
	PREFER_VOID,     /* frames will come from elsewhere, or none are wanted */
};

/* Slots handed out, as they were: front to back, void or resident. */
enum {
	GRANT_NPIECES_MAX = 16
};

struct space_grant {
	struct slot slot;
	uint32_t nslots;
	unsigned npieces;
	struct umpa_extent_piece piece[GRANT_NPIECES_MAX];
};

void umpa_space_init(struct umpa_space *s, struct umpa_extent *tags);

/* Takes nslots neighbouring slots at a multiple of `align` slots. 0 or -ENOMEM. */
must_check int umpa_space_take(
	uint32_t nslots, uint32_t align, enum space_prefer prefer, struct space_grant *grant);

/* The same, and none of them has frames. */
must_check int umpa_space_take_void(uint32_t nslots, uint32_t align, struct space_grant *grant);

/* A slot on a shelf with room for one end of a block, as far as can be seen without the shelf's
 * lock. */
struct space_neighbour {
	enum slot_use use; /* SLOT_SHELF or SLOT_PART_MAPPED */
	unsigned shard;    /* whose shelf it is, or ANY_SHARD */
	unsigned npages;   /* free, or more, on the side of the block */
};

#define ANY_SHARD UINT32_MAX

/* Takes nslots slots that lie right before such a slot. 0 or -ENOENT. */
must_check int umpa_space_take_before(
	const struct space_neighbour *n, uint32_t nslots, struct space_grant *grant);

/* Takes nslots slots right behind such a slot. may_grow: opens the frontier for it where that slot
 * is the last one in use. *nback, n->npages or more, is how many pages were free there. 0 or
 * -ENOENT. */
must_check int umpa_space_take_behind(const struct space_neighbour *n, uint32_t nslots,
	int may_grow, struct space_grant *grant, unsigned *nback);

/* Where a span lies best: beside pages of others first, for what it has over whole slots. */
struct space_wish {
	uint32_t nslots; /* of its own, those for what is over among them */
	uint32_t align;
	unsigned over; /* pages over whole slots; 0: nothing is asked for beside others */
	int before;    /* before a slot whose front has room for them */
	int behind;    /* behind one whose back has, or for `least` of them */
	unsigned least;
	int may_grow; /* as for umpa_space_take_behind(), where all have room */
};

enum space_place {
	PLACE_OWN,
	PLACE_BEFORE, /* one slot less */
	PLACE_BEHIND, /* likewise, unless only some had room */
	PLACE_NOWHERE
};

/* Takes slots there, with frames in place if it can be, under one hold of the lock. *nback as for
 * umpa_space_take_behind(). */
enum space_place umpa_space_take_place(
	const struct space_wish *w, struct space_grant *grant, unsigned *nback);

/* Takes exactly the slots at [slot, slot + nslots) if they are free, the first of them being the
 * first free one there. 0 or -ENOMEM. */
must_check int umpa_space_take_at(struct slot slot, uint32_t nslots, struct space_grant *grant);

/* The same where they may begin inside free slots, which takes longer. */
must_check int umpa_space_take_inside(struct slot slot, uint32_t nslots, struct space_grant *grant);

/* Takes one slot for a shelf: of the nursery while that lasts, else of the pool, else void. 0 or
 * -ENOMEM. */
must_check int umpa_space_take_for_shelf(
	struct slot *slot, enum umpa_extent_kind *kind, unsigned *nreserved_pages);

/* Gives slots back; kind tells whether frames are behind them (and content), or none. */
void umpa_space_give(struct slot slot, uint32_t nslots, enum umpa_extent_kind kind);
void umpa_space_give_pieces(const struct umpa_extent_piece *piece, unsigned n);

/* Takes the frames from the slots of a grant. 0, or -errno: some are still there. */
must_check int umpa_space_empty(struct space_grant *grant);

/* Gives all of a grant back as it was taken. */
void umpa_space_give_grant(const struct space_grant *grant);

/* Neighbouring free slots of one kind, in transit. */
struct space_chunk {
	struct slot slot;
	uint32_t nslots;
};

/* Chunks taken under one hold of the lock. */
enum {
	SPACE_NCHUNKS = 32
};

/* Takes up to nslots slots of a kind into transit: of those near a slot, or the last ones if that
 * is NO_SLOT. Result: how many chunks they are in, up to SPACE_NCHUNKS; 0: no transit. */
unsigned umpa_space_depart(
	struct space_chunk *chunk, uint32_t nslots, enum umpa_extent_kind kind, struct slot near);

/* Ends the transit: each chunk is given as the kind that its place in kind[] says. */
void umpa_space_arrive(
	const struct space_chunk *chunk, const enum umpa_extent_kind *kind, unsigned n);

/* Slots that are not free; with the lock. What is in transit counts as used. */
static inline uint32_t umpa_space_nslots_used(const struct umpa_space *s)
{
	return s->extents.nslots - umpa_extents_count(&s->extents, EXTENT_RESIDENT) -
	       umpa_extents_count(&s->extents, EXTENT_VOID);
}

/* Makes the window end after nslots slots, or behind the last one that is not free, if it ends
 * later now. What lay there is nobody's from then on. */
void umpa_space_narrow(uint32_t nslots);

/* Slots in use when some were last taken or given; a guess, without a lock. */
static inline uint32_t umpa_space_nused_about(void)
{
	return __atomic_load_n(&umpa_core.space.nused, __ATOMIC_RELAXED);
}

/* 1 if the system gives opened memory frames at once, so that no more should be opened than is
 * needed. */
static inline int umpa_space_locked(void)
{
	return __atomic_load_n(&umpa_core.space.locked, __ATOMIC_RELAXED);
}

#endif
