#include "core/space.h"

#include <errno.h>
#include <string.h>

#include "core/owns.h"
#include "core/pool.h"
#include "core/recent.h"
#include "core/trial.h"
#include "core/untouched.h"

/* The frontier grows by an eighth of what is open, within these bounds. */
enum {
	GROW_NSLOTS_MIN = 8,
	GROW_NSLOTS_MAX = 512
};

void umpa_space_init(struct umpa_space *s, struct umpa_extent *tags)
{
	memset(s, 0, sizeof(*s));
	umpa_lock_init(&s->lock, LOCK_SPACE);
	umpa_extents_init(&s->extents, tags);
	umpa_surplus_init(&s->surplus, umpa_os_clock_ns());
	s->extents.origin = (uint32_t)(umpa_core.window.base >> SLOT_SHIFT);
}

/* --- the frontier ------------------------------------------------------------------------- */

/* Memory that mlockall() holds is populated when it is opened. */
static int populated(struct slot slot)
{
	unsigned char here = 0;

	return !umpa_os_resident(slot_address(slot), 1, &here) && (here & 1);
}

static uint32_t growth(const struct umpa_space *s, uint32_t need)
{
	const struct umpa_window *w = &umpa_core.window;
	uint32_t n = w->nslots_open / 8;

	if (umpa_core.machine.strict_commit || s->locked)
		return need;
	n = n < GROW_NSLOTS_MIN ? GROW_NSLOTS_MIN : n > GROW_NSLOTS_MAX ? GROW_NSLOTS_MAX : n;
	n = n < need ? need : n;
	return n < w->nslots - w->nslots_open ? n : w->nslots - w->nslots_open;
}

/* Opens at least `need` slots more, as free void slots at the end. */
static int grow(struct umpa_space *s, uint32_t need)
{
	struct slot first = {umpa_core.window.nslots_open};
	uint32_t n = growth(s, need);
	int error;

	if (need > umpa_core.window.nslots - first.i)
		return -ENOMEM;
	error = umpa_window_open(&umpa_core.window, n);
	if (error && n > need) {
		n = need;
		error = umpa_window_open(&umpa_core.window, n);
	}
	if (error)
		return error;
	__atomic_store_n(&s->locked, populated(first), __ATOMIC_RELAXED);
	umpa_extents_grow(&s->extents, n, s->locked ? EXTENT_RESIDENT : EXTENT_VOID);
	s->npooled += s->locked ? n : 0;
	return 0;
}

static int grow_for(struct umpa_space *s, uint32_t nslots, uint32_t align)
{
	uint32_t need = nslots + align - 1, have = umpa_extents_at_end(&s->extents, EXTENT_VOID);

	/* What was looked for and not found is longer than what is free at the end, but for
	 * alignment. */
	return grow(s, need > have ? need - have : 1);
}

/* Pointers are told from the bounds, so these go first: the addresses may be anybody's at once. */
static void narrow(struct umpa_space *s, uint32_t nslots)
{
	struct umpa_window *w = &umpa_core.window;

	__atomic_store_n(&umpa_bounds.nbytes, (size_t)nslots << SLOT_SHIFT, __ATOMIC_RELEASE);
	umpa_window_narrow(w, nslots, s->extents.nslots);
}

void umpa_space_narrow(uint32_t nslots)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	umpa_extents_shrink(&s->extents, nslots);
	if (nslots < s->extents.nslots)
		nslots = s->extents.nslots;
	if (nslots < umpa_core.window.nslots)
		narrow(s, nslots);
	umpa_lock_give(&s->lock);
}

/* --- taking and giving slots -------------------------------------------------------------- */

static void give_locked(
	struct umpa_space *s, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	umpa_extents_give(&s->extents, slot, nslots, kind);
	if (kind != EXTENT_RESIDENT)
		return;
	s->npooled += nslots;
	umpa_pool_look(s);
}

/* What is in transit counts as used. */
static void count(struct umpa_space *s)
{
	__atomic_store_n(&s->nused, umpa_space_nslots_used(s), __ATOMIC_RELAXED);
	__atomic_store_n(
		&s->npool, umpa_extents_count(&s->extents, EXTENT_RESIDENT), __ATOMIC_RELAXED);
}

