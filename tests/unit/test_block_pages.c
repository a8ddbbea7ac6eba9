/* Pages of blocks that are protected, locked, advised or mapped over, and freed so: they come back
 * as ordinary memory. On the fake OS, whose mover takes no other. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/numbers.h"

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS
};

static void begin(void)
{
	umpa_mapping_stop();
	umpa_core_stop();
	fake_reset();
}

static void *block(size_t npages)
{
	return umpa_alloc(npages * PAGE_NBYTES, 0);
}

static char *at(void *p, size_t page)
{
	return (char *)p + page * PAGE_NBYTES;
}

static int oddity(void *p, size_t npages)
{
	int all = 0;

	for (size_t i = 0; i < npages; i++)
		all |= fake_oddity(at(p, i));
	return all;
}

static int all_ordinary(void)
{
	return !oddity(slot_address((struct slot){0}),
		umpa_window_nslots_open(&umpa_core.window) * SLOT_NPAGES);
}

static int marked(void *p)
{
	return umpa_core.record[umpa_window_slot(&umpa_core.window, p).i].marked != 0;
}

TEST(block_pages_protected_and_freed)
{
	static const size_t sizes[] = {
		1, 20, SLOT_NPAGES, 3 * SLOT_NPAGES + 7, 5 * SLOT_NPAGES + 300};

	PLAN(6 * array_len(sizes));
	for (size_t i = 0; i < array_len(sizes); i++) {
		char *p;

		begin();
		p = block(sizes[i]);
		CHECK_EQ(umpa_mprotect(at(p, sizes[i] - 1), PAGE_NBYTES, PROT_NONE), 0);
		CHECK_EQ(oddity(p, sizes[i]), FAKE_GUARDED);
		CHECK(marked(p));
		umpa_free(p);
		CHECK(all_ordinary());
		CHECK(!marked(p));
		p = block(sizes[i]);
		memset(p, 1, sizes[i] * PAGE_NBYTES);
		umpa_free(p);
		CHECK(umpa_mapping_valid());
	}
}

/* What is as it should be again, or only passes, leaves no mark. */
TEST(block_pages_that_stay_ordinary)
{
	char *p;

	PLAN(7);
	begin();
	p = block(2 * SLOT_NPAGES);
	CHECK_EQ(umpa_mprotect(p, PAGE_NBYTES, RW), 0);
	CHECK_EQ(umpa_madvise(p, SLOT_NBYTES, MADV_DONTNEED), 0);
	CHECK_EQ(umpa_madvise(p, SLOT_NBYTES, MADV_HUGEPAGE), 0);
	CHECK(!marked(p));
	CHECK_EQ(umpa_madvise(p, PAGE_NBYTES, MADV_DONTFORK), 0);
	CHECK(marked(p));
	umpa_free(p);
	CHECK(all_ordinary());
}

