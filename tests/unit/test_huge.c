/*
 * Huge pages behind glibc's heap, on the fake OS: the heap is a range of it whose end the test
 * moves, the engine one that notes what it is told.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/core.h"
#include "heap/heap.h"
#include "heap/huge.h"
#include "heap/learn.h"
#include "support/check.h"
#include "support/fake_os.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

/* What glibc has of itself, and mallopt's numbers. */
#define OWN_NBYTES (128 * KIB)
enum {
	TRIM_THRESHOLD = -1,
	TOP_PAD = -2
};

/* --- the engine ----------------------------------------------------------------------------- */

static struct {
	struct umpa_engine is; /* but for its functions */
	int tuned, huge;
	size_t pad, threshold; /* 0: not told */
	unsigned nmallopts, nasked;
	int stops; /* another thread does, before mallopt has its effect */
	enum umpa_consent consent;
} engine;

static void *engine_malloc(size_t nbytes)
{
	engine.nasked++;
	return malloc(nbytes);
}

static void *engine_calloc(size_t n, size_t each)
{
	engine.nasked++;
	return calloc(n, each);
}

static void *engine_realloc(void *p, size_t nbytes)
{
	engine.nasked++;
	return realloc(p, nbytes);
}

static size_t engine_usable_size(void *p)
{
	return p ? 100 : 0;
}

static int engine_mallopt(int param, int value)
{
	engine.nmallopts++;
	errno = EAGAIN;
	if (engine.stops) {
		engine.stops = 0;
		umpa_huge_stop();
	}
	if (param == TOP_PAD)
		engine.pad = (size_t)value;
	if (param == TRIM_THRESHOLD)
		engine.threshold = (size_t)value;
	return 1;
}

int umpa_host_find_engine(struct umpa_engine *out)
{
	*out = engine.is;
	out->malloc = engine_malloc;
	out->calloc = engine_calloc;
	out->realloc = engine_realloc;
	out->free = free;
	out->posix_memalign = posix_memalign;
	out->aligned_alloc = out->memalign = aligned_alloc;
	out->usable_size = engine_usable_size;
	out->mallopt = engine_mallopt;
	return 1;
}

int umpa_host_tunes_engine(void)
{
	return engine.tuned;
}

int umpa_host_has_huge_heap(void)
{
	return engine.huge;
}

enum umpa_consent umpa_host_consent(void)
{
	return engine.consent;
}

/* --- the heap ------------------------------------------------------------------------------- */

#define HEAP_NBYTES ((size_t)256 << 20)

static char *heap;
static uintptr_t used; /* up to here */
static size_t skipped; /* one page of so many is not written to; 0: all are */

/* A process's beginning. */
static void begin(void)
{
	void *addr = NULL;

	umpa_huge_stop();
	fake_reset();
	umpa_engine = (struct umpa_engine)UMPA_ENGINE_UNKNOWN;
	umpa_heap_min = umpa_heap_plain = 0;
	umpa_heap_had_first = 1;
	umpa_learn_noted = umpa_learn_taught = LEARN_NBYTES_MIN;
	memset(&engine, 0, sizeof(engine));
	engine.consent = UMPA_CONSENT_GIVEN;
	engine.is.measures = engine.is.learns = engine.is.breaks = 1;
	REQUIRE(!umpa_os_reserve(HEAP_NBYTES, &addr));
	REQUIRE(!umpa_os_open(addr, HEAP_NBYTES));
	heap = addr;
	fake_break = (uintptr_t)heap + 7 * PAGE_NBYTES; /* begins anywhere */
	used = fake_break;
	skipped = 0;
}
enum {
	BEGIN_CHECKS = 2
};

static size_t heap_nbytes(void)
{
	return fake_break - ((uintptr_t)heap + 7 * PAGE_NBYTES);
}

static void use(void)
{
	for (; used < fake_break; used += PAGE_NBYTES)
		if (!skipped || used / PAGE_NBYTES % skipped)
			fake_touch((void *)used, 1);
}

