#include "core/clear.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "core/core.h"

/* From here on clearing goes past the caches: it would only push out what the program uses. */
enum {
	STREAM_NPAGES = 256
};

/* Below this a block is cleared without a look: to keep it sparse would cost more than it saves. */
enum {
	LOOK_NPAGES = 256
};

#if defined(__SSE2__)
static void clear_streaming(void *addr, size_t nbytes)
{
	__m128i zero = _mm_setzero_si128();
	char *at = addr;

	for (char *end = at + nbytes; at < end; at += 64)
		for (int i = 0; i < 4; i++)
			_mm_stream_si128((__m128i *)(void *)(at + 16 * i), zero);
	_mm_sfence();
}
#else
static void clear_streaming(void *addr, size_t nbytes)
{
	memset(addr, 0, nbytes);
}
#endif

void umpa_clear(void *addr, size_t npages)
{
	if (npages >= STREAM_NPAGES)
		clear_streaming(addr, npages << PAGE_SHIFT);
	else
		memset(addr, 0, npages << PAGE_SHIFT);
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

void umpa_clear_by_unback(void *addr, size_t npages)
{
	if (umpa_os_unback(addr, npages << PAGE_SHIFT))
		umpa_clear(addr, npages);
}

void umpa_clear_frames(void *addr, size_t npages)
{
	while (npages) {
		size_t n = npages < SLOT_NPAGES ? npages : SLOT_NPAGES;

		/* "No frame" may mean swapped out: then only the kernel can make it zero cheaply.
		 */
		if (n < LOOK_NPAGES || all_have_frames(addr, n))
			umpa_clear(addr, n);
		else if (umpa_os_bare(addr, n))
			umpa_clear_by_unback(addr, n);
		addr = (char *)addr + (n << PAGE_SHIFT);
		npages -= n;
	}
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
