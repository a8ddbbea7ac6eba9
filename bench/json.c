#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "report.h"

static void print_number(FILE *out, double value)
{
	if (isfinite(value))
		fprintf(out, "%.15g", value);
	else
		fputs("null", out);
}

static int same_series(const struct umpa_sample *a, const struct umpa_sample *b)
{
	return a->bin == b->bin && !strcmp(a->metric, b->metric) && !strcmp(a->test, b->test) &&
	       !strcmp(a->method, b->method);
}

static int is_first(const struct umpa_samples *s, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (same_series(&s->v[j], &s->v[i]))
			return 0;
	return 1;
}

static void print_series(const struct umpa_samples *s, size_t first, FILE *out)
{
	const struct umpa_sample *one = &s->v[first];
	const char *comma = "";
	size_t i;

	fprintf(out,
		"{\"test\":\"%s\",\"method\":\"%s\",\"bin_nbytes\":%" PRIu64 ",\"metric\":\"%s\"",
		one->test, one->method, one->bin, one->metric);
	fputs(",\"median\":", out);
	print_number(out, umpa_samples_median(s, &(struct umpa_series){one->test, one->method,
							 one->metric, one->bin}));
	fputs(",\"samples\":[", out);
	for (i = first; i < s->n; i++) {
		if (!same_series(&s->v[i], one))
			continue;
		fputs(comma, out);
		print_number(out, s->v[i].value);
		comma = ",";
	}
	fputs("]}", out);
}

static void print_target(const struct umpa_target *t, FILE *out)
{
	fprintf(out, "{\"target\":\"%s\",\"%s\":", t->text, t->at_least ? "at_least" : "at_most");
	print_number(out, t->limit);
	fputs(",\"measured\":", out);
	print_number(out, t->figure);
	fprintf(out, ",\"reached\":%s}",
		isnan(t->figure)         ? "null"
		: umpa_target_reached(t) ? "true"
					 : "false");
}

void umpa_samples_json(const struct umpa_samples *s, const char *bench,
	const struct umpa_target *targets, size_t n, FILE *out)
{
	const char *comma = "";
	size_t i;

	fprintf(out, "{\"bench\":\"%s\",\"results\":[\n", bench);
	for (i = 0; i < s->n; i++) {
		if (!is_first(s, i))
			continue;
		fputs(comma, out);
		print_series(s, i, out);
		comma = ",\n";
	}
	fputs("\n],\"targets\":[\n", out);
	for (i = 0; i < n; i++) {
		fputs(i ? ",\n" : "", out);
		print_target(&targets[i], out);
	}
	fputs("\n]}\n", out);
}

void umpa_report_json(enum umpa_bench_id bench, const struct umpa_samples *s, FILE *out)
{
	struct umpa_target t[NTARGETS];
	size_t n = umpa_targets_fill(bench, s, t);

	umpa_samples_json(s, umpa_benches[bench].name, t, n, out);
}