/* As glibc raises the break for a small block, when all that it has is used. It writes to the first
 * page. */
static void grow(void)
{
	use();
	fake_touch((void *)fake_break, 1);
	fake_break += (engine.pad ? engine.pad : OWN_NBYTES) + PAGE_NBYTES;
	umpa_huge_look();
}

static void grow_to(size_t nbytes)
{
	while (heap_nbytes() < nbytes)
		grow();
}

static int ends_superpage(uintptr_t at)
{
	return at % SLOT_NBYTES == 0;
}

/* The end of the heap is in huge pages: its last superpage gets all its frames at once. */
static int huge_at(uintptr_t superpage)
{
	size_t before = fake_nframes();

	fake_touch((void *)superpage, 1);
	return fake_nframes() - before == SLOT_NPAGES;
}

/* A heap with its first huge pages. Result: where they end. */
static uintptr_t stepped(void)
{
	begin();
	umpa_heap_start();
	grow_to(HUGE_HEAP_NBYTES_MIN);
	grow();
	return fake_break;
}

/* Nothing is told, and small requests go straight to the engine, however large the heap. */
static int left_alone(void)
{
	umpa_heap_start();
	grow_to(3 * HUGE_HEAP_NBYTES_MIN);
	return !engine.nmallopts && umpa_heap_plain == umpa_heap_min && !umpa_huge_at;
}

/* --- the tests ------------------------------------------------------------------------------ */

TEST(huge_small_heap_is_what_it_was)
{
	PLAN(BEGIN_CHECKS + 4);
	begin();
	umpa_heap_start();
	grow_to(HUGE_HEAP_NBYTES_MIN - 2 * OWN_NBYTES);
	CHECK_EQ(engine.nmallopts, 0);
	CHECK_EQ(fake_ncalls_of("advise_huge"), 0);
	CHECK_EQ(umpa_heap_min, 64 * KIB);
	CHECK(umpa_heap_plain && umpa_heap_plain < 4 * KIB);
}

/* Once it is large it grows by steps that end with a superpage, each advised when it is there. */
TEST(huge_large_heap_has_huge_pages)
{
	uintptr_t end, before;

	PLAN(BEGIN_CHECKS + 14);
	begin();
	umpa_heap_start();
	grow_to(HUGE_HEAP_NBYTES_MIN);
	CHECK(engine.pad >= 6 * MIB && engine.pad <= 8 * MIB);
	CHECK_EQ(engine.threshold, engine.pad + OWN_NBYTES);
	CHECK_EQ(umpa_heap_plain, 0);
	CHECK_EQ(fake_ncalls_of("advise_huge"), 0);
	before = fake_break;
	errno = EDOM;
	grow();
	CHECK_EQ(errno, EDOM);
	CHECK(ends_superpage(fake_break));
	CHECK_EQ(fake_ncalls_of("advise_huge"), 1);
	CHECK(huge_at(fake_break - SLOT_NBYTES));
	CHECK(!huge_at(before - SLOT_NBYTES));
	end = fake_break;
	grow();
	CHECK(ends_superpage(fake_break) && fake_break - end >= 8 * MIB);
	CHECK(!huge_at(end) && huge_at(end + SLOT_NBYTES) && huge_at(fake_break - SLOT_NBYTES));
	/* A quarter of what there is, at most 32 MiB. */
	grow_to(140 * MIB);
	CHECK_EQ(engine.pad, 32 * MIB - PAGE_NBYTES);
	/* Nothing new, nothing told. */
	before = engine.nmallopts;
	umpa_huge_look();
	CHECK_EQ(engine.nmallopts, before);
	CHECK_EQ(engine.threshold, engine.pad + OWN_NBYTES);
}

