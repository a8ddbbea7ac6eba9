#include "os_contract.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "base/units.h"
#include "check.h"
#include "os/os.h"

static char *reserve(size_t nslots)
{
	void *addr = NULL;

	REQUIRE(!umpa_os_reserve(nslots * SLOT_NBYTES, &addr));
	return addr;
}

static char *reserve_and_open(size_t nslots)
{
	char *addr = reserve(nslots);

	REQUIRE(!umpa_os_open(addr, nslots * SLOT_NBYTES));
	return addr;
}

#define RESERVE_NCHECKS          1
#define RESERVE_AND_OPEN_NCHECKS 2

static size_t nresident(const char *addr, size_t npages)
{
	unsigned char vec[SLOT_NPAGES];
	size_t n = 0;

	REQUIRE(npages <= SLOT_NPAGES && !umpa_os_resident(addr, npages, vec));
	for (size_t i = 0; i < npages; i++)
		n += vec[i] & 1;
	return n;
}

static int is_filled(const char *addr, size_t nbytes, char with)
{
	for (size_t i = 0; i < nbytes; i++)
		if (addr[i] != with)
			return 0;
	return 1;
}

/* --- address space ------------------------------------------------------------------------ */

void os_reservations_are_aligned_and_apart(os_touch_fn *touch)
{
	char *a, *b;

	(void)touch;
	PLAN(2 * RESERVE_NCHECKS + 3);
	a = reserve(3);
	b = reserve(5);
	CHECK_EQ((uintptr_t)a % SLOT_NBYTES, 0);
	CHECK_EQ((uintptr_t)b % SLOT_NBYTES, 0);
	CHECK(a + 3 * SLOT_NBYTES <= b || b + 5 * SLOT_NBYTES <= a);
	umpa_os_release(a, 3 * SLOT_NBYTES);
	umpa_os_release(b, 5 * SLOT_NBYTES);
}

void os_opened_pages_read_as_zero(os_touch_fn *touch)
{
	char *a;

	PLAN(RESERVE_NCHECKS + 4);
	a = reserve(2);
	CHECK_EQ(umpa_os_open(a, PAGE_NBYTES), 0);
	CHECK(is_filled(a, PAGE_NBYTES, 0));
	CHECK_EQ(umpa_os_open(a, 2 * SLOT_NBYTES), 0); /* what is open stays so */
	touch(a, 2 * SLOT_NBYTES);
	CHECK(is_filled(a, 2 * SLOT_NBYTES, 0));
	umpa_os_release(a, 2 * SLOT_NBYTES);
}

void os_opening_goes_on_where_it_ended(os_touch_fn *touch)
{
	char *a;
	int nfailed = 0;

	PLAN(RESERVE_NCHECKS + 2);
	a = reserve(4);
	for (size_t at = 0; at < 4 * SLOT_NBYTES; at += SLOT_NBYTES / 2) {
		nfailed += umpa_os_open(a + at, SLOT_NBYTES / 2) != 0;
		touch(a + at, PAGE_NBYTES);
		a[at] = 1;
	}
	CHECK_EQ(nfailed, 0);
	CHECK(a[0] == 1 && a[4 * SLOT_NBYTES - SLOT_NBYTES / 2] == 1);
	umpa_os_release(a, 4 * SLOT_NBYTES);
}

void os_released_parts_leave_the_rest(os_touch_fn *touch)
{
	char *a;

	PLAN(RESERVE_AND_OPEN_NCHECKS + 2);
	a = reserve_and_open(4);
	touch(a, 4 * SLOT_NBYTES);
	memset(a, 3, 4 * SLOT_NBYTES);
	umpa_os_release(a + SLOT_NBYTES, SLOT_NBYTES);
	CHECK(is_filled(a, SLOT_NBYTES, 3));
	CHECK(is_filled(a + 2 * SLOT_NBYTES, 2 * SLOT_NBYTES, 3));
	umpa_os_release(a, SLOT_NBYTES);
	umpa_os_release(a + 2 * SLOT_NBYTES, 2 * SLOT_NBYTES);
}

