#include "rewire/frames.h"

#include <string.h>

#include "core/carry.h"
#include "core/clear.h"
#include "core/space.h"

/* Slots carried in one go: few enough that a small window has so many in a row, many enough that
 * the call of the mover is all that counts. */
enum {
	CHUNK_NSLOTS = 32
};

/* --- what a move leaves undone ------------------------------------------------------------ */

/*
 * Moves the first nbytes of `from` to `to`, where there is nothing or what may be lost; what does
 * not move is copied, and `from` emptied there all the same, so that it is void again. Result: 1 if
 * all moved.
 */
static int bring(struct slot to, struct slot from, size_t nbytes)
{
	uint32_t nslots = (uint32_t)((nbytes + SLOT_NBYTES - 1) >> SLOT_SHIFT);
	size_t moved = umpa_carry_move(to, from, nslots);
	char *at = (char *)slot_address(from) + moved;

	if (moved >= nbytes)
		return 1;
	memcpy((char *)slot_address(to) + moved, at, nbytes - moved);
	umpa_clear_by_unback(at, (nbytes - moved) >> PAGE_SHIFT);
	return 0;
}

/* Moves whole slots to void ones: a slot that the mover stops in is brought back. Result: how many
 * have moved. */
static uint32_t carry(struct slot to, struct slot from, uint32_t nslots)
{
	size_t moved = umpa_carry_move(to, from, nslots);
	uint32_t n = (uint32_t)(moved >> SLOT_SHIFT);

	if (moved % SLOT_NBYTES)
		bring(slot_after(from, n), slot_after(to, n), moved % SLOT_NBYTES);
	return n;
}

/* --- slots to put frames aside in --------------------------------------------------------- */

static int is_void(const struct space_grant *g)
{
	return g->npieces == 1 && g->piece[0].kind == EXTENT_VOID;
}

/* Takes void slots in a row, nslots of them or fewer. Result: how many, 0 if there are none. */
static uint32_t take_aside(uint32_t nslots, struct slot *slot)
{
	struct space_grant g;

	/* What is opened gets frames at once there, and nothing moves to it. */
	if (umpa_space_locked())
		return 0;
	for (; nslots; nslots /= 2) {
		if (umpa_space_take(nslots, 1, PREFER_VOID, &g))
			continue;
		*slot = g.slot;
		if (is_void(&g))
			return nslots;
		umpa_space_give_grant(&g);
	}
	return 0;
}

static int is_bare(struct slot slot)
{
	return !umpa_os_bare(slot_address(slot), SLOT_NPAGES);
}

/* Gives slots back that may have frames or not. */
static void give_as_they_are(struct slot slot, uint32_t nslots)
{
	for (uint32_t i = 0; i < nslots; i++) {
		struct slot s = slot_after(slot, i);

		umpa_space_give(s, 1, is_bare(s) ? EXTENT_VOID : EXTENT_RESIDENT);
	}
}

/* --- move and swap ------------------------------------------------------------------------ */

static uint32_t at_most_a_chunk(uint32_t nslots)
{
	return nslots < CHUNK_NSLOTS ? nslots : CHUNK_NSLOTS;
}

/* How many slots at the front are bare, or are not, as the first one says. */
static uint32_t count_alike(struct slot slot, uint32_t nslots, int *bare)
{
	uint32_t n = 1;

	*bare = is_bare(slot);
	while (n < nslots && is_bare(slot_after(slot, n)) == *bare)
		n++;
	return n;
}

/* Moves to slots that have frames: they are put aside first. */
static uint32_t move_over(struct slot dst, struct slot src, uint32_t nslots)
{
	struct slot aside;
	uint32_t ntaken = take_aside(nslots, &aside), nout, n;

	if (!ntaken)
		return 0;
	nout = carry(aside, dst, ntaken);
	n = carry(dst, src, nout);
	/* Where frames are to be copied over, they are wanted back. */
	if (n < nout)
		umpa_carry_move(slot_after(dst, n), slot_after(aside, n), nout - n);
	if (n)
		umpa_space_give(aside, n, EXTENT_RESIDENT);
	give_as_they_are(slot_after(aside, n), ntaken - n);
	return n;
}

uint32_t umpa_frames_move(struct slot dst, struct slot src, uint32_t nslots)
{
	int bare;
	uint32_t n = count_alike(dst, at_most_a_chunk(nslots), &bare);

	return bare ? carry(dst, src, n) : move_over(dst, src, n);
}

uint32_t umpa_frames_swap(struct slot a, struct slot b, uint32_t nslots)
{
	struct slot aside;
	uint32_t ntaken = take_aside(at_most_a_chunk(nslots), &aside), nout, n;
	int all_moved;

	if (!ntaken)
		return 0;
	nout = carry(aside, a, ntaken);
	n = carry(a, b, nout);
	bring(slot_after(a, n), slot_after(aside, n), (size_t)(nout - n) << SLOT_SHIFT);
	all_moved = bring(b, aside, (size_t)n << SLOT_SHIFT);
	if (n == ntaken && all_moved)
		umpa_space_give(aside, n, EXTENT_VOID);
	else
		give_as_they_are(aside, ntaken);
	return n;
}
