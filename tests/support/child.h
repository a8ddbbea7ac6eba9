/* What a function does that may end the process: it runs in a forked child. */
#ifndef UMPA_TESTS_CHILD_H
#define UMPA_TESTS_CHILD_H

#include <stddef.h>

struct child_end {
	int signal;             /* that ended the child, 0 if none did */
	int status;             /* its exit status: 0 if run() returned */
	char stderr_text[1024]; /* what it wrote to standard error, cut to fit */
};

void child_run(void (*run)(void *arg), void *arg, struct child_end *end);

#endif
