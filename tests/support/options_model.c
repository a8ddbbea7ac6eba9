#include "options_model.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name, *type, *text;
} known[] = {
#define UMPA_OPTION(name, type, text, help) {#name, #type, text},
#include "core/options.def"
#undef UMPA_OPTION
};

/* Digits alone, at most `most`. */
static int number_of(const char *text, unsigned long long most, size_t *value)
{
	unsigned __int128 n = 0;

	if (!*text)
		return 0;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return 0;
		n = 10 * n + (unsigned)(*text - '0');
		if (n > most)
			return 0;
	}
	*value = (size_t)n;
	return 1;
}

static int nbytes_of(char *text, size_t *value)
{
	static const char units[] = "kmgt";
	size_t n = strlen(text);
	const char *unit = n ? strchr(units, tolower((unsigned char)text[n - 1])) : NULL;
	int shift = unit ? 10 * (int)(unit - units + 1) : 0;

	if (unit)
		text[n - 1] = 0;
	if (!number_of(text, (unsigned long long)PTRDIFF_MAX >> shift, value))
		return 0;
	*value <<= shift;
	return 1;
}

static int mover_of(const char *text, size_t *value)
{
	static const char *const names[] = {"auto", "uffd", "mremap", "plain"};

	for (size_t i = 0; i < 4; i++)
		if (!strcmp(text, names[i])) {
			*value = i;
			return 1;
		}
	return 0;
}

static int value_of(const char *type, char *text, size_t *value)
{
	if (!strcmp(type, "MOVER"))
		return mover_of(text, value);
	if (!strcmp(type, "FLAG"))
		return number_of(text, 1, value);
	if (!strcmp(text, "auto") && strcmp(type, "SIZE")) {
		*value = OPTION_AUTO;
		return 1;
	}
	return strcmp(type, "COUNT") ? nbytes_of(text, value) : number_of(text, 1024, value);
}

static int take_part(struct umpa_options *o, char *part)
{
	char *value = strchr(part, '=');

	if (!value)
		return 0;
	*value++ = 0;
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (!strcmp(part, known[i].name)) {
			int ok = value_of(known[i].type, value, &o->value[i]);

			o->given[i] |= ok;
			return ok;
		}
	return 0;
}

int options_model_parse(struct umpa_options *o, const char *text)
{
	char *copy = strdup(text), *rest = copy, *part;
	int nrefused = 0;

	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		char *value = strdup(known[i].text);

		value_of(known[i].type, value, &o->value[i]);
		free(value);
	}
	while ((part = strsep(&rest, ",")))
		if (*part)
			nrefused += !take_part(o, part);
	free(copy);
	o->value[OPTION_nursery] = o->value[OPTION_nursery] >> 21 << 21;
	if (o->value[OPTION_malloc_min] < 4096)
		o->value[OPTION_malloc_min] = 4096;
	if (o->value[OPTION_mmap_min] < 4096)
		o->value[OPTION_mmap_min] = 4096;
	return nrefused;
}

const char *options_model_compare(const char *text)
{
	struct umpa_options o, wanted;
	int nrefused = options_model_parse(&wanted, text);

	if (umpa_options_parse(&o, text, 0) != nrefused)
		return "another number of parts is refused";
	if (memcmp(o.value, wanted.value, sizeof(o.value)))
		return "a value differs";
	if (memcmp(o.given, wanted.given, sizeof(o.given)))
		return "other options count as given";
	return NULL;
}
