/*
 * What the commands of `umpa` share: the command table's entry, exit codes, messages.
 *
 * One file a command, cmd_<name>.c, each defining one struct umpa_command; main.c lists them. Help
 * texts are made from the same flag tables the parser reads (args.h), so they can't differ.
 */
#ifndef UMPA_CLI_CLI_H
#define UMPA_CLI_CLI_H

#include <stddef.h>

#include "base/compiler.h"

enum umpa_exit {
	EXIT_FINE = 0,
	EXIT_LESS = 1,         /* doctor: works with less; compare: unlike ends; bench: no plot */
	EXIT_USAGE = 2,        /* the command line is wrong */
	EXIT_UMPA = 125,       /* umpa itself failed, or its library can't be found */
	EXIT_CANNOT_RUN = 126, /* the program is there and can't be run */
	EXIT_NOT_FOUND = 127,  /* there is no such program */
};

/* A flag. letter 0: long form only. arg NULL: takes no argument, else its name in the help. */
struct umpa_flag {
	char letter;
	const char *name;
	const char *arg;
	const char *help;
};

struct umpa_command {
	const char *name;
	const char *operands; /* what follows the flags, as the help shows it */
	const char *summary;  /* one line, for the list of commands */
	const char *text;     /* paragraphs for the help, NULL if the summary says it all */
	const struct umpa_flag
		*flags; /* ends with a NULL name; NULL: parses its arguments itself */
	int (*run)(const struct umpa_command *c, int argc, char **argv); /* argv[0]: its name */
};

extern const struct umpa_command umpa_cmd_run, umpa_cmd_compare, umpa_cmd_bench;
extern const struct umpa_command umpa_cmd_doctor, umpa_cmd_options, umpa_cmd_help;

/* The commands, in the order of the help; ends with NULL. */
extern const struct umpa_command *const umpa_commands[];

/* The command of that name, or NULL after a message with the nearest one. */
const struct umpa_command *umpa_command_find(const char *name);

/* Prints the help of one command, or of umpa as a whole, to standard output. */
void umpa_help_command(const struct umpa_command *c);
void umpa_help_all(void);

/* "umpa: ..." on standard error. */
void umpa_say(const char *format, ...) format_like(1, 2);

/* As umpa_say(), and returns the exit status. */
int umpa_refuse(int status, const char *format, ...) format_like(2, 3);

/* malloc that ends the program with EXIT_UMPA where there is no memory. */
void *umpa_take(size_t nbytes);
char *umpa_text(const char *format, ...) format_like(1, 2);

/*
 * The name nearest to `wrong` among the n that name(i) gives, or NULL if none is near: at most two
 * letters differ, or the one begins with the other.
 */
const char *umpa_nearest(const char *wrong, const char *(*name)(size_t i), size_t n);

#endif
