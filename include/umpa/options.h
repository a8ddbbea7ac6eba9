/*
 * Options: one environment variable, UMPA_OPTIONS="name=value,name=value". Read once, when umpa is
 * first used. `umpa options` prints each with its default, effective value and origin;
 * umpa_options(7) describes them.
 */
#ifndef UMPA_OPTIONS_H
#define UMPA_OPTIONS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Writes the effective value of option `name` as text (units as in umpa_options(7)) and where it
 * came from ("default" or "UMPA_OPTIONS") to the two buffers, of nvalue and norigin bytes, cut to
 * fit, always terminated.
 * Result: 0, or -1: ENOENT (no such option), EINVAL (name or a buffer is NULL, or one is empty).
 * Thread-safe; not for signal handlers.
 */
int umpa_option_text(const char *name, char *value, size_t nvalue, char *origin, size_t norigin);

/* Name, default text and help of option number i, from 0: strings that stay as long as the library
 * does. The pointers are not NULL. Result: 0, or -1: ENOENT past the last. Thread-safe. */
int umpa_option_describe(size_t i, const char **name, const char **default_text, const char **help);

#ifdef __cplusplus
}
#endif

#endif