/* A program that writes to little of what it allocates has base pages, as long as it does. */
TEST(huge_sparse_heap)
{
	uintptr_t at;

	PLAN(BEGIN_CHECKS + 7);
	begin();
	umpa_heap_start();
	skipped = 2;
	grow_to(HUGE_HEAP_NBYTES_MIN);
	for (int i = 0; i < 3; i++)
		grow();
	CHECK(ends_superpage(fake_break));
	CHECK_EQ(fake_ncalls_of("advise_huge"), 0);
	skipped = 9;
	grow();
	grow();
	CHECK(huge_at(fake_break - SLOT_NBYTES));
	/* Of a step in huge pages its first superpage tells, which has none. */
	skipped = 7;
	use();
	skipped = 0;
	grow();
	CHECK(!huge_at(fake_break - SLOT_NBYTES));
	/* What can't be told is what it was. */
	use();
	fake_fail_at(1, -EPERM);
	grow();
	CHECK(!huge_at(fake_break - SLOT_NBYTES));
	grow();
	CHECK(huge_at(fake_break - SLOT_NBYTES));
	/* Nor of a few pages, where the heap has come down. */
	skipped = 2;
	use();
	skipped = 0;
	at = fake_break;
	grow();
	fake_break = used = at + PAGE_NBYTES;
	umpa_huge_look();
	grow();
	grow();
	CHECK(ends_superpage(fake_break) && !huge_at(fake_break - SLOT_NBYTES));
}

/* What the heap has ahead goes back, too, when its end does. */
TEST(huge_heap_that_shrinks)
{
	uintptr_t end;

	PLAN(BEGIN_CHECKS + 5);
	end = stepped();
	fake_break = end - 3 * MIB - 5 * PAGE_NBYTES;
	umpa_huge_look();
	CHECK_EQ(engine.pad, OWN_NBYTES);
	CHECK_EQ(engine.threshold, OWN_NBYTES);
	grow();
	CHECK(engine.pad > MIB);
	grow();
	CHECK(ends_superpage(fake_break) && huge_at(fake_break - SLOT_NBYTES));
	/* Below what is large it is as glibc has it. */
	fake_break = (uintptr_t)heap + MIB;
	umpa_huge_look();
	grow();
	CHECK_EQ(engine.pad, OWN_NBYTES);
}

/* A step is a mapping: a heap that grows by little each time it has been large has not any number.
 */
TEST(huge_heap_of_many_steps)
{
	uintptr_t at;

	PLAN(BEGIN_CHECKS + 3);
	stepped();
	for (int i = 0; i < 1200; i++) {
		grow();
		at = fake_break;
		grow();
		fake_break = used = at + PAGE_NBYTES;
		umpa_huge_look();
	}
	CHECK_EQ(fake_ncalls_of("advise_huge"), 1024);
	/* Those that are gone don't count. */
	fake_break = used = (uintptr_t)heap + 60 * MIB;
	umpa_huge_look();
	grow();
	grow();
	CHECK(ends_superpage(fake_break));
	CHECK_EQ(fake_ncalls_of("advise_huge"), 1025);
}

TEST(huge_threshold_that_was_learnt)
{
	PLAN(BEGIN_CHECKS + 3);
	stepped();
	umpa_heap_free(umpa_heap_malloc(MIB));
	CHECK_EQ(engine.threshold, 2 * MIB + engine.pad);
	grow();
	CHECK_EQ(engine.threshold, 2 * MIB + engine.pad);
	fake_break -= MIB;
	umpa_huge_look();
	CHECK_EQ(engine.threshold, 2 * MIB);
	umpa_core_stop();
}

