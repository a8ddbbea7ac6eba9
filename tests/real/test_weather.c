/*
 * Bad weather on the real kernel: limits, refusals and things taken away. Each test forks a child,
 * lets the weather break before umpa is first used (EARLY) or while tagged blocks are live (LATE),
 * and works on. The child must keep running, memory may be refused with ENOMEM as far as the test
 * says, and no live block's content may change, in the child and in a child of its own.
 *
 * Weather that changes the whole machine runs in the emulated one only (UMPA_GUEST in the
 * environment).
 */
#include "check.h"
#include "refuse.h"
#include "tagged.h"
#include "weather.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <umpa/page.h>
#include <unistd.h>

enum when {
	EARLY,
	LATE
};

/* How much must still be served: all, a little once everything has been freed, or nothing. */
enum demand {
	SERVE_ALL,
	SERVE_SOME,
	SERVE_NONE
};

#define MIB ((size_t)1 << 20)

enum {
	budget_nbytes = 64 << 20
};

/* Written by the child, read by the test: works without descriptors and without memory. The strings
 * are constants, which have the same address in both processes. */
struct outcome {
	const char *skipped;
	const char *wrong;
};

static struct outcome *outcome;
static struct tagged blocks;

_Noreturn static void child_ends(const char *wrong)
{
	outcome->wrong = wrong;
	_exit(wrong ? 1 : 0);
}

static void grandchild_works(void)
{
	pid_t pid = fork();
	int status;

	if (pid < 0 && errno == ENOMEM)
		return;
	if (!pid) {
		alarm(60);
		tagged_check(&blocks);
		tagged_churn(&blocks, 12);
		tagged_check(&blocks);
		_exit(blocks.wrong ? 1 : 0);
	}
	tagged_churn(&blocks, 12);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		child_ends("a child forked in this weather failed");
}

/* Holes of a superpage each, then a block that only all of them together can back: frames move. */
static void gather_superpages(void)
{
	tagged_free_all(&blocks);
	for (int i = 0; i < TAGGED_MAX - 1; i++)
		tagged_alloc(&blocks, 2 * MIB, 0);
	for (int i = 0; i < TAGGED_MAX - 1; i += 2)
		tagged_free(&blocks, &blocks.block[i]);
	tagged_alloc(&blocks, 24 * MIB, 0);
	tagged_check(&blocks);
}

static void serve_a_little(void)
{
	if (tagged_alloc(&blocks, 64 << 10, UMPA_ZERO) || tagged_alloc(&blocks, 2 * MIB, 0))
		child_ends(blocks.wrong ? blocks.wrong : "nothing is served though all is free");
	tagged_free_all(&blocks);
}

/* The usual work: a bit of everything. */
static void churn(enum demand demand)
{
	tagged_churn(&blocks, (unsigned)check_steps(60));
	grandchild_works();
	gather_superpages();
	tagged_check(&blocks);
	if (demand == SERVE_ALL && blocks.nrefused)
		child_ends("memory was refused");
	tagged_free_all(&blocks);
	if (demand != SERVE_NONE)
		serve_a_little();
}

/* Takes memory until there is none, and goes on from there. */
static void exhaust(enum demand demand)
{
	const size_t nbytes = 12 * MIB;
	int nserved = 0, nagain = 0;

	(void)demand;
	tagged_free_all(&blocks);
	while (!tagged_alloc(&blocks, nbytes, 0))
		nserved++;
	if (nserved < 2 || nserved == TAGGED_MAX)
		child_ends("the limit was not met where it should be");
	if (!tagged_realloc(&blocks, &blocks.block[0], 600 * MIB, 0))
		child_ends("memory that there can't be was served");
	tagged_check(&blocks);
	for (int i = 0; i < nserved; i += 2)
		tagged_free(&blocks, &blocks.block[i]);
	while (!tagged_alloc(&blocks, nbytes, UMPA_ZERO))
		nagain++;
	if (nagain < (nserved + 1) / 2)
		child_ends("what was freed can't be had again");
	tagged_check(&blocks);
	tagged_free_all(&blocks);
	serve_a_little();
}

typedef void work_fn(enum demand demand);

static void child_endures(
	const struct weather *w, enum when when, enum demand demand, work_fn *work)
{
	alarm(100); /* a hang is a failure, not a wait */
	tagged_init(&blocks, when == LATE ? 11 : 7, budget_nbytes);
	if (when == LATE)
		tagged_churn(&blocks, 40); /* enough of it that a late limit leaves something */
	if (blocks.nrefused)
		child_ends("memory was refused before the weather broke");
	outcome->skipped = w->arrange(when == LATE);
	if (outcome->skipped)
		_exit(77);
	work(demand);
	if (!blocks.wrong && w->look_back)
		child_ends(w->look_back());
	child_ends(blocks.wrong);
}

/* Makes one check. */
static void endure(const struct weather *w, enum when when, enum demand demand, work_fn *work)
{
	int status = -1;
	pid_t pid;

	outcome = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid = fork();
	if (!pid)
		child_endures(w, when, demand, work);
	waitpid(pid, &status, 0);
	if (w->clear_up)
		w->clear_up();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP(outcome->skipped);
	if (!CHECK_EQ(status, 0))
		printf("    %s\n", outcome->wrong ? outcome->wrong : "the child died");
	munmap(outcome, 4096);
}

