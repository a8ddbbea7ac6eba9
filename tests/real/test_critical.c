/* Signals that come in a critical section: real ones, which the thread sends itself. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "os/critical.h"
#include "os/fork_lock.h"
#include "os/lock.h"
#include "os/os.h"
#include "support/check.h"

enum {
	NEVENTS_MAX = 16
};

/* What handlers were let on with, in order. */
static struct event {
	int signal;
	unsigned ncritical;
	siginfo_t info;
} events[NEVENTS_MAX];
static volatile unsigned nevents, ncalls;

static void note(int signal, siginfo_t *info, void *context)
{
	ncalls++;
	if (umpa_defer(signal, info, context) || nevents == NEVENTS_MAX)
		return;
	events[nevents++] = (struct event){signal, umpa_critical.nsections, *info};
}

static void handle_by(void (*handler)(int, siginfo_t *, void *), int signal, int flags, int also)
{
	struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	sigemptyset(&a.sa_mask);
	if (also)
		sigaddset(&a.sa_mask, also);
	REQUIRE(!sigaction(signal, &a, NULL));
}

static void begin(void)
{
	nevents = ncalls = 0;
	handle_by(note, SIGUSR1, 0, 0);
	handle_by(note, SIGUSR2, 0, 0);
	handle_by(note, SIGRTMIN, 0, 0);
}

static int is_blocked(int signal)
{
	sigset_t now;

	return !pthread_sigmask(SIG_BLOCK, NULL, &now) && sigismember(&now, signal);
}

TEST(critical_signals_outside_come_at_once)
{
	PLAN(8);
	begin();
	raise(SIGUSR1);
	CHECK_EQ(nevents, 1);
	CHECK_EQ(ncalls, 1);
	umpa_critical_enter();
	umpa_critical_leave();
	CHECK_EQ(nevents, 1);
	CHECK_EQ(umpa_critical.nsections, 0);
	CHECK_EQ(umpa_critical.deferred, 0);
}

TEST(critical_signals_come_when_the_last_section_ends)
{
	PLAN(13);
	begin();
	umpa_critical_enter();
	umpa_critical_enter();
	raise(SIGUSR1);
	CHECK_EQ(ncalls, 1);
	CHECK_EQ(nevents, 0);
	CHECK(is_blocked(SIGUSR1));
	umpa_critical_leave();
	CHECK_EQ(nevents, 0);
	umpa_critical_leave();
	CHECK_EQ(ncalls, 2);
	CHECK_EQ(nevents, 1);
	CHECK_EQ(events[0].ncritical, 0);
	CHECK(!is_blocked(SIGUSR1));
	CHECK_EQ(umpa_critical.deferred, 0);
	umpa_critical_enter();
	umpa_critical_leave();
	CHECK_EQ(ncalls, 2);
}

/* Who sent them, how, and with what. */
TEST(critical_signals_come_as_they_were)
{
	union sigval value = {.sival_ptr = events};
	struct sigevent notify = {.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGUSR2,
		.sigev_value = {.sival_int = 5}};
	struct itimerspec soon = {{0, 0}, {0, 1}};
	timer_t timer;

	PLAN(19);
	begin();
	REQUIRE(!timer_create(CLOCK_MONOTONIC, &notify, &timer));
	umpa_critical_enter();
	REQUIRE(!sigqueue(getpid(), SIGRTMIN, value));
	REQUIRE(!kill(getpid(), SIGUSR1));
	REQUIRE(!timer_settime(timer, 0, &soon, NULL));
	while (ncalls < 3)
		;
	CHECK_EQ(nevents, 0);
	umpa_critical_leave();
	CHECK_EQ(nevents, 3);
	CHECK_EQ(ncalls, 6);
	for (unsigned i = 0; i < nevents; i++) {
		const siginfo_t *info = &events[i].info;

		if (events[i].signal == SIGRTMIN) {
			CHECK_EQ(info->si_code, SI_QUEUE);
			CHECK(info->si_value.sival_ptr == value.sival_ptr);
			CHECK_EQ(info->si_pid, getpid());
		} else if (events[i].signal == SIGUSR1) {
			CHECK_EQ(info->si_code, SI_USER);
			CHECK_EQ(info->si_pid, getpid());
			CHECK_EQ(info->si_uid, getuid());
		} else {
			CHECK_EQ(info->si_code, SI_TIMER);
			CHECK_EQ(info->si_value.sival_int, 5);
			CHECK_EQ(info->si_overrun, 0);
		}
	}
	timer_delete(timer);
}

TEST(critical_signals_may_interrupt_their_own_handler)
{
	PLAN(7);
	begin();
	handle_by(note, SIGUSR1, SA_NODEFER, 0);
	umpa_critical_enter();
	raise(SIGUSR1);
	CHECK_EQ(ncalls, 1);
	umpa_critical_leave();
	CHECK_EQ(ncalls, 2);
	CHECK_EQ(nevents, 1);
}

static void note_while_none_are_kept(int signal, siginfo_t *info, void *context)
{
	struct rlimit was, none;

	getrlimit(RLIMIT_SIGPENDING, &was);
	none = (struct rlimit){0, was.rlim_max};
	setrlimit(RLIMIT_SIGPENDING, &none);
	note(signal, info, context);
	setrlimit(RLIMIT_SIGPENDING, &was);
}

