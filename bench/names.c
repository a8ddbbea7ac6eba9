#include "names.h"

#include <string.h>

int umpa_name_matches(const char *pattern, size_t n, const char *name)
{
	if (n && pattern[n - 1] == '*')
		return !strncmp(pattern, name, n - 1);
	return n == strlen(name) && !strncmp(pattern, name, n);
}

int umpa_name_listed(const char *list, const char *name)
{
	size_t n;

	for (; list; list = list[n] ? list + n + 1 : NULL) {
		n = strcspn(list, ",");
		if (umpa_name_matches(list, n, name))
			return 1;
	}
	return 0;
}

static int matches_any(const char *pattern, size_t nbytes, const char *(*name)(size_t i), size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (umpa_name_matches(pattern, nbytes, name(i)))
			return 1;
	return 0;
}

const char *umpa_name_unknown(
	const char *list, const char *(*name)(size_t i), size_t n, size_t *nbytes)
{
	for (; list; list = list[*nbytes] ? list + *nbytes + 1 : NULL) {
		*nbytes = strcspn(list, ",");
		if (!matches_any(list, *nbytes, name, n))
			return list;
	}
	return NULL;
}
