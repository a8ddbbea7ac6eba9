/*
 * Marked pages: each page of a range carries a value of its own, at its beginning, in the middle
 * and at its end, so that a page that is lost, mixed up or torn shows. For tests that say
 * themselves which page belongs where; blocks that keep account of it are tagged.h's.
 */
#ifndef UMPA_TESTS_MARKED_H
#define UMPA_TESTS_MARKED_H

#include <stddef.h>
#include <stdint.h>

/* 1: only the first FAKE_TAG_NBYTES of a page are looked at, as the fake mover carries no more. */
extern int marked_fronts_only;

/* The page at p + at gets the value + at. */
void mark(char *p, size_t nbytes, uint64_t value);

/* Marks that are not as mark() left them. */
uint64_t count_unmarked(const char *p, size_t nbytes, uint64_t value);

/* Pages that are not zero. */
uint64_t count_not_zero(const char *p, size_t nbytes);

#endif
