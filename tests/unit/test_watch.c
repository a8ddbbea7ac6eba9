/* A program's own userfaultfd over memory of the window, on the fake OS: what is handed over, what
 * is given back first, and what a refusal leaves. */
#include <errno.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/trial.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "support/check.h"
#include "support/fake_mmap.h"
#include "support/fake_os.h"

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	NPAGES = 600
};

static char *at(char *p, size_t page)
{
	return p + page * PAGE_NBYTES;
}

/* All of it has frames; every tenth page holds something. */
static char *begin(void)
{
	char *p;

	fake_mmap_begin();
	p = umpa_mmap(NULL, NPAGES * PAGE_NBYTES, RW, ANON, -1, 0);
	fake_touch(p, NPAGES * PAGE_NBYTES);
	for (size_t i = 0; i < NPAGES; i += 10)
		*at(p, i) = 'x';
	(void)!umpa_mprotect(p, PAGE_NBYTES, PROT_NONE); /* opens the attributes' table */
	(void)!umpa_mprotect(p, PAGE_NBYTES, RW);
	return p;
}

static struct umpa_mm_watch watch_of(char *p, size_t npages)
{
	return (struct umpa_mm_watch){5, p, npages * PAGE_NBYTES, 1, 0};
}

static size_t count_frames(char *p, size_t npages)
{
	size_t n = 0;

	for (size_t i = 0; i < npages; i++)
		n += fake_frame(at(p, i)) != 0;
	return n;
}

static int ends_well(char *p)
{
	return !umpa_munmap(p, NPAGES * PAGE_NBYTES) && fake_mmap_ends_well();
}

static int is_odd(char *p)
{
	size_t page = (size_t)(p - (char *)page_address((struct slot){0}, 0)) >> PAGE_SHIFT;

	return umpa_mapping_prot(page, page + 1) == MAPPING_ODD;
}

/* No mover, so the kernel has registered it for the program at once. */
TEST(watch_registered)
{
	char *p = begin();
	struct umpa_mm_watch w = watch_of(at(p, 100), 400);

	PLAN(15);
	CHECK(umpa_mm_may_watch(&w));
	CHECK_EQ(umpa_mm_hand_over(&w, 1), 0);
	umpa_mm_handed_over(&w, 1);
	CHECK_EQ(fake_ncalls_of("unregister"), 1);
	CHECK_EQ(fake_ncalls_of("let_go"), 0);
	CHECK_EQ(count_frames(at(p, 100), 400), 40);
	CHECK_EQ(count_frames(p, NPAGES), 240);
	CHECK(*at(p, 110) == 'x' && !*at(p, 111));
	CHECK(is_odd(at(p, 100)) && is_odd(at(p, 499)) && !is_odd(at(p, 99)) &&
		!is_odd(at(p, 500)));
	/* Once more: what is there now the program has put there. */
	fake_touch(at(p, 101), 3 * PAGE_NBYTES);
	CHECK_EQ(umpa_mm_hand_over(&w, 1), 0);
	umpa_mm_handed_over(&w, 1);
	CHECK_EQ(fake_ncalls_of("unregister"), 1);
	CHECK_EQ(count_frames(at(p, 100), 400), 43);
	/* All of it is the window's again at the end. */
	CHECK_EQ(umpa_munmap(at(p, 90), 100 * PAGE_NBYTES), 0);
	CHECK_EQ(fake_ncalls_of("renew"), 1);
	CHECK(ends_well(p));
	CHECK_EQ(fake_ncalls_of("renew"), 2);
}

/* Content counts, and where only writing is watched, frames do not. */
TEST(watch_keeps_frames_unless_missing_ones_matter)
{
	char *p = begin();
	struct umpa_mm_watch w = watch_of(p, NPAGES);

	PLAN(4);
	w.missing = 0;
	CHECK_EQ(umpa_mm_hand_over(&w, 1), 0);
	umpa_mm_handed_over(&w, 1);
	CHECK_EQ(fake_ncalls_of("unregister"), 0);
	CHECK_EQ(count_frames(p, NPAGES), NPAGES);
	CHECK(ends_well(p));
}

/* The mover has registered it. */
TEST(watch_after_the_mover)
{
	char *p = begin();
	struct umpa_mm_watch w = watch_of(p, NPAGES);

	PLAN(8);
	(void)umpa_trial_mover();
	CHECK_EQ(umpa_mm_hand_over(&w, 0), 0);
	umpa_mm_handed_over(&w, 1);
	CHECK_EQ(fake_ncalls_of("let_go"), 1);
	CHECK_EQ(fake_ncalls_of("unregister"), 0);
	CHECK_EQ(count_frames(p, NPAGES), NPAGES / 10);
	CHECK(is_odd(p));
	CHECK(!umpa_munmap(at(p, 10), PAGE_NBYTES));
	/* Pages that are nobody's are not let go. */
	CHECK_EQ(umpa_mm_hand_over(&w, 0), -EBUSY);
	CHECK(ends_well(p));
}

TEST(watch_over_gaps)
{
	char *p = begin();
	struct umpa_mm_watch w = watch_of(p, NPAGES);

	PLAN(5);
	w.missing = 0;
	CHECK(!umpa_munmap(at(p, 10), 5 * PAGE_NBYTES) && !umpa_munmap(at(p, 90), PAGE_NBYTES));
	CHECK_EQ(umpa_mm_hand_over(&w, 1), 0);
	umpa_mm_handed_over(&w, 1);
	CHECK_EQ(fake_ncalls_of("unregister"), 2);
	CHECK(!is_odd(at(p, 12)) && is_odd(at(p, 15)));
	CHECK(ends_well(p));
}

