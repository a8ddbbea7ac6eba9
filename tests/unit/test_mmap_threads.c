/* Mappings and threads on the fake OS: what the thread sanitizer is to see, content that no other
 * thread touches, and one mapping that several threads cut up. */
#include <string.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/fork.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/numbers.h"
#include "support/together.h"

enum {
	NTHREADS = 4,
	NMAPPINGS = 6,
	NROUNDS = 150,
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS
};

struct own {
	char *p;
	size_t npages;
};

static char *shared;

static char tag_of(const struct own *m, uint64_t seed)
{
	return (char)(1 + (m->npages + seed) % 100);
}

/* Whether the first and last byte of each page of interest are this thread's. */
static int is_own(const struct own *m, uint64_t seed)
{
	return m->p[8] == tag_of(m, seed) &&
	       m->p[(m->npages - 1) * PAGE_NBYTES + 8] == tag_of(m, seed);
}

/* Reserves it and opens it in two pieces, either way. */
static void *map_in_pieces(const struct own *m, struct numbers *numbers)
{
	size_t nbytes = m->npages * PAGE_NBYTES;
	size_t part = (1 + number_below(numbers, (uint32_t)m->npages - 1)) * PAGE_NBYTES;
	char *p = umpa_mmap(NULL, nbytes, PROT_NONE, ANON, -1, 0);

	if (p == MAP_FAILED || umpa_mprotect(p + part, nbytes - part, RW) ||
		umpa_mmap(p, part, RW, ANON | MAP_FIXED, -1, 0) != p)
		return MAP_FAILED;
	return p;
}

static int map_one(struct own *m, uint64_t seed, struct numbers *numbers)
{
	int zero;

	m->npages = 16 + number_below(numbers, 1500);
	if (number_below(numbers, 3))
		m->p = umpa_mmap(NULL, m->npages * PAGE_NBYTES, RW, ANON, -1, 0);
	else
		m->p = map_in_pieces(m, numbers);
	if (m->p == MAP_FAILED)
		return 0;
	zero = !m->p[8] && !m->p[(m->npages - 1) * PAGE_NBYTES + 8];
	m->p[8] = m->p[(m->npages - 1) * PAGE_NBYTES + 8] = tag_of(m, seed);
	return zero;
}

static uintptr_t end_one(struct own *m, uint64_t seed, struct numbers *numbers)
{
	size_t half = m->npages / 2 * PAGE_NBYTES;
	uintptr_t wrong = !is_own(m, seed);

	if (number_below(numbers, 2))
		wrong += umpa_mprotect(m->p, half, PROT_READ) != 0;
	/* The back first, and then no more than the front: what was the back is anybody's. */
	if (number_below(numbers, 2))
		wrong += umpa_munmap(m->p + half, m->npages * PAGE_NBYTES - half) != 0;
	else
		half = m->npages * PAGE_NBYTES;
	wrong += umpa_munmap(m->p, half) != 0;
	m->p = NULL;
	return wrong;
}

static void *map_and_end(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	struct numbers numbers = numbers_of_seed(seed);
	struct own own[NMAPPINGS] = {{NULL, 0}};
	uintptr_t wrong = 0;

	for (int i = 0; i < NROUNDS; i++) {
		struct own *m = &own[number_below(&numbers, NMAPPINGS)];

		if (m->p)
			wrong += end_one(m, seed, &numbers);
		else
			wrong += !map_one(m, seed, &numbers);
	}
	for (int i = 0; i < NMAPPINGS; i++)
		if (own[i].p)
			wrong += end_one(&own[i], seed, &numbers);
	return (void *)wrong;
}

/* Every fourth page of the shared mapping is this thread's to protect, write and end. */
static void *cut_up(void *arg)
{
	size_t mine = *(uint64_t *)arg % NTHREADS;
	uintptr_t wrong = 0;

	for (size_t i = mine; i < 2 * SLOT_NPAGES; i += NTHREADS) {
		char *page = shared + i * PAGE_NBYTES;

		wrong += umpa_mprotect(page, PAGE_NBYTES, PROT_NONE) != 0;
		wrong += umpa_mprotect(page, PAGE_NBYTES, RW) != 0;
		page[8] = 1;
		wrong += umpa_munmap(page, PAGE_NBYTES) != 0;
	}
	return (void *)wrong;
}

/* The same of a reservation, to open and close. */
static void *open_and_close(void *arg)
{
	size_t mine = *(uint64_t *)arg % NTHREADS;
	uintptr_t wrong = 0;

	for (size_t i = mine; i < 2 * SLOT_NPAGES; i += NTHREADS) {
		char *page = shared + i * PAGE_NBYTES;

		wrong += umpa_mprotect(page, PAGE_NBYTES, RW) != 0;
		page[8] = 1;
		wrong += umpa_mmap(page, PAGE_NBYTES, PROT_NONE, ANON | MAP_FIXED, -1, 0) != page;
		wrong += umpa_mmap(page, PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0) != page;
		wrong += page[8];
		wrong += umpa_munmap(page, PAGE_NBYTES) != 0;
	}
	return (void *)wrong;
}

static void *fork_phases(void *arg)
{
	(void)arg;
	for (int i = 0; i < NROUNDS; i++) {
		umpa_fork_prepare();
		umpa_fork_parent();
	}
	return NULL;
}

static uintptr_t run_all(void *(*fn)(void *), void *(*last)(void *))
{
	return together(NTHREADS, fn, last, 200);
}

static void begin(void)
{
	umpa_mapping_stop();
	umpa_core_stop();
	fake_reset();
	fake_threads(1);
	fake_machine.ncpus = 3;
}

static void end(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.mapping_nbytes, 0);
	CHECK(umpa_mapping_valid());
	CHECK(umpa_extents_valid(&umpa_core.space.extents));
	umpa_mapping_stop();
	umpa_core_stop();
	CHECK_EQ(fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes(), 0);
	fake_threads(0);
}

TEST(mmap_threads_keep_their_own)
{
	PLAN(5);
	begin();
	CHECK_EQ(run_all(map_and_end, map_and_end), 0);
	end();
}

TEST(mmap_threads_cut_one_mapping_up)
{
	PLAN(6);
	begin();
	shared = umpa_mmap(NULL, 2 * SLOT_NBYTES, RW, ANON, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	CHECK_EQ(run_all(cut_up, cut_up), 0);
	end();
}

TEST(mmap_threads_open_one_reservation)
{
	PLAN(6);
	begin();
	shared = umpa_mmap(NULL, 2 * SLOT_NBYTES, PROT_NONE, ANON, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	CHECK_EQ(run_all(open_and_close, open_and_close), 0);
	end();
}

TEST(mmap_threads_and_fork)
{
	PLAN(5);
	begin();
	CHECK_EQ(run_all(map_and_end, fork_phases), 0);
	end();
}
