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

/* Should all that is left be touched yet, so much of the pool would have been spared. */
static int may_leave(uint32_t nslots)
{
	uint32_t nleft = nslots + __atomic_load_n(&state()->nslots, __ATOMIC_RELAXED);
	uint32_t npool = umpa_pool_nslots_about(), nidle = nleft < npool ? nleft : npool;

	return nidle * LEFT_SHARE <= npool + umpa_space_nused_about();
}

/* All are left, or this is one to tell by. */
static int is_next(void)
{
	struct umpa_left_void *l = state();
	uint32_t each = __atomic_load_n(&l->each, __ATOMIC_RELAXED);

	each = each ? each : LEFT_EACH_MIN;
	return __atomic_load_n(&l->nuntouched, __ATOMIC_RELAXED) >= LEFT_NROW ||
	       __atomic_add_fetch(&l->nasked, 1, __ATOMIC_RELAXED) % each == 0;
}

struct umpa_lack umpa_untouched_leave(const struct space_grant *g, uint32_t nslots)
{
	struct umpa_lack none = {0, 0}, lack = none;
	uint32_t n;

	if (__atomic_load_n(&state()->move_ns, __ATOMIC_RELAXED) < LEFT_MOVE_NS ||
		nslots > LEFT_NSLOTS_MAX || umpa_core.space.locked)
		return none;
	lack.slots = void_slots(g, nslots);
	n = (uint32_t)__builtin_popcountll(lack.slots);
	if (!n || umpa_pool_nslots_about() < n)
		return lack;
	if (!may_leave(n) || !is_next())
		return none;
	lack.is_left = 1;
	__atomic_fetch_add(&state()->nslots, n, __ATOMIC_RELAXED);
	event_add(&umpa_core.events.nslots_from_kernel, n);
	return lack;
}

/* The average of the last some. What is out of all proportion was interrupted. */
void umpa_untouched_note_move(uint64_t ns)
{
	uint32_t before = __atomic_load_n(&state()->move_ns, __ATOMIC_RELAXED);

	if (ns < (uint64_t)100 * LEFT_MOVE_NS)
		__atomic_store_n(&state()->move_ns, before - before / 8 + (uint32_t)ns / 8,
			__ATOMIC_RELAXED);
}

static void learn(int touched)
{
	struct umpa_left_void *l = state();
	uint32_t each = __atomic_load_n(&l->each, __ATOMIC_RELAXED);

	each = each ? each : LEFT_EACH_MIN;
	if (touched) {
		__atomic_store_n(&l->nuntouched, 0, __ATOMIC_RELAXED);
		each = each < LEFT_EACH_MAX ? each * 4 : each;
	} else if (__atomic_load_n(&l->nuntouched, __ATOMIC_RELAXED) < LEFT_NROW) {
		__atomic_fetch_add(&l->nuntouched, 1, __ATOMIC_RELAXED);
		each = each > LEFT_EACH_MIN ? each / 2 : each;
	} else {
		return;
	}
	__atomic_store_n(&l->each, each, __ATOMIC_RELAXED);
}

void umpa_untouched_end(uint32_t nslots, enum umpa_untouched what)
{
	__atomic_fetch_sub(&state()->nslots, nslots, __ATOMIC_RELAXED);
	if (what != LEFT_UNKNOWN)
		learn(what == LEFT_TOUCHED);
}
