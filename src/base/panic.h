/*
 * The end of the program, in one line. Allocates nothing, takes no lock, writes with write(2) to
 * standard error and aborts. Formats: those of base/format.h.
 */
#ifndef UMPA_BASE_PANIC_H
#define UMPA_BASE_PANIC_H

#include "base/compiler.h"

/* The caller broke the rules: "umpa: umpa_free(0x7f..): freed twice". call is the public name. */
_Noreturn cold_path void umpa_misuse(const char *call, const void *pointer, const char *what);

/* umpa itself is wrong: "umpa: broken invariant: <name> (file:line)". */
_Noreturn cold_path void umpa_broken(const char *invariant, const char *file, int line);

/* A line for the user that is not the end: "umpa: ..." on standard error. Keeps errno. */
cold_path void umpa_warn(const char *format, ...) format_like(1, 2);

/* Checked always: cheap, and what follows would corrupt memory. */
#define INVARIANT(c)                                                                               \
	do {                                                                                       \
		if (unlikely(!(c)))                                                                \
			umpa_broken(#c, __FILE__, __LINE__);                                       \
	} while (0)

/* Checked in debug builds. */
#ifdef UMPA_DEBUG
#define ASSERT(c) INVARIANT(c)
#else
#define ASSERT(c) ((void)sizeof(c))
#endif

#endif
