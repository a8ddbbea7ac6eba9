#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/units.h"
#include "check.h"
#include "fake_os.h"

#define WINDOW_NSLOTS 8u

static char *window;

static void begin(void)
{
	void *addr = NULL;

	fake_reset();
	REQUIRE(!umpa_os_reserve(WINDOW_NSLOTS * SLOT_NBYTES, &addr));
	REQUIRE(!umpa_os_open(addr, WINDOW_NSLOTS * SLOT_NBYTES));
	window = addr;
}

#define BEGIN_NCHECKS 2

static char *slot_at(size_t i)
{
	return window + i * SLOT_NBYTES;
}

TEST(fake_counts_what_is_reserved_and_opened)
{
	void *addr = NULL;

	PLAN(11);
	fake_reset();
	CHECK_EQ(umpa_os_reserve(4 * SLOT_NBYTES, &addr), 0);
	CHECK_EQ((uintptr_t)addr % SLOT_NBYTES, 0);
	CHECK_EQ(fake_reserved_nbytes(), 4 * SLOT_NBYTES);
	fake_open_max = 3 * PAGE_NBYTES;
	CHECK_EQ(umpa_os_open(addr, 2 * PAGE_NBYTES), 0);
	CHECK_EQ(umpa_os_open(addr, 4 * PAGE_NBYTES), -ENOMEM);
	CHECK_EQ(umpa_os_open(addr, 3 * PAGE_NBYTES), 0);
	CHECK_EQ(fake_opened_nbytes(), 3 * PAGE_NBYTES);
	umpa_os_release(addr, SLOT_NBYTES);
	CHECK_EQ(fake_opened_nbytes(), 0);
	CHECK_EQ(fake_reserved_nbytes(), 3 * SLOT_NBYTES);
	umpa_os_release((char *)addr + SLOT_NBYTES, 3 * SLOT_NBYTES);
	CHECK_EQ(fake_reserved_nbytes(), 0);
	CHECK(fake_consistent());
}

TEST(fake_frames_are_never_used_again)
{
	uint64_t first;

	PLAN(BEGIN_NCHECKS + 8);
	begin();
	fake_touch(window, 1);
	first = fake_frame(window);
	CHECK(first != 0);
	CHECK_EQ(fake_nframes(), 1);
	memset(window, 7, PAGE_NBYTES);
	CHECK_EQ(umpa_os_unback(window, PAGE_NBYTES), 0);
	CHECK_EQ(fake_frame(window), 0);
	CHECK(!window[0] && !window[PAGE_NBYTES - 1]);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), 0);
	CHECK(fake_frame(window) > first);
	CHECK(fake_consistent());
}

TEST(fake_unback_zeroes_what_was_written_without_a_touch)
{
	PLAN(BEGIN_NCHECKS + 4);
	begin();
	window[PAGE_NBYTES + 100] = 1;
	fake_touch(window, 1);
	CHECK_EQ(fake_frame(window + PAGE_NBYTES), 0);
	CHECK_EQ(window[PAGE_NBYTES + 100], 1);
	CHECK_EQ(umpa_os_unback(window, 2 * PAGE_NBYTES), 0);
	CHECK_EQ(window[PAGE_NBYTES + 100], 0);
}

TEST(fake_faults_give_huge_pages_where_advised)
{
	PLAN(BEGIN_NCHECKS + 8);
	begin();
	CHECK_EQ(umpa_os_advise_huge(slot_at(1), 2 * SLOT_NBYTES, 1), 0);
	fake_touch(slot_at(0), 1);
	CHECK_EQ(fake_nframes(), 1);
	fake_touch(slot_at(1) + 5 * PAGE_NBYTES, 1);
	CHECK_EQ(fake_nframes(), 1 + SLOT_NPAGES);
	CHECK_EQ(umpa_os_unback(slot_at(1), PAGE_NBYTES), 0);
	fake_touch(slot_at(1), 1); /* others are backed: one page */
	CHECK_EQ(fake_nframes(), 1 + SLOT_NPAGES);
	fake_nframes_max = fake_nframes() + 10; /* no room for a huge page: small ones */
	CHECK_EQ(umpa_os_back(slot_at(2), 10 * PAGE_NBYTES), 0);
	CHECK_EQ(umpa_os_back(slot_at(2), 11 * PAGE_NBYTES), -ENOMEM);
	CHECK(fake_consistent());
}

