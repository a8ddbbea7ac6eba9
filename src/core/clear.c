#include "core/clear.h"

#include <string.h>

#include "base/stream.h"
#include "core/core.h"

unsigned umpa_clear_try(void *addr, unsigned width)
{
	enum {
		HALF_NBYTES = CLEAR_TRIED_NPAGES * PAGE_NBYTES / 2
	};
	uint64_t begin_ns = umpa_os_clock_ns(), between_ns, end_ns;

	memset(addr, 0, HALF_NBYTES);
	between_ns = umpa_os_clock_ns();
	umpa_stream_zeros((char *)addr + HALF_NBYTES, HALF_NBYTES, width);
	end_ns = umpa_os_clock_ns();
	return 2 * (between_ns - begin_ns) > 3 * (end_ns - between_ns) ? width : 0;
}

void umpa_clear(void *addr, size_t npages)
{
	unsigned width = npages < CLEAR_LONG_NPAGES ? 0 : umpa_stream_width();
	size_t ntried = width ? CLEAR_TRIED_NPAGES : 0;

	if (width)
		width = umpa_clear_try(addr, width);
	umpa_stream_zeros(
		(char *)addr + (ntried << PAGE_SHIFT), (npages - ntried) << PAGE_SHIFT, width);
	event_add(&umpa_core.events.cleared_nbytes, npages << PAGE_SHIFT);
}

static int all_have_frames(const void *addr, size_t npages)
{
	unsigned char vec[SLOT_NPAGES];

	if (umpa_os_resident(addr, npages, vec))
		return 1;
	for (size_t i = 0; i < npages; i++)
		if (!(vec[i] & 1))
			return 0;
	return 1;
}

/* The system takes all of its last page, which is more where its pages are larger. Not known, for a
 * process that was confined before umpa started, is larger. */
static int takes_more(size_t npages)
{
	return (npages << PAGE_SHIFT & (umpa_core.machine.page_nbytes - 1)) != 0;
}

void umpa_clear_by_unback(void *addr, size_t npages)
{
	if (takes_more(npages) || umpa_os_unback(addr, npages << PAGE_SHIFT))
		umpa_clear(addr, npages);
}

/* What of a superpage, or of less, is to be cleared by writing. */
static int wants_writing(const void *addr, size_t npages)
{
	return npages < SLOT_NPAGES || all_have_frames(addr, npages);
}

void umpa_clear_frames(void *addr, size_t npages)
{
	char *at = addr, *begin = at; /* [begin, at) is to be written yet */

	for (size_t n; npages; at += n << PAGE_SHIFT, npages -= n) {
		n = npages < SLOT_NPAGES ? npages : SLOT_NPAGES;
		if (wants_writing(at, n))
			continue;
		umpa_clear(begin, (size_t)(at - begin) >> PAGE_SHIFT);
		begin = at + (n << PAGE_SHIFT);
		/* "No frame" may mean swapped out: then only the kernel can make it zero cheaply.
		 */
		if (umpa_os_bare(at, n))
			umpa_clear_by_unback(at, n);
	}
	umpa_clear(begin, (size_t)(at - begin) >> PAGE_SHIFT);
}

void umpa_clear_dirty(void *base, unsigned from, unsigned n, const struct bitmap *dirty)
{
	unsigned end = from + n;

	for (unsigned p = bitmap_next_set(dirty, from); p < end; p = bitmap_next_set(dirty, p)) {
		unsigned stop = bitmap_next_clear(dirty, p);

		if (stop > end)
			stop = end;
		umpa_clear_frames((char *)base + ((size_t)p << PAGE_SHIFT), stop - p);
		p = stop;
	}
}
