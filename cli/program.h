/* What can be told of a program before it is run. */
#ifndef UMPA_CLI_PROGRAM_H
#define UMPA_CLI_PROGRAM_H

/*
 * Looks the program up as execvp(3) does.
 * Result: 0, or EXIT_NOT_FOUND or EXIT_CANNOT_RUN after a message. If it can be run but the library
 * will not take effect in it (statically linked, set-user-ID, another architecture), says so and
 * why, result 0. *unfit: it must not be preloaded either (a sanitizer's program).
 */
int umpa_program_check(const char *name, int *unfit);

/* The exit status and the message for a program that exec refused with errno `error`. */
int umpa_program_refused(const char *name, int error);

#endif
