/* umpa compare: a program with umpa and without, in turns. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "args.h"
#include "cli.h"
#include "compare.h"
#include "engine.h"
#include "interrupt.h"
#include "optset.h"
#include "preload.h"
#include "program.h"

struct request {
	struct umpa_optset options;
	const struct umpa_engine_library *engine;
	const char *baseline, *csv;
	long nruns;
	int warm, show, as_json;
	char **argv;
};

/* How the two sides are run. */
struct setup {
	char *const *argv;
	char **envp[NSIDES];
	int quiet;
	size_t warm_nbytes; /* 0: leave the host's memory as it is */
};

/* Only a terminal gets to see progress, and an empty text takes it away again. */
static void progress(const char *text)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s", text);
}

static void progress_of(size_t run, size_t nruns, enum umpa_side side)
{
	char text[80];

	snprintf(text, sizeof(text), "umpa: run %zu of %zu, %s", run + 1, nruns,
		umpa_side_name(side));
	progress(text);
}

static int run_side(const struct setup *s, enum umpa_side side, struct umpa_usage *out)
{
	int error;

	if (s->warm_nbytes)
		umpa_measure_warm(s->warm_nbytes);
	error = umpa_measure_run(s->argv, s->envp[side], s->quiet, out);
	if (!error)
		return 0;
	progress("");
	return umpa_program_refused(s->argv[0], -error);
}

/* One unmeasured run of each side fills caches and shows how much memory is to be warmed. */
static int run_unmeasured(struct setup *s, int warm)
{
	size_t peak_nbytes = 0;
	struct umpa_usage u;
	int side, status;

	for (side = 0; side < NSIDES && !umpa_interrupted(); side++) {
		progress(side == SIDE_WITH ? "umpa: warm-up, with" : "umpa: warm-up, without");
		status = run_side(s, side, &u);
		if (status)
			return status;
		peak_nbytes = u.peak_nbytes > peak_nbytes ? u.peak_nbytes : peak_nbytes;
	}
	s->warm_nbytes = warm && !umpa_interrupted() ? umpa_measure_warm_nbytes(peak_nbytes) : 0;
	return 0;
}

/* The sides take turns, also in who goes first, so that a drift of the machine favours neither. */
static int run_all(struct setup *s, struct umpa_comparison *c, int warm)
{
	int status = run_unmeasured(s, warm);
	size_t i, turn;

	for (i = 0; i < c->nruns && !status && !umpa_interrupted(); i++)
		for (turn = 0; turn < NSIDES && !status && !umpa_interrupted(); turn++) {
			enum umpa_side side = (i + turn) % NSIDES;

			progress_of(i, c->nruns, side);
			status = run_side(s, side, &c->runs[side][i]);
		}
	/* The run that was stopped tells nothing. */
	if (umpa_interrupted())
		c->nruns = i ? i - 1 : 0;
	progress("");
	return status;
}

static void print_table(const struct umpa_comparison *c, int host_warm)
{
	struct umpa_rows rows = {
		.columns = umpa_comparison_columns, .ncolumns = umpa_comparison_ncolumns};

	umpa_comparison_rows(c, &rows);
	umpa_rows_print(&rows, stdout);
	printf("\nmedians of %zu run%s each, in turns, host memory %s; ratio: with umpa over "
	       "%s%s\n",
		c->nruns, c->nruns == 1 ? "" : "s", host_warm ? "warm" : "as it was",
		c->baseline ? "" : "without", c->baseline ? c->baseline : "");
	umpa_rows_fini(&rows);
}

static void tell_common_end(int status)
{
	char end[64];

	umpa_status_text(status, end, sizeof(end));
	umpa_say("compare: the program %s %s on both sides",
		WIFSIGNALED(status) ? "was" : "ended with", end);
}

static int judge(const struct umpa_comparison *c)
{
	int status = c->runs[SIDE_WITHOUT][0].status;
	char *without, *with;

	if (umpa_comparison_agrees(c)) {
		if (status)
			tell_common_end(status);
		return EXIT_FINE;
	}
	without = umpa_comparison_ends(c, SIDE_WITHOUT);
	with = umpa_comparison_ends(c, SIDE_WITH);
	umpa_say("compare: the program's runs did not all end alike: without umpa: %s; with umpa: "
		 "%s",
		without, with);
	free(without);
	free(with);
	return EXIT_LESS;
}

static int report(const struct umpa_comparison *c, const struct request *r)
{
	int error;

	if (r->as_json)
		umpa_comparison_json(c, stdout);
	else
		print_table(c, r->warm);
	error = r->csv ? umpa_comparison_csv(c, r->csv) : 0;
	if (error)
		return umpa_refuse(EXIT_UMPA, "compare: %s: %s", r->csv, strerror(error));
	return judge(c);
}

static int compare(const struct request *r, const char *chain)
{
	struct umpa_comparison c = {
		.argv = r->argv, .baseline = r->baseline, .nruns = (size_t)r->nruns};
	struct setup s = {.argv = r->argv, .quiet = !r->show};
	int side, status;

	for (side = 0; side < NSIDES; side++)
		c.runs[side] = umpa_take(c.nruns * sizeof(*c.runs[side]));
	s.envp[SIDE_WITHOUT] = umpa_preload_environment(r->baseline, NULL, NULL);
	s.envp[SIDE_WITH] =
		umpa_preload_environment(chain, r->options.text, umpa_engine_setting(r->engine));
	umpa_interrupt_catch();
	status = run_all(&s, &c, r->warm);
	if (!status && c.nruns)
		status = report(&c, r);
	for (side = 0; side < NSIDES; side++) {
		umpa_preload_environment_free(s.envp[side]);
		free(c.runs[side]);
	}
	return status;
}

