#include "core/span_slots.h"

#include "core/space.h"
#include "core/untouched.h"

/* Pieces on their way to the space, which takes several under one hold of its lock. */
struct giving {
	struct umpa_extent_piece piece[GRANT_NPIECES_MAX];
	unsigned n;
};

static void flush(struct giving *g)
{
	umpa_space_give_pieces(g->piece, g->n);
	g->n = 0;
}

static void add(struct giving *g, struct slot slot, uint32_t nslots, enum umpa_extent_kind kind)
{
	if (g->n == GRANT_NPIECES_MAX)
		flush(g);
	g->piece[g->n++] = (struct umpa_extent_piece){slot, nslots, kind};
}

/* --- what was lacking ----------------------------------------------------------------------- */

/* Gives back nslots from the nth on that were void: as such, those that nobody has touched. */
static void give_by_look(const struct slot_record *r, struct slot slot, uint32_t n, uint32_t nslots,
	struct giving *g)
{
	struct slot first = slot_after(slot, n);
	int touched = umpa_os_bare(slot_address(first), (size_t)nslots * SLOT_NPAGES) != 0;

	if (touched && nslots > 1) {
		for (uint32_t i = 0; i < nslots; i++)
			give_by_look(r, slot, n + i, 1, g);
		return;
	}
	if (r->is_left)
		umpa_untouched_learn(touched);
	add(g, first, nslots, touched ? EXTENT_RESIDENT : EXTENT_VOID);
}

static void give_row(const struct slot_record *r, struct slot slot, uint32_t n, uint32_t nslots,
	struct giving *g)
{
	if (umpa_untouched_pass())
		add(g, slot_after(slot, n), nslots, EXTENT_RESIDENT);
	else
		give_by_look(r, slot, n, nslots, g);
}

/* --- all ------------------------------------------------------------------------------------ */

/* Slots from the nth on, below `end`, that are all of a set, or none of them is. */
static uint32_t alike(uint64_t slots, uint32_t n, uint32_t end, int is_in)
{
	uint64_t unlike = umpa_slots_from(is_in ? ~slots : slots, n);
	uint32_t next = unlike ? (uint32_t)__builtin_ctzll(unlike) : is_in ? LEFT_NSLOTS_MAX : end;

	return (next < end ? next : end) - n;
}

void umpa_span_give_slots(struct slot_record *r, struct slot slot, uint32_t from, uint32_t used)
{
	struct giving g = {.n = 0};
	uint32_t n = from;

	while (n < used) {
		int is_lacking = umpa_slots_from(r->lack, n) && r->lack >> n & 1;
		uint32_t nslots = alike(r->lack, n, used, is_lacking);

		if (is_lacking)
			give_row(r, slot, n, nslots, &g);
		else
			add(&g, slot_after(slot, n), nslots, EXTENT_RESIDENT);
		n += nslots;
	}
	if (n < r->nslots)
		add(&g, slot_after(slot, n), r->nslots - n, EXTENT_VOID);
	flush(&g);
	umpa_span_forget_lack(r, from);
}
