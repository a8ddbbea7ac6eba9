/* The tables of `umpa bench programs`, all from the samples. */
#include <math.h>
#include <string.h>

#include "grid.h"
#include "programs.h"
#include "report.h"

#define MOST_TIME 1.02 /* of one program with umpa, over its engine alone */
#define MOST_PEAK 1.10
#define MEAN_TIME 0.95 /* of all programs */
#define BEST_TIME 0.85 /* of all programs with the best engine, over glibc alone */
#define MIB       (1 << 20)

struct programs {
	const struct umpa_samples *s;
	const char *names[MOST_PROGRAMS];
	size_t n;
	FILE *out;
	int markdown;
};

struct measure {
	const char *metric, *title, *short_title, *unit_title;
	double unit;
	double most; /* of one program, over its engine alone; 0: no bound */
};

static const struct measure measures[] = {
	{WALL_S, "Time", "time", "s", 1, MOST_TIME},
	{CPU_S, "Processor time, user and system", "CPU", "s", 1, MOST_TIME},
	{PEAK_NBYTES, "Peak resident memory of the largest process", "peak", "MiB", MIB, MOST_PEAK},
	{MINOR_FAULTS, "Page faults", "faults", "thousands", 1e3, 0},
};

static void find_programs(struct programs *p, const struct umpa_samples *s)
{
	*p = (struct programs){.s = s};
	p->n = umpa_programs_names(s, p->names);
}

/* --- figures -----------------------------------------------------------------------------------
 */

static double ratio(
	const struct programs *p, size_t i, const char *arm, const char *base, const char *metric)
{
	return umpa_samples_ratio(p->s, &(struct umpa_series){p->names[i], arm, metric, 0},
		&(struct umpa_series){p->names[i], base, metric, 0});
}

/* The geometric mean of the ratios of all programs that have one; NAN if none has. */
static double mean_ratio(
	const struct programs *p, const char *arm, const char *base, const char *metric)
{
	double sum = 0;
	size_t i, n = 0;

	for (i = 0; i < p->n; i++) {
		double r = ratio(p, i, arm, base, metric);

		if (r > 0) {
			sum += log(r);
			n++;
		}
	}
	return n ? exp(sum / (double)n) : NAN;
}

/* The largest ratio, and of which program; NAN if there is none. */
static double worst_ratio(const struct programs *p, const char *arm, const char *base,
	const char *metric, const char **program)
{
	double worst = NAN;
	size_t i;

	*program = "";
	for (i = 0; i < p->n; i++) {
		double r = ratio(p, i, arm, base, metric);

		if (isnan(r) || r <= worst)
			continue;
		worst = r;
		*program = p->names[i];
	}
	return worst;
}

static int has_arm(const struct programs *p, const struct umpa_arm *arm)
{
	return umpa_programs_have(p->s, arm);
}

/* --- tables ------------------------------------------------------------------------------------
 */

static void title(const struct programs *p, const char *format, const char *what)
{
	fputs(p->markdown ? "\n### " : "\n", p->out);
	fprintf(p->out, format, what);
	fputs(p->markdown ? "\n\n" : "\n", p->out);
}

/* Is it a column? with_umpa: those with umpa, over their engine alone; else all, over glibc. */
static int is_column(const struct programs *p, size_t arm, int with_umpa)
{
	return arm && (!with_umpa || umpa_arms[arm].alone) && has_arm(p, &umpa_arms[arm]);
}

static const char *base_of(const struct umpa_arm *arm, int with_umpa)
{
	return with_umpa ? arm->alone : umpa_arms[0].name;
}

static void head(const struct programs *p, struct umpa_grid *t, const char *first, int with_umpa)
{
	size_t a;

	umpa_grid_init(t);
	umpa_grid_row(t);
	umpa_grid_text(t, "program");
	if (first)
		umpa_grid_text(t, "glibc, %s", first);
	for (a = 0; a < NARMS; a++)
		if (is_column(p, a, with_umpa))
			umpa_grid_text(t, "%s", umpa_arms[a].name);
}

static void mean_row(
	const struct programs *p, struct umpa_grid *t, const struct measure *m, int with_umpa)
{
	size_t a;

	umpa_grid_row(t);
	umpa_grid_text(t, "geometric mean");
	if (with_umpa)
		umpa_grid_text(t, "%s", "");
	for (a = 0; a < NARMS; a++)
		if (is_column(p, a, with_umpa))
			umpa_grid_number(t,
				mean_ratio(p, umpa_arms[a].name, base_of(&umpa_arms[a], with_umpa),
					m->metric),
				"");
}