static int grant_whole(
	struct space_grant *g, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	if (slot_is(slot, NO_SLOT))
		return 0;
	g->slot = slot;
	g->nslots = nslots;
	g->npieces = 1;
	g->piece[0] = (struct umpa_extent_piece){slot, nslots, kind};
	return 1;
}

static int take_mixed(struct umpa_space *s, struct space_grant *g, uint32_t nslots)
{
	g->nslots = nslots;
	g->npieces = umpa_extents_take_mixed(&s->extents, nslots, g->piece, GRANT_NPIECES_MAX);
	if (!g->npieces)
		return 0;
	g->slot = g->piece[0].slot;
	return 1;
}

static int take_kind(struct umpa_space *s, struct space_grant *g, uint32_t nslots, uint32_t align,
	enum umpa_extent_kind kind)
{
	return grant_whole(g, umpa_extents_take(&s->extents, kind, nslots, align), nslots, kind);
}

static int take_locked(struct umpa_space *s, struct space_grant *g, uint32_t nslots, uint32_t align,
	enum space_prefer prefer)
{
	if (prefer == PREFER_RESIDENT) {
		if (take_kind(s, g, nslots, align, EXTENT_RESIDENT))
			return 0;
		if (align == 1 && take_mixed(s, g, nslots))
			return 0;
	}
	if (take_kind(s, g, nslots, align, EXTENT_VOID))
		return 0;
	if (!grow_for(s, nslots, align) && (take_kind(s, g, nslots, align, EXTENT_VOID) ||
						   take_kind(s, g, nslots, align, EXTENT_RESIDENT)))
		return 0;
	/* The window has no more: whatever is left will do. */
	if (prefer == PREFER_VOID && take_kind(s, g, nslots, align, EXTENT_RESIDENT))
		return 0;
	return align == 1 && take_mixed(s, g, nslots) ? 0 : -ENOMEM;
}

int umpa_space_take(
	uint32_t nslots, uint32_t align, enum space_prefer prefer, struct space_grant *grant)
{
	struct umpa_space *s = &umpa_core.space;
	int error;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	error = take_locked(s, grant, nslots, align, prefer);
	count(s);
	umpa_lock_give(&s->lock);
	return error;
}

static int is_like(const struct space_neighbour *n, struct slot slot)
{
	return slot_use(slot) == n->use && (n->shard == ANY_SHARD || slot_shard(slot) == n->shard);
}

static int has_free_front(struct slot slot, const void *arg)
{
	const struct space_neighbour *n = arg;

	return is_like(n, slot) &&
	       __atomic_load_n(&umpa_core.map[slot.i].nfront, __ATOMIC_RELAXED) >= n->npages;
}

/* What may be taken beside others' pages. While nothing is moved to void slots (untouched.h), these
 * are left alone: they would come back as resident, and new ones be opened for the next. */
static int least_kind(void)
{
	return umpa_untouched_all_left() ? EXTENT_RESIDENT : EXTENT_VOID;
}

static int take_before(struct umpa_space *s, const struct space_neighbour *n, uint32_t nslots,
	struct space_grant *grant)
{
	int found = 0, least = least_kind();

	for (int kind = EXTENT_NKINDS; !found && kind-- > least;)
		found = grant_whole(grant,
			umpa_extents_take_end(&s->extents, (enum umpa_extent_kind)kind, nslots,
				has_free_front, n),
			nslots, (enum umpa_extent_kind)kind);
	return found;
}

int umpa_space_take_before(
	const struct space_neighbour *n, uint32_t nslots, struct space_grant *grant)
{
	struct umpa_space *s = &umpa_core.space;
	int found;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	found = take_before(s, n, nslots, grant);
	umpa_lock_give(&s->lock);
	return found ? 0 : -ENOENT;
}

static unsigned free_back(const struct space_neighbour *n, struct slot slot)
{
	return is_like(n, slot) ? __atomic_load_n(&umpa_core.map[slot.i].nback, __ATOMIC_RELAXED)
				: 0;
}

/* A neighbour that is wanted, and how much of the back of the last one looked at was free: read
 * once, as others may be changing it. */
struct look {
	const struct space_neighbour *wanted;
	unsigned *nback;
};

static int has_free_back(struct slot slot, const void *arg)
{
	const struct look *l = arg;

	*l->nback = free_back(l->wanted, slot);
	return *l->nback >= l->wanted->npages;
}

