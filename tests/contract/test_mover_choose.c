/* The mover is chosen by trial, also where system calls are forbidden and for ordinary users. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/units.h"
#include "check.h"
#include "os/mover.h"
#include "os/os.h"
#include "real_os.h"

#define NSLOTS 8u

struct choice {
	struct umpa_mover mover;
	struct umpa_mover_trial trials[3];
	struct umpa_mover_scratch scratch;
	char *window;
	int result;
	int ok; /* the memory is as the header says */
};

static int is_backed(const void *addr, size_t nbytes)
{
	unsigned char vec[SLOT_NPAGES];
	size_t n = 0;

	if (umpa_os_resident(addr, nbytes / PAGE_NBYTES, vec))
		return -1;
	for (size_t i = 0; i < nbytes / PAGE_NBYTES; i++)
		n += vec[i] & 1;
	return n == nbytes / PAGE_NBYTES ? 1 : n ? -1 : 0;
}

static int is_as_promised(const struct choice *c)
{
	const struct umpa_mover_scratch *s = &c->scratch;

	return is_backed(s->dst, SLOT_NBYTES) == c->result &&
	       is_backed(s->src, SLOT_NBYTES) == !c->result &&
	       is_backed(s->page_dst, PAGE_NBYTES) + is_backed(s->page_src, PAGE_NBYTES) == 1;
}

static int choose(struct choice *c, enum umpa_mover_kind want)
{
	void *window = NULL;

	if (umpa_os_reserve(NSLOTS * SLOT_NBYTES, &window) ||
		umpa_os_open(window, NSLOTS * SLOT_NBYTES) ||
		umpa_os_advise_huge(window, SLOT_NBYTES, 0) ||
		umpa_os_advise_huge((char *)window + SLOT_NBYTES, (NSLOTS - 1) * SLOT_NBYTES, 1))
		return -1;
	c->window = window;
	c->scratch = (struct umpa_mover_scratch){
		.src = c->window + 2 * SLOT_NBYTES,
		.dst = c->window + 5 * SLOT_NBYTES,
		.page_src = c->window + 3 * PAGE_NBYTES,
		.page_dst = c->window + 9 * PAGE_NBYTES,
	};
	if (umpa_os_back(c->scratch.src, SLOT_NBYTES) ||
		umpa_os_back(c->scratch.page_src, PAGE_NBYTES))
		return -1;
	c->result = umpa_mover_choose(
		&c->mover, want, window, NSLOTS * SLOT_NBYTES, &c->scratch, c->trials);
	c->ok = is_as_promised(c);
	return 0;
}

static void end(struct choice *c)
{
	c->mover.fini(&c->mover);
	umpa_os_release(c->window, NSLOTS * SLOT_NBYTES);
}

/* What the kernel has, as tried without umpa's choosing. */
static const char *best_here(void)
{
	static struct umpa_mover m;
	void *window = NULL;
	int error;

	if (umpa_os_reserve(SLOT_NBYTES, &window))
		return NULL;
	error = umpa_mover_uffd_init(&m, window, SLOT_NBYTES);
	if (!error)
		m.fini(&m);
	umpa_os_release(window, SLOT_NBYTES);
	return error ? "mremap" : "uffd";
}

TEST(choose_takes_the_best)
{
	struct choice c;

	PLAN(6);
	REQUIRE(!choose(&c, UMPA_MOVER_AUTO));
	CHECK_STR(c.mover.name, best_here());
	CHECK(c.ok);
	CHECK_EQ(c.result, 1);
	CHECK_EQ(c.trials[0].kind, UMPA_MOVER_UFFD);
	CHECK(!strcmp(c.mover.name, "uffd") == !c.trials[0].error);
	end(&c);
}

TEST(choose_takes_what_is_wanted)
{
	struct choice c;

	PLAN(10);
	REQUIRE(!choose(&c, UMPA_MOVER_MREMAP));
	CHECK_STR(c.mover.name, "mremap");
	CHECK(c.ok);
	CHECK(!c.trials[0].step && c.trials[1].step && !c.trials[1].error);
	end(&c);
	REQUIRE(!choose(&c, UMPA_MOVER_PLAIN));
	CHECK_STR(c.mover.name, "plain");
	CHECK(c.ok);
	CHECK_EQ(c.result, 0);
	CHECK(!c.trials[0].step && !c.trials[1].step);
	CHECK_EQ(umpa_mover_move(
			 &c.mover, c.scratch.dst, c.scratch.src, SLOT_NBYTES, 0, &(size_t){0}),
		-ENOSYS);
	end(&c);
}

/* --- under seccomp ------------------------------------------------------------------------ */

#define NO_FILTERS 77