/* --- frames ------------------------------------------------------------------------------- */

void os_back_gives_frames_and_keeps_content(os_touch_fn *touch)
{
	char *a;

	PLAN(RESERVE_AND_OPEN_NCHECKS + 2 * 2 + 4);
	a = reserve_and_open(4);
	CHECK_EQ(umpa_os_advise_huge(a, 4 * SLOT_NBYTES, 0), 0);
	touch(a + 3 * PAGE_NBYTES, PAGE_NBYTES);
	a[3 * PAGE_NBYTES] = 9;
	/* Across slots, beginning and ending inside. */
	CHECK_EQ(umpa_os_back(a + PAGE_NBYTES, 2 * SLOT_NBYTES), 0);
	CHECK_EQ(nresident(a, SLOT_NPAGES), SLOT_NPAGES - 1);
	CHECK_EQ(nresident(a + 2 * SLOT_NBYTES, SLOT_NPAGES), 1);
	CHECK(a[3 * PAGE_NBYTES] == 9 && a[4 * PAGE_NBYTES] == 0);
	CHECK_EQ(umpa_os_back(a + PAGE_NBYTES, 2 * SLOT_NBYTES), 0);
	umpa_os_release(a, 4 * SLOT_NBYTES);
}

void os_unback_takes_frames_and_content(os_touch_fn *touch)
{
	char *a;

	PLAN(RESERVE_AND_OPEN_NCHECKS + 2 * 1 + 6);
	a = reserve_and_open(2);
	touch(a, 2 * SLOT_NBYTES);
	memset(a, 5, 2 * SLOT_NBYTES);
	CHECK_EQ(umpa_os_unback(a + 7 * PAGE_NBYTES, SLOT_NBYTES), 0);
	CHECK_EQ(nresident(a, SLOT_NPAGES), 7);
	CHECK_EQ(nresident(a + SLOT_NBYTES, SLOT_NPAGES), SLOT_NPAGES - 7);
	CHECK(is_filled(a, 7 * PAGE_NBYTES, 5) &&
		is_filled(a + SLOT_NBYTES + 7 * PAGE_NBYTES, SLOT_NBYTES - 7 * PAGE_NBYTES, 5));
	touch(a, 2 * SLOT_NBYTES);
	CHECK(is_filled(a + 7 * PAGE_NBYTES, SLOT_NBYTES, 0));
	CHECK_EQ(umpa_os_unback(a, 2 * SLOT_NBYTES), 0);
	umpa_os_release(a, 2 * SLOT_NBYTES);
}

void os_resident_tells_touched_pages(os_touch_fn *touch)
{
	unsigned char vec[8];
	char *a;

	PLAN(RESERVE_AND_OPEN_NCHECKS + 4);
	a = reserve_and_open(1);
	CHECK_EQ(umpa_os_advise_huge(a, SLOT_NBYTES, 0), 0);
	touch(a + 2 * PAGE_NBYTES, PAGE_NBYTES);
	touch(a + 5 * PAGE_NBYTES, 2 * PAGE_NBYTES);
	memset(vec, 0xfe, sizeof(vec));
	CHECK_EQ(umpa_os_resident(a, 8, vec), 0);
	CHECK((vec[2] & 1) && (vec[5] & 1) && (vec[6] & 1));
	CHECK(!(vec[0] & 1) && !(vec[1] & 1) && !(vec[3] & 1) && !(vec[4] & 1) && !(vec[7] & 1));
	umpa_os_release(a, SLOT_NBYTES);
}

