/* umpa bench vmm: the command line. */
#include "vmm.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "cli/args.h"
#include "cli/interrupt.h"
#include "csv.h"
#include "files.h"
#include "report.h"
#include "spawn.h"

#define CSV_NAME       "vmm"
#define MOST_REPEATED  99
#define USUAL_REPEATED 3
#define NOUTPUT        8192

enum {
	FLAG_EMULATED,
	FLAG_REPETITIONS,
	FLAG_CSV,
	FLAG_FROM,
	FLAG_JSON,
	FLAG_MARKDOWN
};

const struct umpa_flag umpa_vmm_flags[] = {
	[FLAG_EMULATED] = {0, "emulated", NULL,
		"count instructions, in emulated machines with Debian's kernels; from the source "
		"tree"},
	[FLAG_REPETITIONS] = {'n', "repetitions", "N", "here: repeat N times (3)"},
	[FLAG_CSV] = {0, "csv", "DIR",
		"keep the raw figures in DIR/" CSV_NAME ".csv, beside those of other hosts, and "
		"draw DIR/vmm.svg and .png"},
	[FLAG_FROM] = {0, "from", "DIR", "run nothing: table and plot from DIR/" CSV_NAME ".csv"},
	[FLAG_JSON] = {0, "json", NULL, "print one JSON object"},
	[FLAG_MARKDOWN] = {0, "markdown", NULL, "print a Markdown table"},
	{0},
};

struct request {
	unsigned nrepetitions;
	const char *dir, *from;
	int emulated, json, markdown;
};

static int take_flag(struct request *q, const struct umpa_args *a, int flag)
{
	long n;

	switch (flag) {
	case FLAG_EMULATED:
		q->emulated = 1;
		break;
	case FLAG_REPETITIONS:
		if (umpa_args_count(a, "-n", MOST_REPEATED, &n))
			return -1;
		q->nrepetitions = (unsigned)n;
		break;
	case FLAG_CSV:
		q->dir = a->value;
		break;
	case FLAG_FROM:
		q->from = a->value;
		break;
	case FLAG_JSON:
		q->json = 1;
		break;
	case FLAG_MARKDOWN:
		q->markdown = 1;
		break;
	}
	return 0;
}

/* --- here --------------------------------------------------------------------------------- */

/* A line of the worker's: "guest_map 0 18.02". What is no figure of either is left out. */
static void take_line(struct umpa_samples *s, char *line, unsigned repetition)
{
	char *value, *bin = strchr(line, ' '), *metric = strchr(line, '_');
	uint64_t nbytes;

	if (!bin || !metric || metric > bin)
		return;
	*metric++ = '\0';
	*bin++ = '\0';
	if (strcmp(line, "guest") != 0 && strcmp(line, "kernel") != 0 && strcmp(line, "tick") != 0)
		return;
	nbytes = strtoull(bin, &value, 10);
	umpa_samples_add(s, &(struct umpa_series){VMM_HERE, line, metric, nbytes}, repetition,
		strtod(value, NULL));
}

/* What the ticks are worth: the worker's "class 0 N". */
static void say_class(const char *output)
{
	const char *line = strstr(output, "class 0 ");

	if (line && atoi(line + sizeof("class 0 ") - 1) != UMPA_VMM_NATIVE)
		umpa_say("bench: /dev/kvm is not native here: its cycles say nothing of speed");
}

