/*
 * The test harness: self-registering tests that state how many checks they make, so that one which
 * stops early fails.
 *
 *	TEST(ranges_take_splits)
 *	{
 *		PLAN(3);
 *		CHECK(condition);
 *		CHECK_EQ(got, wanted);       integers and pointers
 *		CHECK_STR(got, wanted);
 *	}
 *
 * A failed check is printed and counted and the test goes on; REQUIRE stops the test (as failed).
 * SKIP("reason") ends a test as skipped, and the reason is listed. A program is one or more files
 *with tests linked with check.c, which has main(): prints a line a test, then "N passed, N failed,
 *N skipped" alone on a line; exit status 0, or 1 if any failed, or 77 if all were skipped.
 *Arguments are name patterns (substrings). PLAN may be called anywhere, with a computed number.
 */
#ifndef UMPA_TESTS_CHECK_H
#define UMPA_TESTS_CHECK_H

#include <stdint.h>

struct umpa_test {
	const char *name;
	const char *file;
	void (*run)(void);
	struct umpa_test *next;
};

void check_register(struct umpa_test *t);
void check_plan(uint64_t nchecks);
int check_that(int ok, const char *file, int line, const char *text);
int check_equal(long long got, long long wanted, const char *file, int line, const char *text);
int check_string(const char *got, const char *wanted, const char *file, int line, const char *text);
_Noreturn void check_stop(void);
_Noreturn void check_skip(const char *reason);

/* For random tests. Steps: n, a third of them where the machine is emulated (UMPA_GUEST) and ten
 * times slower. Times: UMPA_SOAK times as many (make soak). Seed: seed, or UMPA_SEED behind it. */
uint64_t check_steps(uint64_t n);
uint64_t check_times(uint64_t n);
uint64_t check_seed(uint64_t seed);

/* Tests that let each call fail in turn do so in gcc's build. The sanitizers look for something
 * else in the same runs, each third will do; clang alone for what it makes of the code, each ninth.
 */
#if !defined(__clang__)
#define CHECK_STRIDE 1
#elif __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CHECK_STRIDE 3
#else
#define CHECK_STRIDE 9
#endif

#define TEST(id)                                                                                   \
	static void test_##id(void);                                                               \
	__attribute__((constructor)) static void register_##id(void)                               \
	{                                                                                          \
		static struct umpa_test t = {#id, __FILE__, test_##id, 0};                         \
		check_register(&t);                                                                \
	}                                                                                          \
	static void test_##id(void)

#define PLAN(n)  check_plan(n)
#define CHECK(c) check_that(!!(c), __FILE__, __LINE__, #c)
#define CHECK_EQ(got, wanted)                                                                      \
	check_equal((long long)(got), (long long)(wanted), __FILE__, __LINE__, #got " == " #wanted)
#define CHECK_STR(got, wanted)                                                                     \
	check_string((got), (wanted), __FILE__, __LINE__, #got " == " #wanted)
#define REQUIRE(c)                                                                                 \
	do {                                                                                       \
		if (!check_that(!!(c), __FILE__, __LINE__, #c))                                    \
			check_stop();                                                              \
	} while (0)
#define SKIP(reason) check_skip(reason)

#endif
