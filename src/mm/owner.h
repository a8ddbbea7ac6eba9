/*
 * Whose pages are: mappings', a block's, or nobody's. The lock of the pages (mm/pages.h) is held;
 * pages are numbered from the window's begin.
 */
#ifndef UMPA_MM_OWNER_H
#define UMPA_MM_OWNER_H

#include <stddef.h>

#include "core/block.h"

/* Pages from some page on that belong to mappings, to one block, or to nobody. */
struct umpa_owner_row {
	enum {
		OF_NOBODY,
		OF_MAPPINGS,
		OF_BLOCK
	} owner;
	size_t end;
	struct umpa_block block;
};

/* The row that begins with the page `first`; it ends at `end` at the latest. */
struct umpa_owner_row umpa_owner_row_at(size_t first, size_t end);

/* Whose block has got attributes is marked, so that they are taken away when it is freed. */
void umpa_owner_mark(const struct umpa_owner_row *row, int has_attributes);

#endif
