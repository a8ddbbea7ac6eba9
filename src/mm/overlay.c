#include <errno.h>

#include "core/clear.h"
#include "core/pool.h"
#include "mm/mapping.h"
#include "mm/mapping_parts.h"
#include "mm/owner.h"
#include "mm/pages.h"
#include "mm/restore.h"

/* --- over mappings ------------------------------------------------------------------------ */

void umpa_rows_end(const struct umpa_rows *r)
{
	for (unsigned i = 0; i < r->n; i++)
		umpa_pages_end(r->first[i], r->end[i], EXTENT_RESIDENT);
}

int umpa_rows_take_rest(size_t first, size_t end, struct umpa_rows *r)
{
	struct umpa_pages_taken t;
	struct umpa_owner_row row;

	for (r->n = 0; first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		if (row.owner != OF_NOBODY)
			continue;
		if (umpa_pages_take(first, row.end, &t)) {
			umpa_rows_end(r);
			return -ENOMEM;
		}
		if (r->n == UMPA_NROWS_MAX)
			continue;
		r->first[r->n] = first;
		r->end[r->n++] = row.end;
	}
	return 0;
}

static void mark_all(size_t first, size_t end)
{
	struct umpa_owner_row row;

	for (; first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		umpa_owner_mark(&row, 1);
	}
}

/* What of the range, all of it ordinary but for PAGE_VOID, may not be zero. Where there is no room
 * for more rows the last one takes in the rest. */
static void find_dirty(size_t first, size_t end, struct umpa_rows *r)
{
	size_t row_end;

	for (r->n = 0; first < end; first = row_end) {
		if (umpa_attributes_row(&umpa_mapping_table, first, end, &row_end) & PAGE_VOID)
			continue;
		if (r->n == UMPA_NROWS_MAX) {
			r->end[UMPA_NROWS_MAX - 1] = end;
			return;
		}
		r->first[r->n] = first;
		r->end[r->n++] = row_end;
	}
}

static void clear_rows(const struct umpa_rows *r)
{
	for (unsigned i = 0; i < r->n; i++)
		umpa_clear_frames(umpa_pages_address(r->first[i]), r->end[i] - r->first[i]);
}

int umpa_mapping_again(size_t first, size_t end)
{
	struct umpa_rows rest, dirty;
	int error, opens;

	umpa_pages_lock();
	opens = umpa_mapping_closed(first, end, PAGE_UNFORKED);
	error = umpa_mapping_hold(first, end, 1);
	if (!error)
		error = umpa_restore(&umpa_mapping_table, first, end);
	if (!error)
		error = umpa_rows_take_rest(first, end, &rest);
	if (!error)
		find_dirty(first, end, &dirty);
	umpa_mapping_forget_void(first, end);
	umpa_pages_unlock();
	if (error)
		return error;
	clear_rows(&dirty);
	if (opens)
		umpa_mapping_fill(first, end);
	return 0;
}

void umpa_mapping_mend_gaps(size_t first, size_t end)
{
	struct umpa_pages_taken t;
	struct umpa_owner_row row;
	int error;

	umpa_pages_lock();
	error = umpa_attributes_need(&umpa_mapping_table, end);
	for (; !error && first < end; first = row.end) {
		row = umpa_owner_row_at(first, end);
		if (row.owner != OF_NOBODY || umpa_pages_take(first, row.end, &t))
			continue;
		umpa_attributes_change(&umpa_mapping_table, first, row.end, 0, PAGE_ODD);
		/* Where it can't be, they stay mapped: nobody gets them. */
		(void)!umpa_mapping_end_mapped(first, row.end);
	}
	umpa_pages_unlock();
}

/* The same of a range that is all nobody's. */
static int take_all(size_t first, size_t end, struct umpa_rows *r)
{
	struct umpa_pages_taken t;

	*r = (struct umpa_rows){{first}, {end}, 1};
	return umpa_pages_take(first, end, &t) ? -EEXIST : 0;
}

/* The kernel may have ended what was there before it refused to map something else. */
static int is_gone(size_t first, size_t end)
{
	char *addr = umpa_pages_address(first);

	if (umpa_os_is_mapped(addr))
		return 0;
	/* Anybody's mmap may have had it in between. */
	INVARIANT(umpa_os_reserve_at(addr, (end - first) << PAGE_SHIFT) != -EEXIST);
	return 1;
}

static intptr_t over(const struct umpa_overlay *o)
{
	const size_t first = o->first, end = o->end;
	struct umpa_rows rest;
	intptr_t got = umpa_attributes_need(&umpa_mapping_table, end);

	if (!got)
		got = o->gap_only ? take_all(first, end, &rest)
				  : umpa_rows_take_rest(first, end, &rest);
	if (got)
		return got;
	got = o->map(o->arg);
	if (umpa_os_failed(got) && !is_gone(first, end)) {
		umpa_rows_end(&rest);
		return got;
	}
	umpa_attributes_change(&umpa_mapping_table, first, end, PAGE_GUARDED | PAGE_VOID,
		PAGE_ODD | umpa_mapping_attributes_of(o->prot));
	umpa_attachments_forget(first, end);
	mark_all(first, end);
	/* Where it can't be made the window's again it stays mapped, and odd. */
	if (umpa_os_failed(got))
		(void)!umpa_mapping_end_mapped(first, end);
	return got;
}

intptr_t umpa_mapping_over(const struct umpa_overlay *o)
{
	intptr_t got;

	umpa_pages_lock();
	got = over(o);
	umpa_pages_unlock();
	return got;
}

/* --- shared memory ------------------------------------------------------------------------ */

intptr_t umpa_mapping_attach(const struct umpa_overlay *o, struct umpa_attachment *a)
{
	intptr_t got;

	umpa_pages_lock();
	got = over(o);
	if (umpa_os_failed(got))
		umpa_attachment_give(a);
	else
		umpa_attachments_add(a, o->first, o->end);
	umpa_pages_unlock();
	return got;
}

int umpa_mapping_detach(uintptr_t begin)
{
	const struct umpa_attachment *a;
	size_t first, end;
	int error;

	if (!umpa_attachments_exist())
		return -EINVAL;
	umpa_pages_lock();
	a = umpa_attachments_find(begin);
	error = a ? 0 : -EINVAL;
	while (!error && umpa_attachment_row(a, &first, &end))
		error = umpa_mapping_end_mapped(first, end);
	umpa_pages_unlock();
	umpa_pool_keep_limit();
	return error;
}

void umpa_mapping_moved(size_t first, size_t end, size_t to)
{
	umpa_pages_lock();
	umpa_attachments_copy(first, end, to);
	umpa_pages_unlock();
}
