/* Rewiring: what may be moved, and which part of it by whom. */
#include <errno.h>
#include <umpa/rewire.h>

#include "core/block.h"
#include "core/pool.h"
#include "rewire/bytes.h"
#include "rewire/frames.h"

/* A way to bring content from one place to another. */
struct way {
	uint32_t (*frames)(struct slot dst, struct slot src, uint32_t nslots);
	void (*bytes)(char *dst, char *src, size_t npages);
	void (*odd_bytes)(char *dst, char *src, size_t npages);
};

static const struct way way_move = {umpa_frames_move, umpa_bytes_move, umpa_bytes_move_odd};
static const struct way way_swap = {umpa_frames_swap, umpa_bytes_swap, umpa_bytes_swap_odd};

/* The blocks that an op's ranges lie in. */
struct ends {
	struct umpa_block dst, src;
};

/* --- what an op may be -------------------------------------------------------------------- */

static int overlap(const struct umpa_move_op *op)
{
	uintptr_t dst = (uintptr_t)op->dst, src = (uintptr_t)op->src;

	return dst - src < op->nbytes || src - dst < op->nbytes;
}

/* The block that holds the range: the one found for the op before, or another. All of the range can
 * be read and written, or it is refused. */
static int find(const void *addr, size_t nbytes, struct umpa_block *b)
{
	if (!umpa_block_holds(b, addr, nbytes) && umpa_block_of_range(addr, nbytes, b))
		return -EINVAL;
	return umpa_block_pages(b, addr, nbytes) == PAGES_CLOSED ? -EINVAL : 0;
}

/* 0, or -EINVAL. *ends: those of an op before, or of none (all 0). */
static int check(const struct umpa_move_op *op, struct ends *ends)
{
	uintptr_t all = (uintptr_t)op->dst | (uintptr_t)op->src | op->nbytes;

	if (!op->nbytes)
		return 0;
	if (all % PAGE_NBYTES || overlap(op) || find(op->dst, op->nbytes, &ends->dst))
		return -EINVAL;
	return find(op->src, op->nbytes, &ends->src);
}

/* --- carrying it out ---------------------------------------------------------------------- */

/*
 * Slots that refuse are copied. After one has, slots are tried one by one, and more as they move
 * again: those behind it likely refuse for the same reason, and a swap would put a whole chunk
 * aside for nothing.
 */
static void carry_slots(const struct way *way, struct slot dst, struct slot src, uint32_t nslots)
{
	uint32_t limit = nslots;

	while (nslots) {
		uint32_t n = way->frames(dst, src, limit < nslots ? limit : nslots);

		/* Not beyond what there is, or it would wrap. */
		limit = !n ? 1 : limit < nslots ? 2 * limit : nslots;
		if (!n) {
			way->bytes(slot_address(dst), slot_address(src), SLOT_NPAGES);
			event_add(&umpa_core.events.nslots_copied, 1);
			n = 1;
		}
		dst = slot_after(dst, n);
		src = slot_after(src, n);
		nslots -= n;
	}
}

/* The slots that the mover can carry: whole at both ends, which is at the same place of the range
 * if it is congruent. */
static uint32_t common_slots(
	const struct umpa_move_op *op, const struct ends *ends, struct slot *dst, struct slot *src)
{
	uintptr_t to = (uintptr_t)op->dst, from = (uintptr_t)op->src;

	if ((to - from) % SLOT_NBYTES ||
		!umpa_block_whole_slots(&ends->src, from, from + op->nbytes, src))
		return 0;
	return umpa_block_whole_slots(&ends->dst, to, to + op->nbytes, dst);
}

static int is_odd(const struct umpa_move_op *op, const struct ends *ends)
{
	return umpa_block_pages(&ends->dst, op->dst, op->nbytes) != PAGES_ORDINARY ||
	       umpa_block_pages(&ends->src, op->src, op->nbytes) != PAGES_ORDINARY;
}

