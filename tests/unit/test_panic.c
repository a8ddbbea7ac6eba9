/* The ends of a program: one line on standard error, then SIGABRT. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/panic.h"
#include "support/check.h"
#include "support/child.h"

static struct child_end end;

static void misuse(void *arg)
{
	umpa_misuse("umpa_free", (void *)0x1000, arg);
}

TEST(panic_misuse_names_call_pointer_and_reason)
{
	PLAN(2);
	child_run(misuse, "freed twice", &end);
	CHECK_EQ(end.signal, SIGABRT);
	CHECK_STR(end.stderr_text, "umpa: umpa_free(0x1000): freed twice\n");
}

static void misuse_without_stderr(void *arg)
{
	close(STDERR_FILENO);
	misuse(arg);
}

TEST(panic_ends_without_stderr_too)
{
	PLAN(2);
	child_run(misuse_without_stderr, "freed twice", &end);
	CHECK_EQ(end.signal, SIGABRT);
	CHECK_STR(end.stderr_text, "");
}

TEST(panic_keeps_long_reasons_to_one_line)
{
	static char reason[1000];

	PLAN(4);
	memset(reason, 'x', sizeof(reason) - 1);
	child_run(misuse, reason, &end);
	CHECK_EQ(end.signal, SIGABRT);
	CHECK(!strncmp(end.stderr_text, "umpa: umpa_free(0x1000): xxx", 28));
	CHECK(strlen(end.stderr_text) <= 256);
	CHECK(strchr(end.stderr_text, '\n') == end.stderr_text + strlen(end.stderr_text) - 1);
}

static void broken(void *arg)
{
	const int *two = arg;

	INVARIANT(*two + *two == 5);
}

static void asserted(void *arg)
{
	const int *two = arg;

	ASSERT(*two == 2);
	ASSERT(*two == 3);
}

static void kept(void *arg)
{
	const int *two = arg;

	INVARIANT(*two == 2);
}

TEST(panic_names_the_broken_invariant)
{
	char wanted[256];
	int two = 2;

	PLAN(6);
	child_run(kept, &two, &end);
	CHECK_EQ(end.signal, 0);
	CHECK_STR(end.stderr_text, "");
	child_run(broken, &two, &end);
	CHECK_EQ(end.signal, SIGABRT);
	snprintf(wanted, sizeof(wanted), "umpa: broken invariant: *two + *two == 5 (%s:", __FILE__);
	CHECK(!strncmp(end.stderr_text, wanted, strlen(wanted)));
	child_run(asserted, &two, &end);
	CHECK_EQ(end.signal, SIGABRT);
	CHECK(!strncmp(end.stderr_text, "umpa: broken invariant: *two == 3 (", 35));
}

static void broken_exactly(void *arg)
{
	umpa_broken(arg, "src/a.c", 12);
}

TEST(panic_names_file_and_line)
{
	PLAN(2);
	child_run(broken_exactly, "a is b", &end);
	CHECK_EQ(end.signal, SIGABRT);
	CHECK_STR(end.stderr_text, "umpa: broken invariant: a is b (src/a.c:12)\n");
}

static void warn(void *arg)
{
	errno = EDOM;
	umpa_warn("%s is %d", (const char *)arg, 5);
	_exit(errno == EDOM ? 33 : 34);
}

static void warn_into_nothing(void *arg)
{
	close(STDERR_FILENO);
	warn(arg);
}

TEST(panic_a_warning_is_not_the_end)
{
	static char reason[1000];

	PLAN(6);
	child_run(warn, "five", &end);
	CHECK_EQ(end.status, 33);
	CHECK_STR(end.stderr_text, "umpa: five is 5\n");
	child_run(warn_into_nothing, "five", &end);
	CHECK_EQ(end.status, 33);
	memset(reason, 'x', sizeof(reason) - 1);
	child_run(warn, reason, &end);
	CHECK_EQ(end.status, 33);
	CHECK(strlen(end.stderr_text) <= 512);
	CHECK(strchr(end.stderr_text, '\n') == end.stderr_text + strlen(end.stderr_text) - 1);
}
