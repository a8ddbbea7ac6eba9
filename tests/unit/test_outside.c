/* Blocks the kernel serves outside the window, on the fake OS. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/units.h"
#include "core/outside.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/numbers.h"

/* The table's first memory, and how many blocks fit into it. */
#define TABLE_NBYTES  (16 * PAGE_NBYTES)
#define TABLE_NBLOCKS (TABLE_NBYTES / 16)

static void begin(void)
{
	fake_reset();
}

/* Nothing may be left mapped. */
static int end(void)
{
	umpa_outside_stop();
	return fake_mapped_nbytes() == 0 && fake_nframes() == 0 && fake_consistent();
}

static char *alloc(size_t npages)
{
	return umpa_outside_alloc(npages, PAGE_NBYTES);
}

static struct umpa_outside_stats stats(void)
{
	struct umpa_outside_stats s;

	umpa_outside_stats(&s);
	return s;
}

TEST(outside_blocks_come_and_go)
{
	void *block = NULL;
	char *a, *b;

	PLAN(20);
	begin();
	CHECK_EQ(umpa_outside_free(&a), 0);
	a = alloc(3);
	b = alloc(1);
	REQUIRE(a && b);
	CHECK(!((uintptr_t)a % PAGE_NBYTES) && !((uintptr_t)b % PAGE_NBYTES));
	CHECK_EQ(fake_mapped_nbytes(), 4 * PAGE_NBYTES + TABLE_NBYTES);
	memset(a, 1, 3 * PAGE_NBYTES);
	CHECK_EQ(umpa_outside_npages(a), 3);
	CHECK_EQ(umpa_outside_npages(a + PAGE_NBYTES), 0);
	CHECK_EQ(umpa_outside_find(a, &block), 3);
	CHECK_EQ(umpa_outside_find(a + 3 * PAGE_NBYTES - 1, &block), 3);
	CHECK(block == a);
	CHECK_EQ(umpa_outside_find(b, &block), 1);
	CHECK(block == b);
	CHECK_EQ(umpa_outside_find(&a, &block), 0);
	CHECK(stats().nblocks == 2 && stats().npages == 4 && stats().nallocs == 2);
	CHECK_EQ(umpa_outside_free(a + PAGE_NBYTES), 0);
	CHECK_EQ(umpa_outside_free(a), 1);
	CHECK_EQ(umpa_outside_free(a), 0);
	CHECK_EQ(umpa_outside_npages(b), 1);
	CHECK_EQ(umpa_outside_free(b), 1);
	CHECK(stats().nblocks == 0 && stats().npages == 0 && stats().nallocs == 2);
	CHECK(end());
}

