/* The page API: what kind of block a request becomes. */
#include <errno.h>
#include <string.h>

#include "core/block.h"
#include "core/carry.h"
#include "core/clear.h"
#include "core/core.h"
#include "core/idle.h"
#include "core/lent.h"
#include "core/outside.h"
#include "core/page.h"
#include "core/pool.h"
#include "core/request.h"
#include "core/runs.h"
#include "core/space.h"
#include "core/span.h"

/* A moved block that grows gets address space for this many times its size, as it will likely grow
 * again. */
enum {
	GROWTH_ROOM = 4
};

/* Blocks below this are kept dense even if they grow. */
enum {
	GROWTH_NPAGES_MIN = 8 * SLOT_NPAGES
};

/* --- misuse ------------------------------------------------------------------------------- */

_Noreturn static void misuse(const char *call, const void *ptr)
{
	if (!umpa_window_has(&umpa_core.window, ptr))
		umpa_misuse(call, ptr, "not a pointer umpa handed out");
	if ((uintptr_t)ptr % PAGE_NBYTES)
		umpa_misuse(call, ptr, "inside a page, so not the beginning of a block");
	umpa_misuse(call, ptr, "no live block begins here; freed twice, or inside a block");
}

static struct umpa_block find_lent_or_die(const char *call, const void *ptr)
{
	size_t npages = umpa_lent_npages(ptr);

	if (!npages)
		misuse(call, ptr);
	return (struct umpa_block){
		BLOCK_LENT, npages, (char *)ptr, umpa_window_slot(&umpa_core.window, ptr), 0};
}

static struct umpa_block find_or_die(const char *call, const void *ptr)
{
	struct umpa_block b;

	umpa_core_need();
	b = umpa_block_find(ptr);
	return likely(b.kind != BLOCK_NONE) ? b : find_lent_or_die(call, ptr);
}

/* --- alloc and free ----------------------------------------------------------------------- */

static uint32_t align_npages(const struct umpa_request *r)
{
	return (uint32_t)1 << (r->align_log2 - PAGE_SHIFT);
}

static void *alloc_in_window(const struct umpa_request *r)
{
	uint32_t align = align_npages(r);

	/* What has room to grow is a span, whatever its size: pages of a run are the block's. */
	if (r->npages_room >= SLOT_NPAGES || r->npages_room > r->npages || align > SLOT_NPAGES) {
		if (r->npages_room > (size_t)umpa_core.window.nslots * SLOT_NPAGES)
			return NULL;
		return umpa_span_alloc(r->npages, r->npages_room, align, r->flags);
	}
	return umpa_run_alloc((unsigned)r->npages, align, r->flags);
}

static void *alloc_block(const struct umpa_request *r);

/* Room to grow is a wish: where the window can't fulfil it, the block has none. */
static void *alloc_without_room(struct umpa_request r)
{
	r.npages_room = r.npages;
	return alloc_block(&r);
}

static void *alloc_block(const struct umpa_request *r)
{
	void *block = NULL;

	if (likely(umpa_core.window.nbytes))
		block = alloc_in_window(r);
	if (unlikely(!block) && r->npages_room > r->npages)
		return alloc_without_room(*r);
	if (unlikely(!block))
		block = umpa_outside_alloc(r->npages, (size_t)1 << r->align_log2);
	return block;
}

/* Of a size that wants nothing but a run, as most do. */
static int is_plain_run(size_t nbytes, unsigned flags)
{
	return !flags && nbytes - 1 < RUN_NPAGES_MAX * PAGE_NBYTES && umpa_core.window.nbytes;
}

public_api void *umpa_alloc(size_t nbytes, unsigned flags)
{
	struct umpa_request r;
	void *block = NULL;

	umpa_core_need();
	if (is_plain_run(nbytes, flags))
		block = umpa_run_alloc((unsigned)pages_of(nbytes), 1, 0);
	if (likely(block)) {
		umpa_idle_give_for_growth();
		return block;
	}
	if (!umpa_request_parse(nbytes, flags, &r))
		return NULL;
	block = alloc_block(&r);
	umpa_idle_give_for_growth();
	if (unlikely(!block)) {
		errno = ENOMEM;
		return NULL;
	}
	if (flags & UMPA_BACKED && umpa_os_back(block, r.npages << PAGE_SHIFT)) {
		umpa_free(block);
		errno = ENOMEM;
		return NULL;
	}
	return block;
}

/* 1, or 0 if the system refuses: then the block's pages must not be used for anything else. */
static int settle(const char *call, void *block)
{
	struct umpa_block b = umpa_block_find(block);

	if (b.kind == BLOCK_NONE)
		misuse(call, block);
	return !umpa_block_settle(&b, 0);
}

static void free_lent_or_die(const char *call, void *block)
{
	if (umpa_lent_free(block))
		misuse(call, block);
}

