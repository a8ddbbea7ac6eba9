/*
 * sigaction() and its kin: a handler that the program sets is called by one of umpa's, which puts
 * it off where it would hold up a thread with a lock (os/critical.h). The program sees nothing of
 * that: what it asks for is its own handler, with its own flags.
 *
 * Not put off are signals of what a thread does itself, which would only do it again, and those
 * that stop a process or let it go on, as the kernel drops one for the other. Nor is a handler that
 * goes when it is called (SA_RESETHAND), or one that a child of vfork() sets, whose memory is its
 * parent's and whose handlers are not.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "core/options.h"
#include "heap/engine.h"
#include "os/critical.h"
#include "os/fork_lock.h"
#include "os/os.h"
#include "shim/next.h"
#include "shim/vfork.h"

typedef void three_arguments_fn(int, siginfo_t *, void *);

/*
 * What the program has set. There are two of each signal, and a handler of umpa's for each, so that
 * one which is replaced stays as it is for who was called by it just now, or keeps it to call
 * himself, as runtimes do that set their own by system calls.
 */
struct action {
	three_arguments_fn *handler; /* atomic */
	int tells;                   /* SA_SIGINFO, or 0 */
};

static struct {
	struct action action[2];
	unsigned newest;
} actions[NSIG];

/* A bit each: signal() shall let them interrupt system calls (siginterrupt()). Atomic. */
static uint64_t interrupting;

static uint32_t lock; /* os/fork_lock.h, with all signals blocked */

/* --- called by the kernel ----------------------------------------------------------------- */

/* A handler that does not want all three arguments takes what it wants of them. Called last, so
 * that it has the frame the kernel made. */
static inline void handle(int signal, siginfo_t *info, void *context, const struct action *a)
{
	three_arguments_fn *handler = __atomic_load_n(&a->handler, __ATOMIC_RELAXED);

	if (!umpa_defer(signal, info, context))
		handler(signal, info, context);
}

static void handle_first(int signal, siginfo_t *info, void *context)
{
	handle(signal, info, context, &actions[signal].action[0]);
}

static void handle_second(int signal, siginfo_t *info, void *context)
{
	handle(signal, info, context, &actions[signal].action[1]);
}

static three_arguments_fn *const handlers[] = {handle_first, handle_second};

/* --- which are put off -------------------------------------------------------------------- */

static int comes_from_outside(int signal)
{
	static const uint64_t others = 1ul << SIGSEGV | 1ul << SIGBUS | 1ul << SIGFPE |
				       1ul << SIGILL | 1ul << SIGTRAP | 1ul << SIGABRT |
				       1ul << SIGSYS | 1ul << SIGCONT | 1ul << SIGTSTP |
				       1ul << SIGTTIN | 1ul << SIGTTOU;

	return signal > 0 && signal < NSIG && (signal >= 64 || !(others >> signal & 1));
}

static int is_function(const struct sigaction *a)
{
	return a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN && a->sa_handler != SIG_ERR;
}

static int is_deferred(int signal, const struct sigaction *a)
{
	return is_function(a) && !(a->sa_flags & (int)SA_RESETHAND) && comes_from_outside(signal) &&
	       umpa_host_consent() == UMPA_CONSENT_GIVEN && umpa_option(OPTION_defer) &&
	       !umpa_os_confined() && !umpa_has_parents_memory();
}

/* --- to and from the kernel --------------------------------------------------------------- */

/* Found when it is first called for: who sets no handler has none to call it from. Threads that
 * look for it at once find the same. */
static int call_next(int signal, const struct sigaction *wanted, struct sigaction *old)
{
	static int (*next)(int, const struct sigaction *, struct sigaction *); /* atomic */
	int (*found)(int, const struct sigaction *, struct sigaction *);

	found = __atomic_load_n(&next, __ATOMIC_RELAXED);
	if (!found) {
		umpa_find_next("sigaction", &found);
		__atomic_store_n(&next, found, __ATOMIC_RELAXED);
	}
	return found(signal, wanted, old);
}

/* What was set through here, as it was set. */
static void translate(int signal, struct sigaction *a)
{
	for (unsigned i = 0; i < array_len(handlers); i++) {
		if (a->sa_sigaction != handlers[i])
			continue;
		a->sa_sigaction = actions[signal].action[i].handler;
		a->sa_flags = (a->sa_flags & ~SA_SIGINFO) | actions[signal].action[i].tells;
		return;
	}
}