static void ratio_table(const struct programs *p, const struct measure *m, int with_umpa)
{
	struct umpa_grid t;
	size_t i, a;

	title(p, with_umpa ? "%s: with umpa, over the same engine alone" : "%s: over glibc alone",
		m->title);
	head(p, &t, with_umpa ? m->unit_title : NULL, with_umpa);
	for (i = 0; i < p->n; i++) {
		umpa_grid_row(&t);
		umpa_grid_text(&t, "%s", p->names[i]);
		if (with_umpa)
			umpa_grid_number(&t,
				umpa_samples_median(
					p->s, &(struct umpa_series){p->names[i], umpa_arms[0].name,
						      m->metric, 0}) /
					m->unit,
				"");
		for (a = 0; a < NARMS; a++)
			if (is_column(p, a, with_umpa))
				umpa_grid_number(&t,
					ratio(p, i, umpa_arms[a].name,
						base_of(&umpa_arms[a], with_umpa), m->metric),
					"");
	}
	mean_row(p, &t, m, with_umpa);
	umpa_grid_print(&t, p->out, p->markdown);
}

static void worst_cell(const struct programs *p, struct umpa_grid *t, const struct umpa_arm *arm,
	const char *metric)
{
	const char *program;
	double worst = worst_ratio(p, arm->name, arm->alone, metric, &program);

	if (isnan(worst))
		umpa_grid_text(t, "-");
	else
		umpa_grid_text(t, "%.2f %s", worst, program);
}

static void summary_row(const struct programs *p, struct umpa_grid *t, const struct umpa_arm *arm)
{
	size_t m;

	umpa_grid_row(t);
	umpa_grid_text(t, "%s", arm->name);
	for (m = 0; m < array_len(measures); m++)
		umpa_grid_number(
			t, mean_ratio(p, arm->name, umpa_arms[0].name, measures[m].metric), "");
	if (!arm->alone)
		return;
	for (m = 0; m < array_len(measures); m++)
		umpa_grid_number(t, mean_ratio(p, arm->name, arm->alone, measures[m].metric), "");
	worst_cell(p, t, arm, WALL_S);
	worst_cell(p, t, arm, PEAK_NBYTES);
}

static void summary_table(const struct programs *p)
{
	static const char *const names[] = {"by", "time / glibc", "CPU", "peak", "faults",
		"time / engine alone", "CPU", "peak", "faults", "worst time", "worst peak"};
	struct umpa_grid t;
	size_t i;

	title(p, "%s", "Geometric means over all programs");
	umpa_grid_init(&t);
	umpa_grid_row(&t);
	for (i = 0; i < array_len(names); i++)
		umpa_grid_text(&t, "%s", names[i]);
	for (i = 0; i < NARMS; i++)
		if (has_arm(p, &umpa_arms[i]))
			summary_row(p, &t, &umpa_arms[i]);
	umpa_grid_print(&t, p->out, p->markdown);
}

/* Does any arm of the program go beyond the measure's bound? */
static int loses(const struct programs *p, size_t i, const struct measure *m)
{
	size_t a;

	for (a = 0; a < NARMS; a++)
		if (is_column(p, a, 1) &&
			ratio(p, i, umpa_arms[a].name, umpa_arms[a].alone, m->metric) > m->most)
			return 1;
	return 0;
}

static void losing_row(
	const struct programs *p, struct umpa_grid *t, size_t i, const struct measure *m)
{
	size_t a;

	umpa_grid_row(t);
	umpa_grid_text(t, "%s, %s", p->names[i], m->short_title);
	for (a = 0; a < NARMS; a++) {
		double r;

		if (!is_column(p, a, 1))
			continue;
		r = ratio(p, i, umpa_arms[a].name, umpa_arms[a].alone, m->metric);
		if (r > m->most)
			umpa_grid_number(t, r, "");
		else
			umpa_grid_text(t, "%s", "");
	}
}

static void losing_table(const struct programs *p)
{
	struct umpa_grid t;
	size_t i, m;

	head(p, &t, NULL, 1);
	for (m = 0; m < array_len(measures); m++)
		for (i = 0; measures[m].most > 0 && i < p->n; i++)
			if (loses(p, i, &measures[m]))
				losing_row(p, &t, i, &measures[m]);
	if (t.nrows == 1)
		return;
	title(p, "%s", "Losing cases: time or processor time above 1.02, peak memory above 1.10");
	umpa_grid_print(&t, p->out, p->markdown);
}

