/* Memory for allocators, and jemalloc's hooks, called as jemalloc does, on the fake OS. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/fork.h"
#include "core/pool.h"
#include "core/space.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_os.h"

static void begin(void)
{
	umpa_mapping_stop();
	umpa_core_stop();
	fake_reset();
}

static char *at(void *p, size_t page)
{
	return (char *)p + page * PAGE_NBYTES;
}

static size_t mapped_npages(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	return st.mapping_nbytes / PAGE_NBYTES;
}

static int ends_well(void)
{
	return mapped_npages() == 0 && umpa_mapping_valid() &&
	       umpa_extents_valid(&umpa_core.space.extents) && fake_consistent();
}

/* --- umpa_map ----------------------------------------------------------------------------- */

/* What was written before is there again, unless it is to be zero. */
static void maps_again(size_t npages, unsigned flags, char wanted)
{
	char *p = umpa_map(npages * PAGE_NBYTES, flags);

	CHECK(p != MAP_FAILED);
	CHECK_EQ(*at(p, 0), wanted);
	CHECK_EQ(*at(p, npages - 1), wanted);
	memset(p, 'd', 1);
	memset(at(p, npages - 1), 'd', 1);
	CHECK_EQ(umpa_munmap(p, npages * PAGE_NBYTES), 0);
}

TEST(map_clears_only_if_asked)
{
	static const size_t npages[] = {3, SLOT_NPAGES - 1, SLOT_NPAGES, 3 * SLOT_NPAGES + 5};

	PLAN(4 * (4 * 4 + 1));
	for (size_t i = 0; i < array_len(npages); i++) {
		begin();
		maps_again(npages[i], 0, 0);
		maps_again(npages[i], 0, 'd');
		maps_again(npages[i], UMPA_ZERO, 0);
		maps_again(npages[i], 0, 'd');
		CHECK(ends_well());
	}
}

TEST(map_aligns_and_takes_no_more)
{
	static const size_t npages[] = {1, 17, SLOT_NPAGES, 2 * SLOT_NPAGES + 1};
	char *keep, *p;

	PLAN(4 * (24 - 12) * 3 + 2);
	begin();
	keep = umpa_map(PAGE_NBYTES, 0);
	for (size_t i = 0; i < array_len(npages); i++) {
		for (unsigned log2 = 12; log2 < 24; log2++) {
			p = umpa_map(npages[i] * PAGE_NBYTES, UMPA_ALIGN(log2));
			CHECK_EQ((uintptr_t)p & (((uintptr_t)1 << log2) - 1), 0);
			CHECK_EQ(mapped_npages(), npages[i] + 1);
			CHECK_EQ(umpa_munmap(p, npages[i] * PAGE_NBYTES), 0);
		}
	}
	CHECK_EQ(umpa_munmap(keep, PAGE_NBYTES), 0);
	CHECK(ends_well());
}

