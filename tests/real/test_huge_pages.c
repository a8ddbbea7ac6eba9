/* Huge pages of hugetlbfs over pages of the window, on the real kernel. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "core/owns.h"
#include "mm/calls.h"
#include "os/os.h"
#include "support/check.h"
#include "support/huge_pages.h"
#include "support/real_os.h"

/* The same number for MAP_HUGETLB, SHM_HUGETLB and MFD_HUGETLB. */
#define OF_2_MIB (21 << 26)

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	HUGE = ANON | MAP_HUGETLB | OF_2_MIB,
	NPOOL = 6,
	NSLOTS = 4 /* of an area */
};

/* Mapped in the window, at the begin of a slot, each page with an 'x'. */
static char *area(void)
{
	char *p = umpa_mmap(NULL, NSLOTS * SLOT_NBYTES, RW, ANON, -1, 0);

	if (p == MAP_FAILED || !umpa_in_window(p) || (uintptr_t)p % SLOT_NBYTES)
		return NULL;
	memset(p, 'x', NSLOTS * SLOT_NBYTES);
	return p;
}

static int has_pool(void)
{
	static int has = -1;

	if (has < 0)
		has = huge_pages_need(SLOT_NBYTES, NPOOL);
	return has;
}

/* A byte more than one page. */
static int segment(void)
{
	return shmget(IPC_PRIVATE, SLOT_NBYTES + 1, IPC_CREAT | 0600 | SHM_HUGETLB | OF_2_MIB);
}

static int refused(int failed, int error)
{
	int is = failed && errno == error;

	errno = 0;
	return is;
}

/* As the test before it, and the next programs, must find it. */
static int drops(char *p)
{
	return !umpa_munmap(p, NSLOTS * SLOT_NBYTES) && umpa_os_is_mapped(p);
}

/* Comes first: the pool is as it was, and the kernel would leave a gap in the window. */
TEST(huge_there_are_none)
{
	char *p = area(), *q = mmap(NULL, SLOT_NBYTES, RW, HUGE, -1, 0);

	if (q != MAP_FAILED) {
		munmap(q, SLOT_NBYTES);
		SKIP("the pool is not empty");
	}
	PLAN(5);
	REQUIRE(p);
	CHECK(refused(umpa_mmap(p, 1, RW, HUGE | MAP_FIXED, -1, 0) == MAP_FAILED, ENOMEM));
	CHECK(umpa_os_is_mapped(p) && *p == 'x' && p[SLOT_NBYTES] == 'x');
	CHECK_EQ(umpa_munmap(p, PAGE_NBYTES), 0);
	CHECK(drops(p));
}

