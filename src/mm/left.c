#include "mm/left.h"

#include "core/carry.h"
#include "core/pool.h"
#include "mm/pages_parts.h"

struct umpa_left umpa_left;

/* --- beginning ---------------------------------------------------------------------------- */

/* Where memory counts before it is touched void slots are not for nothing. */
static int can_leave(void)
{
	return !umpa_core.machine.strict_commit && !umpa_space_locked();
}

/* Of mappings of about that size. */
static struct umpa_streak *streak_of(size_t npages)
{
	unsigned log2 = 63 - (unsigned)__builtin_clzll(npages | SLOT_NPAGES);

	log2 -= SLOT_SHIFT - PAGE_SHIFT;
	return &umpa_left.streak[log2 < LEFT_NCLASSES ? log2 : LEFT_NCLASSES - 1];
}

int umpa_left_all(size_t npages)
{
	return umpa_streak_is_on(streak_of(npages)) && can_leave();
}

void umpa_left_mark(struct slot slot, uint32_t nslots)
{
	for (uint32_t i = 0; i < nslots; i++)
		slot_set_left(slot_after(slot, i), LEFT_VOID);
	event_add(&umpa_core.events.nslots_from_kernel, nslots);
}

void umpa_left_move(struct slot to, struct slot from, uint32_t nslots)
{
	for (uint32_t i = 0; i < nslots; i++)
		slot_set_left(slot_after(to, i), slot_left(slot_after(from, i)));
}

/* As many as may be without frames at a time are. One that does not end is not waited for. */
static int waits(uint32_t nheld)
{
	uint32_t most = nheld / LEFT_NSLOTS_HELD_MIN;

	if (__atomic_load_n(&umpa_left.nlost, __ATOMIC_RELAXED) < most)
		return 0;
	if (__atomic_add_fetch(&umpa_left.nwaited, 1, __ATOMIC_RELAXED) <= LEFT_PATIENCE)
		return 1;
	__atomic_store_n(&umpa_left.nlost, most - 1, __ATOMIC_RELAXED);
	return 0;
}

/* Any of them: who touches a part of what he maps touches the same one as a rule. */
static struct slot any_of(struct slot slot, uint32_t nslots)
{
	uint32_t n = __atomic_add_fetch(&umpa_left.nprobed, 1, __ATOMIC_RELAXED);

	return slot_after(slot, (n * 2654435761u >> 16) % nslots);
}

static int has_frames(struct slot slot, uint32_t nslots)
{
	return umpa_os_bare(slot_address(slot), (size_t)nslots * SLOT_NPAGES) != 0;
}

/* One without frames has none to lose, and the pool had none for it. */
static void probe(struct slot slot)
{
	if (!has_frames(slot, 1))
		return;
	umpa_carry_to_pool(slot, 1);
	slot_set_left(slot, LEFT_LOST);
	__atomic_fetch_add(&umpa_left.nlost, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&umpa_left.nwaited, 0, __ATOMIC_RELAXED);
}

void umpa_left_probe(const void *addr, size_t npages)
{
	size_t first = umpa_pages_number(addr);
	uint32_t from = slots_of(first), to = (uint32_t)((first + npages) / SLOT_NPAGES);
	uint32_t nheld = umpa_pool_nslots_about() + umpa_space_nused_about();

	if (from < to && nheld >= LEFT_NSLOTS_HELD_MIN && can_leave() &&
		umpa_streak_is_next(streak_of(npages), 1) && !waits(nheld))
		probe(any_of((struct slot){from}, to - from));
}

/* --- ending ------------------------------------------------------------------------------- */

static int left_at(const struct umpa_pages_shard *s, size_t page, size_t end)
{
	struct part p = first_part(page, end);
	int is_whole_slot = p.npages == SLOT_NPAGES && is_shards(s, p.slot) && is_whole(p.slot);

	return is_whole_slot ? slot_left(p.slot) : 0;
}

/* How far the range is left, or is not, as its first page says. */
static size_t row_of(const struct umpa_pages_shard *s, size_t first, size_t end, int *is_left)
{
	*is_left = left_at(s, first, end);
	while (first < end && left_at(s, first, end) == *is_left)
		first += first_part(first, end).npages;
	return first;
}

/* So many of those are no longer waited for. It may be that none was: waits(). */
static void forget_lost(uint32_t nslots)
{
	if (__atomic_load_n(&umpa_left.nlost, __ATOMIC_RELAXED) >= nslots)
		__atomic_fetch_sub(&umpa_left.nlost, nslots, __ATOMIC_RELAXED);
}

/* What left slots are as they end. Of what was touched the pool has the frames, and as many of
 * others, if it has any, are for the kernel. */
static enum umpa_extent_kind kind_of(int touched)
{
	if (touched && umpa_pool_nslots_about())
		__atomic_fetch_add(&umpa_left.nowed, 1, __ATOMIC_RELAXED);
	return touched ? EXTENT_RESIDENT : EXTENT_VOID;
}

enum umpa_extent_kind umpa_left_kind(struct slot slot)
{
	return slot_left(slot) ? kind_of(has_frames(slot, 1)) : EXTENT_RESIDENT;
}

/* Ends whole slots that are left. Result: how many were touched. */
static uint32_t end_left(const struct umpa_pages_shard *s, struct slot slot, uint32_t nslots)
{
	size_t first = (size_t)slot.i * SLOT_NPAGES, npages = (size_t)nslots * SLOT_NPAGES;
	int touched = has_frames(slot, nslots);

	if (touched && nslots > 1)
		return end_left(s, slot, nslots / 2) +
		       end_left(s, slot_after(slot, nslots / 2), nslots - nslots / 2);
	/* One slot, or void ones: what it is need not be asked again. */
	slot_set_left(slot, 0);
	umpa_pages_end_of_shard(s, first, first + npages, kind_of(touched));
	return (uint32_t)touched;
}

void umpa_left_end(const struct umpa_pages_shard *s, size_t first, size_t end)
{
	uint32_t nleft = 0, ntouched = 0;
	size_t npages = end - first, row_end;

	for (; first < end; first = row_end) {
		struct slot slot = first_part(first, end).slot;
		uint32_t nslots;
		int is_left;

		row_end = row_of(s, first, end, &is_left);
		if (!is_left) {
			umpa_pages_end_of_shard(s, first, row_end, EXTENT_RESIDENT);
			continue;
		}
		nslots = slots_of(row_end - first);
		if (is_left == LEFT_LOST)
			forget_lost(nslots);
		ntouched += end_left(s, slot, nslots);
		nleft += nslots;
	}
	if (nleft)
		umpa_streak_note(streak_of(npages), 1, ntouched * LEFT_TOUCHED_SHARE >= nleft);
}

void umpa_left_settle(void)
{
	uint32_t n = __atomic_load_n(&umpa_left.nowed, __ATOMIC_RELAXED);

	if (unlikely(n))
		umpa_pool_trim(0, __atomic_exchange_n(&umpa_left.nowed, 0, __ATOMIC_RELAXED));
}

/* --- for tests ---------------------------------------------------------------------------- */

void umpa_left_stop(void)
{
	umpa_left = (struct umpa_left){.nlost = 0};
}
