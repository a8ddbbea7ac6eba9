#include "core/pool.h"

#include "core/recent.h"
#include "core/space.h"

int umpa_pool_sheds;

/* --- what was wanted ---------------------------------------------------------------------- */

static int is_likely_over(const struct umpa_space *s)
{
	uint32_t npool = umpa_extents_count(&s->extents, EXTENT_RESIDENT);

	if (umpa_core.keep_nslots != UINT32_MAX)
		return npool > umpa_core.keep_nslots;
	return umpa_pool_may_shed() && umpa_surplus_is_likely(npool, umpa_space_nslots_used(s));
}

void umpa_pool_look(struct umpa_space *s)
{
	if (unlikely(is_likely_over(s)))
		__atomic_store_n(&s->over, 1, __ATOMIC_RELAXED);
}

void umpa_pool_asked(uint32_t nslots)
{
	struct umpa_space *s = &umpa_core.space;
	uint64_t now_ns;

	if (nslots)
		__atomic_store_n(&s->grown, 1, __ATOMIC_RELAXED);
	if (likely(!nslots || !__atomic_load_n(&s->has_given, __ATOMIC_RELAXED)))
		return;
	now_ns = umpa_os_clock_ns();
	umpa_lock_take(&s->lock);
	umpa_surplus_asked(&s->surplus, nslots, now_ns);
	__atomic_store_n(&s->has_given, s->surplus.ngiven != 0, __ATOMIC_RELAXED);
	umpa_lock_give(&s->lock);
}

/* Of the pool nslots went to the kernel, and nrefused came back. */
static void note_given(uint32_t nslots, uint32_t nrefused)
{
	struct umpa_space *s = &umpa_core.space;
	uint64_t now_ns = umpa_os_clock_ns();

	umpa_lock_take(&s->lock);
	s->npooled -= nrefused;
	umpa_surplus_given(&s->surplus, nslots, now_ns);
	__atomic_store_n(&s->has_given, s->surplus.ngiven != 0, __ATOMIC_RELAXED);
	umpa_lock_give(&s->lock);
}

uint32_t umpa_pool_nslots(void)
{
	struct umpa_space *s = &umpa_core.space;
	uint32_t n;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	n = umpa_extents_count(&s->extents, EXTENT_RESIDENT);
	umpa_lock_give(&s->lock);
	return n;
}

/* --- giving back to the kernel ------------------------------------------------------------ */

static uint32_t surplus(uint32_t keep_nslots, uint32_t max_nslots)
{
	uint32_t have = umpa_pool_nslots();

	if (have <= keep_nslots)
		return 0;
	return have - keep_nslots < max_nslots ? have - keep_nslots : max_nslots;
}

uint32_t umpa_pool_trim(uint32_t keep_nslots, uint32_t max_nslots)
{
	struct space_chunk chunk[SPACE_NCHUNKS];
	enum umpa_extent_kind kind[SPACE_NCHUNKS];
	uint32_t ntrimmed = 0, nrefused = 0;
	unsigned n = umpa_space_depart(
		chunk, surplus(keep_nslots, max_nslots), EXTENT_RESIDENT, NO_SLOT);

	for (unsigned i = 0; i < n; i++) {
		int gone = !umpa_os_unback(
			slot_address(chunk[i].slot), (size_t)chunk[i].nslots << SLOT_SHIFT);

		kind[i] = gone ? EXTENT_VOID : EXTENT_RESIDENT;
		*(gone ? &ntrimmed : &nrefused) += chunk[i].nslots;
	}
	if (n) {
		umpa_space_arrive(chunk, kind, n);
		note_given(ntrimmed, nrefused);
	}
	event_add(&umpa_core.events.trimmed_nbytes, (uint64_t)ntrimmed << SLOT_SHIFT);
	return ntrimmed;
}

/* Pool slots given back in one go where the pool may not grow (option keep). */
enum {
	KEEP_STEP_NSLOTS = 64
};

static uint32_t nslots_to_keep(struct umpa_space *s)
{
	uint64_t now_ns, ntaken;
	uint32_t n, npool;

	if (umpa_core.keep_nslots != UINT32_MAX)
		return umpa_core.keep_nslots;
	umpa_recent_flush();
	ntaken = umpa_recent_nslots_taken();
	now_ns = umpa_os_clock_ns();
	umpa_lock_take(&s->lock);
	npool = umpa_extents_count(&s->extents, EXTENT_RESIDENT);
	ntaken += s->npooled - npool;
	n = umpa_surplus_keep(&s->surplus, ntaken, npool, umpa_space_nslots_used(s), now_ns);
	umpa_lock_give(&s->lock);
	return n;
}

void umpa_pool_give_surplus(void)
{
	struct umpa_space *s = &umpa_core.space;
	uint32_t keep_nslots;

	__atomic_store_n(&s->over, 0, __ATOMIC_RELAXED);
	keep_nslots = nslots_to_keep(s);
	while (umpa_pool_trim(keep_nslots, KEEP_STEP_NSLOTS))
		;
}
