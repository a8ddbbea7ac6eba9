/*
 * Carrying: how frames get from slot to slot, to the pool and from it. A superpage moves whole, by
 * the mover that was chosen (core/trial.h), and never under a lock: what is carried is the call's
 * own, or in transit (core/space.h).
 *
 * A frame that doesn't move costs time, not content: it goes to the kernel, whose fault fills the
 * place, or the content is dealt with otherwise, as each function says.
 */
#ifndef UMPA_CORE_CARRY_H
#define UMPA_CORE_CARRY_H

#include "core/space.h"

/*
 * Brings frames of the pool to the void slots at [slot, slot + nslots), which the caller holds, as
 * long as the pool has some; zero: and clears them. A pool frame that does not move is given to the
 * kernel instead, so that the memory in use does not grow when the kernel's fault fills the place.
 * What stays void is zero. Result: how many slots at the end got no frames because the pool was
 * empty.
 */
uint32_t umpa_carry_fill(struct slot slot, uint32_t nslots, int zero);

/* The same with zero, where other threads may use the slots already: frames are cleared before they
 * move, and only a mover that moves in one step is asked. */
void umpa_carry_fill_in_use(struct slot slot, uint32_t nslots);

/*
 * Makes the first npages of what was granted ready for use: frames from the pool where it is void
 * (but with UMPA_NOBACK), and zero with UMPA_ZERO. Result: 1 if what lies behind them in the slot
 * that they end in may not be zero.
 */
int umpa_carry_ready(const struct space_grant *grant, size_t npages, unsigned flags);

/*
 * Moves the frames of [src, src + nslots) to the void [dst, dst + nslots), both held by the caller;
 * pages of the source without frame are left out, bare slots without a move. Result: the bytes,
 * from the front, that are dealt with: those sources have no frames now.
 */
size_t umpa_carry_move(struct slot dst, struct slot src, uint32_t nslots);

/* Makes [slot, slot + nslots), held by the caller, zero by moving its frames to the pool; those
 * that don't move are unbacked, or cleared if the system refuses that too. */
void umpa_carry_to_pool(struct slot slot, uint32_t nslots);

#endif
