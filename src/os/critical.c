#include "os/critical.h"

#include <ucontext.h>

#include "os/os.h"
#include "os/syscall.h"

__thread struct umpa_critical umpa_critical;

static long change_mask(int how, const uint64_t *signals, uint64_t *before)
{
	return SYS_4(SYS_rt_sigprocmask, how, signals, before, sizeof(*signals));
}

/* A handler may come before they are taken, and let them through (umpa_defer_rest()). */
void umpa_critical_deliver(void)
{
	uint64_t signals;

	if (umpa_critical.nsections)
		return;
	signals = __atomic_exchange_n(&umpa_critical.deferred, 0, __ATOMIC_RELAXED);
	if (signals)
		(void)change_mask(SIG_UNBLOCK, &signals, NULL);
}

/* The kernel's set of signals, which is the first word of libc's. */
static uint64_t *mask_of(void *context)
{
	ucontext_t *c = context;

	_Static_assert(sizeof(c->uc_sigmask.__val[0]) == sizeof(uint64_t), "64 signals a word");
	return &c->uc_sigmask.__val[0];
}

/* Puts it in this thread's queue again. It is blocked before, as in the handler of a signal that
 * may interrupt itself (SA_NODEFER) it is not. */
static int requeue(int signal, siginfo_t *info, uint64_t bit)
{
	uint64_t before;

	if (change_mask(SIG_BLOCK, &bit, &before))
		return 0;
	if (!SYS_4(SYS_rt_tgsigqueueinfo, SYS_1(SYS_getpid, 0), SYS_1(SYS_gettid, 0), signal, info))
		return 1;
	(void)change_mask(SIG_SETMASK, &before, NULL);
	return 0;
}

int umpa_defer_rest(int signal, siginfo_t *info, void *context)
{
	uint64_t bit = (uint64_t)1 << (signal - 1), *mask = mask_of(context);

	/* Between the end of the section and what it ends with: they come after this one, which may
	 * have them blocked. */
	if (!umpa_critical.nsections) {
		*mask &= ~__atomic_exchange_n(&umpa_critical.deferred, 0, __ATOMIC_RELAXED);
		return 0;
	}
	if (umpa_os_confined() || !requeue(signal, info, bit))
		return 0;
	*mask |= bit;
	umpa_critical.deferred |= bit;
	return 1;
}
