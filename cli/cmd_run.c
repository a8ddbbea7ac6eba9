/* umpa run: becomes the program, with umpa preloaded. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "args.h"
#include "cli.h"
#include "engine.h"
#include "optset.h"
#include "preload.h"
#include "program.h"

/* One that was named may be none: the loader would go on without it. */
static char *find_library(void)
{
	char *library = umpa_preload_find();

	if (library && getenv("UMPA_PRELOAD") && !umpa_preload_loads(library)) {
		free(library);
		return NULL;
	}
	return library;
}

static int become(
	char **argv, const struct umpa_optset *options, const struct umpa_engine_library *engine)
{
	char *library, *chain, **envp;
	int unfit, status = umpa_program_check(argv[0], &unfit);

	if (status)
		return status;
	if (unfit) {
		execvp(argv[0], argv);
		return umpa_program_refused(argv[0], errno);
	}
	library = find_library();
	chain = library ? umpa_engine_chain(library, engine) : NULL;
	free(library);
	if (!chain)
		return EXIT_UMPA;
	envp = umpa_preload_environment(chain, options->text, umpa_engine_setting(engine));
	free(chain);
	execvpe(argv[0], argv, envp);
	return umpa_program_refused(argv[0], errno);
}

enum {
	FLAG_OPTION,
	FLAG_ENGINE
};

static const struct umpa_flag flags[] = {
	[FLAG_OPTION] = {'o', "option", "NAME=VALUE",
		"set an umpa option for the program; may be repeated"},
	[FLAG_ENGINE] = {0, "engine", "ENGINE",
		"who serves small blocks: system (default), system-huge, jemalloc, tcmalloc, "
		"mimalloc"},
	{0},
};

static int run_run(const struct umpa_command *c, int argc, char **argv)
{
	struct umpa_args a = ARGS_OF(c, argc, argv);
	const struct umpa_engine_library *engine = NULL;
	struct umpa_optset options;
	int flag;

	umpa_optset_init(&options);
	while ((flag = umpa_args_next(&a)) >= 0)
		if (flag == FLAG_ENGINE ? !(engine = umpa_engine_named(a.value))
					: umpa_optset_add(&options, a.value))
			return EXIT_USAGE;
	if (flag != ARGS_END)
		return flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE;
	if (a.at == argc)
		return umpa_refuse(EXIT_USAGE, "run: a program is missing: umpa run -- PROG ARGS");
	return become(argv + a.at, &options, engine);
}

const struct umpa_command umpa_cmd_run = {
	.name = "run",
	.operands = "[--] PROG [ARGS]",
	.summary = "Run a program on umpa.",
	.text = "The program gets libumpa-preload.so ahead of LD_PRELOAD's other libraries, and "
		"the\n"
		"options of -o on top of UMPA_OPTIONS. UMPA_PRELOAD overrides where the library "
		"is.\n"
		"An engine is another malloc, preloaded right after umpa's, that serves what umpa "
		"passes\n"
		"on: blocks below 64 KiB (option malloc_min). system-huge is the program's own "
		"malloc with\n"
		"its heap in huge pages (GLIBC_TUNABLES=glibc.malloc.hugetlb=1); tcmalloc gets\n"
		"TCMALLOC_SKIP_SBRK=1, so that its memory is umpa's; neither if the variable is "
		"set.\n"
		"\n"
		"exit status: the program's; 127 no such program, 126 it can't be run, 125 umpa's "
		"library\n"
		"or the engine's can't be found, 2 wrong usage.\n",
	.flags = flags,
	.run = run_run,
};