TEST(fake_fails_the_call_it_is_told)
{
	unsigned char vec[1];

	PLAN(BEGIN_NCHECKS + 9);
	begin();
	CHECK_EQ(fake_ncalls(), 2);
	fake_fail_at(2, -EAGAIN);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), 0);
	CHECK_EQ(umpa_os_unback(window, PAGE_NBYTES), -EAGAIN);
	CHECK(fake_frame(window) != 0);
	CHECK_EQ(umpa_os_unback(window, PAGE_NBYTES), 0);
	fake_fail_from(1, -ENOMEM);
	CHECK_EQ(umpa_os_resident(window, 1, vec), -ENOMEM);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), -ENOMEM);
	fake_fail_from(0, 0);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), 0);
	CHECK_EQ(fake_ncalls_of("back"), 3);
}

TEST(fake_fails_two_calls_it_is_told)
{
	PLAN(BEGIN_NCHECKS + 7);
	begin();
	fake_fail_at(1, -EAGAIN);
	fake_fail_again(2, -ENOMEM);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), -EAGAIN);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), 0);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), -ENOMEM);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), 0);
	/* What was planned before is forgotten, and behind nothing there is nothing. */
	fake_fail_again(3, -ENOMEM);
	fake_fail_at(0, 0);
	fake_fail_again(1, -ENOMEM);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), 0);
	CHECK_EQ(umpa_os_back(window, PAGE_NBYTES), 0);
	CHECK_EQ(fake_ncalls_of("back"), 6);
}

TEST(fake_mappings_grow_and_shrink)
{
	void *a = NULL, *b = NULL;
	uint64_t frame;

	PLAN(14);
	fake_reset();
	CHECK_EQ(umpa_os_map(4 * PAGE_NBYTES, &a), 0);
	fake_touch(a, 1);
	strcpy(a, "kept");
	frame = fake_frame(a);
	CHECK_EQ(umpa_os_remap(a, 4 * PAGE_NBYTES, 8 * PAGE_NBYTES, 0, &b), -ENOMEM);
	CHECK_EQ(umpa_os_remap(a, 4 * PAGE_NBYTES, 2 * PAGE_NBYTES, 0, &b), 0);
	CHECK(a == b);
	CHECK_EQ(fake_mapped_nbytes(), 2 * PAGE_NBYTES);
	CHECK_EQ(umpa_os_remap(a, 2 * PAGE_NBYTES, 4 * PAGE_NBYTES, 0, &b), 0);
	CHECK(a == b);
	CHECK_EQ(umpa_os_remap(a, 4 * PAGE_NBYTES, 9 * PAGE_NBYTES, 1, &b), 0);
	CHECK(a != b);
	CHECK_EQ(fake_frame(b), frame);
	CHECK_STR((char *)b, "kept");
	CHECK_EQ(fake_mapped_nbytes(), 9 * PAGE_NBYTES);
	umpa_os_unmap(b, 9 * PAGE_NBYTES);
	CHECK_EQ(fake_nframes(), 0);
	CHECK(fake_consistent());
}

