/* umpa bench programs: the command line. */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/interrupt.h"
#include "csv.h"
#include "programs.h"
#include "report.h"

#define CSV_NAME       "programs"
#define MOST_REPEATED  99
#define USUAL_REPEATED 5

enum {
	FLAG_REPETITIONS,
	FLAG_SHORT,
	FLAG_CSV,
	FLAG_FROM,
	FLAG_ONLY,
	FLAG_ARMS,
	FLAG_JSON,
	FLAG_MARKDOWN
};

const struct umpa_flag umpa_programs_flags[] = {
	[FLAG_REPETITIONS] = {'n', "repetitions", "N",
		"repeat N times, taking turns (5; short form: 1)"},
	[FLAG_SHORT] = {0, "short", NULL,
		"small inputs: whether results are the same, not what they cost"},
	[FLAG_CSV] = {0, "csv", "DIR",
		"keep the raw figures in DIR/" CSV_NAME ".csv, beside those of other "
		"programs, and draw DIR/programs.svg and .png"},
	[FLAG_FROM] = {0, "from", "DIR", "run nothing: tables and chart from DIR/" CSV_NAME ".csv"},
	[FLAG_ONLY] = {0, "only", "LIST",
		"run these programs only; 'x*' stands for all that begin so"},
	[FLAG_ARMS] = {0, "arms", "LIST",
		"by these arms only, beside glibc: jemalloc, umpa, umpa-jemalloc, "
		"umpa-system-huge "
		"..."},
	[FLAG_JSON] = {0, "json", NULL, "print one JSON object"},
	[FLAG_MARKDOWN] = {0, "markdown", NULL, "print Markdown tables"},
	{0},
};

struct request {
	struct umpa_programs programs;
	const char *dir, *from;
	struct umpa_csv csv; /* in dir */
	int json, markdown;
};

static int take_flag(struct request *q, const struct umpa_args *a, int flag)
{
	long n;

	switch (flag) {
	case FLAG_REPETITIONS:
		if (umpa_args_count(a, "-n", MOST_REPEATED, &n))
			return -1;
		q->programs.nrepetitions = (unsigned)n;
		break;
	case FLAG_SHORT:
		q->programs.brief = 1;
		break;
	case FLAG_CSV:
		q->dir = a->value;
		break;
	case FLAG_FROM:
		q->from = a->value;
		break;
	case FLAG_ONLY:
		q->programs.only = a->value;
		break;
	case FLAG_ARMS:
		q->programs.arms = a->value;
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

/* Something is asked of a run. */
static int is_about_run(const struct request *q)
{
	const struct umpa_programs *p = &q->programs;

	return q->dir || p->only || p->arms || p->brief || p->nrepetitions;
}

static void print(const struct umpa_samples *s, const struct request *q)
{
	if (q->json)
		umpa_programs_json(s, stdout);
	else
		umpa_programs_tables(s, stdout, q->markdown);
}

/* From all that is kept, as --from does. */
static int draw(const struct request *q)
{
	struct umpa_samples samples = {0};
	int error = umpa_samples_load(&samples, q->csv.path);

	error = error ? umpa_refuse(-1, "bench: %s: %s", q->csv.path, strerror(-error))
		      : umpa_programs_plot(&samples, q->dir);
	umpa_samples_fini(&samples);
	return error;
}

static int measure(const struct request *q, struct umpa_samples *s)
{
	int nfailures = umpa_programs_run(&q->programs, s), status = EXIT_FINE;

	if (nfailures < 0)
		return EXIT_UMPA;
	if (nfailures)
		status = umpa_refuse(EXIT_LESS, "bench: %d runs FAILED", nfailures);
	if (!s->n)
		return nfailures ? status : umpa_refuse(EXIT_UMPA, "bench: nothing was measured");
	if (umpa_interrupted())
		umpa_say("bench: cut short; this is what was measured until then");
	print(s, q);
	return status;
}

static int measure_and_keep(struct request *q, struct umpa_samples *s)
{
	int status;

	if (umpa_csv_open(&q->csv, q->dir, CSV_NAME))
		return EXIT_UMPA;
	q->programs.csv = &q->csv;
	status = measure(q, s);
	if (umpa_csv_close(&q->csv) || (s->n && !umpa_interrupted() && draw(q)))
		return status == EXIT_UMPA ? status : EXIT_LESS;
	return status;
}

static int report(const struct request *q, struct umpa_samples *s)
{
	if (umpa_csv_load(q->from, CSV_NAME, s))
		return EXIT_UMPA;
	print(s, q);
	return umpa_programs_plot(s, q->from) ? EXIT_LESS : EXIT_FINE;
}

int umpa_programs_command(const struct umpa_command *c, int argc, char **argv)
{
	struct umpa_args a = ARGS_OF(c, argc, argv);
	struct umpa_samples samples = {0};
	struct request q = {0};
	int flag, status;

	while ((flag = umpa_args_next(&a)) >= 0)
		if (take_flag(&q, &a, flag))
			return EXIT_USAGE;
	if (flag != ARGS_END)
		return flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE;
	if (a.at < argc)
		return umpa_refuse(EXIT_USAGE, "bench: programs takes no operand: %s", argv[a.at]);
	if (umpa_report_check(q.json, q.markdown, q.from && is_about_run(&q)) ||
		umpa_programs_check(&q.programs))
		return EXIT_USAGE;
	if (!q.programs.nrepetitions)
		q.programs.nrepetitions = q.programs.brief ? 1 : USUAL_REPEATED;
	umpa_interrupt_catch();
	if (q.from)
		status = report(&q, &samples);
	else
		status = q.dir ? measure_and_keep(&q, &samples) : measure(&q, &samples);
	umpa_samples_fini(&samples);
	return status;
}
