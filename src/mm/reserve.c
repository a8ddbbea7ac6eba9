#include <errno.h>
#include <sys/mman.h>

#include "mm/mapping.h"
#include "mm/mapping_parts.h"
#include "mm/owner.h"
#include "mm/pages.h"

/* What becomes of the frames of pages that are closed. */
enum frames {
	NO_FRAMES,   /* whole slots have none */
	FRAMES_GO,   /* to the system */
	FRAMES_STAY, /* and are zero */
};

/* Pages that are mapped, and differ in nothing but their protection, can't be used any more. Where
 * the system refuses, it may have got half-way. 0 or -errno. */
static int shut(size_t first, size_t end, enum frames frames)
{
	char *addr = umpa_pages_address(first);
	size_t nbytes = (end - first) << PAGE_SHIFT;
	int error = umpa_os_protect(addr, nbytes, PROT_NONE);

	if (!error && frames == FRAMES_GO)
		error = umpa_os_unback(addr, nbytes);
	umpa_attributes_change(&umpa_mapping_table, first, end, PAGE_GUARDED | PAGE_VOID,
		PAGE_UNREADABLE | PAGE_UNWRITABLE |
			(error                          ? PAGE_ODD
				: frames == FRAMES_STAY ? 0
							: PAGE_VOID));
	return error;
}

/* The same with what was taken for it; then they are not mapped any more, if the system helps. */
static int shut_new(size_t first, size_t end, enum frames frames)
{
	int error = umpa_attributes_need(&umpa_mapping_table, end);

	if (!error)
		error = shut(first, end, frames);
	if (error && umpa_mapping_end_mapped(first, end))
		return error; /* their addresses are lost */
	return error;
}

/* More is not kept ready for what may be opened late: whole slots get their frames then. */
enum {
	READY_NPAGES_MAX = 8 * SLOT_NPAGES
};

void *umpa_mapping_reserve(size_t npages, uint32_t nslots, int used)
{
	int is_ready = used && npages <= READY_NPAGES_MAX;
	char *p = umpa_pages_new_zero(npages, nslots, !is_ready);
	int error;

	if (!p)
		return NULL;
	umpa_pages_lock();
	error = shut_new(umpa_pages_number(p), umpa_pages_number(p) + npages,
		is_ready ? FRAMES_STAY : NO_FRAMES);
	umpa_pages_unlock();
	return error ? NULL : p;
}

int umpa_mapping_reserve_at(size_t first, size_t end)
{
	struct umpa_pages_taken taken;
	int error;

	umpa_pages_lock();
	error = umpa_pages_take(first, end, &taken);
	if (!error)
		error = shut_new(first, end, FRAMES_GO);
	umpa_pages_unlock();
	return error;
}

/* No block has pages of the range, and none differ in more than their protection. */
static int can_shut(size_t first, size_t end)
{
	struct umpa_owner_row row;

	if (umpa_mapping_is_at_risk(first, end))
		return 0;
	for (; first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		if (row.owner == OF_BLOCK)
			return 0;
	}
	return 1;
}

static int close_mapped(size_t first, size_t end)
{
	struct umpa_rows rest;
	int error = umpa_attributes_need(&umpa_mapping_table, end);

	if (!error)
		error = umpa_rows_take_rest(first, end, &rest);
	if (error)
		return error;
	error = shut(first, end, FRAMES_GO);
	for (unsigned i = 0; error && i < rest.n; i++)
		if (umpa_mapping_end_mapped(rest.first[i], rest.end[i]))
			break; /* they stay mapped */
	return error;
}

int umpa_mapping_close(size_t first, size_t end)
{
	int error;

	umpa_pages_lock();
	if (umpa_mapping_closed(first, end, 0))
		error = 0;
	else
		error = can_shut(first, end) ? close_mapped(first, end) : -EBUSY;
	umpa_pages_unlock();
	return error;
}

int umpa_mapping_is_closed(size_t first, size_t end)
{
	int is;

	umpa_pages_lock();
	is = umpa_mapping_closed(first, end, 0);
	umpa_pages_unlock();
	return is;
}