static void tell_wrong(const struct programs *p, const struct umpa_sample *one)
{
	int status = !strcmp(one->metric, ENDED_WELL);

	if (one->value > 0 || (!status && strcmp(one->metric, SAME_OUTPUT) != 0))
		return;
	fprintf(p->out, "%sWRONG: %s by %s %s, repetition %u\n", p->markdown ? "\n" : "", one->test,
		one->method, status ? "failed" : "printed something else than by glibc",
		one->repetition + 1);
}

/* --- targets -----------------------------------------------------------------------------------
 */

#define TARGETS_AN_ARM 3
#define MOST_TARGETS   (NARMS * TARGETS_AN_ARM + 2)

static void set(struct umpa_target *t, const char *text, double limit, double figure,
	const char *arm, const char *program)
{
	*t = (struct umpa_target){.text = text, .limit = limit, .unit = "x", .figure = figure};
	snprintf(t->where, sizeof(t->where), "%s%s%s", arm, *program ? ": " : "", program);
}

static size_t fill_arm(
	const struct programs *p, const struct umpa_arm *arm, struct umpa_target t[TARGETS_AN_ARM])
{
	const char *program;
	double worst;

	set(&t[0], "time / engine alone, geometric mean", MEAN_TIME,
		mean_ratio(p, arm->name, arm->alone, WALL_S), arm->name, "");
	worst = worst_ratio(p, arm->name, arm->alone, WALL_S, &program);
	set(&t[1], "time / engine alone, worst program", MOST_TIME, worst, arm->name, program);
	worst = worst_ratio(p, arm->name, arm->alone, PEAK_NBYTES, &program);
	set(&t[2], "peak memory / engine alone, worst program", MOST_PEAK, worst, arm->name,
		program);
	return TARGETS_AN_ARM;
}

/* The arm with the least mean over glibc alone, among those with umpa or without. */
static const char *best_arm(const struct programs *p, int with_umpa, double *mean)
{
	const char *best = "";
	size_t a;

	*mean = NAN;
	for (a = 0; a < NARMS; a++) {
		double m;

		if ((umpa_arms[a].alone != NULL) != with_umpa || !has_arm(p, &umpa_arms[a]))
			continue;
		m = mean_ratio(p, umpa_arms[a].name, umpa_arms[0].name, WALL_S);
		if (m >= *mean || isnan(m))
			continue;
		*mean = m;
		best = umpa_arms[a].name;
	}
	return best;
}

static size_t fill_targets(const struct programs *p, struct umpa_target t[MOST_TARGETS])
{
	double ours, peers;
	const char *arm;
	size_t a, n = 0;

	for (a = 0; a < NARMS; a++)
		if (is_column(p, a, 1))
			n += fill_arm(p, &umpa_arms[a], t + n);
	arm = best_arm(p, 1, &ours);
	set(&t[n++], "time / glibc alone, geometric mean, best engine", BEST_TIME, ours, arm, "");
	arm = best_arm(p, 0, &peers);
	set(&t[n++], "the same / that of the best engine alone", 1, ours / peers, arm, "");
	return n;
}

void umpa_programs_tables(const struct umpa_samples *s, FILE *out, int markdown)
{
	struct umpa_target targets[MOST_TARGETS];
	struct programs p;
	size_t i, n;

	find_programs(&p, s);
	p.out = out;
	p.markdown = markdown;
	for (i = 0; i < array_len(measures); i++)
		ratio_table(&p, &measures[i], 1);
	ratio_table(&p, &measures[0], 0);
	ratio_table(&p, &measures[2], 0);
	summary_table(&p);
	losing_table(&p);
	n = fill_targets(&p, targets);
	umpa_targets_print(targets, n, out, markdown);
	for (i = 0; i < s->n; i++)
		tell_wrong(&p, &s->v[i]);
}

void umpa_programs_json(const struct umpa_samples *s, FILE *out)
{
	struct umpa_target targets[MOST_TARGETS];
	struct programs p;
	size_t n;

	find_programs(&p, s);
	n = fill_targets(&p, targets);
	umpa_samples_json(s, "programs", targets, n, out);
}
