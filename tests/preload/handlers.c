/*
 * handlers [stops N]: handlers are what the program has set, and nothing else, by all the names
 * there are; with `stops` a collector stops the other threads by a signal N times, wherever they
 * are, and maps memory meanwhile.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "expect.h"

typedef void handler_fn(int);

handler_fn *bsd_signal(int signal, handler_fn *handler);
int __sigaction(int signal, const struct sigaction *wanted, struct sigaction *old);

static volatile sig_atomic_t ncalled, nwrong;
static volatile int last_value;

static void one(int signal)
{
	nwrong = nwrong + (signal != SIGUSR1);
	ncalled = ncalled + 1;
}

static void two(int signal)
{
	nwrong = nwrong + (signal != SIGUSR1);
	ncalled = ncalled + 100;
}

static void three(int signal, siginfo_t *info, void *context)
{
	ucontext_t *c = context;

	nwrong = nwrong + (signal != info->si_signo || sigismember(&c->uc_sigmask, signal));
	last_value = info->si_value.sival_int;
	ncalled = ncalled + 1;
}

/* 1 if the program's action is this one, without what libc adds. */
static int is_set(int signal, const void *handler, int flags, int masked)
{
	struct sigaction a;

	return !sigaction(signal, NULL, &a) && (const void *)a.sa_handler == handler &&
	       (a.sa_flags & ~0x4000000) == flags && sigismember(&a.sa_mask, masked);
}

static int calls(int signal)
{
	int before = ncalled;

	raise(signal);
	return ncalled - before;
}

static struct sigaction action_of(handler_fn *handler, int flags, int masked)
{
	struct sigaction a = {.sa_handler = handler, .sa_flags = flags};

	sigaddset(&a.sa_mask, masked);
	return a;
}

static void set_by_sigaction(void)
{
	struct sigaction a = action_of(one, SA_RESTART, SIGHUP), old, b;
	union sigval value = {.sival_int = 77};

	EXPECT(!sigaction(SIGUSR1, &a, &old));
	EXPECT(old.sa_handler == SIG_DFL && !(old.sa_flags & SA_SIGINFO));
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGHUP));
	EXPECT(calls(SIGUSR1) == 1);
	/* In and out may be the same, and what was set once may be set again. */
	b = action_of(two, SA_NODEFER | SA_ONSTACK, SIGINT);
	EXPECT(!__sigaction(SIGUSR1, &b, &b));
	EXPECT(b.sa_handler == one && (b.sa_flags & ~0x4000000) == SA_RESTART);
	EXPECT(is_set(SIGUSR1, two, SA_NODEFER | SA_ONSTACK, SIGINT));
	EXPECT(calls(SIGUSR1) == 100);
	EXPECT(!sigaction(SIGUSR1, &b, NULL));
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGHUP));
	EXPECT(calls(SIGUSR1) == 1);
	a = action_of(NULL, SA_SIGINFO, SIGINT);
	a.sa_sigaction = three;
	EXPECT(!sigaction(SIGRTMIN + 3, &a, NULL));
	EXPECT(!sigqueue(getpid(), SIGRTMIN + 3, value));
	EXPECT(last_value == 77);
	EXPECT(is_set(SIGRTMIN + 3, three, SA_SIGINFO, SIGINT));
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGHUP));
	a = action_of(SIG_IGN, 0, SIGINT);
	EXPECT(!sigaction(SIGUSR1, &a, &old) && old.sa_handler == one);
	EXPECT(calls(SIGUSR1) == 0);
	EXPECT(!sigaction(SIGUSR1, NULL, &old) && old.sa_handler == SIG_IGN);
	/* Not handed to the one that stands in for it. */
	a = action_of(one, (int)SA_RESETHAND, SIGINT);
	EXPECT(!sigaction(SIGUSR1, &a, NULL));
	EXPECT(is_set(SIGUSR1, one, (int)SA_RESETHAND, SIGINT));
	EXPECT(calls(SIGUSR1) == 1);
	EXPECT(!sigaction(SIGUSR1, NULL, &old) && old.sa_handler == SIG_DFL);
	a = action_of(one, 0, SIGINT);
	EXPECT(sigaction(SIGKILL, &a, NULL) == -1 && errno == EINVAL);
	EXPECT(sigaction(0, &a, NULL) == -1 && errno == EINVAL);
	EXPECT(sigaction(-5, &a, NULL) == -1 && errno == EINVAL);
	EXPECT(sigaction(4711, &a, &old) == -1 && errno == EINVAL);
	EXPECT(sigaction(65, NULL, &old) == -1 && errno == EINVAL);
	EXPECT(sigaction(33, &a, NULL) == -1 && errno == EINVAL);
}

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

