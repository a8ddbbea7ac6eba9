/* The uffd mover's descriptor in a program that closes, reuses and runs out of descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/units.h"
#include "check.h"
#include "mover_contract.h"
#include "os/os.h"
#include "real_os.h"

static const struct contract uffd = {umpa_mover_uffd_init, real_touch, 1};

/* One slot is moved to its other place, and the content looked at: 2 checks. */
static void move_and_look(struct bench *b)
{
	char *a = bench_slot(b, 2), *c = bench_slot(b, 8);
	int at_a = !bench_absent(a, PAGE_NBYTES);
	char *src = at_a ? a : c, *dst = at_a ? c : a;
	size_t moved;

	CHECK_EQ(bench_move(b, dst, src, SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(dst, src, SLOT_NBYTES, moved, 1));
}

static void begin(struct bench *b)
{
	contract_setup(b, &uffd);
	bench_fill(b, bench_slot(b, 2), SLOT_NBYTES, 1);
}

static int is_file(int fd, const struct stat *wanted)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_ino == wanted->st_ino && st.st_dev == wanted->st_dev;
}

TEST(uffd_descriptor_is_parked_high_and_closed_on_exec)
{
	struct rlimit limit;
	struct bench b;

	PLAN(SETUP_NCHECKS + 3);
	begin(&b);
	getrlimit(RLIMIT_NOFILE, &limit);
	CHECK(limit.rlim_cur < 128 || b.mover.fd >= 64);
	CHECK(fcntl(b.mover.fd, F_GETFD) & FD_CLOEXEC);
	contract_finish(&b);
	CHECK(b.mover.fd == -1);
}

TEST(uffd_survives_closing_of_all_descriptors)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 3 * 2);
	begin(&b);
	move_and_look(&b);
	for (int i = 0; i < 2; i++) {
		for (int fd = 3; fd < 5000; fd++)
			close(fd);
		move_and_look(&b);
	}
	contract_finish(&b);
}

/* --- files are mapped into the window ----------------------------------------------------- */

/* A page of a file amid the slot, which can't be registered; protected against change if sealed. */
static int map_file(struct bench *b, size_t slot, int sealed)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	void *at = bench_slot(b, slot) + 5 * PAGE_NBYTES;
	void *got = mmap(at, PAGE_NBYTES, PROT_READ | (sealed ? 0 : PROT_WRITE),
		MAP_FIXED | (sealed ? MAP_SHARED : MAP_PRIVATE), fd, 0);

	close(fd);
	return got == at;
}

static void lose(struct bench *b)
{
	close(b->mover.fd);
}

static int renew(struct bench *b, size_t slot)
{
	char *at = bench_slot(b, slot) + 5 * PAGE_NBYTES;

	if (umpa_os_renew(at, PAGE_NBYTES, 1))
		return 0;
	umpa_mover_renewed(&b->mover, at, PAGE_NBYTES);
	return 1;
}

/* From the slot to number 9, which is empty. Result: what the mover says; -1 if the content is not
 * where that puts it. */
static int move_from(struct bench *b, size_t slot)
{
	char *src = bench_slot(b, slot), *dst = bench_slot(b, 9);
	size_t moved;
	int error;

	(void)!umpa_os_unback(dst, SLOT_NBYTES);
	bench_fill(b, src, SLOT_NBYTES, 7);
	error = bench_move(b, dst, src, SLOT_NBYTES, 0, &moved);
	return bench_is_moved(dst, src, SLOT_NBYTES, moved, 7) ? error : -1;
}

/* Everything moves but the slots with a file in them, and those too when it is gone. */
static void around_files(const size_t *slot, size_t n, int sealed)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 2 * 2 + 3 * (unsigned)n + 1);
	begin(&b);
	for (size_t i = 0; i < n; i++)
		CHECK(map_file(&b, slot[i], sealed));
	for (int i = 0; i < 2; i++) {
		lose(&b);
		move_and_look(&b);
	}
	for (size_t i = 0; i < n; i++) {
		CHECK(renew(&b, slot[i]));
		CHECK_EQ(move_from(&b, slot[i]), 0);
	}
	CHECK_EQ(move_from(&b, 6), 0);
	contract_finish(&b);
}

TEST(uffd_registers_around_a_file)
{
	static const size_t slots[] = {4};

	around_files(slots, array_len(slots), 0);
}

TEST(uffd_registers_around_files_at_both_ends)
{
	static const size_t slots[] = {0, 1, 3, 5, 7, 10, CONTRACT_NSLOTS - 1};

	around_files(slots, array_len(slots), 0);
}

