/*
 * Formatted print into a caller's buffer, without stdio, locale or allocation: %s %d %u %zu %p %x
 * %llu (and %%). For the places where the program may be in any state.
 */
#ifndef UMPA_BASE_FORMAT_H
#define UMPA_BASE_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

#include "base/compiler.h"

/* Writes at most nbuf bytes with the closing 0; returns the length written without it. nbuf > 0. */
size_t umpa_format(char *buf, size_t nbuf, const char *format, ...) format_like(3, 4);
size_t umpa_vformat(char *buf, size_t nbuf, const char *format, va_list args) format_like(3, 0);

#endif