static void set_by_older_names(void)
{
	EXPECT(signal(SIGUSR1, SIG_DFL) == SIG_DFL);
	EXPECT(signal(SIGUSR1, one) == SIG_DFL);
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGUSR1));
	EXPECT(bsd_signal(SIGUSR1, two) == one);
	EXPECT(ssignal(SIGUSR1, one) == two);
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGUSR1));
	EXPECT(calls(SIGUSR1) == 1);
	EXPECT(!siginterrupt(SIGUSR1, 1));
	EXPECT(is_set(SIGUSR1, one, 0, SIGUSR1));
	EXPECT(calls(SIGUSR1) == 1);
	EXPECT(signal(SIGUSR1, two) == one);
	EXPECT(is_set(SIGUSR1, two, 0, SIGUSR1));
	EXPECT(!siginterrupt(SIGUSR1, 0));
	EXPECT(is_set(SIGUSR1, two, SA_RESTART, SIGUSR1));
	EXPECT(calls(SIGUSR1) == 100);
	EXPECT(signal(SIGUSR1, one) == two);
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGUSR1));
	EXPECT(siginterrupt(4711, 1) == -1 && errno == EINVAL);
	EXPECT(__sysv_signal(SIGUSR1, two) == one);
	EXPECT(calls(SIGUSR1) == 100);
	EXPECT(__sysv_signal(SIGUSR1, SIG_IGN) == SIG_DFL);
	EXPECT(signal(SIGUSR1, SIG_ERR) == SIG_ERR && errno == EINVAL);
	EXPECT(signal(SIGKILL, one) == SIG_ERR && errno == EINVAL);
	EXPECT(signal(4711, one) == SIG_ERR && errno == EINVAL);
	EXPECT(sigset(SIGUSR1, one) == SIG_IGN);
	EXPECT(sigset(SIGUSR1, SIG_HOLD) == one);
	EXPECT(calls(SIGUSR1) == 0);
	EXPECT(sigset(SIGUSR1, SIG_HOLD) == SIG_HOLD);
	EXPECT(sigset(SIGUSR1, two) == SIG_HOLD && ncalled % 1000 >= 100);
	EXPECT(calls(SIGUSR1) == 100);
	EXPECT(sigset(SIGUSR1, SIG_DFL) == two);
	EXPECT(sigset(4711, one) == SIG_ERR && errno == EINVAL);
	EXPECT(sigset(SIGKILL, one) == SIG_ERR && errno == EINVAL);
}

/* Runtimes look up what there is by a system call, put theirs in its place, and call it. */
struct kernel_action {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void called_by_who_keeps_it(void)
{
	struct kernel_action there;
	siginfo_t info = {.si_signo = SIGUSR1};
	int before = ncalled;

	EXPECT(signal(SIGUSR1, one) == SIG_DFL);
	EXPECT(!syscall(SYS_rt_sigaction, SIGUSR1, NULL, &there, 8));
	EXPECT(signal(SIGUSR1, two) == one);
	there.handler(SIGUSR1, &info, NULL);
	EXPECT(ncalled == before + 1);
	EXPECT(!syscall(SYS_rt_sigaction, SIGUSR1, &there, NULL, 8));
	EXPECT(calls(SIGUSR1) == 1);
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGUSR1));
}

/* What a child of vfork() does with its handlers is its own. */
static void set_in_children(void)
{
	char *const argv[] = {"true", NULL};
	int status = -1;
	pid_t child;

	EXPECT(signal(SIGUSR1, one) == one);
	child = vfork();
	if (!child) {
		if (signal(SIGUSR1, two) != one || calls(SIGUSR1) != 100 ||
			signal(SIGUSR1, SIG_IGN) != two || calls(SIGUSR1))
			_exit(1);
		_exit(0);
	}
	EXPECT(waitpid(child, &status, 0) == child && !status);
	EXPECT(is_set(SIGUSR1, one, SA_RESTART, SIGUSR1));
	EXPECT(calls(SIGUSR1) == 1);
	child = fork();
	if (!child) {
		if (calls(SIGUSR1) != 1 || signal(SIGUSR1, two) != one || calls(SIGUSR1) != 100)
			_exit(1);
		_exit(0);
	}
	EXPECT(waitpid(child, &status, 0) == child && !status);
	EXPECT(calls(SIGUSR1) == 1);
	EXPECT(!posix_spawnp(&child, argv[0], NULL, NULL, argv, NULL));
	EXPECT(waitpid(child, &status, 0) == child && !status);
	EXPECT(signal(SIGINT, one) == SIG_DFL);
	EXPECT(!system("true"));
	EXPECT(signal(SIGINT, SIG_DFL) == one);
}