void os_bare_tells_pages_without_content(os_touch_fn *touch)
{
	char *a;

	PLAN(RESERVE_AND_OPEN_NCHECKS + 7);
	a = reserve_and_open(3);
	CHECK_EQ(umpa_os_bare(a, 3 * SLOT_NPAGES), 0);
	touch(a + 2 * SLOT_NBYTES, PAGE_NBYTES);
	CHECK_EQ(umpa_os_bare(a, 3 * SLOT_NPAGES), -EEXIST);
	CHECK_EQ(umpa_os_bare(a, 2 * SLOT_NPAGES), 0);
	CHECK_EQ(umpa_os_bare(a + 2 * SLOT_NBYTES, 1), -EEXIST);
	CHECK_EQ(umpa_os_bare(a + 7 * PAGE_NBYTES, 1), 0);
	CHECK_EQ(umpa_os_unback(a, 3 * SLOT_NBYTES), 0);
	CHECK_EQ(umpa_os_bare(a, 3 * SLOT_NPAGES), 0);
	umpa_os_release(a, 3 * SLOT_NBYTES);
}

/* --- memory outside the window ------------------------------------------------------------ */

void os_mappings_are_zero_and_end_in_parts(os_touch_fn *touch)
{
	void *addr = NULL;
	char *a;

	PLAN(4);
	REQUIRE(!umpa_os_map(9 * PAGE_NBYTES, &addr));
	a = addr;
	CHECK_EQ((uintptr_t)a % PAGE_NBYTES, 0);
	touch(a, 9 * PAGE_NBYTES);
	CHECK(is_filled(a, 9 * PAGE_NBYTES, 0));
	memset(a, 1, 9 * PAGE_NBYTES);
	umpa_os_unmap(a + 3 * PAGE_NBYTES, 2 * PAGE_NBYTES);
	CHECK(is_filled(a, 3 * PAGE_NBYTES, 1) &&
		is_filled(a + 5 * PAGE_NBYTES, 4 * PAGE_NBYTES, 1));
	umpa_os_unmap(a, 3 * PAGE_NBYTES);
	umpa_os_unmap(a + 5 * PAGE_NBYTES, 4 * PAGE_NBYTES);
}

void os_remap_keeps_content(os_touch_fn *touch)
{
	void *addr = NULL, *to = NULL;
	int in_place;

	PLAN(10);
	REQUIRE(!umpa_os_map(4 * PAGE_NBYTES, &addr));
	touch(addr, 4 * PAGE_NBYTES);
	memset(addr, 1, 4 * PAGE_NBYTES);
	CHECK_EQ(umpa_os_remap(addr, 4 * PAGE_NBYTES, 900 * PAGE_NBYTES, 1, &to), 0);
	CHECK(is_filled(to, 4 * PAGE_NBYTES, 1));
	touch(to, 900 * PAGE_NBYTES);
	CHECK(is_filled((char *)to + 4 * PAGE_NBYTES, 896 * PAGE_NBYTES, 0));
	addr = to;
	CHECK_EQ(umpa_os_remap(addr, 900 * PAGE_NBYTES, 3 * PAGE_NBYTES, 0, &to), 0);
	CHECK(to == addr && is_filled(to, 3 * PAGE_NBYTES, 1));
	in_place = umpa_os_remap(addr, 3 * PAGE_NBYTES, 5 * PAGE_NBYTES, 0, &to);
	CHECK(in_place == 0 || in_place == -ENOMEM);
	CHECK(to == addr && is_filled(to, 3 * PAGE_NBYTES, 1));
	CHECK_EQ(umpa_os_remap(addr, (in_place ? 3 : 5) * PAGE_NBYTES, 2 * PAGE_NBYTES, 1, &to), 0);
	CHECK(to == addr && is_filled(to, 2 * PAGE_NBYTES, 1));
	umpa_os_unmap(to, 2 * PAGE_NBYTES);
}

/* --- the program's own mappings ----------------------------------------------------------- */

