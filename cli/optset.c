#include "optset.h"

#include <stdlib.h>
#include <string.h>

#include <umpa/options.h>

#include "cli.h"
#include "core/options.h"

#define NOPTIONS_MOST 64

static const char *option_name(size_t i)
{
	const char *name = NULL, *text, *help;

	return umpa_option_describe(i, &name, &text, &help) ? "" : name;
}

static size_t count_options(void)
{
	const char *name, *text, *help;
	size_t n = 0;

	while (n < NOPTIONS_MOST && !umpa_option_describe(n, &name, &text, &help))
		n++;
	return n;
}

void umpa_optset_init(struct umpa_optset *s)
{
	const char *text = getenv("UMPA_OPTIONS");

	s->text = text && *text ? umpa_text("%s", text) : NULL;
}

void umpa_optset_fini(struct umpa_optset *s)
{
	free(s->text);
	s->text = NULL;
}

static int is_option(const char *name)
{
	size_t i, n = count_options();
	const char *near;

	for (i = 0; i < n; i++)
		if (!strcmp(option_name(i), name))
			return 1;
	near = umpa_nearest(name, option_name, n);
	if (near)
		umpa_say("no umpa option '%s'; did you mean '%s'?", name, near);
	else
		umpa_say("no umpa option '%s'; see 'umpa options'", name);
	return 0;
}

/* Takes every "name=..." out of the list, in place. */
static void drop(char *list, const char *name)
{
	size_t length = strlen(name), n;
	char *at = list, *out = list;

	for (; *at; at += n + (at[n] == ',')) {
		n = strcspn(at, ",");
		if (n > length && !strncmp(at, name, length) && at[length] == '=')
			continue;
		if (out > list)
			*out++ = ',';
		memmove(out, at, n);
		out += n;
	}
	*out = 0;
}

static int add_one(struct umpa_optset *s, char *assignment)
{
	char *equals = strchr(assignment, '='), *text;
	struct umpa_options parsed;

	if (!equals || !equals[1]) {
		umpa_say("option -o takes name=value, not '%s'", assignment);
		return -1;
	}
	*equals = 0;
	if (!is_option(assignment))
		return -1;
	*equals = '=';
	if (umpa_options_parse(&parsed, assignment, 0)) {
		umpa_say("umpa option %s is refused: not a value it takes; see umpa_options(7)",
			assignment);
		return -1;
	}
	*equals = 0;
	if (s->text)
		drop(s->text, assignment);
	text = umpa_text("%s%s%s=%s", s->text ? s->text : "", s->text && *s->text ? "," : "",
		assignment, equals + 1);
	free(s->text);
	s->text = text;
	return 0;
}

int umpa_optset_add(struct umpa_optset *s, const char *assignments)
{
	char *copy = umpa_text("%s", assignments), *rest = copy, *one;
	int result = *copy ? 0 : -1;

	if (result)
		umpa_say("option -o takes name=value, not ''");
	while (!result && (one = strsep(&rest, ",")))
		result = add_one(s, one);
	free(copy);
	return result;
}
