/* Options: what the text may say, what is refused, and how they are told again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umpa/options.h>

#include "os/mover.h"
#include "support/check.h"
#include "support/child.h"
#include "support/numbers.h"
#include "support/options_model.h"

static struct umpa_options o;

static int parse(const char *text)
{
	return umpa_options_parse(&o, text, 0);
}

TEST(options_have_defaults)
{
	unsigned ngiven = 0;

	PLAN(17);
	CHECK_EQ(parse(NULL), 0);
	CHECK_EQ(parse(""), 0);
	CHECK_EQ(o.value[OPTION_mover], UMPA_MOVER_AUTO);
	CHECK_EQ(o.value[OPTION_malloc_min], 64 << 10);
	CHECK(o.value[OPTION_window] == OPTION_AUTO);
	CHECK_EQ(o.value[OPTION_huge], 1);
	CHECK_EQ(o.value[OPTION_nursery], 8 << 20);
	CHECK(o.value[OPTION_shards] == OPTION_AUTO);
	CHECK_EQ(o.value[OPTION_prove], 1);
	CHECK(o.value[OPTION_keep] == OPTION_AUTO);
	CHECK_EQ(o.value[OPTION_mmap], 1);
	CHECK_EQ(o.value[OPTION_engine_mmap], 1);
	CHECK_EQ(o.value[OPTION_mmap_min], 4 << 10);
	CHECK_EQ(o.value[OPTION_defer], 1);
	CHECK_EQ(o.value[OPTION_stats], 0);
	for (int i = 0; i < OPTION_COUNT; i++)
		ngiven += o.given[i];
	CHECK_EQ(ngiven, 0);
	CHECK_EQ(OPTION_COUNT, 13); /* one more needs its checks in this file */
}

TEST(options_take_every_name)
{
	unsigned ngiven = 0;

	PLAN(15);
	CHECK_EQ(parse("mover=plain,malloc_min=128k,window=3G,huge=0,nursery=0,shards=4,prove=0,"
		       "keep=1T,"
		       "mmap=1,engine_mmap=0,mmap_min=1M,defer=0,stats=1"),
		0);
	CHECK_EQ(o.value[OPTION_mover], UMPA_MOVER_PLAIN);
	CHECK_EQ(o.value[OPTION_malloc_min], 128 << 10);
	CHECK_EQ(o.value[OPTION_window], (size_t)3 << 30);
	CHECK_EQ(o.value[OPTION_huge], 0);
	CHECK_EQ(o.value[OPTION_nursery], 0);
	CHECK_EQ(o.value[OPTION_shards], 4);
	CHECK_EQ(o.value[OPTION_prove], 0);
	CHECK_EQ(o.value[OPTION_keep], (size_t)1 << 40);
	CHECK_EQ(o.value[OPTION_mmap], 1);
	CHECK_EQ(o.value[OPTION_engine_mmap], 0);
	CHECK_EQ(o.value[OPTION_mmap_min], 1 << 20);
	CHECK_EQ(o.value[OPTION_defer], 0);
	CHECK_EQ(o.value[OPTION_stats], 1);
	for (int i = 0; i < OPTION_COUNT; i++)
		ngiven += o.given[i];
	CHECK_EQ(ngiven, OPTION_COUNT);
}

TEST(options_name_movers)
{
	PLAN(5);
	parse("mover=uffd");
	CHECK_EQ(o.value[OPTION_mover], UMPA_MOVER_UFFD);
	parse("mover=mremap");
	CHECK_EQ(o.value[OPTION_mover], UMPA_MOVER_MREMAP);
	parse("mover=plain,mover=auto"); /* the last word counts */
	CHECK_EQ(o.value[OPTION_mover], UMPA_MOVER_AUTO);
	CHECK_EQ(parse("mover=fast"), 1);
	CHECK_EQ(o.value[OPTION_mover], UMPA_MOVER_AUTO);
}

