/* System V's shared memory over pages of the window, on the fake OS: which pages a segment has,
 * what its end leaves, and what a refusal does. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/owns.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/pages.h"
#include "support/check.h"
#include "support/fake_mmap.h"
#include "support/fake_os.h"

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	NPAGES = 20, /* of what is mapped */
	NSEG = 6     /* of the segment */
};

static char *at(char *p, size_t page)
{
	return p + page * PAGE_NBYTES;
}

static char *map(size_t npages)
{
	return umpa_mmap(NULL, npages * PAGE_NBYTES, RW, ANON, -1, 0);
}

/* NPAGES that are mapped, each with an 'x'. */
static char *begin(void)
{
	char *p;

	fake_mmap_begin();
	fake_segment_nbytes = NSEG * PAGE_NBYTES;
	p = map(NPAGES);
	for (size_t i = 0; i < NPAGES; i++)
		*at(p, i) = 'x';
	return p;
}

static int refused(int failed, int error)
{
	int is = failed && errno == error;

	errno = 0;
	return is;
}

static int attaches(char *addr, int flags)
{
	return umpa_mm_attach(1, addr, flags) == (void *)addr;
}

static int attaches_not(int id, char *addr, int flags, int error)
{
	return refused(umpa_mm_attach(id, addr, flags) == (void *)-1, error);
}

static int detaches_not(const char *addr)
{
	return refused(umpa_mm_detach(addr), EINVAL);
}

/* How many of the pages are something other than the window's own. */
static size_t count_odd(char *p, size_t npages)
{
	size_t n = 0;

	for (size_t i = 0; i < npages; i++)
		n += fake_oddity(at(p, i)) != 0;
	return n;
}

/* How many from p on are somebody's. */
static size_t count_mapped(char *p)
{
	size_t first = (size_t)(p - (char *)page_address((struct slot){0}, 0)) >> PAGE_SHIFT;

	return umpa_mapping_reach(first, first + NPAGES) - first;
}

/* Ends what is left. */
static int ends_well(char *p)
{
	return !umpa_munmap(p, NPAGES * PAGE_NBYTES) && !count_odd(p, NPAGES) &&
	       fake_mmap_ends_well();
}

TEST(shm_is_attached_and_detached)
{
	char *p = begin();

	PLAN(11);
	CHECK(attaches_not(1, at(p, 2), 0, EINVAL)); /* somebody has it */
	CHECK_EQ(fake_ncalls_of("attach"), 0);
	CHECK(attaches(at(p, 2), SHM_REMAP));
	CHECK_EQ(count_odd(p, NPAGES), NSEG);
	CHECK(*at(p, 1) == 'x' && !*at(p, 2) && *at(p, 2 + NSEG) == 'x');
	CHECK(detaches_not(p) && detaches_not(at(p, 3)));
	CHECK_EQ(umpa_mm_detach(at(p, 2)), 0);
	CHECK(detaches_not(at(p, 2)));
	CHECK(!count_odd(p, NPAGES) && count_mapped(p) == 2 && !count_mapped(at(p, 1 + NSEG)));
	CHECK_EQ(fake_ncalls_of("detach"), 0);
	CHECK(ends_well(p));
}

TEST(shm_is_attached_where_nothing_is)
{
	char *p = begin();

	PLAN(9);
	CHECK_EQ(umpa_munmap(at(p, 4), (NSEG + 1) * PAGE_NBYTES), 0);
	CHECK(attaches_not(1, at(p, 3), 0, EINVAL) && attaches_not(1, at(p, 6), 0, EINVAL));
	CHECK(attaches_not(-1, at(p, 4), 0, EINVAL));
	CHECK(attaches(at(p, 4), 0));
	CHECK_EQ(count_odd(at(p, 4), NSEG), NSEG);
	CHECK(attaches_not(1, at(p, 4), 0, EINVAL));
	CHECK_EQ(umpa_mm_detach(at(p, 4)), 0);
	CHECK_EQ(count_mapped(p), 4);
	CHECK(ends_well(p));
}

