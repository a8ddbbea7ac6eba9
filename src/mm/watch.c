/*
 * A userfaultfd of the program's own over memory of the window. Its pages become the kernel's: odd,
 * as under a file, so that no frame of them ever goes anywhere, and mapped anew when they leave,
 * which ends the registration.
 *
 * Who registers pages for want of a frame has to be told of each that was never touched. The kernel
 * has none for those; umpa may have brought a frame, of zeros. So what is ordinary memory and holds
 * nothing but zeros is given back first. Before, since then nobody waits for an event of that.
 */
#include <errno.h>

#include "core/core.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/pages.h"
#include "mm/range.h"

static int cut(const struct umpa_mm_watch *w, struct range *r)
{
	return range_cut(w->addr, w->nbytes, r) && range_is_ours(r);
}

int umpa_mm_may_watch(const struct umpa_mm_watch *w)
{
	struct range r;

	return cut(w, &r);
}

/* --- zeros -------------------------------------------------------------------------------- */

static int is_zero(const char *page)
{
	const uint64_t *word = (const void *)page;
	uint64_t all = 0;

	for (size_t i = 0; !all && i < PAGE_NBYTES / sizeof(*word); i++)
		all |= word[i];
	return !all;
}

/* Only pages that have a frame are looked at: it must not be the look that brings one. */
static void drop_zeros_in_slot(char *addr, size_t npages)
{
	unsigned char has_frame[SLOT_NPAGES];
	size_t end;

	if (umpa_os_resident(addr, npages, has_frame))
		return;
	for (size_t at = 0; at < npages; at = end + 1) {
		for (end = at; end < npages; end++)
			if (!(has_frame[end] & 1) || !is_zero(addr + (end << PAGE_SHIFT)))
				break;
		if (end > at)
			(void)!umpa_os_unback(addr + (at << PAGE_SHIFT), (end - at) << PAGE_SHIFT);
	}
}

static void drop_zeros(size_t first, size_t end)
{
	for (size_t next; first < end; first = next) {
		next = (first / SLOT_NPAGES + 1) * SLOT_NPAGES;
		next = next < end ? next : end;
		drop_zeros_in_slot(umpa_pages_address(first), next - first);
	}
}

/* What is registered already, and for the first time, is not while this goes on. */
static void drop_zeros_of(const struct umpa_mm_watch *w, const struct range *r, int is_registered)
{
	size_t end;

	for (size_t at = r->first; at < r->last; at = end) {
		if (!umpa_mapping_ordinary(at, r->last, &end))
			continue;
		if (is_registered &&
			umpa_os_unregister(w->fd, umpa_pages_address(at), (end - at) << PAGE_SHIFT))
			continue;
		drop_zeros(at, end);
	}
}

/* --- handing over ------------------------------------------------------------------------- */

static struct umpa_mover *mover(void)
{
	return __atomic_load_n(&umpa_core.mover_state, __ATOMIC_ACQUIRE) == MOVER_CHOSEN
		       ? &umpa_core.mover
		       : NULL;
}

static size_t nbytes_in(const struct range *r)
{
	return (r->last - r->first) << PAGE_SHIFT;
}

static void take_back(const struct umpa_mm_watch *w, const struct range *r)
{
	if (w->was_ours)
		umpa_mover_renewed(mover(), umpa_pages_address(r->first), nbytes_in(r));
}

/*
 * Row by row, as some may be the program's already: those are odd, and whether an odd one is shows
 * in its not being let go. Pages that are nobody's may be somebody's by the next moment, who knows
 * of no userfaultfd.
 */
static int let_go(struct umpa_mm_watch *w, const struct range *r)
{
	size_t end;

	if (!mover() || umpa_mapping_reach(r->first, r->last) < r->last)
		return -EBUSY;
	for (size_t at = r->first; at < r->last; at = end) {
		int is_ordinary = umpa_mapping_ordinary(at, r->last, &end);
		int refused = umpa_mover_let_go(
			mover(), umpa_pages_address(at), (end - at) << PAGE_SHIFT);

		w->was_ours |= !refused;
		if (refused && is_ordinary) {
			take_back(w, r);
			return -EBUSY;
		}
	}
	return w->was_ours ? 0 : -EBUSY;
}

int umpa_mm_hand_over(struct umpa_mm_watch *w, int is_registered)
{
	struct range r;
	int error;

	w->was_ours = 0;
	if (!cut(w, &r))
		return -EBUSY;
	error = is_registered ? 0 : let_go(w, &r);
	if (error)
		return error;
	if (w->missing && !umpa_os_confined())
		drop_zeros_of(w, &r, is_registered);
	error = umpa_mapping_expect_oddity(r.first, r.last);
	if (error && is_registered)
		(void)!umpa_os_unregister(w->fd, w->addr, w->nbytes);
	else if (error)
		take_back(w, &r);
	return error;
}

/* What is nobody's is not to be registered. */
static void leave_gaps(const struct umpa_mm_watch *w, const struct range *r)
{
	size_t gap;

	for (size_t at = r->first; (at = umpa_mapping_reach(at, r->last)) < r->last; at = gap) {
		gap = umpa_mapping_gap(at, r->last);
		(void)!umpa_os_unregister(w->fd, umpa_pages_address(at), (gap - at) << PAGE_SHIFT);
	}
}

void umpa_mm_handed_over(const struct umpa_mm_watch *w, int is_registered)
{
	struct range r;

	if (!cut(w, &r))
		return;
	if (is_registered)
		leave_gaps(w, &r);
	else
		take_back(w, &r);
}
