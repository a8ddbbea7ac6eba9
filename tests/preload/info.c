/* mallinfo, malloc_info, malloc_stats and malloc_trim tell of umpa's blocks and of the engine's. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "expect.h"

#define MIB ((size_t)1 << 20)

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo */

static unsigned long info(void)
{
	struct mallinfo2 before = mallinfo2(), with, after;
	char *p = malloc(100 * MIB), *q = malloc(1000);

	tag(p, 100 * MIB, 1);
	with = mallinfo2();
	EXPECT(with.hblks == before.hblks + 1);
	EXPECT(with.hblkhd == before.hblkhd + 100 * MIB);
	EXPECT((int)with.hblks == mallinfo().hblks && (int)with.hblkhd == mallinfo().hblkhd);
	free(p);
	after = mallinfo2();
	EXPECT(after.hblks == before.hblks && after.hblkhd == before.hblkhd);
	EXPECT(after.fordblks >= before.fordblks + 100 * MIB);
	EXPECT(after.keepcost >= 100 * MIB);
	EXPECT(after.arena >= after.fordblks);
	free(q);
	return 7;
}

static unsigned long trim(void)
{
	EXPECT(mallinfo2().keepcost >= 100 * MIB);
	EXPECT(malloc_trim(10 * MIB) == 1);
	EXPECT(mallinfo2().keepcost < 12 * MIB);
	return 3;
}

static char text[1 << 16];

/* What the function writes to a stream, or to standard error, into text. */
static void read_all(int fd)
{
	ssize_t n, total = 0;

	lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, text + total, sizeof(text) - 1 - (size_t)total)) > 0)
		total += n;
	text[total] = 0;
}

static unsigned long documents(void)
{
	FILE *f = tmpfile();
	int kept = dup(STDERR_FILENO);
	const char *ours;

	EXPECT(f && kept >= 0);
	EXPECT(malloc_info(0, f) == 0 && !fflush(f));
	read_all(fileno(f));
	ours = strstr(text, "<umpa mover=");
	EXPECT(!strncmp(text, "<malloc", 7) && ours);
	EXPECT(ours && strstr(ours, "<counter name=\"nblocks\" value=\"") &&
		strstr(ours, "</umpa>\n</malloc>\n"));
	errno = 0;
	EXPECT(malloc_info(1, f) == -1 && errno == EINVAL);

	dup2(fileno(f), STDERR_FILENO);
	EXPECT(!ftruncate(fileno(f), 0) && !lseek(fileno(f), 0, SEEK_SET));
	malloc_stats();
	dup2(kept, STDERR_FILENO);
	read_all(fileno(f));
	EXPECT(strstr(text, "umpa: nblocks "));
	fclose(f);
	close(kept);
	f = fopen("/dev/full", "w");
	EXPECT(f && !setvbuf(f, NULL, _IONBF, 0) && malloc_info(0, f) == -1);
	fclose(f);
	return 8;
}

int main(void)
{
	unsigned long n = info();

	n += trim();
	n += documents();
	return expect_end(n);
}
