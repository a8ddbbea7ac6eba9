/* umpa doctor: what umpa can do on this system, and what keeps it from doing more. */
#include <string.h>

#include <umpa/version.h>

#include "args.h"
#include "cli.h"
#include "doctor.h"
#include "json.h"

enum {
	COLUMN_STATE,
	COLUMN_CHECK,
	COLUMN_VALUE,
	COLUMN_WHY,
	COLUMN_FIX,
	NCOLUMNS
};

static const struct umpa_column columns[NCOLUMNS] = {
	[COLUMN_STATE] = {"", "state", 0},
	[COLUMN_CHECK] = {"check", "check", 0},
	[COLUMN_VALUE] = {"found", "value", 0},
	[COLUMN_WHY] = {NULL, "why", 0},
	[COLUMN_FIX] = {NULL, "fix", 0},
};

static const char *const state_names[] = {"ok", "note", "problem"};

void umpa_finding(struct umpa_findings *f, enum umpa_state state, const char *check,
	const char *value, const char *why, const char *fix)
{
	umpa_rows_text(&f->rows, state_names[state]);
	umpa_rows_text(&f->rows, check);
	umpa_rows_text(&f->rows, value);
	umpa_rows_text(&f->rows, why);
	umpa_rows_text(&f->rows, state == STATE_OK ? NULL : fix);
	f->nproblems += state == STATE_PROBLEM;
}

static void print_advice(const struct umpa_rows *rows)
{
	size_t i;

	for (i = 0; i < rows->ncells / NCOLUMNS; i++) {
		const char *why = umpa_rows_cell(rows, i, COLUMN_WHY);
		const char *fix = umpa_rows_cell(rows, i, COLUMN_FIX);

		if (!why && !fix)
			continue;
		printf("\n%s: %s\n", umpa_rows_cell(rows, i, COLUMN_STATE),
			umpa_rows_cell(rows, i, COLUMN_CHECK));
		if (why)
			printf("    %s\n", why);
		if (fix)
			printf("    to change it: %s\n", fix);
	}
}

static void print_table(const struct umpa_findings *f)
{
	umpa_rows_print(&f->rows, stdout);
	print_advice(&f->rows);
	if (f->nproblems)
		printf("\numpa works here with less than it could: %d problem%s\n", f->nproblems,
			f->nproblems > 1 ? "s" : "");
	else
		printf("\numpa works fully here\n");
}

static void print_json(const struct umpa_findings *f)
{
	printf("{\n  \"version\": \"%s\",\n  \"mover\": ", UMPA_VERSION);
	umpa_json_string(stdout, f->mover);
	printf(",\n  \"works\": \"%s\",\n  \"problems\": %d,\n  \"findings\": ",
		f->nproblems ? "with less" : "fully", f->nproblems);
	umpa_rows_json(&f->rows, stdout, 2);
	printf("\n}\n");
}

static int examine(int as_json)
{
	struct umpa_findings f = {.rows = ROWS_OF(columns)};

	umpa_find_library(&f);
	umpa_find_movers(&f);
	umpa_find_system(&f);
	umpa_find_bare_metal(&f);
	umpa_find_peers(&f);
	if (as_json)
		print_json(&f);
	else
		print_table(&f);
	umpa_rows_fini(&f.rows);
	return f.nproblems ? EXIT_LESS : EXIT_FINE;
}

static int run_doctor(const struct umpa_command *c, int argc, char **argv)
{
	struct umpa_args a = ARGS_OF(c, argc, argv);
	int as_json = 0, flag;

	while ((flag = umpa_args_next(&a)) >= 0)
		as_json = 1;
	if (flag != ARGS_END)
		return flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE;
	if (a.at < argc)
		return umpa_refuse(EXIT_USAGE, "doctor: '%s' is one argument too many", argv[a.at]);
	return examine(as_json);
}

static const struct umpa_flag flags[] = {
	{0, "json", NULL, "print JSON"},
	{0},
};

const struct umpa_command umpa_cmd_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "Say how well umpa works on this system, why, and what would change it.",
	.text = "Each finding is ok, a note (worth knowing) or a problem (umpa does less than it "
		"could).\n"
		"The movers are really tried, in a small window of their own. Commands that "
		"change\n"
		"kernel settings are for root.\n"
		"\n"
		"exit status: 0 umpa works fully, 1 it works with less, 2 wrong usage.\n",
	.flags = flags,
	.run = run_doctor,
};
