/* The mmap family on the fake OS: which frame is where, and what a refusal leaves. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/carry.h"
#include "core/core.h"
#include "core/evidence.h"
#include "core/pool.h"
#include "core/space.h"
#include "core/trial.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/mapping_parts.h"
#include "support/check.h"
#include "support/fake_mmap.h"
#include "support/fake_os.h"

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS
};

static void *map(size_t npages)
{
	return umpa_mmap(NULL, npages * PAGE_NBYTES, RW, ANON, -1, 0);
}

static char *at(void *p, size_t page)
{
	return (char *)p + page * PAGE_NBYTES;
}

TEST(mmap_takes_frames_of_the_pool_and_clears_them)
{
	char *p;
	uint64_t frame;

	PLAN(8);
	fake_mmap_begin();
	p = map(3 * SLOT_NPAGES);
	CHECK(p != MAP_FAILED);
	fake_touch(p, 3 * SLOT_NBYTES);
	p[SLOT_NBYTES] = 1;
	frame = fake_frame(p + SLOT_NBYTES);
	CHECK_EQ(umpa_munmap(p, 3 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_pool_nslots(), 3);
	CHECK(map(3 * SLOT_NPAGES) == (void *)p);
	CHECK_EQ(fake_frame(p + SLOT_NBYTES), frame);
	CHECK_EQ(p[SLOT_NBYTES], 0);
	CHECK_EQ(umpa_munmap(p, 3 * SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_ends_the_middle)
{
	char *p;

	PLAN(9);
	fake_mmap_begin();
	p = map(4 * SLOT_NPAGES + 10);
	for (size_t i = 0; i < 4 * SLOT_NPAGES + 10; i++)
		*at(p, i) = 'x';
	/* Half of a slot, all of the next, half of the one behind. */
	CHECK_EQ(umpa_munmap(at(p, 700), 1000 * PAGE_NBYTES), 0);
	CHECK_EQ(umpa_pool_nslots(), 1);
	CHECK_EQ(*at(p, 699) + *at(p, 1700), 2 * 'x');
	CHECK(umpa_mapping_valid());
	CHECK_EQ(umpa_mprotect(at(p, 600), 200 * PAGE_NBYTES, PROT_READ), -1);
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(fake_oddity(at(p, 650)), FAKE_GUARDED);
	CHECK_EQ(umpa_munmap(p, (4 * SLOT_NPAGES + 10) * PAGE_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_makes_pages_ordinary_before_they_leave)
{
	char *p;

	PLAN(9);
	fake_mmap_begin();
	p = map(2 * SLOT_NPAGES);
	CHECK_EQ(umpa_mprotect(at(p, 5), 600 * PAGE_NBYTES, PROT_NONE), 0);
	CHECK_EQ(umpa_madvise(at(p, 700), PAGE_NBYTES, MADV_DONTFORK), 0);
	CHECK(umpa_mmap(at(p, 800), 10 * PAGE_NBYTES, PROT_READ, ANON | MAP_FIXED, -1, 0) ==
		at(p, 800));
	CHECK_EQ(fake_oddity(at(p, 805)), FAKE_GUARDED | FAKE_ODD);
	CHECK_EQ(umpa_munmap(p, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(fake_oddity(at(p, 5)) | fake_oddity(at(p, 700)) | fake_oddity(at(p, 805)), 0);
	CHECK_EQ(fake_ncalls_of("renew"), 1);
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_makes_many_protected_pages_ordinary_at_once)
{
	uint64_t before;
	char *p;

	PLAN(6);
	fake_mmap_begin();
	p = map(2 * SLOT_NPAGES);
	for (size_t i = 0; i < 2 * SLOT_NPAGES; i += 7)
		umpa_mprotect(at(p, i), PAGE_NBYTES, i % 2 ? PROT_NONE : PROT_READ);
	before = fake_ncalls();
	CHECK_EQ(umpa_munmap(p, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(fake_ncalls() - before, 1);
	CHECK_EQ(fake_oddity(at(p, 0)) | fake_oddity(at(p, 7)) | fake_oddity(at(p, 1022)), 0);
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK_EQ(fake_ncalls_of("renew"), 0);
	CHECK(fake_mmap_ends_well());
}

/* What fork shall leave out keeps its frames; unless it was left out, which the system tells. */
TEST(mmap_keeps_frames_that_fork_leaves_out)
{
	uint64_t frame;
	char *p;

	PLAN(12);
	fake_mmap_begin();
	p = map(2 * SLOT_NPAGES);
	fake_touch(p, 2 * SLOT_NBYTES);
	frame = fake_frame(at(p, 800));
	CHECK_EQ(umpa_madvise(at(p, 3), 1000 * PAGE_NBYTES, MADV_DONTFORK), 0);
	CHECK_EQ(umpa_madvise(at(p, 3), 100 * PAGE_NBYTES, MADV_DOFORK), 0);
	CHECK_EQ(umpa_mprotect(at(p, 150), 100 * PAGE_NBYTES, PROT_NONE), 0);
	CHECK_EQ(umpa_munmap(p, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(fake_oddity(at(p, 120)) | fake_oddity(at(p, 200)) | fake_oddity(at(p, 800)), 0);
	CHECK_EQ(fake_frame(at(p, 800)), frame);
	CHECK_EQ(fake_ncalls_of("renew"), 0);
	p = map(2 * SLOT_NPAGES);
	umpa_madvise(at(p, 3), 10 * PAGE_NBYTES, MADV_DONTFORK);
	umpa_mprotect(at(p, 100), 10 * PAGE_NBYTES, PROT_NONE);
	fake_fail_at(1, -ENOMEM); /* a hole */
	CHECK_EQ(umpa_munmap(p, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(fake_ncalls_of("renew"), 1);
	CHECK_EQ(fake_oddity(at(p, 5)) | fake_oddity(at(p, 105)), 0);
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK(fake_mmap_ends_well());
}

/* In a child made without fork's phases the system may tell of another's mapping there. */
TEST(mmap_renews_what_another_process_kept_from_fork)
{
	char *p;

	PLAN(4);
	fake_mmap_begin();
	p = map(SLOT_NPAGES);
	CHECK_EQ(umpa_madvise(at(p, 3), 10 * PAGE_NBYTES, MADV_DONTFORK), 0);
	umpa_mapping_table.unforked_by++;
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	CHECK_EQ(fake_ncalls_of("renew"), 1);
	umpa_mapping_table.unforked_by = 0;
	CHECK(fake_mmap_ends_well());
}

/* Whole slots between parts of others, all of them used before. */
TEST(mmap_at_a_place_is_zero)
{
	size_t nbytes = 3 * SLOT_NBYTES, nwrong = 0;
	char *p;

	PLAN(4);
	fake_mmap_begin();
	p = map(6 * SLOT_NPAGES);
	fake_touch(p, 6 * SLOT_NBYTES);
	for (size_t i = 0; i < 6 * SLOT_NPAGES; i++)
		*at(p, i) = 'x';
	CHECK_EQ(umpa_munmap(at(p, 700), nbytes), 0);
	CHECK(umpa_mmap(at(p, 700), nbytes, RW, ANON, -1, 0) == (void *)at(p, 700));
	for (size_t i = 0; i < 3 * SLOT_NPAGES; i++)
		nwrong += *at(p, 700 + i) != 0;
	CHECK_EQ(nwrong, 0);
	umpa_munmap(p, 6 * SLOT_NBYTES);
	CHECK(fake_mmap_ends_well());
}

/* What was taken before something was found in the way is nobody's again. */
TEST(mmap_at_a_place_that_is_taken_in_part)
{
	const int there = ANON | MAP_FIXED_NOREPLACE;
	char *p;

	PLAN(6);
	fake_mmap_begin();
	p = map(4 * SLOT_NPAGES);
	CHECK_EQ(umpa_munmap(at(p, 100), 412 * PAGE_NBYTES), 0);
	CHECK(umpa_mmap(at(p, 100), (412 + SLOT_NPAGES) * PAGE_NBYTES, RW, there, -1, 0) ==
		MAP_FAILED);
	CHECK_EQ(errno, EEXIST);
	CHECK(umpa_mmap(at(p, 100), 412 * PAGE_NBYTES, RW, there, -1, 0) == (void *)at(p, 100));
	CHECK_EQ(umpa_munmap(p, 4 * SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_grows_by_moving_superpages)
{
	uint64_t frame;
	char *p, *behind, *q;

	PLAN(8);
	fake_mmap_begin();
	p = map(2 * SLOT_NPAGES);
	behind = map(SLOT_NPAGES);
	fake_touch(p, 2 * SLOT_NBYTES);
	*at(p, 600) = 'y';
	frame = fake_frame(at(p, 600));
	CHECK(umpa_mremap(p, 2 * SLOT_NBYTES, 3 * SLOT_NBYTES, 0, NULL) == MAP_FAILED);
	CHECK_EQ(errno, ENOMEM);
	q = umpa_mremap(p, 2 * SLOT_NBYTES, 3 * SLOT_NBYTES, MREMAP_MAYMOVE, NULL);
	CHECK(q != MAP_FAILED && q != p);
	CHECK_EQ(fake_frame(at(q, 600)), frame);
	CHECK_EQ(*at(q, 600), 'y');
	CHECK_EQ(umpa_munmap(q, 3 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_munmap(behind, SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* Grows what is followed by another mapping, by a move that stops within its first superpage. */
static char *grow_by_half_a_move(char *p, size_t nslots)
{
	umpa_mmap(at(p, nslots * SLOT_NPAGES), PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0);
	fake_mover_partial(SLOT_NBYTES / 2);
	p = umpa_mremap(p, nslots * SLOT_NBYTES, (nslots + 1) * SLOT_NBYTES, MREMAP_MAYMOVE, NULL);
	fake_mover_partial(SIZE_MAX);
	return p;
}

/* What has arrived stays, also where the pool has frames with a hole in front, as the move before
 * has left: where there is a frame at one end and none at the other, a mover takes it for moved. */
TEST(mmap_grows_by_moves_that_stop)
{
	unsigned nwrong = 0;
	char *p, *from;

	PLAN(6);
	fake_mmap_begin();
	umpa_core_need();
	umpa_trial_mover();
	p = map(2 * SLOT_NPAGES);
	fake_touch(p, 2 * SLOT_NBYTES);
	for (size_t i = 0; i < 2 * SLOT_NPAGES; i++)
		*at(p, i) = (char)(1 + i % 100);
	for (size_t nslots = 2; nslots < 4; nslots++) {
		from = p;
		p = grow_by_half_a_move(p, nslots);
		REQUIRE(p != MAP_FAILED && p != from);
		CHECK_EQ(umpa_munmap(at(from, nslots * SLOT_NPAGES), PAGE_NBYTES), 0);
		for (size_t i = 0; i < (nslots + 1) * SLOT_NPAGES; i++)
			nwrong += *at(p, i) != (i < 2 * SLOT_NPAGES ? (char)(1 + i % 100) : 0);
	}
	CHECK_EQ(nwrong, 0);
	umpa_munmap(p, 4 * SLOT_NBYTES);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_that_moved_is_counted)
{
	struct umpa_stats st;
	char *p, *wall, *q;

	PLAN(3);
	fake_mmap_begin();
	p = map(2 * SLOT_NPAGES);
	wall = map(SLOT_NPAGES);
	q = umpa_mremap(p, 2 * SLOT_NBYTES, 4 * SLOT_NBYTES, MREMAP_MAYMOVE, NULL);
	CHECK(q != MAP_FAILED && q != p);
	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.mapping_nbytes, 5 * SLOT_NBYTES);
	umpa_munmap(q, 4 * SLOT_NBYTES);
	umpa_munmap(wall, SLOT_NBYTES);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_grows_in_place)
{
	char *p;

	PLAN(5);
	fake_mmap_begin();
	p = map(SLOT_NPAGES + 5);
	*at(p, 10) = 'z';
	CHECK(umpa_mremap(p, (SLOT_NPAGES + 5) * PAGE_NBYTES, 5 * SLOT_NBYTES, 0, NULL) ==
		(void *)p);
	CHECK_EQ(*at(p, 10), 'z');
	CHECK(umpa_mapping_valid());
	CHECK_EQ(umpa_munmap(p, 5 * SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_leaves_what_is_not_umpas_to_the_kernel)
{
	void *readable, *unbooked, *hinted;

	PLAN(6);
	fake_mmap_begin();
	readable = umpa_mmap(NULL, SLOT_NBYTES, PROT_READ, ANON, -1, 0);
	unbooked = umpa_mmap(NULL, SLOT_NBYTES, RW, ANON | MAP_NORESERVE, -1, 0);
	hinted = umpa_mmap((void *)0x10000000, SLOT_NBYTES, RW, ANON, -1, 0);
	CHECK_EQ(fake_ncalls_of("mmap"), 3);
	CHECK(readable != MAP_FAILED && unbooked != MAP_FAILED && hinted != MAP_FAILED);
	CHECK_EQ(umpa_munmap(readable, SLOT_NBYTES), 0);
	CHECK_EQ(umpa_munmap(unbooked, SLOT_NBYTES), 0);
	CHECK_EQ(umpa_munmap(hinted, SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_renews_what_was_locked)
{
	char *p;

	PLAN(10);
	fake_mmap_begin();
	p = map(SLOT_NPAGES);
	fake_fail_at(1, -ENOMEM); /* memory to note it in */
	CHECK_EQ(umpa_mm_lock(at(p, 3), PAGE_NBYTES, 0), -1);
	CHECK_EQ(fake_oddity(at(p, 3)), 0);
	CHECK_EQ(umpa_mm_lock(at(p, 3), PAGE_NBYTES, 0), 0);
	CHECK_EQ(umpa_mm_protect_key(at(p, 5), 2 * PAGE_NBYTES, PROT_READ, 1), 0);
	CHECK_EQ(fake_oddity(at(p, 3)) & fake_oddity(at(p, 6)), FAKE_ODD);
	fake_fail_at(1, -ENOMEM); /* mapping it anew */
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), -1);
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	CHECK_EQ(fake_oddity(at(p, 3)) | fake_oddity(at(p, 6)), 0);
	CHECK_EQ(fake_ncalls_of("renew"), 3);
	CHECK(fake_mmap_ends_well());
}

/* Ten pages, the fifth of them unmapped. */
static char *with_gap(void)
{
	char *p = map(10);

	(void)!umpa_munmap(at(p, 4), PAGE_NBYTES);
	return p;
}

TEST(mmap_gaps_are_nobodys)
{
	const size_t nbytes = 10 * PAGE_NBYTES;
	unsigned char vec[10] = {0};
	char *p, *block;

	PLAN(21);
	fake_mmap_begin();
	p = with_gap();
	CHECK_EQ(umpa_mm_incore(p, 4 * PAGE_NBYTES, vec), 0);
	errno = 0;
	CHECK(umpa_mm_incore(p, nbytes, vec) == -1 && errno == ENOMEM);
	CHECK_EQ(umpa_mm_sync(p, 4 * PAGE_NBYTES, MS_SYNC), 0);
	errno = 0;
	CHECK(umpa_mm_sync(at(p, 1), nbytes - PAGE_NBYTES, MS_SYNC) == -1 && errno == ENOMEM);
	errno = 0;
	CHECK(umpa_mm_unlock(at(p, 4), PAGE_NBYTES) == -1 && errno == ENOMEM);
	CHECK_EQ(fake_ncalls_of("unlock"), 0);
	CHECK(umpa_mm_unlock(p, nbytes) == -1 && fake_ncalls_of("unlock") == 1);
	/* Locked up to the gap, and from the page it begins in. */
	errno = 0;
	CHECK(umpa_mm_lock(at(p, 2) + 7, nbytes - 2 * PAGE_NBYTES - 7, 0) == -1 && errno == ENOMEM);
	CHECK_EQ(fake_oddity(at(p, 1)), 0);
	CHECK_EQ(fake_oddity(at(p, 2)) & fake_oddity(at(p, 3)), FAKE_ODD);
	CHECK_EQ(fake_oddity(at(p, 4)) | fake_oddity(at(p, 5)), 0);
	errno = 0;
	CHECK(umpa_mm_protect_key(at(p, 4), 2 * PAGE_NBYTES, RW, 1) == -1 && errno == ENOMEM);
	CHECK_EQ(fake_ncalls_of("protect_key"), 0);
	/* A block's pages are the block's. */
	block = umpa_alloc(3 * PAGE_NBYTES, 0);
	CHECK_EQ(umpa_mm_incore(block, 3 * PAGE_NBYTES, vec), 0);
	CHECK_EQ(umpa_mm_sync(block, 3 * PAGE_NBYTES, MS_ASYNC), 0);
	CHECK_EQ(umpa_mm_lock(block + 1, 1, 0), 0);
	CHECK_EQ(fake_oddity(block), FAKE_ODD);
	umpa_free(block);
	CHECK_EQ(fake_oddity(block), 0);
	fake_fail_at(1, -EAGAIN);
	errno = 0;
	CHECK(umpa_mm_sync(p, nbytes, MS_SYNC) == -1 && errno == EAGAIN);
	CHECK_EQ(umpa_munmap(p, nbytes), 0);
	CHECK(fake_mmap_ends_well());
}

static void *leave_behind(void *p, size_t npages)
{
	return umpa_mremap(p, npages * PAGE_NBYTES, npages * PAGE_NBYTES,
		MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
}

TEST(mmap_leaves_a_mapping_behind)
{
	size_t nbytes;
	char *p, *q;

	PLAN(14);
	fake_mmap_begin();
	p = map(10);
	nbytes = fake_mapped_nbytes();
	*at(p, 3) = 'k';
	q = leave_behind(p, 10);
	CHECK(q != MAP_FAILED && *at(q, 3) == 'k' && !*at(p, 3));
	CHECK_EQ(umpa_munmap(q, 10 * PAGE_NBYTES), 0);
	/* Several mappings for the kernel: copied. */
	*at(p, 3) = 'l';
	fake_fail_at(2, -EFAULT);
	q = leave_behind(p, 10);
	CHECK(q != MAP_FAILED && *at(q, 3) == 'l' && !*at(p, 3));
	CHECK_EQ(umpa_munmap(q, 10 * PAGE_NBYTES), 0);
	*at(p, 3) = 'm';
	CHECK_EQ(umpa_mprotect(p, 10 * PAGE_NBYTES, PROT_READ), 0);
	fake_fail_at(2, -EFAULT);
	q = leave_behind(p, 10);
	CHECK(q != MAP_FAILED && *at(q, 3) == 'm' && !*at(p, 3));
	CHECK_EQ(fake_oddity(p) & fake_oddity(at(p, 9)), FAKE_GUARDED);
	CHECK_EQ(umpa_munmap(q, 10 * PAGE_NBYTES), 0);
	/* Not alike: refused as the kernel does. */
	CHECK_EQ(umpa_mprotect(p, PAGE_NBYTES, PROT_NONE), 0);
	fake_fail_at(2, -EFAULT);
	errno = 0;
	CHECK(leave_behind(p, 10) == MAP_FAILED && errno == EFAULT);
	CHECK_EQ(umpa_mprotect(p, 10 * PAGE_NBYTES, RW), 0);
	CHECK_EQ(umpa_munmap(p, 10 * PAGE_NBYTES), 0);
	CHECK_EQ(fake_mapped_nbytes(), nbytes);
	CHECK(fake_mmap_ends_well());
}

/* Each call of it fails in turn: nothing is lost, and what is refused is not half done. */
TEST(mmap_leaving_behind_refused)
{
	PLAN(4 * 5);
	for (unsigned k = 1; k <= 5; k++) {
		char *p, *q;

		fake_mmap_begin();
		p = map(10);
		*at(p, 3) = 'k';
		CHECK_EQ(umpa_mprotect(p, 10 * PAGE_NBYTES, PROT_READ), 0);
		fake_fail_at(k, k == 1 ? -EAGAIN : -ENOMEM);
		q = leave_behind(p, 10);
		if (q == MAP_FAILED)
			CHECK_EQ(*at(p, 3), 'k');
		else
			CHECK(*at(q, 3) == 'k' && !*at(p, 3));
		if (q != MAP_FAILED)
			(void)!umpa_munmap(q, 10 * PAGE_NBYTES);
		fake_fail_at(0, 0);
		CHECK_EQ(umpa_munmap(p, 10 * PAGE_NBYTES), 0);
		CHECK(fake_mmap_ends_well());
	}
}

TEST(mmap_again_over_a_decommitted_part)
{
	const int nothing = ANON | MAP_FIXED | MAP_NORESERVE;
	uint64_t frame;
	char *p;

	PLAN(11);
	fake_mmap_begin();
	p = map(3 * SLOT_NPAGES);
	fake_touch(p, 3 * SLOT_NBYTES);
	*at(p, 40) = *at(p, 600) = *at(p, 1100) = 'k';
	frame = fake_frame(at(p, 1100));
	CHECK(umpa_mmap(at(p, 300), 500 * PAGE_NBYTES, PROT_NONE, nothing, -1, 0) == at(p, 300));
	CHECK_EQ(fake_oddity(at(p, 600)), FAKE_GUARDED);
	CHECK(umpa_mmap(at(p, 300), 500 * PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0) == at(p, 300));
	CHECK_EQ(fake_oddity(at(p, 600)), 0);
	CHECK_EQ(*at(p, 600), 0);
	CHECK_EQ(*at(p, 40) + *at(p, 1100), 2 * 'k');
	/* All of it: superpages that have all their frames keep them, and are cleared. */
	CHECK(umpa_mmap(p, 3 * SLOT_NBYTES, RW, ANON | MAP_FIXED, -1, 0) == (void *)p);
	CHECK_EQ(*at(p, 40) + *at(p, 1100), 0);
	CHECK_EQ(fake_frame(at(p, 1100)), frame);
	CHECK_EQ(umpa_munmap(p, 3 * SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* Advised pages leave the window to grow. Whatever is refused on the way, what they hold is where
 * the answer says, and nobody gets an address in the window. */
static uint64_t leave_to_grow(uint64_t nth, int locked, int *right)
{
	char *p, *q;
	uint64_t before;

	fake_mmap_begin();
	p = map(SLOT_NPAGES + 9);
	*at(p, 3) = 'l';
	*at(p, SLOT_NPAGES + 8) = 'm';
	umpa_madvise(p, (SLOT_NPAGES + 9) * PAGE_NBYTES, MADV_DONTFORK);
	before = fake_ncalls();
	fake_locked = locked;
	fake_fail_at(nth, -ENOMEM);
	q = umpa_mremap(p, (SLOT_NPAGES + 9) * PAGE_NBYTES, 3 * SLOT_NBYTES, MREMAP_MAYMOVE, NULL);
	fake_fail_at(0, 0);
	fake_locked = 0;
	before = fake_ncalls() - before;
	*right = q != MAP_FAILED || errno == ENOMEM;
	p = q == MAP_FAILED ? p : q;
	*right &= *at(p, 3) == 'l' && *at(p, SLOT_NPAGES + 8) == 'm' &&
		  (q == MAP_FAILED || !*at(p, 2 * SLOT_NPAGES)) && !umpa_munmap(p, 3 * SLOT_NBYTES);
	return before;
}

static void leaves_or_stays(int locked)
{
	int right;
	uint64_t ncalls = leave_to_grow(0, locked, &right);

	PLAN(2 + 1 + ncalls);
	CHECK(right);
	CHECK(fake_mmap_ends_well());
	CHECK(ncalls >= (locked ? 6 : 3));
	for (uint64_t n = 1; n <= ncalls; n++) {
		leave_to_grow(n, locked, &right);
		CHECK(right);
	}
}

TEST(mmap_leaves_the_window_or_stays)
{
	leaves_or_stays(0);
}

TEST(mmap_leaves_the_window_locked_or_stays)
{
	leaves_or_stays(1);
}

/* What they were advised is so again, here and there: nothing, that they are no child's, or the one
 * here and the other there. */
TEST(mmap_leaves_locked_pages_as_they_were_advised)
{
	static const size_t nadvised[] = {0, 10, 4};

	PLAN(3 * 5 + 1);
	fake_mmap_begin();
	for (size_t i = 0; i < array_len(nadvised); i++) {
		size_t n = nadvised[i];
		char *p = map(10), *q;

		*at(p, 3) = 'k';
		CHECK(!n || !umpa_madvise(p, n * PAGE_NBYTES, MADV_DONTFORK));
		fake_locked = 1;
		q = leave_behind(p, 10);
		fake_locked = 0;
		CHECK(q != MAP_FAILED && *at(q, 3) == 'k' && !*at(p, 3));
		CHECK_EQ(fake_oddity(p), n ? FAKE_ODD : 0);
		CHECK_EQ(fake_oddity(at(p, 9)), n > 9 ? FAKE_ODD : 0);
		CHECK_EQ(umpa_munmap(q, 10 * PAGE_NBYTES) | umpa_munmap(p, 10 * PAGE_NBYTES), 0);
	}
	CHECK(fake_mmap_ends_well());
}

/* Advice for a range by a call that saw no gap in it: what was nobody's is like any memory when it
 * is somebody's again, also where it could not be mapped anew at once. */
TEST(mmap_mends_gaps_that_were_advised)
{
	char *p;

	PLAN(2 * 7);
	for (int fails = 0; fails < 2; fails++) {
		fake_mmap_begin();
		p = map(3 * SLOT_NPAGES);
		CHECK_EQ(umpa_madvise(p, 3 * SLOT_NBYTES, MADV_DONTFORK), 0);
		CHECK_EQ(umpa_munmap(at(p, 9), 2 * SLOT_NBYTES), 0);
		CHECK_EQ(umpa_os_advise(p, 3 * SLOT_NBYTES, MADV_WIPEONFORK), 0);
		fake_fail_from(fails ? 1 : 0, -ENOMEM);
		umpa_mm_advised(p, 3 * SLOT_NBYTES, MADV_WIPEONFORK);
		fake_fail_from(0, 0);
		CHECK_EQ(fake_oddity(at(p, 8)), FAKE_ODD);
		CHECK_EQ(umpa_munmap(p, 3 * SLOT_NBYTES), 0);
		p = map(3 * SLOT_NPAGES);
		CHECK(p != MAP_FAILED);
		CHECK(!fake_oddity(at(p, 8)) && !fake_oddity(at(p, 9)) &&
			!fake_oddity(at(p, 2 * SLOT_NPAGES)));
	}
}

TEST(mmap_copies_what_the_kernel_does_not_move)
{
	char *p, *to;

	PLAN(9);
	fake_mmap_begin();
	p = map(SLOT_NPAGES);
	*at(p, 77) = 'n';
	umpa_mprotect(p, SLOT_NBYTES, PROT_READ);
	to = umpa_mmap(NULL, 2 * SLOT_NBYTES, PROT_READ, ANON, -1, 0);
	REQUIRE(p != MAP_FAILED && to != MAP_FAILED);
	fake_fail_at(2, -EFAULT); /* several mappings, says the kernel */
	CHECK(umpa_mremap(p, SLOT_NBYTES, 2 * SLOT_NBYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
		(void *)to);
	CHECK_EQ(*at(to, 77), 'n');
	CHECK_EQ(fake_oddity(at(to, 77)) & FAKE_GUARDED, FAKE_GUARDED);
	CHECK_EQ(fake_oddity(at(p, 77)), 0);
	p = map(SLOT_NPAGES);
	*at(p, 77) = 'o';
	fake_fail_at(2, -EINVAL); /* else it is refused */
	CHECK(umpa_mremap(p, SLOT_NBYTES, 2 * SLOT_NBYTES, MREMAP_MAYMOVE | MREMAP_FIXED, to) ==
		MAP_FAILED);
	CHECK_EQ(*at(p, 77), 'o');
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES) | umpa_munmap(to, 2 * SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_is_no_block)
{
	char *p;

	PLAN(5);
	fake_mmap_begin();
	p = map(SLOT_NPAGES + 100);
	CHECK_EQ(umpa_swap(p, p + SLOT_NBYTES, PAGE_NBYTES), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(umpa_unback(p, SLOT_NBYTES), -1);
	CHECK_EQ(umpa_munmap(p, (SLOT_NPAGES + 100) * PAGE_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* --- reservations --------------------------------------------------------------------------- */

static int umpas(const void *p)
{
	return umpa_window_has(&umpa_core.window, p);
}

static size_t page_of(const char *p)
{
	return (size_t)(p - (char *)umpa_core.window.base) / PAGE_NBYTES;
}

static char *reserve(size_t npages)
{
	return umpa_mmap(NULL, npages * PAGE_NBYTES, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
}

static void *map_fixed(void *p, size_t npages, int prot)
{
	return umpa_mmap(p, npages * PAGE_NBYTES, prot, ANON | MAP_FIXED, -1, 0);
}

/* The window is there, and has slots open. */
static void begin_open(void)
{
	fake_mmap_begin();
	umpa_munmap(map(8 * SLOT_NPAGES), 8 * SLOT_NBYTES);
	reserve(SLOT_NPAGES);
	umpa_trim(0);
}

static uint64_t ncalls_since(uint64_t before)
{
	return fake_ncalls() - before;
}

TEST(mmap_reserves_for_a_call_and_opens_for_a_call)
{
	const size_t npages = 3 * SLOT_NPAGES + 10;
	uint64_t before;
	size_t nframes;
	char *p;

	PLAN(12);
	begin_open();
	before = fake_ncalls();
	nframes = fake_nframes();
	p = reserve(npages);
	CHECK(umpas(p));
	CHECK_EQ(ncalls_since(before), 1);
	CHECK_EQ(fake_oddity(p) & fake_oddity(at(p, npages - 1)), FAKE_GUARDED);
	for (size_t i = 0; i < npages; i += 40)
		umpa_mprotect(at(p, i), 20 * PAGE_NBYTES, RW);
	CHECK_EQ(ncalls_since(before), 2 + npages / 40);
	CHECK_EQ(fake_oddity(at(p, 1210)) | fake_oddity(at(p, 45)), 0);
	CHECK_EQ(fake_oddity(at(p, 1230)) & fake_oddity(at(p, 39)), FAKE_GUARDED);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK(umpa_mapping_valid());
	before = fake_ncalls();
	CHECK_EQ(umpa_munmap(p, npages * PAGE_NBYTES), 0);
	CHECK_EQ(ncalls_since(before), 1);
	CHECK_EQ(fake_oddity(at(p, 1230)) | fake_oddity(at(p, 39)), 0);
	CHECK(umpa_mapping_valid());
}

/* Slots that were not opened have no frames: they are not taken for the pool's. */
TEST(mmap_ends_reservations_void_where_they_were_not_opened)
{
	char *p;

	PLAN(6);
	begin_open();
	p = reserve(5 * SLOT_NPAGES);
	umpa_mprotect(at(p, SLOT_NPAGES + 3), PAGE_NBYTES, RW);
	*at(p, SLOT_NPAGES + 3) = 'o';
	umpa_mprotect(at(p, 3 * SLOT_NPAGES), SLOT_NBYTES, PROT_READ);
	CHECK_EQ(umpa_munmap(p, 5 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_pool_nslots(), 2);
	/* A half of one is ended, and then the other. */
	p = reserve(2 * SLOT_NPAGES);
	CHECK_EQ(umpa_munmap(at(p, 700), 324 * PAGE_NBYTES), 0);
	CHECK(umpa_mapping_valid());
	CHECK_EQ(umpa_munmap(p, 700 * PAGE_NBYTES), 0);
	CHECK(umpa_mapping_valid());
}

TEST(mmap_opens_with_frames_of_the_pool)
{
	uint64_t frame;
	char *p, *q;

	PLAN(11);
	begin_open();
	q = map(2 * SLOT_NPAGES);
	fake_touch(q, 2 * SLOT_NBYTES);
	*at(q, 600) = *at(q, 20) = 'q';
	p = reserve(4 * SLOT_NPAGES);
	frame = fake_frame(q);
	CHECK_EQ(umpa_munmap(q, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_pool_nslots(), 2);
	/* Less than a slot is the kernel's to fill. */
	CHECK_EQ(umpa_mprotect(at(p, 10), 600 * PAGE_NBYTES, RW), 0);
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK_EQ(umpa_mprotect(at(p, 700), (4 * SLOT_NPAGES - 700) * PAGE_NBYTES, RW), 0);
	CHECK_EQ(umpa_pool_nslots(), 0);
	CHECK(fake_frame(at(p, 2 * SLOT_NPAGES)) == frame ||
		fake_frame(at(p, 3 * SLOT_NPAGES)) == frame);
	CHECK_EQ(*at(p, 2 * SLOT_NPAGES + 20) | *at(p, 3 * SLOT_NPAGES + 20) |
			 *at(p, 2 * SLOT_NPAGES + 88) | *at(p, 3 * SLOT_NPAGES + 88),
		0);
	CHECK_EQ(fake_frame(at(p, 800)), 0);
	CHECK_EQ(umpa_munmap(p, 4 * SLOT_NBYTES), 0);
	CHECK(umpa_mapping_valid());
}

/* Another thread may touch what has just been opened: its frame stays, and what it wrote. */
TEST(mmap_opens_beside_a_thread)
{
	char *p, *q;

	PLAN(5);
	begin_open();
	q = map(2 * SLOT_NPAGES);
	fake_touch(q, 2 * SLOT_NBYTES);
	p = reserve(2 * SLOT_NPAGES);
	umpa_munmap(q, 2 * SLOT_NBYTES);
	umpa_mprotect(p, 2 * SLOT_NBYTES, RW);
	CHECK_EQ(umpa_pool_nslots(), 0);
	/* As if it were opened only now. */
	umpa_munmap(map(2 * SLOT_NPAGES), 2 * SLOT_NBYTES);
	*at(p, 5) = 't';
	umpa_carry_fill_in_use(umpa_window_slot(&umpa_core.window, p), 2);
	CHECK_EQ(*at(p, 5), 't');
	CHECK(fake_consistent());
	CHECK_EQ(umpa_munmap(p, 2 * SLOT_NBYTES), 0);
	CHECK(umpa_mapping_valid());
}

/* It costs the one slot that the thread was quicker at. */
TEST(mmap_opens_the_rest_beside_a_thread)
{
	char *p, *q;

	PLAN(6);
	begin_open();
	q = map(3 * SLOT_NPAGES);
	fake_touch(q, 3 * SLOT_NBYTES);
	p = reserve(3 * SLOT_NPAGES);
	umpa_mprotect(p, 3 * SLOT_NBYTES, RW);
	umpa_munmap(q, 3 * SLOT_NBYTES);
	fake_touch(at(p, SLOT_NPAGES), PAGE_NBYTES);
	*at(p, SLOT_NPAGES) = 't';
	umpa_carry_fill_in_use(umpa_window_slot(&umpa_core.window, p), 3);
	CHECK_EQ(*at(p, SLOT_NPAGES), 't');
	CHECK(fake_frame(p) && fake_frame(at(p, 2 * SLOT_NPAGES)));
	CHECK(!*at(p, 0) && !*at(p, 2 * SLOT_NPAGES));
	CHECK_EQ(umpa_pool_nslots(), 0);
	CHECK_EQ(umpa_munmap(p, 3 * SLOT_NBYTES), 0);
	CHECK(umpa_mapping_valid());
}

/* A mover that looks first and moves then might take away what a thread has just written. */
TEST(mmap_opens_without_a_mover_in_one_step)
{
	char *p, *q;

	PLAN(4);
	begin_open();
	q = map(2 * SLOT_NPAGES);
	fake_touch(q, 2 * SLOT_NBYTES);
	p = reserve(2 * SLOT_NPAGES);
	umpa_munmap(q, 2 * SLOT_NBYTES);
	umpa_trial_mover()->one_step = 0;
	CHECK_EQ(umpa_mprotect(p, 2 * SLOT_NBYTES, RW), 0);
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK_EQ(fake_frame(at(p, 7)), 0);
	umpa_munmap(p, 2 * SLOT_NBYTES);
	CHECK(umpa_mapping_valid());
}

TEST(mmap_commits_and_decommits_by_mapping_over)
{
	uint64_t before;
	char *p;

	PLAN(21);
	begin_open();
	p = reserve(3 * SLOT_NPAGES);
	before = fake_ncalls();
	CHECK(map_fixed(at(p, 100), 600, RW) == at(p, 100));
	CHECK_EQ(ncalls_since(before), 1);
	CHECK_EQ(fake_frame(at(p, 300)), 0);
	*at(p, 300) = *at(p, 650) = 'd';
	before = fake_ncalls();
	CHECK(map_fixed(at(p, 200), 300, PROT_NONE) == at(p, 200));
	CHECK_EQ(ncalls_since(before), 2);
	CHECK_EQ(fake_frame(at(p, 300)), 0);
	CHECK_EQ(fake_oddity(at(p, 300)), FAKE_GUARDED);
	CHECK_EQ(*at(p, 650), 'd');
	/* Closed it is already. */
	before = fake_ncalls();
	CHECK(map_fixed(at(p, 210), 100, PROT_NONE) == at(p, 210));
	CHECK_EQ(ncalls_since(before), 0);
	/* Over closed and open pages: zero all of them, and no frames for what was closed. */
	umpa_mprotect(at(p, 800), 20 * PAGE_NBYTES, PROT_READ | PROT_EXEC);
	CHECK(map_fixed(at(p, 790), 50, PROT_NONE) == at(p, 790));
	CHECK_EQ(umpa_mapping_prot(page_of(at(p, 780)), page_of(at(p, 840))), PROT_NONE);
	CHECK(map_fixed(at(p, 0), 3 * SLOT_NPAGES, RW) == at(p, 0));
	CHECK_EQ(*at(p, 300) | *at(p, 650), 0);
	CHECK_EQ(fake_frame(at(p, 300)), 0);
	CHECK_EQ(fake_oddity(at(p, 300)) | fake_oddity(at(p, 1500)), 0);
	/* What is mapped over is closed by the kernel. */
	umpa_mmap(at(p, 40), PAGE_NBYTES, PROT_READ, ANON | MAP_FIXED, -1, 0);
	CHECK(map_fixed(at(p, 30), 20, PROT_NONE) == at(p, 30));
	CHECK_EQ(fake_oddity(at(p, 40)), FAKE_GUARDED | FAKE_ODD);
	CHECK_EQ(fake_oddity(at(p, 35)), FAKE_GUARDED | FAKE_ODD);
	CHECK_EQ(umpa_munmap(p, 3 * SLOT_NBYTES), 0);
	CHECK(umpa_mapping_valid());
}

TEST(mmap_reserves_where_it_is_told)
{
	const int there = ANON | MAP_FIXED_NOREPLACE;
	char *p, *q;

	PLAN(12);
	begin_open();
	p = map(4 * SLOT_NPAGES);
	*at(p, 600) = 'w';
	CHECK_EQ(umpa_munmap(at(p, 500), 1000 * PAGE_NBYTES), 0);
	q = umpa_mmap(at(p, 500), 900 * PAGE_NBYTES, PROT_NONE, there, -1, 0);
	CHECK(q == at(p, 500));
	CHECK_EQ(fake_oddity(at(p, 600)), FAKE_GUARDED);
	CHECK_EQ(fake_frame(at(p, 600)), 0);
	CHECK(umpa_mmap(at(p, 1399), 2 * PAGE_NBYTES, PROT_NONE, there, -1, 0) == MAP_FAILED);
	CHECK_EQ(errno, EEXIST);
	/* A wish is granted. */
	q = umpa_mmap(at(p, 1400), 100 * PAGE_NBYTES, PROT_NONE, ANON, -1, 0);
	CHECK(q == at(p, 1400));
	CHECK_EQ(umpa_mprotect(at(p, 500), 1000 * PAGE_NBYTES, RW), 0);
	CHECK_EQ(*at(p, 600), 0);
	CHECK(umpa_mapping_valid());
	CHECK_EQ(umpa_munmap(p, 4 * SLOT_NBYTES), 0);
	CHECK(umpa_mapping_valid());
}

/* Where memory counts before it is touched a reservation must not, nor get frames when it is
 * ended; a very large one is not worth a record for each slot, a small one no superpage. */
TEST(mmap_leaves_reservations_to_the_kernel)
{
	const size_t most = ((size_t)4 << 30) / 64 / PAGE_NBYTES;
	void *strict;

	PLAN(8);
	fake_mmap_begin();
	fake_machine.strict_commit = 1;
	strict = reserve(SLOT_NPAGES);
	CHECK(strict != MAP_FAILED && !umpas(strict));
	fake_mmap_begin();
	CHECK(umpas(reserve(most)));
	CHECK(!umpas(reserve(SLOT_NPAGES - 1)));
	CHECK(!umpas(reserve(most + 1)));
	CHECK_EQ(fake_ncalls_of("mmap"), 2);
	CHECK(!umpas(umpa_mmap(NULL, SLOT_NBYTES, PROT_NONE, ANON | MAP_STACK, -1, 0)));
	umpa_core.space.locked = 1;
	CHECK(!umpas(reserve(SLOT_NPAGES)));
	umpa_core.space.locked = 0;
	CHECK(umpa_mapping_valid());
}

/* A place that lies in the window in part only is taken: what is behind it may be anybody's. */
TEST(mmap_takes_no_place_across_the_windows_end)
{
	uint64_t before;
	char *end;

	PLAN(4);
	fake_mmap_begin();
	umpa_munmap(map(1), PAGE_NBYTES);
	end = (char *)umpa_core.window.base + umpa_core.window.nbytes;
	before = fake_ncalls_of("mmap");
	CHECK(umpa_mmap(end - PAGE_NBYTES, 2 * PAGE_NBYTES, RW, ANON | MAP_FIXED_NOREPLACE, -1,
		      0) == MAP_FAILED);
	CHECK_EQ(errno, EEXIST);
	CHECK_EQ(fake_ncalls_of("mmap"), before);
	CHECK(fake_mmap_ends_well());
}

/* The kernel says whether more than the machine has is to be had. */
TEST(mmap_of_more_than_the_memory_is_the_kernels)
{
	char *first, *p;
	size_t nbytes;

	PLAN(5);
	fake_mmap_begin();
	umpa_evidence_stop();
	nbytes = fake_machine.memory_nbytes + PAGE_NBYTES;
	p = umpa_mmap(NULL, nbytes, RW, ANON, -1, 0);
	CHECK(p != MAP_FAILED && !umpas(p));
	CHECK_EQ(umpa_munmap(p, nbytes), 0);
	first = umpa_mm_map_for_engine(NULL, 20 * SLOT_NBYTES, RW, ANON, -1, 0);
	fake_touch(first, 20 * SLOT_NBYTES);
	p = umpa_mm_map_for_engine(NULL, nbytes, RW, ANON, -1, 0);
	CHECK(p != MAP_FAILED && !umpas(p));
	CHECK_EQ(umpa_mm_unmap(p, nbytes) | umpa_mm_unmap(first, 20 * SLOT_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* Opened here and there, in more places than are told apart. */
TEST(mmap_clears_many_opened_parts_at_once)
{
	const size_t npages = 2 * SLOT_NPAGES;
	size_t nwrong = 0;
	char *p;

	PLAN(5);
	begin_open();
	p = reserve(npages);
	CHECK(umpas(p));
	for (size_t i = 0; i < 40; i++) {
		nwrong += umpa_mprotect(at(p, 20 * i), PAGE_NBYTES, RW) != 0;
		*at(p, 20 * i) = 'x';
	}
	CHECK_EQ(nwrong, 0);
	CHECK(map_fixed(p, npages, RW) == p);
	for (size_t i = 0; i < npages; i++)
		nwrong += *at(p, i) != 0;
	CHECK_EQ(nwrong, 0);
	umpa_munmap(p, npages * PAGE_NBYTES);
	CHECK(umpa_mapping_valid());
}

TEST(mmap_leaves_no_reservation_of_another_length_behind)
{
	char *p;

	PLAN(4);
	begin_open();
	p = reserve(2 * SLOT_NPAGES);
	CHECK(umpas(p));
	CHECK(umpa_mremap(p, 2 * SLOT_NBYTES, SLOT_NBYTES, MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
		      NULL) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	umpa_munmap(p, 2 * SLOT_NBYTES);
	CHECK(umpa_mapping_valid());
}

static size_t nrenewed;

static void count_renewed(struct umpa_mover *m, void *addr, size_t nbytes)
{
	(void)m, (void)addr;
	nrenewed += nbytes / PAGE_NBYTES;
}

/* What is mapped anew is nothing that the mover knows. */
TEST(mmap_tells_the_mover_what_is_renewed)
{
	char *p;

	PLAN(4);
	fake_mmap_begin();
	p = map(SLOT_NPAGES);
	umpa_trial_mover()->renewed = count_renewed;
	nrenewed = 0;
	CHECK_EQ(umpa_mm_lock(at(p, 3), 10 * PAGE_NBYTES, 0), 0);
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	CHECK_EQ(nrenewed, 10);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_remaps_what_is_closed)
{
	uint64_t before;
	size_t nframes;
	char *p, *q;

	PLAN(14);
	begin_open();
	p = reserve(2 * SLOT_NPAGES);
	nframes = fake_nframes();
	CHECK(umpa_mremap(p, 2 * SLOT_NBYTES, 3 * SLOT_NBYTES, 0, NULL) == MAP_FAILED);
	CHECK_EQ(errno, ENOMEM);
	q = umpa_mremap(p, 2 * SLOT_NBYTES, 3 * SLOT_NBYTES, MREMAP_MAYMOVE, NULL);
	CHECK(umpas(q));
	CHECK_EQ(fake_oddity(at(q, 3 * SLOT_NPAGES - 1)), FAKE_GUARDED);
	before = fake_ncalls();
	CHECK(umpa_mremap(q, 3 * SLOT_NBYTES, SLOT_NBYTES, 0, NULL) == (void *)q);
	CHECK_EQ(ncalls_since(before), 1);
	/* Beside others that were open once: as any pages that are protected alike. */
	umpa_mprotect(at(q, 100), 50 * PAGE_NBYTES, RW);
	*at(q, 120) = 'r';
	umpa_mprotect(at(q, 100), 50 * PAGE_NBYTES, PROT_NONE);
	p = umpa_mremap(q, SLOT_NBYTES, 2 * SLOT_NBYTES, MREMAP_MAYMOVE, NULL);
	CHECK(p != MAP_FAILED);
	CHECK_EQ(umpa_mprotect(p, 2 * SLOT_NBYTES, RW), 0);
	CHECK_EQ(*at(p, 120), 'r');
	CHECK_EQ(umpa_munmap(p, 2 * SLOT_NBYTES), 0);
	p = reserve(SLOT_NPAGES);
	q = umpa_mmap(NULL, 2 * SLOT_NBYTES, PROT_READ, ANON, -1, 0);
	CHECK(umpa_mremap(p, SLOT_NBYTES, 2 * SLOT_NBYTES, MREMAP_MAYMOVE | MREMAP_FIXED, q) ==
		(void *)q);
	CHECK_EQ(fake_oddity(at(q, 3)) & FAKE_GUARDED, FAKE_GUARDED);
	CHECK(fake_nframes() <= nframes + 2 * SLOT_NPAGES);
	CHECK(umpa_mapping_valid());
}

/* A lock, a key or advice: what is said of a closed page no longer holds of one that can be
 * written another way. */
TEST(mmap_opens_by_a_key)
{
	char *p;

	PLAN(4);
	begin_open();
	p = reserve(SLOT_NPAGES);
	CHECK_EQ(umpa_mm_protect_key(p, SLOT_NBYTES, RW, 1), 0);
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	CHECK_EQ(umpa_pool_nslots(), 1);
	CHECK(umpa_mapping_valid());
}

static int zero_where_open(char *p, size_t npages)
{
	for (size_t i = 0; i < npages; i++)
		if (!fake_oddity(at(p, i)) && *at(p, i))
			return 0;
	return 1;
}

/* Any call of the system refused: pages are zero when they are opened, and nothing is lost. */
static int reserve_and_use(void)
{
	const size_t npages = 2 * SLOT_NPAGES + 30;
	char *p = reserve(npages), *q = reserve(SLOT_NPAGES);
	int ok = 1;

	if (q != MAP_FAILED)
		umpa_mprotect(at(q, 10), 10 * PAGE_NBYTES, RW);
	if (p != MAP_FAILED && umpas(p)) {
		umpa_mprotect(at(p, 400), (npages - 400) * PAGE_NBYTES, RW);
		ok &= zero_where_open(p, npages);
		if (!fake_oddity(at(p, 700)))
			*at(p, 700) = 'u';
		map_fixed(at(p, 600), 300, PROT_NONE);
		map_fixed(at(p, 650), 100, RW);
		umpa_madvise(at(p, 3), 20 * PAGE_NBYTES, MADV_DONTFORK);
		umpa_munmap(at(p, 900), 50 * PAGE_NBYTES);
		umpa_mmap(
			at(p, 910), 20 * PAGE_NBYTES, PROT_NONE, ANON | MAP_FIXED_NOREPLACE, -1, 0);
	}
	fake_fail_at(0, 0);
	if (p != MAP_FAILED)
		ok &= !umpa_munmap(p, npages * PAGE_NBYTES);
	if (q != MAP_FAILED)
		ok &= !umpa_munmap(q, SLOT_NBYTES);
	return ok;
}

static void begin_with_pool(void)
{
	char *p;

	fake_mmap_begin();
	p = map(2 * SLOT_NPAGES);
	fake_touch(p, 2 * SLOT_NBYTES);
	memset(p, 'v', 2 * SLOT_NBYTES);
	umpa_munmap(p, 2 * SLOT_NBYTES);
}

/* The n-th call, and the m-th behind it if it is not 0. */
static void refuse(uint64_t n, uint64_t m)
{
	fake_fail_at(n, -ENOMEM);
	fake_fail_again(m, -ENOMEM);
}

TEST(mmap_reservations_refused_anywhere)
{
	uint64_t ncalls;

	begin_with_pool();
	ncalls = fake_ncalls();
	reserve_and_use();
	ncalls = fake_ncalls() - ncalls;
	PLAN(3 * 3 * ncalls + 1);
	CHECK(ncalls > 15);
	for (uint64_t n = 0; n < 3 * ncalls; n++) {
		begin_with_pool();
		refuse(1 + n / 3, n % 3);
		CHECK(reserve_and_use());
		CHECK(umpa_mapping_valid());
		CHECK(fake_consistent());
	}
}

/* Each call of the system refused in turn. */
static int scenario(void)
{
	char *p = map(3 * SLOT_NPAGES + 7), *q = map(50), *r;
	int ok = 1;

	if (p != MAP_FAILED) {
		*at(p, 3) = 'a';
		*at(p, 1500) = 'b';
		umpa_mprotect(at(p, 100), 20 * PAGE_NBYTES, PROT_READ);
		umpa_munmap(at(p, 100), 500 * PAGE_NBYTES);
		ok &= *at(p, 3) == 'a' && *at(p, 1500) == 'b';
		umpa_mmap(at(p, 2), PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0);
		umpa_madvise(at(p, 1400), PAGE_NBYTES, MADV_WIPEONFORK);
		ok &= *at(p, 3) == 'a' && *at(p, 1500) == 'b';
	}
	if (q != MAP_FAILED) {
		*at(q, 40) = 'c';
		r = umpa_mremap(q, 50 * PAGE_NBYTES, 2 * SLOT_NBYTES, MREMAP_MAYMOVE, NULL);
		ok &= *at(r == MAP_FAILED ? q : r, 40) == 'c';
		fake_fail_at(0, 0);
		umpa_munmap(r == MAP_FAILED ? q : r,
			r == MAP_FAILED ? 50 * PAGE_NBYTES : 2 * SLOT_NBYTES);
	}
	fake_fail_at(0, 0);
	if (p != MAP_FAILED)
		umpa_munmap(p, (3 * SLOT_NPAGES + 7) * PAGE_NBYTES);
	return ok;
}

static uint64_t ncalls_of_scenario(void)
{
	fake_mmap_begin();
	scenario();
	return fake_ncalls();
}

TEST(mmap_refused_anywhere)
{
	uint64_t ncalls = ncalls_of_scenario();

	PLAN(2 * ((3 * ncalls + CHECK_STRIDE - 1) / CHECK_STRIDE) + 1);
	CHECK(ncalls > 15);
	for (uint64_t n = 0; n < 3 * ncalls; n += CHECK_STRIDE) {
		fake_mmap_begin();
		refuse(1 + n % ncalls, n / ncalls);
		CHECK(scenario());
		CHECK(fake_mmap_ends_well());
	}
}

/* --- of those who did not ask for it -------------------------------------------------------- */

static void *map_for_engine(void *wish, size_t nbytes)
{
	return umpa_mm_map_for_engine(wish, nbytes, RW, ANON | MAP_NORESERVE, -1, 0);
}

/* More than 16 MiB, used: from then on the engine is served, but for probes. */
static void *teach_engine(void)
{
	void *p = map_for_engine(NULL, 20 * SLOT_NBYTES);

	fake_touch(p, 20 * SLOT_NBYTES);
	return p;
}

TEST(mmap_for_an_engine)
{
	char *first, *p, *q, *r;

	PLAN(12);
	fake_mmap_begin();
	umpa_evidence_stop();
	first = teach_engine();
	CHECK(first != MAP_FAILED && !umpas(first));
	p = map_for_engine((void *)(64 * SLOT_NBYTES), 16 * SLOT_NBYTES);
	CHECK(umpas(p) && (uintptr_t)p % (16 * SLOT_NBYTES) == 0);
	CHECK_EQ(p[SLOT_NBYTES], 0);
	q = map_for_engine((void *)(3 * SLOT_NBYTES), SLOT_NBYTES / 2 + PAGE_NBYTES);
	CHECK(umpas(q));
	/* Books, and what is no block's memory. */
	r = map_for_engine(NULL, 16 * PAGE_NBYTES);
	CHECK(r != MAP_FAILED && !umpas(r));
	CHECK(!umpas(umpa_mm_map_for_engine(NULL, SLOT_NBYTES, PROT_NONE, ANON, -1, 0)));
	CHECK_EQ(umpa_mm_unmap(p, 16 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_mm_unmap(q, SLOT_NBYTES / 2 + PAGE_NBYTES), 0);
	CHECK_EQ(umpa_mm_unmap(first, 20 * SLOT_NBYTES), 0);
	CHECK(map_for_engine(NULL, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_for_an_engine_refused)
{
	char *p;

	PLAN(7);
	fake_mmap_begin();
	umpa_evidence_stop();
	teach_engine();
	/* The window opens no more; the kernel still maps. */
	fake_open_max = fake_opened_nbytes();
	p = map_for_engine(NULL, 64 * SLOT_NBYTES);
	CHECK(p != MAP_FAILED && !umpas(p));
	fake_fail_from(1, -ENOMEM);
	CHECK(map_for_engine(NULL, 64 * SLOT_NBYTES) == MAP_FAILED);
	CHECK_EQ(errno, ENOMEM);
	fake_fail_at(0, 0);
	fake_open_max = SIZE_MAX;
	/* A handler that has interrupted umpa. */
	umpa_critical.nsections++;
	p = map_for_engine(NULL, 64 * SLOT_NBYTES);
	CHECK(p != MAP_FAILED && !umpas(p));
	p = map(10);
	CHECK(p != MAP_FAILED && !umpas(p));
	umpa_critical.nsections--;
	CHECK(umpas(map_for_engine(NULL, SLOT_NBYTES)));
	CHECK(umpa_mapping_valid());
}

/* tcmalloc's: half a superpage and a page, of which the page is given back. They lie side by side,
 * also where the frontier was. */
TEST(mmap_for_an_engine_leaves_no_gaps)
{
	const size_t nbytes = SLOT_NBYTES / 2;
	char *before, *p;
	unsigned ngaps = 0;

	PLAN(3);
	fake_mmap_begin();
	before = map(257);
	CHECK_EQ(umpa_munmap(before + nbytes, PAGE_NBYTES), 0);
	for (int i = 0; i < 100; i++, before = p) {
		p = map(257);
		ngaps += p != before + nbytes || umpa_munmap(p + nbytes, PAGE_NBYTES) != 0;
	}
	CHECK_EQ(ngaps, 0);
	CHECK(umpa_mapping_valid());
}

/* MAP_NORESERVE is no hindrance where mappings are used. */
TEST(mmap_if_used)
{
	const size_t nbytes = 3 * SLOT_NBYTES;
	char *p;

	PLAN(4);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = umpa_mm_map_if_used(NULL, nbytes, RW, ANON | MAP_NORESERVE, -1, 0);
	CHECK(p != MAP_FAILED && !umpas(p));
	fake_touch(p, nbytes);
	p = umpa_mm_map_if_used(NULL, nbytes, RW, ANON | MAP_NORESERVE, -1, 0);
	CHECK(umpas(p));
	CHECK_EQ(umpa_mm_unmap(p, nbytes), 0);
	CHECK(fake_mmap_ends_well());
}

/* A probe takes frames from the kernel; as many of the pool go back if it will be used, or the
 * process would have both. */
TEST(mmap_if_used_gives_for_a_probe)
{
	const size_t nbytes = 3 * SLOT_NBYTES;
	unsigned nserved = 0;
	char *p, *q;

	PLAN(9);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = map(5 * SLOT_NPAGES);
	fake_touch(p, 5 * SLOT_NBYTES);
	CHECK_EQ(umpa_munmap(p, 5 * SLOT_NBYTES), 0);
	p = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0);
	CHECK(p != MAP_FAILED && !umpas(p));
	/* Whether it will be used isn't known yet. */
	CHECK_EQ(umpa_pool_nslots(), 5);
	fake_touch(p, nbytes);
	while (umpas(q = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0)) && nserved < 99) {
		nserved++;
		umpa_mm_unmap(q, nbytes);
	}
	CHECK_EQ(nserved, 15);
	CHECK(q != MAP_FAILED && !umpas(q));
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK_EQ(umpa_mm_unmap(p, nbytes), 0);
	CHECK_EQ(umpa_mm_unmap(q, nbytes), 0);
	CHECK(fake_mmap_ends_well());
}

/* A handler that has interrupted umpa takes no lock for that. */
TEST(mmap_if_used_gives_nothing_in_a_handler)
{
	const size_t nbytes = 3 * SLOT_NBYTES;
	char *p, *q;

	PLAN(4);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0);
	fake_touch(p, nbytes);
	for (unsigned i = 0; i < 15; i++) {
		q = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0);
		umpa_mm_unmap(q, nbytes);
	}
	CHECK_EQ(umpa_pool_nslots(), 3);
	umpa_critical.nsections++;
	q = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0);
	umpa_critical.nsections--;
	CHECK(q != MAP_FAILED && !umpas(q));
	CHECK_EQ(umpa_pool_nslots(), 3);
	umpa_mm_unmap(p, nbytes);
	umpa_mm_unmap(q, nbytes);
	CHECK(fake_mmap_ends_well());
}

/* Until it is to serve, umpa is not started: not by probes, nor by what is ordered somewhere. */
TEST(mmap_if_used_does_without_umpa)
{
	const size_t nbytes = 3 * SLOT_NBYTES;
	char *p, *q;

	PLAN(11);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK(umpa_mm_map_if_used(NULL, nbytes, PROT_NONE, ANON, -1, 0) != MAP_FAILED);
	CHECK(umpa_mm_map_at(p, PAGE_NBYTES, RW, ANON | MAP_FIXED, -1, 0) == p);
	CHECK(map_for_engine(NULL, nbytes) != MAP_FAILED);
	CHECK_EQ(umpa_mprotect(p, PAGE_NBYTES, PROT_READ), 0);
	CHECK_EQ(umpa_mprotect(p, PAGE_NBYTES, RW), 0);
	CHECK(!umpa_core_started);
	fake_touch(p, nbytes);
	/* A handler that has interrupted the start. */
	umpa_critical.nsections++;
	q = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0);
	umpa_critical.nsections--;
	CHECK(q != MAP_FAILED && !umpa_core_started);
	CHECK_EQ(umpa_mm_unmap(q, nbytes), 0);
	q = umpa_mm_map_if_used(NULL, nbytes, RW, ANON, -1, 0);
	CHECK(umpas(q));
	CHECK_EQ(umpa_mm_unmap(q, nbytes), 0);
}

static char *reserve_if_used(void *wish, size_t npages)
{
	return umpa_mm_map_if_used(wish, npages * PAGE_NBYTES, PROT_NONE, ANON, -1, 0);
}

/* Reservations of a size are served once one was seen to be used, trimmed as it may be; a wish for
 * an address is taken for its alignment then. Most of one is opened, so it has frames before. */
TEST(mmap_reserves_if_used)
{
	const size_t npages = 2 * SLOT_NPAGES + 100;
	uint64_t frame;
	char *p, *q;

	PLAN(13);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = reserve_if_used(NULL, npages);
	CHECK(p != MAP_FAILED && !umpas(p));
	CHECK_EQ(umpa_mm_unmap(at(p, SLOT_NPAGES), (npages - SLOT_NPAGES) * PAGE_NBYTES), 0);
	CHECK_EQ(umpa_mprotect(p, SLOT_NBYTES, RW), 0);
	fake_touch(p, SLOT_NBYTES);
	CHECK_EQ(umpa_mm_unmap(p, SLOT_NBYTES), 0);
	/* Not others. */
	CHECK(!umpas(reserve_if_used(NULL, 2 * npages)));
	p = map(3 * SLOT_NPAGES);
	fake_touch(p, 3 * SLOT_NBYTES);
	*at(p, 3) = 'x';
	frame = fake_frame(p);
	umpa_munmap(p, 3 * SLOT_NBYTES);
	p = reserve_if_used(NULL, npages);
	CHECK(umpas(p));
	CHECK_EQ(fake_frame(p), frame);
	CHECK_EQ(umpa_mprotect(p, npages * PAGE_NBYTES, RW), 0);
	CHECK_EQ(*at(p, 3), 0);
	q = reserve_if_used((void *)(6 * SLOT_NBYTES), npages);
	CHECK(umpas(q) && (uintptr_t)q % (2 * SLOT_NBYTES) == 0);
	CHECK_EQ(umpa_mm_unmap(p, npages * PAGE_NBYTES), 0);
	CHECK_EQ(umpa_mm_unmap(q, npages * PAGE_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* A wish for a place in the window is granted at once, as by umpa_mmap(). */
TEST(mmap_reserves_in_a_gap_that_is_wished_for)
{
	char *p;

	PLAN(3);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = map(4 * SLOT_NPAGES);
	CHECK_EQ(umpa_munmap(at(p, SLOT_NPAGES), 2 * SLOT_NBYTES), 0);
	CHECK(reserve_if_used(at(p, SLOT_NPAGES), 2 * SLOT_NPAGES) == at(p, SLOT_NPAGES));
	umpa_munmap(p, 4 * SLOT_NBYTES);
	CHECK(fake_mmap_ends_well());
}

/* One that is kept ready has frames, and leaves them to the pool, opened or not. */
TEST(mmap_reservations_kept_ready_end_with_their_frames)
{
	char *p;

	PLAN(4);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = reserve_if_used(NULL, 2 * SLOT_NPAGES);
	umpa_mprotect(p, 2 * SLOT_NBYTES, RW);
	fake_touch(p, 2 * SLOT_NBYTES);
	umpa_mm_unmap(p, 2 * SLOT_NBYTES);
	p = map(2 * SLOT_NPAGES);
	fake_touch(p, 2 * SLOT_NBYTES);
	umpa_munmap(p, 2 * SLOT_NBYTES);
	p = reserve_if_used(NULL, 2 * SLOT_NPAGES);
	CHECK(umpas(p));
	CHECK_EQ(umpa_mm_unmap(p, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_pool_nslots(), 2);
	CHECK(fake_mmap_ends_well());
}

TEST(mmap_keeps_no_large_reservations_ready)
{
	const size_t npages = 10 * SLOT_NPAGES;
	char *p;

	PLAN(5);
	fake_mmap_begin();
	umpa_evidence_stop();
	p = reserve_if_used(NULL, npages);
	umpa_mprotect(p, npages * PAGE_NBYTES, RW);
	fake_touch(p, npages * PAGE_NBYTES);
	umpa_mm_unmap(p, npages * PAGE_NBYTES);
	umpa_munmap(map(2 * SLOT_NPAGES), 2 * SLOT_NBYTES);
	p = reserve_if_used(NULL, npages);
	CHECK(umpas(p));
	CHECK_EQ(umpa_pool_nslots(), 2);
	umpa_mprotect(p, npages * PAGE_NBYTES, RW);
	CHECK_EQ(umpa_pool_nslots(), 0);
	CHECK_EQ(umpa_mm_unmap(p, npages * PAGE_NBYTES), 0);
	CHECK(fake_mmap_ends_well());
}

/* --- at random ------------------------------------------------------------------------------ */

static void random_calls(int refuse, uint64_t seed)
{
	struct numbers numbers = numbers_of_seed(check_seed(seed));

	PLAN(1);
	CHECK_EQ(fake_mmap_run(numbers, check_times(1500), (size_t)256 << 20, refuse), 0);
}

TEST(mmap_random)
{
	random_calls(0, 81);
}

TEST(mmap_random_refused)
{
	random_calls(1, 82);
}