TEST(uffd_registers_around_what_can_not_be_written)
{
	static const size_t slots[] = {1, 7};

	around_files(slots, array_len(slots), 1);
}

/* A mover that comes when files are there already; and in a child, which begins anew. */
TEST(uffd_begins_around_files)
{
	struct bench b;
	struct umpa_mover first;

	PLAN(SETUP_NCHECKS + 6);
	begin(&b);
	CHECK(map_file(&b, 0, 0) && map_file(&b, 4, 0));
	first = b.mover;
	first.fini(&first);
	CHECK_EQ(umpa_mover_uffd_init(&b.mover, b.window, CONTRACT_NSLOTS * SLOT_NBYTES), 0);
	move_and_look(&b);
	CHECK(renew(&b, 0));
	CHECK_EQ(move_from(&b, 0), 0);
	contract_finish(&b);
}

/* An honest refusal is still told from a lost descriptor: it stays. */
TEST(uffd_keeps_its_descriptor_where_a_file_does_not_move)
{
	struct bench b;
	struct stat st;
	int fd;

	PLAN(SETUP_NCHECKS + 5);
	begin(&b);
	fd = b.mover.fd;
	CHECK(!fstat(fd, &st));
	CHECK(map_file(&b, 0, 0) && map_file(&b, 4, 0));
	CHECK_EQ(move_from(&b, 12), 0);
	CHECK(bench_move(&b, bench_slot(&b, 10), bench_slot(&b, 4), SLOT_NBYTES, 0, &(size_t){0}) <
		0);
	CHECK(b.mover.fd == fd && is_file(fd, &st));
	contract_finish(&b);
}

/* Nothing can be registered: refused, and the content stays. */
TEST(uffd_is_refused_where_files_are_everywhere)
{
	struct bench b;
	int nmapped = 0;

	PLAN(SETUP_NCHECKS + 4);
	begin(&b);
	for (size_t i = 0; i < CONTRACT_NSLOTS; i++)
		nmapped += map_file(&b, i, 1);
	CHECK_EQ(nmapped, CONTRACT_NSLOTS);
	lose(&b);
	CHECK(bench_move(&b, bench_slot(&b, 9), bench_slot(&b, 2), SLOT_NBYTES, 0, &(size_t){0}) ==
		-EINVAL);
	CHECK(bench_holds(bench_slot(&b, 2), 5 * PAGE_NBYTES, 1));
	CHECK_EQ(umpa_mover_uffd_init(&b.mover, b.window, CONTRACT_NSLOTS * SLOT_NBYTES), -EINVAL);
	contract_finish(&b);
}

/* --- the number is another file ----------------------------------------------------------- */

static int open_foreign_uffd(int registered)
{
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);

	if (fd < 0 || !registered)
		return fd;
	range.range.len = SLOT_NBYTES;
	range.range.start = (uintptr_t)mmap(
		NULL, SLOT_NBYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &range))
		return -1;
	return fd;
}

#define NKINDS 9

static int open_kind(int kind)
{
	int ends[2] = {-1, -1};

	switch (kind) {
	case 0:
		return open("/dev/null", O_RDWR);
	case 1:
		return memfd_create("other", 0);
	case 2:
		return pipe(ends) ? -1 : ends[1];
	case 3:
		return socket(AF_UNIX, SOCK_DGRAM, 0);
	case 4:
		return eventfd(0, 0);
	case 5:
		return epoll_create1(0);
	case 6:
		return open("/", O_RDONLY);
	case 7:
		return open_foreign_uffd(0);
	default:
		return open_foreign_uffd(1);
	}
}

TEST(uffd_leaves_the_file_alone_that_got_its_number)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + NKINDS * (2 + 2 + 2));
	begin(&b);
	for (int kind = 0; kind < NKINDS; kind++) {
		int other = open_kind(kind), number = b.mover.fd;
		struct stat st;

		CHECK(!fstat(other, &st));
		CHECK(dup2(other, number) == number);
		move_and_look(&b);
		CHECK(is_file(number, &st));
		CHECK(b.mover.fd != number);
		close(number);
		close(other);
	}
	contract_finish(&b);
}

TEST(uffd_end_leaves_the_file_alone_that_got_its_number)
{
	struct bench b;
	struct stat st;
	int number, other = open("/dev/null", O_RDWR);

	PLAN(SETUP_NCHECKS + 2);
	begin(&b);
	number = b.mover.fd;
	CHECK(!fstat(other, &st) && dup2(other, number) == number);
	contract_finish(&b);
	CHECK(is_file(number, &st));
	close(number);
	close(other);
}

/* --- no descriptor to be had -------------------------------------------------------------- */

