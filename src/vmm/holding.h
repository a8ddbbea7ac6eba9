/*
 * A holding: blocks for the one function that runs in guest mode, on slots of the window that its
 * machine holds. What the core does for many threads: runs on a shelf, spans over extents, frames
 * that stay where they were and are carried by a mover to where they are missing.
 *
 * A block that is freed is kept as it is, in a list of its size, and is the next one of that size.
 * The shelf and the extents hear of it only when they have no room for something else: then all
 * that is kept is given back to them.
 *
 * A machine with several CPUs has a holding for each, and who has the CPU owns it. Others may free
 * its blocks (umpa_holding_free_from_afar) and touch no more of it than the block's word: the owner
 * finds them in its inbox. A slot whose frames were carried elsewhere may still be remembered with
 * them by other CPUs: until all have forgotten (vmm/epoch.h) it is in limbo, neither free nor used.
 *
 * Pure: told its mover and its memory; no OS call, no lock. Compiled for general registers alone,
 * with all it calls, as handlers of page faults may call it, which interrupt.
 *
 * Invariants
 *  1. A page's word is not 0 exactly if a block begins there, live or kept; it says how long it is.
 *  2. The first slot of a block is on the shelf exactly if the block is a run.
 *  3. As the space's (core/space.h): a void free slot reads as zero, a resident one is believed to
 *     have frames, and holds anything.
 *  4. A slot that is in limbo is void, but not free.
 */
#ifndef UMPA_VMM_HOLDING_H
#define UMPA_VMM_HOLDING_H

#include "base/compiler.h"
#include "base/units.h"
#include "frame/shelf.h"
#include "os/mover.h"
#include "va/extents.h"
#include "vmm/epoch.h"

/* Lists of kept blocks: one for each length of a run, and some for those of spans. */
enum {
	KEPT_NSPAN_LISTS = 64,
	KEPT_NLISTS = SLOT_NPAGES + KEPT_NSPAN_LISTS
};

struct umpa_holding_page {
	uint32_t what; /* the length in pages, and what it is of; 0: no block begins here */
	uint32_t next; /* kept: the next one of the list, its page plus 1 */
};

/* Slots in limbo that are neighbours, by the first one's page, which begins a slot. */
enum umpa_limbo {
	LIMBO_OLD, /* since before limbo_epoch */
	LIMBO_NEW,
	LIMBO_NLISTS
};

enum {
	HOLDING_LIVE = 1,
	HOLDING_KEPT = 2,
	HOLDING_SHARED = 4, /* its last pages lie in a slot of the shelf, as that one's tail */
	HOLDING_SHIFT = 3   /* of the length */
};

struct umpa_holding {
	char *begin; /* a superpage's */
	size_t nbytes;
	uint32_t nslots;
	struct umpa_mover *mover;
	struct umpa_extents extents; /* over the slots that have been used so far */
	struct umpa_shelf shelf;
	struct umpa_holding_page *page; /* where no slot begins; where one does, limbo */
	struct umpa_holding_page *slot; /* where one does: spans need no more books than these */
	uint64_t kept_any[KEPT_NLISTS / 64]; /* a bit a list */
	uint32_t kept[KEPT_NLISTS];          /* the last one put there, its page plus 1 */
	uint64_t nslots_moved, nmove_calls;
	int is_broken; /* a change was never ended: blocks that are freed are allocated again, and
			  no others */
	struct umpa_epochs *epochs;   /* NULL: no other CPU */
	unsigned cpu;                 /* its own */
	uint32_t limbo[LIMBO_NLISTS]; /* the first slot of each list plus 1 */
	uint64_t limbo_epoch;
	uint32_t inbox __attribute__((aligned(64))); /* atomic; blocks as in a list of kept ones */
};

enum {
	HOLDING_NSLOTS_MAX = (1 << 20) - 1 /* whose pages a length can count */
};

/* Bytes of zeroed memory that the books of nslots slots take; touched as slots are used. */
size_t umpa_holding_nbytes(uint32_t nslots);

/* Over [begin, begin + nslots superpages), all void, 1 to HOLDING_NSLOTS_MAX. The mover can
 * exchange. memory: as above. */
void umpa_holding_init(struct umpa_holding *h, void *begin, uint32_t nslots,
	struct umpa_mover *mover, void *memory);

/* It is that CPU's, of several. */
static inline void umpa_holding_join(
	struct umpa_holding *h, struct umpa_epochs *epochs, unsigned cpu)
{
	h->epochs = epochs;
	h->cpu = cpu;
}

static inline int umpa_holding_has(const struct umpa_holding *h, const void *addr)
{
	return (uintptr_t)addr - (uintptr_t)h->begin < h->nbytes;
}

/* The slot of an address in the holding. */
static inline uint32_t umpa_holding_slot(const struct umpa_holding *h, const void *addr)
{
	return (uint32_t)(((uintptr_t)addr - (uintptr_t)h->begin) >> SLOT_SHIFT);
}

static inline unsigned umpa_holding_list_of(size_t npages)
{
	return npages < SLOT_NPAGES ? (unsigned)npages
				    : (unsigned)(SLOT_NPAGES + npages % KEPT_NSPAN_LISTS);
}

static inline struct umpa_holding_page *umpa_holding_at(const struct umpa_holding *h, size_t page)
{
	return page % SLOT_NPAGES ? &h->page[page] : &h->slot[page / SLOT_NPAGES];
}

