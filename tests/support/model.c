#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umpa/umpa.h>

enum {
	PAGE = 4096
};

static const struct model_api own = {umpa_alloc, umpa_free, umpa_realloc, umpa_usable_size,
	umpa_unback, umpa_move, umpa_swap, umpa_back, umpa_trim};

struct live {
	char *block;
	size_t npages;
	uint64_t number;
};

struct model {
	const struct model_options *o;
	const struct model_api *api;
	struct model_result r;
	struct live *live;
	size_t live_npages;
	uint64_t random, next_number;
};

static uint64_t draw(struct model *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random * 0x2545f4914f6cdd1dull;
}

static uint64_t below(struct model *m, uint64_t n)
{
	return (draw(m) >> 11) % n;
}

/* For so many operations in turn, in which all blocks become others, sizes repeat. */
static uint64_t nphases(const struct model *m)
{
	return m->r.nops / (8 * m->o->nblocks);
}

/* As those of a program's buffers do: three small ones, of which a new block has mostly one. */
static size_t draw_repeated_size(struct model *m)
{
	uint64_t which = m->o->seed * 7 + nphases(m) * 3 + below(m, 3);
	unsigned nlog2 = m->o->log2_max - m->o->log2_min;

	return ((size_t)1 << (m->o->log2_min + which % (nlog2 < 4 ? nlog2 : 4))) +
	       which % 16 * PAGE;
}

static size_t draw_size(struct model *m)
{
	unsigned log2 = m->o->log2_min + (unsigned)below(m, m->o->log2_max - m->o->log2_min);

	if (nphases(m) % 2 && below(m, 16))
		return draw_repeated_size(m);
	/* A little above a superpage, what counts is whether sizes repeat. */
	if (log2 == 21 && below(m, 2))
		return ((size_t)1 << log2) + (1 + m->o->seed % 200) * PAGE;
	return ((size_t)1 << log2) + below(m, (uint64_t)1 << log2);
}

static void say(struct model *m, const char *what, const struct live *l, size_t page)
{
	if (m->r.nwrong_tags + m->r.nwrong_zeros == 1)
		printf("  model: %s: seed %llu, operation %llu, block %llu at %p, page %zu of "
		       "%zu\n",
			what, (unsigned long long)m->o->seed, (unsigned long long)m->r.nops,
			(unsigned long long)l->number, (void *)l->block, page, l->npages);
}

static uint64_t tag_of(const struct live *l, size_t page)
{
	return l->number * 0x9e3779b97f4a7c15ull ^ (page << 1 | 1);
}

static void touch(struct model *m, char *addr, size_t npages)
{
	if (m->o->touch && npages)
		m->o->touch(addr, npages * PAGE);
}

/* The pages of l from `from` on are at addr. */
static void check_tags_at(
	struct model *m, const struct live *l, size_t from, char *addr, size_t npages)
{
	touch(m, addr, npages);
	for (size_t p = 0; p < npages; p++) {
		uint64_t tag;

		memcpy(&tag, addr + p * PAGE + 8, 8);
		if (tag != tag_of(l, from + p)) {
			m->r.nwrong_tags++;
			say(m, "a page has lost its tag", l, from + p);
		}
	}
}

static void check_tags(struct model *m, const struct live *l, size_t npages)
{
	check_tags_at(m, l, 0, l->block, npages);
}

static void check_zero(struct model *m, const struct live *l, size_t from)
{
	static const char zero[48];

	touch(m, l->block + from * PAGE, l->npages - from);
	for (size_t p = from; p < l->npages; p++)
		if (memcmp(l->block + p * PAGE, zero, sizeof(zero))) {
			m->r.nwrong_zeros++;
			say(m, "a page is not zero", l, p);
		}
}

static void write_tags(struct model *m, const struct live *l, size_t from)
{
	touch(m, l->block + from * PAGE, l->npages - from);
	for (size_t p = from; p < l->npages; p++) {
		uint64_t tag = tag_of(l, p);

		memcpy(l->block + p * PAGE + 8, &tag, 8);
	}
}

static unsigned draw_flags(struct model *m)
{
	static const unsigned flags[] = {0, 0, 0, UMPA_ZERO, UMPA_ZERO, UMPA_NOBACK,
		UMPA_ZERO | UMPA_NOBACK, UMPA_BACKED, UMPA_ALIGN(16), UMPA_ALIGN(21),
		UMPA_ALIGN(23), UMPA_RESERVE(3), UMPA_RESERVE(8) | UMPA_ZERO};

	return flags[below(m, sizeof(flags) / sizeof(flags[0]))];
}

static void drop(struct model *m, struct live *l)
{
	if (!l->block)
		return;
	check_tags(m, l, l->npages);
	m->api->free(l->block);
	m->live_npages -= l->npages;
	l->block = NULL;
}

static int too_much(const struct model *m, size_t nbytes)
{
	return m->o->live_max && m->live_npages * PAGE + nbytes > m->o->live_max;
}

static void op_alloc(struct model *m, struct live *l)
{
	size_t nbytes = draw_size(m);
	unsigned flags = draw_flags(m), align = flags >> 8 & 0x3f;

	drop(m, l);
	if (too_much(m, nbytes))
		return;
	l->block = m->api->alloc(nbytes, flags);
	if (!l->block) {
		m->r.nrefused++;
		return;
	}
	l->npages = (nbytes + PAGE - 1) / PAGE;
	l->number = ++m->next_number;
	m->live_npages += l->npages;
	if ((uintptr_t)l->block & (((uintptr_t)1 << (align > 12 ? align : 12)) - 1) ||
		m->api->usable_size(l->block) < nbytes) {
		m->r.nwrong_tags++;
		say(m, "misaligned or too small", l, 0);
	}
	if (flags & UMPA_ZERO)
		check_zero(m, l, 0);
	write_tags(m, l, 0);
}

