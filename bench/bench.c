/* umpa bench: the command line of the benches. */
#include "bench.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "csv.h"
#include "plan.h"
#include "programs.h"
#include "report.h"
#include "samples.h"
#include "session.h"
#include "vmm.h"
#include "worker.h"

struct request {
	enum umpa_bench_id bench;
	struct umpa_session session;
	const char *dir;     /* for raw CSV and plot, or NULL */
	struct umpa_csv csv; /* in it */
	int json, markdown;
};

static const struct umpa_flag bench_flags[] = {
	{'n', "repetitions", "N", "repeat N times, taking turns (3; short form: 1)"},
	{0, "short", NULL, "a short form, about a minute on a quiet machine"},
	{0, "csv", "DIR",
		"keep the raw figures in DIR/NAME.csv, beside those of other tests; of scaling "
		"draw DIR/scaling.svg and .png"},
	{0, "only", "LIST", "run these tests only; 'page-*' stands for all that begin so"},
	{0, "seed", "N", "seed of the sizes (2011)"},
	{0, "no-calls", NULL, "don't run everything once more to count system calls"},
	{0, "json", NULL, "print one JSON object"},
	{0, "markdown", NULL, "print Markdown tables"},
	{0},
};

static const struct umpa_flag report_flags[] = {
	{0, "json", NULL, "print a JSON object for each bench that DIR has figures of"},
	{0, "markdown", NULL, "print Markdown tables"},
	{0},
};

static int run_bench(const struct umpa_command *c, int argc, char **argv);
static int run_report(const struct umpa_command *c, int argc, char **argv);

/* Behind those that run tests. */
enum {
	BENCH_PROGRAMS = NBENCHES,
	BENCH_VMM,
	BENCH_REPORT,
	NCOMMANDS
};

#define STOPPED                                                                                    \
	"A run that is stopped prints what was measured until then, which is also what is in\n"    \
	"the folder of --csv, and ends by the signal.\n"

#define BENCH_EXITS                                                                                \
	"exit status: 0; 1 measured, but the raw figures or the plot could not be written;\n"      \
	"125 nothing was measured, or the raw figures have no place, 2 wrong usage.\n"

#define BENCH(id, words, line, paragraph)                                                          \
	[id] = {"bench " words, "", line, paragraph STOPPED "\n" BENCH_EXITS, bench_flags,         \
		run_bench}

static const struct umpa_command commands[NCOMMANDS] = {
	BENCH(BENCH_SCALING, "scaling",
		"The scaling test of 2011: what a block costs by its size, from everybody.",
		"Each run is a process of its own, before which the host is made to back enough\n"
		"memory. Takes several minutes; the short form, about one on a quiet machine.\n"),
	BENCH(BENCH_THREADS, "threads",
		"Blocks of 4 KiB to 64 MiB in 1 to 64 threads, from everybody.",
		"A block is freed by the thread that was handed it, by another that it is handed\n"
		"over to, or by any. On a quiet machine a repetition takes a few minutes, to "
		"count\n"
		"system calls once more than that, and the short form about a minute.\n"),
	BENCH(BENCH_SMALL, "small",
		"Blocks of 16 B to 32 KiB, from each engine alone and with umpa before it.",
		"Each engine runs alone and with umpa next to each other, so that repetitions "
		"give\n"
		"a steady ratio; 9 are a good number.\n"),
	BENCH(BENCH_DLMALLOC, "dlmalloc",
		"dlmalloc over the kernel and over umpa, by size, as in 2011; jemalloc too.",
		"Needs what 'cmake --build BUILD --target dlmalloc' makes; what is missing is\n"
		"left out.\n"),
	[BENCH_PROGRAMS] = {"bench programs", "",
		"Real programs: each engine alone and with umpa, results compared.",
		"Programs and engines that are not installed are named and left out. The long "
		"form\n"
		"takes the best part of an hour. What a program prints must be what it prints "
		"with\n"
		"the C library's malloc.\n" STOPPED "\n"
		"exit status: 0; 1 a run failed or printed something else, or the raw figures or "
		"the\n"
		"chart could not be written; 125 nothing was measured, or the raw figures have no\n"
		"place, 2 wrong usage.\n",
		umpa_programs_flags, umpa_programs_command},
	[BENCH_VMM] = {"bench vmm", "",
		"Page operations by page tables of one's own, and by the kernel's calls.",
		"Here, in cycles of the time stamp counter (TSC) and in nanoseconds, which are of "
		"no\n"
		"use for speed where /dev/kvm is not native. With --emulated in instructions, "
		"which\n"
		"are the same on any host, and with what the examples of guest mode do.\n\n"
		"exit status: 0; 1 measured, but the raw figures or the plot could not be "
		"written;\n"
		"125 nothing was measured, 2 wrong usage.\n",
		umpa_vmm_flags, umpa_vmm_command},
	[BENCH_REPORT] = {"bench report", "DIR",
		"The tables and plot again, from the raw figures kept in DIR.",
		"Of all benches but programs and vmm, which have --from.\n\n"
		"exit status: 0; 1 no plot could be drawn; 125 there are no raw figures in DIR,\n"
		"2 wrong usage.\n",
		report_flags, run_report},
};

