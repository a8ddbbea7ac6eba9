/*
 * What programs do to pages of their malloc's blocks by other calls, and free them so: a guard
 * page, memory that fork leaves out, a lock, a file mapped over. With glibc's own malloc such
 * blocks are mappings of their own, so all of it is right.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

enum {
	PAGE = 4096,
	ROUNDS = 40,
	RW = PROT_READ | PROT_WRITE
};

static uint64_t state = 2011;

/* Each page of a new block is ordinary: it can be read and written and is this process's alone. */
static int works(size_t nbytes)
{
	char *p = aligned_alloc(PAGE, nbytes);
	int ok = p != NULL;

	for (size_t at = 0; ok && at < nbytes; at += PAGE)
		p[at] = 1;
	free(p);
	return ok;
}

static char *block(size_t *nbytes)
{
	*nbytes = ((size_t)256 << 10) + random_next(&state) % ((size_t)8 << 20) / PAGE * PAGE;
	return aligned_alloc(PAGE, *nbytes);
}

static void guard(char *p, size_t nbytes)
{
	EXPECT(!mprotect(p, PAGE, PROT_NONE));
	EXPECT(!mprotect(p + nbytes - PAGE, PAGE, PROT_READ));
}

static void change_and_restore(char *p, size_t nbytes)
{
	tag(p, nbytes, nbytes);
	EXPECT(!mprotect(p, nbytes, PROT_READ));
	EXPECT(tagged(p, nbytes, nbytes));
	EXPECT(!mprotect(p, nbytes, RW));
	tag(p, nbytes, nbytes + 1);
}

static void advise(char *p, size_t nbytes)
{
	pid_t child;
	int status = 0;

	p[PAGE] = 'x';
	EXPECT(!madvise(p, nbytes, MADV_WIPEONFORK));
	child = fork();
	if (!child)
		_exit(p[PAGE] == 0 ? 7 : 1);
	EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) &&
		WEXITSTATUS(status) == 7 && p[PAGE] == 'x');
	EXPECT(!madvise(p, nbytes, MADV_DONTNEED) && p[PAGE] == 0);
}

static void map_over(char *p, size_t nbytes)
{
	char *at = p + nbytes / 2 / PAGE * PAGE;

	EXPECT(mmap(at, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
	at[0] = at[PAGE] = 's';
	EXPECT(at[0] == 's' && at[PAGE] == 's');
}

static void lock(char *p, size_t nbytes)
{
	/* Where the limit forbids it nothing is locked. */
	EXPECT(!mlock(p + nbytes / 4 / PAGE * PAGE, PAGE) || errno == ENOMEM || errno == EPERM);
}

int main(void)
{
	static void (*const uses[])(char *, size_t) = {
		guard, change_and_restore, advise, map_over, lock};
	static const unsigned nchecks[] = {2, 3, 3, 2, 1};
	unsigned long planned = 0;

	EXPECT(mallopt(M_MMAP_THRESHOLD, 64 << 10));
	for (int i = 0; i < ROUNDS; i++) {
		unsigned use = (unsigned)i % 5;
		size_t nbytes;
		char *p = block(&nbytes);

		uses[use](p, nbytes);
		free(p);
		for (int k = 0; k < 3; k++)
			EXPECT(works(nbytes + (size_t)k * 300 * PAGE));
		planned += nchecks[use] + 3;
	}
	return expect_end(planned + 1);
}
