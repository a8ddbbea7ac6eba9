/*
 * Critical sections: where a thread has what others wait for, a lock or slots in transit, and must
 * not be held up. A signal handler may do just that: collectors stop the other threads so, and then
 * map memory, for which the stopped thread's lock would be waited for in vain. So a handler that is
 * called through umpa_defer() is put off until the section ends, as the kernel does for its own.
 *
 * To block signals instead would take two system calls a lock. Here it costs two instructions, and
 * five system calls for a signal that came at the wrong moment. (SBCL puts handlers off so, in what
 * it calls pseudo-atomic sections.)
 */
#ifndef UMPA_OS_CRITICAL_H
#define UMPA_OS_CRITICAL_H

#include <signal.h>
#include <stdint.h>

#include "base/compiler.h"

struct umpa_critical {
	/* That this thread is in. A signal handler that finds some must take no lock. */
	unsigned nsections;
	/* Signals that are blocked, and pending for this thread, until it leaves the last one. Set
	 * in its own handlers only. */
	uint64_t deferred;
};

extern __thread struct umpa_critical umpa_critical;

cold_path void umpa_critical_deliver(void);

/* Handlers of this thread see the sections entered before, and left after, what is done in them. */
static inline void umpa_critical_enter(void)
{
	umpa_critical.nsections++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline void umpa_critical_leave(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	umpa_critical.nsections--;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (unlikely(umpa_critical.deferred))
		umpa_critical_deliver();
}

/*
 * At the beginning of a handler, with its arguments. 1: this thread is in a critical section; the
 * signal comes again, as it was, when that ends, and the handler shall return at once. 0: it shall
 * go on; where the thread is in a section still, the process is confined (os.h) or the kernel keeps
 * no more signals.
 */
int umpa_defer_rest(int signal, siginfo_t *info, void *context);

static inline int umpa_defer(int signal, siginfo_t *info, void *context)
{
	return unlikely(umpa_critical.nsections || umpa_critical.deferred) &&
	       umpa_defer_rest(signal, info, context);
}

#endif
