/*
 * The host's memory behind the fake OS. A large reservation that has ended is kept for the next of
 * its size, cleared where it was written to: that takes a third of what new frames take, which the
 * host clears by whole superpages where a test writes a few bytes a page.
 *
 * Not thread-safe: the fake's lock guards it.
 */
#ifndef UMPA_TESTS_FAKE_MEMORY_H
#define UMPA_TESTS_FAKE_MEMORY_H

#include <stddef.h>

/* Zero memory of whole pages at a multiple of align, a power of two: readable and writable, or,
 * reserved, neither. NULL if the host has none. */
char *fake_memory_map(size_t nbytes, size_t align);
char *fake_memory_reserve(size_t nbytes, size_t align);

/* nopened: from there on a reservation was never writable. Before, all of it is readable and
 * writable or what it was reserved as; else it has to be unmapped. */
void fake_memory_unmap(char *base, size_t nbytes);
void fake_memory_release(char *base, size_t nbytes, size_t nopened);

#endif