static int take_begin(struct umpa_space *s, struct space_grant *grant, enum umpa_extent_kind kind,
	uint32_t nslots, const struct look *l)
{
	return grant_whole(grant,
		umpa_extents_take_begin(&s->extents, kind, nslots, has_free_back, l), nslots, kind);
}

/* Where the last slots are free, too few, and behind such a back: opens what is missing. 1 if done.
 */
static int grow_behind(struct umpa_space *s, uint32_t nslots, const struct space_neighbour *n)
{
	uint32_t have = umpa_extents_at_end(&s->extents, EXTENT_VOID);
	uint32_t first = s->extents.nslots - have;

	return have < nslots && first && free_back(n, (struct slot){first - 1}) >= n->npages &&
	       !grow(s, nslots - have);
}

static int take_behind(struct umpa_space *s, const struct space_neighbour *n, uint32_t nslots,
	int may_grow, struct space_grant *grant, unsigned *nback)
{
	const struct look l = {n, nback};
	int found = 0, least = least_kind();

	*nback = 0;
	for (int kind = EXTENT_NKINDS; !found && kind-- > least;)
		found = take_begin(s, grant, (enum umpa_extent_kind)kind, nslots, &l);
	if (!found && may_grow && least == EXTENT_VOID && grow_behind(s, nslots, n))
		found = take_begin(s, grant, EXTENT_VOID, nslots, &l);
	return found;
}

int umpa_space_take_behind(const struct space_neighbour *n, uint32_t nslots, int may_grow,
	struct space_grant *grant, unsigned *nback)
{
	struct umpa_space *s = &umpa_core.space;
	int found;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	found = take_behind(s, n, nslots, may_grow, grant, nback);
	umpa_lock_give(&s->lock);
	return found ? 0 : -ENOENT;
}

static enum space_place take_place(struct umpa_space *s, const struct space_wish *w,
	struct space_grant *grant, unsigned *nback)
{
	const struct space_neighbour all = {SLOT_SHELF, ANY_SHARD, w->over};
	const struct space_neighbour some = {SLOT_SHELF, ANY_SHARD, w->least};

	if (w->over && w->before && take_before(s, &all, w->nslots - 1, grant))
		return PLACE_BEFORE;
	if (w->over && w->behind &&
		(take_behind(s, &all, w->nslots - 1, w->may_grow, grant, nback) ||
			take_behind(s, &some, w->nslots, 0, grant, nback)))
		return PLACE_BEHIND;
	return take_locked(s, grant, w->nslots, w->align, PREFER_RESIDENT) ? PLACE_NOWHERE
									   : PLACE_OWN;
}

enum space_place umpa_space_take_place(
	const struct space_wish *w, struct space_grant *grant, unsigned *nback)
{
	struct umpa_space *s = &umpa_core.space;
	enum space_place place;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	place = take_place(s, w, grant, nback);
	count(s);
	umpa_lock_give(&s->lock);
	return place;
}

typedef unsigned take_exact_fn(struct umpa_extents *e, struct slot slot, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max);

static int take_exact(
	take_exact_fn *take, struct slot slot, uint32_t nslots, struct space_grant *grant)
{
	struct umpa_space *s = &umpa_core.space;
	uint32_t have;
	int error = 0;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	have = umpa_extents_at_end(&s->extents, EXTENT_VOID);
	if (slot.i + nslots > s->extents.nslots && slot.i >= s->extents.nslots - have)
		error = grow(s, slot.i + nslots - s->extents.nslots);
	*grant = (struct space_grant){.slot = slot, .nslots = nslots};
	if (!error)
		grant->npieces = take(&s->extents, slot, nslots, grant->piece, GRANT_NPIECES_MAX);
	umpa_lock_give(&s->lock);
	return error || !grant->npieces ? -ENOMEM : 0;
}

int umpa_space_take_at(struct slot slot, uint32_t nslots, struct space_grant *grant)
{
	return take_exact(umpa_extents_take_at, slot, nslots, grant);
}

int umpa_space_take_inside(struct slot slot, uint32_t nslots, struct space_grant *grant)
{
	return take_exact(umpa_extents_take_inside, slot, nslots, grant);
}

