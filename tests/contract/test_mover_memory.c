/* Movers and memory that is locked, pinned, protected, split into mappings, or has no huge pages;
 * and the mremap mover's account of mappings. */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/units.h"
#include "check.h"
#include "mover_contract.h"
#include "os/os.h"
#include "real_os.h"

static const struct contract uffd = {umpa_mover_uffd_init, real_touch, 1};
static const struct contract uffd_small = {umpa_mover_uffd_init, real_touch, 0};
static const struct contract by_mremap = {umpa_mover_mremap_init, real_touch, 1};
static const struct contract mremap_small = {umpa_mover_mremap_init, real_touch, 0};

/* Whatever the result, the content is where the rules say. */
static int moves_fairly(struct bench *b, char *dst, char *src, uint64_t tag, int *result)
{
	size_t moved;

	*result = bench_move(b, dst, src, SLOT_NBYTES, 0, &moved);
	return bench_is_moved(dst, src, SLOT_NBYTES, moved, tag) &&
	       (*result ? moved < SLOT_NBYTES : moved == SLOT_NBYTES);
}

/* --- locked ------------------------------------------------------------------------------- */

static void locked_as_a_whole(const struct contract *c, int wanted)
{
	struct bench b;
	int result;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		SKIP("not allowed to lock memory");
	CHECK_EQ(umpa_os_unback(bench_slot(&b, 8), SLOT_NBYTES), 0);
	CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	CHECK_EQ(result, wanted);
	munlockall();
	CHECK(bench_holds(bench_slot(&b, result ? 2 : 8), SLOT_NBYTES, 1));
	contract_finish(&b);
}

TEST(uffd_moves_within_locked_memory)
{
	locked_as_a_whole(&uffd, 0);
}

/* It would unlock more than what it moves. */
TEST(mremap_refuses_locked_memory)
{
	locked_as_a_whole(&by_mremap, -EINVAL);
}

static void one_end_locked(const struct contract *c)
{
	struct bench b;
	int result;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	if (mlock(bench_slot(&b, 2), PAGE_NBYTES))
		SKIP("not allowed to lock memory");
	CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	CHECK_EQ(result, -EINVAL);
	munlock(bench_slot(&b, 2), PAGE_NBYTES);
	CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	CHECK_EQ(result, 0);
	contract_finish(&b);
}

TEST(uffd_refuses_where_one_end_is_locked)
{
	one_end_locked(&uffd);
}

TEST(mremap_refuses_where_one_end_is_locked)
{
	one_end_locked(&by_mremap);
}

static void refuses_locked(size_t locked, unsigned flags)
{
	struct bench b;
	int result;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, &by_mremap);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	if (mlock2(bench_slot(&b, locked), SLOT_NBYTES, flags))
		SKIP("not allowed to lock memory");
	CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	CHECK_EQ(result, -EINVAL);
	munlock(bench_slot(&b, locked), SLOT_NBYTES);
	CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	CHECK_EQ(result, 0);
	contract_finish(&b);
}

/* It would be locked no longer. */
TEST(mremap_refuses_a_locked_source)
{
	refuses_locked(2, 0);
}

/* Pages without frames, which are locked as they get them. */
TEST(mremap_refuses_a_locked_destination)
{
	refuses_locked(8, MLOCK_ONFAULT);
}

/* --- protected, split --------------------------------------------------------------------- */

/* The program has changed a page in the middle of the slot: the slot is three mappings. */
static void split_source(const struct contract *c, size_t slot)
{
	struct bench b;
	char *src, *dst;
	int result;

	PLAN(SETUP_NCHECKS + 7);
	contract_setup(&b, c);
	src = bench_slot(&b, slot), dst = bench_slot(&b, 8);
	bench_fill(&b, src, SLOT_NBYTES, 1);
	CHECK(!mprotect(src + 5 * PAGE_NBYTES, PAGE_NBYTES, PROT_READ));
	CHECK(moves_fairly(&b, dst, src, 1, &result));
	CHECK_EQ(result, -EINVAL);
	CHECK(!mprotect(src + 5 * PAGE_NBYTES, PAGE_NBYTES, PROT_READ | PROT_WRITE));
	/* The destination is memory as before. */
	CHECK_EQ(umpa_os_unback(dst, SLOT_NBYTES), 0);
	bench_fill(&b, src, SLOT_NBYTES, 1);
	CHECK(moves_fairly(&b, dst, src, 1, &result));
	CHECK_EQ(result, 0);
	contract_finish(&b);
}

