#include "compare.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli.h"
#include "json.h"

const char *umpa_side_name(enum umpa_side side)
{
	return side == SIDE_WITH ? "with" : "without";
}

static double wall_s(const struct umpa_usage *u)
{
	return u->wall_s;
}

static double user_s(const struct umpa_usage *u)
{
	return u->user_s;
}

static double sys_s(const struct umpa_usage *u)
{
	return u->sys_s;
}

static double peak_mib(const struct umpa_usage *u)
{
	return (double)u->peak_nbytes / (1 << 20);
}

static double minor_faults(const struct umpa_usage *u)
{
	return (double)u->minor_faults;
}

static double major_faults(const struct umpa_usage *u)
{
	return (double)u->major_faults;
}

static const struct measure {
	const char *title, *key, *unit;
	double (*of)(const struct umpa_usage *u);
	int decimals;
} measures[] = {
	{"wall time", "wall", "s", wall_s, 3},
	{"user time", "user", "s", user_s, 3},
	{"system time", "sys", "s", sys_s, 3},
	{"peak resident", "peak_rss", "MiB", peak_mib, 1},
	{"minor faults", "minor_faults", "", minor_faults, 0},
	{"major faults", "major_faults", "", major_faults, 0},
};

const struct umpa_column umpa_comparison_columns[] = {
	{"", NULL, 0},
	{NULL, "measure", 0},
	{"unit", "unit", 0},
	{"without", "without", 1},
	{"with", "with", 1},
	{"ratio", "ratio", 1},
	{"without: min", "without_min", 1},
	{"max", "without_max", 1},
	{"with: min", "with_min", 1},
	{"max", "with_max", 1},
};
const size_t umpa_comparison_ncolumns = array_len(umpa_comparison_columns);

struct spread {
	double min, median, max;
};

static struct spread spread_of(const struct umpa_usage *runs, size_t n, const struct measure *m)
{
	double *v = umpa_take(n * sizeof(*v));
	struct spread s;
	size_t i;

	for (i = 0; i < n; i++)
		v[i] = m->of(&runs[i]);
	s.median = umpa_median(v, n);
	s.min = v[0];
	s.max = v[n - 1];
	free(v);
	return s;
}

static void add_measure(
	const struct umpa_comparison *c, const struct measure *m, struct umpa_rows *rows)
{
	struct spread without = spread_of(c->runs[SIDE_WITHOUT], c->nruns, m);
	struct spread with = spread_of(c->runs[SIDE_WITH], c->nruns, m);

	umpa_rows_text(rows, m->title);
	umpa_rows_text(rows, m->key);
	umpa_rows_text(rows, m->unit);
	umpa_rows_number(rows, without.median, m->decimals);
	umpa_rows_number(rows, with.median, m->decimals);
	umpa_rows_number(rows, without.median > 0 ? with.median / without.median : NAN, 2);
	umpa_rows_number(rows, without.min, m->decimals);
	umpa_rows_number(rows, without.max, m->decimals);
	umpa_rows_number(rows, with.min, m->decimals);
	umpa_rows_number(rows, with.max, m->decimals);
}

void umpa_comparison_rows(const struct umpa_comparison *c, struct umpa_rows *rows)
{
	size_t i;

	for (i = 0; i < array_len(measures); i++)
		add_measure(c, &measures[i], rows);
}

int umpa_comparison_agrees(const struct umpa_comparison *c)
{
	int side;
	size_t i;

	for (side = 0; side < NSIDES; side++)
		for (i = 0; i < c->nruns; i++)
			if (c->runs[side][i].status != c->runs[0][0].status)
				return 0;
	return 1;
}

void umpa_status_text(int status, char *buf, size_t nbuf)
{
	if (WIFSIGNALED(status))
		snprintf(buf, nbuf, "killed by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		snprintf(buf, nbuf, "exit status %d", WEXITSTATUS(status));
}

static size_t count_status(const struct umpa_usage *runs, size_t n, int status)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		count += runs[i].status == status;
	return count;
}

/* text, with another end behind it; text is freed. */
static char *append_end(char *text, int status, size_t count, size_t nruns)
{
	const char *comma = *text ? ", " : "";
	char end[64], *longer;

	umpa_status_text(status, end, sizeof(end));
	if (count == nruns)
		longer = umpa_text("%s%s%s", text, comma, end);
	else
		longer = umpa_text(
			"%s%s%s in %zu run%s", text, comma, end, count, count == 1 ? "" : "s");
	free(text);
	return longer;
}

#define MOST_ENDS 4

char *umpa_comparison_ends(const struct umpa_comparison *c, enum umpa_side side)
{
	const struct umpa_usage *runs = c->runs[side];
	char *text = umpa_text("%s", "");
	size_t i, nends = 0;

	for (i = 0; i < c->nruns && nends < MOST_ENDS; i++) {
		if (count_status(runs, i, runs[i].status))
			continue;
		text = append_end(text, runs[i].status,
			count_status(runs, c->nruns, runs[i].status), c->nruns);
		nends++;
	}
	return text;
}

/* As a shell tells it. */
static int shell_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void json_statuses(const struct umpa_comparison *c, enum umpa_side side, FILE *out)
{
	size_t i;

	fprintf(out, "\"status_%s\": [", umpa_side_name(side));
	for (i = 0; i < c->nruns; i++)
		fprintf(out, "%s%d", i ? ", " : "", shell_status(c->runs[side][i].status));
	fprintf(out, "],\n  ");
}

void umpa_comparison_json(const struct umpa_comparison *c, FILE *out)
{
	struct umpa_rows rows = {
		.columns = umpa_comparison_columns, .ncolumns = umpa_comparison_ncolumns};

	umpa_comparison_rows(c, &rows);
	fprintf(out, "{\n  \"program\": ");
	umpa_json_strings(out, c->argv);
	fprintf(out, ",\n  \"baseline\": ");
	umpa_json_string(out, c->baseline);
	fprintf(out, ",\n  \"runs\": %zu,\n  ", c->nruns);
	json_statuses(c, SIDE_WITHOUT, out);
	json_statuses(c, SIDE_WITH, out);
	fprintf(out, "\"same_status\": %s,\n  \"measures\": ",
		umpa_comparison_agrees(c) ? "true" : "false");
	umpa_rows_json(&rows, out, 2);
	fprintf(out, "\n}\n");
	umpa_rows_fini(&rows);
}

static void csv_line(FILE *f, size_t run, enum umpa_side side, const struct umpa_usage *u)
{
	fprintf(f, "%zu,%s,%.6f,%.6f,%.6f,%zu,%ld,%ld,%d\n", run + 1, umpa_side_name(side),
		u->wall_s, u->user_s, u->sys_s, u->peak_nbytes, u->minor_faults, u->major_faults,
		shell_status(u->status));
}

int umpa_comparison_csv(const struct umpa_comparison *c, const char *path)
{
	FILE *f = fopen(path, "we");
	int side, bad;
	size_t i;

	if (!f)
		return errno;
	fprintf(f, "run,side,wall_s,user_s,sys_s,peak_nbytes,minor_faults,major_faults,status\n");
	for (i = 0; i < c->nruns; i++)
		for (side = 0; side < NSIDES; side++)
			csv_line(f, i, side, &c->runs[side][i]);
	errno = EIO;
	bad = ferror(f);
	return fclose(f) || bad ? errno : 0;
}