int umpa_space_take_for_shelf(
	struct slot *slot, enum umpa_extent_kind *kind, unsigned *nreserved_pages)
{
	struct umpa_space *s = &umpa_core.space;
	struct space_grant g;
	int error = 0;

	*nreserved_pages = 0;
	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	if (s->nnursery_used < s->nnursery) {
		*slot = (struct slot){s->nnursery_used};
		__atomic_store_n(&s->nnursery_used, slot->i + 1, __ATOMIC_RELAXED);
		*kind = s->locked ? EXTENT_RESIDENT : EXTENT_VOID;
		*nreserved_pages = slot->i ? 0 : TRIAL_NPAGES;
	} else {
		error = take_locked(s, &g, 1, 1, PREFER_RESIDENT);
		if (!error) {
			*slot = g.slot;
			*kind = g.piece[0].kind;
		}
	}
	umpa_lock_give(&s->lock);
	umpa_pool_asked(!error && *kind == EXTENT_VOID && slot->i >= s->nnursery);
	return error;
}

void umpa_space_give_pieces(const struct umpa_extent_piece *piece, unsigned n)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_lock_take(&s->lock);
	for (unsigned i = 0; i < n; i++)
		give_locked(s, piece[i].slot, piece[i].nslots, piece[i].kind);
	count(s);
	umpa_lock_give(&s->lock);
}

void umpa_space_give(struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	const struct umpa_extent_piece piece = {slot, nslots, kind};

	umpa_space_give_pieces(&piece, 1);
}

void umpa_space_give_grant(const struct space_grant *grant)
{
	umpa_space_give_pieces(grant->piece, grant->npieces);
}

int umpa_space_empty(struct space_grant *g)
{
	int error = 0;

	for (unsigned i = 0; !error && i < g->npieces; i++) {
		struct umpa_extent_piece *p = &g->piece[i];

		if (p->kind == EXTENT_RESIDENT)
			error = umpa_os_unback(
				slot_address(p->slot), (size_t)p->nslots << SLOT_SHIFT);
		if (!error)
			p->kind = EXTENT_VOID;
	}
	return error;
}

int umpa_space_take_void(uint32_t nslots, uint32_t align, struct space_grant *grant)
{
	int error = umpa_space_take(nslots, align, PREFER_VOID, grant);

	if (error || !umpa_space_empty(grant))
		return error;
	umpa_space_give_grant(grant);
	return -ENOMEM;
}

/* --- slots in transit --------------------------------------------------------------------- */

/* A fork waits for those in transit: where others went on departing it might for ever. */
static void let_rest(struct umpa_space *s)
{
	for (unsigned i = 0; unlikely(s->nresting); i++) {
		uint32_t nresting = s->nresting;

		umpa_lock_give(&s->lock);
		umpa_lock_pause(&s->nresting, nresting, i);
		umpa_lock_take(&s->lock);
	}
}

unsigned umpa_space_depart(
	struct space_chunk *chunk, uint32_t nslots, enum umpa_extent_kind kind, struct slot near)
{
	struct umpa_space *s = &umpa_core.space;
	unsigned n = 0;

	umpa_lock_take(&s->lock);
	let_rest(s);
	for (; n < SPACE_NCHUNKS && nslots; n++) {
		chunk[n].slot = slot_is(near, NO_SLOT) ? umpa_extents_take_last(&s->extents, kind,
								 nslots, &chunk[n].nslots)
						       : umpa_extents_take_near(&s->extents, kind,
								 near, nslots, &chunk[n].nslots);
		if (!chunk[n].nslots)
			break;
		nslots -= chunk[n].nslots;
	}
	if (n) {
		s->ntransit++;
		umpa_critical_enter();
	}
	umpa_lock_give(&s->lock);
	if (n)
		umpa_rank_enter(LOCK_TRANSIT);
	return n;
}

void umpa_space_arrive(
	const struct space_chunk *chunk, const enum umpa_extent_kind *kind, unsigned n)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_lock_take(&s->lock);
	for (unsigned i = 0; i < n; i++)
		give_locked(s, chunk[i].slot, chunk[i].nslots, kind[i]);
	s->ntransit--;
	umpa_lock_give(&s->lock);
	umpa_rank_leave(LOCK_TRANSIT);
	umpa_critical_leave();
}