TEST(uffd_refuses_a_source_protected_in_part)
{
	split_source(&uffd, 2);
}

TEST(mremap_refuses_a_source_protected_in_part)
{
	split_source(&by_mremap, 2);
}

TEST(mremap_refuses_a_last_slot_protected_in_part)
{
	split_source(&by_mremap, CONTRACT_NSLOTS - 1);
}

/* Two slots that the mover holds to be one mapping, and that the program has made two. */
TEST(mremap_moves_what_was_split_between_slots)
{
	struct bench b;
	size_t moved;
	char *src;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, &by_mremap);
	src = bench_slot(&b, 2);
	bench_fill(&b, src, 2 * SLOT_NBYTES, 1);
	CHECK(!madvise(src + SLOT_NBYTES, SLOT_NBYTES, MADV_DONTDUMP));
	CHECK_EQ(bench_move(&b, bench_slot(&b, 8), src, 2 * SLOT_NBYTES, 0, &moved), 0);
	CHECK_EQ(moved, 2 * SLOT_NBYTES);
	CHECK(bench_holds(bench_slot(&b, 8), 2 * SLOT_NBYTES, 1));
	contract_finish(&b);
}

/* The one place that can't be asked beforehand: older kernels refuse when they have unmapped the
 * destination, newer ones move both mappings. */
TEST(mremap_repairs_the_destination)
{
	struct bench b;
	char *src, *dst;
	int result;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, &by_mremap);
	src = bench_slot(&b, CONTRACT_NSLOTS - 1), dst = bench_slot(&b, 8);
	bench_fill(&b, src, SLOT_NBYTES, 1);
	CHECK(!mprotect(src + SLOT_NBYTES - PAGE_NBYTES, PAGE_NBYTES, PROT_READ));
	CHECK(moves_fairly(&b, dst, src, 1, &result));
	CHECK(!result || result == -EINVAL);
	CHECK(!mprotect(src, SLOT_NBYTES, PROT_READ | PROT_WRITE) &&
		!mprotect(dst, SLOT_NBYTES, PROT_READ | PROT_WRITE));
	bench_fill(&b, dst, SLOT_NBYTES, 5);
	CHECK(bench_holds(dst, SLOT_NBYTES, 5));
	contract_finish(&b);
}

/* --- swapped out -------------------------------------------------------------------------- */

/* The kernel may keep the frames until the pages are written; it is given a moment. */
static int swap_out(char *addr, size_t nbytes)
{
	if (madvise(addr, nbytes, MADV_PAGEOUT))
		return 0;
	for (int i = 0; i < 20 && !bench_absent(addr, nbytes); i++)
		usleep(10000);
	return bench_absent(addr, nbytes);
}

/* The page has content and no frame; a mover that took it for absent would destroy it. */
static void destination_swapped_out(const struct contract *c)
{
	struct bench b;
	char *dst;
	int result;

	contract_setup(&b, c);
	dst = bench_slot(&b, 8);
	if (umpa_os_advise_huge(dst, SLOT_NBYTES, 0))
		SKIP("the system takes no advice on huge pages");
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	bench_fill(&b, dst + 7 * PAGE_NBYTES, 2 * PAGE_NBYTES, 5000);
	if (!swap_out(dst, SLOT_NBYTES))
		SKIP("this system does not swap");
	PLAN(SETUP_NCHECKS + 3);
	result = bench_move(&b, dst, bench_slot(&b, 2), SLOT_NBYTES, 0, &(size_t){0});
	CHECK_EQ(result, -EEXIST);
	CHECK(bench_holds(dst + 7 * PAGE_NBYTES, 2 * PAGE_NBYTES, 5000));
	CHECK(bench_holds(bench_slot(&b, 2) + 7 * PAGE_NBYTES, SLOT_NBYTES - 7 * PAGE_NBYTES, 8));
	contract_finish(&b);
}

TEST(uffd_destination_swapped_out)
{
	destination_swapped_out(&uffd);
}