/* A socket can't be mapped, which the kernel asks it when what was there has been ended. */
TEST(huge_or_not_a_refusal_leaves_no_gap)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), error;
	char *p = area(), *q = mmap(NULL, PAGE_NBYTES, RW, ANON, -1, 0);

	PLAN(5);
	REQUIRE(p && fd >= 0);
	CHECK(mmap(q, PAGE_NBYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED);
	error = errno;
	CHECK(refused(
		umpa_mmap(p, PAGE_NBYTES, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED, error));
	/* For the program it is as the kernel has it. */
	CHECK_EQ(umpa_mprotect(p, PAGE_NBYTES, RW) != 0, !umpa_os_is_mapped(q));
	errno = 0;
	CHECK(umpa_os_is_mapped(p) && p[PAGE_NBYTES] == 'x');
	close(fd);
	umpa_munmap(p, NSLOTS * SLOT_NBYTES);
}

TEST(huge_what_covers_how_much)
{
	int fd = memfd_create("huge", MFD_HUGETLB | OF_2_MIB), plain = memfd_create("plain", 0);
	size_t of_file = 0, of_memory = 0, of_plain = 0, of_segment = 0;
	char *q;
	int id;

	if (!has_pool())
		SKIP("huge pages can't be had");
	PLAN(9);
	id = segment();
	CHECK(umpa_os_is_huge(fd) == 1 && !umpa_os_is_huge(plain) && !umpa_os_is_huge(-1));
	CHECK_EQ(umpa_os_measure_pages(5, RW, MAP_SHARED | MAP_FIXED, fd, 0, &of_file), 0);
	CHECK_EQ(umpa_os_measure_pages(3 * SLOT_NBYTES - 1, RW, HUGE, -1, 0, &of_memory), 0);
	CHECK_EQ(umpa_os_measure_pages(SLOT_NBYTES, RW, MAP_SHARED, plain, 0, &of_plain), 0);
	CHECK_EQ(umpa_os_measure(id, 0, &of_segment), 0);
	CHECK(of_file == SLOT_NBYTES && of_memory == SLOT_NBYTES && of_plain == PAGE_NBYTES);
	CHECK_EQ(of_segment, 2 * SLOT_NBYTES);
	CHECK(umpa_os_measure_pages(5, RW, ANON | MAP_HUGETLB | 12 << 26, -1, 0, &of_memory) ==
		-EINVAL);
	q = mmap(NULL, 2 * SLOT_NBYTES, RW, HUGE, -1, 0);
	CHECK(umpa_os_page_nbytes(q) == SLOT_NBYTES && !umpa_os_page_nbytes(q + PAGE_NBYTES) &&
		umpa_os_page_nbytes(q + SLOT_NBYTES) == SLOT_NBYTES);
	munmap(q, 2 * SLOT_NBYTES);
	shmctl(id, IPC_RMID, NULL);
	close(fd);
	close(plain);
}

TEST(huge_pages_in_the_window)
{
	char *p = area(), *next;

	if (!has_pool())
		SKIP("huge pages can't be had");
	PLAN(11);
	REQUIRE(p);
	CHECK(umpa_mmap(p + SLOT_NBYTES, 1, RW, HUGE | MAP_FIXED, -1, 0) == p + SLOT_NBYTES);
	memset(p + SLOT_NBYTES, 'h', SLOT_NBYTES);
	CHECK(p[SLOT_NBYTES - 1] == 'x' && p[2 * SLOT_NBYTES] == 'x');
	CHECK(refused(umpa_munmap(p + SLOT_NBYTES, PAGE_NBYTES), EINVAL));
	CHECK(refused(umpa_mprotect(p, SLOT_NBYTES + PAGE_NBYTES, PROT_READ), EINVAL));
	CHECK(refused(umpa_mremap(p + SLOT_NBYTES, 1, SLOT_NBYTES + 1, MREMAP_MAYMOVE, NULL) ==
			      MAP_FAILED,
		EINVAL));
	/* What has been protected half-way is like any other when it is handed out again. */
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	next = umpa_mmap(p, SLOT_NBYTES, RW, ANON, -1, 0);
	CHECK(next == p);
	memset(next, 'x', SLOT_NBYTES);
	CHECK_EQ(real_nmappings(p + SLOT_NBYTES, SLOT_NBYTES), 1);
	CHECK_EQ(umpa_munmap(p + SLOT_NBYTES, SLOT_NBYTES), 0);
	CHECK(drops(p));
}

TEST(huge_segments_in_the_window)
{
	char *p = area();
	int id;

	if (!has_pool())
		SKIP("huge pages can't be had");
	PLAN(8);
	id = segment();
	REQUIRE(p && id >= 0);
	CHECK(refused(umpa_mm_attach(id, p + PAGE_NBYTES, SHM_REMAP) == (void *)-1, EINVAL));
	CHECK(umpa_mm_attach(id, p, SHM_REMAP) == p);
	memset(p, 's', 2 * SLOT_NBYTES);
	CHECK(refused(umpa_munmap(p, SLOT_NBYTES + PAGE_NBYTES), EINVAL));
	CHECK_EQ(umpa_munmap(p, SLOT_NBYTES), 0);
	CHECK_EQ(umpa_mm_detach(p), 0);
	CHECK(umpa_os_is_mapped(p) && umpa_os_is_mapped(p + SLOT_NBYTES) &&
		p[2 * SLOT_NBYTES] == 'x');
	CHECK(drops(p));
	shmctl(id, IPC_RMID, NULL);
}

TEST(huge_pages_come_in)
{
	const int fixed = MREMAP_MAYMOVE | MREMAP_FIXED;
	char *p = area(), *q;

	if (!has_pool())
		SKIP("huge pages can't be had");
	PLAN(7);
	REQUIRE(p);
	q = mmap(NULL, 2 * SLOT_NBYTES, RW, HUGE, -1, 0);
	REQUIRE(q != MAP_FAILED);
	q[SLOT_NBYTES + 5] = 'q';
	CHECK(refused(umpa_mremap(q, 1, 1, fixed, p + PAGE_NBYTES) == MAP_FAILED, EINVAL));
	CHECK(*p == 'x');
	if (umpa_mremap(q, SLOT_NBYTES + 1, SLOT_NBYTES + 1, fixed, p) == MAP_FAILED)
		SKIP("the kernel does not move them (Linux < 5.16)");
	CHECK(p[SLOT_NBYTES + 5] == 'q' && p[2 * SLOT_NBYTES] == 'x');
	CHECK_EQ(umpa_munmap(p + SLOT_NBYTES, SLOT_NBYTES), 0);
	CHECK(drops(p));
}