/* A choice where those calls are refused: 0, or why there is none. */
static int choose_without(const int *calls, size_t ncalls, int error, struct choice *c)
{
	if (real_refuse_calls(calls, ncalls, error))
		return NO_FILTERS;
	return choose(c, UMPA_MOVER_AUTO) ? 1 : 0;
}

static int without_userfaultfd(void *arg)
{
	const int calls[] = {SYS_userfaultfd};
	struct choice c;
	int failed = choose_without(calls, 1, EPERM, &c);

	(void)arg;
	if (failed)
		return failed;
	if (strcmp(c.mover.name, "mremap"))
		return 2;
	if (c.trials[0].error != -EPERM || strcmp(c.trials[0].step, "open"))
		return 3;
	return c.ok ? 0 : 4;
}

static int without_ioctl(void *arg)
{
	const int calls[] = {SYS_ioctl};
	struct choice c;
	int failed = choose_without(calls, 1, EPERM, &c);

	(void)arg;
	if (failed)
		return failed;
	return !strcmp(c.mover.name, "mremap") ? c.ok ? 0 : 4 : 2;
}

static int without_either(void *arg)
{
	const int calls[] = {SYS_userfaultfd, SYS_mremap};
	struct choice c;
	int failed = choose_without(calls, 2, ENOSYS, &c);

	(void)arg;
	if (failed)
		return failed;
	if (strcmp(c.mover.name, "plain") || c.result)
		return 2;
	if (c.trials[0].error != -ENOSYS || !c.trials[1].error ||
		strcmp(c.trials[1].step, "move superpage"))
		return 3;
	return c.ok ? 0 : 4;
}

/* mincore too: nothing can be known about frames, and nothing moves. */
static int without_anything(void *arg)
{
	const int calls[] = {SYS_userfaultfd, SYS_mremap, SYS_mincore, SYS_getrandom, SYS_openat,
		SYS_prlimit64, SYS_msync};
	struct choice c;
	int failed = choose_without(calls, 7, EPERM, &c);

	(void)arg;
	return failed ? failed : strcmp(c.mover.name, "plain") || c.result ? 2 : 0;
}

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 5000; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Where frames went can't be seen, so no mover is trusted, and none is left behind. */
static int without_mincore(void *arg)
{
	const int calls[] = {SYS_mincore};
	int before = count_descriptors();
	struct choice c;
	int failed = choose_without(calls, 1, EPERM, &c);

	(void)arg;
	if (failed)
		return failed;
	if (strcmp(c.mover.name, "plain"))
		return 2;
	return count_descriptors() == before ? 0 : 3;
}

static int confined(void *arg)
{
	struct choice c;

	(void)arg;
	umpa_os_confine();
	if (choose(&c, UMPA_MOVER_AUTO))
		return 1;
	return strcmp(c.mover.name, "plain") ? 2 : c.trials[0].step || c.trials[1].step ? 3 : 0;
}

static void in_child(int (*fn)(void *))
{
	int result = real_in_child(fn, NULL);

	PLAN(1);
	if (result == NO_FILTERS)
		SKIP("no seccomp filters here");
	CHECK_EQ(result, 0);
}

TEST(choose_without_userfaultfd)
{
	in_child(without_userfaultfd);
}

TEST(choose_without_ioctl)
{
	in_child(without_ioctl);
}

TEST(choose_without_userfaultfd_and_mremap)
{
	in_child(without_either);
}

TEST(choose_without_anything)
{
	in_child(without_anything);
}

TEST(choose_leaves_no_descriptor_behind)
{
	in_child(without_mincore);
}

/* A filter may end the program for a call that it does not know: none is tried. */
TEST(choose_in_a_confined_process)
{
	in_child(confined);
}

/* --- an ordinary user, no huge pages ------------------------------------------------------ */

static int as_nobody(void *arg)
{
	struct choice c;

	if (setgid(65534) || setuid(65534))
		return 1;
	if (choose(&c, UMPA_MOVER_AUTO))
		return 2;
	return !strcmp(c.mover.name, arg) && c.ok ? 0 : 3;
}

TEST(choose_needs_no_privilege)
{
	if (geteuid())
		SKIP("the other tests of this run are unprivileged already");
	PLAN(1);
	CHECK_EQ(real_in_child(as_nobody, (void *)(uintptr_t)best_here()), 0);
}

static int with_small_pages(void *arg)
{
	struct choice c;

	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		return 1;
	if (choose(&c, UMPA_MOVER_AUTO))
		return 2;
	return !strcmp(c.mover.name, arg) && c.ok ? 0 : 3;
}

TEST(choose_without_huge_pages)
{
	PLAN(1);
	CHECK_EQ(real_in_child(with_small_pages, (void *)(uintptr_t)best_here()), 0);
}
