/*
 * The options as umpa uses them: read once from UMPA_OPTIONS, never changed afterwards. Nothing
 * here allocates; safe before libc has started.
 */
#ifndef UMPA_CORE_OPTIONS_H
#define UMPA_CORE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum umpa_option_index {
#define UMPA_OPTION(name, type, text, help) OPTION_##name,
#include "core/options.def"
#undef UMPA_OPTION
	OPTION_COUNT
};

#define OPTION_AUTO SIZE_MAX

/* Sizes in bytes, counts, flags and enum umpa_mover_kind alike. */
struct umpa_options {
	size_t value[OPTION_COUNT];
	unsigned char given[OPTION_COUNT]; /* 1: UMPA_OPTIONS said so, 0: the default */
};

/* Parses text (NULL: empty) over the defaults. What it does not know it warns about and leaves out;
 * warn 0: silently. Result: how many parts it did not take. */
int umpa_options_parse(struct umpa_options *o, const char *text, int warn);

/* The process's options. */
const struct umpa_options *umpa_options_get(void);

static inline size_t umpa_option(enum umpa_option_index i)
{
	return umpa_options_get()->value[i];
}

#endif
