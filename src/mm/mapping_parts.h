/*
 * What the parts of mappings share: mapping.c, which maps, ends, protects and advises; reserve.c,
 * for pages that are closed; overlay.c, for what is mapped over them. All functions are called
 * with the lock of the pages (mm/pages.h), but umpa_mapping_fill().
 */
#ifndef UMPA_MM_MAPPING_PARTS_H
#define UMPA_MM_MAPPING_PARTS_H

#include <stddef.h>

#include "base/compiler.h"
#include "mm/attributes.h"

/* Changed with all locks of the pages, read with one. */
extern struct umpa_attributes umpa_mapping_table;

/* 1: no page of the range has attributes. */
int umpa_mapping_is_ordinary(size_t first, size_t end);

/* 1: some page has content that may be lost when it is made ordinary. */
int umpa_mapping_is_at_risk(size_t first, size_t end);

/* 1: all of the range is closed, and differs in nothing else from ordinary memory but in `also`,
 * perhaps. */
int umpa_mapping_closed(size_t first, size_t end, unsigned also);

/* Where umpa_mapping_distrusted(), pages of mappings, and with `all` those of blocks, are mapped
 * anew when they are made ordinary next. 0 or -ENOMEM. */
must_check int umpa_mapping_hold(size_t first, size_t end, int all);

/* The attributes of pages protected so. */
unsigned umpa_mapping_attributes_of(int prot);

/* The pages are no longer PAGE_VOID. */
void umpa_mapping_forget_void(size_t first, size_t end);

/* Ends what is mapped of the range. 0, or -errno: it stays mapped. */
must_check int umpa_mapping_end_mapped(size_t first, size_t end);

/* Frames from the pool for what has just been opened, as far as whole slots. Other threads may be
 * at it already. */
void umpa_mapping_fill(size_t first, size_t end);

/* Some rows of a range. */
enum {
	UMPA_NROWS_MAX = 8
};

struct umpa_rows {
	size_t first[UMPA_NROWS_MAX], end[UMPA_NROWS_MAX];
	unsigned n;
};

/* Maps what of the range nobody has, and says what that was, as far as there is room. (Of more
 * holes than that the last ones stay mapped where the kernel then refuses: their addresses are lost
 * until somebody unmaps them.) 0 or -ENOMEM. */
must_check int umpa_rows_take_rest(size_t first, size_t end, struct umpa_rows *rest);

/* Ends what rows are mapped, of ordinary memory. */
void umpa_rows_end(const struct umpa_rows *rows);

#endif
