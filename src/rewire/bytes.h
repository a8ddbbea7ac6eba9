/*
 * Moving and swapping by copying, for pages whose frames stay where they are. Both ends may be any
 * pages of live blocks that don't overlap. Pages that are bare are not copied, and stay bare where
 * they are many.
 */
#ifndef UMPA_REWIRE_BYTES_H
#define UMPA_REWIRE_BYTES_H

#include <stddef.h>

/* The content of src goes to dst; src reads as zero afterwards. */
void umpa_bytes_move(char *dst, char *src, size_t npages);

/* The contents change places. */
void umpa_bytes_swap(char *a, char *b, size_t npages);

/* The same by reading and writing alone: of pages that have a file or a lock behind them the system
 * would say and do something else. */
void umpa_bytes_move_odd(char *dst, char *src, size_t npages);
void umpa_bytes_swap_odd(char *a, char *b, size_t npages);

#endif