TEST(mremap_destination_swapped_out)
{
	destination_swapped_out(&by_mremap);
}

static void source_swapped_out(const struct contract *c)
{
	struct bench b;
	char *dst, *src;
	size_t moved;
	int result;

	contract_setup(&b, c);
	dst = bench_slot(&b, 8), src = bench_slot(&b, 2);
	bench_fill(&b, src, SLOT_NBYTES, 1);
	if (!swap_out(src, SLOT_NBYTES))
		SKIP("this system does not swap");
	PLAN(SETUP_NCHECKS + 3);
	result = bench_move(&b, dst, src, SLOT_NBYTES, 0, &moved);
	CHECK(!result || result == -ENOENT || result == -EBUSY || result == -EAGAIN);
	CHECK(bench_is_moved(dst, src, SLOT_NBYTES, moved, 1));
	CHECK(result ? bench_holds(src + moved, SLOT_NBYTES - moved, 1 + moved / PAGE_NBYTES)
		     : moved == SLOT_NBYTES);
	contract_finish(&b);
}

TEST(uffd_source_swapped_out)
{
	source_swapped_out(&uffd);
}

TEST(mremap_source_swapped_out)
{
	source_swapped_out(&by_mremap);
}

/* --- pinned ------------------------------------------------------------------------------- */

static void in_a_pipe(const struct contract *c)
{
	struct iovec page = {.iov_len = PAGE_NBYTES};
	uint64_t got[PAGE_NBYTES / 8];
	struct bench b;
	int ends[2], result;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	page.iov_base = bench_slot(&b, 2) + 3 * PAGE_NBYTES;
	CHECK(!pipe(ends));
	CHECK(vmsplice(ends[1], &page, 1, 0) == (ssize_t)PAGE_NBYTES);
	CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	CHECK(read(ends[0], got, sizeof(got)) == sizeof(got) && got[0] == 4);
	close(ends[0]);
	close(ends[1]);
	contract_finish(&b);
}

TEST(uffd_frame_in_a_pipe)
{
	in_a_pipe(&uffd);
}

TEST(mremap_frame_in_a_pipe)
{
	in_a_pipe(&by_mremap);
}

static void pinned_by_io_uring(const struct contract *c)
{
	struct iovec pages = {.iov_len = 2 * PAGE_NBYTES};
	struct io_uring_params params = {0};
	struct bench b;
	int ring, result;

	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	pages.iov_base = bench_slot(&b, 2) + 9 * PAGE_NBYTES;
	ring = (int)syscall(SYS_io_uring_setup, 4, &params);
	if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &pages, 1))
		SKIP("no io_uring to pin pages with");
	PLAN(SETUP_NCHECKS + 4);
	CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	CHECK(result == -EBUSY || c == &by_mremap);
	close(ring);
	if (result) { /* what has moved so far goes back */
		CHECK_EQ(umpa_os_unback(bench_slot(&b, 8), SLOT_NBYTES), 0);
		bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
		usleep(20000); /* the ring lets go of its pages a moment after it was closed */
		CHECK(moves_fairly(&b, bench_slot(&b, 8), bench_slot(&b, 2), 1, &result));
	} else {
		CHECK(bench_holds(bench_slot(&b, 8), SLOT_NBYTES, 1));
		CHECK(bench_absent(bench_slot(&b, 2), SLOT_NBYTES));
	}
	contract_finish(&b);
}

TEST(uffd_frame_pinned_by_io_uring)
{
	pinned_by_io_uring(&uffd);
}

TEST(mremap_frame_pinned_by_io_uring)
{
	pinned_by_io_uring(&by_mremap);
}

/* --- no huge pages ------------------------------------------------------------------------ */

