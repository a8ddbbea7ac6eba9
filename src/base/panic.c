#include "base/panic.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/format.h"

static void say(char *line, size_t n)
{
	ssize_t done;

	line[n++] = '\n';
	do
		done = write(STDERR_FILENO, line, n);
	while (done < 0 && errno == EINTR);
}

void umpa_misuse(const char *call, const void *pointer, const char *what)
{
	char line[256];

	say(line, umpa_format(line, sizeof(line) - 1, "umpa: %s(%p): %s", call, pointer, what));
	abort();
}

void umpa_broken(const char *invariant, const char *file, int line_number)
{
	char line[256];

	say(line, umpa_format(line, sizeof(line) - 1, "umpa: broken invariant: %s (%s:%d)",
			  invariant, file, line_number));
	abort();
}

void umpa_warn(const char *format, ...)
{
	char line[512] = "umpa: ";
	int saved = errno;
	va_list args;

	va_start(args, format);
	say(line, 6 + umpa_vformat(line + 6, sizeof(line) - 7, format, args));
	va_end(args);
	errno = saved;
}