/* Small requests look at the heap, and are the engine's all the same. */
TEST(huge_heap_is_looked_at)
{
	void *p, *page;
	size_t before;

	PLAN(BEGIN_CHECKS + 10);
	begin();
	p = umpa_heap_malloc(10);
	before = umpa_huge_seen;
	fake_break += OWN_NBYTES;
	p = umpa_heap_realloc(p, 20);
	CHECK(umpa_huge_seen == before);
	p = umpa_heap_realloc(p, 2 * KIB);
	CHECK(umpa_huge_seen == fake_break);
	umpa_heap_free(p);
	/* A block that begins at a page. */
	page = aligned_alloc(PAGE_NBYTES, PAGE_NBYTES);
	fake_break += OWN_NBYTES;
	umpa_heap_free(page);
	CHECK(umpa_huge_seen == fake_break);
	fake_break += OWN_NBYTES;
	umpa_heap_free(umpa_heap_malloc(MIB));
	CHECK(umpa_huge_seen == fake_break);
	engine.nmallopts = 0;

	grow_to(HUGE_HEAP_NBYTES_MIN);
	engine.nasked = 0;
	fake_break += engine.pad;
	p = umpa_heap_malloc(10);
	CHECK(umpa_huge_seen == fake_break);
	fake_break += engine.pad;
	umpa_heap_free(umpa_heap_calloc(2, 10));
	CHECK(umpa_huge_seen == fake_break);
	fake_break += engine.pad;
	p = umpa_heap_realloc(p, 20);
	umpa_heap_free(p);
	CHECK(umpa_huge_seen == fake_break);
	CHECK_EQ(engine.nasked, 3);
	fake_break += engine.pad;
	umpa_heap_free(umpa_heap_aligned_alloc(64, 64));
	CHECK(umpa_huge_seen == fake_break);
	fake_break += engine.pad;
	CHECK(!umpa_heap_posix_memalign(&p, 64, 64) && umpa_huge_seen == fake_break);
	umpa_heap_free(p);
	umpa_core_stop();
}

/* The program wants memory, or has numbers of its own: all is as it would have been. */
TEST(huge_stops_for_good)
{
	uintptr_t end;
	uint64_t nadvised;

	PLAN(BEGIN_CHECKS + 9);
	end = stepped();
	errno = EDOM;
	CHECK(umpa_huge_stop());
	CHECK_EQ(errno, EDOM);
	CHECK_EQ(engine.pad, OWN_NBYTES);
	CHECK_EQ(engine.threshold, OWN_NBYTES);
	CHECK_EQ(umpa_heap_plain, 64 * KIB);
	CHECK(!huge_at(end - SLOT_NBYTES));
	engine.nmallopts = 0;
	nadvised = fake_ncalls_of("advise_huge");
	grow_to(100 * MIB);
	CHECK_EQ(engine.nmallopts, 0);
	CHECK_EQ(fake_ncalls_of("advise_huge"), nadvised);
	umpa_huge_stop();
	CHECK_EQ(engine.nmallopts, 0);
}

/* A limit may be set where the engine must not be called: the next request does. */
TEST(huge_stops_soon)
{
	uintptr_t end;

	PLAN(2 * BEGIN_CHECKS + 9);
	end = stepped();
	engine.nmallopts = 0;
	umpa_huge_stop_soon();
	CHECK_EQ(engine.nmallopts, 0);
	errno = EDOM;
	umpa_heap_free(umpa_heap_malloc(10));
	CHECK_EQ(errno, EDOM);
	CHECK_EQ(engine.pad, OWN_NBYTES);
	CHECK_EQ(engine.threshold, OWN_NBYTES);
	CHECK_EQ(umpa_heap_plain, 64 * KIB);
	CHECK(!huge_at(end - SLOT_NBYTES));
	CHECK(!umpa_huge_stop());
	/* Before it is large, too. */
	begin();
	umpa_heap_start();
	umpa_huge_stop_soon();
	umpa_heap_free(umpa_heap_malloc(2 * KIB));
	CHECK(!umpa_huge_at);
	CHECK_EQ(engine.nmallopts, 0);
}

/* One thread has decided on a step when another stops. */
TEST(huge_stops_in_between)
{
	PLAN(2 * (BEGIN_CHECKS + 4));
	for (int later = 0; later < 2; later++) {
		begin();
		umpa_heap_start();
		if (later)
			grow_to(HUGE_HEAP_NBYTES_MIN);
		engine.stops = 1;
		grow_to(2 * HUGE_HEAP_NBYTES_MIN);
		CHECK_EQ(engine.stops, 0);
		CHECK_EQ(engine.pad, OWN_NBYTES);
		CHECK_EQ(engine.threshold, OWN_NBYTES);
		CHECK_EQ(umpa_heap_plain, 64 * KIB);
	}
}

