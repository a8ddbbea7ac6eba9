#include "mm/restore.h"

#include <sys/mman.h>

#include "core/core.h"
#include "mm/attachments.h"
#include "mm/pages.h"
#include "os/process.h"

static void tell_mover(size_t first, size_t nbytes)
{
	struct umpa_mover *m = &umpa_core.mover;

	/* One that is chosen later begins with all of the window. */
	if (__atomic_load_n(&umpa_core.mover_state, __ATOMIC_ACQUIRE) == MOVER_CHOSEN)
		umpa_mover_renewed(m, umpa_pages_address(first), nbytes);
}

/* Pages, in a row with ordinary ones between them perhaps, that the same calls make ordinary: what
 * one of them or another has. */
struct unlike {
	size_t first, end;
	unsigned attributes;
};

/* The first of [first, end): odd pages alone, all in a row, whatever else they have, as a huge page
 * is mapped anew as a whole; others as far as the next that are odd. */
static struct unlike next_unlike(const struct umpa_attributes *a, size_t first, size_t end)
{
	struct unlike u = {end, end, 0};
	size_t row_end;

	for (; first < end; first = row_end) {
		unsigned attributes = umpa_attributes_row(a, first, end, &row_end);
		int begun = u.attributes != 0;

		if (begun && (attributes ^ u.attributes) & PAGE_ODD)
			break;
		if (!attributes || attributes == PAGE_VOID)
			continue;
		u.first = begun ? u.first : first;
		u.end = row_end;
		u.attributes |= attributes;
	}
	return u;
}

static int renew(const struct unlike *u)
{
	size_t nbytes = (u->end - u->first) << PAGE_SHIFT;
	int error = umpa_os_renew(umpa_pages_address(u->first), nbytes, umpa_core.huge);

	if (error)
		return error;
	umpa_attachments_forget(u->first, u->end);
	tell_mover(u->first, nbytes);
	return 0;
}

/* Made without fork's phases, a child has holes where pages were not handed on; and what is there
 * may be its own by now, as advice that is taken does not tell. */
static int is_handed_on(const struct umpa_attributes *a, const struct unlike *u)
{
	return !umpa_os_confined() && a->unforked_by == umpa_process_id() &&
	       !umpa_os_advise(umpa_pages_address(u->first), (u->end - u->first) << PAGE_SHIFT,
		       MADV_DOFORK);
}

/* What was not handed on must be mapped anew. */
static void expect_holes(struct umpa_attributes *a, const struct unlike *u)
{
	size_t row_end;

	for (size_t at = u->first; at < u->end; at = row_end)
		if (umpa_attributes_row(a, at, u->end, &row_end) & PAGE_UNFORKED)
			umpa_attributes_change(a, at, row_end, 0, PAGE_ODD);
}

enum {
	SOME_ARE_ODD = 1 /* after all; nothing has been done */
};

/* 0, SOME_ARE_ODD or -errno. */
static int restore_unlike(struct umpa_attributes *a, const struct unlike *u)
{
	char *addr = umpa_pages_address(u->first);
	size_t nbytes = (u->end - u->first) << PAGE_SHIFT;

	if (u->attributes & PAGE_ODD)
		return renew(u);
	if (u->attributes & PAGE_UNFORKED && !is_handed_on(a, u)) {
		expect_holes(a, u);
		return SOME_ARE_ODD;
	}
	return u->attributes & PAGE_GUARDED ? umpa_os_protect(addr, nbytes, PROT_READ | PROT_WRITE)
					    : 0;
}

int umpa_restore(struct umpa_attributes *a, size_t first, size_t end)
{
	int error = 0;

	while (!error && first < end) {
		struct unlike u = next_unlike(a, first, end);

		first = u.first;
		if (first == end)
			break;
		error = restore_unlike(a, &u);
		if (!error)
			umpa_attributes_change(a, u.first, u.end, u.attributes & ~PAGE_VOID, 0);
		first = error == SOME_ARE_ODD ? u.first : u.end;
		error = error == SOME_ARE_ODD ? 0 : error;
	}
	return error;
}
