#include "check.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct umpa_test *tests;
static jmp_buf leave;
static const char *skip_reason;
static uint64_t nplanned, nmade, nfailed_checks;
static int planned;

void check_register(struct umpa_test *t)
{
	struct umpa_test **at = &tests;

	while (*at)
		at = &(*at)->next;
	*at = t;
}

void check_plan(uint64_t nchecks)
{
	nplanned = nchecks;
	planned = 1;
}

int check_that(int ok, const char *file, int line, const char *text)
{
	nmade++;
	if (!ok) {
		nfailed_checks++;
		if (nfailed_checks <= 20)
			printf("  %s:%d: failed: %s\n", file, line, text);
	}
	return ok;
}

int check_equal(long long got, long long wanted, const char *file, int line, const char *text)
{
	int ok = check_that(got == wanted, file, line, text);

	if (!ok && nfailed_checks <= 20)
		printf("    got %lld, wanted %lld\n", got, wanted);
	return ok;
}

int check_string(const char *got, const char *wanted, const char *file, int line, const char *text)
{
	int ok = check_that(got && wanted && !strcmp(got, wanted), file, line, text);

	if (!ok && nfailed_checks <= 20)
		printf("    got \"%s\"\n    wanted \"%s\"\n", got ? got : "(null)",
			wanted ? wanted : "(null)");
	return ok;
}

void check_stop(void)
{
	longjmp(leave, 1);
}

void check_skip(const char *reason)
{
	skip_reason = reason;
	longjmp(leave, 1);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

uint64_t check_steps(uint64_t n)
{
	return getenv("UMPA_GUEST") ? (n + 2) / 3 : n;
}

uint64_t check_times(uint64_t n)
{
	return check_steps(n) * from_environment("UMPA_SOAK", 1);
}

uint64_t check_seed(uint64_t seed)
{
	return seed + from_environment("UMPA_SEED", 0);
}

static int run_one(struct umpa_test *t)
{
	nplanned = nmade = nfailed_checks = 0;
	planned = 0;
	skip_reason = NULL;
	if (!setjmp(leave))
		t->run();
	if (skip_reason && !nfailed_checks) {
		printf("skip %s: %s\n", t->name, skip_reason);
		return -1;
	}
	if (!planned)
		printf("  %s: the test states no plan\n", t->name);
	else if (nplanned != nmade)
		printf("  %s: %llu checks planned, %llu made\n", t->name,
			(unsigned long long)nplanned, (unsigned long long)nmade);
	return planned && nplanned == nmade && !nfailed_checks;
}

static double seconds_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

/* How long it took behind it, if that may be worth a look. */
static void say_result(const struct umpa_test *t, int passed, double seconds)
{
	printf("%s %s", passed ? "ok" : "FAILED", t->name);
	if (seconds >= 1)
		printf(" (%.1f s)", seconds);
	putchar('\n');
}

static int wanted(const struct umpa_test *t, int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strstr(t->name, argv[i]))
			return 1;
	return argc < 2;
}

int main(int argc, char **argv)
{
	int npassed = 0, nfailed = 0, nskipped = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct umpa_test *t = tests; t; t = t->next) {
		struct timespec start;
		int result;

		if (!wanted(t, argc, argv))
			continue;
		clock_gettime(CLOCK_MONOTONIC, &start);
		result = run_one(t);
		npassed += result > 0;
		nfailed += !result;
		nskipped += result < 0;
		if (result >= 0)
			say_result(t, result, seconds_since(&start));
	}
	printf("%d passed, %d failed, %d skipped\n", npassed, nfailed, nskipped);
	if (nfailed || npassed + nskipped == 0)
		return 1;
	return npassed ? 0 : 77;
}