TEST(uffd_refuses_while_there_is_no_descriptor)
{
	struct rlimit limit, few;
	struct bench b;
	size_t moved;
	int last = -1, fd;

	PLAN(SETUP_NCHECKS + 2 + 2);
	begin(&b);
	getrlimit(RLIMIT_NOFILE, &limit);
	few = limit;
	few.rlim_cur = 40;
	setrlimit(RLIMIT_NOFILE, &few);
	close(b.mover.fd);
	while ((fd = dup(1)) >= 0)
		last = fd;
	CHECK_EQ(bench_move(&b, bench_slot(&b, 8), bench_slot(&b, 2), SLOT_NBYTES, 0, &moved),
		-EAGAIN);
	CHECK(bench_holds(bench_slot(&b, 2), SLOT_NBYTES, 1));
	close(last);
	move_and_look(&b);
	for (fd = 3; fd < last; fd++)
		if (fd != b.mover.fd)
			close(fd);
	setrlimit(RLIMIT_NOFILE, &limit);
	contract_finish(&b);
}

static int lose_it_under_seccomp(void *arg)
{
	struct bench *b = arg;
	const int call = SYS_userfaultfd;
	size_t moved;

	if (real_refuse_calls(&call, 1, EPERM))
		return 77;
	close(b->mover.fd);
	if (bench_move(b, bench_slot(b, 8), bench_slot(b, 2), SLOT_NBYTES, 0, &moved) != -EINVAL)
		return 1;
	return !bench_holds(bench_slot(b, 2), SLOT_NBYTES, 1);
}

TEST(uffd_refuses_where_it_may_not_open_again)
{
	struct bench b;
	int result;

	PLAN(SETUP_NCHECKS + 1);
	begin(&b);
	result = real_in_child(lose_it_under_seccomp, &b);
	if (result == 77)
		SKIP("no seccomp filters here");
	CHECK_EQ(result, 0);
	contract_finish(&b);
}

/* --- threads ------------------------------------------------------------------------------ */

#define NROUNDS_MAX 1000000

/* Each looks at all of a superpage, which takes long where processors are emulated. */
static int nmoves(void)
{
	return getenv("UMPA_GUEST") ? 15 : 100;
}

struct mover_thread {
	struct bench *bench;
	size_t first; /* of two slots */
	int nmoved, nwrong;
};

static void *move_about(void *arg)
{
	struct mover_thread *t = arg;
	char *src = bench_slot(t->bench, t->first), *dst = bench_slot(t->bench, t->first + 1);

	for (int i = 0; i < NROUNDS_MAX && t->nmoved < nmoves(); i++) {
		size_t moved;
		char *other = src;

		/* Any refusal is fair while the descriptor comes and goes. */
		if (bench_move(t->bench, dst, src, SLOT_NBYTES, 0, &moved)) {
			t->nwrong += moved != 0 || !bench_holds(src, SLOT_NBYTES, t->first);
			continue;
		}
		t->nmoved++;
		t->nwrong += !bench_holds(dst, SLOT_NBYTES, t->first);
		src = dst;
		dst = other;
	}
	return NULL;
}

static volatile int closing;

static void *close_often(void *arg)
{
	struct bench *b = arg;

	while (closing) {
		close(__atomic_load_n(&b->mover.fd, __ATOMIC_RELAXED));
		usleep(100);
	}
	return NULL;
}

TEST(uffd_survives_closing_while_threads_move)
{
	struct mover_thread movers[3];
	pthread_t threads[3], closer;
	struct bench b;

	PLAN(SETUP_NCHECKS + 3 * 2 + 2);
	begin(&b);
	closing = 1;
	pthread_create(&closer, NULL, close_often, &b);
	for (size_t i = 0; i < 3; i++) {
		movers[i] = (struct mover_thread){&b, 4 + 2 * i, 0, 0};
		bench_fill(&b, bench_slot(&b, movers[i].first), SLOT_NBYTES, movers[i].first);
		pthread_create(&threads[i], NULL, move_about, &movers[i]);
	}
	for (size_t i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		CHECK_EQ(movers[i].nwrong, 0);
		CHECK_EQ(movers[i].nmoved, nmoves());
	}
	closing = 0;
	pthread_join(closer, NULL);
	CHECK(bench_holds(bench_slot(&b, 2), SLOT_NBYTES, 1));
	/* All is well again at the next move. */
	CHECK_EQ(bench_move(&b, bench_slot(&b, 3), bench_slot(&b, 2), SLOT_NBYTES, 0, &(size_t){0}),
		0);
	contract_finish(&b);
}
