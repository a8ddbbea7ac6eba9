/* The mmap family on the real kernel: forks, signals, limits, lost descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "support/check.h"
#include "support/real_os.h"

enum {
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	PAGE = 4096
};

#define MIB ((size_t)1 << 20)

static char *map(size_t nbytes)
{
	char *p = umpa_mmap(NULL, nbytes, RW, ANON, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* One byte a page, which is not 0. */
static void fill(char *p, size_t nbytes, int tag)
{
	for (size_t i = 0; i < nbytes; i += PAGE)
		p[i] = (char)(tag + (int)(i / PAGE % 50));
}

static int holds(const char *p, size_t nbytes, int tag)
{
	for (size_t i = 0; i < nbytes; i += PAGE)
		if (p[i] != (char)(tag + (int)(i / PAGE % 50)))
			return 0;
	return 1;
}

static int is_zero(const char *p, size_t nbytes)
{
	for (size_t i = 0; i < nbytes; i += PAGE / 2)
		if (p[i])
			return 0;
	return 1;
}

/* Maps, grows by moving, cuts and ends, and looks at every page. 0, or the number of a step. */
static int use(int tag)
{
	char *p = map(3 * MIB), *q = map(2 * MIB), *r;

	if (!p || !q || !is_zero(p, 3 * MIB) || !is_zero(q, 2 * MIB))
		return 1;
	fill(p, 3 * MIB, tag);
	fill(q, 2 * MIB, tag + 1);
	r = umpa_mremap(p, 3 * MIB, 9 * MIB, MREMAP_MAYMOVE, NULL);
	if (r == MAP_FAILED || !holds(r, 3 * MIB, tag) || !is_zero(r + 3 * MIB, 6 * MIB))
		return 2;
	if (umpa_mprotect(r, MIB, PROT_READ) || umpa_munmap(r + MIB / 2, MIB))
		return 3;
	if (!holds(r, MIB / 2, tag) || !holds(q, 2 * MIB, tag + 1))
		return 4;
	if (umpa_munmap(r, MIB / 2) || umpa_munmap(r + MIB * 3 / 2, 9 * MIB - MIB * 3 / 2) ||
		umpa_munmap(q, 2 * MIB))
		return 5;
	return 0;
}