static int run_here(struct umpa_samples *s, unsigned nrepetitions)
{
	char *args[] = {"@vmm", NULL}, output[NOUTPUT], *rest, *line;

	for (unsigned i = 0; i < nrepetitions && !umpa_interrupted(); i++) {
		if (umpa_spawn(args, environ, output, sizeof(output)))
			return -1;
		if (!i)
			say_class(output);
		for (line = strtok_r(output, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
			take_line(s, line, i);
	}
	return 0;
}

/* --- in emulated machines ----------------------------------------------------------------- */

/* The build tree that this program lies in, if it does, for the script, which else takes the source
 * tree's own. */
static void name_build(void)
{
	char dir[PATH_MAX], cache[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	char *slash;

	dir[n > 0 ? n : 0] = 0;
	slash = strrchr(dir, '/');
	if (!slash)
		return;
	*slash = 0;
	if (snprintf(cache, sizeof(cache), "%s/CMakeCache.txt", dir) < PATH_MAX &&
		!access(cache, R_OK))
		setenv("UMPA_BUILD", dir, 0);
}

/* What the script prints goes to standard error: the tables alone are on standard output. */
static _Noreturn void become_script(const char *script, const char *figures)
{
	name_build();
	dup2(STDERR_FILENO, STDOUT_FILENO);
	execl("/bin/sh", "sh", script, "-c", figures, NULL);
	_exit(EXIT_CANNOT_RUN);
}

static int run_script(const char *script, const char *figures)
{
	int status = -1;
	pid_t child = fork();

	if (!child)
		become_script(script, figures);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return umpa_refuse(-1, "bench: %s did not end", script);
	return WEXITSTATUS(status);
}

static int run_emulated(struct umpa_samples *s)
{
	char script[PATH_MAX], figures[PATH_MAX];
	int status, error, fd;

	if (umpa_bench_file("../scripts/check-kernels", script))
		return umpa_refuse(
			-1, "bench: --emulated needs the source tree that this was built from");
	umpa_bench_temporary("vmm", figures);
	fd = mkstemp(figures);
	if (fd < 0)
		return umpa_refuse(-1, "bench: %s: %s", figures, strerror(errno));
	close(fd);
	umpa_say("bench: machines are being emulated, which takes a minute or two");
	status = run_script(script, figures);
	error = status ? 0 : umpa_samples_load(s, figures);
	unlink(figures);
	if (status > 0)
		return umpa_refuse(-1, status == 77 ? "bench: what emulating needs is not here"
						    : "bench: a machine has failed");
	return status || error ? umpa_refuse(-1, "bench: there are no figures") : 0;
}

/* --- both --------------------------------------------------------------------------------- */

static void print(const struct request *q, const struct umpa_samples *s)
{
	if (q->json)
		umpa_vmm_json(s, stdout);
	else
		umpa_vmm_tables(s, stdout, q->markdown);
}

static int keep_and_draw(const struct request *q, const struct umpa_samples *s)
{
	struct umpa_samples all = {0};
	struct umpa_csv csv;
	int error;

	if (umpa_csv_open(&csv, q->dir, CSV_NAME))
		return -1;
	for (size_t i = 0; i < s->n; i++)
		if (!i || strcmp(s->v[i].test, s->v[i - 1].test) != 0)
			umpa_csv_forget(&csv, s->v[i].test);
	umpa_csv_keep(&csv, s);
	error = umpa_csv_close(&csv) || umpa_samples_load(&all, csv.path) ||
		umpa_vmm_plot(&all, q->dir);
	umpa_samples_fini(&all);
	return error ? -1 : 0;
}

static int measure(const struct request *q, struct umpa_samples *s)
{
	int error = q->emulated ? run_emulated(s) : run_here(s, q->nrepetitions);

	if (error || !s->n)
		return EXIT_UMPA;
	print(q, s);
	return q->dir && keep_and_draw(q, s) ? EXIT_LESS : EXIT_FINE;
}

static int report(const struct request *q, struct umpa_samples *s)
{
	if (umpa_csv_load(q->from, CSV_NAME, s))
		return EXIT_UMPA;
	print(q, s);
	return umpa_vmm_plot(s, q->from) ? EXIT_LESS : EXIT_FINE;
}

int umpa_vmm_command(const struct umpa_command *c, int argc, char **argv)
{
	struct request q = {0};
	struct umpa_args a = ARGS_OF(c, argc, argv);
	struct umpa_samples samples = {0};
	int flag, status;

	while ((flag = umpa_args_next(&a)) >= 0)
		if (take_flag(&q, &a, flag))
			return EXIT_USAGE;
	if (flag != ARGS_END)
		return flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE;
	if (a.at < argc)
		return umpa_refuse(EXIT_USAGE, "bench: vmm takes no operand: %s", argv[a.at]);
	if (umpa_report_check(
		    q.json, q.markdown, q.from && (q.dir || q.emulated || q.nrepetitions)))
		return EXIT_USAGE;
	if (!q.nrepetitions)
		q.nrepetitions = USUAL_REPEATED;
	umpa_interrupt_catch();
	status = q.from ? report(&q, &samples) : measure(&q, &samples);
	umpa_samples_fini(&samples);
	return status;
}
