/*
 * What libc's users know for looking into malloc: the engine's figures and umpa's in one answer.
 * umpa's blocks count as what glibc takes from mmap, its free memory as free memory of a heap.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "base/compiler.h"
#include "core/stats.h"
#include "heap/huge.h"
#include "shim/next.h"

/* --- mallinfo ------------------------------------------------------------------------------- */

static void add_ours(struct mallinfo2 *m)
{
	struct umpa_stats st;
	size_t nfree;

	umpa_stats_so_far(&st);
	nfree = st.pool_nbytes + st.run_free_nbytes;
	m->hblks += st.nblocks;
	m->hblkhd += st.block_nbytes;
	m->arena += nfree;
	m->fordblks += nfree;
	m->keepcost += st.pool_nbytes;
}

public_api struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 (*next)(void), m = {0};

	umpa_find_next("mallinfo2", &next);
	if (next)
		m = next();
	add_ours(&m);
	return m;
}

/* As glibc does: what is more than an int holds wraps around. */
public_api struct mallinfo mallinfo(void)
{
	struct mallinfo2 m = mallinfo2();

	return (struct mallinfo){(int)m.arena, (int)m.ordblks, (int)m.smblks, (int)m.hblks,
		(int)m.hblkhd, (int)m.usmblks, (int)m.fsmblks, (int)m.uordblks, (int)m.fordblks,
		(int)m.keepcost};
}

/* --- malloc_stats, malloc_info -------------------------------------------------------------- */

public_api void malloc_stats(void)
{
	void (*next)(void);

	umpa_find_next("malloc_stats", &next);
	if (next)
		next();
	fflush(stderr);
	umpa_stats_print(STDERR_FILENO);
}

static void print_ours(FILE *f)
{
	struct umpa_stats st;

	umpa_stats_so_far(&st);
	fprintf(f, "<umpa mover=\"%s\">\n", umpa_mover_so_far());
#define UMPA_STAT(name, help)                                                                      \
	fprintf(f, "<counter name=\"" #name "\" value=\"%llu\"/>\n", (unsigned long long)st.name);
#include <umpa/stats.def>
#undef UMPA_STAT
	fputs("</umpa>\n", f);
}

/* The engine's document, malloc'ed, or NULL and errno. */
static char *engines_document(int options)
{
	int (*next)(int options, FILE *f);
	char *text = NULL;
	size_t nbytes;
	int failed;
	FILE *f;

	umpa_find_next("malloc_info", &next);
	f = next ? open_memstream(&text, &nbytes) : NULL;
	if (!f)
		return NULL;
	failed = next(options, f);
	if (!fclose(f) && !failed)
		return text;
	free(text);
	return NULL;
}

public_api int malloc_info(int options, FILE *f)
{
	static const char end[] = "</malloc>";
	char *text, *at;

	if (options) {
		errno = EINVAL;
		return -1;
	}
	text = engines_document(options);
	at = text ? strstr(text, end) : NULL;
	if (at)
		fwrite(text, 1, (size_t)(at - text), f);
	else
		fputs("<malloc version=\"1\">\n", f);
	print_ours(f);
	fprintf(f, "%s\n", end);
	free(text);
	return ferror(f) ? -1 : 0;
}

/* --- malloc_trim ---------------------------------------------------------------------------- */

public_api int malloc_trim(size_t keep_nbytes)
{
	int (*next)(size_t keep_nbytes);
	int trimmed;

	umpa_huge_stop();
	umpa_find_next("malloc_trim", &next);
	trimmed = next ? next(keep_nbytes) : 0;
	return umpa_stats_started() && umpa_trim(keep_nbytes) ? 1 : trimmed;
}