TEST(options_have_units)
{
	static const struct {
		const char *text;
		size_t nbytes;
	} sizes[] = {{"keep=0", 0}, {"keep=17", 17}, {"keep=17K", 17 << 10}, {"keep=17k", 17 << 10},
		{"keep=5M", 5 << 20}, {"keep=5m", 5 << 20}, {"keep=2G", (size_t)2 << 30},
		{"keep=2g", (size_t)2 << 30}, {"keep=3T", (size_t)3 << 40},
		{"keep=3t", (size_t)3 << 40}, {"keep=0T", 0}, {"keep=0010K", 10 << 10},
		{"keep=9223372036854775807", PTRDIFF_MAX},
		{"keep=8388607T", (size_t)8388607 << 40}};
	enum {
		NSIZES = sizeof(sizes) / sizeof(sizes[0])
	};

	PLAN(2 * NSIZES);
	for (int i = 0; i < NSIZES; i++) {
		CHECK_EQ(parse(sizes[i].text), 0);
		CHECK_EQ(o.value[OPTION_keep], sizes[i].nbytes);
	}
}

/* Whatever is wrong with a part, it is left out, and its neighbours are not. */
TEST(options_refuse_part_by_part)
{
	static const char *const bad[] = {"keep=9223372036854775808", "keep=18446744073709551616",
		"keep=18446744073709551617K", "keep=99999999999999999999K", "keep=8388608T",
		"keep=16777216T", "keep=", "keep=K", "keep=-1", "keep=+1", "keep= 1", "keep=1 ",
		"keep=1KB", "keep=1Ki", "keep=1P", "keep=0x10", "keep=1.5G", "keep=Auto",
		"keep=autoK", "keep=\xcb", "keep=1\xcb", "keep", "Keep=1", "kee=1", "keeps=1",
		"keep =1", " keep=1", "=1", "=", "keep==1", "shards=1025", "shards=1K", "shards=-1",
		"shards=", "huge=2", "huge=auto", "huge=yes", "huge=", "stats=01x",
		"mover=", "mover=UFFD", "mover=uffd ", "mover=0", "mover=pla", "window=1G;keep=2"};
	enum {
		NBAD = sizeof(bad) / sizeof(bad[0])
	};
	unsigned nwrong = 0;

	PLAN(1);
	for (int i = 0; i < NBAD; i++) {
		char text[200];

		snprintf(text, sizeof(text), "nursery=2M,%s,stats=1", bad[i]);
		nwrong += parse(text) != 1 || parse(bad[i]) != 1;
		parse(text);
		nwrong += o.value[OPTION_nursery] != 2 << 20 || o.value[OPTION_stats] != 1;
		nwrong += o.value[OPTION_keep] != OPTION_AUTO || o.given[OPTION_keep];
		nwrong += o.value[OPTION_shards] != OPTION_AUTO || o.value[OPTION_huge] != 1;
		nwrong += o.value[OPTION_mover] != UMPA_MOVER_AUTO;
		if (nwrong) {
			printf("  %s\n", bad[i]);
			break;
		}
	}
	CHECK_EQ(nwrong, 0);
}

TEST(options_empty_parts_are_nothing)
{
	PLAN(5);
	CHECK_EQ(parse(","), 0);
	CHECK_EQ(parse(",,keep=1,,,stats=1,"), 0);
	CHECK_EQ(o.value[OPTION_keep], 1);
	CHECK_EQ(o.value[OPTION_stats], 1);
	CHECK_EQ(parse("a,b,,c"), 3);
}

/* A bad value leaves the good one before it. */
TEST(options_keep_the_last_good_value)
{
	PLAN(3);
	CHECK_EQ(parse("keep=5,keep=x"), 1);
	CHECK_EQ(o.value[OPTION_keep], 5);
	CHECK_EQ(o.given[OPTION_keep], 1);
}

TEST(options_nursery_is_whole_superpages)
{
	PLAN(3);
	parse("nursery=2M");
	CHECK_EQ(o.value[OPTION_nursery], 2 << 20);
	parse("nursery=5M");
	CHECK_EQ(o.value[OPTION_nursery], 4 << 20);
	parse("nursery=2097151");
	CHECK_EQ(o.value[OPTION_nursery], 0);
}

