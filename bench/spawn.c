#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "worker.h"

#define MOST_ARGS 32
#define LIMIT_S   600 /* then the worker's alarm ends it */

static _Noreturn void become(char *const args[], char *const envp[], int out_fd)
{
	char *argv[MOST_ARGS + 3] = {(char *)"umpa", (char *)"bench"};
	int i;

	for (i = 0; args[i] && i < MOST_ARGS; i++)
		argv[i + 2] = args[i];
	if (out_fd >= 0)
		dup2(out_fd, STDOUT_FILENO);
	alarm(LIMIT_S);
	execve("/proc/self/exe", argv, envp);
	_exit(EXIT_CANNOT_RUN);
}

static void read_to_end(int fd, char *out, size_t nout)
{
	size_t nread = 0;
	char rest[512];
	ssize_t n;

	do {
		size_t room = nout - 1 - nread;

		n = read(fd, room ? out + nread : rest, room ? room : sizeof(rest));
		if (n > 0 && room)
			nread += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	out[nread] = 0;
}

static int ended_well(char *const args[], int status)
{
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (umpa_interrupted())
		return -1;
	if (WIFSIGNALED(status))
		return umpa_refuse(-1, "bench: %s: killed by signal %d (%s)", args[0],
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return umpa_refuse(-1, "bench: %s: exit status %d", args[0], WEXITSTATUS(status));
}

int umpa_spawn(char *const args[], char *const envp[], char *out, size_t nout)
{
	int fd[2], status = 0;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC))
		return umpa_refuse(-1, "bench: pipe: %s", strerror(errno));
	pid = umpa_interrupt_fork();
	if (pid == 0)
		become(args, envp, fd[1]);
	close(fd[1]);
	if (pid > 0)
		read_to_end(fd[0], out, nout);
	close(fd[0]);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return umpa_refuse(-1, "bench: can't start a process: %s", strerror(errno));
	umpa_interrupt_reaped();
	return ended_well(args, status);
}

struct trace {
	pid_t pid; /* the worker; its children are traced too */
	int in_phase;
	unsigned long ncalls;
};

/* One entry into the kernel. The marks themselves are not counted. */
static void see_entry(struct trace *t, pid_t pid)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0 ||
		info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return;
	if (info.entry.nr == SYS_prctl && info.entry.args[0] == UMPA_MARK_OPTION)
		t->in_phase = info.entry.args[1] == UMPA_MARK_BEGIN;
	else if (t->in_phase)
		t->ncalls++;
}

/* A stop of a traced process; result: the signal to go on with. */
static int see_stop(struct trace *t, pid_t pid, int status)
{
	int sig = WSTOPSIG(status);

	if (sig == (SIGTRAP | 0x80)) {
		see_entry(t, pid);
		return 0;
	}
	if (status >> 16 || sig == SIGSTOP || sig == SIGTRAP)
		return 0; /* an event, the first stop, exec */
	return sig;
}

/* Until the worker ends. Result: its status. */
static int follow(struct trace *t)
{
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status))
			ptrace(PTRACE_SYSCALL, pid, 0, see_stop(t, pid, status));
		else if (pid == t->pid)
			break;
	}
	return status;
}

static _Noreturn void become_traced(char *const args[], char *const envp[])
{
	int null = open("/dev/null", O_WRONLY);

	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		_exit(EXIT_CANNOT_RUN);
	raise(SIGSTOP);
	become(args, envp, null);
}

int umpa_spawn_traced(char *const args[], char *const envp[], unsigned long *ncalls)
{
	struct trace t = {0};
	int status;

	t.pid = umpa_interrupt_fork();
	if (t.pid == 0)
		become_traced(args, envp);
	if (t.pid < 0 || waitpid(t.pid, &status, 0) < 0)
		return umpa_refuse(-1, "bench: can't start a process: %s", strerror(errno));
	if (!WIFSTOPPED(status)) {
		umpa_interrupt_reaped();
		return umpa_interrupted() ? -1 : 1;
	}
	ptrace(PTRACE_SETOPTIONS, t.pid, 0,
		PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE |
			PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK);
	ptrace(PTRACE_SYSCALL, t.pid, 0, 0);
	status = follow(&t);
	umpa_interrupt_reaped();
	*ncalls = t.ncalls;
	return ended_well(args, status);
}
