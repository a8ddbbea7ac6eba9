/* umpa options: the table of options with their values here. */
#include <stdlib.h>

#include <umpa/options.h>

#include "args.h"
#include "cli.h"
#include "json.h"
#include "optset.h"
#include "rows.h"

static const struct umpa_column columns[] = {
	{"option", "name", 0},
	{"value", "value", 0},
	{"default", "default", 0},
	{"from", "origin", 0},
	{"meaning", "help", 0},
};

static void fill(struct umpa_rows *t)
{
	const char *name, *text, *help;
	char value[64], origin[64];
	size_t i;

	for (i = 0; !umpa_option_describe(i, &name, &text, &help); i++) {
		if (umpa_option_text(name, value, sizeof(value), origin, sizeof(origin)))
			continue;
		umpa_rows_text(t, name);
		umpa_rows_text(t, value);
		umpa_rows_text(t, text);
		umpa_rows_text(t, origin);
		umpa_rows_text(t, help);
	}
}

static int show(int as_json)
{
	struct umpa_rows t = ROWS_OF(columns);

	fill(&t);
	if (as_json) {
		umpa_rows_json(&t, stdout, 0);
		putchar('\n');
	} else {
		umpa_rows_print(&t, stdout);
	}
	umpa_rows_fini(&t);
	return EXIT_FINE;
}

static int run_options(const struct umpa_command *c, int argc, char **argv)
{
	struct umpa_args a = ARGS_OF(c, argc, argv);
	struct umpa_optset options;
	int as_json = 0, flag;

	umpa_optset_init(&options);
	while ((flag = umpa_args_next(&a)) >= 0) {
		if (c->flags[flag].letter != 'o')
			as_json = 1;
		else if (umpa_optset_add(&options, a.value))
			return EXIT_USAGE;
	}
	if (flag != ARGS_END)
		return flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE;
	if (a.at < argc)
		return umpa_refuse(
			EXIT_USAGE, "options: '%s' is one argument too many", argv[a.at]);
	/* The library reads the variable when it is first used, which is later. */
	if (options.text)
		setenv("UMPA_OPTIONS", options.text, 1);
	umpa_optset_fini(&options);
	return show(as_json);
}

static const struct umpa_flag flags[] = {
	{'o', "option", "NAME=VALUE", "set an option first, as for umpa run; may be repeated"},
	{0, "json", NULL, "print JSON"},
	{0},
};

const struct umpa_command umpa_cmd_options = {
	.name = "options",
	.operands = "",
	.summary = "List umpa's options, their values here and where those come from.",
	.text = "Options are set by UMPA_OPTIONS=\"name=value,name=value\" in the environment, or "
		"with -o\n"
		"where a command starts a program. umpa_options(7) says when to use which.\n",
	.flags = flags,
	.run = run_options,
};