TEST(fake_mover_is_chosen_by_trial)
{
	struct umpa_mover m;
	struct umpa_mover_trial trials[3];
	struct umpa_mover_scratch s;

	PLAN(BEGIN_NCHECKS + 14);
	begin();
	s = (struct umpa_mover_scratch){
		slot_at(1), slot_at(0), slot_at(3), slot_at(3) + PAGE_NBYTES};
	CHECK_EQ(umpa_os_back(s.src, SLOT_NBYTES), 0);
	CHECK_EQ(umpa_os_back(s.page_src, PAGE_NBYTES), 0);
	CHECK_EQ(umpa_mover_choose(
			 &m, UMPA_MOVER_AUTO, window, WINDOW_NSLOTS * SLOT_NBYTES, &s, trials),
		1);
	CHECK_STR(m.name, "uffd");
	CHECK(fake_frame(s.dst) && !fake_frame(s.src));
	CHECK(fake_frame(s.page_dst) && !fake_frame(s.page_src));
	fake_fail_at(1, -EPERM);
	s = (struct umpa_mover_scratch){s.src, s.dst, NULL, NULL};
	CHECK_EQ(umpa_mover_choose(
			 &m, UMPA_MOVER_AUTO, window, WINDOW_NSLOTS * SLOT_NBYTES, &s, trials),
		1);
	CHECK_STR(m.name, "mremap");
	CHECK_EQ(trials[0].error, -EPERM);
	CHECK_STR(trials[0].step, "move superpage");
	fake_share(s.dst, SLOT_NBYTES, 1);
	s = (struct umpa_mover_scratch){s.src, s.dst, NULL, NULL};
	CHECK_EQ(umpa_mover_choose(
			 &m, UMPA_MOVER_AUTO, window, WINDOW_NSLOTS * SLOT_NBYTES, &s, trials),
		0);
	CHECK_STR(m.name, "plain");
	CHECK_EQ(trials[1].error, -EBUSY);
	CHECK(fake_consistent());
}

/* Whether a host keeps shadow page tables is told by the time of a look at what has moved. */
TEST(fake_mover_notices_a_shadow)
{
	static const uint64_t look_ns[] = {0, 900, 3500};
	struct umpa_mover m;
	struct umpa_mover_scratch s;

	PLAN(BEGIN_NCHECKS + 2 * 3 + 5 * 4 + 2);
	begin();
	s = (struct umpa_mover_scratch){slot_at(1), slot_at(0), NULL, NULL};
	CHECK_EQ(umpa_os_back(s.src, SLOT_NBYTES), 0);
	for (int i = 0; i < 3; i++) {
		fake_first_look_ns = look_ns[i];
		CHECK_EQ(umpa_mover_choose(&m, UMPA_MOVER_AUTO, window, WINDOW_NSLOTS * SLOT_NBYTES,
				 &s, NULL),
			1);
		CHECK_EQ(m.shadowed, i == 2);
		s = (struct umpa_mover_scratch){s.src, s.dst, NULL, NULL};
	}
	/* Moves for the look refused: the mover has proved itself, and the frames are at one end.
	 */
	for (uint64_t n = 1; n <= 4; n++) {
		int at_dst;

		fake_fail_at(
			n + 2, -ENOMEM); /* behind a move and a question where the frames are */
		at_dst = umpa_mover_choose(
			&m, UMPA_MOVER_AUTO, window, WINDOW_NSLOTS * SLOT_NBYTES, &s, NULL);
		CHECK_STR(m.name, "uffd");
		CHECK_EQ(m.shadowed, 0);
		CHECK_EQ(at_dst, n % 2);
		CHECK_EQ(fake_frame(s.dst) != 0, at_dst);
		CHECK_EQ(fake_frame(s.src) != 0, !at_dst);
		if (at_dst)
			s = (struct umpa_mover_scratch){s.src, s.dst, NULL, NULL};
	}
	CHECK(fake_consistent());
}

static void *churn(void *own)
{
	char *slot = own;

	for (int i = 0; i < 200; i++) {
		fake_touch(slot, SLOT_NBYTES);
		if (umpa_os_unback(slot, SLOT_NBYTES))
			return NULL;
	}
	return own;
}

TEST(fake_serves_threads)
{
	pthread_t threads[4];

	PLAN(BEGIN_NCHECKS + 4 + 2);
	begin();
	fake_threads(1);
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, slot_at(i));
	for (size_t i = 0; i < 4; i++) {
		void *result = NULL;

		pthread_join(threads[i], &result);
		CHECK(result == slot_at(i));
	}
	fake_threads(0);
	CHECK_EQ(fake_nframes(), 0);
	CHECK(fake_consistent());
}