static int number_of(const char *flag, const char *text, long least, long most, long *out)
{
	char *end;

	errno = 0;
	*out = strtol(text, &end, 10);
	if (end != text && !*end && !errno && *out >= least && *out <= most)
		return 0;
	return umpa_refuse(-1, "bench: --%s takes a number from %ld to %ld, not '%s'", flag, least,
		most, text);
}

static int take_flag(struct request *q, const char *name, const char *value)
{
	long n;

	if (!strcmp(name, "repetitions")) {
		if (number_of(name, value, 1, 99, &n))
			return -1;
		q->session.nrepetitions = (unsigned)n;
	} else if (!strcmp(name, "seed")) {
		if (number_of(name, value, 1, INT_MAX, &n))
			return -1;
		q->session.seed = (unsigned long)n;
	} else if (!strcmp(name, "csv")) {
		q->dir = value;
	} else if (!strcmp(name, "only")) {
		q->session.only = value;
	} else if (!strcmp(name, "short")) {
		q->session.brief = 1;
	} else if (!strcmp(name, "no-calls")) {
		q->session.count_calls = 0;
	} else if (!strcmp(name, "json")) {
		q->json = 1;
	} else if (!strcmp(name, "markdown")) {
		q->markdown = 1;
	}
	return 0;
}

/* Result: the index of the first operand, or minus the exit status less one, to be ended with. */
static int read_flags(const struct umpa_command *c, int argc, char **argv, struct request *q)
{
	struct umpa_args a = ARGS_OF(c, argc, argv);
	int flag;

	while ((flag = umpa_args_next(&a)) >= 0)
		if (take_flag(q, c->flags[flag].name, a.value))
			return -1 - EXIT_USAGE;
	if (flag == ARGS_END && umpa_report_check(q->json, q->markdown, 0))
		return -1 - EXIT_USAGE;
	if (flag == ARGS_END)
		return a.at;
	return -1 - (flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE);
}

static void print(const struct umpa_samples *s, const struct request *q)
{
	if (q->json)
		umpa_report_json(q->bench, s, stdout);
	else
		umpa_report_tables(q->bench, s, stdout, q->markdown);
}

/* From all that is kept, as `report` does. */
static int draw(const struct request *q)
{
	struct umpa_samples samples = {0};
	int error = umpa_samples_load(&samples, q->csv.path), drawn = -1;

	if (error)
		umpa_say("bench: %s: %s", q->csv.path, strerror(-error));
	else
		drawn = umpa_report_plot(q->bench, &samples, q->dir);
	umpa_samples_fini(&samples);
	if (drawn >= 0)
		umpa_say(drawn ? "bench: raw figures and plot are in %s"
			       : "bench: raw figures are in %s; none of them has a place in a plot",
			q->dir);
	return drawn < 0 ? -1 : 0;
}

static int measure(struct request *q)
{
	struct umpa_samples samples = {0};
	int status = EXIT_FINE;

	if (umpa_session_run(&q->session, &samples))
		status = EXIT_UMPA;
	else if (!samples.n)
		status = umpa_refuse(EXIT_UMPA, "bench: nothing was measured");
	else if (umpa_interrupted())
		umpa_say("bench: cut short; this is what was measured until then");
	if (samples.n)
		print(&samples, q);
	umpa_samples_fini(&samples);
	return status;
}