/* --- set by some threads while it comes to others ------------------------------------------- */

static volatile int over;

static void *set_again(void *arg)
{
	while (!over) {
		handler_fn *was = signal(SIGUSR1, arg ? one : two);

		nwrong = nwrong + (was != one && was != two);
	}
	return NULL;
}

static void set_by_threads(void)
{
	pthread_t thread[2];
	int before = ncalled, n;

	EXPECT(signal(SIGUSR1, one) != SIG_ERR);
	for (int i = 0; i < 2; i++)
		EXPECT(!pthread_create(&thread[i], NULL, set_again, i ? thread : NULL));
	for (n = 0; n < 3000; n++)
		raise(SIGUSR1);
	over = 1;
	for (int i = 0; i < 2; i++)
		EXPECT(!pthread_join(thread[i], NULL));
	/* Each was handled, by one or the other. */
	n = ncalled - before;
	EXPECT(n % 99 == 3000 % 99);
	EXPECT(n >= 3000 && n <= 300000);
}

/* --- a collector ---------------------------------------------------------------------------- */

enum {
	NTHREADS = 3,
	NMAPPED = 5,
	SIGSTOP_WORLD = SIGXCPU,
	SIGGO_ON = SIGPWR
};

static sem_t acknowledged;
static volatile int epoch;

static void stop_here(int signal)
{
	int e = epoch;
	sigset_t but_one;

	(void)signal;
	sem_post(&acknowledged);
	sigfillset(&but_one);
	sigdelset(&but_one, SIGGO_ON);
	while (epoch == e)
		sigsuspend(&but_one);
	sem_post(&acknowledged);
}

static void go_on(int signal)
{
	(void)signal;
}

static size_t fill(size_t npages, int content)
{
	size_t nbytes = npages * 4096;
	char *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || p[0] || p[nbytes - 1])
		return 1;
	memset(p, content, nbytes);
	return p[nbytes - 1] != (char)content || munmap(p, nbytes);
}

/* Maps, mallocs, and lets go. */
static void *mutate(void *arg)
{
	uint64_t state = (uintptr_t)arg;

	while (!over) {
		void *block = malloc(random_nbytes(&state, 22));

		nwrong = nwrong + (fill(1 + random_next(&state) % 64, 1) != 0);
		nwrong = nwrong + !block;
		free(block);
	}
	return NULL;
}

static void signal_all(const pthread_t *thread, int signal)
{
	epoch = epoch + 1;
	for (int i = 0; i < NTHREADS; i++)
		pthread_kill(thread[i], signal);
	for (int i = 0; i < NTHREADS; i++)
		while (sem_wait(&acknowledged))
			;
}

static int stop_world(int nstops)
{
	struct sigaction a = {.sa_handler = stop_here, .sa_flags = SA_RESTART};
	pthread_t thread[NTHREADS];

	sem_init(&acknowledged, 0, 0);
	sigfillset(&a.sa_mask);
	EXPECT(!sigaction(SIGSTOP_WORLD, &a, NULL));
	a.sa_handler = go_on;
	EXPECT(!sigaction(SIGGO_ON, &a, NULL));
	for (uintptr_t i = 0; i < NTHREADS; i++)
		EXPECT(!pthread_create(&thread[i], NULL, mutate, (void *)(i + 1)));
	for (int i = 0; i < nstops; i++) {
		usleep(300);
		signal_all(thread, SIGSTOP_WORLD);
		for (size_t k = 0; k < NMAPPED; k++)
			nwrong = nwrong + (fill(1 + k * 7, 2) != 0);
		signal_all(thread, SIGGO_ON);
	}
	over = 1;
	for (int i = 0; i < NTHREADS; i++)
		EXPECT(!pthread_join(thread[i], NULL));
	EXPECT(!nwrong);
	return expect_end(2 + 2 * NTHREADS + 1);
}

int main(int argc, char **argv)
{
	if (argc == 3)
		return stop_world(atoi(argv[2]));
	set_by_sigaction();
	set_by_older_names();
	called_by_who_keeps_it();
	set_in_children();
	set_by_threads();
	EXPECT(!nwrong);
	return expect_end(88);
}