TEST(options_bound_malloc_min)
{
	PLAN(4);
	parse("malloc_min=1");
	CHECK_EQ(o.value[OPTION_malloc_min], 4096);
	parse("malloc_min=4095");
	CHECK_EQ(o.value[OPTION_malloc_min], 4096);
	parse("malloc_min=4097");
	CHECK_EQ(o.value[OPTION_malloc_min], 4097);
	CHECK_EQ(parse("malloc_min=auto"), 1); /* there is nothing it could mean */
}

/* --- against the slow parser -------------------------------------------------------------- */

static void random_text(struct numbers *numbers, char *text, size_t room)
{
	static const char *const pieces[] = {"mover=", "malloc_min=", "window=", "huge=",
		"nursery=", "shards=", "keep=", "stats=", ",", ",", ",", "=", "auto", "plain",
		"uffd", "0", "1", "9", "1024", "1025", "K", "M", "g", "T", "8388607", "8388608",
		"9223372036854775807", "9223372036854775808", "18446744073709551616", "x", " "};
	uint32_t n = number_below(numbers, 16);

	*text = 0;
	while (n--)
		strncat(text, pieces[number_below(numbers, sizeof(pieces) / sizeof(pieces[0]))],
			room - strlen(text) - 1);
}

TEST(options_are_read_as_the_slow_parser_does)
{
	struct numbers numbers = numbers_of_seed(7);
	const char *wrong = NULL;
	char text[400];

	PLAN(1);
	for (int i = 0; i < 100000 && !wrong; i++) {
		random_text(&numbers, text, sizeof(text));
		wrong = options_model_compare(text);
	}
	if (wrong)
		printf("  \"%s\": %s\n", text, wrong);
	CHECK(!wrong);
}

/* --- telling ------------------------------------------------------------------------------ */

static struct child_end end;

static void parse_silently(void *arg)
{
	umpa_options_parse(&o, arg, 0);
}

static void parse_aloud(void *arg)
{
	umpa_options_parse(&o, arg, 1);
}

TEST(options_warn_of_each_part_they_leave_out)
{
	PLAN(4);
	child_run(parse_aloud, "keep=1,bogus=1,,keep=x", &end);
	CHECK_STR(end.stderr_text,
		"umpa: UMPA_OPTIONS: 'bogus=1' is not an option with its value; ignored (see umpa "
		"options)\n"
		"umpa: UMPA_OPTIONS: 'keep=x' is not an option with its value; ignored (see umpa "
		"options)\n");
	child_run(parse_silently, "keep=1,bogus=1", &end);
	CHECK_STR(end.stderr_text, "");
	child_run(parse_aloud, "keep=1,stats=0", &end);
	CHECK_STR(end.stderr_text, "");
	child_run(parse_aloud,
		"a-very-long-name-that-goes-on-and-on-and-on-and-on-and-on-and-on-and-on=1", &end);
	CHECK(strstr(end.stderr_text, "'a-very-long-name-") && strlen(end.stderr_text) < 200);
}

/* Tells every option as this environment makes it, to standard error. */
static void tell_all(void *environment)
{
	const char *name, *text, *help;
	char value[32], origin[32];

	if (environment)
		setenv("UMPA_OPTIONS", environment, 1);
	else
		unsetenv("UMPA_OPTIONS");
	for (size_t i = 0; !umpa_option_describe(i, &name, &text, &help); i++)
		if (!umpa_option_text(name, value, sizeof(value), origin, sizeof(origin)))
			fprintf(stderr, "%s=%s %s\n", name, value, origin);
}