static char *reserve(size_t nbytes)
{
	char *p = umpa_mmap(NULL, nbytes, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static int in_window(const char *p)
{
	struct umpa_stats st;
	char *other = map(PAGE);

	/* Those of the kernel lie elsewhere by far. */
	umpa_get_stats(&st, sizeof(st));
	umpa_munmap(other, PAGE);
	return (size_t)(p > other ? p - other : other - p) < st.window_nbytes;
}

/* --- fork --------------------------------------------------------------------------------- */

struct family {
	char *kept, *unforked;
};

static int child(void *arg)
{
	struct family *f = arg;

	if (!holds(f->kept, 8 * MIB, 3))
		return 1;
	fill(f->kept, 4 * MIB, 4);
	if (umpa_munmap(f->kept + 2 * MIB, 6 * MIB) || use(5))
		return 2;
	/* What was not handed on is a hole here, until it is unmapped. */
	if (umpa_munmap(f->unforked, 4 * MIB))
		return 3;
	return use(6) ? 4 : 0;
}

TEST(mmap_child_has_mappings_of_its_own)
{
	struct family f = {map(8 * MIB), map(4 * MIB)};

	PLAN(8);
	REQUIRE(f.kept && f.unforked);
	fill(f.kept, 8 * MIB, 3);
	CHECK_EQ(umpa_madvise(f.unforked + MIB, MIB, MADV_DONTFORK), 0);
	CHECK_EQ(real_in_child(child, &f), 0);
	CHECK(holds(f.kept, 8 * MIB, 3));
	CHECK_EQ(use(7), 0);
	CHECK_EQ(real_in_child(child, &f), 0);
	CHECK_EQ(umpa_munmap(f.kept, 8 * MIB), 0);
	CHECK_EQ(umpa_munmap(f.unforked, 4 * MIB), 0);
}

/* --- what is not handed on ------------------------------------------------------------------ */

/* Of the kernel, past umpa: where that has a mapping, MAP_FAILED. */
static char *map_file_at(char *addr, size_t nbytes, int fd)
{
	return (char *)syscall(
		SYS_mmap, addr, nbytes, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, (off_t)0);
}

static int can_be_read(const char *page)
{
	int end[2], can = 0;

	if (!pipe(end)) {
		can = write(end[1], page, 1) == 1;
		close(end[0]);
		close(end[1]);
	}
	return can;
}

/* What others map comes to lie elsewhere, and the program may have the place again. */
static int child_with_a_gap(void *arg)
{
	char *hole = arg;
	int fd = memfd_create("file", 0);

	if (fd < 0 || ftruncate(fd, 2 * MIB))
		return 1;
	if (map_file_at(hole, 2 * MIB, fd) != MAP_FAILED || can_be_read(hole))
		return 2;
	if (use(64) || umpa_munmap(hole, 2 * MIB))
		return 3;
	if (umpa_mmap(hole, 2 * MIB, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) != hole ||
		!is_zero(hole, 2 * MIB))
		return 4;
	fill(hole, 2 * MIB, 5);
	return umpa_munmap(hole, 2 * MIB) || use(65) ? 5 : 0;
}

TEST(mmap_child_has_no_hole_where_others_may_map)
{
	char *p = map(8 * MIB);

	PLAN(5);
	REQUIRE(p);
	fill(p, 8 * MIB, 3);
	CHECK_EQ(umpa_madvise(p + 2 * MIB, 2 * MIB, MADV_DONTFORK), 0);
	CHECK_EQ(real_in_child(child_with_a_gap, p + 2 * MIB), 0);
	CHECK(holds(p, 8 * MIB, 3));
	CHECK_EQ(umpa_munmap(p, 8 * MIB), 0);
}

/* Of a block: it stays one. */
static int child_with_a_part(void *arg)
{
	char *block = arg;

	if (can_be_read(block + MIB) || !holds(block, MIB, 3) || !holds(block + 2 * MIB, MIB, 3))
		return 1;
	umpa_free(block);
	return use(66) ? 2 : 0;
}

TEST(mmap_child_may_free_what_it_has_a_part_of)
{
	char *block = umpa_alloc(3 * MIB, 0);

	PLAN(5);
	REQUIRE(block);
	fill(block, 3 * MIB, 3);
	fill(block + 2 * MIB, MIB, 3);
	CHECK_EQ(umpa_madvise(block + MIB, MIB, MADV_DONTFORK), 0);
	CHECK_EQ(real_in_child(child_with_a_part, block), 0);
	CHECK(holds(block, 2 * MIB, 3) && holds(block + 2 * MIB, MIB, 3));
	CHECK_EQ(umpa_usable_size(block), 3 * MIB);
	umpa_free(block);
}

/* A child made past libc has a hole, and a file of its own in it. */
static int use_file_in_hole(char *hole)
{
	int fd = memfd_create("file", 0);

	if (fd < 0 || ftruncate(fd, 2 * MIB) || map_file_at(hole, 2 * MIB, fd) != hole)
		return 1;
	fill(hole, 2 * MIB, 9);
	if (umpa_munmap(hole, 2 * MIB))
		return 2;
	for (int i = 0; i < 4; i++)
		if (use(67 + i))
			return 3;
	hole = (char *)mmap(NULL, 2 * MIB, RW, MAP_SHARED, fd, 0);
	return hole == MAP_FAILED || !holds(hole, 2 * MIB, 9) ? 4 : 0;
}

TEST(mmap_child_without_handlers_keeps_its_file)
{
	char *p = map(8 * MIB);
	int status = -1;
	pid_t child;

	PLAN(6);
	REQUIRE(p);
	fill(p, 8 * MIB, 3);
	CHECK_EQ(umpa_madvise(p + 2 * MIB, 2 * MIB, MADV_DONTFORK), 0);
	child = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0L);
	if (!child)
		_exit(use_file_in_hole(p + 2 * MIB));
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	CHECK(holds(p, 8 * MIB, 3));
	CHECK_EQ(umpa_munmap(p, 8 * MIB), 0);
}

/* A piece was opened before the fork, another is opened here, a third was opened and closed. */
static int child_of_reservation(void *arg)
{
	char *p = arg;

	if (!holds(p, 4 * MIB, 60) || umpa_mprotect(p + 8 * MIB, 8 * MIB, RW))
		return 1;
	if (!is_zero(p + 8 * MIB, 8 * MIB))
		return 2;
	fill(p, 16 * MIB, 61);
	fill(p + 2 * MIB, MIB, 63);
	if (umpa_mmap(p, 2 * MIB, PROT_NONE, ANON | MAP_FIXED, -1, 0) != p)
		return 3;
	if (umpa_mmap(p, 2 * MIB, RW, ANON | MAP_FIXED, -1, 0) != p || !is_zero(p, 2 * MIB))
		return 4;
	if (!holds(p + 2 * MIB, MIB, 63))
		return 5;
	if (umpa_munmap(p, 64 * MIB))
		return 6;
	return use(62) ? 7 : 0;
}

TEST(mmap_child_has_reservations_of_its_own)
{
	char *p = reserve(64 * MIB);

	PLAN(10);
	REQUIRE(p && in_window(p));
	CHECK_EQ(umpa_mprotect(p, 8 * MIB, RW), 0);
	fill(p, 8 * MIB, 60);
	CHECK_EQ(real_in_child(child_of_reservation, p), 0);
	CHECK(holds(p, 8 * MIB, 60));
	CHECK_EQ(umpa_mprotect(p + 8 * MIB, 8 * MIB, RW), 0);
	CHECK(is_zero(p + 8 * MIB, 8 * MIB));
	CHECK_EQ(umpa_madvise(p + 16 * MIB, 16 * MIB, MADV_DONTFORK), 0);
	CHECK_EQ(real_in_child(child_of_reservation, p), 0);
	CHECK_EQ(umpa_mprotect(p + 16 * MIB, 16 * MIB, RW), 0);
	CHECK_EQ(umpa_munmap(p, 64 * MIB), 0);
}

static int stop; /* atomic */

static void *use_all_the_time(void *arg)
{
	intptr_t wrong = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		wrong += use((int)(intptr_t)arg) != 0;
	return (void *)wrong;
}

static int use_once(void *arg)
{
	(void)arg;
	return use(9);
}

TEST(mmap_fork_while_threads_map)
{
	pthread_t thread[3];
	int wrong = 0;

	PLAN(4);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread[i], NULL, use_all_the_time, (void *)(intptr_t)(20 + i));
	for (int i = 0; i < 15; i++)
		wrong += real_in_child(use_once, NULL);
	CHECK_EQ(wrong, 0);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++) {
		void *result;

		pthread_join(thread[i], &result);
		CHECK_EQ((intptr_t)result, 0);
	}
}

