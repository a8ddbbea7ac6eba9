/*
 * Reservations as programs use them, through libc's names, whoever is behind these: opened by
 * mprotect and by mapping over, trimmed for an alignment, closed, locked, left out of a fork.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

enum {
	PAGE = 4096,
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	NKEPT = 3,
	NROUNDS = 10
};

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

static sigjmp_buf back;

static void on_fault(int signal)
{
	siglongjmp(back, signal);
}

static int faults(volatile char *at)
{
	int signal = sigsetjmp(back, 1);

	if (!signal)
		(void)*at;
	return signal == SIGSEGV;
}

static char *reserve(size_t nbytes)
{
	char *p = mmap(NULL, nbytes, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

	EXPECT(p != MAP_FAILED);
	return p;
}

static int is_zero(const char *p, size_t nbytes)
{
	for (size_t i = 0; i < nbytes; i += PAGE / 4)
		if (p[i])
			return 0;
	return 1;
}

/* A part that is aligned to its size, as a collector of garbage wants it: the rest is unmapped. */
static char *reserve_aligned(size_t nbytes)
{
	char *p = reserve(2 * nbytes - PAGE), *begin;
	size_t before;

	EXPECT(!madvise(p, 2 * nbytes - PAGE, MADV_DONTFORK));
	begin = p + (-(uintptr_t)p & (nbytes - 1));
	before = (size_t)(begin - p);
	EXPECT(!before || !munmap(p, before));
	EXPECT(before == nbytes - PAGE || !munmap(begin + nbytes, nbytes - PAGE - before));
	return begin;
}

/* Some are kept for a while, as pages of a heap are. */
static void aligned_pages(size_t nbytes, int i)
{
	static char *kept[2][NKEPT];
	char **place = &kept[nbytes > MIB][i % NKEPT];

	if (*place) {
		EXPECT((*place)[nbytes - 1] == (char)(i - NKEPT));
		EXPECT(!munmap(*place, nbytes));
	}
	*place = reserve_aligned(nbytes);
	EXPECT(faults(*place + nbytes / 2));
	EXPECT(!mprotect(*place, nbytes, RW));
	EXPECT(is_zero(*place, nbytes));
	memset(*place, (char)i, nbytes);
}

/* As a heap grows, one way or another, and shrinks again. */
static void grow_and_shrink(int i)
{
	const size_t nbytes = 12 * MIB, step = 700 * KIB;
	char *p = reserve(nbytes);
	size_t top = 0;

	while (top + step <= nbytes) {
		if (i % 2)
			EXPECT(!mprotect(p + top, step, RW));
		else
			EXPECT(mmap(p + top, step, RW, ANON | MAP_FIXED, -1, 0) == p + top);
		EXPECT(is_zero(p + top, step));
		memset(p + top, i, step);
		top += step;
	}
	EXPECT(faults(p + top));
	EXPECT(mmap(p + 3 * MIB, top - 3 * MIB, PROT_NONE, ANON | MAP_FIXED | MAP_NORESERVE, -1,
		       0) == p + 3 * MIB);
	EXPECT(faults(p + 3 * MIB));
	EXPECT(p[3 * MIB - 1] == (char)i);
	EXPECT(!mprotect(p + 4 * MIB, MIB, RW));
	EXPECT(is_zero(p + 4 * MIB, MIB));
	EXPECT(!munmap(p, nbytes));
	EXPECT(mprotect(p, PAGE, RW) == -1 && errno == ENOMEM);
}

/* What else can be aimed at closed pages. */
static void other_calls(void)
{
	const size_t nbytes = 3 * MIB;
	char *p = reserve(nbytes), *q;
	unsigned char here[4];

	EXPECT(!mincore(p, sizeof(here) * PAGE, here));
	EXPECT(!msync(p, nbytes, MS_ASYNC));
	EXPECT(mlock(p, 4 * PAGE) == -1 && errno == ENOMEM);
	EXPECT(!munlock(p, 4 * PAGE));
	EXPECT(!madvise(p, nbytes, MADV_DONTNEED));
	EXPECT(madvise(p, nbytes, 12345) == -1 && errno == EINVAL);
	EXPECT(!mprotect(p + PAGE, 2 * PAGE, RW));
	p[PAGE] = 'm';
	EXPECT(!mlock(p + PAGE, 2 * PAGE));
	EXPECT(!munlock(p + PAGE, 2 * PAGE));
	EXPECT(p[PAGE] == 'm' && !p[2 * PAGE] && faults(p) && faults(p + 3 * PAGE));
	EXPECT(mremap(p, nbytes, 2 * nbytes, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
	EXPECT(!munmap(p, nbytes));
	p = reserve(nbytes);
	q = mremap(p, nbytes, 2 * nbytes, MREMAP_MAYMOVE);
	EXPECT(q != MAP_FAILED && faults(q) && faults(q + 2 * nbytes - 1));
	EXPECT(!mprotect(q, 2 * nbytes, RW) && is_zero(q, 2 * nbytes));
	EXPECT(!munmap(q, 2 * nbytes));
}

static void forked(void)
{
	char *p = reserve(8 * MIB), *left_out = reserve_aligned(256 * KIB);
	int status;
	pid_t pid;

	EXPECT(!mprotect(left_out, 256 * KIB, RW));
	EXPECT(!mprotect(p, 4 * MIB, RW));
	memset(p, 'p', 4 * MIB);
	pid = fork();
	if (!pid) {
		EXPECT(p[MIB] == 'p' && faults(p + 5 * MIB) && faults(left_out));
		EXPECT(!mprotect(p + 4 * MIB, 4 * MIB, RW) && is_zero(p + 4 * MIB, 4 * MIB));
		memset(p, 'c', 8 * MIB);
		EXPECT(!munmap(left_out, 256 * KIB));
		EXPECT(!munmap(p, 8 * MIB));
		for (int i = 0; i < 3; i++)
			grow_and_shrink(i);
		_exit(nfailed != 0);
	}
	EXPECT(waitpid(pid, &status, 0) == pid && !status);
	EXPECT(p[MIB] == 'p' && faults(p + 5 * MIB));
	EXPECT(!munmap(left_out, 256 * KIB));
	EXPECT(!munmap(p, 8 * MIB));
}

/* As a machine's guest has its brk grow (qemu-user): each piece is wished for right behind the one
 * before, and of no use elsewhere. Nothing is there, so the kernel grants it. */
static void wished_in_a_row(void)
{
	const size_t nbytes = 4 * MIB;
	char *begin = reserve(NROUNDS * nbytes), *at = begin;

	EXPECT(!munmap(begin, NROUNDS * nbytes));
	at += PAGE;
	for (int i = 0; i < NROUNDS - 1; i++, at += nbytes) {
		EXPECT(mmap(at, nbytes, PROT_NONE, ANON | MAP_NORESERVE, -1, 0) == at);
		EXPECT(!mprotect(at, nbytes, RW));
		memset(at, 1, nbytes);
	}
	EXPECT(!munmap(begin, NROUNDS * nbytes));
}

int main(void)
{
	struct sigaction action = {.sa_handler = on_fault};

	sigaction(SIGSEGV, &action, NULL);
	for (int i = 0; i < NROUNDS; i++) {
		aligned_pages(256 * KIB, i);
		aligned_pages(4 * MIB, i);
		grow_and_shrink(i);
		other_calls();
		if (i % 5 == 4)
			forked();
	}
	wished_in_a_row();
	return expect_end(790 + 3 + 2 * (NROUNDS - 1));
}
