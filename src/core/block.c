#include "core/block.h"

#include <errno.h>

#include "core/outside.h"
#include "core/runs.h"
#include "core/span.h"

int (*umpa_block_settle)(const struct umpa_block *b, int keep);
enum umpa_pages_kind (*umpa_block_look)(const void *addr, size_t nbytes);

static struct slot first_slot(const struct umpa_block *b)
{
	return umpa_window_slot(&umpa_core.window, b->begin);
}

void umpa_block_mark(const struct umpa_block *b)
{
	__atomic_store_n(&umpa_core.record[first_slot(b).i].marked, 1, __ATOMIC_RELAXED);
}

void umpa_block_unmark(const struct umpa_block *b)
{
	__atomic_store_n(&umpa_core.record[first_slot(b).i].marked, 0, __ATOMIC_RELAXED);
}

int umpa_block_marked(const struct umpa_block *b)
{
	return b->kind != BLOCK_OUTSIDE && b->kind != BLOCK_LENT &&
	       umpa_block_begins_marked(first_slot(b));
}

enum umpa_pages_kind umpa_block_pages(const struct umpa_block *b, const void *addr, size_t nbytes)
{
	return unlikely(umpa_block_marked(b)) ? umpa_block_look(addr, nbytes) : PAGES_ORDINARY;
}

static struct umpa_block span_block(struct slot slot)
{
	return (struct umpa_block){
		BLOCK_SPAN, umpa_span_npages(slot), umpa_span_begin(slot), slot, 0};
}

/* The block that begins with a run: a span, if that is its head; none if the span was freed. */
static struct umpa_block run_block(struct umpa_run run)
{
	struct slot next = slot_after(run.slot, 1);

	if (umpa_run_is_head(run))
		return slot_use(next) == SLOT_SPAN
			       ? span_block(next)
			       : (struct umpa_block){.kind = BLOCK_NONE, .slot = run.slot};
	return (struct umpa_block){run.npages ? BLOCK_RUN : BLOCK_NONE, run.npages,
		page_address(run.slot, run.page), run.slot, run.page};
}

struct umpa_block umpa_block_find(const void *ptr)
{
	const struct umpa_window *w = &umpa_core.window;
	struct umpa_block b = {.kind = BLOCK_NONE, .slot = NO_SLOT};
	unsigned page = umpa_window_page_in_slot(ptr);

	if (!umpa_window_has(w, ptr)) {
		b.npages = umpa_outside_npages(ptr);
		b.kind = b.npages ? BLOCK_OUTSIDE : BLOCK_NONE;
		return b;
	}
	b.slot = umpa_window_slot(w, ptr);
	if ((uintptr_t)ptr % PAGE_NBYTES || b.slot.i >= umpa_window_nslots_open(w))
		return b;
	if (slot_use(b.slot) == SLOT_SPAN && !page && !slot_nhead(b.slot))
		return span_block(b.slot);
	if (slot_use(b.slot) == SLOT_SHELF)
		return run_block(umpa_run_find(b.slot, page));
	return b;
}

/* The span that a slot on no shelf lies in, perhaps far from its first slot; npages 0 if none. */
static struct umpa_block find_span_around(struct slot slot)
{
	struct slot first = slot;
	struct umpa_block b = {.kind = BLOCK_NONE, .slot = slot};

	while (first.i && slot_use(first) == SLOT_INNER)
		first.i--;
	if (slot_use(first) != SLOT_SPAN || slot.i - first.i >= umpa_core.record[first.i].nslots)
		return b;
	return span_block(first);
}

/* The block that holds the last page before a slot whose first pages are its tail. */
static struct umpa_block find_before_tail(struct slot slot)
{
	struct slot before = {slot.i - 1};

	/* The window's first pages, set aside for the trial of movers, look like a tail. */
	if (!slot.i)
		return (struct umpa_block){.kind = BLOCK_NONE};
	return slot_use(before) == SLOT_SHELF ? run_block(umpa_run_around(before, SLOT_NPAGES - 1))
					      : find_span_around(before);
}

/* The block that addr lies in, or perhaps behind. 0 if there is none. */
static int find_around(const void *addr, struct umpa_block *b)
{
	const struct umpa_window *w = &umpa_core.window;
	unsigned page = umpa_window_page_in_slot(addr);
	void *outside;

	if (!umpa_window_has(w, addr)) {
		b->npages = umpa_outside_find(addr, &outside);
		b->kind = b->npages ? BLOCK_OUTSIDE : BLOCK_NONE;
		b->begin = b->npages ? outside : NULL;
		return b->npages != 0;
	}
	b->slot = umpa_window_slot(w, addr);
	if (b->slot.i >= umpa_window_nslots_open(w))
		return 0;
	if (slot_use(b->slot) != SLOT_SHELF)
		*b = find_span_around(b->slot);
	else if (umpa_run_in_tail(b->slot, page))
		*b = find_before_tail(b->slot);
	else
		*b = run_block(umpa_run_around(b->slot, page));
	return b->npages != 0;
}

int umpa_block_holds(const struct umpa_block *b, const void *addr, size_t nbytes)
{
	size_t offset = (uintptr_t)addr - (uintptr_t)b->begin;
	size_t have = b->npages << PAGE_SHIFT;

	return offset < have && nbytes <= have - offset;
}

int umpa_block_of_range(const void *addr, size_t nbytes, struct umpa_block *b)
{
	return find_around(addr, b) && umpa_block_holds(b, addr, nbytes) ? 0 : -EINVAL;
}

uint32_t umpa_block_whole_slots(
	const struct umpa_block *b, uintptr_t from, uintptr_t to, struct slot *first)
{
	const struct umpa_window *w = &umpa_core.window;
	uintptr_t begin = rounded_up(from, SLOT_NBYTES);
	uintptr_t end = to & ~(SLOT_NBYTES - 1);

	if (b->kind != BLOCK_SPAN || begin >= end)
		return 0;
	*first = umpa_window_slot(w, (void *)begin);
	return (uint32_t)((end - begin) >> SLOT_SHIFT);
}
