/* The page API inside: on the holding where there is one, else by the functions it is named after.
 */
#include <errno.h>
#include <umpa/page.h>
#include <umpa/rewire.h>
#include <umpa/vmm.h>

#include "base/panic.h"
#include "core/request.h"
#include "vmm/holding.h"
#include "vmm/peers.h"

/* In the holding of the CPU that this runs on. */
static int is_own(const struct umpa_guest *g, const void *addr)
{
	return g->holding && umpa_holding_has(g->holding, addr);
}

/* The holding that an address is in: its own, another CPU's, or NULL. */
static struct umpa_holding *holder(const struct umpa_guest *g, const void *addr)
{
	if (likely(is_own(g, addr)))
		return g->holding;
	return g->peers ? umpa_peers_holder(g->peers, addr) : NULL;
}

static uint32_t align_npages(const struct umpa_request *r)
{
	return (uint32_t)1 << (r->align_log2 - PAGE_SHIFT);
}

_Noreturn static void misuse(const char *call, const void *ptr)
{
	umpa_misuse(call, ptr, "no live block begins here; freed twice, or inside a block");
}

/* As a touch of each page would, there and now. */
static void back(char *block, size_t npages)
{
	for (; npages--; block += PAGE_NBYTES)
		*(volatile char *)block = *(volatile char *)block;
}

static void *or_no_memory(void *block, const struct umpa_request *r)
{
	if (unlikely(!block))
		errno = ENOMEM;
	else if (unlikely(r->flags & UMPA_BACKED))
		back(block, r->npages);
	return block;
}

/* From here to there the books of the holding are in the middle of something: a function that takes
 * too long is let come to the end of it. */
static void begin_change(struct umpa_guest *g)
{
	umpa_peers_poll(g);
	g->nchanges++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void end_change(struct umpa_guest *g)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	g->nchanges--;
}

/* --- alloc and free ----------------------------------------------------------------------- */

/* The only slots that are left may be in limbo. 1: they are not any more. */
static int hurry_limbo(struct umpa_guest *g)
{
	if (!umpa_holding_has_limbo(g->holding))
		return 0;
	umpa_g_flush_others(g);
	umpa_holding_end_limbo(g->holding);
	return 1;
}

static void *alloc_own(struct umpa_guest *g, const struct umpa_request *r, unsigned flags)
{
	void *block = umpa_holding_alloc(g->holding, r->npages, align_npages(r), flags);

	if (unlikely(!block) && hurry_limbo(g))
		block = umpa_holding_alloc(g->holding, r->npages, align_npages(r), flags);
	return block;
}

cold_path static void *alloc_any(struct umpa_guest *g, size_t nbytes, unsigned flags)
{
	struct umpa_request r;
	void *block;

	if (!g->holding)
		return umpa_alloc(nbytes, flags);
	if (!umpa_request_parse(nbytes, flags, &r))
		return NULL;
	begin_change(g);
	block = alloc_own(g, &r, flags);
	end_change(g);
	return or_no_memory(block, &r);
}

public_api void *umpa_g_alloc(struct umpa_guest *g, size_t nbytes, unsigned flags)
{
	struct umpa_holding *h = g->holding;
	void *block = NULL;

	if (likely(h && !flags && nbytes && nbytes <= h->nbytes))
		block = umpa_holding_again(h, pages_of(nbytes));
	return likely(block) ? block : alloc_any(g, nbytes, flags);
}

cold_path static void free_other(struct umpa_guest *g, void *block)
{
	struct umpa_holding *h = holder(g, block);

	umpa_peers_poll(g); /* who frees others' blocks alone has no better time */
	if (!h)
		umpa_free(block);
	else if (umpa_holding_free_from_afar(h, block))
		misuse("umpa_g_free", block);
}

public_api void umpa_g_free(struct umpa_guest *g, void *block)
{
	if (unlikely(!is_own(g, block)))
		free_other(g, block);
	else if (unlikely(umpa_holding_free(g->holding, block)))
		misuse("umpa_g_free", block);
}

