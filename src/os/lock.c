#include "os/lock.h"

#include <linux/futex.h>
#include <time.h>

#include "os/syscall.h"

#ifdef UMPA_DEBUG
__thread unsigned char umpa_locks_held[LOCK_NRANKS];
#endif

enum {
	NLOOKS = 100, /* at a lock, before going to sleep */
	NYIELDS = 20, /* at what is no lock */
	PAUSE_NS = 50000
};

static int grab_soon(struct umpa_lock *l)
{
	for (int i = 0; i < NLOOKS; i++) {
		if (__atomic_load_n(&l->state, __ATOMIC_RELAXED) == LOCK_FREE && umpa_lock_grab(l))
			return 1;
		cpu_relax();
	}
	return 0;
}

/* Who was asleep can't know whether others are, so it takes the lock as awaited. The system's
 * answer does not matter: given meanwhile, woken, interrupted, all is to be looked at again.
 * Acquire, as in umpa_lock_grab(). */
void umpa_lock_await(struct umpa_lock *l)
{
	if (grab_soon(l))
		return;
	while (__atomic_exchange_n(&l->state, LOCK_AWAITED, __ATOMIC_ACQUIRE) != LOCK_FREE)
		(void)SYS_4(SYS_futex, &l->state, FUTEX_WAIT_PRIVATE, LOCK_AWAITED, NULL);
}

/* The lock may have been taken by another thread already, or its memory be gone: then nobody waits
 * at this address, or somebody looks in vain. */
void umpa_lock_wake(struct umpa_lock *l)
{
	(void)SYS_3(SYS_futex, &l->state, FUTEX_WAKE_PRIVATE, 1);
}

void umpa_lock_pause(const uint32_t *word, uint32_t seen, unsigned nth)
{
	const struct timespec moment = {0, PAUSE_NS};

	if (nth < NYIELDS)
		(void)SYS_1(SYS_sched_yield, 0);
	else
		(void)SYS_4(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &moment);
}
