#include "interrupt.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "base/compiler.h"

static const int caught[] = {SIGHUP, SIGINT, SIGTERM};

static volatile sig_atomic_t came;
static volatile pid_t child;

static void note(int sig)
{
	int saved = errno;

	came = sig;
	if (child > 0 && !kill(child, SIGTERM))
		kill(child, SIGCONT); /* one that is stopped would never hear of it */
	errno = saved;
}

/* Where a signal is `from`, it becomes `to`. */
static void change(void (*from)(int), void (*to)(int), int flags)
{
	struct sigaction was, now = {.sa_handler = to, .sa_flags = flags};
	size_t i;

	for (i = 0; i < array_len(caught); i++)
		if (!sigaction(caught[i], NULL, &was) && was.sa_handler == from)
			sigaction(caught[i], &now, NULL);
}

void umpa_interrupt_catch(void)
{
	change(SIG_DFL, note, (int)(SA_RESTART | SA_RESETHAND));
}

int umpa_interrupted(void)
{
	return came;
}

/* A signal that comes in between waits until it is known whom to end. */
pid_t umpa_interrupt_fork(void)
{
	sigset_t all, was;
	pid_t pid;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &was);
	pid = fork();
	if (pid > 0)
		child = pid;
	else if (pid == 0)
		change(note, SIG_DFL, 0);
	sigprocmask(SIG_SETMASK, &was, NULL);
	return pid;
}

void umpa_interrupt_reaped(void)
{
	child = 0;
}

void umpa_interrupt_end(void)
{
	if (!came)
		return;
	signal(came, SIG_DFL);
	raise(came);
}