/* --- signals ------------------------------------------------------------------------------ */

static sigjmp_buf back;

static void on_fault(int signal)
{
	siglongjmp(back, signal);
}

static int faults(volatile char *at, int write)
{
	int signal = sigsetjmp(back, 1);

	if (signal)
		return signal;
	if (write)
		*at = 1;
	else
		(void)*at;
	return 0;
}

TEST(mmap_protected_pages_signal)
{
	struct sigaction action = {.sa_handler = on_fault}, old;
	char *p = map(4 * MIB);

	PLAN(9);
	REQUIRE(p);
	sigaction(SIGSEGV, &action, &old);
	CHECK_EQ(umpa_mprotect(p + MIB, PAGE, PROT_NONE), 0);
	CHECK_EQ(umpa_mprotect(p + 2 * MIB, PAGE, PROT_READ), 0);
	CHECK_EQ(faults(p + MIB, 0), SIGSEGV);
	CHECK_EQ(faults(p + 2 * MIB, 0), 0);
	CHECK_EQ(faults(p + 2 * MIB, 1), SIGSEGV);
	CHECK_EQ(faults(p + MIB - 1, 1) + faults(p + MIB + PAGE, 1), 0);
	CHECK_EQ(umpa_munmap(p, 4 * MIB), 0);
	sigaction(SIGSEGV, &old, NULL);
	CHECK_EQ(use(30), 0);
}