/* A function that takes too long may be ended between any two stores: the order of some of them is
 * such that a block is lost at worst. */
static inline void keep_order(void)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The block that was freed last of those of npages, once more, if its list begins with it; what it
 * holds is not known. Most that are allocated are. NULL. */
static inline void *umpa_holding_again(struct umpa_holding *h, size_t npages)
{
	uint32_t *first = &h->kept[umpa_holding_list_of(npages)];
	struct umpa_holding_page *p;
	uint32_t what;
	size_t page;

	if (!*first)
		return NULL;
	page = *first - 1;
	p = umpa_holding_at(h, page);
	what = p->what;
	if (what >> HOLDING_SHIFT != npages)
		return NULL;
	*first = p->next;
	keep_order();
	p->what = what ^ (HOLDING_LIVE | HOLDING_KEPT);
	return h->begin + (page << PAGE_SHIFT);
}

/* Puts a block that was marked so into the list of its size. */
static inline void umpa_holding_keep(
	struct umpa_holding *h, size_t page, struct umpa_holding_page *p, uint32_t what)
{
	unsigned list = umpa_holding_list_of(what >> HOLDING_SHIFT);

	p->next = h->kept[list];
	keep_order();
	h->kept[list] = (uint32_t)page + 1;
	h->kept_any[list / 64] |= (uint64_t)1 << list % 64;
}

/* Of an address in the holding: 0; -EINVAL: no live block begins there. */
static inline int umpa_holding_free(struct umpa_holding *h, void *block)
{
	size_t at = (size_t)((char *)block - h->begin), page = at >> PAGE_SHIFT;
	struct umpa_holding_page *p = umpa_holding_at(h, page);
	uint32_t what = p->what;

	if (unlikely(at % PAGE_NBYTES || !(what & HOLDING_LIVE)))
		return -EINVAL;
	p->what = what ^ (HOLDING_LIVE | HOLDING_KEPT);
	keep_order();
	umpa_holding_keep(h, page, p, what);
	return 0;
}

/* The same by who does not own the holding: it goes to the inbox. */
int umpa_holding_free_from_afar(struct umpa_holding *h, void *block);

/* All that is in limbo now is void: no CPU remembers any of it. */
void umpa_holding_end_limbo(struct umpa_holding *h);

static inline int umpa_holding_has_limbo(const struct umpa_holding *h)
{
	return (h->limbo[LIMBO_OLD] | h->limbo[LIMBO_NEW]) != 0;
}

/* A block of npages, 1 or more, at a multiple of align pages, a power of two. flags: UMPA_ZERO,
 * UMPA_NOBACK. NULL: no room. */
void *umpa_holding_alloc(struct umpa_holding *h, size_t npages, uint32_t align, unsigned flags);

/* The pages of a live block at an address in the holding; 0: none begins there. */
size_t umpa_holding_npages(const struct umpa_holding *h, const void *block);

/* Makes a live block npages long, in place if that can be, else by moving it to a multiple of align
 * pages. flags: UMPA_ZERO, of what is added; UMPA_NOMOVE. NULL: no room, and nothing changed. */
void *umpa_holding_resize(
	struct umpa_holding *h, void *block, size_t npages, uint32_t align, unsigned flags);

/* Makes whole pages zero; whole superpages by giving their frames to the pool. As the next one: of
 * blocks of this holding, or of others over the same mover. */
void umpa_holding_take_frames(struct umpa_holding *h, void *addr, size_t npages);

/* Exchanges the frames of npages and npages others, of blocks, that don't overlap. Result: pages,
 * from the front, that it has done so for; the others are as they were. */
size_t umpa_holding_exchange(struct umpa_holding *h, void *a, void *b, size_t npages);

/* Ends all kept blocks. 1 if there were any. And, for who ends the holding, those too that are in
 * no list, as the function was ended that kept them. */
int umpa_holding_flush_kept(struct umpa_holding *h);
void umpa_holding_end_kept(struct umpa_holding *h);

/* Of a slot where none are kept: whether live blocks begin there, or end, and what they are. */
enum umpa_holding_use {
	HELD_FREE,
	HELD_RUNS, /* h->shelf.map tells which, and whose the first pages are */
	HELD_SPAN  /* *npages, in slots from there on but for *ntail of them, in the one behind */
};
enum umpa_holding_use umpa_holding_use(
	const struct umpa_holding *h, uint32_t i, size_t *npages, unsigned *ntail);

/* What frames are behind slot i, below nslots, and how many behind it likewise: *n with it, 1 or
 * more. */
enum umpa_extent_kind umpa_holding_kind(const struct umpa_holding *h, uint32_t i, uint32_t *n);

/* For who ends a holding, in which nothing is in limbo any more: notes of slot i, which has been
 * used, that its home has no frames; and whether that was noted. */
void umpa_holding_mark_bare(struct umpa_holding *h, uint32_t i);
int umpa_holding_is_bare(const struct umpa_holding *h, uint32_t i);

/* By string instructions, which are the same in guest mode and outside. */
void umpa_holding_clear(void *addr, size_t npages);
void umpa_holding_copy(void *dst, const void *src, size_t npages);

/* Every invariant above that can be seen; for tests. 1 if they hold. */
int umpa_holding_valid(const struct umpa_holding *h);

#endif
