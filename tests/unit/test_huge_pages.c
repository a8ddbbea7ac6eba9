/* Huge pages (MAP_HUGETLB, files of hugetlbfs) over pages of the window, on the fake OS: whole ones
 * are noted, parts of one are refused, and no refusal leaves a gap in the window. */
#include <errno.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/owns.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_mmap.h"
#include "support/fake_os.h"

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	HUGE = ANON | MAP_HUGETLB,
	NSLOTS = 6, /* of what is mapped */
	NPAGES = NSLOTS * (int)SLOT_NPAGES
};

static char *at(char *p, size_t page)
{
	return p + page * PAGE_NBYTES;
}

/* NSLOTS that are mapped, at the begin of a slot, each page with an 'x'; room for so many slots of
 * huge pages. */
static char *begin(size_t nslots)
{
	char *p;

	fake_mmap_begin();
	fake_huge_max = nslots * SLOT_NBYTES;
	p = umpa_mmap(NULL, NSLOTS * SLOT_NBYTES, RW, ANON, -1, 0);
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

static int maps(char *addr, size_t npages, int flags)
{
	return umpa_mmap(addr, npages * PAGE_NBYTES, RW, flags, -1, 0) == (void *)addr;
}

static int maps_not(char *addr, size_t npages, int flags, int error)
{
	return refused(
		umpa_mmap(addr, npages * PAGE_NBYTES, RW, flags, -1, 0) == MAP_FAILED, error);
}

static int maps_file(char *addr, size_t npages, int flags)
{
	return umpa_mmap(addr, npages * PAGE_NBYTES, RW, MAP_SHARED | flags, FAKE_HUGE_FILE, 0) ==
	       (void *)addr;
}

static int unmaps_not(char *addr, size_t npages)
{
	return refused(umpa_munmap(addr, npages * PAGE_NBYTES), EINVAL);
}

static char *remap(char *p, size_t old_npages, size_t new_npages, int flags, char *to)
{
	return umpa_mremap(p, old_npages * PAGE_NBYTES, new_npages * PAGE_NBYTES, flags, to);
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

static int ends_well(char *p)
{
	return !umpa_munmap(p, NPAGES * PAGE_NBYTES) && !count_odd(p, NPAGES) &&
	       fake_mmap_ends_well();
}

/* As umpa notes it, so it is: what is unmapped of it can't be a part, all of it can. */
TEST(huge_pages_are_mapped_whole)
{
	char *p = begin(3);

	PLAN(9);
	CHECK(maps(at(p, SLOT_NPAGES), 1, HUGE | MAP_FIXED));
	CHECK_EQ(count_odd(p, NPAGES), SLOT_NPAGES);
	CHECK(*at(p, SLOT_NPAGES - 1) == 'x' && *at(p, 2 * SLOT_NPAGES) == 'x');
	CHECK(unmaps_not(at(p, SLOT_NPAGES), 1) && unmaps_not(at(p, 1), SLOT_NPAGES));
	CHECK(maps_file(at(p, 3 * SLOT_NPAGES), SLOT_NPAGES + 1, MAP_FIXED));
	CHECK_EQ(count_odd(p, NPAGES), 3 * SLOT_NPAGES);
	CHECK_EQ(umpa_munmap(at(p, SLOT_NPAGES), SLOT_NBYTES), 0);
	CHECK_EQ(count_odd(p, NPAGES), 2 * SLOT_NPAGES);
	CHECK(ends_well(p));
}

TEST(huge_pages_of_another_size)
{
	char *p = begin(1);

	PLAN(6);
	fake_huge_nbytes = 16 * PAGE_NBYTES;
	CHECK(maps(at(p, 32), 17, HUGE | MAP_FIXED));
	CHECK_EQ(count_odd(at(p, 32), 32), 32);
	CHECK_EQ(count_odd(p, NPAGES), 32);
	CHECK(unmaps_not(at(p, 32), 8) && unmaps_not(at(p, 40), 24));
	CHECK_EQ(umpa_munmap(at(p, 48), 16 * PAGE_NBYTES), 0);
	CHECK(ends_well(p));
}

/* What is behind the length that was asked for is taken with the rest. */
TEST(huge_pages_where_nothing_is)
{
	char *p = begin(2);

	PLAN(9);
	CHECK_EQ(umpa_munmap(at(p, SLOT_NPAGES), 2 * SLOT_NBYTES), 0);
	CHECK(maps_not(p, 1, HUGE | MAP_FIXED_NOREPLACE, EEXIST));
	CHECK(maps_not(
		at(p, 2 * SLOT_NPAGES), SLOT_NPAGES + 1, HUGE | MAP_FIXED_NOREPLACE, EEXIST));
	CHECK(maps_not(at(p, SLOT_NPAGES), 3 * SLOT_NPAGES, HUGE | MAP_FIXED_NOREPLACE, EEXIST));
	CHECK(maps_not(at(p, SLOT_NPAGES + 1), 1, HUGE | MAP_FIXED_NOREPLACE, EINVAL));
	CHECK(maps(at(p, SLOT_NPAGES), 1, HUGE | MAP_FIXED_NOREPLACE));
	CHECK(maps(at(p, 2 * SLOT_NPAGES), 1, HUGE | MAP_FIXED));
	CHECK(count_odd(p, NPAGES) == 2 * SLOT_NPAGES && count_mapped(p) == NPAGES);
	CHECK(ends_well(p));
}

/* Nothing of the window is touched. */
TEST(huge_pages_refused)
{
	char *p = begin(0);

	PLAN(8);
	CHECK(maps_not(p, 1, HUGE | MAP_FIXED, ENOMEM));
	CHECK(refused(!maps_file(p, 1, MAP_FIXED), ENOMEM));
	CHECK_EQ(fake_ncalls_of("mmap"), 0);
	CHECK(maps_not(at(p, 1), 1, HUGE | MAP_FIXED_NOREPLACE, EINVAL));
	CHECK_EQ(umpa_munmap(at(p, 1), PAGE_NBYTES), 0);
	CHECK(maps_not(at(p, 1), 1, HUGE | MAP_FIXED_NOREPLACE, ENOMEM));
	CHECK(*p == 'x' && !count_odd(p, NPAGES));
	CHECK(ends_well(p));
}

/*
 * Refused after all, as others were faster: and the kernel has ended what was there by then. So it
 * is for the program too; for umpa there must be no gap. mends: the system lets it be mended.
 */
static void refuse_late(int mends)
{
	char *p = begin(1), *block = umpa_alloc(2 * SLOT_NBYTES, UMPA_ALIGN(21));
	size_t nbytes = fake_reserved_nbytes();

	*at(block, 3) = *at(block, SLOT_NPAGES) = 'b';
	CHECK_EQ(umpa_munmap(at(p, 7), PAGE_NBYTES), 0);
	CHECK_EQ(umpa_mprotect(at(p, 5), PAGE_NBYTES, PROT_READ), 0);
	fake_huge_snatched = 1;
	if (!mends)
		fake_fail_from(3, -ENOMEM); /* after measure_pages and mmap */
	CHECK(maps_not(p, 1, HUGE | MAP_FIXED, ENOMEM));
	fake_fail_from(0, 0);
	CHECK_EQ(fake_reserved_nbytes(), mends ? nbytes : nbytes - SLOT_NBYTES);
	CHECK(count_mapped(p) == (mends ? 0 : NPAGES) && *at(p, SLOT_NPAGES) == 'x');
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	CHECK_EQ(fake_reserved_nbytes(), nbytes);
	fake_huge_max = SLOT_NBYTES;
	CHECK(refused(!maps_file(block, 1, MAP_FIXED), ENOMEM));
	CHECK(!*at(block, 3) && *at(block, SLOT_NPAGES) == 'b' && !count_odd(block, SLOT_NPAGES));
	umpa_free(block);
	CHECK(ends_well(p));
}

TEST(huge_pages_refused_late)
{
	PLAN(10);
	refuse_late(1);
}

TEST(huge_pages_refused_late_and_not_mended)
{
	PLAN(10);
	refuse_late(0);
}

/* Where nothing was, nothing is. */
TEST(huge_pages_refused_late_where_nothing_is)
{
	char *p = begin(1);

	PLAN(4);
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	fake_huge_snatched = 1;
	CHECK(maps_not(p, 1, HUGE | MAP_FIXED_NOREPLACE, ENOMEM));
	CHECK(!count_mapped(p) && count_mapped(at(p, SLOT_NPAGES)) == NPAGES - SLOT_NPAGES);
	CHECK(ends_well(p));
}

TEST(huge_pages_of_a_file_in_a_confined_process)
{
	char *p = begin(1);

	PLAN(5);
	umpa_os_confine();
	CHECK(refused(!maps_file(p, SLOT_NPAGES + 1, MAP_FIXED), ENOMEM));
	CHECK(maps_file(p, 1, MAP_FIXED));
	CHECK_EQ(count_odd(p, NPAGES), SLOT_NPAGES);
	CHECK(umpa_mmap(at(p, 1024), PAGE_NBYTES, RW, MAP_SHARED | MAP_FIXED, 5, 0) ==
			at(p, 1024) &&
		count_odd(p, NPAGES) == SLOT_NPAGES + 1);
	CHECK(ends_well(p));
}

/* -EINVAL by a huge page of which the range has a part: what is before it is protected by then, and
 * must not come to the pool so. */
TEST(huge_pages_protected_in_part)
{
	char *p = begin(1), *huge = at(p, 2 * SLOT_NPAGES);

	PLAN(7);
	CHECK(maps(huge, 1, HUGE | MAP_FIXED));
	CHECK(refused(
		umpa_mprotect(at(p, SLOT_NPAGES), SLOT_NBYTES + PAGE_NBYTES, PROT_READ), EINVAL));
	CHECK_EQ(count_odd(at(p, SLOT_NPAGES), SLOT_NPAGES), SLOT_NPAGES);
	CHECK_EQ(umpa_munmap(at(p, SLOT_NPAGES), SLOT_NBYTES), 0);
	CHECK_EQ(count_odd(p, NPAGES), SLOT_NPAGES);
	CHECK(refused(umpa_madvise(huge, PAGE_NBYTES, MADV_DONTFORK), EINVAL));
	CHECK(ends_well(p));
}

TEST(huge_pages_shrink_by_whole_ones)
{
	char *p = begin(3);

	PLAN(9);
	CHECK(maps(p, 3 * SLOT_NPAGES, HUGE | MAP_FIXED));
	CHECK(remap(p, 3 * SLOT_NPAGES, SLOT_NPAGES + 1, 0, NULL) == p);
	CHECK_EQ(count_odd(p, NPAGES), 2 * SLOT_NPAGES);
	CHECK_EQ(count_mapped(p), 2 * SLOT_NPAGES);
	CHECK(remap(p, SLOT_NPAGES + 1, 1, MREMAP_MAYMOVE, NULL) == p);
	CHECK(count_odd(p, NPAGES) == SLOT_NPAGES && count_mapped(p) == SLOT_NPAGES);
	CHECK(refused(remap(at(p, 1), 1, 1, 0, NULL) == MAP_FAILED, EINVAL));
	CHECK(refused(remap(p, 1, SLOT_NPAGES + 1, MREMAP_MAYMOVE, NULL) == MAP_FAILED, EINVAL));
	CHECK(ends_well(p));
}

/* Out of the window they can't be moved but by leaving a gap, for a moment. Neither place
 * changes. */
TEST(huge_pages_stay)
{
	char *p = begin(1), *to = at(p, 2 * SLOT_NPAGES);
	const int fixed = MREMAP_MAYMOVE | MREMAP_FIXED, leave = MREMAP_MAYMOVE | MREMAP_DONTUNMAP;

	PLAN(6);
	CHECK(maps(p, 1, HUGE | MAP_FIXED));
	CHECK(refused(remap(p, SLOT_NPAGES, SLOT_NPAGES, fixed, to) == MAP_FAILED, EINVAL));
	CHECK(refused(remap(p, SLOT_NPAGES, SLOT_NPAGES, leave, NULL) == MAP_FAILED, EINVAL));
	CHECK_EQ(count_odd(p, NPAGES), SLOT_NPAGES);
	CHECK(*to == 'x');
	CHECK(ends_well(p));
}

TEST(huge_pages_come_in)
{
	char *p = begin(2), *to = at(p, SLOT_NPAGES), *q;
	const int fixed = MREMAP_MAYMOVE | MREMAP_FIXED;

	PLAN(8);
	q = umpa_mmap(NULL, 2 * SLOT_NBYTES, RW, HUGE, -1, 0);
	CHECK(q != MAP_FAILED && !umpa_in_window(q));
	CHECK(refused(remap(q, 1, 1, fixed, to + PAGE_NBYTES) == MAP_FAILED, EINVAL));
	CHECK(refused(remap(q + PAGE_NBYTES, 1, 1, fixed, to) == MAP_FAILED, EINVAL));
	CHECK(refused(remap(q, 1, SLOT_NPAGES + 1, fixed, to) == MAP_FAILED, EINVAL));
	CHECK(*to == 'x' && !count_odd(p, NPAGES));
	CHECK(remap(q, SLOT_NPAGES + 1, SLOT_NPAGES + 1, fixed, to) == to);
	CHECK_EQ(count_odd(p, NPAGES), 2 * SLOT_NPAGES);
	CHECK(ends_well(p));
}

/* A move into the window that is refused late. */
TEST(huge_or_not_a_move_that_is_refused_leaves_no_gap)
{
	char *p = begin(0),
	     *from = umpa_mmap(NULL, PAGE_NBYTES, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	size_t nbytes = fake_reserved_nbytes();

	PLAN(4);
	fake_fail_at(4, -ENOMEM); /* after a look, the table of attributes, and the way */
	CHECK(refused(remap(from, 1, 1, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED, ENOMEM));
	CHECK_EQ(fake_reserved_nbytes(), nbytes);
	CHECK_EQ(count_odd(p, NPAGES), 1);
	umpa_munmap(from, PAGE_NBYTES);
	CHECK(ends_well(p));
}

/* Over a block: what a free can't make ordinary is never used again. */
TEST(huge_pages_over_blocks)
{
	char *p = begin(1), *block = umpa_alloc(2 * SLOT_NBYTES, UMPA_ALIGN(21));

	PLAN(4);
	CHECK(maps(block, 1, HUGE | MAP_FIXED));
	CHECK_EQ(count_odd(block, 2 * SLOT_NPAGES), SLOT_NPAGES);
	umpa_free(block);
	CHECK_EQ(count_odd(block, 2 * SLOT_NPAGES), 0);
	CHECK(ends_well(p));
}