static void without_huge_pages(const struct contract *c)
{
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		SKIP("huge pages can't be turned off");
	contract_several_slots_in_one_call(c);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

TEST(uffd_without_huge_pages)
{
	without_huge_pages(&uffd);
}

TEST(mremap_without_huge_pages)
{
	without_huge_pages(&by_mremap);
}

/* --- threads ------------------------------------------------------------------------------ */

struct worker {
	struct bench *bench;
	size_t first; /* of three slots: two to move between, one to write to */
	int nwrong;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	char *src = bench_slot(w->bench, w->first), *dst = src + SLOT_NBYTES;
	char *own = dst + SLOT_NBYTES;

	for (uint64_t i = 0; i < check_steps(150); i++) {
		char *other = src;
		size_t moved;

		bench_fill(w->bench, own, SLOT_NBYTES, i);
		w->nwrong += bench_move(w->bench, dst, src, SLOT_NBYTES, 0, &moved) != 0;
		w->nwrong += !bench_is_moved(dst, src, SLOT_NBYTES, moved, w->first);
		w->nwrong += !bench_holds(own, SLOT_NBYTES, i);
		if (i % 8 == 0)
			w->nwrong += umpa_os_unback(own, SLOT_NBYTES) != 0;
		src = dst;
		dst = other;
	}
	return NULL;
}

static void threads_move_disjoint_ranges(const struct contract *c)
{
	struct worker workers[4];
	pthread_t threads[4];
	struct bench b;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, c);
	for (size_t i = 0; i < 4; i++) {
		workers[i] = (struct worker){&b, 1 + 3 * i, 0};
		bench_fill(&b, bench_slot(&b, workers[i].first), SLOT_NBYTES, workers[i].first);
	}
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, work, &workers[i]);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		CHECK_EQ(workers[i].nwrong, 0);
	}
	contract_finish(&b);
}

TEST(uffd_threads_move_disjoint_ranges)
{
	threads_move_disjoint_ranges(&uffd);
}

TEST(mremap_threads_move_disjoint_ranges)
{
	threads_move_disjoint_ranges(&by_mremap);
}

/* --- frames that the kernel moves itself --------------------------------------------------- */

static volatile int compacting;

/* Memory with holes in it, so that there is something to compact. */
static void make_holes(char *addr, size_t nbytes)
{
	real_touch(addr, nbytes);
	for (size_t at = 0; at < nbytes; at += 2 * PAGE_NBYTES)
		madvise(addr + at, PAGE_NBYTES, MADV_DONTNEED);
}

static void *compact(void *arg)
{
	size_t nbytes = 48 * SLOT_NBYTES;
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY);
	char *holes =
		mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(holes, nbytes, MADV_NOHUGEPAGE);
	while (compacting) {
		make_holes(holes, nbytes);
		if (write(fd, "1", 1) != 1)
			break;
	}
	munmap(holes, nbytes);
	close(fd);
	return arg;
}

/* Half the window is moved to the other half, with fresh tags each time, so that a page which
 * stayed behind shows. */
static int moves_in_rounds(struct bench *b, unsigned nrounds)
{
	size_t nbytes = CONTRACT_NSLOTS / 2 * SLOT_NBYTES;
	uint64_t end_ns = umpa_os_clock_ns() + 4000000000; /* fewer rounds on a slow machine */

	for (unsigned i = 0; i < nrounds && (i < 2 || umpa_os_clock_ns() < end_ns); i++) {
		char *src = bench_slot(b, i % 2 ? CONTRACT_NSLOTS / 2 : 0);
		char *dst = bench_slot(b, i % 2 ? 0 : CONTRACT_NSLOTS / 2);
		uint64_t tag = (uint64_t)i << 32;
		size_t moved;
		int result;

		bench_fill(b, src, nbytes, tag);
		result = bench_move(b, dst, src, nbytes, i % 3 ? 0 : UMPA_MOVE_HOLES, &moved);
		if (result && result != -EBUSY && result != -EAGAIN)
			return 0;
		if (!bench_is_moved(dst, src, nbytes, moved, tag))
			return 0;
		if (result && (!bench_absent(dst + moved, nbytes - moved) ||
				      umpa_os_unback(src + moved, nbytes - moved)))
			return 0;
	}
	return 1;
}

static void while_frames_migrate(const struct contract *c)
{
	pthread_t compactor;
	struct bench b;
	int ok;

	if (access("/proc/sys/vm/compact_memory", W_OK))
		SKIP("only root can make the kernel migrate frames");
	PLAN(SETUP_NCHECKS + 1);
	contract_setup(&b, c);
	compacting = 1;
	pthread_create(&compactor, NULL, compact, NULL);
	ok = moves_in_rounds(&b, 60);
	compacting = 0;
	pthread_join(compactor, NULL);
	CHECK(ok);
	contract_finish(&b);
}