static size_t draw_new_size(struct model *m, const struct live *l)
{
	switch (below(m, 4)) {
	case 0: /* a little more or less */
		return l->npages * PAGE + below(m, 16 * PAGE);
	case 1:
		return l->npages * PAGE - below(m, (l->npages * PAGE + 1) / 2);
	case 2: /* as growing buffers do */
		return l->npages * PAGE * 3 / 2;
	default:
		return draw_size(m);
	}
}

static void op_realloc(struct model *m, struct live *l)
{
	size_t nbytes = draw_new_size(m, l), old = l->npages;
	size_t usable = m->api->usable_size(l->block) / PAGE;
	unsigned flags = below(m, 3) ? 0 : UMPA_ZERO;
	char *block;

	if (nbytes >> m->o->log2_max || too_much(m, nbytes))
		return;
	flags |= below(m, 8) ? 0 : UMPA_NOMOVE;
	block = m->api->realloc(l->block, nbytes, flags);
	if (!block) {
		m->r.nrefused += !(flags & UMPA_NOMOVE);
		return;
	}
	l->block = block;
	l->npages = nbytes ? (nbytes + PAGE - 1) / PAGE : 1;
	m->live_npages += l->npages - old;
	check_tags(m, l, old < l->npages ? old : l->npages);
	if (l->npages <= old)
		return;
	/* Pages the block had beyond what was asked for are not added: unspecified. */
	if (flags & UMPA_ZERO && l->npages > usable)
		check_zero(m, l, usable);
	write_tags(m, l, old);
}

/* Pages of a block, from their number on. */
struct part {
	struct live *l;
	size_t from, npages;
};

static char *part_addr(const struct part *part)
{
	return part->l->block + part->from * PAGE;
}

/* Draws ranges of one length in two blocks, half of them with as many whole superpages in common as
 * there can be. Result: 0 if there are no two such blocks. */
static int draw_parts(struct model *m, struct part *a, struct part *b)
{
	size_t max, skew;

	b->l = &m->live[below(m, m->o->nblocks)];
	if (!b->l->block || a->l == b->l)
		return 0;
	a->from = below(m, a->l->npages);
	b->from = below(m, b->l->npages);
	skew = (size_t)(part_addr(a) - part_addr(b)) / PAGE % 512;
	if (below(m, 2) && b->from + skew < b->l->npages)
		b->from += skew;
	max = a->l->npages - a->from;
	if (max > b->l->npages - b->from)
		max = b->l->npages - b->from;
	a->npages = b->npages = max - below(m, 2) * below(m, max);
	return 1;
}

static void write_part(struct model *m, const struct part *part)
{
	struct live upto = *part->l;

	upto.npages = part->from + part->npages;
	write_tags(m, &upto, part->from);
}

static void check_part_zero(struct model *m, const struct part *part)
{
	struct live upto = *part->l;

	upto.npages = part->from + part->npages;
	check_zero(m, &upto, part->from);
}

static void op_unback(struct model *m, struct live *l)
{
	struct part part = {.l = l, .from = below(m, l->npages)};

	part.npages = 1 + below(m, l->npages - part.from);
	if (m->api->unback(part_addr(&part), part.npages * PAGE)) {
		m->r.nrefused++;
		return;
	}
	check_part_zero(m, &part);
	write_part(m, &part);
}

static void op_rewire(struct model *m, struct live *l)
{
	struct part a = {.l = l}, b;
	int swap = below(m, 2) != 0;

	if (!draw_parts(m, &a, &b))
		return;
	if (swap ? m->api->swap(part_addr(&a), part_addr(&b), a.npages * PAGE)
		 : m->api->move(part_addr(&b), part_addr(&a), a.npages * PAGE)) {
		m->r.nwrong_tags++;
		say(m, "a swap or a move is refused", l, a.from);
		return;
	}
	check_tags_at(m, l, a.from, part_addr(&b), a.npages);
	if (swap)
		check_tags_at(m, b.l, b.from, part_addr(&a), a.npages);
	else
		check_part_zero(m, &a);
	write_part(m, &a);
	write_part(m, &b);
}

static void op_back(struct model *m, struct live *l)
{
	size_t from = below(m, l->npages), n = 1 + below(m, l->npages - from);

	if (m->api->back && m->api->back(l->block + from * PAGE, n * PAGE))
		m->r.nrefused++;
}

static void one_op(struct model *m)
{
	struct live *l = &m->live[below(m, m->o->nblocks)];
	uint64_t kind = below(m, 100);

	if (!l->block || kind < 60)
		op_alloc(m, l);
	else if (kind < 79)
		op_realloc(m, l);
	else if (kind < 84)
		op_unback(m, l);
	else if (kind < 87)
		op_back(m, l);
	else if (kind < 94)
		op_rewire(m, l);
	else if (kind < 99)
		drop(m, l);
	else if (m->api->trim)
		m->api->trim(below(m, 4) << 21);
}

struct model_result model_run(const struct model_options *o)
{
	struct model m = {.o = o, .api = o->api ? o->api : &own, .random = o->seed * 2 + 1};

	m.live = calloc(o->nblocks, sizeof(*m.live));
	for (m.r.nops = 0; m.r.nops < o->nops; m.r.nops++) {
		one_op(&m);
		if (o->between)
			o->between(o->arg, m.r.nops);
		if (m.r.nwrong_tags + m.r.nwrong_zeros > 1000)
			break;
	}
	for (unsigned i = 0; i < o->nblocks; i++)
		drop(&m, &m.live[i]);
	free(m.live);
	return m.r;
}
