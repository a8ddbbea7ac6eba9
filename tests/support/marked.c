#include "marked.h"

#include <string.h>

#include "fake_os.h"

#define PAGE ((size_t)4096)

enum {
	NPLACES = 3
};
static const size_t places[NPLACES] = {8, 2040, 4088};

int marked_fronts_only;

void mark(char *p, size_t nbytes, uint64_t value)
{
	for (size_t at = 0; at < nbytes; at += PAGE)
		for (size_t i = 0; i < NPLACES; i++) {
			uint64_t word = value + at + i;

			memcpy(p + at + places[i], &word, sizeof(word));
		}
}

uint64_t count_unmarked(const char *p, size_t nbytes, uint64_t value)
{
	uint64_t n = 0, word;

	for (size_t at = 0; at < nbytes; at += PAGE)
		for (size_t i = 0; i < (marked_fronts_only ? 1 : NPLACES); i++) {
			memcpy(&word, p + at + places[i], sizeof(word));
			n += word != value + at + i;
		}
	return n;
}

uint64_t count_not_zero(const char *p, size_t nbytes)
{
	size_t npage = marked_fronts_only ? FAKE_TAG_NBYTES : PAGE;
	uint64_t n = 0;

	for (size_t at = 0; at < nbytes; at += PAGE)
		n += p[at] || memcmp(p + at, p + at + 1, npage - 1) != 0;
	return n;
}