/* nbytes is above 0. */
static void carry_out_parts(
	const struct way *way, const struct umpa_move_op *op, const struct ends *ends)
{
	struct slot dst, src;
	uint32_t nslots = common_slots(op, ends, &dst, &src);
	char *to = op->dst, *from = op->src;
	size_t nbefore = op->nbytes, nbehind = 0;

	if (nslots) {
		nbefore = (size_t)((char *)slot_address(dst) - to);
		nbehind = op->nbytes - nbefore - ((size_t)nslots << SLOT_SHIFT);
	}
	way->bytes(to, from, nbefore >> PAGE_SHIFT);
	if (nslots)
		carry_slots(way, dst, src, nslots);
	to += op->nbytes - nbehind;
	from += op->nbytes - nbehind;
	way->bytes(to, from, nbehind >> PAGE_SHIFT);
}

static void carry_out(const struct way *way, const struct umpa_move_op *op, const struct ends *ends)
{
	if (unlikely(is_odd(op, ends)))
		way->odd_bytes(op->dst, op->src, op->nbytes >> PAGE_SHIFT);
	else
		carry_out_parts(way, op, ends);
}

/* --- one op ------------------------------------------------------------------------------- */

static int one(const struct way *way, const struct umpa_move_op *op)
{
	struct ends ends = {0};
	int saved = errno;

	umpa_core_need();
	if (check(op, &ends)) {
		errno = EINVAL;
		return -1;
	}
	if (op->nbytes)
		carry_out(way, op, &ends);
	umpa_pool_keep_limit();
	errno = saved;
	return 0;
}

public_api int umpa_move(void *dst, void *src, size_t nbytes)
{
	return one(&way_move, &(struct umpa_move_op){dst, src, nbytes});
}

public_api int umpa_swap(void *a, void *b, size_t nbytes)
{
	return one(&way_swap, &(struct umpa_move_op){a, b, nbytes});
}

/* --- many ops ----------------------------------------------------------------------------- */

static int check_all(const struct umpa_move_op *ops, size_t nops)
{
	struct ends ends = {0};
	int error = nops && !ops ? -EINVAL : 0;

	for (size_t i = 0; !error && i < nops; i++)
		error = check(&ops[i], &ends);
	return error;
}

/* Makes an op longer by the next one, if that goes on where it ends and in the same blocks. Where
 * source and destination would overlap then, the order of the two matters. */
static int merge(struct umpa_move_op *op, const struct umpa_move_op *next, const struct ends *ends)
{
	struct umpa_move_op both = {op->dst, op->src, op->nbytes + next->nbytes};

	if (!op->nbytes || !next->nbytes)
		return !next->nbytes;
	if ((char *)op->dst + op->nbytes != next->dst || (char *)op->src + op->nbytes != next->src)
		return 0;
	if (!umpa_block_holds(&ends->dst, both.dst, both.nbytes) ||
		!umpa_block_holds(&ends->src, both.src, both.nbytes) || overlap(&both))
		return 0;
	*op = both;
	return 1;
}

static void carry_out_all(const struct umpa_move_op *ops, size_t nops)
{
	struct ends ends = {0};
	size_t i = 0;

	while (i < nops) {
		struct umpa_move_op op = ops[i++];
		int error = check(&op, &ends);

		INVARIANT(!error);
		while (i < nops && merge(&op, &ops[i], &ends))
			i++;
		if (op.nbytes)
			carry_out(&way_move, &op, &ends);
	}
}

public_api int umpa_movev(const struct umpa_move_op *ops, size_t nops, size_t *done)
{
	int saved = errno;
	int error;

	umpa_core_need();
	error = check_all(ops, nops);
	if (done)
		*done = error ? 0 : nops;
	if (error) {
		errno = EINVAL;
		return -1;
	}
	carry_out_all(ops, nops);
	umpa_pool_keep_limit();
	errno = saved;
	return 0;
}
