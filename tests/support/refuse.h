/*
 * Makes the kernel refuse system calls, for the calling process from now on and for good: call it
 * in a forked child. Without privilege; calls that are refused do nothing.
 */
#ifndef UMPA_TESTS_REFUSE_H
#define UMPA_TESTS_REFUSE_H

#include <stddef.h>

/*
 * calls: system call numbers, at most 16. error: the errno they fail with.
 * Result: 0 if they now do, -errno if the system has no such filters.
 */
int refuse_calls(const int *calls, size_t ncalls, int error);

/* The same for one request of ioctl(). */
int refuse_ioctl(unsigned request, int error);

#endif