TEST(mmap_closed_pages_signal)
{
	struct sigaction action = {.sa_handler = on_fault}, old;
	char *p = reserve(16 * MIB);

	PLAN(14);
	REQUIRE(p && in_window(p));
	sigaction(SIGSEGV, &action, &old);
	CHECK_EQ(faults(p, 0), SIGSEGV);
	CHECK_EQ(faults(p + 16 * MIB - 1, 1), SIGSEGV);
	CHECK_EQ(umpa_mprotect(p + MIB, 5 * MIB, RW), 0);
	CHECK_EQ(faults(p + MIB - 1, 0), SIGSEGV);
	CHECK_EQ(faults(p + MIB, 1) + faults(p + 6 * MIB - 1, 1), 0);
	CHECK_EQ(faults(p + 6 * MIB, 0), SIGSEGV);
	CHECK(umpa_mmap(p + 7 * MIB, MIB, RW, ANON | MAP_FIXED, -1, 0) == p + 7 * MIB);
	CHECK_EQ(faults(p + 7 * MIB, 1) + faults(p + 8 * MIB - 1, 1), 0);
	CHECK(umpa_mmap(p + 3 * MIB, MIB, PROT_NONE, ANON | MAP_FIXED, -1, 0) == p + 3 * MIB);
	CHECK_EQ(faults(p + 3 * MIB, 0), SIGSEGV);
	CHECK_EQ(faults(p + 3 * MIB - 1, 0) + faults(p + 4 * MIB, 0), 0);
	CHECK_EQ(umpa_mprotect(p + 3 * MIB, MIB, PROT_READ), 0);
	CHECK_EQ(faults(p + 3 * MIB, 0) + (faults(p + 3 * MIB, 1) != SIGSEGV), 0);
	sigaction(SIGSEGV, &old, NULL);
	umpa_munmap(p, 16 * MIB);
}

/* --- threads ------------------------------------------------------------------------------- */

/* Two threads open the same pieces, as they do who commit what they have faulted on: what either
 * has written by then stays. */
enum {
	NPIECES = 24
};

#define PIECE_NBYTES (4 * MIB)

struct opener {
	char *p;
	pthread_barrier_t *barrier;
	int number, nwrong;
};

static void *open_and_write(void *arg)
{
	struct opener *o = arg;

	for (int i = 0; i < NPIECES; i++) {
		char *piece = o->p + (size_t)i * PIECE_NBYTES;

		pthread_barrier_wait(o->barrier);
		o->nwrong += umpa_mprotect(piece, PIECE_NBYTES, RW) != 0;
		for (size_t at = 0; at < PIECE_NBYTES; at += 16 * PAGE)
			piece[at + (size_t)o->number * 64] = (char)(i + 1);
	}
	return NULL;
}

static int wrote_all(const char *p)
{
	for (size_t i = 0; i < NPIECES; i++)
		for (size_t at = 0; at < PIECE_NBYTES; at += 16 * PAGE) {
			const char *page = p + i * PIECE_NBYTES + at;

			if (page[0] != (char)(i + 1) || page[64] != (char)(i + 1) || page[128])
				return 0;
		}
	return 1;
}

TEST(mmap_two_threads_open)
{
	const size_t nbytes = NPIECES * PIECE_NBYTES;
	pthread_barrier_t barrier;
	pthread_t thread;
	char *p, *frames;

	PLAN(3 + 8 * 4);
	pthread_barrier_init(&barrier, NULL, 2);
	for (int i = 0; i < 8; i++) {
		struct opener one, other;

		frames = map(nbytes);
		p = reserve(nbytes);
		REQUIRE(frames && p);
		memset(frames, 'f', nbytes);
		umpa_munmap(frames, nbytes);
		one = (struct opener){p, &barrier, 0, 0};
		other = (struct opener){p, &barrier, 1, 0};
		pthread_create(&thread, NULL, open_and_write, &other);
		open_and_write(&one);
		pthread_join(thread, NULL);
		CHECK_EQ(one.nwrong + other.nwrong, 0);
		CHECK(wrote_all(p));
		CHECK_EQ(umpa_munmap(p, nbytes), 0);
	}
	CHECK_EQ(use(70), 0);
	CHECK_EQ(use(71), 0);
	pthread_barrier_destroy(&barrier);
	CHECK(in_window(p));
}

/* --- several mappings for the kernel ------------------------------------------------------- */