static int set_deferred(int signal, const struct sigaction *wanted, struct sigaction *old)
{
	struct sigaction a = *wanted;
	sigset_t all, before;
	unsigned i;
	int got;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	fork_lock_take(&lock);
	i = !actions[signal].newest;
	__atomic_store_n(
		&actions[signal].action[i].handler, wanted->sa_sigaction, __ATOMIC_RELAXED);
	actions[signal].action[i].tells = wanted->sa_flags & SA_SIGINFO;
	a.sa_sigaction = handlers[i];
	a.sa_flags |= SA_SIGINFO;
	got = call_next(signal, &a, old);
	if (!got) {
		actions[signal].newest = i;
		translate(signal, old);
	}
	fork_lock_give(&lock);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return got;
}

static int set(int signal, const struct sigaction *wanted, struct sigaction *old)
{
	struct sigaction was;
	int got;

	if (wanted && is_deferred(signal, wanted)) {
		got = set_deferred(signal, wanted, &was);
	} else {
		got = call_next(signal, wanted, &was);
		if (!got)
			translate(signal, &was);
	}
	if (!got && old)
		*old = was;
	return got;
}

public_api int sigaction(int signal, const struct sigaction *wanted, struct sigaction *old)
{
	return set(signal, wanted, old);
}

/* --- by the older names ------------------------------------------------------------------- */

typedef void handler_fn(int);

int __sigaction(int signal, const struct sigaction *wanted, struct sigaction *old);
handler_fn *bsd_signal(int signal, handler_fn *handler);

public_api int __sigaction(int signal, const struct sigaction *wanted, struct sigaction *old)
{
	return set(signal, wanted, old);
}

static uint64_t bit_of(int signal)
{
	return signal > 0 && signal < NSIG ? (uint64_t)1 << (signal - 1) : 0;
}

static handler_fn *set_handler(int signal, const struct sigaction *wanted)
{
	struct sigaction old;

	if (wanted->sa_handler == SIG_ERR) {
		errno = EINVAL;
		return SIG_ERR;
	}
	return set(signal, wanted, &old) ? SIG_ERR : old.sa_handler;
}

/* As BSD's: blocked in its handler, and what it interrupts is restarted. */
public_api handler_fn *signal(int signal, handler_fn *handler)
{
	struct sigaction wanted = {.sa_handler = handler};

	sigaddset(&wanted.sa_mask, signal);
	if (!(__atomic_load_n(&interrupting, __ATOMIC_RELAXED) & bit_of(signal)))
		wanted.sa_flags = SA_RESTART;
	return set_handler(signal, &wanted);
}

public_api handler_fn *bsd_signal(int number, handler_fn *handler)
{
	return signal(number, handler);
}

public_api handler_fn *ssignal(int number, handler_fn *handler)
{
	return signal(number, handler);
}

/* As System V's: default when it is called, and neither blocked nor restarted. */
public_api handler_fn *__sysv_signal(int signal, handler_fn *handler)
{
	struct sigaction wanted = {
		.sa_handler = handler, .sa_flags = (int)SA_RESETHAND | SA_NODEFER | SA_INTERRUPT};

	return set_handler(signal, &wanted);
}

public_api handler_fn *sysv_signal(int signal, handler_fn *handler)
{
	return __sysv_signal(signal, handler);
}

/* What was blocked is told instead of what its handler was. */
public_api handler_fn *sigset(int signal, handler_fn *handler)
{
	struct sigaction wanted = {.sa_handler = handler}, old;
	int holds = handler == SIG_HOLD;
	sigset_t one, before;

	if (handler == SIG_ERR || sigemptyset(&one) || sigaddset(&one, signal)) {
		errno = EINVAL;
		return SIG_ERR;
	}
	if (set(signal, holds ? NULL : &wanted, &old) ||
		sigprocmask(holds ? SIG_BLOCK : SIG_UNBLOCK, &one, &before))
		return SIG_ERR;
	return sigismember(&before, signal) ? SIG_HOLD : old.sa_handler;
}

/* libc's keeps such a set too, and changes the flags of what handler there is, umpa's or not. */
public_api int siginterrupt(int signal, int interrupt)
{
	int (*next)(int signal, int interrupt);
	int got;

	umpa_find_next("siginterrupt", &next);
	got = next(signal, interrupt);
	if (got)
		return got;
	if (interrupt)
		__atomic_fetch_or(&interrupting, bit_of(signal), __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&interrupting, ~bit_of(signal), __ATOMIC_RELAXED);
	return 0;
}
