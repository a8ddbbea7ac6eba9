/* Threads that run at once. */
#ifndef UMPA_TESTS_TOGETHER_H
#define UMPA_TESTS_TOGETHER_H

#include <stdint.h>

/* nthreads of them, at most 8: `last` is the last one's function, fn that of the others. Each gets
 * a pointer to a number of its own, from seed on. Result: the sum of what they return. */
uintptr_t together(unsigned nthreads, void *(*fn)(void *), void *(*last)(void *), uint64_t seed);

#endif