/* Watched by a descriptor of the program's own, so a mapping that the kernel moves only alone. */
static int watch(char *p, size_t nbytes)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {
		.range = {(uintptr_t)p, nbytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd >= 0 && !ioctl(fd, UFFDIO_API, &api) && !ioctl(fd, UFFDIO_REGISTER, &range);
}

/* Two superpages of which the second is watched go to a given place. Result: 0, the number of a
 * step, or 77 where there is no watching. */
static int move_half_watched(int flags)
{
	char *p = map(4 * MIB), *to = map(4 * MIB);

	if (!p || !to)
		return 1;
	fill(p, 4 * MIB, 1);
	fill(to, 4 * MIB, 2);
	if (!watch(p + 2 * MIB, 2 * MIB))
		return 77;
	if (umpa_mremap(p, 4 * MIB, 4 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED | flags, to) != to)
		return 2;
	return holds(to, 4 * MIB, 1) ? 0 : 3;
}

static int status_of_move(int flags)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		/* None of the window is watched by umpa. */
		setenv("UMPA_OPTIONS", "mover=plain", 1);
		_exit(move_half_watched(flags));
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* From Linux 6.17 on the kernel moves the first and then refuses the second. */
TEST(mmap_is_moved_as_a_whole)
{
	int status = status_of_move(0);

	PLAN(2);
	if (status == 77)
		SKIP("userfaultfd() is not to be had");
	CHECK_EQ(status, 0);
	CHECK_EQ(status_of_move(MREMAP_DONTUNMAP), 0);
}

/* --- weather ------------------------------------------------------------------------------ */

static int close_all(void *arg)
{
	(void)arg;
	if (use(40))
		return 1;
	for (int fd = 3; fd < 5000; fd++)
		close(fd);
	return use(41) || use(42) ? 2 : 0;
}

/* The mover registers the window anew, and leaves out the slot with a file in it: what begins there
 * and ends in the next one are two mappings, of which the kernel moves the first alone. */
static int move_half_registered(void *arg)
{
	const size_t slot = 2 * MIB;
	int fd = open("/proc/self/exe", O_RDONLY),
	    flags = MREMAP_MAYMOVE | (arg ? MREMAP_DONTUNMAP : 0);
	char *p = map(4 * slot), *from = umpa_alloc(slot, UMPA_BACKED), *to = umpa_alloc(slot, 0);
	char *a = (char *)(((uintptr_t)p + slot - 1) & ~(slot - 1)), *b = a + 4 * PAGE, *there, *q;

	if (!p || !from || !to || fd < 0)
		return 1;
	fill(a, 3 * slot, 7);
	if (umpa_mmap(a, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) != a)
		return 2;
	closefrom(3);
	if (umpa_move(to, from, slot)) /* or copied, where nothing moves */
		return 3;
	fill(b, slot, 9);
	there = mmap(NULL, slot, PROT_NONE, ANON, -1, 0);
	if (there == MAP_FAILED)
		return 4;
	q = umpa_mremap(b, slot, slot, flags | MREMAP_FIXED, there);
	if (q != there || !holds(q, slot, 9))
		return 5;
	if (arg && !is_zero(b, slot))
		return 6;
	return 0;
}

static int lock_all(void *arg)
{
	char *p = map(4 * MIB);

	(void)arg;
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return 0; /* not to be had */
	if (use(43) || !p || umpa_munmap(p, 4 * MIB) || use(44))
		return 1;
	munlockall();
	return use(45) ? 2 : 0;
}

/* What counts for RLIMIT_DATA now. */
static size_t data_nbytes(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t npages = 0;

	if (!f || fscanf(f, "%*u %*u %*u %*u %*u %zu", &npages) != 1)
		npages = 0;
	if (f)
		fclose(f);
	return npages * PAGE;
}

static int limit_data(void *arg)
{
	size_t most = data_nbytes() + 40 * MIB;
	struct rlimit limit = {most, most};
	char *part[4], *whole;
	int n = 0;

	(void)arg;
	if (most == 40 * MIB)
		return 0; /* not to be learned */
	if (setrlimit(RLIMIT_DATA, &limit))
		return 1;
	whole = map(2000 * MIB);
	if (whole || errno != ENOMEM)
		return 2;
	while (n < 4 && (part[n] = map(6 * MIB))) {
		fill(part[n], 6 * MIB, 47 + n);
		n++;
	}
	for (int i = 0; i < n; i++)
		if (!holds(part[i], 6 * MIB, 47 + i) || umpa_munmap(part[i], 6 * MIB))
			return 3;
	return n < 4 ? 4 : 0;
}

/* A reservation does not count for RLIMIT_DATA; what is opened of it does. */
static int limit_reserved(void *arg)
{
	size_t most = data_nbytes() + 40 * MIB;
	struct rlimit limit = {most, most};
	char *p;

	(void)arg;
	if (most == 40 * MIB)
		return 0; /* not to be learned */
	if (setrlimit(RLIMIT_DATA, &limit))
		return 1;
	p = reserve(1000 * MIB);
	if (!p || umpa_mprotect(p, 2 * MIB, RW))
		return 2;
	fill(p, 2 * MIB, 52);
	if (umpa_mprotect(p + 2 * MIB, 500 * MIB, RW) != -1 || errno != ENOMEM)
		return 3;
	return holds(p, 2 * MIB, 52) && !umpa_munmap(p, 1000 * MIB) ? 0 : 4;
}

static size_t resident_nbytes(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	size_t npages = 0;

	if (!f || fscanf(f, "%*u %zu", &npages) != 1)
		npages = 0;
	if (f)
		fclose(f);
	return npages * PAGE;
}

/* What is not opened costs no memory but umpa's books. */
static int reserve_much(void *arg)
{
	size_t before = resident_nbytes();
	char *p[16];

	(void)arg;
	for (int i = 0; i < 16; i++) {
		p[i] = reserve(64 * MIB);
		if (!p[i] || umpa_mprotect(p[i] + MIB, MIB, RW))
			return 1;
		p[i][MIB] = 1;
	}
	if (resident_nbytes() > before + 4 * MIB)
		return 2;
	for (int i = 0; i < 16; i++)
		if (umpa_munmap(p[i], 64 * MIB))
			return 3;
	return resident_nbytes() > before + 4 * MIB || use(53) ? 4 : 0;
}

/* Locked memory gets frames when it is opened. */
static int lock_reserved(void *arg)
{
	char *p = reserve(64 * MIB), *q;

	(void)arg;
	if (!p || umpa_mprotect(p, 2 * MIB, RW))
		return 1;
	fill(p, 2 * MIB, 54);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return 0; /* not to be had */
	q = reserve(64 * MIB);
	if (!q || umpa_mprotect(p + 2 * MIB, 2 * MIB, RW) || umpa_mprotect(q, 2 * MIB, RW))
		return 2;
	fill(q, 2 * MIB, 55);
	if (!holds(p, 2 * MIB, 54) || !is_zero(p + 2 * MIB, 2 * MIB))
		return 3;
	return umpa_munmap(p, 64 * MIB) || umpa_munmap(q, 64 * MIB) || use(56) ? 4 : 0;
}

static int lock_some(void *arg)
{
	char *p = map(4 * MIB);

	(void)arg;
	if (!p || mlock(p + MIB, 16 * PAGE))
		return 1;
	fill(p, 4 * MIB, 48);
	return holds(p, 4 * MIB, 48) && !umpa_munmap(p, 4 * MIB) && !use(49) ? 0 : 2;
}

/* Pages that can't be made ordinary stay mapped and keep what they hold. */
static int refuse_protect(void *arg)
{
	const int calls[] = {SYS_mprotect};
	char *p = map(4 * MIB);

	(void)arg;
	if (!p)
		return 1;
	fill(p, 4 * MIB, 50);
	if (use(51) || umpa_mprotect(p + MIB, MIB, PROT_READ))
		return 2;
	if (real_refuse_calls(calls, 1, ENOMEM))
		return 0; /* no such thing here */
	if (umpa_munmap(p, 4 * MIB) != -1 || errno != ENOMEM)
		return 3;
	return holds(p, 4 * MIB, 50) ? 0 : 4;
}

TEST(mmap_in_bad_weather)
{
	int leave_behind;

	PLAN(10);
	CHECK_EQ(real_in_child(close_all, NULL), 0);
	CHECK_EQ(real_in_child(move_half_registered, NULL), 0);
	CHECK_EQ(real_in_child(move_half_registered, &leave_behind), 0);
	CHECK_EQ(real_in_child(limit_reserved, NULL), 0);
	CHECK_EQ(real_in_child(reserve_much, NULL), 0);
	CHECK_EQ(real_in_child(lock_reserved, NULL), 0);
	CHECK_EQ(real_in_child(lock_all, NULL), 0);
	CHECK_EQ(real_in_child(limit_data, NULL), 0);
	CHECK_EQ(real_in_child(lock_some, NULL), 0);
	CHECK_EQ(real_in_child(refuse_protect, NULL), 0);
}
