/*
 * Reads a command's flags from its table. Unlike getopt_long it takes no abbreviations (they break
 * when a flag is added) and suggests the nearest flag.
 */
#ifndef UMPA_CLI_ARGS_H
#define UMPA_CLI_ARGS_H

#include "cli.h"

#define ARGS_END   (-1) /* operands begin, at argv[at] */
#define ARGS_WRONG (-2) /* a message has been printed: end with EXIT_USAGE */
#define ARGS_HELP  (-3) /* the help has been printed: end with EXIT_FINE */

struct umpa_args {
	const struct umpa_command *command;
	int argc;
	char **argv;
	int at;            /* next argument to read; begins at 1 */
	int letter;        /* next letter of a group such as -ab, 0 outside one */
	const char *value; /* argument of the flag just read, NULL if it takes none */
};

#define ARGS_OF(c, argc, argv)                                                                     \
	{                                                                                          \
		(c), (argc), (argv), 1, 0, NULL                                                    \
	}

/* Index of the next flag in the command's table, or one of the ARGS_. -h and --help are always
 * known. Flags end at "--", which is skipped, or at the first argument that is none. */
int umpa_args_next(struct umpa_args *a);

/* Reads a count from 1 to most. Result: 0, or -1 after a message. */
must_check int umpa_args_count(const struct umpa_args *a, const char *flag, long most, long *out);

#endif
