#include "programs.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/engine.h"
#include "cli/interrupt.h"
#include "cli/measure.h"
#include "cli/preload.h"
#include "files.h"
#include "names.h"

#define FOLDER  "programs"
#define LIMIT_S "300" /* for one run */
#define ABSENT  77    /* a script's exit status: what it needs is not installed */

const struct umpa_arm umpa_arms[NARMS] = {
	{"glibc", "system", NULL, NULL},
	{"jemalloc", "jemalloc", NULL, NULL},
	{"tcmalloc", "tcmalloc", NULL, NULL},
	{"mimalloc", "mimalloc", NULL, NULL},
	{"umpa", "system", "glibc", NULL},
	{"umpa-jemalloc", "jemalloc", "jemalloc", NULL},
	{"umpa-tcmalloc", "tcmalloc", "tcmalloc", NULL},
	{"umpa-mimalloc", "mimalloc", "mimalloc", NULL},
	{"umpa-system-huge", "system-huge", "glibc", NULL},
};

int umpa_programs_have(const struct umpa_samples *s, const struct umpa_arm *arm)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (!strcmp(s->v[i].method, arm->name))
			return 1;
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t umpa_programs_names(const struct umpa_samples *s, const char *names[MOST_PROGRAMS])
{
	size_t i, j, n = 0;

	for (i = 0; i < s->n && n < MOST_PROGRAMS; i++) {
		for (j = 0; j < n && strcmp(names[j], s->v[i].test) != 0;)
			j++;
		if (j == n)
			names[n++] = s->v[i].test;
	}
	qsort(names, n, sizeof(*names), compare_names);
	return n;
}

struct session {
	const struct umpa_programs *p;
	struct umpa_samples *out;
	char folder[PATH_MAX]; /* of the scripts */
	char **names;          /* of the programs; ends with NULL */
	char **envp[NARMS];    /* NULL: the arm can't run here, or is not wanted */
	char **plain;          /* for what is not measured */
	char work[PATH_MAX];
	int nfailures;
};

/* One program while it runs. */
struct program {
	const char *name;
	char script[PATH_MAX], dir[PATH_MAX];
	char output[PATH_MAX + 16], wanted[PATH_MAX + 16]; /* of a run; of the first arm */
	size_t peak_nbytes;                                /* of any run so far */
};

/* --- which programs there are ------------------------------------------------------------------
 */

static char **names_asked;

static const char *name_asked(size_t i)
{
	return names_asked[i];
}

static const char *arm_name(size_t i)
{
	return umpa_arms[i].name;
}

/* "/path/NAME.sh" as NAME, malloc'ed. */
static char *name_of(const char *path)
{
	const char *base = strrchr(path, '/') + 1;

	return umpa_text("%.*s", (int)(strlen(base) - strlen(".sh")), base);
}

/* Result: how many there are, or -1 after a message. */
static int find_programs(struct session *x)
{
	char pattern[PATH_MAX + 8];
	glob_t g;
	size_t i, n;

	if (umpa_bench_file(FOLDER, x->folder))
		return umpa_refuse(-1, "bench: can't find the folder " FOLDER);
	snprintf(pattern, sizeof(pattern), "%s/*.sh", x->folder);
	n = glob(pattern, 0, NULL, &g) ? 0 : g.gl_pathc;
	x->names = umpa_take((n + 1) * sizeof(*x->names));
	for (i = 0; i < n; i++)
		x->names[i] = name_of(g.gl_pathv[i]);
	x->names[n] = NULL;
	if (n)
		globfree(&g);
	return (int)n;
}

static void forget_programs(struct session *x)
{
	size_t i;

	for (i = 0; x->names && x->names[i]; i++)
		free(x->names[i]);
	free(x->names);
}

static int check_list(const char *list, const char *what, const char *(*name)(size_t i), size_t n)
{
	const char *unknown;
	char names[1024] = "";
	size_t i, length = 0, nbytes;

	unknown = umpa_name_unknown(list, name, n, &nbytes);
	if (!unknown)
		return 0;
	for (i = 0; i < n && length < sizeof(names); i++)
		length += (size_t)snprintf(
			names + length, sizeof(names) - length, "%s%s", i ? ", " : "", name(i));
	return umpa_refuse(-1, "bench: no %s is called '%.*s'; there are: %s", what, (int)nbytes,
		unknown, names);
}

int umpa_programs_check(const struct umpa_programs *p)
{
	struct session x = {.p = p};
	int n = find_programs(&x), wrong = n < 0;

	names_asked = x.names;
	if (!wrong)
		wrong = check_list(p->only, "program", name_asked, (size_t)n) ||
			check_list(p->arms, "arm", arm_name, NARMS);
	forget_programs(&x);
	return wrong ? -1 : 0;
}