static int measure_and_keep(struct request *q)
{
	int status;

	if (umpa_csv_open(&q->csv, q->dir, umpa_benches[q->bench].name))
		return EXIT_UMPA;
	q->session.csv = &q->csv;
	status = measure(q);
	if (umpa_csv_close(&q->csv))
		return status ? status : EXIT_LESS;
	if (!status && !umpa_interrupted() && draw(q))
		status = EXIT_LESS;
	return status;
}

static int run_bench(const struct umpa_command *c, int argc, char **argv)
{
	struct request q = {.bench = (enum umpa_bench_id)(c - commands),
		.session = {.seed = 2011, .count_calls = 1}};
	int at = read_flags(c, argc, argv, &q);

	if (at < 0)
		return -1 - at;
	q.session.bench = &umpa_benches[q.bench];
	if (at < argc)
		return umpa_refuse(EXIT_USAGE, "bench: %s takes no operand: %s",
			q.session.bench->name, argv[at]);
	if (umpa_session_check(&q.session))
		return EXIT_USAGE;
	if (!q.session.nrepetitions)
		q.session.nrepetitions = q.session.brief ? 1 : 3;
	umpa_interrupt_catch();
	return q.dir ? measure_and_keep(&q) : measure(&q);
}

/* Of what is kept of one bench. Result: 0, or -errno; *drawn as umpa_report_plot(). */
static int report_bench(const struct request *q, const char *path, int *drawn)
{
	struct umpa_samples samples = {0};
	int error = umpa_samples_load(&samples, path);

	if (!error) {
		print(&samples, q);
		*drawn = umpa_report_plot(q->bench, &samples, q->dir);
	}
	umpa_samples_fini(&samples);
	return error;
}

/* There may be figures of the benches whose own commands print them. */
static int refuse_empty(const char *dir)
{
	static const char *const others[] = {"programs", "vmm"};
	size_t i;

	for (i = 0; i < array_len(others); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s.csv", dir, others[i]);
		if (!access(path, R_OK))
			return umpa_refuse(
				EXIT_UMPA, "bench: see 'umpa bench %s --from %s'", others[i], dir);
	}
	return umpa_refuse(EXIT_UMPA, "bench: no raw figures in %s", dir);
}

static int report_all(struct request *q)
{
	int status = EXIT_FINE, nfound = 0;
	size_t i;

	for (i = 0; i < NBENCHES; i++) {
		char path[PATH_MAX];
		int error, drawn = 0;

		q->bench = (enum umpa_bench_id)i;
		snprintf(path, sizeof(path), "%s/%s.csv", q->dir, umpa_benches[i].name);
		error = report_bench(q, path, &drawn);
		if (error && error != -ENOENT)
			return umpa_refuse(EXIT_UMPA, "bench: %s: %s", path, strerror(-error));
		nfound += !error;
		status = drawn < 0 ? EXIT_LESS : status;
	}
	return nfound ? status : refuse_empty(q->dir);
}

static int run_report(const struct umpa_command *c, int argc, char **argv)
{
	struct request q = {0};
	int at = read_flags(c, argc, argv, &q);

	if (at < 0)
		return -1 - at;
	if (at + 1 != argc)
		return umpa_refuse(
			EXIT_USAGE, "bench: report takes one directory, behind its options");
	q.dir = argv[at];
	return report_all(&q);
}

static const char *name_of(const struct umpa_command *c)
{
	return strchr(c->name, ' ') + 1;
}

static int list(void)
{
	size_t i, t;

	puts("usage: umpa bench NAME [options]\n");
	for (i = 0; i < array_len(commands); i++)
		printf("  %-10s %s\n", name_of(&commands[i]), commands[i].summary);
	for (i = 0; i < NBENCHES; i++) {
		const struct umpa_bench *b = &umpa_benches[i];

		printf("\ntests of %s:\n", b->name);
		for (t = 0; t < b->ntests; t++)
			printf("  %-22s %s\n", b->tests[t].name, b->tests[t].help);
	}
	puts("\n'umpa bench NAME --help' lists the options.");
	return EXIT_FINE;
}

int umpa_bench_main(int argc, char **argv)
{
	size_t i;

	if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return list();
	if (argv[1][0] == '@')
		return umpa_worker_main(argc - 1, argv + 1);
	for (i = 0; i < array_len(commands); i++)
		if (!strcmp(argv[1], name_of(&commands[i])))
			return commands[i].run(&commands[i], argc - 1, argv + 1);
	return umpa_refuse(EXIT_USAGE, "bench: no bench '%s'; see 'umpa bench'", argv[1]);
}
