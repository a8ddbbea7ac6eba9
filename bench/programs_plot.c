/* The chart of `umpa bench programs`. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "files.h"
#include "programs.h"

static const char *const metrics[] = {WALL_S, PEAK_NBYTES};

static int is_shown(const struct umpa_samples *s, size_t arm)
{
	return umpa_arms[arm].alone && umpa_programs_have(s, &umpa_arms[arm]);
}

/* With umpa over the engine alone. */
static void put_ratio(const struct umpa_samples *s, FILE *f, const char *program,
	const struct umpa_arm *arm, const char *metric)
{
	double r = umpa_samples_ratio(s, &(struct umpa_series){program, arm->name, metric, 0},
		&(struct umpa_series){program, arm->alone, metric, 0});

	if (isfinite(r))
		fprintf(f, " %.6g", r);
	else
		fputs(" ?", f); /* what gnuplot takes for a missing value */
}

static void put_row(const struct umpa_samples *s, FILE *f, const char *program)
{
	size_t m, a;

	fputs(program, f);
	for (m = 0; m < array_len(metrics); m++)
		for (a = 0; a < NARMS; a++)
			if (is_shown(s, a))
				put_ratio(s, f, program, &umpa_arms[a], metrics[m]);
	fputs("\n", f);
}

static void put_head(const struct umpa_samples *s, FILE *f)
{
	size_t m, a;

	fputs("program", f);
	for (m = 0; m < array_len(metrics); m++)
		for (a = 0; a < NARMS; a++)
			if (is_shown(s, a))
				fprintf(f, " %s", umpa_arms[a].name);
	fputs("\n", f);
}

static void put_rows(const struct umpa_samples *s, FILE *f)
{
	const char *names[MOST_PROGRAMS];
	size_t i, n = umpa_programs_names(s, names);

	put_head(s, f);
	for (i = 0; i < n; i++)
		put_row(s, f, names[i]);
}

int umpa_programs_plot(const struct umpa_samples *s, const char *dir)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/programs.dat", dir);
	f = fopen(path, "we");
	if (!f)
		return umpa_refuse(-1, "bench: %s: %s", path, strerror(errno));
	put_rows(s, f);
	if (fclose(f))
		return umpa_refuse(-1, "bench: can't write %s", path);
	return umpa_draw(dir, "plot/programs.gp");
}