TEST(watch_elsewhere)
{
	char *p = begin(), *block = umpa_alloc(SLOT_NBYTES, UMPA_BACKED);
	struct umpa_mm_watch w = {5, (void *)(uintptr_t)0x10000, PAGE_NBYTES, 1, 0};

	PLAN(6);
	CHECK(!umpa_mm_may_watch(&w));
	w = (struct umpa_mm_watch){5, at(p, 1) + 1, PAGE_NBYTES, 1, 0};
	CHECK(!umpa_mm_may_watch(&w));
	/* A block's pages are made ordinary when it is freed. */
	w = watch_of(block, SLOT_NPAGES);
	CHECK_EQ(umpa_mm_hand_over(&w, 1), 0);
	CHECK_EQ(count_frames(block, SLOT_NPAGES), 0);
	umpa_free(block);
	CHECK_EQ(fake_ncalls_of("renew"), 1);
	CHECK(ends_well(p));
}

TEST(watch_in_a_confined_process)
{
	char *p = begin();
	struct umpa_mm_watch w = watch_of(p, NPAGES);

	PLAN(5);
	(void)umpa_trial_mover();
	umpa_os_confine();
	CHECK_EQ(umpa_mm_hand_over(&w, 0), -EBUSY);
	CHECK_EQ(umpa_mm_hand_over(&w, 1), 0);
	CHECK_EQ(fake_ncalls_of("unregister"), 0);
	CHECK(is_odd(p));
	CHECK(ends_well(p));
}

/* Each call refused in turn. What is not to be noted is not registered; what is not given back has
 * content. */
static void refuse(int is_registered, unsigned ncalls)
{
	for (unsigned n = 1; n <= ncalls; n++) {
		char *p = begin();
		struct umpa_mm_watch w = watch_of(p, 20);
		int error;

		(void)umpa_trial_mover();
		fake_fail_at(n, -ENOMEM);
		error = umpa_mm_hand_over(&w, is_registered);
		fake_fail_at(0, 0);
		CHECK(error == 0 || error == -EBUSY);
		CHECK(is_odd(p) == !error);
		CHECK(*p == 'x' && *at(p, 10) == 'x');
		CHECK(ends_well(p));
	}
}

TEST(watch_refused)
{
	PLAN(4 * 5 + 4 * 5);
	refuse(0, 5);
	refuse(1, 5);
}

/* No memory for the table of attributes. */
TEST(watch_can_not_be_noted)
{
	PLAN(2 * 4);
	for (int is_registered = 0; is_registered < 2; is_registered++) {
		struct umpa_mm_watch w;
		char *p;

		fake_mmap_begin();
		p = umpa_mmap(NULL, NPAGES * PAGE_NBYTES, RW, ANON, -1, 0);
		(void)umpa_trial_mover();
		w = watch_of(p, NPAGES);
		w.missing = 0;
		fake_fail_at(is_registered ? 1 : 2, -ENOMEM);
		CHECK_EQ(umpa_mm_hand_over(&w, is_registered), -ENOMEM);
		CHECK_EQ(fake_ncalls_of("unregister"), is_registered);
		CHECK(!is_odd(p));
		CHECK(ends_well(p));
	}
}

/* --- what goes back to the mover ------------------------------------------------------------ */

static size_t nrenewed;

static void count_renewed(struct umpa_mover *m, void *addr, size_t nbytes)
{
	(void)m, (void)addr;
	nrenewed += nbytes / PAGE_NBYTES;
}

/* Where the program can't have it after all, its pages can move as before. */
TEST(watch_gives_back_what_the_kernel_refuses)
{
	char *p = begin();
	struct umpa_mm_watch w = watch_of(p, NPAGES);

	PLAN(4);
	umpa_trial_mover()->renewed = count_renewed;
	CHECK_EQ(umpa_mm_hand_over(&w, 0), 0);
	nrenewed = 0;
	umpa_mm_handed_over(&w, 0);
	CHECK_EQ(nrenewed, NPAGES);
	/* Not let go, and nobody's to give back: another userfaultfd has it. */
	fake_fail_from(1, -EBUSY);
	CHECK_EQ(umpa_mm_hand_over(&w, 0), -EBUSY);
	fake_fail_from(0, 0);
	CHECK(ends_well(p));
}

TEST(watch_gives_back_what_can_not_be_noted)
{
	struct umpa_mm_watch w;
	char *p;

	PLAN(3);
	fake_mmap_begin();
	p = umpa_mmap(NULL, NPAGES * PAGE_NBYTES, RW, ANON, -1, 0);
	umpa_trial_mover()->renewed = count_renewed;
	w = watch_of(p, NPAGES);
	w.missing = 0;
	nrenewed = 0;
	fake_fail_at(2, -ENOMEM);
	CHECK_EQ(umpa_mm_hand_over(&w, 0), -ENOMEM);
	CHECK_EQ(nrenewed, NPAGES);
	CHECK(ends_well(p));
}

/* One part was let go already when another one is refused. */
TEST(watch_gives_back_what_was_let_go_in_vain)
{
	char *p = begin();
	struct umpa_mm_watch w = watch_of(p, NPAGES);

	PLAN(4);
	CHECK_EQ(umpa_mprotect(at(p, 100), PAGE_NBYTES, PROT_READ), 0);
	umpa_trial_mover()->renewed = count_renewed;
	nrenewed = 0;
	fake_fail_at(3, -EBUSY);
	CHECK_EQ(umpa_mm_hand_over(&w, 0), -EBUSY);
	CHECK_EQ(nrenewed, NPAGES);
	CHECK(ends_well(p));
}
