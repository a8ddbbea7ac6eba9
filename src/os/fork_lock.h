/*
 * A lock that a fork can't leave taken: it holds its owner's process id, so that a child that was
 * forked while another thread held it sees an owner that is not its own process, and takes it. What
 * it guards may then be half done. Held for microseconds, rarely taken.
 */
#ifndef UMPA_OS_FORK_LOCK_H
#define UMPA_OS_FORK_LOCK_H

#include <stdint.h>

#include "os/lock.h"
#include "os/os.h"
#include "os/syscall.h"

/* A confined process may not ask for its id. What it takes such locks for still, to narrow the
 * window and to tell of misuse, a fork waits for or does not outlive. */
static inline uint32_t fork_lock_owner(void)
{
	return umpa_os_confined() ? UINT32_MAX : (uint32_t)SYS_1(SYS_getpid, 0);
}

static inline void fork_lock_take(uint32_t *lock)
{
	uint32_t self = fork_lock_owner(), owner = 0;
	unsigned nlooks = 0;

	umpa_critical_enter();
	/* The acquire pairs with fork_lock_give(). */
	while (!__atomic_compare_exchange_n(
		lock, &owner, self, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		if (owner == self) {
			umpa_lock_pause(lock, self, nlooks++);
			owner = 0;
		}
	}
}

static inline void fork_lock_give(uint32_t *lock)
{
	__atomic_store_n(lock, 0, __ATOMIC_RELEASE);
	umpa_critical_leave();
}

#endif
