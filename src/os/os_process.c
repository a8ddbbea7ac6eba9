#include "os/process.h"

#include <fcntl.h>
#include <string.h>

#include "base/units.h"
#include "os/syscall.h"

/* --- /proc/self/maps, line by line -------------------------------------------------------- */

enum {
	LINE_NBYTES = 256 /* the rest of a longer one, a name, is passed over */
};

struct lines {
	int fd, error;
	size_t at, n;
	char buffer[4096];
};

/* The next byte; -1 at the end, and where l->error says why there is no more. */
static int next_byte(struct lines *l)
{
	if (l->at == l->n) {
		long got;

		do
			got = SYS_3(SYS_read, l->fd, l->buffer, sizeof(l->buffer));
		while (got == -EINTR);
		if (got <= 0) {
			l->error = (int)got;
			return -1;
		}
		l->at = 0;
		l->n = (size_t)got;
	}
	return (unsigned char)l->buffer[l->at++];
}

/* 1, 0 at the end. */
static int next_line(struct lines *l, char line[LINE_NBYTES])
{
	size_t n = 0;
	int c;

	while ((c = next_byte(l)) >= 0 && c != '\n')
		if (n < LINE_NBYTES - 1)
			line[n++] = (char)c;
	line[n] = 0;
	return c >= 0 || n;
}

static const char *read_hex(const char *text, uint64_t *number)
{
	*number = 0;
	for (;; text++) {
		int digit = *text >= '0' && *text <= '9'   ? *text - '0'
			    : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
							   : -1;

		if (digit < 0)
			return text;
		*number = *number << 4 | (unsigned)digit;
	}
}

static int parse(const char *line, struct umpa_process_area *a)
{
	uint64_t begin, end;

	line = read_hex(line, &begin);
	if (*line != '-')
		return 0;
	line = read_hex(line + 1, &end);
	a->begin = begin;
	a->end = end;
	a->kind = strstr(line, "[heap]")    ? PROCESS_HEAP
		  : strstr(line, "[stack]") ? PROCESS_STACK
					    : PROCESS_MAPPING;
	return *line == ' ' && begin < (uint64_t)1 << 47;
}

static int add(struct umpa_process_area *areas, size_t max, size_t *n,
	const struct umpa_process_area *next)
{
	struct umpa_process_area *last = *n ? &areas[*n - 1] : NULL;

	if (last && next->begin - last->end < SLOT_NBYTES) {
		last->end = next->end;
		last->kind = next->kind == PROCESS_MAPPING ? last->kind : next->kind;
		return 0;
	}
	if (*n == max)
		return -E2BIG;
	areas[(*n)++] = *next;
	return 0;
}

int umpa_process_areas(struct umpa_process_area *areas, size_t max, size_t *n)
{
	struct umpa_process_area next;
	struct lines l = {.error = 0};
	char line[LINE_NBYTES];
	int error = 0;
	long fd = SYS_4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);

	*n = 0;
	if (sys_failed(fd))
		return (int)fd;
	l.fd = (int)fd;
	while (!error && next_line(&l, line))
		if (parse(line, &next))
			error = add(areas, max, n, &next);
	SYS_1(SYS_close, fd);
	if (!error)
		error = l.error;
	return error ? error : *n ? 0 : -ENOENT;
}

/* --- calls -------------------------------------------------------------------------------- */

int umpa_process_id(void)
{
	return (int)sys_call(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

long umpa_process_call(uint64_t number, const uint64_t argument[6])
{
	const long *a = (const long *)argument;

	return sys_call((long)number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
