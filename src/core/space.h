/*
 * The space: every free slot of the window, void or resident, and how frames get from one to
 * another. The resident free slots are the pool.
 *
 * Owns struct umpa_space, guarded by its lock, which is held across no system call but opening the
 * frontier (rare, and grows by shares) and never across a move. Between taking slots and giving
 * them back a call holds them in transit: nobody else can see them.
 *
 * Invariants
 *  1. A void free slot reads as zero and has no frames, but where the system put some there itself
 * (mlockall).
 *  2. The content of a resident free slot is unspecified; frames are believed to be behind it. The
 *     belief may be wrong (a block that was never touched was freed): then moving it moves nothing,
 * and the kernel's fault does the rest.
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

/* Gives all of a grant back as it was taken. */
void umpa_space_give_grant(const struct space_grant *grant);

/*
 * Brings frames of the pool to the void slots at [slot, slot + nslots), which the caller holds, as
 * long as the pool has some; zero: and clears them. A pool frame that does not move is given to the
 * kernel instead, so that the memory in use does not grow when the kernel's fault fills the place.
 * What stays void is zero. Result: how many slots at the end got no frames because the pool was
 * empty.
 */
uint32_t umpa_space_fill(struct slot slot, uint32_t nslots, int zero);

/* The same with zero, where other threads may use the slots already: frames are cleared before they
 * move, and only a mover that moves in one step is asked. */
void umpa_space_fill_in_use(struct slot slot, uint32_t nslots);

/*
 * Makes the first npages of what was granted ready for use: frames from the pool where it is void
 * (but with UMPA_NOBACK), and zero with UMPA_ZERO. Result: 1 if what lies behind them in the slot
 * that they end in may not be zero.
 */
int umpa_space_ready(const struct space_grant *grant, size_t npages, unsigned flags);

/*
 * Moves the frames of [src, src + nslots) to the void [dst, dst + nslots), both held by the caller;
 * pages of the source without frame are left out, bare slots without a move. Result: the bytes,
 * from the front, that are dealt with: those sources have no frames now.
 */
size_t umpa_space_move(struct slot dst, struct slot src, uint32_t nslots);

/* Makes [slot, slot + nslots), held by the caller, zero by moving its frames to the pool; those
 * that don't move are unbacked, or cleared if the system refuses that too. */
void umpa_space_take_frames(struct slot slot, uint32_t nslots);

/* Gives up to max_nslots resident free slots back to the kernel while the pool holds more than
 * keep_nslots. Result: how many. */
uint32_t umpa_space_trim(uint32_t keep_nslots, uint32_t max_nslots);

/* Gives back what a call has made too much: above the option keep; without it, where
 * umpa_space_sheds, what the program is not likely to want again soon (core/surplus.h). */
void umpa_space_keep_limit(void);

/* atomic. 0 at first: the pool of who calls umpa by name is his. The malloc family sets it. */
extern int umpa_space_sheds;

/* 1: what is not wanted again soon goes back to the kernel. */
static inline int umpa_space_may_shed(void)
{
	return umpa_core.keep_nslots == UINT32_MAX &&
	       __atomic_load_n(&umpa_space_sheds, __ATOMIC_RELAXED);
}

uint32_t umpa_space_pool_nslots(void);

/* Makes the window end after nslots slots, or behind the last one that is not free, if it ends
 * later now. What lay there is nobody's from then on. */
void umpa_space_narrow(uint32_t nslots);

/* Slots in use, and in the pool, when some were last taken or given; a guess, without a lock. */
static inline uint32_t umpa_space_nused_about(void)
{
	return __atomic_load_n(&umpa_core.space.nused, __ATOMIC_RELAXED);
}

static inline uint32_t umpa_space_npool_about(void)
{
	return __atomic_load_n(&umpa_core.space.npool, __ATOMIC_RELAXED);
}

/* 1 if the system gives opened memory frames at once, so that no more should be opened than is
 * needed. */
static inline int umpa_space_locked(void)
{
	return __atomic_load_n(&umpa_core.space.locked, __ATOMIC_RELAXED);
}

#endif