/* --- the arms -------------------------------------------------------------------------------- */

static char **environment_of(const struct umpa_arm *arm, const char *umpa_library)
{
	const struct umpa_engine_library *engine = umpa_engine_named(arm->engine);
	char *chain, **envp;

	if (!engine)
		return NULL;
	if (engine->file && !umpa_preload_loads(engine->file)) {
		umpa_say("bench: left out: %s (%s)", arm->name, engine->package);
		return NULL;
	}
	if (!arm->alone)
		return umpa_preload_environment(engine->file, arm->options, NULL);
	chain = umpa_engine_chain(umpa_library, engine);
	envp = chain ? umpa_preload_environment(chain, arm->options, engine->setting) : NULL;
	free(chain);
	return envp;
}

static int find_arms(struct session *x)
{
	char *library = umpa_preload_find();
	size_t i;

	if (!library)
		return -1;
	x->plain = umpa_preload_environment(NULL, NULL, NULL);
	for (i = 0; i < NARMS; i++)
		if (!i || !x->p->arms || umpa_name_listed(x->p->arms, umpa_arms[i].name))
			x->envp[i] = environment_of(&umpa_arms[i], library);
	free(library);
	return 0;
}

static void forget_arms(struct session *x)
{
	size_t i;

	for (i = 0; i < NARMS; i++)
		if (x->envp[i])
			umpa_preload_environment_free(x->envp[i]);
	if (x->plain)
		umpa_preload_environment_free(x->plain);
}

/* --- one run --------------------------------------------------------------------------------- */

/* A script that hangs is ended, with whatever it started. Result: 0 or -errno. */
static int call(const struct program *g, const char *verb, char *const envp[], int quiet,
	struct umpa_usage *usage)
{
	char *argv[] = {(char *)"timeout", (char *)"-k", (char *)"5", (char *)LIMIT_S, (char *)"sh",
		(char *)g->script, (char *)verb, (char *)g->dir, NULL};

	return umpa_measure_run(argv, envp, quiet, usage);
}

static int same_content(const char *path, const char *other)
{
	FILE *f = fopen(path, "re"), *g = fopen(other, "re");
	int a = 0, b = 0;

	while (f && g && a == b && a != EOF) {
		a = getc(f);
		b = getc(g);
	}
	if (f)
		fclose(f);
	if (g)
		fclose(g);
	return f && g && a == b;
}

static void tell_failure(struct session *x, const struct program *g, size_t arm, const char *what)
{
	x->nfailures++;
	umpa_say("bench: %s by %s %s; see %s", g->name, umpa_arms[arm].name, what, g->dir);
}

/* The output is kept under the arm's name if it is wrong, or is what the others are held against.
 */
static int judge(struct session *x, struct program *g, size_t arm, int ended_well)
{
	char kept[PATH_MAX + 64];
	int same;

	if (!arm && access(g->wanted, F_OK))
		return rename(g->output, g->wanted) == 0;
	same = same_content(g->output, g->wanted);
	if (same && ended_well)
		return 1;
	snprintf(kept, sizeof(kept), "%s.%s", g->output, umpa_arms[arm].name);
	rename(g->output, kept);
	if (!same)
		tell_failure(x, g, arm, "PRINTED SOMETHING ELSE than by glibc");
	return same;
}

static void keep_usage(struct session *x, const struct program *g, size_t arm, unsigned repetition,
	const struct umpa_usage *u, int same)
{
	const struct {
		const char *metric;
		double value;
	} figures[] = {{WALL_S, u->wall_s}, {CPU_S, u->user_s + u->sys_s},
		{PEAK_NBYTES, (double)u->peak_nbytes}, {MINOR_FAULTS, (double)u->minor_faults},
		{ENDED_WELL, !u->status}, {SAME_OUTPUT, same}};
	size_t i;

	for (i = 0; i < array_len(figures); i++)
		umpa_samples_add(x->out,
			&(struct umpa_series){g->name, umpa_arms[arm].name, figures[i].metric, 0},
			repetition, figures[i].value);
	umpa_csv_keep(x->p->csv, x->out);
}

static void show_progress(const struct program *g, size_t arm, unsigned repetition)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%s, %s, repetition %u", g->name, umpa_arms[arm].name,
			repetition + 1);
}

static void end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* counted 0: the run fills caches, shows how much memory is to be warmed and what is to be printed.
 */
