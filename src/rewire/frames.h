/*
 * Moving and swapping by the mover: whole slots of spans, which their callers hold alone.
 *
 * Both carry slots from the front, as many as can be carried in one go (a chunk at most), and say
 * how many; 0 if the first one can't be: then nothing has changed but which frames are behind it,
 * and it is to be copied. What a refusal finds half done is brought back or completed, so that no
 * content is anywhere but where it should be.
 *
 * Slots in between are taken from the space, void, and given back before the call returns; nobody
 * else sees them and no lock is held meanwhile. In a child forked by another thread meanwhile they
 * are lost, as the slots of a realloc are.
 */
#ifndef UMPA_REWIRE_FRAMES_H
#define UMPA_REWIRE_FRAMES_H

#include "core/core.h"

/* The frames that dst had go to the pool. After result 0 the content of the first slot of dst is
 * unspecified. */
uint32_t umpa_frames_move(struct slot dst, struct slot src, uint32_t nslots);

uint32_t umpa_frames_swap(struct slot a, struct slot b, uint32_t nslots);

#endif
