/* What moves, swaps, backs and unbacks, on blocks with pages that are protected, advised, locked or
 * mapped over: refused, or done without a frame's going anywhere. On the fake OS, whose mover takes
 * no such page, and where a protected one can't be touched. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_mmap.h"
#include "support/fake_os.h"

#define NBYTES (4 * SLOT_NBYTES)

enum {
	RW = PROT_READ | PROT_WRITE
};

/* Two blocks of four slots, tagged in each page, the first with a pool beside it. */
struct pair {
	char *a, *b;
};

static void tag(char *p, size_t nbytes, unsigned char value)
{
	fake_touch(p, nbytes);
	for (size_t at = 0; at < nbytes; at += PAGE_NBYTES)
		p[at] = (char)value;
}

static size_t count(const char *p, size_t nbytes, unsigned char value)
{
	size_t n = 0;

	for (size_t at = 0; at < nbytes; at += PAGE_NBYTES)
		n += (unsigned char)p[at] == value;
	return n;
}

static int all(const char *p, size_t nbytes, unsigned char value)
{
	return count(p, nbytes, value) == nbytes >> PAGE_SHIFT;
}

static struct pair begin(void)
{
	struct pair p;
	void *pool;

	fake_mmap_begin();
	p.a = umpa_alloc(NBYTES, UMPA_ALIGN(21));
	p.b = umpa_alloc(NBYTES, UMPA_ALIGN(21));
	pool = umpa_alloc(NBYTES, UMPA_BACKED);
	tag(p.a, NBYTES, 1);
	tag(p.b, NBYTES, 2);
	umpa_free(pool);
	return p;
}

static int ends_well(struct pair p)
{
	umpa_free(p.a);
	umpa_free(p.b);
	return fake_mmap_ends_well();
}

static int refused(int result)
{
	int is = result == -1 && errno == EINVAL;

	errno = 0;
	return is;
}

