#include "core/untouched.h"

#include "core/pool.h"

static struct umpa_left_void *state(void)
{
	return &umpa_core.left_void;
}

static uint64_t void_slots(const struct space_grant *g, uint32_t nslots)
{
	uint64_t slots = 0;

	for (unsigned i = 0; i < g->npieces; i++) {
		uint32_t from = g->piece[i].slot.i - g->slot.i, end = from + g->piece[i].nslots;

		end = end < nslots ? end : nslots;
		for (uint32_t k = from; g->piece[i].kind == EXTENT_VOID && k < end; k++)
			slots |= (uint64_t)1 << k;
	}
	return slots;
}

static int moves_are_dear(void)
{
	return __atomic_load_n(&state()->move_ns, __ATOMIC_RELAXED) >= LEFT_MOVE_NS;
}

int umpa_untouched_all_left(void)
{
	return umpa_streak_is_on(&state()->streak);
}

struct umpa_lack umpa_untouched_leave(const struct space_grant *g, uint32_t nslots)
{
	struct umpa_lack none = {0, 0}, lack = none;
	uint32_t n;

	if (!(umpa_untouched_all_left() || moves_are_dear()) || nslots > LEFT_NSLOTS_MAX ||
		umpa_core.space.locked)
		return none;
	lack.slots = void_slots(g, nslots);
	n = (uint32_t)__builtin_popcountll(lack.slots);
	if (!n || (!umpa_untouched_all_left() && umpa_pool_nslots_about() < n))
		return lack;
	if (!umpa_untouched_all_left() && !umpa_streak_is_next(&state()->streak, LEFT_EACH_MIN))
		return none;
	lack.is_left = 1;
	event_add(&umpa_core.events.nslots_from_kernel, n);
	return lack;
}

/* By its first page, which whoever fills it has touched before long; a guess for a quarter of what
 * it takes to know. */
static int seems_bare(struct slot slot)
{
	unsigned char here = 1;

	return !umpa_os_resident(slot_address(slot), 1, &here) && !(here & 1);
}

void umpa_untouched_watch(const struct space_grant *g)
{
	struct umpa_left_void *l = state();
	uint32_t n = __atomic_add_fetch(&l->nbegun, 1, __ATOMIC_RELAXED) % LEFT_WATCH_EACH;
	uint32_t watched;

	if (n == 0 && seems_bare(g->slot))
		__atomic_store_n(&l->watched, g->slot.i + 1, __ATOMIC_RELAXED);
	if (n != LEFT_WATCH_FOR)
		return;
	watched = __atomic_exchange_n(&l->watched, 0, __ATOMIC_RELAXED);
	if (watched && !seems_bare((struct slot){watched - 1}))
		umpa_untouched_learn(1);
}

int umpa_untouched_pass(void)
{
	return umpa_untouched_all_left() &&
	       __atomic_add_fetch(&state()->nended, 1, __ATOMIC_RELAXED) % LEFT_LOOK_EACH;
}

int umpa_untouched_doubts(void)
{
	return __atomic_load_n(&state()->ndoubted, __ATOMIC_RELAXED) && !umpa_untouched_all_left();
}

/* Others may be at it: then a few are looked at in vain, or not. */
void umpa_untouched_note_looked(uint32_t nslots)
{
	uint32_t n = __atomic_load_n(&state()->ndoubted, __ATOMIC_RELAXED);

	__atomic_store_n(&state()->ndoubted, n > nslots ? n - nslots : 0, __ATOMIC_RELAXED);
}

/* The average of the last some. What is out of all proportion was interrupted. */
void umpa_untouched_note_move(uint64_t ns)
{
	uint32_t before = __atomic_load_n(&state()->move_ns, __ATOMIC_RELAXED);

	if (ns < (uint64_t)100 * LEFT_MOVE_NS)
		__atomic_store_n(&state()->move_ns, before - before / 8 + (uint32_t)ns / 8,
			__ATOMIC_RELAXED);
}

void umpa_untouched_learn(int touched)
{
	if (umpa_streak_note(&state()->streak, LEFT_EACH_MIN, touched))
		__atomic_store_n(&state()->ndoubted,
			umpa_pool_nslots_about() + umpa_space_nused_about(), __ATOMIC_RELAXED);
}
