#include "args.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct umpa_flag *flags_asked;

static const char *flag_name(size_t i)
{
	return flags_asked[i].name;
}

static size_t count_flags(const struct umpa_flag *flags)
{
	size_t n = 0;

	while (flags[n].name)
		n++;
	return n;
}

static int wrong_flag(const struct umpa_args *a, const char *name)
{
	const char *near;

	flags_asked = a->command->flags;
	near = umpa_nearest(name, flag_name, count_flags(flags_asked));
	if (near)
		umpa_say("%s: no option --%s; did you mean --%s?", a->command->name, name, near);
	else
		umpa_say("%s: no option --%s; see 'umpa %s --help'", a->command->name, name,
			a->command->name);
	return ARGS_WRONG;
}

static int take_value(struct umpa_args *a, const char *shown)
{
	if (a->at >= a->argc) {
		umpa_say("%s: option %s needs an argument", a->command->name, shown);
		return -1;
	}
	a->value = a->argv[a->at++];
	return 0;
}

static int long_flag(struct umpa_args *a, const char *text)
{
	const struct umpa_flag *flags = a->command->flags;
	size_t length = strcspn(text, "=");
	char name[32];
	int i;

	if (length >= sizeof(name))
		length = sizeof(name) - 1;
	memcpy(name, text, length);
	name[length] = 0;
	a->at++;
	if (!strcmp(name, "help")) {
		umpa_help_command(a->command);
		return ARGS_HELP;
	}
	for (i = 0; flags[i].name && strcmp(flags[i].name, name); i++)
		;
	if (!flags[i].name)
		return wrong_flag(a, name);
	if (!flags[i].arg && text[length] == '=') {
		umpa_say("%s: option --%s takes no argument", a->command->name, name);
		return ARGS_WRONG;
	}
	if (text[length] == '=')
		a->value = text + length + 1;
	else if (flags[i].arg && take_value(a, a->argv[a->at - 1]))
		return ARGS_WRONG;
	return i;
}

static int short_flag(struct umpa_args *a, const char *group)
{
	const struct umpa_flag *flags = a->command->flags;
	char letter = group[a->letter ? a->letter : 1];
	char shown[3] = {'-', letter, 0};
	int i;

	a->letter = a->letter ? a->letter + 1 : 2;
	for (i = 0; flags[i].name && flags[i].letter != letter; i++)
		;
	if (letter == 'h') {
		umpa_help_command(a->command);
		return ARGS_HELP;
	}
	if (!flags[i].name) {
		umpa_say("%s: no option %s; see 'umpa %s --help'", a->command->name, shown,
			a->command->name);
		return ARGS_WRONG;
	}
	if (flags[i].arg && group[a->letter])
		a->value = group + a->letter;
	if (flags[i].arg || !group[a->letter]) {
		a->letter = 0;
		a->at++;
	}
	if (flags[i].arg && !a->value && take_value(a, shown))
		return ARGS_WRONG;
	return i;
}

int umpa_args_next(struct umpa_args *a)
{
	const char *text;

	a->value = NULL;
	if (a->at >= a->argc)
		return ARGS_END;
	text = a->argv[a->at];
	if (a->letter)
		return short_flag(a, text);
	if (text[0] != '-' || !text[1])
		return ARGS_END;
	if (text[1] != '-')
		return short_flag(a, text);
	if (!text[2]) {
		a->at++;
		return ARGS_END;
	}
	return long_flag(a, text + 2);
}

int umpa_args_count(const struct umpa_args *a, const char *flag, long most, long *out)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(a->value, &end, 10);
	if (!errno && end != a->value && !*end && n >= 1 && n <= most) {
		*out = n;
		return 0;
	}
	umpa_say("%s: option %s takes a count from 1 to %ld, not '%s'", a->command->name, flag,
		most, a->value);
	return -1;
}
