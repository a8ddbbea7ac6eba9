#include "rewire/bytes.h"

#include <string.h>

#include "base/units.h"
#include "core/clear.h"
#include "os/os.h"

typedef void piece_fn(char *dst, char *src, size_t npages);

/* In pieces of a superpage's length: so much is known to be bare or not at one look. */
static void in_pieces(piece_fn *piece, char *dst, char *src, size_t npages)
{
	while (npages) {
		size_t n = npages < SLOT_NPAGES ? npages : SLOT_NPAGES;

		piece(dst, src, n);
		dst += n << PAGE_SHIFT;
		src += n << PAGE_SHIFT;
		npages -= n;
	}
}

/* Below this a look costs more than the copy that it may save. */
enum {
	LOOK_NPAGES = 16
};

static int is_bare(const char *addr, size_t npages)
{
	return npages >= LOOK_NPAGES && !umpa_os_bare(addr, npages);
}

static void copy_piece(char *dst, char *src, size_t npages)
{
	memcpy(dst, src, npages << PAGE_SHIFT);
	umpa_clear_frames(src, npages);
}

static void move_piece(char *dst, char *src, size_t npages)
{
	if (is_bare(src, npages))
		umpa_clear_frames(dst, npages);
	else
		copy_piece(dst, src, npages);
}

static void swap_page(char *a, char *b)
{
	char page[PAGE_NBYTES];

	memcpy(page, a, PAGE_NBYTES);
	memcpy(a, b, PAGE_NBYTES);
	memcpy(b, page, PAGE_NBYTES);
}

void umpa_bytes_swap_odd(char *a, char *b, size_t npages)
{
	for (size_t at = 0; at < npages << PAGE_SHIFT; at += PAGE_NBYTES)
		swap_page(a + at, b + at);
}

static void swap_piece(char *a, char *b, size_t npages)
{
	if (is_bare(b, npages)) {
		move_piece(b, a, npages);
	} else if (is_bare(a, npages)) {
		copy_piece(a, b, npages);
	} else {
		umpa_bytes_swap_odd(a, b, npages);
	}
}

void umpa_bytes_move_odd(char *dst, char *src, size_t npages)
{
	memcpy(dst, src, npages << PAGE_SHIFT);
	umpa_clear(src, npages);
}

void umpa_bytes_move(char *dst, char *src, size_t npages)
{
	in_pieces(move_piece, dst, src, npages);
}

void umpa_bytes_swap(char *a, char *b, size_t npages)
{
	in_pieces(swap_piece, a, b, npages);
}
