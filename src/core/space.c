#include "core/space.h"

#include <errno.h>
#include <string.h>

#include "core/clear.h"
#include "core/owns.h"
#include "core/recent.h"
#include "core/trial.h"

/* Chunks of pool slots taken under one hold of the lock. */
enum {
	NCHUNKS = 32
};

/* The frontier grows by an eighth of what is open, within these bounds. */
enum {
	GROW_NSLOTS_MIN = 8,
	GROW_NSLOTS_MAX = 512
};

struct chunk {
	struct slot slot;
	uint32_t nslots;
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
	int err;

	if (need > umpa_core.window.nslots - first.i)
		return -ENOMEM;
	err = umpa_window_open(&umpa_core.window, n);
	if (err && n > need) {
		n = need;
		err = umpa_window_open(&umpa_core.window, n);
	}
	if (err)
		return err;
	__atomic_store_n(&s->locked, populated(first), __ATOMIC_RELAXED);
	umpa_extents_grow(&s->extents, n, s->locked ? EXTENT_RESIDENT : EXTENT_VOID);
	s->npooled += s->locked ? n : 0;
	return 0;
}

static int grow_for(struct umpa_space *s, uint32_t nslots, uint32_t align)
{
	uint64_t need = (uint64_t)nslots + align - 1;
	uint32_t have = umpa_extents_at_end(&s->extents, EXTENT_VOID);

	if (need > umpa_core.window.nslots)
		return -ENOMEM;
	/* What was looked for and not found is longer than what is free at the end, but for
	 * alignment. */
	return grow(s, need > have ? (uint32_t)need - have : 1);
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

/* --- what the pool may hold --------------------------------------------------------------- */

int umpa_space_sheds;

static uint32_t nslots_used(const struct umpa_space *s)
{
	return s->extents.nslots - umpa_extents_count(&s->extents, EXTENT_RESIDENT) -
	       umpa_extents_count(&s->extents, EXTENT_VOID);
}

static int is_likely_over(const struct umpa_space *s)
{
	uint32_t npool = umpa_extents_count(&s->extents, EXTENT_RESIDENT);

	if (umpa_core.keep_nslots != UINT32_MAX)
		return npool > umpa_core.keep_nslots;
	return umpa_space_may_shed() && umpa_surplus_is_likely(npool, nslots_used(s));
}

static void give_locked(
	struct umpa_space *s, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	umpa_extents_give(&s->extents, slot, nslots, kind);
	if (kind != EXTENT_RESIDENT)
		return;
	s->npooled += nslots;
	if (unlikely(is_likely_over(s)))
		__atomic_store_n(&s->over, 1, __ATOMIC_RELAXED);
}

/* nslots were handed out that the kernel has to fill. */
static void note_asked(uint32_t nslots)
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

/* --- taking and giving slots -------------------------------------------------------------- */

/* What is in transit counts as used. */
static void count(struct umpa_space *s)
{
	__atomic_store_n(&s->nused, nslots_used(s), __ATOMIC_RELAXED);
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
	int err;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	err = take_locked(s, grant, nslots, align, prefer);
	count(s);
	umpa_lock_give(&s->lock);
	return err;
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

int umpa_space_take_before(
	const struct space_neighbour *n, uint32_t nslots, struct space_grant *grant)
{
	struct umpa_space *s = &umpa_core.space;
	int found = 0;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	for (int kind = EXTENT_NKINDS; !found && kind-- > 0;)
		found = grant_whole(grant,
			umpa_extents_take_end(&s->extents, (enum umpa_extent_kind)kind, nslots,
				has_free_front, n),
			nslots, (enum umpa_extent_kind)kind);
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

int umpa_space_take_behind(const struct space_neighbour *n, uint32_t nslots, int may_grow,
	struct space_grant *grant, unsigned *nback)
{
	struct umpa_space *s = &umpa_core.space;
	const struct look l = {n, nback};
	int found = 0;

	*nback = 0;
	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	for (int kind = EXTENT_NKINDS; !found && kind-- > 0;)
		found = take_begin(s, grant, (enum umpa_extent_kind)kind, nslots, &l);
	if (!found && may_grow && grow_behind(s, nslots, n))
		found = take_begin(s, grant, EXTENT_VOID, nslots, &l);
	umpa_lock_give(&s->lock);
	return found ? 0 : -ENOENT;
}

typedef unsigned take_exact_fn(struct umpa_extents *e, struct slot slot, uint32_t nslots,
	struct umpa_extent_piece *piece, unsigned max);

static int take_exact(
	take_exact_fn *take, struct slot slot, uint32_t nslots, struct space_grant *grant)
{
	struct umpa_space *s = &umpa_core.space;
	uint32_t have;
	int err = 0;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	have = umpa_extents_at_end(&s->extents, EXTENT_VOID);
	if (slot.i + nslots > s->extents.nslots && slot.i >= s->extents.nslots - have)
		err = grow(s, slot.i + nslots - s->extents.nslots);
	*grant = (struct space_grant){.slot = slot, .nslots = nslots};
	if (!err)
		grant->npieces = take(&s->extents, slot, nslots, grant->piece, GRANT_NPIECES_MAX);
	umpa_lock_give(&s->lock);
	return err || !grant->npieces ? -ENOMEM : 0;
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
	int err = 0;

	*nreserved_pages = 0;
	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	if (s->nnursery_used < s->nnursery) {
		*slot = (struct slot){s->nnursery_used};
		__atomic_store_n(&s->nnursery_used, slot->i + 1, __ATOMIC_RELAXED);
		*kind = s->locked ? EXTENT_RESIDENT : EXTENT_VOID;
		*nreserved_pages = slot->i ? 0 : TRIAL_NPAGES;
	} else {
		err = take_locked(s, &g, 1, 1, PREFER_RESIDENT);
		if (!err) {
			*slot = g.slot;
			*kind = g.piece[0].kind;
		}
	}
	umpa_lock_give(&s->lock);
	note_asked(!err && *kind == EXTENT_VOID && slot->i >= s->nnursery);
	return err;
}

void umpa_space_give(struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_lock_take(&s->lock);
	give_locked(s, slot, nslots, kind);
	count(s);
	umpa_lock_give(&s->lock);
}

void umpa_space_give_grant(const struct space_grant *grant)
{
	for (unsigned i = 0; i < grant->npieces; i++)
		umpa_space_give(grant->piece[i].slot, grant->piece[i].nslots, grant->piece[i].kind);
}

/* Takes the frames from the slots of a grant, which will get others. 0, or -errno. */
static int empty(struct space_grant *g)
{
	int err = 0;

	for (unsigned i = 0; !err && i < g->npieces; i++) {
		struct umpa_extent_piece *p = &g->piece[i];

		if (p->kind == EXTENT_RESIDENT)
			err = umpa_os_unback(
				slot_address(p->slot), (size_t)p->nslots << SLOT_SHIFT);
		if (!err)
			p->kind = EXTENT_VOID;
	}
	return err;
}

int umpa_space_take_void(uint32_t nslots, uint32_t align, struct space_grant *grant)
{
	int err = umpa_space_take(nslots, align, PREFER_VOID, grant);

	if (err || !empty(grant))
		return err;
	umpa_space_give_grant(grant);
	return -ENOMEM;
}

uint32_t umpa_space_pool_nslots(void)
{
	struct umpa_space *s = &umpa_core.space;
	uint32_t n;

	umpa_recent_flush();
	umpa_lock_take(&s->lock);
	n = umpa_extents_count(&s->extents, EXTENT_RESIDENT);
	umpa_lock_give(&s->lock);
	return n;
}

/* --- slots in transit --------------------------------------------------------------------- */

/* Takes up to nslots slots of a kind into transit: of those near a slot, or the last ones if that
 * is NO_SLOT. Result: how many chunks they are in. */
static unsigned depart(
	struct chunk *chunk, uint32_t nslots, enum umpa_extent_kind kind, struct slot near)
{
	struct umpa_space *s = &umpa_core.space;
	unsigned n = 0;

	umpa_lock_take(&s->lock);
	for (; n < NCHUNKS && nslots; n++) {
		chunk[n].slot = slot_is(near, NO_SLOT) ? umpa_extents_take_last(&s->extents, kind,
								 nslots, &chunk[n].nslots)
						       : umpa_extents_take_near(&s->extents, kind,
								 near, nslots, &chunk[n].nslots);
		if (!chunk[n].nslots)
			break;
		nslots -= chunk[n].nslots;
	}
	s->ntransit += n > 0;
	umpa_lock_give(&s->lock);
	if (n)
		umpa_rank_enter(LOCK_TRANSIT);
	return n;
}

/* Ends the transit: each chunk is given as the kind that its place in kind[] says. */
static void arrive(const struct chunk *chunk, const enum umpa_extent_kind *kind, unsigned n)
{
	struct umpa_space *s = &umpa_core.space;

	umpa_lock_take(&s->lock);
	for (unsigned i = 0; i < n; i++)
		give_locked(s, chunk[i].slot, chunk[i].nslots, kind[i]);
	s->ntransit--;
	umpa_lock_give(&s->lock);
	umpa_rank_leave(LOCK_TRANSIT);
}

static int move_bytes(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	int err = umpa_mover_move(m, dst, src, nbytes, flags, moved);

	event_add(&umpa_core.events.nmove_calls, 1);
	event_add(&umpa_core.events.nslots_moved, *moved >> SLOT_SHIFT);
	if (err && !*moved)
		event_add(&umpa_core.events.nmoves_refused, 1);
	INVARIANT(*moved <= nbytes);
	return err;
}

/*
 * Where the host keeps shadow page tables (a virtual machine without nested paging), up to so
 * many superpages are moved one by one, and each is looked at. Linux's KVM takes the third write in
 * a row to the entries of a directory, with no page fault of its own in between, for a flood, and
 * forgets all that the directory maps: each superpage of that GiB in use then costs 8 us when it is
 * touched next. A move is two writes, and the fault that looking costs would come with the first
 * touch anyway. Where more move, to have all forgotten once is cheaper.
 * (A ring of blocks of 4 KiB to 8 MiB, where 7 % of superpages move: 1.3 times what touching costs
 * instead of 2.3; 8 to 64 MiB, where 15 % do: 1.5 instead of 2.4.)
 */
enum {
	ONE_BY_ONE_NSLOTS_MAX = 64
};

typedef int move_fn(struct umpa_mover *m, char *dst, char *src, size_t nbytes, size_t *moved);

static int move_few(struct umpa_mover *m, char *dst, char *src, size_t nbytes, size_t *moved)
{
	int err = 0;

	*moved = 0;
	while (!err && *moved < nbytes) {
		char *to = dst + *moved;
		size_t left = SLOT_NBYTES - (uintptr_t)to % SLOT_NBYTES, step;

		left = left < nbytes - *moved ? left : nbytes - *moved;
		err = move_bytes(m, to, src + *moved, left, 0, &step);
		if (step)
			(void)*(volatile char *)to;
		*moved += step;
	}
	return err;
}

static int move_many(struct umpa_mover *m, char *dst, char *src, size_t nbytes, size_t *moved)
{
	return move_bytes(m, dst, src, nbytes, 0, moved);
}

/* How to move if there are nslots to move on the whole. */
static move_fn *move_fn_for(const struct umpa_mover *m, uint32_t nslots)
{
	return m && m->shadowed && nslots <= ONE_BY_ONE_NSLOTS_MAX ? move_few : move_many;
}

/*
 * Goes on where a move has met a page without frame, nbytes before the end of its slot. A slot that
 * is bare is left out: moving holes costs the mover fifty times a whole superpage and leaves page
 * tables at both ends, where no huge page can be afterwards.
 */
static int move_sparse(struct umpa_mover *m, char *dst, char *src, size_t nbytes, size_t *moved)
{
	if (nbytes == SLOT_NBYTES && !umpa_os_bare(src, SLOT_NPAGES)) {
		*moved = nbytes;
		return 0;
	}
	return move_bytes(m, dst, src, nbytes, UMPA_MOVE_HOLES, moved);
}

size_t umpa_space_move(struct slot dst, struct slot src, uint32_t nslots)
{
	struct umpa_mover *m = umpa_trial_mover();
	char *to = slot_address(dst), *from = slot_address(src);
	size_t nbytes = (size_t)nslots << SLOT_SHIFT, done = 0, moved;
	move_fn *move = move_fn_for(m, nslots);
	int err = 0;

	while (!err && done < nbytes) {
		err = move(m, to + done, from + done, nbytes - done, &moved);
		done += moved;
		if (err == -ENOENT) {
			err = move_sparse(m, to + done, from + done,
				SLOT_NBYTES - done % SLOT_NBYTES, &moved);
			done += moved;
		}
	}
	return done;
}

/* Takes away the frames of [slot, slot + nslots) from byte `from` on. Result: 1, or 0 if the system
 * refuses. */
static int unback_from(struct slot slot, uint32_t nslots, size_t from)
{
	size_t nbytes = ((size_t)nslots << SLOT_SHIFT) - from;

	return !nbytes || !umpa_os_unback((char *)slot_address(slot) + from, nbytes);
}

/* When frames on the way to void slots are cleared. */
enum clearing {
	NO_CLEARING,
	CLEAR_FIRST, /* before they move */
	CLEAR_LAST   /* after, which spares those that don't move */
};

/*
 * Moves the frames of a chunk to the void slots at *slot, which is advanced, of which *nslots are
 * left to fill. A superpage with holes (a block that was freed untouched left it) is not worth
 * moving: it costs the mover fifty times a whole one and can't be a huge page afterwards. It goes
 * to the kernel, and the next one takes its place. So does one for whose place another thread has
 * had a frame meanwhile; and one that refuses to move, with those behind it, but then the kernel's
 * fault is to fill the places. Result: what the chunk's slots are now.
 */
static enum umpa_extent_kind fill_from(struct umpa_mover *m, const struct chunk *c,
	struct slot *slot, uint32_t *nslots, move_fn *move, enum clearing clearing)
{
	uint32_t done = 0;
	int emptied = 1;

	if (clearing == CLEAR_FIRST)
		umpa_clear_frames(slot_address(c->slot), (size_t)c->nslots * SLOT_NPAGES);
	while (done < c->nslots) {
		size_t moved;
		int err = move(m, slot_address(*slot), slot_address(slot_after(c->slot, done)),
			(size_t)(c->nslots - done) << SLOT_SHIFT, &moved);
		uint32_t nmoved = (uint32_t)((moved + SLOT_NBYTES - 1) >> SLOT_SHIFT);
		int is_one = err == -ENOENT || err == -EEXIST;
		uint32_t nleft = is_one ? 1 : c->nslots - done - nmoved;

		if (clearing == CLEAR_LAST)
			umpa_clear_frames(slot_address(*slot), moved >> PAGE_SHIFT);
		if (moved % SLOT_NBYTES)
			emptied &= unback_from(slot_after(c->slot, done), nmoved, moved);
		else if (nleft && done + nmoved < c->nslots) {
			emptied &= unback_from(slot_after(c->slot, done + nmoved), nleft, 0);
			done += nleft;
			*slot = slot_after(*slot, err == -ENOENT ? 0 : nleft);
			*nslots -= err == -ENOENT ? 0 : nleft;
		}
		done += nmoved;
		*slot = slot_after(*slot, nmoved);
		*nslots -= nmoved;
	}
	return emptied ? EXTENT_VOID : EXTENT_RESIDENT;
}

/* Chosen before the departure, which is while the pool has a slot to try it with. NULL: the pool is
 * empty. */
static struct umpa_mover *mover_to_fill(void)
{
	return umpa_space_pool_nslots() ? umpa_trial_mover() : NULL;
}

static uint32_t fill(
	struct umpa_mover *m, struct slot slot, uint32_t nslots, enum clearing clearing)
{
	struct chunk chunk[NCHUNKS];
	enum umpa_extent_kind kind[NCHUNKS];
	/* Where others may be, a page may be protected by the time it would be looked at. */
	move_fn *move = clearing == CLEAR_FIRST ? move_many : move_fn_for(m, nslots);
	unsigned n = m != NULL;

	while (nslots && n) {
		int stuck = 0;

		n = depart(chunk, nslots, EXTENT_RESIDENT, slot);
		for (unsigned i = 0; i < n; i++) {
			kind[i] = fill_from(m, &chunk[i], &slot, &nslots, move, clearing);
			stuck |= kind[i] == EXTENT_RESIDENT;
		}
		if (n)
			arrive(chunk, kind, n);
		/* What neither moved nor went to the kernel is in the pool again, and would be
		 * taken again. */
		if (stuck)
			break;
	}
	event_add(&umpa_core.events.nslots_from_kernel, nslots);
	note_asked(nslots);
	return nslots;
}

uint32_t umpa_space_fill(struct slot slot, uint32_t nslots, int zero)
{
	return fill(mover_to_fill(), slot, nslots, zero ? CLEAR_LAST : NO_CLEARING);
}

void umpa_space_fill_in_use(struct slot slot, uint32_t nslots)
{
	struct umpa_mover *m = mover_to_fill();

	fill(m && m->one_step ? m : NULL, slot, nslots, CLEAR_FIRST);
}

/* Makes [from, to) of the slots of a piece ready: frames from the pool if it is void, zero if
 * asked. Result: 1 if what is at the end may not be zero. */
static int ready_piece(
	const struct umpa_extent_piece *p, struct slot end, size_t npages, unsigned flags)
{
	uint32_t nslots = p->slot.i >= end.i ? 0 : end.i - p->slot.i;

	nslots = nslots < p->nslots ? nslots : p->nslots;
	if (!nslots)
		return 0;
	if (p->kind == EXTENT_VOID)
		return !(flags & UMPA_NOBACK) &&
		       umpa_space_fill(p->slot, nslots, (flags & UMPA_ZERO) != 0) == 0;
	if (flags & UMPA_ZERO)
		umpa_clear_frames(slot_address(p->slot), npages < (size_t)nslots * SLOT_NPAGES
								 ? npages
								 : (size_t)nslots * SLOT_NPAGES);
	return 1;
}

int umpa_space_ready(const struct space_grant *g, size_t npages, unsigned flags)
{
	struct slot end = slot_after(g->slot, slots_of(npages));
	int dirty = 0;

	for (unsigned i = 0; i < g->npieces && g->piece[i].slot.i < end.i; i++) {
		size_t before = (size_t)(g->piece[i].slot.i - g->slot.i) * SLOT_NPAGES;

		dirty = ready_piece(&g->piece[i], end, npages - before, flags);
	}
	return dirty;
}

void umpa_space_take_frames(struct slot slot, uint32_t nslots)
{
	struct chunk chunk[NCHUNKS];
	enum umpa_extent_kind kind[NCHUNKS];
	struct umpa_mover *m = umpa_trial_mover();
	move_fn *move = move_fn_for(m, nslots);
	unsigned n = 1;

	while (nslots && n) {
		n = depart(chunk, nslots, EXTENT_VOID, slot);
		for (unsigned i = 0; i < n; i++) {
			size_t npages = (size_t)chunk[i].nslots * SLOT_NPAGES, moved;

			(void)!move(m, slot_address(chunk[i].slot), slot_address(slot),
				(size_t)chunk[i].nslots << SLOT_SHIFT, &moved);
			kind[i] = moved ? EXTENT_RESIDENT : EXTENT_VOID;
			if (moved >> PAGE_SHIFT < npages)
				umpa_clear_by_unback((char *)slot_address(slot) + moved,
					npages - (moved >> PAGE_SHIFT));
			slot = slot_after(slot, chunk[i].nslots);
			nslots -= chunk[i].nslots;
		}
		if (n)
			arrive(chunk, kind, n);
	}
	if (nslots)
		umpa_clear_by_unback(slot_address(slot), (size_t)nslots * SLOT_NPAGES);
}

/* --- giving back to the kernel ------------------------------------------------------------ */

static uint32_t surplus(uint32_t keep_nslots, uint32_t max_nslots)
{
	uint32_t have = umpa_space_pool_nslots();

	if (have <= keep_nslots)
		return 0;
	return have - keep_nslots < max_nslots ? have - keep_nslots : max_nslots;
}

uint32_t umpa_space_trim(uint32_t keep_nslots, uint32_t max_nslots)
{
	struct chunk chunk[NCHUNKS];
	enum umpa_extent_kind kind[NCHUNKS];
	uint32_t ntrimmed = 0, nrefused = 0;
	unsigned n = depart(chunk, surplus(keep_nslots, max_nslots), EXTENT_RESIDENT, NO_SLOT);

	for (unsigned i = 0; i < n; i++) {
		int gone = unback_from(chunk[i].slot, chunk[i].nslots, 0);

		kind[i] = gone ? EXTENT_VOID : EXTENT_RESIDENT;
		*(gone ? &ntrimmed : &nrefused) += chunk[i].nslots;
	}
	if (n) {
		arrive(chunk, kind, n);
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
	n = umpa_surplus_keep(&s->surplus, ntaken, npool, nslots_used(s), now_ns);
	umpa_lock_give(&s->lock);
	return n;
}

static void give_surplus(struct umpa_space *s)
{
	uint32_t keep_nslots;

	__atomic_store_n(&s->over, 0, __ATOMIC_RELAXED);
	keep_nslots = nslots_to_keep(s);
	while (umpa_space_trim(keep_nslots, KEEP_STEP_NSLOTS))
		;
}

void umpa_space_keep_limit(void)
{
	struct umpa_space *s = &umpa_core.space;

	if (unlikely(__atomic_load_n(&s->over, __ATOMIC_RELAXED)))
		give_surplus(s);
}