TEST(outside_blocks_are_aligned)
{
	unsigned nwrong = 0;

	PLAN(5);
	begin();
	for (size_t align = PAGE_NBYTES; align <= 16 * SLOT_NBYTES; align *= 2) {
		char *block = umpa_outside_alloc(5, align);

		nwrong += !block || (uintptr_t)block % align;
		nwrong += fake_mapped_nbytes() != 5 * PAGE_NBYTES + TABLE_NBYTES; /* ends given */
		nwrong += umpa_outside_npages(block) != 5;
		memset(block, 1, 5 * PAGE_NBYTES);
		nwrong += umpa_outside_free(block) != 1;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(umpa_outside_alloc(SIZE_MAX >> PAGE_SHIFT, 2 * PAGE_NBYTES) == NULL);
	CHECK(umpa_outside_alloc(PTRDIFF_MAX >> PAGE_SHIFT, (size_t)1 << 63) == NULL);
	CHECK_EQ(stats().nblocks, 0);
	CHECK(end());
}

TEST(outside_resizes_in_place_or_not)
{
	char *a;

	PLAN(10);
	begin();
	a = alloc(8);
	REQUIRE(a);
	strcpy(a, "kept");
	strcpy(a + 2 * PAGE_NBYTES, "kept too");
	CHECK(umpa_outside_resize(a, 3));
	CHECK_EQ(umpa_outside_npages(a), 3);
	CHECK_EQ(fake_mapped_nbytes(), 3 * PAGE_NBYTES + TABLE_NBYTES);
	CHECK(umpa_outside_resize(a, 8)); /* its own addresses are still free */
	CHECK(!umpa_outside_resize(a, 9));
	CHECK_EQ(umpa_outside_npages(a), 8);
	CHECK(!strcmp(a, "kept") && !strcmp(a + 2 * PAGE_NBYTES, "kept too"));
	CHECK(stats().nblocks == 1 && stats().npages == 8);
	umpa_outside_free(a);
	CHECK(end());
}

/* To unmap the end of what the kernel has merged takes a mapping more, which may not be had. */
TEST(outside_that_can_not_shrink_stays)
{
	char *a;

	PLAN(8);
	begin();
	a = alloc(8);
	REQUIRE(a);
	strcpy(a, "kept");
	a[3 * PAGE_NBYTES] = a[8 * PAGE_NBYTES - 1] = 'x';
	fake_fail_from(1, -ENOMEM);
	CHECK(umpa_outside_resize(a, 3));
	CHECK(umpa_outside_resize(a, 8));
	fake_fail_at(0, 0);
	CHECK(!strcmp(a, "kept"));
	CHECK(!a[3 * PAGE_NBYTES] && !a[8 * PAGE_NBYTES - 1]);
	CHECK_EQ(umpa_outside_npages(a), 8);
	CHECK_EQ(umpa_outside_free(a), 1);
	CHECK(end());
}

/* Each call refused in turn, and the block and everything else as before. */
TEST(outside_refusals_change_nothing)
{
	unsigned nwrong = 0, nrefused = 0;

	PLAN(3);
	for (uint64_t n = 1; n <= 6; n++) {
		size_t mapped, npages;
		char *a;

		begin();
		fake_fail_at(n, -ENOMEM);
		a = alloc(4);
		nrefused += !a;
		nwrong += !a && stats().nblocks;
		nwrong += fake_mapped_nbytes() !=
			  stats().npages * PAGE_NBYTES + (n == 1 || n == 2 ? 0 : TABLE_NBYTES);
		fake_fail_at(0, 0);
		a = a ? a : alloc(4);
		strcpy(a, "kept");
		nwrong += !umpa_outside_resize(a, 2);
		mapped = fake_mapped_nbytes();
		fake_fail_from(n, -ENOMEM);
		npages = umpa_outside_resize(a, 4) ? 4 : 2;
		nrefused += npages == 2;
		nwrong += fake_mapped_nbytes() != mapped + (npages - 2) * PAGE_NBYTES;
		nwrong += strcmp(a, "kept") || umpa_outside_npages(a) != npages;
		nwrong += stats().nblocks != 1 || stats().npages != npages;
		nwrong += umpa_outside_free(a) != 1 || !end();
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(nrefused, 2 + 1); /* map and the table; remap */
	CHECK(end());
}

/* --- many --------------------------------------------------------------------------------- */

enum {
	NBLOCKS = 4500
};

static char *blocks[NBLOCKS];

/* More than the first table holds; freed in another order. */
TEST(outside_table_grows)
{
	unsigned nwrong = 0;

	PLAN(4);
	begin();
	for (size_t i = 0; i < NBLOCKS; i++) {
		blocks[i] = alloc(1 + i % 3);
		nwrong += !blocks[i];
	}
	CHECK_EQ(stats().nblocks, NBLOCKS);
	CHECK_EQ(fake_mapped_nbytes(), (size_t)NBLOCKS * 2 * PAGE_NBYTES + 2 * TABLE_NBYTES);
	for (size_t k = 0; k < NBLOCKS; k++) {
		size_t i = k * 7919 % NBLOCKS;

		nwrong += umpa_outside_npages(blocks[i]) != 1 + i % 3;
		nwrong += umpa_outside_free(blocks[i]) != 1;
		nwrong += umpa_outside_npages(blocks[i]) != 0;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(end());
}

/* The table is full and can't grow: refused, and the table is whole. */
TEST(outside_full_table_refuses)
{
	unsigned nwrong = 0;

	PLAN(6);
	begin();
	for (size_t i = 0; i < TABLE_NBLOCKS; i++)
		blocks[i] = alloc(1);
	fake_fail_at(2, -ENOMEM); /* the block's mapping comes first */
	CHECK(alloc(1) == NULL);
	CHECK_EQ(stats().nblocks, TABLE_NBLOCKS);
	CHECK_EQ(fake_mapped_nbytes(), TABLE_NBLOCKS * PAGE_NBYTES + TABLE_NBYTES);
	blocks[TABLE_NBLOCKS] = alloc(1);
	CHECK(blocks[TABLE_NBLOCKS]);
	for (size_t i = 0; i <= TABLE_NBLOCKS; i++)
		nwrong += umpa_outside_free(blocks[i]) != 1;
	CHECK_EQ(nwrong, 0);
	CHECK(end());
}

/* --- random operations -------------------------------------------------------------------- */

enum {
	NLIVE = 64
};

static struct live {
	char *at;
	size_t npages, tag;
} live[NLIVE];
static size_t next_tag;

static int tagged(const struct live *l, size_t npages)
{
	for (size_t p = 0; p < npages && p < l->npages; p++)
		if (memcmp(l->at + p * PAGE_NBYTES, &l->tag, sizeof(l->tag)) != 0)
			return 0;
	return 1;
}

static void tag(struct live *l)
{
	l->tag = ++next_tag;
	for (size_t p = 0; p < l->npages; p++)
		memcpy(l->at + p * PAGE_NBYTES, &l->tag, sizeof(l->tag));
}

static int resize_live(struct live *l, size_t npages)
{
	if (!umpa_outside_resize(l->at, npages))
		return npages > l->npages;
	if (!tagged(l, npages))
		return 0;
	l->npages = npages;
	tag(l);
	return 1;
}

/* Whatever page of whatever block is asked about. */
static int looks_right(const struct live *l, size_t page)
{
	void *block = NULL;

	if (umpa_outside_find(l->at + page * PAGE_NBYTES + page, &block) != l->npages)
		return 0;
	return block == l->at && umpa_outside_npages(l->at) == l->npages && tagged(l, l->npages);
}

static int step(struct numbers *numbers)
{
	struct live *l = &live[number_below(numbers, NLIVE)];
	size_t npages = number_up_to(numbers, 40);
	size_t align = PAGE_NBYTES << (number_below(numbers, 4) ? 0 : number_below(numbers, 8));

	if (!l->at) {
		l->at = umpa_outside_alloc(npages, align);
		l->npages = npages;
		tag(l);
		return !((uintptr_t)l->at % align);
	}
	if (!looks_right(l, number_below(numbers, (uint32_t)l->npages)))
		return 0;
	if (number_below(numbers, 2))
		return resize_live(l, npages);
	if (!umpa_outside_free(l->at) || umpa_outside_npages(l->at))
		return 0;
	l->at = NULL;
	return 1;
}

TEST(outside_random_operations_keep_every_block)
{
	struct numbers numbers = numbers_of_seed(3);
	size_t nwrong = 0, npages = 0, nblocks = 0;

	PLAN(4);
	begin();
	for (uint64_t n = check_times(6000); n-- && !nwrong;)
		nwrong += !step(&numbers);
	for (int i = 0; i < NLIVE; i++)
		if (live[i].at) {
			npages += live[i].npages;
			nblocks++;
		}
	CHECK_EQ(nwrong, 0);
	CHECK(stats().npages == npages && stats().nblocks == nblocks);
	for (int i = 0; i < NLIVE; i++)
		if (live[i].at)
			nwrong += !looks_right(&live[i], 0) || !umpa_outside_free(live[i].at);
	CHECK_EQ(nwrong, 0);
	CHECK(end());
}

/* --- threads ------------------------------------------------------------------------------ */

enum {
	NTHREADS = 4,
	NROUNDS = 1000
};

static void *come_and_go(void *arg)
{
	size_t *nwrong = arg;

	for (size_t i = 0; i < NROUNDS; i++) {
		char *block = alloc(2);

		if (!block) {
			++*nwrong;
			continue;
		}
		block[1] = 1;
		if (i % 2)
			*nwrong += !umpa_outside_resize(block, 1);
		*nwrong += block[1] != 1;
		*nwrong += umpa_outside_npages(block) != 2 - i % 2;
		*nwrong += umpa_outside_free(block) != 1;
	}
	return NULL;
}

TEST(outside_serves_threads)
{
	pthread_t threads[NTHREADS];
	size_t nwrong[NTHREADS] = {0}, sum = 0;

	PLAN(3);
	begin();
	fake_threads(1);
	for (int i = 0; i < NTHREADS; i++)
		pthread_create(&threads[i], NULL, come_and_go, &nwrong[i]);
	for (int i = 0; i < NTHREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += nwrong[i];
	}
	fake_threads(0);
	CHECK_EQ(sum, 0);
	CHECK_EQ(stats().nblocks, 0);
	CHECK(end());
}

/* Between the two phases another thread waits; afterwards the table works as before. */
static void *free_one(void *block)
{
	umpa_outside_free(block);
	return NULL;
}

TEST(outside_waits_while_the_process_forks)
{
	pthread_t thread;
	char *a;

	PLAN(4);
	begin();
	a = alloc(1);
	REQUIRE(a);
	umpa_outside_lock();
	pthread_create(&thread, NULL, free_one, a);
	sched_yield();
	/* Still mapped: the thread can't have got at the table. */
	CHECK_EQ(fake_mapped_nbytes(), PAGE_NBYTES + TABLE_NBYTES);
	umpa_outside_unlock();
	pthread_join(thread, NULL);
	CHECK_EQ(stats().nblocks, 0);
	CHECK(end());
}