/* Of real-time signals the kernel keeps no more than it may; what can't be put off is not lost. */
TEST(critical_signals_that_nobody_keeps_come_at_once)
{
	union sigval value = {.sival_int = 1};

	PLAN(8);
	begin();
	handle_by(note_while_none_are_kept, SIGRTMIN, SA_NODEFER, 0);
	umpa_critical_enter();
	sigqueue(getpid(), SIGRTMIN, value);
	CHECK_EQ(nevents, 1);
	CHECK_EQ(events[0].ncritical, 1);
	CHECK(!is_blocked(SIGRTMIN));
	umpa_critical_leave();
	CHECK_EQ(ncalls, 1);
}

static void note_within(int signal, siginfo_t *info, void *context)
{
	(void)umpa_defer(signal, info, context);
	umpa_critical_enter();
	umpa_critical_leave();
	note(signal, info, context);
}

/* A handler that has one blocked, and comes in the moment before that one is let through. */
TEST(critical_signals_wait_for_a_handler_that_blocks_them)
{
	sigset_t one;

	PLAN(10);
	begin();
	handle_by(note_within, SIGUSR2, 0, SIGUSR1);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &one, NULL);
	raise(SIGUSR1);
	umpa_critical.deferred = (uint64_t)1 << (SIGUSR1 - 1);
	raise(SIGUSR2);
	CHECK_EQ(nevents, 2);
	CHECK_EQ(events[0].signal, SIGUSR2);
	CHECK_EQ(events[1].signal, SIGUSR1);
	CHECK_EQ(umpa_critical.deferred, 0);
	CHECK(!is_blocked(SIGUSR1));
	umpa_critical_deliver();
	CHECK_EQ(nevents, 2);
}

/* A child has none of its parent's signals, and none of them blocked for good. */
TEST(critical_signals_are_not_a_childs)
{
	int status = -1;
	pid_t child;

	PLAN(6);
	begin();
	umpa_critical_enter();
	raise(SIGUSR1);
	child = fork();
	if (!child) {
		umpa_critical_leave();
		_exit(nevents != 0 || is_blocked(SIGUSR1) || umpa_critical.deferred != 0);
	}
	umpa_critical_leave();
	CHECK_EQ(nevents, 1);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

/* The calls that put one off are not among those a filter must know. */
TEST(critical_signals_come_at_once_in_a_confined_process)
{
	int status = -1;
	pid_t child;

	PLAN(5);
	begin();
	child = fork();
	if (!child) {
		umpa_os_confine();
		umpa_critical_enter();
		raise(SIGUSR1);
		_exit(ncalls != 1 || nevents != 1 || is_blocked(SIGUSR1));
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
}

/* --- locks are such sections --------------------------------------------------------------- */

TEST(critical_signals_wait_for_locks)
{
	struct umpa_lock first = UMPA_LOCK_INITIALIZER(LOCK_SHELF);
	struct umpa_lock second = UMPA_LOCK_INITIALIZER(LOCK_SPACE);
	uint32_t of_process = 0;

	PLAN(9);
	begin();
	umpa_lock_take(&first);
	CHECK(umpa_lock_try(&second));
	raise(SIGUSR1);
	umpa_lock_give(&first);
	CHECK_EQ(nevents, 0);
	CHECK(!umpa_lock_try(&second));
	umpa_lock_give(&second);
	CHECK_EQ(nevents, 1);
	fork_lock_take(&of_process);
	raise(SIGUSR1);
	CHECK_EQ(nevents, 1);
	fork_lock_give(&of_process);
	CHECK_EQ(nevents, 2);
}

static struct umpa_lock awaited = UMPA_LOCK_INITIALIZER(LOCK_SPACE);
static int ntaken; /* atomic */

/* Interrupted while it waits, which a handler must not do for it. */
static void *wait_for_it(void *arg)
{
	(void)arg;
	__atomic_store_n(&ntaken, 1, __ATOMIC_RELEASE);
	umpa_lock_take(&awaited);
	__atomic_store_n(&ntaken, 2, __ATOMIC_RELEASE);
	umpa_lock_give(&awaited);
	return NULL;
}

TEST(critical_signals_wait_for_who_waits_for_a_lock)
{
	struct timespec moment = {0, 2000000};
	pthread_t thread;

	PLAN(7);
	begin();
	__atomic_store_n(&ntaken, 0, __ATOMIC_RELAXED);
	umpa_lock_take(&awaited);
	REQUIRE(!pthread_create(&thread, NULL, wait_for_it, NULL));
	while (!__atomic_load_n(&ntaken, __ATOMIC_ACQUIRE))
		;
	nanosleep(&moment, NULL);
	pthread_kill(thread, SIGUSR1);
	while (!__atomic_load_n(&ncalls, __ATOMIC_ACQUIRE))
		;
	nanosleep(&moment, NULL);
	CHECK_EQ(nevents, 0);
	umpa_lock_give(&awaited);
	pthread_join(thread, NULL);
	CHECK_EQ(ntaken, 2);
	CHECK_EQ(nevents, 1);
}
