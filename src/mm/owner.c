#include "mm/owner.h"

#include "mm/pages.h"

static size_t lesser(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Where a block may begin behind a page that is nobody's. */
static size_t step_from(size_t page)
{
	struct slot slot = {(uint32_t)(page / SLOT_NPAGES)};
	int is_open = slot.i < umpa_window_nslots_open(&umpa_core.window);

	return is_open && slot_use(slot) == SLOT_SHELF ? page + 1 : (page | (SLOT_NPAGES - 1)) + 1;
}

static struct umpa_owner_row narrow_row_at(size_t first, size_t end)
{
	struct umpa_owner_row r = {.owner = OF_NOBODY};
	int mapped;

	r.end = umpa_pages_row(first, end, &mapped);
	if (mapped) {
		r.owner = OF_MAPPINGS;
	} else if (!umpa_block_of_range(umpa_pages_address(first), 0, &r.block)) {
		r.owner = OF_BLOCK;
		r.end = lesser(end, umpa_pages_number(r.block.begin) + r.block.npages);
	} else {
		r.end = lesser(r.end, step_from(first));
	}
	return r;
}

struct umpa_owner_row umpa_owner_row_at(size_t first, size_t end)
{
	struct umpa_owner_row r = narrow_row_at(first, end), next;

	while (r.owner == OF_NOBODY && r.end < end) {
		next = narrow_row_at(r.end, end);
		if (next.owner != OF_NOBODY)
			break;
		r.end = next.end;
	}
	return r;
}

void umpa_owner_mark(const struct umpa_owner_row *r, int has_attributes)
{
	if (has_attributes && r->owner == OF_BLOCK)
		umpa_block_mark(&r->block);
}
