/* For tests on the real kernel. */
#ifndef UMPA_TESTS_REAL_OS_H
#define UMPA_TESTS_REAL_OS_H

#include <stddef.h>

/* Every page of the range has a frame afterwards. */
void real_touch(void *addr, size_t nbytes);

/*
 * Runs fn(arg) in a forked child, which must not use CHECK. Result: what fn returned (0 to 100), or
 * 128 + the signal that ended it. Children end by alarm after a minute.
 */
int real_in_child(int (*fn)(void *arg), void *arg);

/* Mappings of this process that overlap the range. */
size_t real_nmappings(const void *addr, size_t nbytes);

/* From now on, these system calls refuse with `error` in this thread and its children. 0, or -errno
 * where there is no such thing. At most 8 calls. */
int real_refuse_calls(const int *calls, size_t ncalls, int error);

#endif
