/* Lists of names as the command line has them: commas between, and a `*` at the end of a beginning.
 */
#ifndef UMPA_BENCH_NAMES_H
#define UMPA_BENCH_NAMES_H

#include <stddef.h>

/* Is the pattern of n bytes the name, or a beginning of it that ends in '*'? */
int umpa_name_matches(const char *pattern, size_t n, const char *name);

/* 1 if one of the patterns stands for the name. list NULL: 0. */
int umpa_name_listed(const char *list, const char *name);

/*
 * The first pattern of the list that stands for none of the n names that name(i) gives, its length
 * in *nbytes; NULL: there is none.
 */
const char *umpa_name_unknown(
	const char *list, const char *(*name)(size_t i), size_t n, size_t *nbytes);

#endif
