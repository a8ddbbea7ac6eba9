/*
 * How a span's slots go back to the space: in one piece as a rule; where some were left void
 * (untouched.h), as what they are now, or are believed to be. Guarded by the span's owner.
 */
#ifndef UMPA_CORE_SPAN_SLOTS_H
#define UMPA_CORE_SPAN_SLOTS_H

#include "core/core.h"

/* Gives the slots from the nth on back of what was the span *r. Those below `used` may have frames.
 */
void umpa_span_give_slots(struct slot_record *r, struct slot slot, uint32_t n, uint32_t used);

/* Of a set of slots those from the nth on. */
static inline uint64_t umpa_slots_from(uint64_t slots, uint32_t n)
{
	return n < 64 ? slots >> n << n : 0;
}

/* Slots from the nth on are the span's no more, or have frames. */
static inline void umpa_span_forget_lack(struct slot_record *r, uint32_t n)
{
	r->lack &= ~umpa_slots_from(r->lack, n);
}

#endif
