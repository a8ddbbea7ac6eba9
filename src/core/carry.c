#include "core/carry.h"

#include <errno.h>

#include "core/clear.h"
#include "core/pool.h"
#include "core/trial.h"
#include "core/untouched.h"

static int move_bytes(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	int error = umpa_mover_move(m, dst, src, nbytes, flags, moved);

	event_add(&umpa_core.events.nmove_calls, 1);
	event_add(&umpa_core.events.nslots_moved, *moved >> SLOT_SHIFT);
	if (error && !*moved)
		event_add(&umpa_core.events.nmoves_refused, 1);
	INVARIANT(*moved <= nbytes);
	return error;
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
	int error = 0;

	*moved = 0;
	while (!error && *moved < nbytes) {
		char *to = dst + *moved;
		size_t left = SLOT_NBYTES - (uintptr_t)to % SLOT_NBYTES, step;

		left = left < nbytes - *moved ? left : nbytes - *moved;
		error = move_bytes(m, to, src + *moved, left, 0, &step);
		if (step)
			(void)*(volatile char *)to;
		*moved += step;
	}
	return error;
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

size_t umpa_carry_move(struct slot dst, struct slot src, uint32_t nslots)
{
	struct umpa_mover *m = umpa_trial_mover();
	char *to = slot_address(dst), *from = slot_address(src);
	size_t nbytes = (size_t)nslots << SLOT_SHIFT, done = 0, moved;
	move_fn *move = move_fn_for(m, nslots);
	int error = 0;

	while (!error && done < nbytes) {
		error = move(m, to + done, from + done, nbytes - done, &moved);
		done += moved;
		if (error == -ENOENT) {
			error = move_sparse(m, to + done, from + done,
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

/* Slots at the beginning are dealt with. */
static void pass(struct space_chunk *c, uint32_t nslots)
{
	c->slot = slot_after(c->slot, nslots);
	c->nslots -= nslots;
}

/*
 * Moves the frames of a chunk to void slots, as many or more, which are passed. A superpage with
 * holes (a block that was freed untouched left it) is not worth moving: it costs the mover fifty
 * times a whole one and can't be a huge page afterwards. It goes to the kernel, and the next one
 * takes its place. So does one for whose place another thread has had a frame meanwhile, and what
 * is left of one that moved in part; and one that refuses to move, with those behind it: then the
 * kernel's fault is to fill the places. Result: what the chunk's slots are now.
 */
static enum umpa_extent_kind fill_from(struct umpa_mover *m, struct space_chunk from,
	struct space_chunk *to, move_fn *move, enum clearing clearing)
{
	int emptied = 1;

	if (clearing == CLEAR_FIRST)
		umpa_clear_frames(slot_address(from.slot), (size_t)from.nslots * SLOT_NPAGES);
	while (from.nslots) {
		size_t moved;
		int error = move(m, slot_address(to->slot), slot_address(from.slot),
			(size_t)from.nslots << SLOT_SHIFT, &moved);
		uint32_t nbegun = slots_of(moved >> PAGE_SHIFT), nrefused;

		if (clearing == CLEAR_LAST)
			umpa_clear_frames(slot_address(to->slot), moved >> PAGE_SHIFT);
		emptied &= unback_from(from.slot, nbegun, moved);
		pass(&from, nbegun);
		pass(to, nbegun);
		if (moved % SLOT_NBYTES || !from.nslots)
			continue;
		nrefused = error == -ENOENT || error == -EEXIST ? 1 : from.nslots;
		emptied &= unback_from(from.slot, nrefused, 0);
		pass(&from, nrefused);
		pass(to, error == -ENOENT ? 0 : nrefused);
	}
	return emptied ? EXTENT_VOID : EXTENT_RESIDENT;
}

/* Chosen before the departure, which is while the pool has a slot to try it with. NULL: the pool is
 * empty. */
static struct umpa_mover *mover_to_fill(void)
{
	return umpa_pool_nslots() ? umpa_trial_mover() : NULL;
}

static uint32_t fill(
	struct umpa_mover *m, struct slot slot, uint32_t nslots, enum clearing clearing)
{
	struct space_chunk chunk[SPACE_NCHUNKS], to = {slot, nslots};
	enum umpa_extent_kind kind[SPACE_NCHUNKS];
	/* Where others may be, a page may be protected by the time it would be looked at. */
	move_fn *move = clearing == CLEAR_FIRST ? move_many : move_fn_for(m, nslots);
	int timed = clearing == NO_CLEARING && !umpa_os_single_threaded();
	uint64_t begin_ns;
	uint32_t nlacking;
	unsigned n = m != NULL;

	while (to.nslots && n) {
		int stuck = 0;

		n = umpa_space_depart(chunk, to.nslots, EXTENT_RESIDENT, to.slot);
		begin_ns = n && timed ? umpa_os_clock_ns() : 0;
		nlacking = to.nslots;
		for (unsigned i = 0; i < n; i++) {
			kind[i] = fill_from(m, chunk[i], &to, move, clearing);
			stuck |= kind[i] == EXTENT_RESIDENT;
		}
		if (begin_ns && to.nslots < nlacking)
			umpa_untouched_note_move((umpa_os_clock_ns() - begin_ns) / n);
		if (n)
			umpa_space_arrive(chunk, kind, n);
		/* What neither moved nor went to the kernel is in the pool again, and would be
		 * taken again. */
		if (stuck)
			break;
	}
	event_add(&umpa_core.events.nslots_from_kernel, to.nslots);
	umpa_pool_asked(to.nslots);
	return to.nslots;
}

uint32_t umpa_carry_fill(struct slot slot, uint32_t nslots, int zero)
{
	return fill(mover_to_fill(), slot, nslots, zero ? CLEAR_LAST : NO_CLEARING);
}

void umpa_carry_fill_in_use(struct slot slot, uint32_t nslots)
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
		       umpa_carry_fill(p->slot, nslots, (flags & UMPA_ZERO) != 0) == 0;
	if (flags & UMPA_ZERO)
		umpa_clear_frames(slot_address(p->slot), npages < (size_t)nslots * SLOT_NPAGES
								 ? npages
								 : (size_t)nslots * SLOT_NPAGES);
	return 1;
}

int umpa_carry_ready(const struct space_grant *g, size_t npages, unsigned flags)
{
	struct slot end = slot_after(g->slot, slots_of(npages));
	int dirty = 0;

	for (unsigned i = 0; i < g->npieces && g->piece[i].slot.i < end.i; i++) {
		size_t before = (size_t)(g->piece[i].slot.i - g->slot.i) * SLOT_NPAGES;

		dirty = ready_piece(&g->piece[i], end, npages - before, flags);
	}
	return dirty;
}

void umpa_carry_to_pool(struct slot slot, uint32_t nslots)
{
	struct space_chunk chunk[SPACE_NCHUNKS];
	enum umpa_extent_kind kind[SPACE_NCHUNKS];
	struct umpa_mover *m = umpa_trial_mover();
	move_fn *move = move_fn_for(m, nslots);
	unsigned n = 1;

	while (nslots && n) {
		n = umpa_space_depart(chunk, nslots, EXTENT_VOID, slot);
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
			umpa_space_arrive(chunk, kind, n);
	}
	if (nslots)
		umpa_clear_by_unback(slot_address(slot), (size_t)nslots * SLOT_NPAGES);
}