static void free_block(const char *call, void *block)
{
	const struct umpa_window *w = &umpa_core.window;
	struct slot slot = umpa_window_slot(w, block);
	unsigned page = umpa_window_page_in_slot(block);

	if (!umpa_window_has(w, block)) {
		if (!umpa_outside_free(block))
			misuse(call, block);
	} else if ((uintptr_t)block % PAGE_NBYTES || slot.i >= umpa_window_nslots_open(w)) {
		misuse(call, block);
	} else if (unlikely(umpa_block_begins_marked(slot)) && !settle(call, block)) {
		return;
	} else if (slot_use(slot) == SLOT_SHELF) {
		int is_head = umpa_run_free(slot, page);

		if (is_head < 0 || (is_head && umpa_span_free(slot_after(slot, 1))))
			misuse(call, block);
	} else if (page || slot_nhead(slot) || umpa_span_free(slot)) {
		free_lent_or_die(call, block);
	}
}

void umpa_page_free(void *block, const char *call)
{
	int saved = errno;

	if (!block)
		return;
	/* A block outside the window may be all there is so far. */
	if (umpa_core_is_started() || !umpa_outside_free(block)) {
		umpa_core_need();
		free_block(call, block);
		umpa_pool_keep_limit();
	}
	errno = saved;
}

public_api void umpa_free(void *block)
{
	umpa_page_free(block, "umpa_free");
}

/* --- realloc ------------------------------------------------------------------------------ */

static int resize_in_place(const struct umpa_block *b, void *block, const struct umpa_request *r)
{
	switch (b->kind) {
	case BLOCK_RUN: {
		struct umpa_run run = {b->slot, (uint16_t)b->page, (uint16_t)b->npages};

		return (r->npages < SLOT_NPAGES || r->npages <= b->npages) &&
		       umpa_run_resize(run, (unsigned)r->npages, r->flags);
	}
	case BLOCK_SPAN:
		return r->npages <= (size_t)umpa_core.window.nslots * SLOT_NPAGES &&
		       umpa_span_resize(b->slot, r->npages, r->flags);
	case BLOCK_LENT:
		return r->npages == b->npages;
	default:
		return umpa_outside_resize(block, r->npages);
	}
}

/* Gives a request that moves a block the room to grow without moving again. */
static void make_roomy(struct umpa_request *r)
{
	size_t room;

	if (r->npages < GROWTH_NPAGES_MIN || umpa_core.machine.strict_commit || umpa_space_locked())
		return;
	if (!__builtin_mul_overflow(r->npages, (size_t)GROWTH_ROOM, &room) &&
		room / SLOT_NPAGES < umpa_core.window.nslots / 8 && room > r->npages_room)
		r->npages_room = room;
}

static void *move_span(const struct umpa_block *b, const struct umpa_request *r)
{
	if (r->npages_room > (size_t)umpa_core.window.nslots * SLOT_NPAGES)
		return NULL;
	return umpa_span_move(b->slot, r->npages, r->npages_room, align_npages(r), r->flags);
}

static void *copy_to_new(const struct umpa_block *b, void *block, struct umpa_request r)
{
	size_t npages = b->npages < r.npages ? b->npages : r.npages;
	void *to;

	r.flags |= SPAN_GROWS;
	to = alloc_block(&r);
	if (!to)
		return NULL;
	memcpy(to, block, npages << PAGE_SHIFT);
	umpa_free(block);
	return to;
}

static void *move_block(const struct umpa_block *b, void *block, struct umpa_request r)
{
	void *to = NULL;

	make_roomy(&r);
	if (b->kind == BLOCK_SPAN)
		to = move_span(b, &r);
	return to ? to : copy_to_new(b, block, r);
}

/* unsettled: what umpa_block_settle() said. Where the system refused, pages may be unreadable, and
 * the block can only stay. */
static void *elsewhere(
	const struct umpa_block *b, void *block, const struct umpa_request *r, int unsettled)
{
	if (r->flags & UMPA_NOMOVE || (unsettled && unsettled != -EBUSY))
		return NULL;
	return unsettled ? copy_to_new(b, block, *r) : move_block(b, block, *r);
}

void *umpa_page_realloc(void *block, size_t nbytes, unsigned flags, const char *call)
{
	struct umpa_request r;
	struct umpa_block b;
	int unsettled;
	void *to;

	if (!block)
		return umpa_alloc(nbytes, flags);
	b = find_or_die(call, block);
	if (!umpa_request_parse(nbytes, flags, &r))
		return NULL;
	unsettled = unlikely(umpa_block_marked(&b)) ? umpa_block_settle(&b, 1) : 0;
	if (!unsettled && resize_in_place(&b, block, &r)) {
		to = block;
		event_add(&umpa_core.events.nreallocs_in_place, 1);
	} else {
		to = elsewhere(&b, block, &r, unsettled);
		if (!to) {
			errno = ENOMEM;
			return NULL;
		}
		event_add(&umpa_core.events.nreallocs_moved, 1);
	}
	umpa_idle_give_for_growth();
	umpa_pool_keep_limit();
	if (flags & UMPA_BACKED)
		(void)!umpa_os_back(to, r.npages << PAGE_SHIFT);
	return to;
}

public_api void *umpa_realloc(void *block, size_t nbytes, unsigned flags)
{
	return umpa_page_realloc(block, nbytes, flags, "umpa_realloc");
}