#define WEATHER(id, when, demand)                                                                  \
	TEST(id##_##when)                                                                          \
	{                                                                                          \
		PLAN(1);                                                                           \
		endure(&weather_##id, when, demand, churn);                                        \
	}
#define WEATHER_ANY_TIME(id, demand)                                                               \
	WEATHER(id, EARLY, demand)                                                                 \
	WEATHER(id, LATE, demand)

/* What is refused is done in another way. */
WEATHER(uffd_eperm, EARLY, SERVE_ALL)
WEATHER(uffd_enosys, EARLY, SERVE_ALL)
WEATHER(fds_uffd_refused, LATE, SERVE_ALL)
WEATHER_ANY_TIME(move_ebusy, SERVE_ALL)
WEATHER_ANY_TIME(move_eagain, SERVE_ALL)
WEATHER_ANY_TIME(move_enomem, SERVE_ALL)
WEATHER_ANY_TIME(munmap_enomem, SERVE_ALL)
WEATHER_ANY_TIME(madvise_einval, SERVE_ALL)
WEATHER_ANY_TIME(madvise_enomem, SERVE_SOME)
WEATHER_ANY_TIME(mprotect_enomem, SERVE_SOME)
WEATHER_ANY_TIME(mremap_enomem, SERVE_SOME)
WEATHER(mmap_enomem, EARLY, SERVE_NONE)
WEATHER(mmap_enomem, LATE, SERVE_SOME)
WEATHER(all_enomem, EARLY, SERVE_NONE)
WEATHER(all_enomem, LATE, SERVE_SOME)

WEATHER_ANY_TIME(thp_never, SERVE_ALL)
WEATHER_ANY_TIME(as_small, SERVE_SOME)
WEATHER_ANY_TIME(data_small, SERVE_SOME)
WEATHER_ANY_TIME(memlock_none, SERVE_ALL)
WEATHER_ANY_TIME(memlock_small, SERVE_SOME)
WEATHER_ANY_TIME(mlockall, SERVE_ALL)
WEATHER_ANY_TIME(mlock_onfault, SERVE_ALL)
WEATHER_ANY_TIME(nofile_none, SERVE_ALL)
WEATHER_ANY_TIME(maps_full, SERVE_SOME)
WEATHER_ANY_TIME(strict_commit, SERVE_SOME)

WEATHER_ANY_TIME(fds_closed, SERVE_ALL)
WEATHER_ANY_TIME(fds_reused, SERVE_ALL)
WEATHER_ANY_TIME(fds_reused_uffd, SERVE_ALL)
WEATHER_ANY_TIME(proc_unmounted, SERVE_ALL)
WEATHER_ANY_TIME(root_empty, SERVE_ALL)

#define EXHAUSTED(id, when)                                                                        \
	TEST(id##_exhausted_##when)                                                                \
	{                                                                                          \
		PLAN(1);                                                                           \
		endure(&weather_##id, when, SERVE_SOME, exhaust);                                  \
	}

EXHAUSTED(as_small, EARLY)
EXHAUSTED(data_small, EARLY)
EXHAUSTED(data_small, LATE)
EXHAUSTED(strict_commit, EARLY)

/* --- a limit met at every step of the way ---------------------------------------------------- */

enum {
	nlimits = 30
};

static int limited_resource;
static int limit_number;

/* 64 KiB, 96, 128, 192, ... 1.5 GiB above what a process that has not used umpa has. */
static const char *limit_by_number(int late)
{
	unsigned long nbytes = (64ul << 10) << limit_number / 2;

	(void)late;
	return weather_limit(limited_resource, limit_number % 2 ? nbytes / 2 * 3 : nbytes);
}

static void churn_a_little(enum demand demand)
{
	(void)demand;
	tagged_churn(&blocks, 40);
	grandchild_works();
	tagged_check(&blocks);
	tagged_free_all(&blocks);
}

static void endure_limits(int resource)
{
	static const struct weather limited = {limit_by_number, NULL, NULL};

	/* An emulated machine is 10 times slower. */
	int stride = getenv("UMPA_GUEST") ? 5 : 1;

	PLAN(nlimits / stride);
	limited_resource = resource;
	for (limit_number = 0; limit_number < nlimits; limit_number += stride)
		endure(&limited, EARLY, SERVE_NONE, churn_a_little);
}

TEST(as_at_every_step)
{
	endure_limits(RLIMIT_AS);
}

TEST(data_at_every_step)
{
	endure_limits(RLIMIT_DATA);
}

/* --- the tags themselves ----------------------------------------------------------------- */

/* Good weather with a fault of our own, which must be seen: else the tests above can't fail. */
static const char *spoil_a_page(int late)
{
	unsigned char *addr;

	(void)late;
	tagged_free_all(&blocks);
	tagged_alloc(&blocks, 3 * MIB, 0);
	addr = blocks.block[0].addr;
	if (!addr || !tagged_check(&blocks))
		return "no block to spoil";
	addr[2 * MIB + 4095] ^= 1;
	return NULL;
}

static void expect_a_find(enum demand demand)
{
	(void)demand;
	child_ends(tagged_check(&blocks) ? "a changed byte was not found" : NULL);
}

TEST(tags_find_a_changed_byte)
{
	static const struct weather spoilt = {spoil_a_page, NULL, NULL};

	PLAN(1);
	endure(&spoilt, LATE, SERVE_NONE, expect_a_find);
}