TEST(options_tell_values_and_origins)
{
	PLAN(3);
	child_run(tell_all, NULL, &end);
	CHECK_STR(end.stderr_text,
		"mover=auto default\nmalloc_min=64K default\n"
		"window=auto default\nhuge=1 default\nnursery=8M default\n"
		"shards=auto default\nprove=1 default\nkeep=auto default\nmmap=1 "
		"default\nengine_mmap=1 default\nmmap_min=4K default\n"
		"defer=1 default\nstats=0 default\n");
	child_run(tell_all,
		"mover=mremap,malloc_min=65537,window=1024G,huge=1,nursery=0,shards=7,"
		"keep=2048T,mmap=1,engine_mmap=0,mmap_min=64K,defer=1,stats=1",
		&end);
	CHECK_STR(end.stderr_text,
		"mover=mremap UMPA_OPTIONS\nmalloc_min=65537 UMPA_OPTIONS\n"
		"window=1T UMPA_OPTIONS\nhuge=1 UMPA_OPTIONS\nnursery=0 UMPA_OPTIONS\n"
		"shards=7 UMPA_OPTIONS\nprove=1 default\nkeep=2048T UMPA_OPTIONS\nmmap=1 "
		"UMPA_OPTIONS\nengine_mmap=0 "
		"UMPA_OPTIONS\nmmap_min=64K UMPA_OPTIONS\ndefer=1 UMPA_OPTIONS\n"
		"stats=1 UMPA_OPTIONS\n");
	/* Warned about once, when first read. */
	child_run(tell_all, "bogus=1", &end);
	CHECK(strstr(end.stderr_text, "bogus") &&
		!strstr(strstr(end.stderr_text, "bogus") + 1, "bogus"));
}

/* What is told is understood again: the same values come out of it. */
TEST(options_told_are_read_the_same)
{
	struct numbers numbers = numbers_of_seed(11);
	unsigned nwrong = 0;

	PLAN(1);
	for (int i = 0; i < 20; i++) {
		struct umpa_options first;
		char text[400], told[1024] = "", *line, *rest = end.stderr_text;

		snprintf(text, sizeof(text), "malloc_min=%u,window=%uM,keep=%uK,shards=%u",
			4096 + number_below(&numbers, 60000), number_below(&numbers, 65536),
			1024 * number_below(&numbers, 65536), number_below(&numbers, 1025));
		parse(text);
		first = o;
		child_run(tell_all, text, &end);
		while ((line = strsep(&rest, "\n")) && *line) {
			strncat(told, line, strcspn(line, " "));
			strcat(told, ",");
		}
		nwrong += parse(told) != 0;
		nwrong += memcmp(first.value, o.value, sizeof(o.value)) != 0;
	}
	CHECK_EQ(nwrong, 0);
}

TEST(options_describe_all_of_them)
{
	const char *name = NULL, *text = NULL, *help = NULL;
	unsigned nwrong = 0;
	size_t n = 0;

	PLAN(4);
	for (; !umpa_option_describe(n, &name, &text, &help); n++) {
		char part[100];

		snprintf(part, sizeof(part), "%s=%s", name, text);
		nwrong += parse(part) != 0 || !o.given[n] || strlen(help) < 10;
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(n, OPTION_COUNT);
	errno = 0;
	CHECK_EQ(umpa_option_describe(SIZE_MAX, &name, &text, &help), -1);
	CHECK_EQ(errno, ENOENT);
}

static void tell_into_little(void *arg)
{
	char value[] = "####", origin[] = "###";

	setenv("UMPA_OPTIONS", arg, 1);
	if (!umpa_option_text("keep", value, 3, origin, 2))
		fprintf(stderr, "%s %s %s %s", value, value + 3, origin, origin + 2);
}

TEST(options_are_cut_to_the_buffer)
{
	PLAN(1);
	child_run(tell_into_little, "keep=12345", &end);
	CHECK_STR(end.stderr_text, "12 # U #");
}

/* The last one: options read here stay read, also in the children of later tests. */
TEST(options_refuse_to_tell)
{
	char value[8], origin[8];

	PLAN(16);
#define REFUSES(error, ...)                                                                        \
	(errno = 0, CHECK_EQ(umpa_option_text(__VA_ARGS__), -1), CHECK_EQ(errno, error))
	REFUSES(ENOENT, "bogus", value, 8, origin, 8);
	REFUSES(ENOENT, "", value, 8, origin, 8);
	REFUSES(ENOENT, "keep=", value, 8, origin, 8);
	REFUSES(EINVAL, NULL, value, 8, origin, 8);
	REFUSES(EINVAL, "keep", NULL, 8, origin, 8);
	REFUSES(EINVAL, "keep", value, 0, origin, 8);
	REFUSES(EINVAL, "keep", value, 8, NULL, 8);
	REFUSES(EINVAL, "keep", value, 8, origin, 0);
#undef REFUSES
}