/* --- the rest ----------------------------------------------------------------------------- */

size_t umpa_page_usable_size(const void *block, const char *call)
{
	return block ? find_or_die(call, block).npages << PAGE_SHIFT : 0;
}

public_api size_t umpa_usable_size(const void *block)
{
	return umpa_page_usable_size(block, "umpa_usable_size");
}

public_api int umpa_owns(const void *ptr)
{
	void *block;

	umpa_core_need();
	return umpa_window_has(&umpa_core.window, ptr) || umpa_outside_find(ptr, &block);
}

/* The whole range must lie in one block. */
static int find_range(const void *addr, size_t nbytes, struct umpa_block *b)
{
	umpa_core_need();
	return umpa_block_of_range(addr, nbytes, b) ? umpa_request_refuse(EINVAL) : 1;
}

/* All pages of [from, to) can be read and written. *odd: their frames must stay. */
static int look_at(const struct umpa_block *b, uintptr_t from, uintptr_t to, int *odd)
{
	enum umpa_pages_kind kind = umpa_block_pages(b, (void *)from, to - from);

	*odd = kind != PAGES_ORDINARY;
	return kind == PAGES_CLOSED ? umpa_request_refuse(EINVAL) : 1;
}

/* Frames of the pool, cleared, for those of the slots that have none at all. Other threads may
 * write to the block meanwhile. */
static void fill_holes(struct slot slot, uint32_t nslots)
{
	while (nslots) {
		uint32_t n = 0;

		while (n < nslots && !umpa_os_bare(slot_address(slot_after(slot, n)), SLOT_NPAGES))
			n++;
		if (n)
			umpa_carry_fill_in_use(slot, n);
		else
			n = 1;
		slot = slot_after(slot, n);
		nslots -= n;
	}
}

public_api int umpa_back(void *addr, size_t nbytes)
{
	uintptr_t from = (uintptr_t)addr & ~(PAGE_NBYTES - 1);
	struct slot first;
	struct umpa_block b;
	int odd, error;
	uint32_t n;

	if (!find_range(addr, nbytes, &b))
		return -1;
	if (!nbytes)
		return 0;
	nbytes = rounded_up((uintptr_t)addr + nbytes - from, PAGE_NBYTES);
	if (!look_at(&b, from, from + nbytes, &odd))
		return -1;
	n = odd ? 0 : umpa_block_whole_slots(&b, from, from + nbytes, &first);
	if (n && umpa_pool_nslots())
		fill_holes(first, n);
	error = umpa_os_back((void *)from, nbytes);
	if (error)
		errno = error == -EINVAL ? EINVAL : ENOMEM;
	return error ? -1 : 0;
}

/* Takes the frames from whole pages that are all ordinary. */
static void unback(const struct umpa_block *b, uintptr_t from, uintptr_t to)
{
	struct slot first;
	uint32_t n = umpa_block_whole_slots(b, from, to, &first);

	if (n) {
		uintptr_t begin = (uintptr_t)slot_address(first);

		umpa_carry_to_pool(first, n);
		if (begin > from)
			umpa_clear_by_unback((void *)from, (begin - from) >> PAGE_SHIFT);
		from = begin + ((uintptr_t)n << SLOT_SHIFT);
	}
	if (to > from)
		umpa_clear_by_unback((void *)from, (to - from) >> PAGE_SHIFT);
}

static int is_zero(const char *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE_NBYTES - 1);
}

/* The kernel takes what it will; locked pages stay, and behind those of a file is the file. */
static void unback_odd(char *addr, size_t npages)
{
	umpa_clear_by_unback(addr, npages);
	for (char *page = addr; npages--; page += PAGE_NBYTES)
		if (!is_zero(page))
			umpa_clear(page, 1);
}

public_api int umpa_unback(void *addr, size_t nbytes)
{
	uintptr_t from = rounded_up((uintptr_t)addr, PAGE_NBYTES);
	uintptr_t to = ((uintptr_t)addr + nbytes) & ~(PAGE_NBYTES - 1);
	struct umpa_block b;
	int odd;

	if (!find_range(addr, nbytes, &b))
		return -1;
	if (from >= to)
		return 0;
	if (!look_at(&b, from, to, &odd))
		return -1;
	if (odd)
		unback_odd((char *)from, (to - from) >> PAGE_SHIFT);
	else
		unback(&b, from, to);
	umpa_pool_keep_limit();
	return 0;
}

public_api size_t umpa_trim(size_t keep_nbytes)
{
	size_t keep_nslots = keep_nbytes >> SLOT_SHIFT;
	size_t nbytes = 0;
	uint32_t n;
	int saved = errno;

	umpa_core_need();
	if (umpa_core.window.nbytes) {
		nbytes = umpa_run_release_free();
		event_add(&umpa_core.events.trimmed_nbytes, nbytes);
		do {
			n = umpa_pool_trim(
				keep_nslots < UINT32_MAX ? (uint32_t)keep_nslots : UINT32_MAX,
				UINT32_MAX);
			nbytes += (size_t)n << SLOT_SHIFT;
		} while (n);
	}
	errno = saved;
	return nbytes;
}
