#include "json.h"

#include <stddef.h>

/* Length of the valid UTF-8 character at `at`, 0 if there is none. Overlong forms, surrogates and
 * what lies past U+10FFFF are not valid. */
static size_t character(const unsigned char *at)
{
	static const struct {
		unsigned char first, last, low, high;
		size_t n;
	} forms[] = {
		{0x00, 0x7f, 0x80, 0xbf, 1},
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xe1, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
	};
	size_t i, k;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (*at >= forms[i].first && *at <= forms[i].last)
			break;
	if (i == sizeof(forms) / sizeof(forms[0]))
		return 0;
	for (k = 1; k < forms[i].n; k++)
		if (at[k] < (k == 1 ? forms[i].low : 0x80) ||
			at[k] > (k == 1 ? forms[i].high : 0xbf))
			return 0;
	return forms[i].n;
}

static void put_ascii(FILE *out, unsigned char c)
{
	if (c == '"' || c == '\\')
		fprintf(out, "\\%c", c);
	else if (c < 0x20 || c == 0x7f)
		fprintf(out, "\\u%04x", c);
	else
		fputc(c, out);
}

void umpa_json_string(FILE *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)text;
	size_t n;

	if (!text) {
		fputs("null", out);
		return;
	}
	fputc('"', out);
	for (; *at; at += n ? n : 1) {
		n = character(at);
		if (n == 1)
			put_ascii(out, *at);
		else if (n)
			fwrite(at, 1, n, out);
		else
			fputs("\\ufffd", out);
	}
	fputc('"', out);
}

void umpa_json_strings(FILE *out, char *const *texts)
{
	size_t i;

	fputc('[', out);
	for (i = 0; texts[i]; i++) {
		fputs(i ? ", " : "", out);
		umpa_json_string(out, texts[i]);
	}
	fputc(']', out);
}