TEST(shm_addresses)
{
	char *p = begin(), *end = at(page_address((struct slot){0}, 0), 0) +
				  umpa_core.window.nbytes - PAGE_NBYTES;
	char *base = page_address((struct slot){0}, 0), *other;

	PLAN(9);
	CHECK(attaches_not(1, p + 1, SHM_REMAP, EINVAL));
	CHECK(umpa_mm_attach(1, at(p, 1) + 7, SHM_RND | SHM_REMAP) == at(p, 1));
	CHECK_EQ(umpa_mm_detach(at(p, 1)), 0);
	/* Across an edge of the window. */
	CHECK(attaches_not(1, end, SHM_REMAP, EINVAL));
	CHECK(attaches_not(1, base - PAGE_NBYTES, SHM_REMAP, EINVAL));
	/* Wherever there is room: the kernel's. */
	other = umpa_mm_attach(1, NULL, 0);
	CHECK(other != (char *)-1 && !umpa_in_window(other));
	CHECK_EQ(umpa_mm_detach(other), 0);
	CHECK_EQ(fake_ncalls_of("detach"), 1);
	CHECK(ends_well(p));
}

TEST(shm_that_may_only_be_read)
{
	char *p = begin();

	PLAN(5);
	CHECK(attaches(p, SHM_REMAP | SHM_RDONLY));
	CHECK_EQ(fake_oddity(p), FAKE_ODD | FAKE_GUARDED);
	CHECK_EQ(umpa_mm_detach(p), 0);
	CHECK_EQ(fake_oddity(p), 0);
	CHECK(ends_well(p));
}

/* What is unmapped or mapped over is no more the segment's. */
TEST(shm_in_pieces)
{
	char *p = begin();

	PLAN(9);
	CHECK(attaches(p, SHM_REMAP));
	CHECK_EQ(umpa_munmap(p, PAGE_NBYTES), 0);
	CHECK(umpa_mmap(at(p, 2), PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0) == at(p, 2));
	CHECK(umpa_mmap(at(p, 4), PAGE_NBYTES, PROT_NONE, ANON | MAP_FIXED, -1, 0) == at(p, 4));
	*at(p, 2) = 'y';
	CHECK_EQ(umpa_mprotect(at(p, 3), PAGE_NBYTES, PROT_READ), 0);
	CHECK_EQ(umpa_mm_detach(p), 0);
	CHECK(*at(p, 2) == 'y' && !count_mapped(at(p, 1)) && count_mapped(at(p, 2)) == 1 &&
		!count_mapped(at(p, 3)) && count_mapped(at(p, 4)) == 1);
	CHECK(detaches_not(p));
	CHECK(ends_well(p));
}

/* Two that begin at one address: as the kernel does, the one with the lowest page first. */
TEST(shm_over_shm)
{
	char *p = begin();

	PLAN(10);
	CHECK(attaches(p, SHM_REMAP));
	fake_segment_nbytes = 2 * PAGE_NBYTES;
	CHECK(attaches(p, SHM_REMAP));
	CHECK(attaches(at(p, 3), SHM_REMAP));
	CHECK_EQ(umpa_mm_detach(p), 0);
	CHECK_EQ(count_odd(p, NPAGES), NSEG - 2);
	CHECK_EQ(umpa_mm_detach(p), 0);
	CHECK_EQ(count_odd(p, NPAGES), 2);
	CHECK(detaches_not(p));
	CHECK_EQ(umpa_mm_detach(at(p, 3)), 0);
	CHECK(ends_well(p));
}

static char *move_to(char *from, size_t npages, char *to, int more)
{
	return umpa_mremap(from, npages * PAGE_NBYTES, npages * PAGE_NBYTES,
		MREMAP_MAYMOVE | (to ? MREMAP_FIXED : 0) | more, to);
}

