/* The command table, help and dispatch. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <umpa/version.h>

#include "args.h"
#include "cli.h"
#include "interrupt.h"

const struct umpa_command *const umpa_commands[] = {
	&umpa_cmd_run,
	&umpa_cmd_compare,
	&umpa_cmd_doctor,
	&umpa_cmd_options,
	&umpa_cmd_bench,
	&umpa_cmd_help,
	NULL,
};

static const char *command_name(size_t i)
{
	return umpa_commands[i]->name;
}

const struct umpa_command *umpa_command_find(const char *name)
{
	const char *near;
	size_t i;

	for (i = 0; umpa_commands[i]; i++)
		if (!strcmp(umpa_commands[i]->name, name))
			return umpa_commands[i];
	near = umpa_nearest(name, command_name, i);
	if (near)
		umpa_say("no command '%s'; did you mean '%s'?", name, near);
	else
		umpa_say("no command '%s'; see 'umpa help'", name);
	return NULL;
}

static void print_flag(const struct umpa_flag *flag)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s--%s%s%s", flag->letter ? '-' : ' ',
		flag->letter ? flag->letter : ' ', flag->letter ? ", " : "  ", flag->name,
		flag->arg ? " " : "", flag->arg ? flag->arg : "");
	printf("  %-24s %s\n", left, flag->help);
}

void umpa_help_command(const struct umpa_command *c)
{
	static const struct umpa_flag help = {'h', "help", NULL, "this text"};
	size_t i;

	printf("usage: umpa %s%s%s%s\n\n%s\n", c->name,
		c->flags && c->flags[0].name ? " [options]" : "", *c->operands ? " " : "",
		c->operands, c->summary);
	if (c->text)
		printf("\n%s", c->text);
	if (!c->flags)
		return;
	printf("\noptions:\n");
	for (i = 0; c->flags[i].name; i++)
		print_flag(&c->flags[i]);
	print_flag(&help);
}

void umpa_help_all(void)
{
	size_t i;

	printf("usage: umpa COMMAND [options]\n\n"
	       "A user-mode page allocator: try it on a program, see what it does here.\n\n"
	       "commands:\n");
	for (i = 0; umpa_commands[i]; i++)
		printf("  %-10s %s\n", umpa_commands[i]->name, umpa_commands[i]->summary);
	printf("\n'umpa help COMMAND' says more; 'umpa --version' prints the version.\n");
}

static int run_help(const struct umpa_command *c, int argc, char **argv)
{
	struct umpa_args a = ARGS_OF(c, argc, argv);
	int flag = umpa_args_next(&a);

	if (flag != ARGS_END)
		return flag == ARGS_HELP ? EXIT_FINE : EXIT_USAGE;
	if (a.at == argc) {
		umpa_help_all();
		return EXIT_FINE;
	}
	if (argc - a.at > 1)
		return umpa_refuse(EXIT_USAGE, "help: one command at a time");
	c = umpa_command_find(argv[a.at]);
	if (!c)
		return EXIT_USAGE;
	umpa_help_command(c);
	return EXIT_FINE;
}

static const struct umpa_flag no_flags[] = {{0}};

const struct umpa_command umpa_cmd_help = {
	.name = "help",
	.operands = "[COMMAND]",
	.summary = "Say what a command does and which options it takes.",
	.flags = no_flags,
	.run = run_help,
};

static int dispatch(int argc, char **argv)
{
	const struct umpa_command *c;

	if (argc < 2)
		return umpa_refuse(EXIT_USAGE, "a command is missing; see 'umpa help'");
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("umpa %s\n", UMPA_VERSION);
		return EXIT_FINE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		umpa_help_all();
		return EXIT_FINE;
	}
	if (argv[1][0] == '-')
		return umpa_refuse(EXIT_USAGE, "no option %s; see 'umpa help'", argv[1]);
	c = umpa_command_find(argv[1]);
	return c ? c->run(c, argc - 1, argv + 1) : EXIT_USAGE;
}

int main(int argc, char **argv)
{
	int status = dispatch(argc, argv);

	if (fflush(stdout) || ferror(stdout))
		return umpa_refuse(
			EXIT_UMPA, "can't write to standard output: %s", strerror(errno));
	umpa_interrupt_end();
	return status;
}
