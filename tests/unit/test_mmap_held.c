/*
 * Pages that somebody else has a hand in: those the kernel may hold on to when they are unmapped,
 * holes that a child has, and ranges of many holes. On the fake OS, each call refused in turn.
 */
#include <errno.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/fork.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_mmap.h"
#include "support/fake_os.h"

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	NPAGES = 40
};

#define NBYTES ((size_t)NPAGES * PAGE_NBYTES)

static char *map(size_t nbytes)
{
	char *p = umpa_mmap(NULL, nbytes, RW, ANON, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static char *at(char *p, size_t page)
{
	return p + page * PAGE_NBYTES;
}

static void tag(char *p, size_t npages, char value)
{
	fake_touch(p, npages * PAGE_NBYTES);
	for (size_t i = 0; i < npages; i++)
		*at(p, i) = value;
}

static size_t count(char *p, size_t npages, char value)
{
	size_t n = 0;

	for (size_t i = 0; i < npages; i++)
		n += *at(p, i) == value;
	return n;
}

/* --- held by others ------------------------------------------------------------------------- */

TEST(held_frames_are_not_used_again)
{
	char *p, *q;
	uint64_t frame;

	PLAN(9);
	fake_mmap_begin();
	p = map(NBYTES);
	q = map(NBYTES);
	REQUIRE(p && q);
	tag(p, NPAGES, 'p');
	tag(q, NPAGES, 'q');
	frame = fake_frame(p);
	umpa_mapping_distrust();
	CHECK_EQ(umpa_munmap(p, NBYTES), 0);
	CHECK(fake_frame(p) != frame);
	/* Mapped over where it is. */
	frame = fake_frame(q);
	CHECK(umpa_mmap(q, NBYTES, RW, ANON | MAP_FIXED, -1, 0) == (void *)q);
	CHECK(fake_frame(q) != frame);
	CHECK_EQ(count(q, NPAGES, 0), NPAGES);
	CHECK(umpa_mapping_valid());
	CHECK_EQ(umpa_munmap(q, NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* What is refused stays, and what is in it too, or is zero where it was to be. */
TEST(held_frames_stay_where_it_is_refused)
{
	int done = 0, nwrong = 0;

	PLAN(2);
	for (uint64_t n = 1; !done && n < 50; n++) {
		char *p, *kept, *over;

		fake_mmap_begin();
		p = map(NBYTES);
		kept = map(NBYTES);
		tag(p, NPAGES, 'p');
		tag(kept, NPAGES, 'k');
		umpa_mapping_distrust();
		fake_fail_at(n, -ENOMEM);
		over = umpa_mmap(p, NBYTES / 2, RW, ANON | MAP_FIXED, -1, 0);
		done = over != MAP_FAILED && !umpa_munmap(p, NBYTES);
		fake_fail_at(0, 0);
		nwrong += over != MAP_FAILED && !done && count(p, NPAGES / 2, 0) != NPAGES / 2;
		nwrong += !done && count(at(p, NPAGES / 2), NPAGES / 2, 'p') != NPAGES / 2;
		nwrong += count(kept, NPAGES, 'k') != NPAGES || !umpa_mapping_valid();
		nwrong += !done && umpa_munmap(p, NBYTES);
		nwrong += umpa_munmap(kept, NBYTES) || !fake_mmap_ends_well();
	}
	CHECK(done);
	CHECK_EQ(nwrong, 0);
}

/* --- holes of a child ----------------------------------------------------------------------- */

static int is_closed(char *page)
{
	return fake_oddity(page) == FAKE_GUARDED;
}

/* The fake has no child: the first call that is refused is the advice, as it is of a hole. */
TEST(held_holes_are_closed)
{
	char *p;

	PLAN(8);
	fake_mmap_begin();
	p = map(NBYTES);
	REQUIRE(p);
	tag(p, NPAGES, 'p');
	CHECK_EQ(umpa_madvise(at(p, 3), PAGE_NBYTES, MADV_DONTFORK), 0);
	umpa_fork_above.in_child(); /* it was handed on after all */
	CHECK_EQ(count(p, NPAGES, 'p'), NPAGES);
	CHECK_EQ(umpa_madvise(at(p, 3), PAGE_NBYTES, MADV_DONTFORK), 0);
	fake_fail_from(1, -ENOMEM);
	umpa_fork_above.in_child(); /* nothing can be done */
	fake_fail_from(0, 0);
	CHECK(umpa_mapping_valid() && count(p, 3, 'p') == 3);
	CHECK_EQ(count(at(p, 4), NPAGES - 4, 'p'), NPAGES - 4);
	CHECK_EQ(umpa_munmap(p, NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

TEST(held_holes_are_closed_page_by_page)
{
	char *p;

	PLAN(7);
	fake_mmap_begin();
	p = map(NBYTES);
	REQUIRE(p);
	tag(p, NPAGES, 'p');
	CHECK_EQ(umpa_madvise(at(p, 3), 3 * PAGE_NBYTES, MADV_DONTFORK), 0);
	fake_fail_at(1, -ENOMEM); /* of the row; page by page all is there */
	umpa_fork_above.in_child();
	CHECK_EQ(count(p, NPAGES, 'p'), NPAGES);
	CHECK(!is_closed(at(p, 3)) && !fake_oddity(at(p, 5)));
	CHECK(umpa_mapping_valid());
	CHECK_EQ(umpa_munmap(p, NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* --- many holes ----------------------------------------------------------------------------- */

static void punch(char *p)
{
	for (size_t i = 1; i < NPAGES; i += 2)
		umpa_munmap(at(p, i), PAGE_NBYTES);
}

/* More than are noted; whichever call is refused, the range can be ended and what was there stays
 * or is gone as the kernel has it. */
TEST(held_many_holes_are_mapped_over)
{
	int done = 0, nwrong = 0;

	PLAN(2);
	for (uint64_t n = 1; !done && n < 100; n++) {
		char *p;
		void *over;

		fake_mmap_begin();
		p = map(NBYTES);
		tag(p, NPAGES, 'p');
		punch(p);
		fake_fail_at(n, -ENOMEM);
		over = umpa_mmap(p, NBYTES, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		fake_fail_at(0, 0);
		done = over == (void *)p && fake_oddity(p) & FAKE_ODD && n > 1;
		nwrong += over != (void *)p && over != MAP_FAILED;
		nwrong += !umpa_mapping_valid();
		nwrong += umpa_munmap(p, NBYTES) || !fake_mmap_ends_well();
	}
	CHECK(done);
	CHECK_EQ(nwrong, 0);
}