static void *resize_own(struct umpa_guest *g, void *block, const struct umpa_request *r)
{
	struct umpa_holding *h = g->holding;
	void *to = umpa_holding_resize(h, block, r->npages, align_npages(r), r->flags);

	if (unlikely(!to) && hurry_limbo(g))
		to = umpa_holding_resize(h, block, r->npages, align_npages(r), r->flags);
	return to;
}

/* Brings n pages to a new block, and leaves there whatever that one had. */
static void bring(struct umpa_guest *g, char *to, char *from, size_t n)
{
	int is_whole = !(((uintptr_t)to | (uintptr_t)from) & (SLOT_NBYTES - 1));
	size_t whole = is_whole ? n & ~(size_t)(SLOT_NPAGES - 1) : 0;
	size_t done = whole ? umpa_holding_exchange(g->holding, to, from, whole) : 0;

	umpa_holding_copy(to + (done << PAGE_SHIFT), from + (done << PAGE_SHIFT), n - done);
	if (done)
		umpa_g_flush_others(g);
}

/* A block that is to be shorter, and stays as it is: what is cut off shall be zero when it is
 * wanted again. */
static void *cut_off(char *block, size_t old, const struct umpa_request *r)
{
	umpa_holding_clear(block + (r->npages << PAGE_SHIFT), old - r->npages);
	return block;
}

/* The books of another CPU's holding are that one's alone: a block there stays as it is, or what it
 * holds moves to one of its own. */
static void *resize_other(struct umpa_guest *g, struct umpa_holding *h, char *block, size_t old,
	const struct umpa_request *r)
{
	size_t n = old < r->npages ? old : r->npages;
	char *to;

	if (old >= r->npages && (r->flags & UMPA_NOMOVE || old / 2 < r->npages))
		return cut_off(block, old, r);
	to = r->flags & UMPA_NOMOVE ? NULL : alloc_own(g, r, r->flags & UMPA_NOBACK);
	if (!to)
		return old >= r->npages ? cut_off(block, old, r) : NULL;
	bring(g, to, block, n);
	if (r->flags & UMPA_ZERO)
		umpa_holding_clear(to + (n << PAGE_SHIFT), r->npages - n);
	if (umpa_holding_free_from_afar(h, block))
		misuse("umpa_g_realloc", block);
	return to;
}

public_api void *umpa_g_realloc(struct umpa_guest *g, void *block, size_t nbytes, unsigned flags)
{
	struct umpa_holding *h = holder(g, block);
	struct umpa_request r;
	size_t old;
	void *to;

	if (!block)
		return umpa_g_alloc(g, nbytes, flags);
	if (!h)
		return umpa_realloc(block, nbytes, flags);
	old = umpa_holding_npages(h, block);
	if (!old)
		misuse("umpa_g_realloc", block);
	if (!umpa_request_parse(nbytes, flags, &r))
		return NULL;
	begin_change(g);
	to = h == g->holding ? resize_own(g, block, &r) : resize_other(g, h, block, old, &r);
	end_change(g);
	return or_no_memory(to, &r);
}

public_api size_t umpa_g_usable_size(struct umpa_guest *g, const void *block)
{
	const struct umpa_holding *h = holder(g, block);
	size_t npages;

	if (!h)
		return umpa_usable_size(block);
	npages = umpa_holding_npages(h, block);
	if (!npages)
		misuse("umpa_g_usable_size", block);
	return npages << PAGE_SHIFT;
}

/* --- ranges ------------------------------------------------------------------------------- */

/* 1; 0: it leaves the holding. NULL: none, which it does not leave. */
static int is_within(const struct umpa_holding *h, const char *addr, size_t nbytes)
{
	return !h || !nbytes || umpa_holding_has(h, addr + nbytes - 1);
}

/* What was done to pages that are in use is seen by all CPUs. */
static void show_others(struct umpa_guest *g, uint64_t nmove_calls_before)
{
	if (g->holding->nmove_calls != nmove_calls_before)
		umpa_g_flush_others(g);
}

static int refuse(void)
{
	errno = EINVAL;
	return -1;
}