/* A piece elsewhere in the window is an attachment that would begin where its first page would. */
/* Two segments begin there: shmdt() ends the one that has the lower page, as the kernel's. */
TEST(shm_detaches_the_lower_of_two)
{
	char *p = begin();

	PLAN(2 * 4 + 1);
	for (int i = 0; i < 2; i++) {
		fake_segment_nbytes = NSEG * PAGE_NBYTES;
		CHECK(attaches(at(p, 2), SHM_REMAP));
		fake_segment_nbytes = 2 * PAGE_NBYTES;
		CHECK(attaches(at(p, 2), SHM_REMAP));
		/* The list that is looked through turns around with each look. */
		if (i)
			umpa_mm_detach(at(p, 1));
		CHECK_EQ(umpa_mm_detach(at(p, 2)), 0);
		CHECK(umpa_mapping_gap(umpa_pages_number(at(p, 2)), umpa_pages_number(at(p, 9))) ==
			umpa_pages_number(at(p, 4)));
		umpa_mm_detach(at(p, 2));
		p = begin();
	}
	CHECK_EQ(umpa_munmap(p, NPAGES * PAGE_NBYTES), 0);
}

TEST(shm_moves_in_the_window)
{
	char *p = begin();

	PLAN(11);
	CHECK(attaches(p, SHM_REMAP));
	CHECK(move_to(at(p, 3), 3, at(p, 12), 0) == at(p, 12));
	CHECK_EQ(count_odd(p, NPAGES), NSEG);
	CHECK(!count_mapped(at(p, 3)) && detaches_not(at(p, 12)));
	CHECK_EQ(umpa_mm_detach(at(p, 9)), 0);
	CHECK_EQ(count_odd(p, NPAGES), 3);
	/* Twice there. */
	CHECK(move_to(p, 3, at(p, 15), MREMAP_DONTUNMAP) == at(p, 15));
	CHECK_EQ(umpa_mm_detach(at(p, 15)), 0);
	CHECK_EQ(count_odd(p, NPAGES), 3);
	CHECK_EQ(umpa_mm_detach(p), 0);
	CHECK(ends_well(p));
}

TEST(shm_leaves_the_window)
{
	char *p = begin(), *q;

	PLAN(7);
	CHECK(attaches(p, SHM_REMAP));
	q = umpa_mremap(p, NSEG * PAGE_NBYTES, 2 * NSEG * PAGE_NBYTES, MREMAP_MAYMOVE, NULL);
	CHECK(q != MAP_FAILED && !umpa_in_window(q));
	CHECK_EQ(count_odd(p, NPAGES), 0);
	CHECK(!count_mapped(p) && detaches_not(p));
	CHECK_EQ(umpa_munmap(q, 2 * NSEG * PAGE_NBYTES), 0);
	CHECK_EQ(fake_ncalls_of("detach"), 0);
	CHECK(ends_well(p));
}

/* Over a block, and over what was never handed out. */
TEST(shm_over_what_is_no_mapping)
{
	char *p = begin(), *block = umpa_alloc(SLOT_NBYTES, 0), *pool;

	PLAN(8);
	pool = umpa_alloc(SLOT_NBYTES, UMPA_BACKED | UMPA_ALIGN(21));
	umpa_free(pool);
	CHECK(attaches(at(block, 7), SHM_REMAP));
	CHECK(attaches_not(1, at(block, 20), 0, EINVAL));
	CHECK_EQ(umpa_mm_detach(at(block, 7)), 0);
	CHECK_EQ(count_odd(block, SLOT_NPAGES), 0);
	CHECK(attaches(at(block, 7), SHM_REMAP));
	umpa_free(block);
	CHECK(!count_odd(block, SLOT_NPAGES) && detaches_not(at(block, 7)));
	CHECK(attaches(pool, SHM_REMAP) && !umpa_mm_detach(pool));
	CHECK(ends_well(p));
}