/* Better refused now than after all the runs. */
static int check_csv(const char *path)
{
	FILE *f = path ? fopen(path, "ae") : NULL;

	if (path && !f)
		return umpa_refuse(EXIT_UMPA, "compare: %s: %s", path, strerror(errno));
	if (f)
		fclose(f);
	return 0;
}

static int check_and_compare(struct request *r)
{
	int unfit, status = umpa_program_check(r->argv[0], &unfit);
	char *library, *chain = NULL;

	if (!status && unfit)
		status = EXIT_CANNOT_RUN;
	if (!status)
		status = check_csv(r->csv);
	if (!status && r->baseline && !umpa_preload_loads(r->baseline))
		status = EXIT_USAGE;
	if (status)
		return status;
	library = umpa_preload_find();
	if (library && umpa_preload_loads(library))
		chain = umpa_engine_chain(library, r->engine);
	status = chain ? compare(r, chain) : EXIT_UMPA;
	free(chain);
	free(library);
	return status;
}

enum {
	FLAG_RUNS,
	FLAG_OPTION,
	FLAG_ENGINE,
	FLAG_VS,
	FLAG_WARM,
	FLAG_NO_WARM,
	FLAG_SHOW,
	FLAG_CSV,
	FLAG_JSON
};

static const struct umpa_flag flags[] = {
	[FLAG_RUNS] = {'n', "runs", "RUNS", "measured runs of each side (5)"},
	[FLAG_OPTION] = {'o', "option", "NAME=VALUE", "set an umpa option; may be repeated"},
	[FLAG_ENGINE] = {0, "engine", "ENGINE",
		"who serves small blocks on the side with umpa, as of umpa run"},
	[FLAG_VS] = {0, "vs-preload", "LIB", "preload LIB on the side without umpa"},
	[FLAG_WARM] = {0, "warm", NULL, "make the host back memory before each run (default)"},
	[FLAG_NO_WARM] = {0, "no-warm", NULL, "leave the host's memory as it is"},
	[FLAG_SHOW] = {0, "show", NULL, "keep the program's output"},
	[FLAG_CSV] = {0, "csv", "FILE", "write the figures of each run to FILE"},
	[FLAG_JSON] = {0, "json", NULL, "print JSON instead of the table"},
	{0},
};

static int take_flag(struct request *r, const struct umpa_args *a, int flag)
{
	switch (flag) {
	case FLAG_RUNS:
		return umpa_args_count(a, "--runs", 1000, &r->nruns);
	case FLAG_OPTION:
		return umpa_optset_add(&r->options, a->value);
	case FLAG_ENGINE:
		r->engine = umpa_engine_named(a->value);
		return r->engine ? 0 : -1;
	case FLAG_VS:
		r->baseline = a->value;
		return *a->value ? 0 : umpa_refuse(-1, "compare: --vs-preload names no library");
	case FLAG_WARM:
	case FLAG_NO_WARM:
		r->warm = flag == FLAG_WARM;
		return 0;
	case FLAG_SHOW:
		r->show = 1;
		return 0;
	case FLAG_CSV:
		r->csv = a->value;
		return 0;
	default:
		r->as_json = 1;
		return 0;
	}
}

static int run_compare(const struct umpa_command *c, int argc, char **argv)
{
	struct umpa_args a = ARGS_OF(c, argc, argv);
	struct request r = {.nruns = 5, .warm = 1};
	int flag;

	umpa_optset_init(&r.options);
	while ((flag = umpa_args_next(&a)) >= 0)
		if (take_flag(&r, &a, flag))
			return EXIT_USAGE;
	if (flag != ARGS_END)
		return flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE;
	if (a.at == argc)
		return umpa_refuse(
			EXIT_USAGE, "compare: a program is missing: umpa compare -- PROG ARGS");
	if (r.show && r.as_json)
		return umpa_refuse(
			EXIT_USAGE, "compare: --show and --json both want standard output");
	r.argv = argv + a.at;
	return check_and_compare(&r);
}

const struct umpa_command umpa_cmd_compare = {
	.name = "compare",
	.operands = "[--] PROG [ARGS]",
	.summary = "Run a program with umpa and without, in turns, and set the costs side by side.",
	.text = "After one unmeasured run of each side come the measured ones. The program's "
		"output is\n"
		"dropped; its input is the file that umpa's input is, from the same place each "
		"time, or\n"
		"nothing. Before each measured run a child process touches a bit more memory than "
		"the\n"
		"program takes, so that a virtual machine's host has it ready for either side "
		"alike.\n"
		"\n"
		"When it is stopped by a signal, so is the program, and what was measured until "
		"then is\n"
		"printed.\n"
		"\n"
		"exit status: 0; 1 the program's exit status was not the same in all runs; 127 no "
		"such\n"
		"program, 126 it can't be run, 125 umpa failed, 2 wrong usage.\n",
	.flags = flags,
	.run = run_compare,
};