static void closed(int prot)
{
	struct pair p = begin();
	struct umpa_move_op ops[2] = {
		{p.b, p.a, SLOT_NBYTES}, {p.b + SLOT_NBYTES, p.a + SLOT_NBYTES, SLOT_NBYTES}};
	size_t done = 7, n = NBYTES - 2 * PAGE_NBYTES;
	char *page = p.a + SLOT_NBYTES + 5 * PAGE_NBYTES;

	PLAN(14);
	CHECK_EQ(umpa_mprotect(page, PAGE_NBYTES, prot), 0);
	CHECK(refused(umpa_move(p.b, p.a, NBYTES)));
	CHECK(refused(umpa_move(p.a, p.b, NBYTES)));
	CHECK(refused(umpa_swap(p.a + PAGE_NBYTES, p.b + PAGE_NBYTES, n)));
	CHECK(refused(umpa_movev(ops, 2, &done)) && done == 0);
	CHECK(refused(umpa_unback(p.a, NBYTES)));
	CHECK(refused(umpa_back(p.a, NBYTES)));
	/* The other pages are as any. */
	CHECK_EQ(umpa_swap(p.a + 2 * SLOT_NBYTES, p.b, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_unback(p.a, SLOT_NBYTES), 0);
	CHECK(all(p.a, SLOT_NBYTES, 0) && all(p.a + 2 * SLOT_NBYTES, 2 * SLOT_NBYTES, 2));
	CHECK(all(p.b, 2 * SLOT_NBYTES, 1) && all(p.b + 2 * SLOT_NBYTES, 2 * SLOT_NBYTES, 2));
	/* And all of it is, once it can be used. */
	CHECK_EQ(umpa_mprotect(page, PAGE_NBYTES, RW), 0);
	CHECK_EQ(umpa_move(p.b, p.a, NBYTES), 0);
	CHECK(all(p.b + SLOT_NBYTES, SLOT_NBYTES, 1) && ends_well(p));
}

TEST(odd_pages_unreadable)
{
	closed(PROT_NONE);
}

TEST(odd_pages_unwritable)
{
	closed(PROT_READ);
}

/* The frames that a block has, by number. */
static uint64_t frame_of(const char *p, size_t slot)
{
	return fake_frame(p + slot * SLOT_NBYTES);
}

/* p.a is odd somewhere: all is done, and not a frame moves to another page. */
static void check_odd(struct pair p)
{
	uint64_t a = frame_of(p.a, 0), b = frame_of(p.b, 0);
	uint64_t nmoves = fake_ncalls_of("move");
	struct umpa_move_op op = {p.a, p.b, NBYTES};
	size_t done;

	CHECK_EQ(umpa_swap(p.a, p.b, NBYTES), 0);
	CHECK(all(p.a, NBYTES, 2));
	CHECK_EQ(umpa_move(p.b, p.a, NBYTES), 0);
	CHECK(all(p.b, NBYTES, 2) && all(p.a, NBYTES, 0));
	CHECK_EQ(umpa_movev(&op, 1, &done), 0);
	CHECK(all(p.a, NBYTES, 2) && all(p.b, NBYTES, 0));
	/* Where the system takes nothing back, as of locked pages, it is zero all the same. */
	fake_fail_at(1, -EINVAL);
	CHECK_EQ(umpa_unback(p.a, NBYTES), 0);
	fake_fail_at(0, 0);
	CHECK(all(p.a, NBYTES, 0));
	CHECK(frame_of(p.a, 0) == a && frame_of(p.b, 0) == b);
	CHECK_EQ(umpa_unback(p.a, NBYTES), 0);
	CHECK(all(p.a, NBYTES, 0) && !frame_of(p.a, 0));
	CHECK_EQ(umpa_back(p.a, NBYTES), 0);
	CHECK(frame_of(p.a, 0) != 0);
	CHECK_EQ(fake_ncalls_of("move"), nmoves);
	CHECK(ends_well(p));
}

enum {
	CHECKS_OF_ODD = 15
};

TEST(odd_pages_advised)
{
	struct pair p = begin();

	PLAN(CHECKS_OF_ODD + 1);
	CHECK_EQ(umpa_madvise(p.a + SLOT_NBYTES, PAGE_NBYTES, MADV_DONTFORK), 0);
	check_odd(p);
}

TEST(odd_pages_locked)
{
	struct pair p = begin();

	PLAN(CHECKS_OF_ODD + 1);
	CHECK_EQ(umpa_mm_lock(p.a, 2 * SLOT_NBYTES, 0), 0);
	check_odd(p);
}

TEST(odd_pages_executable)
{
	struct pair p = begin();

	PLAN(CHECKS_OF_ODD + 1);
	CHECK_EQ(umpa_mprotect(p.a + 3 * SLOT_NBYTES, SLOT_NBYTES, RW | PROT_EXEC), 0);
	check_odd(p);
}

TEST(odd_pages_mapped_over)
{
	struct pair p = begin();
	char *at = p.a + SLOT_NBYTES;

	PLAN(CHECKS_OF_ODD + 1);
	CHECK(umpa_mmap(at, 600 * PAGE_NBYTES, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		(void *)at);
	tag(at, 600 * PAGE_NBYTES, 1);
	check_odd(p);
}

/* Pages that something can't be written to is mapped over. */
TEST(odd_pages_mapped_over_unwritable)
{
	struct pair p = begin();

	PLAN(4);
	CHECK(umpa_mmap(p.a, SLOT_NBYTES, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1,
		      0) == (void *)p.a);
	CHECK(refused(umpa_move(p.b, p.a, NBYTES)));
	CHECK(refused(umpa_unback(p.a, NBYTES)));
	CHECK(ends_well(p));
}

/* Protecting is refused half-way, so some of the pages may be closed: all of them count as such. */
TEST(odd_pages_where_protecting_was_refused)
{
	struct pair p = begin();

	PLAN(5);
	CHECK_EQ(umpa_mprotect(p.a, PAGE_NBYTES, PROT_NONE), 0);
	(void)!umpa_mprotect(p.a, PAGE_NBYTES, RW);
	fake_fail_at(1, -ENOMEM);
	CHECK_EQ(umpa_mprotect(p.a, PAGE_NBYTES, PROT_NONE), -1);
	fake_fail_at(0, 0);
	CHECK(refused(umpa_unback(p.a, NBYTES)));
	CHECK(refused(umpa_swap(p.b, p.a, NBYTES)));
	CHECK(ends_well(p));
}
