/*
 * Which CPUs may still remember a translation that was changed. An epoch begins after a change; a
 * CPU has reached it once all that it remembers was looked up in that epoch or later. So who has
 * led an address elsewhere need not interrupt anybody: it notes the epoch after, and uses the
 * address anew when every CPU that runs has reached that. A CPU that is out of guest mode holds
 * nobody up, as it forgets before it enters again, if there is something to forget.
 *
 * Pure; by any CPU in guest mode and any thread outside, at a time; no locks.
 *
 * Sequentially consistent where one side changes `now` and looks at `reached`, and the other
 * changes `reached` and looks at `now`: one of them sees what the other did.
 *
 * Source of the idea: K. Fraser, "Practical lock-freedom", 2004, for memory that threads may still
 * read.
 */
#ifndef UMPA_VMM_EPOCH_H
#define UMPA_VMM_EPOCH_H

#include <stdint.h>

#define EPOCH_OUT UINT64_MAX /* not in guest mode */

struct umpa_epoch_cpu {
	uint64_t reached; /* atomic; written by who runs on the CPU */
} __attribute__((aligned(64)));

struct umpa_epochs {
	uint64_t now; /* atomic */
	unsigned ncpus;
	struct umpa_epoch_cpu *cpu;
};

static inline uint64_t umpa_epoch_now(const struct umpa_epochs *e)
{
	return __atomic_load_n(&e->now, __ATOMIC_SEQ_CST);
}

static inline uint64_t umpa_epoch_reached(const struct umpa_epochs *e, unsigned cpu)
{
	return __atomic_load_n(&e->cpu[cpu].reached, __ATOMIC_SEQ_CST);
}

/* Begins the next one; what this thread has changed was before. */
static inline uint64_t umpa_epoch_begin(struct umpa_epochs *e)
{
	return __atomic_add_fetch(&e->now, 1, __ATOMIC_SEQ_CST);
}

/* 1 if every CPU that runs has reached an epoch, but for one, who knows best. */
static inline int umpa_epoch_is_over(const struct umpa_epochs *e, unsigned but, uint64_t epoch)
{
	for (unsigned i = 0; i < e->ncpus; i++)
		if (i != but && umpa_epoch_reached(e, i) < epoch)
			return 0;
	return 1;
}

/* Before a CPU looks anything up, on the way into guest mode. Result: the epoch that it has
 * reached, if it forgets first what it remembers from before that. */
static inline uint64_t umpa_epoch_enter(struct umpa_epochs *e, unsigned cpu)
{
	uint64_t now;

	do {
		now = umpa_epoch_now(e);
		__atomic_store_n(&e->cpu[cpu].reached, now, __ATOMIC_SEQ_CST);
	} while (umpa_epoch_now(e) != now);
	return now;
}

/* Release: what it did there is over. */
static inline void umpa_epoch_leave(struct umpa_epochs *e, unsigned cpu)
{
	__atomic_store_n(&e->cpu[cpu].reached, EPOCH_OUT, __ATOMIC_RELEASE);
}

/* In guest mode: 1 if there may be something to forget. */
static inline int umpa_epoch_is_behind(const struct umpa_epochs *e, unsigned cpu)
{
	return __atomic_load_n(&e->cpu[cpu].reached, __ATOMIC_RELAXED) <
	       __atomic_load_n(&e->now, __ATOMIC_RELAXED);
}

/* It has forgotten all it remembered when that epoch was already there. */
static inline void umpa_epoch_reach(struct umpa_epochs *e, unsigned cpu, uint64_t epoch)
{
	__atomic_store_n(&e->cpu[cpu].reached, epoch, __ATOMIC_RELEASE);
}

#endif