TEST(uffd_huge_while_frames_migrate)
{
	while_frames_migrate(&uffd);
}

TEST(uffd_small_while_frames_migrate)
{
	while_frames_migrate(&uffd_small);
}

TEST(mremap_small_while_frames_migrate)
{
	while_frames_migrate(&mremap_small);
}

/* --- mappings ----------------------------------------------------------------------------- */

static size_t nmappings(const struct bench *b)
{
	return real_nmappings(b->window, CONTRACT_NSLOTS * SLOT_NBYTES);
}

TEST(uffd_splits_no_mapping)
{
	struct bench b;
	size_t moved;
	int nfailed = 0;

	PLAN(SETUP_NCHECKS + 3);
	contract_setup(&b, &uffd);
	CHECK_EQ(nmappings(&b), 1);
	bench_fill(&b, bench_slot(&b, 0), SLOT_NBYTES, 1);
	for (size_t i = 0; i < CONTRACT_NSLOTS - 1; i++)
		nfailed += bench_move(&b, bench_slot(&b, i + 1), bench_slot(&b, i), SLOT_NBYTES, 0,
				   &moved) != 0;
	CHECK_EQ(nfailed, 0);
	CHECK_EQ(nmappings(&b), 1);
	contract_finish(&b);
}

/* Runs of one to three slots wander through the window; slots without frames are the holes. */
TEST(mremap_counts_its_mappings)
{
	struct bench b;
	uint64_t random = 12345;
	int nwrong = 0, nmoved = 0;

	PLAN(SETUP_NCHECKS + 3);
	contract_setup(&b, &by_mremap);
	for (size_t i = 0; i < CONTRACT_NSLOTS; i += 2)
		bench_fill(&b, bench_slot(&b, i), SLOT_NBYTES, i);
	CHECK_EQ(b.mover.nsplit, 0);
	for (int i = 0; i < 600; i++) {
		size_t n = 1 + i % 3 / 2, dst, src, moved;

		random = random * 6364136223846793005u + 1442695040888963407u;
		dst = (random >> 33) % (CONTRACT_NSLOTS - n);
		src = (random >> 48) % (CONTRACT_NSLOTS - n);
		if (dst < src + n && src < dst + n)
			continue;
		nmoved += !bench_move(&b, bench_slot(&b, dst), bench_slot(&b, src), n * SLOT_NBYTES,
			UMPA_MOVE_HOLES, &moved);
		/* The kernel may merge what the mover holds to be two; never the other way round.
		 */
		nwrong += nmappings(&b) > b.mover.nsplit + 1;
	}
	CHECK_EQ(nwrong, 0);
	CHECK(nmoved > 100);
	contract_finish(&b);
}

TEST(mremap_refuses_over_its_budget)
{
	struct bench b;
	int result;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, &by_mremap);
	b.mover.split_max = 4;
	bench_fill(&b, bench_slot(&b, 1), SLOT_NBYTES, 1);
	CHECK(moves_fairly(&b, bench_slot(&b, 5), bench_slot(&b, 1), 1, &result) && !result);
	CHECK(moves_fairly(&b, bench_slot(&b, 9), bench_slot(&b, 5), 1, &result) && !result);
	CHECK(moves_fairly(&b, bench_slot(&b, 13), bench_slot(&b, 9), 1, &result));
	CHECK_EQ(result, -ENOMEM);
	CHECK_EQ(nmappings(&b), 5);
	contract_finish(&b);
}

TEST(mremap_forgets_the_mappings_of_what_is_renewed)
{
	struct bench b;
	int result;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, &by_mremap);
	bench_fill(&b, bench_slot(&b, 1), SLOT_NBYTES, 1);
	CHECK(moves_fairly(&b, bench_slot(&b, 5), bench_slot(&b, 1), 1, &result) && !result);
	CHECK_EQ(b.mover.nsplit, 2);
	CHECK_EQ(umpa_os_renew(bench_slot(&b, 5), SLOT_NBYTES, 1), 0);
	umpa_mover_renewed(&b.mover, bench_slot(&b, 5), SLOT_NBYTES);
	CHECK_EQ(b.mover.nsplit, 0);
	CHECK_EQ(nmappings(&b), 1);
	contract_finish(&b);
}

