#include "core/idle.h"

#include "core/pool.h"
#include "core/shard.h"
#include "core/space.h"

/*
 * They go back to the kernel where a slot has more of them than this after a free, but for what is
 * little beside all slots in use. Where such are wanted again within IDLE_PAGE_NS for each (twenty
 * times what a fault takes), twice as many may stay, and then all: so giving back is in vain for a
 * superpage's pages at most.
 *
 * Where slots come from the kernel, a few are given for them; within IDLE_FORGET_NS of a time that
 * was in vain they are not, unless most of a slot is idle: its pages cost no more to get back than
 * the superpage just given.
 */
enum {
	NIDLE_MAX = 256,
	NIDLE_MAX_AT_GROWTH = 64,
	NIDLE_LITTLE = 4,     /* of a slot of the nursery, for each slot in use */
	IDLE_NPAGES_MIN = 16, /* in a row, for a system call */
	IDLE_PAGE_NS = 50000,
	IDLE_FORGET_NS = 250000000
};

static unsigned nidle_max(const struct umpa_shard *s)
{
	return s->nidle_max ? s->nidle_max : NIDLE_MAX;
}

/* What is set aside counts, as if it were of this slot. */
static unsigned count_idle(const struct umpa_shard *s, struct slot slot)
{
	unsigned naside = s->bins.npages;

	if (naside > ASIDE_LITTLE_NPAGES)
		naside = ASIDE_LITTLE_NPAGES;
	return umpa_shelf_count_idle(&s->shelf, slot) + naside;
}

static int has_idle_above(const struct umpa_shard *s, struct slot slot, unsigned n)
{
	unsigned nidle = count_idle(s, slot);

	return nidle > n && nidle / NIDLE_LITTLE > umpa_space_nused_about();
}

int umpa_idle_is_above_max(const struct umpa_shard *s, struct slot slot)
{
	return has_idle_above(s, slot, nidle_max(s));
}

/* Gives the next row of idle pages, from page `from` on, to the kernel. Result: that row; npages 0
 * if there is none, or the kernel refuses. */
static struct umpa_run give_idle_row(struct umpa_shard *s, struct slot slot, unsigned from)
{
	struct umpa_run row;
	int error;

	umpa_lock_take(&s->lock);
	row = umpa_shelf_take_idle(&s->shelf, slot, from, IDLE_NPAGES_MIN);
	umpa_lock_give(&s->lock);
	if (!row.npages)
		return row;
	error = umpa_os_unback(page_address(slot, row.page), (size_t)row.npages << PAGE_SHIFT);
	umpa_lock_take(&s->lock);
	if (error) {
		umpa_shelf_give(&s->shelf, slot, row.page, row.npages);
		s->nidle_max = SLOT_NPAGES;
	} else {
		umpa_shelf_give_zero(&s->shelf, row);
	}
	umpa_lock_give(&s->lock);
	row.npages = error ? 0 : row.npages;
	return row;
}

void umpa_idle_give(struct umpa_shard *s, struct slot slot)
{
	struct umpa_run row = {slot, 0, 0}, longest = row;
	uint64_t npages = 0, now_ns;

	umpa_shard_empty_bins(s);
	while ((row = give_idle_row(s, slot, row.page + row.npages)).npages) {
		npages += row.npages;
		longest = row.npages > longest.npages ? row : longest;
	}
	event_add(&umpa_core.events.trimmed_nbytes, npages << PAGE_SHIFT);
	now_ns = umpa_os_clock_ns();
	umpa_lock_take(&s->lock);
	s->idle_given = longest;
	s->idle_given_ns = now_ns;
	umpa_lock_give(&s->lock);
}

static int is_to_give(struct umpa_shard *s, struct slot slot, uint64_t now_ns)
{
	int in_vain, is;

	umpa_lock_take(&s->lock);
	in_vain = s->nidle_max && now_ns - s->idle_given_ns < IDLE_FORGET_NS;
	is = has_idle_above(s, slot, in_vain ? NIDLE_MAX : NIDLE_MAX_AT_GROWTH);
	umpa_lock_give(&s->lock);
	return is;
}

static void give_idle_of_all(uint32_t nslots)
{
	uint64_t now_ns = umpa_os_clock_ns();

	for (struct slot slot = {0}; slot.i < nslots; slot.i++) {
		struct umpa_shard *s = umpa_shard_of_slot(slot);

		if (is_to_give(s, slot, now_ns))
			umpa_idle_give(s, slot);
	}
}

void umpa_idle_give_for_slots(void)
{
	struct umpa_space *s = &umpa_core.space;

	__atomic_store_n(&s->grown, 0, __ATOMIC_RELAXED);
	if (umpa_pool_may_shed())
		give_idle_of_all(__atomic_load_n(&s->nnursery_used, __ATOMIC_RELAXED));
}

void umpa_idle_note_wanted(struct umpa_shard *s)
{
	uint64_t now_ns = umpa_os_clock_ns();

	umpa_lock_take(&s->lock);
	if (now_ns - s->idle_given_ns < (uint64_t)s->idle_given.npages * IDLE_PAGE_NS)
		s->nidle_max = 2 * nidle_max(s);
	s->idle_given.npages = 0;
	umpa_lock_give(&s->lock);
}
