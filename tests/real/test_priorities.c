/* Threads of real-time priorities on one processor: who waits for one of a lower lets it run. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "support/check.h"

#define MIB ((size_t)1 << 20)

enum {
	NTIMES = 150,
	SECONDS_MAX = 60, /* a standstill is for good */
	NOT_ALLOWED = 77
};

static volatile int over;

/* 0 if the thread runs by that priority from now on, on the first processor there is. */
static int have_priority(int priority)
{
	struct sched_param param = {priority};
	cpu_set_t all, one;
	int cpu = 0;

	sched_getaffinity(0, sizeof(all), &all);
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return sched_setaffinity(0, sizeof(one), &one) ||
	       pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
}

/* Superpages, one at a time, of which each is charged to the mover's budget. */
static void move_about(char *from, char *to)
{
	for (size_t at = 0; at < 16 * MIB; at += 2 * MIB) {
		umpa_move(to + at, from + at, 2 * MIB);
		umpa_move(from + at, to + at, 2 * MIB);
	}
}

/* Has slots in transit again and again, or moves. */
static void *be_low(void *forks)
{
	char *block = umpa_alloc(64 * MIB, UMPA_BACKED | UMPA_ALIGN(21));
	char *other = umpa_alloc(64 * MIB, UMPA_NOBACK | UMPA_ALIGN(21));

	if (forks)
		umpa_free(block);
	if (have_priority(1))
		_exit(NOT_ALLOWED);
	while (!over) {
		if (forks) {
			umpa_back(other, 64 * MIB);
			umpa_unback(other, 64 * MIB);
		} else {
			move_about(block, other);
		}
	}
	return NULL;
}

/* What has to wait for that: forks, or moves of its own. */
static void *be_high(void *forks)
{
	char *block = umpa_alloc(16 * MIB, UMPA_BACKED | UMPA_ALIGN(21));
	char *other = umpa_alloc(16 * MIB, UMPA_NOBACK | UMPA_ALIGN(21));

	if (have_priority(2))
		_exit(NOT_ALLOWED);
	for (unsigned i = 0; i < NTIMES; i++) {
		usleep(100 + 7919 * i % 900);
		if (forks) {
			pid_t child = fork();

			if (!child)
				_exit(0);
			waitpid(child, NULL, 0);
		} else {
			move_about(block, other);
		}
	}
	over = 1;
	return NULL;
}

/* The status of a process of its own: a watchman of ordinary priority would not run. */
static int run_both(const char *options, void *forks)
{
	int status = -1;
	pid_t child = fork();

	if (!child) {
		pthread_t low, high;

		setenv("UMPA_OPTIONS", options, 1);
		alarm(SECONDS_MAX);
		pthread_create(&low, NULL, be_low, forks);
		usleep(50000);
		pthread_create(&high, NULL, be_high, forks);
		pthread_join(high, NULL);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status;
}

static void lets_lower_run(const char *options, void *forks)
{
	int status;

	PLAN(1);
	status = run_both(options, forks);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_ALLOWED)
		SKIP("not allowed to run by real-time priority");
	CHECK_EQ(status, 0);
}

TEST(priorities_fork_while_a_lower_thread_moves)
{
	lets_lower_run("", (void *)1);
}

TEST(priorities_move_by_mremap_while_a_lower_thread_does)
{
	lets_lower_run("mover=mremap", NULL);
}