TEST(huge_stops_when_the_program_tunes_the_heap)
{
	PLAN(BEGIN_CHECKS + 3);
	stepped();
	CHECK_EQ(umpa_heap_mallopt(TOP_PAD, 5 * MIB), 1);
	CHECK_EQ(engine.pad, 5 * MIB);
	grow();
	CHECK_EQ(engine.pad, 5 * MIB);
}

TEST(huge_leaves_other_heaps_alone)
{
	static const char *const why[] = {"no libc's", "has huge pages", "tuned", "not told",
		"strict commit", "address space limited", "break not shown", "no consent",
		"confined"};
	enum {
		NCASES = sizeof(why) / sizeof(why[0])
	};

	PLAN(NCASES * (BEGIN_CHECKS + 1));
	for (int i = 0; i < NCASES; i++) {
		begin();
		engine.is.breaks = i != 0;
		engine.huge = i == 1;
		engine.tuned = i == 2;
		engine.is.learns = i != 3;
		fake_machine.strict_commit = i == 4;
		if (i == 5)
			fake_machine.as_limit_nbytes = (size_t)64 << 30;
		fake_break_hidden = i == 6;
		if (i == 8)
			umpa_os_confine();
		if (i == 7)
			engine.consent = UMPA_CONSENT_NEVER;
		CHECK(left_alone() || (printf("# %s\n", why[i]), 0));
	}
}

/* A program that raises the break by itself may have plans of its own for what is there. */
TEST(huge_break_moved_by_the_program)
{
	uintptr_t end;

	PLAN(BEGIN_CHECKS + 7);
	end = stepped();
	use();
	fake_break += 40 * MIB;
	umpa_huge_look();
	CHECK(!huge_at((end + 20 * MIB) & ~(SLOT_NBYTES - 1)));
	end = used = fake_break;
	grow();
	CHECK(ends_superpage(fake_break) && huge_at(fake_break - SLOT_NBYTES));
	CHECK(!huge_at((end - 4 * MIB) & ~(SLOT_NBYTES - 1)));
	CHECK_EQ(fake_ncalls_of("advise_huge"), 2);
	/* By less than glibc would, and so that it is no page's end. */
	use();
	fake_break += MIB + 100;
	umpa_huge_look();
	CHECK_EQ(fake_ncalls_of("advise_huge"), 2);
	use();
	grow();
	CHECK_EQ(fake_ncalls_of("advise_huge"), 3);
	CHECK(huge_at((fake_break & ~(SLOT_NBYTES - 1)) - SLOT_NBYTES));
}

/* libc has not asked where its heap begins. */
TEST(huge_heap_that_has_not_begun)
{
	uintptr_t first;

	PLAN(BEGIN_CHECKS + 2);
	begin();
	first = fake_break;
	fake_break = 0;
	umpa_heap_start();
	umpa_huge_look();
	fake_break = first + 20 * MIB;
	umpa_huge_look();
	CHECK_EQ(engine.nmallopts, 0);
	fake_break = first + 45 * MIB;
	umpa_huge_look();
	CHECK(engine.pad > MIB);
}

/* Advice is a hint. */
TEST(huge_advice_is_refused)
{
	PLAN(BEGIN_CHECKS + 2);
	stepped();
	use();
	fake_fail_from(1, -EINVAL);
	errno = EDOM;
	grow();
	CHECK_EQ(errno, EDOM);
	CHECK(ends_superpage(fake_break));
	fake_fail_from(0, 0);
}

TEST(huge_retires_with_umpa)
{
	PLAN(BEGIN_CHECKS + 3);
	stepped();
	umpa_heap_retire();
	CHECK_EQ(engine.pad, OWN_NBYTES);
	CHECK(umpa_heap_min == SIZE_MAX && umpa_heap_plain == SIZE_MAX);
	CHECK(!umpa_huge_at);
}