static int move_refused(void *arg)
{
	const int calls[] = {SYS_mremap};
	struct bench *b = arg;
	int result;

	if (real_refuse_calls(calls, 1, ENOMEM))
		return 77;
	if (!moves_fairly(b, bench_slot(b, 8), bench_slot(b, 2), 1, &result))
		return 1;
	return result != -ENOMEM ? 2 : b->mover.nsplit ? 3 : 0;
}

TEST(mremap_counts_no_mappings_of_moves_that_were_refused)
{
	struct bench b;
	int result;

	PLAN(SETUP_NCHECKS + 1);
	contract_setup(&b, &by_mremap);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	result = real_in_child(move_refused, &b);
	if (result == 77)
		SKIP("no seccomp filters here");
	CHECK_EQ(result, 0);
	contract_finish(&b);
}

/* Pages of address space that this process has. */
static unsigned long address_space(void)
{
	char text[256] = {0};
	int fd = open("/proc/self/statm", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	return n > 0 ? strtoul(text, NULL, 10) : 0;
}

/* A finite limit lets each move ask whether there is room; and a mover that is given up goes as a
 * whole. */
TEST(mremap_leaves_no_address_space_behind)
{
	struct rlimit before, finite;
	struct umpa_mover other;
	struct bench b;
	unsigned long npages;
	int result, nfailed = 0;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, &by_mremap);
	bench_fill(&b, bench_slot(&b, 0), SLOT_NBYTES, 1);
	CHECK(!getrlimit(RLIMIT_DATA, &before));
	finite = (struct rlimit){(rlim_t)1 << 46, before.rlim_max};
	CHECK(!setrlimit(RLIMIT_DATA, &finite));
	npages = address_space();
	for (size_t i = 0; i < 8; i++)
		nfailed += !moves_fairly(&b, bench_slot(&b, i + 1), bench_slot(&b, i), 1, &result);
	CHECK_EQ(nfailed, 0);
	for (int i = 0; i < 8; i++)
		if (!umpa_mover_mremap_init(&other, b.window, CONTRACT_NSLOTS * SLOT_NBYTES))
			other.fini(&other);
	CHECK_EQ(address_space(), npages);
	CHECK(!setrlimit(RLIMIT_DATA, &before));
	contract_finish(&b);
}

static int move_over_limit(void *arg)
{
	struct bench *b = arg;
	struct rlimit low;
	int result;

	if (getrlimit(RLIMIT_DATA, &low))
		return 1;
	low.rlim_cur = PAGE_NBYTES;
	if (setrlimit(RLIMIT_DATA, &low))
		return 2;
	if (!moves_fairly(b, bench_slot(b, 8), bench_slot(b, 2), 1, &result))
		return 3;
	return result == -ENOMEM && nmappings(b) == 1 ? 0 : 4;
}

/* Once it has taken away the destination the kernel would refuse, and not put it back. */
TEST(mremap_refuses_above_the_limits)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 1);
	contract_setup(&b, &by_mremap);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	CHECK_EQ(real_in_child(move_over_limit, &b), 0);
	contract_finish(&b);
}

/* To ask whether the last slots are one mapping must not make it longer. */
TEST(mremap_takes_nothing_behind_the_window)
{
	const size_t nbytes = CONTRACT_NSLOTS * SLOT_NBYTES;
	struct umpa_mover m;
	unsigned char vec[1];
	void *window = NULL;
	size_t moved;
	char *last;

	PLAN(6);
	REQUIRE(!umpa_os_reserve(nbytes + SLOT_NBYTES, &window));
	umpa_os_release((char *)window + nbytes, SLOT_NBYTES);
	last = (char *)window + nbytes - SLOT_NBYTES;
	REQUIRE(!umpa_os_open(window, nbytes));
	REQUIRE(!umpa_mover_mremap_init(&m, window, nbytes));
	real_touch(last, SLOT_NBYTES);
	CHECK_EQ(umpa_mover_move(&m, window, last, SLOT_NBYTES, 0, &moved), 0);
	CHECK_EQ(moved, SLOT_NBYTES);
	CHECK(mincore((char *)window + nbytes, PAGE_NBYTES, vec) && errno == ENOMEM);
	m.fini(&m);
	umpa_os_release(window, nbytes);
}
