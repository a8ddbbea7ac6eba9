#include "base/format.h"

#include <stdint.h>

struct out {
	char *at, *end;
};

static void put(struct out *o, char c)
{
	if (o->at < o->end)
		*o->at++ = c;
}

static void put_string(struct out *o, const char *s)
{
	for (s = s ? s : "(null)"; *s; s++)
		put(o, *s);
}

static void put_number(struct out *o, unsigned long long n, unsigned base)
{
	char digits[24];
	int k = 0;

	do {
		digits[k++] = "0123456789abcdef"[n % base];
		n /= base;
	} while (n);
	while (k)
		put(o, digits[--k]);
}

static void put_signed(struct out *o, long long n)
{
	if (n < 0)
		put(o, '-');
	put_number(o, n < 0 ? 0 - (unsigned long long)n : (unsigned long long)n, 10);
}

size_t umpa_vformat(char *buf, size_t nbuf, const char *format, va_list args)
{
	struct out o = {buf, buf + nbuf - 1};

	for (const char *f = format; *f; f++) {
		int nlong = 0;

		if (*f != '%') {
			put(&o, *f);
			continue;
		}
		for (f++; *f == 'l' || *f == 'z'; f++)
			nlong++;
		if (*f == 's')
			put_string(&o, va_arg(args, const char *));
		else if (*f == 'd')
			put_signed(&o, nlong ? va_arg(args, long long) : va_arg(args, int));
		else if (*f == 'u' || *f == 'x')
			put_number(&o,
				nlong ? va_arg(args, unsigned long long) : va_arg(args, unsigned),
				*f == 'u' ? 10 : 16);
		else if (*f == 'p') {
			put_string(&o, "0x");
			put_number(&o, (uintptr_t)va_arg(args, void *), 16);
		} else if (*f)
			put(&o, *f);
		else
			break;
	}
	*o.at = 0;
	return (size_t)(o.at - buf);
}

size_t umpa_format(char *buf, size_t nbuf, const char *format, ...)
{
	va_list args;
	size_t n;

	va_start(args, format);
	n = umpa_vformat(buf, nbuf, format, args);
	va_end(args);
	return n;
}