public_api int umpa_g_unback(struct umpa_guest *g, void *addr, size_t nbytes)
{
	char *from = (char *)rounded_up((uintptr_t)addr, PAGE_NBYTES);
	char *to = (char *)(((uintptr_t)addr + nbytes) & ~(PAGE_NBYTES - 1));
	const struct umpa_holding *h = holder(g, addr);
	uint64_t before;

	if (!h)
		return umpa_unback(addr, nbytes);
	if (!is_within(h, addr, nbytes))
		return refuse();
	begin_change(g);
	before = g->holding->nmove_calls;
	if (from < to)
		umpa_holding_take_frames(g->holding, from, (size_t)(to - from) >> PAGE_SHIFT);
	show_others(g, before);
	end_change(g);
	return 0;
}

/* Fewer pages than that are not worth an interruption of other CPUs. */
enum {
	NPAGES_WORTH = 64
};

/* Two ranges of pages, and the holdings that they are in; NULL: in none. */
struct two {
	char *a, *b;
	const struct umpa_holding *of_a, *of_b;
	size_t npages;
};

/* 1: both lie in holdings, or one of them; 0: the ordinary function's. -1: refused. */
static int are_ours(const struct umpa_guest *g, struct two *t, char *a, char *b, size_t nbytes)
{
	*t = (struct two){a, b, holder(g, a), holder(g, b), nbytes >> PAGE_SHIFT};
	if (!nbytes || (!t->of_a && !t->of_b))
		return 0;
	if (((uintptr_t)a | (uintptr_t)b | nbytes) & (PAGE_NBYTES - 1) ||
		(size_t)(a - b) < nbytes || (size_t)(b - a) < nbytes ||
		!is_within(t->of_a, a, nbytes) || !is_within(t->of_b, b, nbytes))
		return refuse();
	return 1;
}

/* Pages change places by their entries, as long as they do: the rest is left. */
static void exchange(struct umpa_guest *g, struct two *t)
{
	size_t done = 0;

	if (t->of_a && t->of_b &&
		(t->npages >= NPAGES_WORTH || !g->peers || umpa_peers_are_out(g->peers, g->number)))
		done = umpa_holding_exchange(g->holding, t->a, t->b, t->npages);
	t->a += done << PAGE_SHIFT;
	t->b += done << PAGE_SHIFT;
	t->npages -= done;
}

/* What the first one had is given to the pool, or lost. */
static void carry(struct umpa_guest *g, struct two *t)
{
	char *src = t->b;
	size_t npages = t->npages;

	exchange(g, t);
	umpa_holding_copy(t->a, t->b, t->npages);
	if (t->of_b)
		umpa_holding_take_frames(g->holding, src, npages);
	else
		umpa_holding_clear(src, npages);
}

static void swap(struct umpa_guest *g, struct two *t)
{
	uint64_t *x, *y;

	exchange(g, t);
	x = (uint64_t *)t->a;
	y = (uint64_t *)t->b;
	for (size_t n = t->npages * (PAGE_NBYTES / sizeof(*x)); n; n--, x++, y++) {
		uint64_t word = *x;

		*x = *y;
		*y = word;
	}
}

/* One of these two, on holdings; or the function outside. */
static int carry_out(void (*fn)(struct umpa_guest *, struct two *),
	int (*outside)(void *, void *, size_t), struct umpa_guest *g, void *a, void *b,
	size_t nbytes)
{
	struct two t;
	int ours = are_ours(g, &t, a, b, nbytes);
	uint64_t before;

	if (!ours)
		return outside(a, b, nbytes);
	if (ours < 0)
		return -1;
	begin_change(g);
	before = g->holding->nmove_calls;
	fn(g, &t);
	show_others(g, before);
	end_change(g);
	return 0;
}

public_api int umpa_g_move(struct umpa_guest *g, void *dst, void *src, size_t nbytes)
{
	return carry_out(carry, umpa_move, g, dst, src, nbytes);
}

public_api int umpa_g_swap(struct umpa_guest *g, void *a, void *b, size_t nbytes)
{
	return carry_out(swap, umpa_swap, g, a, b, nbytes);
}
