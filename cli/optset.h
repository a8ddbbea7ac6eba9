/*
 * The options a program is to be started with: UMPA_OPTIONS of this environment, with what -o adds
 * or replaces.
 */
#ifndef UMPA_CLI_OPTSET_H
#define UMPA_CLI_OPTSET_H

#include "base/compiler.h"

struct umpa_optset {
	char *text; /* "name=value,name=value", malloc'ed; NULL: nothing */
};

/* Begins with the environment's UMPA_OPTIONS. */
void umpa_optset_init(struct umpa_optset *s);
void umpa_optset_fini(struct umpa_optset *s);

/*
 * Adds "name=value[,name=value...]"; a name that is there already gets the new value.
 * Result: 0, or -1 after a message: no such option (with the nearest name), no value, a bad value.
 */
must_check int umpa_optset_add(struct umpa_optset *s, const char *assignments);

#endif