void os_renewed_pages_are_fresh(os_touch_fn *touch)
{
	const int anon = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
	unsigned char vec[20];
	int nresident = 0;
	char *a, *part;

	PLAN(RESERVE_NCHECKS + 8);
	a = reserve(2);
	part = a + SLOT_NBYTES - 10 * PAGE_NBYTES;
	CHECK_EQ(umpa_os_open(a, 2 * SLOT_NBYTES), 0);
	touch(a, 2 * SLOT_NBYTES);
	memset(a, 'x', 2 * SLOT_NBYTES);
	CHECK_EQ(umpa_os_protect(part, 3 * PAGE_NBYTES, PROT_NONE), 0);
	CHECK(umpa_os_mmap(part + 5 * PAGE_NBYTES, 10 * PAGE_NBYTES, PROT_READ, anon, -1, 0) ==
		(intptr_t)(part + 5 * PAGE_NBYTES));
	CHECK_EQ(umpa_os_renew(part, 20 * PAGE_NBYTES, 0), 0);
	CHECK_EQ(umpa_os_resident(part, 20, vec), 0);
	for (int i = 0; i < 20; i++)
		nresident += vec[i] & 1;
	CHECK_EQ(nresident, 0);
	CHECK(is_filled(part, 20 * PAGE_NBYTES, 0));
	memset(part, 'y', 20 * PAGE_NBYTES);
	CHECK(part[-1] == 'x' && part[0] == 'y' && part[20 * PAGE_NBYTES] == 'x');
	umpa_os_release(a, 2 * SLOT_NBYTES);
}

/* --- hints, refusals, the machine --------------------------------------------------------- */

void os_huge_advice_is_a_hint(os_touch_fn *touch)
{
	char *a;
	int on, off;

	PLAN(RESERVE_NCHECKS + 4);
	a = reserve(3);
	on = umpa_os_advise_huge(a, 3 * SLOT_NBYTES, 1);
	off = umpa_os_advise_huge(a + SLOT_NBYTES, SLOT_NBYTES, 0);
	CHECK(!on || on == -EINVAL);
	CHECK(!off || off == -EINVAL);
	CHECK_EQ(umpa_os_open(a, 3 * SLOT_NBYTES), 0);
	touch(a, 3 * SLOT_NBYTES);
	CHECK(is_filled(a, 3 * SLOT_NBYTES, 0));
	umpa_os_release(a, 3 * SLOT_NBYTES);
}

void os_what_cannot_be_had_is_refused(os_touch_fn *touch)
{
	size_t too_much = (size_t)1 << 62;
	void *addr = (void *)16;

	(void)touch;
	PLAN(4);
	errno = 1234;
	CHECK_EQ(umpa_os_reserve(too_much, &addr), -ENOMEM);
	CHECK_EQ(umpa_os_map(too_much, &addr), -ENOMEM);
	CHECK(addr == (void *)16);
	CHECK_EQ(errno, 1234);
}

void os_machine_is_known(os_touch_fn *touch)
{
	struct umpa_os_machine m;

	(void)touch;
	PLAN(5);
	umpa_os_machine(&m);
	CHECK_EQ(m.page_nbytes, PAGE_NBYTES);
	CHECK(m.memory_nbytes >= (size_t)16 << 20);
	CHECK(m.as_limit_nbytes > 0);
	CHECK(m.ncpus >= 1);
	CHECK(m.strict_commit == 0 || m.strict_commit == 1);
}

void os_clock_does_not_go_back(os_touch_fn *touch)
{
	uint64_t last = umpa_os_clock_ns();
	int nwrong = 0;

	(void)touch;
	PLAN(1);
	for (int i = 0; i < 1000; i++) {
		uint64_t now = umpa_os_clock_ns();

		nwrong += now < last;
		last = now;
	}
	CHECK_EQ(nwrong, 0);
}

void os_cpu_is_a_number_of_one(os_touch_fn *touch)
{
	(void)touch;
	PLAN(1);
	CHECK(umpa_os_cpu() < 1 << 16);
}

static void *ask(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)umpa_os_single_threaded();
}

void os_two_threads_are_not_taken_for_one(os_touch_fn *touch)
{
	pthread_t thread;
	void *answer = NULL;

	(void)touch;
	PLAN(2);
	REQUIRE(!pthread_create(&thread, NULL, ask, NULL));
	pthread_join(thread, &answer);
	CHECK_EQ((intptr_t)answer, 0);
}
