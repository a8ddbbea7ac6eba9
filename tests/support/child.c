#include "child.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

_Noreturn static void be_the_child(void (*run)(void *arg), void *arg, int stderr_fd)
{
	struct rlimit no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
	dup2(stderr_fd, STDERR_FILENO);
	run(arg);
	_exit(0);
}

/* To the end of the text, so that the writer never waits. */
static void read_text(int fd, char *text, size_t room)
{
	char rest[256];
	size_t n = 0;
	ssize_t got;

	do {
		got = n + 1 < room ? read(fd, text + n, room - 1 - n)
				   : read(fd, rest, sizeof(rest));
		if (got > 0 && n + 1 < room)
			n += (size_t)got;
	} while (got > 0 || (got < 0 && errno == EINTR));
	text[n] = 0;
}

void child_run(void (*run)(void *arg), void *arg, struct child_end *end)
{
	int ends[2], status = 0;
	pid_t pid;

	memset(end, 0, sizeof(*end));
	if (pipe(ends) || (pid = fork()) < 0)
		abort();
	if (!pid)
		be_the_child(run, arg, ends[1]);
	close(ends[1]);
	read_text(ends[0], end->stderr_text, sizeof(end->stderr_text));
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	end->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}
