#include "core/options.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <umpa/options.h>

#include "base/format.h"
#include "base/panic.h"
#include "base/units.h"

enum option_type {
	TYPE_SIZE,
	TYPE_NBYTES,
	TYPE_COUNT,
	TYPE_FLAG,
	TYPE_MOVER
};

static const struct option {
	const char *name, *text, *help;
	enum option_type type;
} table[] = {
#define UMPA_OPTION(name, type, text, help) {#name, text, help, TYPE_##type},
#include "core/options.def"
#undef UMPA_OPTION
};

enum {
	COUNT_MAX = 1024
};

static const char *const mover_names[] = {"auto", "uffd", "mremap", "plain"};

struct text {
	const char *at;
	size_t n;
};

static int text_is(struct text t, const char *s)
{
	return strlen(s) == t.n && !memcmp(t.at, s, t.n);
}

start_path static int parse_digits(struct text *t, size_t *value)
{
	size_t n = 0, ndigits = 0;

	for (; t->n && *t->at >= '0' && *t->at <= '9'; t->at++, t->n--, ndigits++)
		if (__builtin_mul_overflow(n, 10, &n) ||
			__builtin_add_overflow(n, (size_t)(*t->at - '0'), &n))
			return 0;
	*value = n;
	return ndigits > 0;
}

start_path static int parse_size(struct text t, size_t *value)
{
	static const char units[] = "KMGT";
	const char *unit;

	if (!parse_digits(&t, value))
		return 0;
	if (!t.n)
		return *value <= PTRDIFF_MAX;
	unit = t.n == 1 ? memchr(units, *t.at & ~0x20, 4) : NULL;
	return unit &&
	       !__builtin_mul_overflow(*value, (size_t)1 << 10 * (unit - units + 1), value) &&
	       *value <= PTRDIFF_MAX;
}

start_path static int parse_auto(struct text t, size_t *value)
{
	*value = OPTION_AUTO;
	return text_is(t, "auto");
}

start_path static int parse_count(struct text t, size_t *value)
{
	return parse_digits(&t, value) && !t.n && *value <= COUNT_MAX;
}

start_path static int parse_mover(struct text t, size_t *value)
{
	for (size_t i = 0; i < array_len(mover_names); i++)
		if (text_is(t, mover_names[i])) {
			*value = i;
			return 1;
		}
	return 0;
}

start_path static int parse_value(enum option_type type, struct text t, size_t *value)
{
	switch (type) {
	case TYPE_SIZE:
		return parse_size(t, value);
	case TYPE_NBYTES:
		return parse_auto(t, value) || parse_size(t, value);
	case TYPE_COUNT:
		return parse_auto(t, value) || parse_count(t, value);
	case TYPE_FLAG:
		return parse_digits(&t, value) && !t.n && *value <= 1;
	default:
		return parse_mover(t, value);
	}
}

static int parse_part(struct umpa_options *o, struct text part)
{
	const char *equals = memchr(part.at, '=', part.n);
	struct text name = part, value;

	if (!equals)
		return 0;
	name.n = (size_t)(equals - part.at);
	value = (struct text){equals + 1, part.n - name.n - 1};
	for (size_t i = 0; i < array_len(table); i++) {
		size_t v;

		if (!text_is(name, table[i].name))
			continue;
		if (!parse_value(table[i].type, value, &v))
			return 0;
		o->value[i] = v;
		o->given[i] = 1;
		return 1;
	}
	return 0;
}

static void warn_of(struct text part)
{
	char copy[64];
	size_t n = part.n < sizeof(copy) - 1 ? part.n : sizeof(copy) - 1;

	memcpy(copy, part.at, n);
	copy[n] = 0;
	umpa_warn("UMPA_OPTIONS: '%s' is not an option with its value; ignored (see umpa options)",
		copy);
}

start_path int umpa_options_parse(struct umpa_options *o, const char *text, int warn)
{
	int nrefused = 0;

	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < array_len(table); i++) {
		struct text t = {table[i].text, strlen(table[i].text)};

		INVARIANT(parse_value(table[i].type, t, &o->value[i]));
	}
	while (text && *text) {
		struct text part = {text, strcspn(text, ",")};

		if (part.n && !parse_part(o, part)) {
			nrefused++;
			if (warn)
				warn_of(part);
		}
		text += part.n + (text[part.n] == ',');
	}
	if (o->value[OPTION_malloc_min] < PAGE_NBYTES)
		o->value[OPTION_malloc_min] = PAGE_NBYTES;
	if (o->value[OPTION_mmap_min] < PAGE_NBYTES)
		o->value[OPTION_mmap_min] = PAGE_NBYTES;
	o->value[OPTION_nursery] -= o->value[OPTION_nursery] % SLOT_NBYTES;
	return nrefused;
}

start_path const struct umpa_options *umpa_options_get(void)
{
	enum {
		UNREAD,
		READING,
		READ
	};
	static struct umpa_options options;
	static int state;
	int expected = UNREAD;

	if (likely(__atomic_load_n(&state, __ATOMIC_ACQUIRE) == READ))
		return &options;
	if (__atomic_compare_exchange_n(
		    &state, &expected, READING, 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
		umpa_options_parse(&options, secure_getenv("UMPA_OPTIONS"), 1);
		/* Pairs with the acquiring loads: who sees READ sees the values. */
		__atomic_store_n(&state, READ, __ATOMIC_RELEASE);
	}
	while (__atomic_load_n(&state, __ATOMIC_ACQUIRE) != READ)
		cpu_relax();
	return &options;
}

static size_t print_nbytes(char *buf, size_t n, size_t value)
{
	static const char *const units[] = {"", "K", "M", "G", "T"};
	unsigned u = 0;

	for (; value && u < 4 && value % 1024 == 0; u++)
		value /= 1024;
	return umpa_format(buf, n, "%zu%s", value, units[u]);
}

public_api int umpa_option_text(
	const char *name, char *value, size_t nvalue, char *origin, size_t norigin)
{
	const struct umpa_options *o = umpa_options_get();
	size_t i = 0;

	if (!name || !value || !nvalue || !origin || !norigin) {
		errno = EINVAL;
		return -1;
	}
	while (i < array_len(table) && strcmp(table[i].name, name))
		i++;
	if (i == array_len(table)) {
		errno = ENOENT;
		return -1;
	}
	if (o->value[i] == OPTION_AUTO)
		umpa_format(value, nvalue, "auto");
	else if (table[i].type == TYPE_NBYTES || table[i].type == TYPE_SIZE)
		print_nbytes(value, nvalue, o->value[i]);
	else if (table[i].type == TYPE_MOVER)
		umpa_format(value, nvalue, "%s", mover_names[o->value[i]]);
	else
		umpa_format(value, nvalue, "%zu", o->value[i]);
	umpa_format(origin, norigin, "%s", o->given[i] ? "UMPA_OPTIONS" : "default");
	return 0;
}

public_api int umpa_option_describe(
	size_t i, const char **name, const char **default_text, const char **help)
{
	if (i >= array_len(table)) {
		errno = ENOENT;
		return -1;
	}
	*name = table[i].name;
	*default_text = table[i].text;
	*help = table[i].help;
	return 0;
}
