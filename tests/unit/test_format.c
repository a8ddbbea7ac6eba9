/* Formatted print: every conversion, its extremes, and cutting to the buffer. */
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "base/format.h"
#include "support/check.h"

static char buf[128];

#define FORMATS(wanted, ...)                                                                       \
	(CHECK_EQ(umpa_format(buf, sizeof(buf), __VA_ARGS__), strlen(wanted)),                     \
		CHECK_STR(buf, wanted))

TEST(format_numbers)
{
	PLAN(2 * 12);
	FORMATS("0 7 -7", "%d %d %d", 0, 7, -7);
	FORMATS("2147483647 -2147483648", "%d %d", INT_MAX, INT_MIN);
	FORMATS("9223372036854775807", "%lld", LLONG_MAX);
	FORMATS("-9223372036854775808", "%lld", LLONG_MIN);
	FORMATS("0 4294967295", "%u %u", 0u, UINT_MAX);
	FORMATS("18446744073709551615", "%llu", ULLONG_MAX);
	FORMATS("18446744073709551615", "%zu", SIZE_MAX);
	FORMATS("10 -1", "%lu %ld", 10ul, -1l);
	FORMATS("0 deadbeef", "%x %x", 0u, 0xdeadbeefu);
	FORMATS("ffffffffffffffff", "%llx", ULLONG_MAX);
	FORMATS("0x7f00 0x0", "%p %p", (void *)0x7f00, NULL);
	FORMATS("-1 4294967295 18446744073709551615", "%d %u %zu", -1, -1u, (size_t)-1);
}

TEST(format_text)
{
	PLAN(2 * 5);
	FORMATS("", "%s", "");
	FORMATS("plain", "plain");
	FORMATS("a=b", "%s=%s", "a", "b");
	FORMATS("100%", "%d%%", 100);
	FORMATS("<1 two 0x3>", "<%d %s %p>", 1, "two", (void *)3);
}

/* Whatever the room, what fits is there, closed by a 0, and nothing behind is touched. */
TEST(format_is_cut_to_the_buffer)
{
	static const char whole[] = "umpa: 12345 0xabc";
	unsigned nwrong = 0;

	PLAN(1);
	for (size_t room = 1; room < sizeof(whole) + 4; room++) {
		size_t wanted = room - 1 < strlen(whole) ? room - 1 : strlen(whole);

		memset(buf, '#', sizeof(buf));
		nwrong +=
			umpa_format(buf, room, "%s: %d %p", "umpa", 12345, (void *)0xabc) != wanted;
		nwrong += memcmp(buf, whole, wanted) != 0 || buf[wanted];
		for (size_t i = wanted + 1; i < sizeof(buf); i++)
			nwrong += buf[i] != '#';
	}
	CHECK_EQ(nwrong, 0);
}

static size_t by_list(const char *format, ...)
{
	va_list args;
	size_t n;

	va_start(args, format);
	n = umpa_vformat(buf, sizeof(buf), format, args);
	va_end(args);
	return n;
}

TEST(format_takes_a_list)
{
	const char *none = NULL;

	PLAN(4);
	CHECK_EQ(by_list("%d %s", 5, "five"), 6);
	CHECK_STR(buf, "5 five");
	CHECK_EQ(by_list("%s", none), 6);
	CHECK_STR(buf, "(null)");
}

/* Not a known conversion, or none at all: no argument is read for it. */
TEST(format_survives_odd_formats)
{
	const char *percent = "50%", *unknown = "%q%d";

	PLAN(2);
	by_list(percent, 0);
	CHECK_STR(buf, "50");
	by_list(unknown, 8);
	CHECK_STR(buf, "q8");
}
