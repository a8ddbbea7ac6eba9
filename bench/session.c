#include "session.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/measure.h"
#include "cli/preload.h"
#include "names.h"
#include "spawn.h"

#define MOST_KEYS 24

struct progress {
	const struct umpa_session *s;
	struct umpa_samples *out;
	char **envp[NMETHODS]; /* NULL: the method can't run here */
	size_t ndone, ntotal;
};

/* --- which methods can run ------------------------------------------------------------------- */

/* The path of what lies below this program's folder, where a build puts it; malloc'ed. */
static char *path_beside(const char *below)
{
	char own[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", own, sizeof(own) - 1);

	own[n > 0 ? n : 0] = 0;
	n = n > 0 ? strrchr(own, '/') - own : 0;
	return umpa_text("%.*s/%s", (int)n, own, below);
}

static char **environment_beside(const struct umpa_method *m)
{
	const char *colon = strchr(m->library, ':'), *below = colon ? colon + 1 : m->library;
	char *path = path_beside(below), **envp = NULL;
	char *chain = umpa_text("%.*s%s", (int)(below - m->library), m->library, path);

	if (access(path, R_OK))
		umpa_say("bench: left out: %s; there is no %s, which the target dlmalloc makes",
			m->name, path);
	else if (umpa_preload_loads(path))
		envp = umpa_preload_environment(chain, m->options, NULL);
	free(chain);
	free(path);
	return envp;
}

/* What is preloaded but umpa's own library: a peer, or the engine behind it; NULL: nothing. */
static const char *other_library(const struct umpa_method *m)
{
	const char *engine = strchr(m->library, ':');

	if (strncmp(m->library, UMPA_LIBRARY, strlen(UMPA_LIBRARY)))
		return m->library;
	return engine ? engine + 1 : NULL;
}

static char **environment_of(const struct umpa_method *m, const char *umpa_library)
{
	const char *other = m->library ? other_library(m) : NULL;
	char *chain, **envp;

	if (!m->library)
		return umpa_preload_environment(NULL, m->options, NULL);
	if (strchr(m->library, '/'))
		return environment_beside(m);
	if (other && !umpa_preload_loads(other)) {
		umpa_say("bench: left out: %s", m->name);
		return NULL;
	}
	if (other == m->library)
		return umpa_preload_environment(other, m->options, NULL);
	chain = umpa_text("%s%s", umpa_library, m->library + strlen(UMPA_LIBRARY));
	envp = umpa_preload_environment(chain, m->options, NULL);
	free(chain);
	return envp;
}

static unsigned methods_of(const struct umpa_bench *b)
{
	unsigned methods = 0;
	size_t i;

	for (i = 0; i < b->ntests; i++)
		methods |= b->tests[i].methods;
	return methods;
}

static int find_methods(struct progress *x)
{
	unsigned methods = methods_of(x->s->bench);
	char *library = umpa_preload_find();
	size_t i;

	if (!library)
		return -1;
	for (i = 0; i < NMETHODS; i++)
		if (methods & BIT(i))
			x->envp[i] = environment_of(&umpa_methods[i], library);
	free(library);
	return 0;
}

static void forget_methods(struct progress *x)
{
	size_t i;

	for (i = 0; i < NMETHODS; i++)
		if (x->envp[i])
			umpa_preload_environment_free(x->envp[i]);
}

/* --- one run --------------------------------------------------------------------------------- */

static void show_progress(struct progress *x, const char *test, const char *method)
{
	x->ndone++;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%zu of %zu: %s, %s", x->ndone, x->ntotal, test, method);
}

static void end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* The worker's arguments, cut out of `text`, which they then point into. */
static void fill_args(const struct progress *x, const struct umpa_bench_test *t,
	const struct umpa_method *m, unsigned long seed, int traced, char *text, size_t ntext,
	char *args[MOST_KEYS + 1])
{
	const char *more = x->s->brief && t->short_args ? t->short_args : "";
	size_t n = 0;
	char *rest;

	snprintf(text, ntext, "%s api=%s %s %s seed=%lu traced=%d", t->kind, m->api, t->args, more,
		seed, traced);
	for (args[n] = strtok_r(text, " ", &rest); args[n] && n < MOST_KEYS;)
		args[++n] = strtok_r(NULL, " ", &rest);
	args[n] = NULL;
}

static void take_line(struct progress *x, const char *test, const char *method, unsigned repetition,
	const char *line)
{
	char metric[NAME_NBYTES];
	unsigned long long bin;
	double value;

	if (sscanf(line, "%31s %llu %lf", metric, &bin, &value) == 3)
		umpa_samples_add(x->out, &(struct umpa_series){test, method, metric, bin},
			repetition, value);
}

static void run_one(
	struct progress *x, const struct umpa_bench_test *t, size_t method, unsigned repetition)
{
	const struct umpa_method *m = &umpa_methods[method];
	char text[512], out[16384], *args[MOST_KEYS + 1], *line, *rest;

	show_progress(x, t->name, m->name);
	fill_args(x, t, m, x->s->seed + repetition, 0, text, sizeof(text), args);
	umpa_measure_warm(t->warm_nbytes);
	if (umpa_interrupted())
		return;
	if (umpa_spawn(args, x->envp[method], out, sizeof(out))) {
		if (!umpa_interrupted())
			umpa_say("bench: %s by %s failed", t->name, m->name);
		return;
	}
	for (line = strtok_r(out, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		take_line(x, t->name, m->name, repetition, line);
	umpa_csv_keep(x->s->csv, x->out);
}

static void count_one(struct progress *x, const struct umpa_bench_test *t, size_t method)
{
	const struct umpa_method *m = &umpa_methods[method];
	char text[512], *args[MOST_KEYS + 1];
	unsigned long ncalls;
	int refused;

	show_progress(x, t->name, m->name);
	fill_args(x, t, m, x->s->seed, 1, text, sizeof(text), args);
	refused = umpa_spawn_traced(args, x->envp[method], &ncalls);
	if (refused > 0)
		umpa_say("bench: system calls can't be counted: tracing is not allowed");
	else if (!refused)
		umpa_samples_add(x->out, &(struct umpa_series){t->name, m->name, "nsyscalls", 0}, 0,
			(double)ncalls);
	umpa_csv_keep(x->s->csv, x->out);
}

/* --- start-up: a whole program, so the bench holds the clock ---------------------------------- */

#define STARTUP_NRUNS 40

static void add_startup(struct progress *x, const char *test, size_t method, unsigned repetition,
	double *wall_s, size_t n)
{
	if (n)
		umpa_samples_add(x->out,
			&(struct umpa_series){test, umpa_methods[method].name, "wall_ns", 0},
			repetition, umpa_median(wall_s, n) * 1e9);
	umpa_csv_keep(x->s->csv, x->out);
}

static int is_startup(const struct umpa_bench_test *t)
{
	return !strcmp(t->kind, STARTUP_KIND);
}

static void run_startup(struct progress *x, const struct umpa_bench_test *t, unsigned repetition)
{
	static const size_t sides[] = {BY_GLIBC, BY_UMPA_MALLOC};
	char *argv[] = {(char *)"/bin/true", NULL};
	double wall_s[array_len(sides)][STARTUP_NRUNS];
	size_t n[array_len(sides)] = {0}, i, side;
	struct umpa_usage usage;

	for (i = 0; i < STARTUP_NRUNS && !umpa_interrupted(); i++)
		for (side = 0; side < array_len(sides); side++)
			if (!umpa_measure_run(argv, x->envp[sides[side]], 1, &usage) &&
				!usage.status)
				wall_s[side][n[side]++] = usage.wall_s;
	for (side = 0; side < array_len(sides) && !umpa_interrupted(); side++)
		add_startup(x, t->name, sides[side], repetition, wall_s[side], n[side]);
}

/* --- all of them -------------------------------------------------------------------------------
 */

static int matches_any(const struct umpa_bench *b, const char *pattern, size_t n)
{
	size_t i;

	for (i = 0; i < b->ntests; i++)
		if (umpa_name_matches(pattern, n, b->tests[i].name))
			return 1;
	return 0;
}

static int refuse_name(const struct umpa_bench *b, const char *name, size_t nname)
{
	char names[4096] = "";
	size_t i, n = 0;

	for (i = 0; i < b->ntests && n < sizeof(names); i++)
		n += (size_t)snprintf(
			names + n, sizeof(names) - n, "%s%s", i ? ", " : "", b->tests[i].name);
	return umpa_refuse(
		-1, "bench: no test is called '%.*s'; there are: %s", (int)nname, name, names);
}

int umpa_session_check(const struct umpa_session *s)
{
	const char *only = s->only;
	size_t n;

	for (; only; only = only[n] ? only + n + 1 : NULL) {
		n = strcspn(only, ",");
		if (!matches_any(s->bench, only, n))
			return refuse_name(s->bench, only, n);
	}
	return 0;
}

static int is_wanted(const struct progress *x, const struct umpa_bench_test *t)
{
	if (x->s->only)
		return umpa_name_listed(x->s->only, t->name);
	return !x->s->brief || t->short_args;
}

static int runs(const struct progress *x, const struct umpa_bench_test *t, size_t method)
{
	return (t->methods & BIT(method)) && x->envp[method] && is_wanted(x, t);
}

static void run_test(struct progress *x, const struct umpa_bench_test *t, unsigned repetition)
{
	size_t m;

	if (is_startup(t) && is_wanted(x, t))
		run_startup(x, t, repetition);
	for (m = 0; !is_startup(t) && m < NMETHODS; m++)
		if (runs(x, t, m) && !umpa_interrupted())
			run_one(x, t, m, repetition);
}

/* The short form counts where a target asks for it only. */
static int is_counted(const struct progress *x, const struct umpa_bench_test *t, size_t method)
{
	return x->s->count_calls && !is_startup(t) && runs(x, t, method) &&
	       (!x->s->brief || !strcmp(t->kind, "@reuse") || method == BY_UMPA);
}

static void count_test(struct progress *x, const struct umpa_bench_test *t)
{
	size_t m;

	for (m = 0; m < NMETHODS; m++)
		if (is_counted(x, t, m) && !umpa_interrupted())
			count_one(x, t, m);
}

static size_t count_runs(const struct progress *x)
{
	const struct umpa_bench *b = x->s->bench;
	size_t i, m, n = 0;

	for (i = 0; i < b->ntests; i++)
		for (m = 0; !is_startup(&b->tests[i]) && m < NMETHODS; m++)
			n += x->s->nrepetitions * (unsigned)runs(x, &b->tests[i], m) +
			     (unsigned)is_counted(x, &b->tests[i], m);
	return n;
}

/* What is kept of a test is of one run of the bench. */
static void forget_kept(const struct progress *x)
{
	size_t i;

	for (i = 0; x->s->csv && i < x->s->bench->ntests; i++)
		if (is_wanted(x, &x->s->bench->tests[i]))
			umpa_csv_forget(x->s->csv, x->s->bench->tests[i].name);
}

int umpa_session_run(const struct umpa_session *s, struct umpa_samples *out)
{
	struct progress x = {.s = s, .out = out};
	unsigned repetition;
	size_t i;

	if (find_methods(&x))
		return -1;
	forget_kept(&x);
	x.ntotal = count_runs(&x);
	for (repetition = 0; repetition < s->nrepetitions; repetition++)
		for (i = 0; i < s->bench->ntests; i++)
			run_test(&x, &s->bench->tests[i], repetition);
	for (i = 0; i < s->bench->ntests; i++)
		count_test(&x, &s->bench->tests[i]);
	end_progress();
	forget_methods(&x);
	return 0;
}