static void run_arm(
	struct session *x, struct program *g, size_t arm, unsigned repetition, int counted)
{
	struct umpa_usage u;
	int error, same;

	show_progress(g, arm, repetition);
	if (g->peak_nbytes && !x->p->brief)
		umpa_measure_warm(umpa_measure_warm_nbytes(g->peak_nbytes));
	if (umpa_interrupted())
		return;
	error = call(g, "run", x->envp[arm], 1, &u);
	if (umpa_interrupted())
		return;
	if (error) {
		tell_failure(x, g, arm, strerror(-error));
		return;
	}
	if (u.status)
		tell_failure(x, g, arm, "FAILED");
	if (u.peak_nbytes > g->peak_nbytes)
		g->peak_nbytes = u.peak_nbytes;
	same = judge(x, g, arm, !u.status);
	if (counted)
		keep_usage(x, g, arm, repetition, &u, same);
}

/* --- one program -------------------------------------------------------------------------------
 */

/* Every repetition begins with another arm, and every other one goes backwards. */
static void run_repetition(struct session *x, struct program *g, unsigned repetition)
{
	size_t i;

	for (i = 0; i < NARMS; i++) {
		size_t at = repetition % 2 ? NARMS - 1 - i : i;
		size_t arm = (at + repetition * 5) % NARMS;

		if (x->envp[arm])
			run_arm(x, g, arm, repetition, 1);
	}
}

static int remove_folder(const struct session *x, const char *dir)
{
	char *argv[] = {(char *)"rm", (char *)"-rf", (char *)dir, NULL};
	struct umpa_usage u;

	return umpa_measure_run(argv, x->plain, 1, &u);
}

/* Result: 1 if it can run, 0 if not, after a message that may be the script's own. */
static int prepare(struct session *x, const struct program *g)
{
	struct umpa_usage u;

	if (mkdir(g->dir, 0755) || call(g, "check", x->plain, 0, &u)) {
		umpa_say("bench: %s: %s", g->name, strerror(errno));
		return 0;
	}
	if (WIFEXITED(u.status) && WEXITSTATUS(u.status) == ABSENT)
		return 0;
	if (!u.status && !call(g, "prepare", x->plain, 1, &u) && !u.status)
		return 1;
	if (umpa_interrupted())
		return 0;
	x->nfailures++;
	umpa_say("bench: %s can't be prepared; see %s", g->name, g->dir);
	return 0;
}

static void run_program(struct session *x, const char *name)
{
	struct program g = {.name = name};
	int nfailures = x->nfailures;
	unsigned repetition;

	if (snprintf(g.script, sizeof(g.script), "%s/%s.sh", x->folder, name) >= PATH_MAX ||
		snprintf(g.dir, sizeof(g.dir), "%s/%s", x->work, name) >= PATH_MAX)
		return;
	snprintf(g.output, sizeof(g.output), "%s/out", g.dir);
	snprintf(g.wanted, sizeof(g.wanted), "%s/wanted", g.dir);
	if (prepare(x, &g)) {
		if (x->p->csv)
			umpa_csv_forget(x->p->csv, name);
		if (!x->p->brief)
			run_arm(x, &g, 0, 0, 0);
		for (repetition = 0; repetition < x->p->nrepetitions; repetition++)
			run_repetition(x, &g, repetition);
		end_progress();
	}
	if (nfailures == x->nfailures && remove_folder(x, g.dir))
		umpa_say("bench: %s can't be removed", g.dir);
}

/* Programs that drop privileges must be able to enter it. */
static int make_work(struct session *x)
{
	umpa_bench_temporary("programs", x->work);
	if (!mkdtemp(x->work) || chmod(x->work, 0755))
		return umpa_refuse(-1, "bench: %s: %s", x->work, strerror(errno));
	return 0;
}

static int run_all(struct session *x)
{
	size_t i;

	if (find_programs(x) < 0 || find_arms(x) || make_work(x))
		return -1;
	for (i = 0; x->names[i] && !umpa_interrupted(); i++)
		if (!x->p->only || umpa_name_listed(x->p->only, x->names[i]))
			run_program(x, x->names[i]);
	rmdir(x->work); /* what is left of failures keeps it */
	return x->nfailures;
}

int umpa_programs_run(const struct umpa_programs *p, struct umpa_samples *out)
{
	struct session x = {.p = p, .out = out};
	int result;

	if (p->brief)
		setenv("PROGRAMS_SHORT", "1", 1);
	else
		unsetenv("PROGRAMS_SHORT");
	result = run_all(&x);
	forget_arms(&x);
	forget_programs(&x);
	return result;
}