TEST(block_pages_mapped_over)
{
	char *p, *q;

	PLAN(8);
	begin();
	p = block(3 * SLOT_NPAGES);
	fake_touch(p, 3 * SLOT_NBYTES);
	CHECK(umpa_mmap(at(p, 600), 7 * PAGE_NBYTES, PROT_READ,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (void *)at(p, 600));
	CHECK_EQ(oddity(at(p, 600), 7) & FAKE_ODD, FAKE_ODD);
	/* What is plain is zero, and ordinary. */
	*at(p, 3) = 'x';
	CHECK(umpa_mmap(at(p, 3), PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0) == (void *)at(p, 3));
	CHECK_EQ(*at(p, 3), 0);
	CHECK_EQ(oddity(p, SLOT_NPAGES), 0);
	/* Not where a block is. */
	q = umpa_mmap(at(p, 3), PAGE_NBYTES, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(q == MAP_FAILED && errno == EEXIST);
	umpa_free(p);
	CHECK(all_ordinary());
	CHECK(umpa_mapping_valid());
}

/* What the kernel does not move is copied out of the block. */
TEST(block_pages_that_left_are_zero)
{
	char *p, *to;

	PLAN(7);
	begin();
	p = block(2 * SLOT_NPAGES);
	CHECK(umpa_mapping_need());
	to = umpa_mmap(NULL, SLOT_NBYTES, PROT_READ, ANON, -1, 0);
	*at(p, 3) = 'x';
	fake_fail_at(2, -EFAULT); /* several mappings, says the kernel */
	CHECK(umpa_mremap(p, SLOT_NBYTES, SLOT_NBYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
		(void *)to);
	CHECK_EQ(*at(to, 3), 'x');
	CHECK_EQ(*at(p, 3), 0);
	umpa_free(p);
	CHECK_EQ(umpa_munmap(to, SLOT_NBYTES), 0);
	CHECK(all_ordinary());
	CHECK(umpa_mapping_valid());
}

/* Where there is no memory for books of them, the kernel is not asked either. */
static int changes_without_books(int what, char *p, void *to)
{
	switch (what) {
	case 0:
		return umpa_mprotect(p, PAGE_NBYTES, PROT_READ);
	case 1:
		return umpa_madvise(p, PAGE_NBYTES, MADV_DONTFORK);
	case 2:
		return umpa_munmap(p, PAGE_NBYTES);
	case 3:
		return umpa_mmap(p, PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0) == MAP_FAILED ? -1
											    : 0;
	case 4:
		return umpa_mremap(p, PAGE_NBYTES, PAGE_NBYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			       to) == MAP_FAILED
			       ? -1
			       : 0;
	case 5:
		return umpa_mremap(to, PAGE_NBYTES, PAGE_NBYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			       p) == MAP_FAILED
			       ? -1
			       : 0;
	default:
		return umpa_mm_attach(1, p, SHM_REMAP) == MAP_FAILED ? -1 : 0;
	}
}

TEST(block_pages_without_books)
{
	enum {
		NWAYS = 7
	};

	PLAN(NWAYS * 4);
	for (int what = 0; what < NWAYS; what++) {
		void *to;
		char *p;

		begin();
		p = block(2 * SLOT_NPAGES);
		*p = 'b';
		REQUIRE(!umpa_os_map(PAGE_NBYTES, &to));
		fake_fail_from(1, -ENOMEM);
		errno = 0;
		CHECK(changes_without_books(what, p, to) == -1 && errno == ENOMEM);
		fake_fail_from(0, 0);
		CHECK(*p == 'b' && all_ordinary());
		umpa_free(p);
		CHECK(umpa_mapping_valid());
	}
}

/* A block's pages are never known to be zero, closed or not: it may have others' for long. */
TEST(block_pages_closed_by_mapping_over)
{
	char *p;

	PLAN(6);
	begin();
	p = block(2 * SLOT_NPAGES);
	fake_touch(p, 2 * SLOT_NBYTES);
	CHECK(umpa_mmap(p, SLOT_NBYTES, PROT_NONE, ANON | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
		(void *)p);
	CHECK_EQ(oddity(p, SLOT_NPAGES) & FAKE_GUARDED, FAKE_GUARDED);
	CHECK(marked(p));
	CHECK(umpa_mapping_valid());
	umpa_free(p);
	CHECK(all_ordinary());
	CHECK(umpa_mapping_valid());
}

/* What can't be made readable can't be copied either. */
TEST(block_pages_that_stay_closed_are_not_copied)
{
	char *p;

	PLAN(4);
	begin();
	p = block(2 * SLOT_NPAGES);
	CHECK_EQ(umpa_mprotect(at(p, 5), PAGE_NBYTES, PROT_NONE), 0);
	fake_fail_at(1, -ENOMEM);
	CHECK(!umpa_realloc(p, 64 * SLOT_NBYTES, 0) && errno == ENOMEM);
	fake_fail_at(0, 0);
	umpa_free(p);
	CHECK(all_ordinary());
	CHECK(umpa_mapping_valid());
}

TEST(block_pages_beside_nobodys)
{
	char *p, *q;

	PLAN(6);
	begin();
	p = block(SLOT_NPAGES);
	q = block(SLOT_NPAGES);
	CHECK(q == p + SLOT_NBYTES);
	umpa_free(q);
	CHECK_EQ(umpa_mprotect(p, 2 * SLOT_NBYTES, PROT_READ), -1);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(oddity(p, SLOT_NPAGES), FAKE_GUARDED);
	CHECK_EQ(oddity(q, SLOT_NPAGES), 0);
	umpa_free(p);
	CHECK(all_ordinary());
}

/* A mark in a slot is for all that begin there. */
TEST(block_pages_of_neighbours)
{
	char *p, *q;

	PLAN(6);
	begin();
	p = block(10);
	q = block(10);
	CHECK_EQ(umpa_mprotect(at(q, 9), PAGE_NBYTES, PROT_READ), 0);
	CHECK(marked(p));
	umpa_free(p);
	CHECK_EQ(oddity(q, 10), FAKE_GUARDED);
	CHECK(marked(q));
	umpa_free(q);
	CHECK(all_ordinary());
	CHECK(!marked(q));
}

TEST(block_pages_resized)
{
	char *p;

	PLAN(9);
	begin();
	p = block(4 * SLOT_NPAGES);
	memset(p, 'p', 4 * SLOT_NBYTES);
	CHECK_EQ(umpa_mprotect(p, 4 * SLOT_NBYTES, PROT_READ), 0);
	p = umpa_realloc(p, SLOT_NBYTES, 0);
	CHECK_EQ(*at(p, 511), 'p');
	CHECK(all_ordinary());
	/* What can't be made ordinary where it is, is copied. */
	CHECK_EQ(umpa_mm_lock(p, PAGE_NBYTES, 0), 0);
	CHECK(!umpa_realloc(p, 2 * SLOT_NBYTES, UMPA_NOMOVE));
	CHECK_EQ(errno, ENOMEM);
	p = umpa_realloc(p, 2 * SLOT_NBYTES, 0);
	CHECK_EQ(*p + *at(p, 511), 2 * 'p');
	CHECK(all_ordinary());
	umpa_free(p);
	CHECK(umpa_mapping_valid());
}

/* Pages that the system does not make ordinary again are nobody's for good. */
TEST(block_pages_that_stay_protected)
{
	struct umpa_stats st;
	char *p, *q;

	PLAN(6);
	begin();
	p = block(SLOT_NPAGES);
	CHECK_EQ(umpa_mprotect(p, PAGE_NBYTES, PROT_READ), 0);
	fake_fail_from(1, -ENOMEM);
	errno = 0;
	umpa_free(p);
	CHECK_EQ(errno, 0);
	fake_fail_at(0, 0);
	CHECK_EQ(oddity(p, 1), FAKE_GUARDED);
	q = block(SLOT_NPAGES);
	CHECK(q && q != p);
	umpa_free(q);
	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.nblocks, 1);
	CHECK(umpa_mapping_valid());
}

/* What is refused with a block in it leaves its content, and the block can be freed in the end. */
static int scenario(void)
{
	char *p = block(2 * SLOT_NPAGES + 9), *q;
	int ok = 1;

	if (!p)
		return 1;
	*p = *at(p, 600) = 'p';
	(void)!umpa_mprotect(at(p, 5), 7 * PAGE_NBYTES, PROT_READ);
	(void)!umpa_madvise(at(p, 700), 9 * PAGE_NBYTES, MADV_DONTFORK);
	umpa_mmap(at(p, 20), PAGE_NBYTES, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	umpa_mmap(at(p, 21), PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0);
	(void)!umpa_mm_lock(at(p, 1), PAGE_NBYTES, 0);
	ok &= *p == 'p' && *at(p, 600) == 'p';
	q = umpa_realloc(p, 5 * SLOT_NBYTES, 0);
	p = q ? q : p;
	ok &= *p == 'p' && *at(p, 600) == 'p';
	(void)!umpa_mprotect(p, PAGE_NBYTES, PROT_NONE);
	umpa_free(p);
	fake_fail_at(0, 0);
	return ok;
}

TEST(block_pages_refused_anywhere)
{
	uint64_t ncalls;

	begin();
	CHECK(scenario() && all_ordinary());
	ncalls = fake_ncalls();
	PLAN(2 + 4 * ncalls);
	CHECK(ncalls > 15);
	for (uint64_t n = 1; n <= ncalls; n++)
		for (int from = 0; from < 2; from++) {
			begin();
			if (from)
				fake_fail_from(n, -ENOMEM);
			else
				fake_fail_at(n, -ENOMEM);
			CHECK(scenario());
			CHECK(umpa_mapping_valid() &&
				umpa_extents_valid(&umpa_core.space.extents) && fake_consistent());
		}
}

/* --- at random ---------------------------------------------------------------------------- */

enum {
	NBLOCKS = 12
};

struct tagged {
	char *p;
	size_t npages;
	unsigned char tag; /* of the first and the last page */
	int is_odd;        /* where pages are mapped over content is not looked at */
};

static void change_block(struct tagged *b, struct numbers *n)
{
	size_t npages = number_below(n, 3) ? 1 + number_below(n, 40) : 1 + number_below(n, 1500);
	void *p = b->p ? umpa_realloc(b->p, npages * PAGE_NBYTES, 0) : block(npages);

	if (!p)
		return;
	*b = (struct tagged){p, npages, (unsigned char)(1 + number_below(n, 200)), 0};
	*b->p = *at(p, npages - 1) = (char)b->tag;
}

static void change_pages(struct tagged *b, struct numbers *n)
{
	size_t from = number_below(n, (unsigned)b->npages);
	size_t nbytes = (1 + number_below(n, (unsigned)(b->npages - from))) * PAGE_NBYTES;

	switch (number_below(n, 5)) {
	case 0:
		(void)!umpa_mprotect(at(b->p, from), nbytes, PROT_READ);
		break;
	case 1:
		(void)!umpa_mprotect(at(b->p, from), nbytes, RW);
		break;
	case 2:
		(void)!umpa_madvise(at(b->p, from), nbytes, MADV_DONTFORK);
		break;
	case 3:
		(void)!umpa_mm_lock(at(b->p, from), nbytes, 0);
		break;
	default:
		b->is_odd = 1;
		umpa_mmap(at(b->p, from), nbytes, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
			-1, 0);
	}
}

static int kept(const struct tagged *b)
{
	return !b->p || b->is_odd ||
	       ((unsigned char)*b->p == b->tag &&
		       (b->npages == 1 ||
			       (unsigned char)b->p[(b->npages - 1) * PAGE_NBYTES] == b->tag));
}

TEST(block_pages_at_random)
{
	struct tagged blocks[NBLOCKS] = {{0}};
	struct numbers n = numbers_of_seed(check_seed(83));
	int ok = 1;

	PLAN(3);
	begin();
	for (uint64_t i = check_times(4000); i-- && ok;) {
		struct tagged *b = &blocks[number_below(&n, NBLOCKS)];

		if (b->p && number_below(&n, 3)) {
			change_pages(b, &n);
		} else if (b->p && number_below(&n, 2)) {
			umpa_free(b->p);
			b->p = NULL;
		} else {
			change_block(b, &n);
		}
		ok = kept(b);
	}
	for (int i = 0; i < NBLOCKS; i++) {
		ok &= kept(&blocks[i]);
		umpa_free(blocks[i].p);
	}
	CHECK(ok);
	CHECK(all_ordinary());
	CHECK(umpa_mapping_valid() && umpa_extents_valid(&umpa_core.space.extents) &&
		fake_consistent());
}