TEST(shm_in_a_confined_process)
{
	char *p = begin();

	PLAN(6);
	CHECK(attaches(p, SHM_REMAP));
	umpa_os_confine();
	CHECK(attaches_not(1, at(p, NSEG), SHM_REMAP, ENOMEM));
	CHECK(attaches_not(1, at(p, NSEG), 0, EINVAL));
	CHECK_EQ(count_odd(p, NPAGES), NSEG);
	CHECK_EQ(umpa_mm_detach(p), 0);
	CHECK(ends_well(p));
}

/* What the n-th call refuses leaves everything as it was; and so on until nothing is refused. */
static void refuse(int flags, char *(*prepare)(void), size_t nodd)
{
	for (unsigned n = 1; n <= 4; n++) {
		char *p = prepare();
		size_t nmapped = count_mapped(p);
		uint64_t nbytes;
		int done;

		(void)!umpa_mprotect(p, PAGE_NBYTES, PROT_NONE); /* opens the attributes' table */
		(void)!umpa_mprotect(p, PAGE_NBYTES, RW);
		nbytes = fake_mapped_nbytes();
		fake_fail_at(n, -ENOMEM);
		done = attaches(at(p, 2), flags);
		fake_fail_at(0, 0);
		if (!done) {
			CHECK(refused(1, ENOMEM));
			CHECK_EQ(fake_mapped_nbytes(), nbytes);
			CHECK(*at(p, 1) == 'x' && detaches_not(at(p, 2)));
		} else {
			CHECK(n == 4);
			CHECK_EQ(count_odd(p, NPAGES), nodd);
			CHECK_EQ(umpa_mm_detach(at(p, 2)), 0);
			nmapped = 2;
		}
		CHECK_EQ(count_odd(p, NPAGES), 0);
		CHECK_EQ(count_mapped(p), nmapped);
		CHECK(ends_well(p));
	}
}

TEST(shm_refused)
{
	PLAN(4 * 6);
	refuse(SHM_REMAP, begin, NSEG);
}

static char *begin_with_gap(void)
{
	char *p = begin();

	(void)!umpa_munmap(at(p, 2), NSEG * PAGE_NBYTES);
	return p;
}

TEST(shm_refused_where_nothing_is)
{
	PLAN(4 * 6);
	refuse(0, begin_with_gap, NSEG);
}

/* Two rows of pages, each of which the system may not make ordinary: it stays, and can be detached
 * later. */
TEST(shm_detaching_refused)
{
	PLAN(2 * 6);
	for (unsigned n = 1; n <= 2; n++) {
		char *p = begin();

		CHECK(attaches(p, SHM_REMAP));
		CHECK_EQ(umpa_munmap(at(p, 2), PAGE_NBYTES), 0);
		fake_fail_at(n, -ENOMEM);
		CHECK(refused(umpa_mm_detach(p), ENOMEM));
		CHECK_EQ(count_odd(p, NPAGES), n == 1 ? NSEG - 1 : NSEG - 3);
		CHECK_EQ(umpa_mm_detach(p), 0);
		CHECK(ends_well(p));
	}
}

/* No memory to note in where a piece has gone: it is there, and shmdt() does not know it. */
TEST(shm_moving_unnoted)
{
	int nunnoted = 0;

	PLAN(7 * 3 + 1);
	for (unsigned n = 1; n <= 7; n++) {
		char *p = begin();
		int moved;

		(void)!attaches(p, SHM_REMAP);
		fake_fail_at(n, -ENOMEM);
		moved = move_to(p, NSEG, at(p, 10), 0) == at(p, 10);
		fake_fail_at(0, 0);
		errno = 0;
		CHECK(!moved || count_odd(at(p, 10), NSEG) == NSEG);
		if (moved && umpa_mm_detach(at(p, 10)))
			nunnoted++;
		errno = 0;
		/* Where the pages it came from were not to be had back they are attached still. */
		CHECK(!umpa_mm_detach(p) || errno == EINVAL);
		CHECK(ends_well(p));
	}
	CHECK_EQ(nunnoted, 1);
}
