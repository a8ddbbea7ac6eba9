#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say_list(const char *format, va_list list)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, list);
	fflush(stdout);
	fprintf(stderr, "umpa: %s\n", line);
}

void umpa_say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(format, list);
	va_end(list);
}

int umpa_refuse(int status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(format, list);
	va_end(list);
	return status;
}

void *umpa_take(size_t nbytes)
{
	void *p = malloc(nbytes ? nbytes : 1);

	if (p)
		return p;
	umpa_say("out of memory");
	exit(EXIT_UMPA);
}

char *umpa_text(const char *format, ...)
{
	va_list list;
	char *text;
	int n;

	va_start(list, format);
	n = vsnprintf(NULL, 0, format, list);
	va_end(list);
	text = umpa_take((size_t)n + 1);
	va_start(list, format);
	vsnprintf(text, (size_t)n + 1, format, list);
	va_end(list);
	return text;
}

#define NEAR_MOST 32

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters to add, drop or change to get from a to b; names of NEAR_MOST letters and more: many. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAR_MOST + 1], na = strlen(a), nb = strlen(b), i, j;

	if (na > NEAR_MOST || nb > NEAR_MOST)
		return NEAR_MOST;
	for (j = 0; j <= nb; j++)
		row[j] = j;
	for (i = 1; i <= na; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (j = 1; j <= nb; j++) {
			size_t change = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			row[j] = least(change, least(row[j], row[j - 1]) + 1);
		}
	}
	return row[nb];
}

static int begins(const char *a, const char *b)
{
	size_t n = least(strlen(a), strlen(b));

	return n >= 2 && !strncmp(a, b, n);
}

const char *umpa_nearest(const char *wrong, const char *(*name)(size_t i), size_t n)
{
	const char *best = NULL;
	size_t i, d, best_d = 3;

	for (i = 0; i < n; i++) {
		d = begins(wrong, name(i)) ? 1 : distance(wrong, name(i));
		if (d < best_d && d < strlen(name(i))) {
			best_d = d;
			best = name(i);
		}
	}
	return best;
}
