/* A part of the window that the uffd mover leaves to a userfaultfd of the program's own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "check.h"
#include "mover_contract.h"
#include "real_os.h"

static const struct contract uffd = {umpa_mover_uffd_init, real_touch, 1};

/* In slot 4. */
enum {
	PAGE_FIRST = 5,
	NPAGES = 20
};

static char *part_of(const struct bench *b)
{
	return bench_slot(b, 4) + PAGE_FIRST * PAGE_NBYTES;
}

static int own_uffd(void)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1);
	struct uffdio_api api = {.api = UFFD_API};

	return fd < 0 || ioctl(fd, UFFDIO_API, &api) ? -1 : fd;
}

/* 0 or errno. */
static int register_part(int fd, const struct bench *b)
{
	struct uffdio_register range = {
		.range = {.start = (uintptr_t)part_of(b), .len = NPAGES * PAGE_NBYTES},
		.mode = UFFDIO_REGISTER_MODE_MISSING};

	return ioctl(fd, UFFDIO_REGISTER, &range) ? errno : 0;
}

static int let_go(struct bench *b)
{
	return umpa_mover_let_go(&b->mover, part_of(b), NPAGES * PAGE_NBYTES);
}

static int move(struct bench *b, size_t to, size_t from)
{
	size_t moved;

	return bench_move(b, bench_slot(b, to), bench_slot(b, from), SLOT_NBYTES, 0, &moved);
}

TEST(uffd_lets_go)
{
	struct bench b;
	int fd = own_uffd();

	PLAN(SETUP_NCHECKS + 13);
	contract_setup(&b, &uffd);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, 1);
	bench_fill(&b, bench_slot(&b, 4), SLOT_NBYTES, 2);
	CHECK_EQ(register_part(fd, &b), EBUSY);
	CHECK_EQ(let_go(&b), 0);
	CHECK(bench_holds(bench_slot(&b, 4), SLOT_NBYTES, 2));
	CHECK_EQ(register_part(fd, &b), 0);
	/* From then on it is the program's, whoever asks. */
	CHECK_EQ(let_go(&b), -EBUSY);
	CHECK_EQ(register_part(fd, &b), 0);
	CHECK(move(&b, 9, 4) < 0);
	CHECK(bench_holds(bench_slot(&b, 4), SLOT_NBYTES, 2));
	/* The others move as ever. */
	CHECK_EQ(move(&b, 8, 2), 0);
	close(fd);
	umpa_mover_renewed(&b.mover, part_of(&b), NPAGES * PAGE_NBYTES);
	CHECK_EQ(move(&b, 9, 4), 0);
	CHECK(bench_holds(bench_slot(&b, 9), SLOT_NBYTES, 2));
	CHECK(bench_holds(bench_slot(&b, 8), SLOT_NBYTES, 1));
	CHECK(bench_absent(bench_slot(&b, 2), SLOT_NBYTES));
	contract_finish(&b);
}

/* A child has its parent's descriptor, which must do nothing in the parent. */
TEST(uffd_does_not_let_go_in_a_child)
{
	struct bench b;
	int status;
	pid_t pid;

	PLAN(SETUP_NCHECKS + 4);
	contract_setup(&b, &uffd);
	bench_fill(&b, bench_slot(&b, 4), SLOT_NBYTES, 2);
	pid = fork();
	if (!pid) {
		umpa_mover_renewed(&b.mover, part_of(&b), NPAGES * PAGE_NBYTES);
		_exit(let_go(&b) != -EBUSY);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK_EQ(register_part(own_uffd(), &b), EBUSY);
	bench_fill(&b, bench_slot(&b, 4), SLOT_NBYTES, 2); /* what was shared does not move */
	CHECK_EQ(move(&b, 9, 4), 0);
	CHECK(bench_holds(bench_slot(&b, 9), SLOT_NBYTES, 2));
	contract_finish(&b);
}

/* With a descriptor of its own it can. */
static int move_and_let_go(void *arg)
{
	struct bench *b = arg;

	bench_fill(b, bench_slot(b, 4), SLOT_NBYTES, 3);
	if (move(b, 9, 4))
		return 1;
	return let_go(b) ? 2 : 0;
}

TEST(uffd_lets_go_in_a_child_that_has_moved)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 1);
	contract_setup(&b, &uffd);
	CHECK_EQ(real_in_child(move_and_let_go, &b), 0);
	contract_finish(&b);
}

/* One that has lost its descriptor can't. */
TEST(uffd_does_not_let_go_without_its_descriptor)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 1);
	contract_setup(&b, &uffd);
	close(b.mover.fd);
	CHECK_EQ(let_go(&b), -EBUSY);
	contract_finish(&b);
}
