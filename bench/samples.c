#include "samples.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/measure.h"

#define MOST_REPETITIONS 128

void umpa_samples_fini(struct umpa_samples *s)
{
	free(s->v);
	*s = (struct umpa_samples){0};
}

static struct umpa_sample *add_one(struct umpa_samples *s)
{
	if (s->n == s->capacity) {
		s->capacity = s->capacity ? 2 * s->capacity : 1024;
		s->v = realloc(s->v, s->capacity * sizeof(*s->v));
		if (!s->v)
			exit(umpa_refuse(EXIT_UMPA, "out of memory"));
	}
	return &s->v[s->n++];
}

void umpa_samples_add(
	struct umpa_samples *s, const struct umpa_series *series, unsigned repetition, double value)
{
	struct umpa_sample *one = add_one(s);

	*one = (struct umpa_sample){.repetition = repetition, .bin = series->bin, .value = value};
	snprintf(one->test, sizeof(one->test), "%s", series->test);
	snprintf(one->method, sizeof(one->method), "%s", series->method);
	snprintf(one->metric, sizeof(one->metric), "%s", series->metric);
}

#define CSV_HEAD "test,method,repetition,bin_nbytes,metric,value\n"

void umpa_samples_print(const struct umpa_samples *s, size_t from, int head, FILE *out)
{
	size_t i;

	if (head)
		fputs(CSV_HEAD, out);
	for (i = from; i < s->n; i++) {
		const struct umpa_sample *one = &s->v[i];

		fprintf(out, "%s,%s,%u,%" PRIu64 ",%s,%.15g\n", one->test, one->method,
			one->repetition, one->bin, one->metric, one->value);
	}
}

/* Cuts the next field, up to a comma or the line's end, off *at. */
static const char *next_field(char **at)
{
	char *field = *at;

	*at += strcspn(field, ",\n");
	if (**at)
		*(*at)++ = 0;
	return field;
}

static int load_line(struct umpa_samples *s, char *line)
{
	struct umpa_series series = {0};
	const char *repetition, *bin, *value;
	char *end;
	double number;

	series.test = next_field(&line);
	series.method = next_field(&line);
	repetition = next_field(&line);
	bin = next_field(&line);
	series.metric = next_field(&line);
	value = next_field(&line);
	number = strtod(value, &end);
	if (end == value || *end)
		return -EINVAL;
	series.bin = strtoull(bin, NULL, 10);
	umpa_samples_add(s, &series, (unsigned)strtoul(repetition, NULL, 10), number);
	return 0;
}

static int load(struct umpa_samples *s, FILE *f)
{
	char line[256];
	int error = 0;

	if (!fgets(line, sizeof(line), f))
		return ferror(f) ? -errno : -EINVAL;
	if (strcmp(line, CSV_HEAD) != 0)
		return -EINVAL;
	while (!error && fgets(line, sizeof(line), f))
		if (strchr(line, '\n') || !feof(f))
			error = load_line(s, line);
	return error;
}

int umpa_samples_load(struct umpa_samples *s, const char *path)
{
	FILE *f = fopen(path, "re");
	int error;

	if (!f)
		return -errno;
	error = load(s, f);
	fclose(f);
	return error;
}

static int belongs(const struct umpa_sample *one, const struct umpa_series *series)
{
	return one->bin == series->bin && !strcmp(one->metric, series->metric) &&
	       !strcmp(one->test, series->test) && !strcmp(one->method, series->method);
}

/* The figure of one repetition; NAN if it has none. */
static double figure_of(
	const struct umpa_samples *s, const struct umpa_series *series, unsigned repetition)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i].repetition == repetition && belongs(&s->v[i], series))
			return s->v[i].value;
	return NAN;
}

static double median_or_nan(double *v, size_t n)
{
	return n ? umpa_median(v, n) : NAN;
}

double umpa_samples_median(const struct umpa_samples *s, const struct umpa_series *series)
{
	double v[MOST_REPETITIONS];
	size_t i, n = 0;

	for (i = 0; i < s->n && n < MOST_REPETITIONS; i++)
		if (belongs(&s->v[i], series))
			v[n++] = s->v[i].value;
	return median_or_nan(v, n);
}

double umpa_samples_ratio(const struct umpa_samples *s, const struct umpa_series *over,
	const struct umpa_series *under)
{
	return umpa_samples_ratio_to_least(s, over, under, &under->method, 1);
}

static double least_of(const struct umpa_samples *s, const struct umpa_series *below,
	const char *const methods[], size_t n, unsigned repetition)
{
	struct umpa_series series = *below;
	double least = NAN;
	size_t i;

	for (i = 0; i < n; i++) {
		double figure;

		series.method = methods[i];
		figure = figure_of(s, &series, repetition);
		if (isnan(least) || figure < least)
			least = figure;
	}
	return least;
}

double umpa_samples_ratio_to_least(const struct umpa_samples *s, const struct umpa_series *over,
	const struct umpa_series *below, const char *const methods[], size_t n)
{
	double v[MOST_REPETITIONS];
	size_t i, nratios = 0;

	for (i = 0; i < s->n && nratios < MOST_REPETITIONS; i++) {
		double least;

		if (!belongs(&s->v[i], over))
			continue;
		least = least_of(s, below, methods, n, s->v[i].repetition);
		if (least > 0)
			v[nratios++] = s->v[i].value / least;
	}
	return median_or_nan(v, nratios);
}

uint64_t umpa_samples_bin(
	const struct umpa_samples *s, const char *test, const char *metric, size_t i)
{
	uint64_t last = 0;

	do {
		uint64_t next = UINT64_MAX;
		size_t j;

		for (j = 0; j < s->n; j++) {
			const struct umpa_sample *one = &s->v[j];

			if (one->bin > last && one->bin < next && !strcmp(one->metric, metric) &&
				!strcmp(one->test, test))
				next = one->bin;
		}
		if (next == UINT64_MAX)
			return 0;
		last = next;
	} while (i--);
	return last;
}