TEST(map_refuses_what_it_must)
{
	PLAN(11);
	begin();
	CHECK(umpa_map(0, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(umpa_map(1, UMPA_BACKED) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(umpa_map(1, UMPA_ALIGN(41)) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(umpa_map((size_t)PTRDIFF_MAX + 1, 0) == MAP_FAILED);
	CHECK_EQ(errno, ENOMEM);
	CHECK(umpa_map(PTRDIFF_MAX, UMPA_ALIGN(40)) == MAP_FAILED);
	CHECK_EQ(errno, ENOMEM);
	CHECK(ends_well());
}

TEST(map_of_the_kernel_where_the_window_has_no_room)
{
	size_t nbytes;
	char *p;

	PLAN(5);
	begin();
	CHECK_EQ(umpa_munmap(umpa_map(1, 0), PAGE_NBYTES), 0);
	nbytes = ((size_t)umpa_core.window.nslots << SLOT_SHIFT) + 1;
	p = umpa_map(nbytes, UMPA_ALIGN(22));
	CHECK(p != MAP_FAILED && !umpa_window_has(&umpa_core.window, p));
	CHECK_EQ((uintptr_t)p % (2 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_munmap(p, nbytes), 0);
	CHECK(ends_well());
}

static int map_and_unmap(void)
{
	char *p = umpa_map(SLOT_NBYTES + 1, UMPA_ALIGN(22));
	int right = p != MAP_FAILED || errno == ENOMEM;

	fake_fail_at(0, 0);
	return right && (p == MAP_FAILED || (!((uintptr_t)p % (2 * SLOT_NBYTES)) &&
						    !umpa_munmap(p, SLOT_NBYTES + 1)));
}

TEST(map_refused_anywhere)
{
	uint64_t ncalls;

	begin();
	CHECK(map_and_unmap());
	ncalls = fake_ncalls();
	PLAN(2 + 2 * ncalls);
	CHECK(ncalls > 3);
	for (uint64_t n = 1; n <= ncalls; n++) {
		begin();
		fake_fail_from(n, -ENOMEM);
		CHECK(map_and_unmap());
		CHECK(ends_well());
	}
}

/* --- the hooks ---------------------------------------------------------------------------- */

/* Its header declares the malloc family too, which nobody here calls. */
#if __has_include(<jemalloc/jemalloc.h>)
#include <jemalloc/jemalloc.h>

static extent_hooks_t *begin_hooks(void)
{
	begin();
	return umpa_jemalloc_hooks();
}

static char *take(extent_hooks_t *h, void *new_addr, size_t npages, bool zero)
{
	bool commit = true, wanted_zero = zero;
	char *p = h->alloc(h, new_addr, npages * PAGE_NBYTES, PAGE_NBYTES, &zero, &commit, 7);

	CHECK(commit);
	CHECK(!p || zero || !wanted_zero);
	return p;
}

TEST(jemalloc_takes_and_gives)
{
	extent_hooks_t *h = begin_hooks();
	uint64_t frame;
	char *p;

	PLAN(15);
	CHECK(h == umpa_jemalloc_hooks());
	p = take(h, NULL, 2 * SLOT_NPAGES, false);
	fake_touch(p, 2 * SLOT_NBYTES);
	*at(p, 600) = 'j';
	frame = fake_frame(at(p, 600));
	CHECK(!h->dalloc(h, p, 2 * SLOT_NBYTES, true, 7));
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK(take(h, NULL, 2 * SLOT_NPAGES, false) == p);
	CHECK_EQ(fake_frame(at(p, 600)), frame);
	CHECK_EQ(*at(p, 600), 'j');
	h->destroy(h, p, 2 * SLOT_NBYTES, true, 7);
	CHECK(take(h, NULL, 2 * SLOT_NPAGES, true) == p);
	CHECK_EQ(*at(p, 600), 0);
	CHECK(!h->dalloc(h, p, 2 * SLOT_NBYTES, true, 7) && ends_well());
}

TEST(jemalloc_aligns)
{
	extent_hooks_t *h = begin_hooks();
	bool zero = true, commit = true;
	char *p = h->alloc(h, NULL, 5 * PAGE_NBYTES, 2 * SLOT_NBYTES, &zero, &commit, 7);

	PLAN(4);
	CHECK(p != NULL);
	CHECK_EQ((uintptr_t)p % (2 * SLOT_NBYTES), 0);
	CHECK_EQ(mapped_npages(), 5);
	CHECK(!h->dalloc(h, p, 5 * PAGE_NBYTES, true, 7) && ends_well());
}

/* Neighbours become one, and parts of that are given up. */
TEST(jemalloc_splits_and_merges)
{
	extent_hooks_t *h = begin_hooks();
	size_t part = 300 * PAGE_NBYTES;
	char *p, *behind;

	PLAN(15);
	p = take(h, NULL, 600, false);
	*at(p, 299) = *at(p, 500) = 's';
	CHECK(!h->split(h, p, 2 * part, part, part, true, 7));
	CHECK(!h->dalloc(h, at(p, 300), part, true, 7));
	CHECK_EQ(*at(p, 299), 's');
	CHECK_EQ(mapped_npages(), 300);
	behind = take(h, at(p, 300), 400, false);
	CHECK(behind == at(p, 300));
	CHECK_EQ(*at(p, 500), 0);
	CHECK(!h->merge(h, p, part, behind, 400 * PAGE_NBYTES, true, 7));
	CHECK_EQ(*at(p, 299), 's');
	CHECK(!h->dalloc(h, at(p, 100), 600 * PAGE_NBYTES, true, 7));
	CHECK_EQ(mapped_npages(), 100);
	CHECK(!h->dalloc(h, p, 100 * PAGE_NBYTES, true, 7) && ends_well());
}

TEST(jemalloc_is_refused_an_address)
{
	extent_hooks_t *h = begin_hooks();
	char *p = take(h, NULL, 2 * SLOT_NPAGES, false);
	char *top;

	PLAN(2 + 3 * 3 + 1);
	top = slot_address((struct slot){umpa_core.window.nslots - 1});
	CHECK(!take(h, at(p, SLOT_NPAGES), SLOT_NPAGES, false)); /* in use */
	CHECK(!take(h, top, 2 * SLOT_NPAGES, false));            /* partly outside */
	CHECK(!take(h, (void *)0x10000000, SLOT_NPAGES, false)); /* all outside */
	CHECK(!h->dalloc(h, p, 2 * SLOT_NBYTES, true, 7) && ends_well());
}

TEST(jemalloc_does_not_grow_ahead)
{
	extent_hooks_t *h = begin_hooks();
	bool zero = false, commit = false;

	PLAN(3);
	CHECK(!h->alloc(h, NULL, SLOT_NBYTES, PAGE_NBYTES, &zero, &commit, 7));
	CHECK(!commit && !zero);
	CHECK(ends_well());
}

TEST(jemalloc_purges)
{
	extent_hooks_t *h = begin_hooks();
	char *p = take(h, NULL, SLOT_NPAGES, false);

	PLAN(2 + 13);
	fake_touch(p, SLOT_NBYTES);
	*at(p, 10) = *at(p, 20) = *at(p, 30) = 'p';
	CHECK(h->purge_lazy == NULL);
	CHECK(!h->purge_forced(h, p, SLOT_NBYTES, 10 * PAGE_NBYTES, 5 * PAGE_NBYTES, 7));
	CHECK(!h->decommit(h, p, SLOT_NBYTES, 20 * PAGE_NBYTES, 5 * PAGE_NBYTES, 7));
	CHECK(!h->commit(h, p, SLOT_NBYTES, 20 * PAGE_NBYTES, 5 * PAGE_NBYTES, 7));
	CHECK_EQ(fake_frame(at(p, 10)) + fake_frame(at(p, 24)), 0);
	CHECK_EQ(*at(p, 10) + *at(p, 20), 0);
	CHECK(fake_frame(at(p, 15)) && fake_frame(at(p, 25)));
	errno = EDOM;
	fake_fail_at(1, -EINVAL);
	CHECK(h->purge_forced(h, p, SLOT_NBYTES, 30 * PAGE_NBYTES, PAGE_NBYTES, 7));
	fake_fail_at(1, -EINVAL);
	CHECK(h->decommit(h, p, SLOT_NBYTES, 30 * PAGE_NBYTES, PAGE_NBYTES, 7));
	CHECK_EQ(*at(p, 30), 'p');
	CHECK_EQ(errno, EDOM);
	CHECK(!h->dalloc(h, p, SLOT_NBYTES, true, 7));
	CHECK(ends_well());
}

TEST(jemalloc_keeps_what_is_not_taken_back)
{
	extent_hooks_t *h = begin_hooks();
	char *p = take(h, NULL, 2 * SLOT_NPAGES, false);

	PLAN(2 + 6);
	CHECK_EQ(umpa_mprotect(at(p, 3), PAGE_NBYTES, PROT_READ), 0);
	errno = EDOM;
	fake_fail_at(1, -ENOMEM); /* making it ordinary */
	CHECK(h->dalloc(h, p, 2 * SLOT_NBYTES, true, 7));
	CHECK_EQ(errno, EDOM);
	CHECK_EQ(mapped_npages(), 2 * SLOT_NPAGES);
	h->destroy(h, p, 2 * SLOT_NBYTES, true, 7);
	CHECK_EQ(errno, EDOM);
	CHECK(ends_well());
}

static int take_and_give(extent_hooks_t *h)
{
	bool zero = true, commit = true;
	char *p = h->alloc(h, NULL, SLOT_NBYTES, SLOT_NBYTES, &zero, &commit, 7);
	int right = !p || (!*p && zero);

	fake_fail_at(0, 0);
	return right && (!p || !h->dalloc(h, p, SLOT_NBYTES, true, 7));
}

TEST(jemalloc_refused_anywhere)
{
	extent_hooks_t *h = begin_hooks();
	uint64_t ncalls;

	CHECK(take_and_give(h));
	ncalls = fake_ncalls();
	PLAN(2 + 2 * ncalls);
	CHECK(ncalls > 3);
	for (uint64_t n = 1; n <= ncalls; n++) {
		begin();
		fake_fail_from(n, -ENOMEM);
		CHECK(take_and_give(h));
		CHECK(ends_well());
	}
}

/* Behind what an arena gets there is never a part of another one's extent: jemalloc would merge the
 * two. */
TEST(jemalloc_keeps_arenas_apart)
{
	extent_hooks_t *h = begin_hooks();
	bool zero = false, commit = true;
	char *p = take(h, NULL, 100, false), *q;

	PLAN(2 + 7 + 2);
	CHECK(!h->dalloc(h, p, 40 * PAGE_NBYTES, true, 7));
	q = h->alloc(h, NULL, 40 * PAGE_NBYTES, PAGE_NBYTES, &zero, &commit, 8);
	CHECK(q && q != p);
	CHECK_EQ(mapped_npages(), 60 + 40);
	CHECK(!h->dalloc(h, q, 40 * PAGE_NBYTES, true, 8));
	q = h->alloc(h, NULL, 39 * PAGE_NBYTES, PAGE_NBYTES, &zero, &commit, 8);
	CHECK(q == p);
	CHECK_EQ(mapped_npages(), 60 + 39);
	CHECK(!h->dalloc(h, q, 39 * PAGE_NBYTES, true, 8));
	h->dalloc(h, at(p, 40), 60 * PAGE_NBYTES, true, 7);
	CHECK_EQ(mapped_npages(), 0);
	CHECK(ends_well());
}

/* While a fork holds the locks of umpa, none of the hooks waits for one. */
static void hooks_while_forking(void (*end)(void))
{
	extent_hooks_t *h = begin_hooks();
	char *p = take(h, NULL, SLOT_NPAGES, false), *q;

	umpa_fork_prepare();
	q = take(h, NULL, SLOT_NPAGES + 3, false);
	CHECK(q && !umpa_window_has(&umpa_core.window, q));
	CHECK(!take(h, at(p, SLOT_NPAGES), 1, false));
	CHECK(h->dalloc(h, p, SLOT_NBYTES, true, 7));
	CHECK(h->purge_forced(h, p, SLOT_NBYTES, 0, SLOT_NBYTES, 7));
	end();
	CHECK(!h->dalloc(h, p, SLOT_NBYTES, true, 7));
	CHECK(!h->dalloc(h, q, (SLOT_NPAGES + 3) * PAGE_NBYTES, true, 7));
	q = take(h, NULL, SLOT_NPAGES, false);
	CHECK(umpa_window_has(&umpa_core.window, q));
	CHECK(!h->dalloc(h, q, SLOT_NBYTES, true, 7));
	CHECK(ends_well());
}

TEST(jemalloc_is_not_held_up_by_a_fork)
{
	PLAN(2 * (4 * 2 + 9));
	hooks_while_forking(umpa_fork_parent);
	hooks_while_forking(umpa_fork_child);
}

#else
TEST(jemalloc_hooks)
{
	SKIP("libjemalloc-dev is not installed: the hooks are not compared with its header");
}
#endif
