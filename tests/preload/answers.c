/*
 * Calls of the mmap family that random ones seldom make or never, on mappings that umpa may have
 * served: rare flags and advice, locks, what only looks at pages, code, files, System V's shared
 * memory, guard pages with a handler, careless MAP_FIXED, what a child or a daemon sees. Prints
 * each answer and what can be seen of the pages; with and without umpa it must be the same text.
 *
 * Addresses are not printed, and of resident pages only those that cannot be otherwise.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MAP_32BIT /* x86 only */
#define MAP_32BIT 0
#endif

enum {
	PAGE = 4096,
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	NPAGES_MAX = 2048,
	NTAGS = 50 /* pages that differ in a row */
};

static const char *scenario;

/* --- what is printed ---------------------------------------------------------------------- */

static void say(const char *what, long answer)
{
	printf("%s: %s: %ld\n", scenario, what, answer);
}

/* 0 or errno. */
static void said(const char *what, int result)
{
	say(what, result ? errno : 0);
}

#define ANSWER(call) said(#call, (call) != 0)

/* An address: whether there is one, and errno if not. */
static char *got(const char *what, void *p)
{
	said(what, p == MAP_FAILED);
	return p;
}

#define MAPPED(call) got(#call, call)

/* --- areas -------------------------------------------------------------------------------- */

static char *plain(size_t npages)
{
	char *p = mmap(NULL, npages * PAGE, RW, ANON, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static void fill(char *p, size_t npages, int tag)
{
	for (size_t i = 0; i < npages; i++)
		memset(p + i * PAGE, tag + (int)(i % NTAGS), 128);
}

/* Every page written to: page i begins with tag + i % NTAGS. Its like was used and unmapped before,
 * so that umpa has reason to serve it. */
static char *area(size_t npages, int tag)
{
	char *p;

	for (int i = 0; i < 4; i++) {
		p = plain(npages);
		fill(p, npages, 1);
		munmap(p, npages * PAGE);
	}
	p = plain(npages);
	fill(p, npages, tag);
	return p;
}

enum {
	NREADS_MAX = 512 /* in one call */
};

/* Byte 100 of each page of up to NREADS_MAX, up to the first that can't be read: how many could. */
static size_t read_some(const char *p, size_t npages, unsigned char *bytes)
{
	struct iovec to = {bytes, npages}, from[NREADS_MAX];
	ssize_t nread;

	for (size_t i = 0; i < npages; i++)
		from[i] = (struct iovec){(void *)(p + i * PAGE + 100), 1};
	nread = process_vm_readv(getpid(), &to, 1, from, npages, 0);
	return nread < 0 ? 0 : (size_t)nread;
}

/* The same of all pages: -1 where one can't be read. */
static void read_all(const char *p, size_t npages, short *bytes)
{
	unsigned char some[NREADS_MAX];

	for (size_t i = 0; i < npages;) {
		size_t n = npages - i < NREADS_MAX ? npages - i : NREADS_MAX;
		size_t nread = read_some(p + i * PAGE, n, some);

		for (size_t k = 0; k < nread; k++)
			bytes[i++] = some[k];
		if (nread < n)
			bytes[i++] = -1;
	}
}

static int may_write(char *at)
{
	int fd = open("/dev/zero", O_RDONLY), ok = read(fd, at + PAGE - 1, 1) == 1;

	close(fd);
	return ok;
}

/* Of each page: the tag it was filled with, 0, or -1 where it can't be read. Rows of equal ones are
 * one. Only what is mapped may be looked at: the rest may be anybody's. */
static void look(const char *what, const char *p, size_t npages)
{
	static short bytes[NPAGES_MAX];
	int last = -2, next;

	read_all(p, npages, bytes);
	printf("%s: %s:", scenario, what);
	for (size_t i = 0; i < npages; i++) {
		next = bytes[i];
		if (next > 0)
			next -= (int)(i % NTAGS);
		if (next != last)
			printf(" %zu:%d", i, next);
		last = next;
	}
	printf("\n");
}

/* What /proc/self/smaps says of the page at p: its rights and those flags that programs set. */
static void look_up(const char *what, const char *p)
{
	static const char *const flags[] = {" lo", " dd", " dc", " wf", " mg", " sr", " rr", " io"};
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512], rights[8] = "";
	uintptr_t begin, end, at = (uintptr_t)p;
	int here = 0;

	printf("%s: %s:", scenario, what);
	while (f && fgets(line, sizeof(line), f)) {
		char seen[8];

		if (sscanf(line, "%lx-%lx %7s", &begin, &end, seen) == 3) {
			here = at >= begin && at < end;
			if (here)
				memcpy(rights, seen, sizeof(rights));
		}
		for (size_t i = 0; here && !strncmp(line, "VmFlags:", 8) && i < 8; i++)
			if (strstr(line, flags[i]))
				printf("%s", flags[i]);
	}
	printf(" %s\n", rights);
	if (f)
		fclose(f);
}

static void drop(char *p, size_t npages)
{
	said("munmap at last", munmap(p, npages * PAGE));
}

/* --- scenarios ---------------------------------------------------------------------------- */

static void rare_flags(size_t npages)
{
	static const struct {
		const char *name;
		int prot, flags;
	} rare[] = {{"stack", RW, ANON | MAP_STACK}, {"grows down", RW, ANON | MAP_GROWSDOWN},
		{"32 bit", RW, ANON | MAP_32BIT}, {"locked", RW, ANON | MAP_LOCKED},
		{"no block", RW, ANON | MAP_NONBLOCK | MAP_POPULATE},
		{"shared", RW, MAP_SHARED | MAP_ANONYMOUS}, {"neither", RW, MAP_ANONYMOUS},
		{"both", RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS},
		{"sync", RW, MAP_SHARED_VALIDATE | MAP_SYNC | MAP_ANONYMOUS},
		{"code", RW | PROT_EXEC, ANON}, {"read only", PROT_READ, ANON},
		{"write only", PROT_WRITE, ANON}, {"unknown right", RW | 0x40, ANON},
		{"no file", RW, MAP_PRIVATE}, {"deny write", RW, ANON | MAP_DENYWRITE}};
	size_t nbytes = npages * PAGE;

	for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++) {
		char *p = got(rare[i].name, mmap(NULL, nbytes, rare[i].prot, rare[i].flags, -1, 0));

		if (p == MAP_FAILED)
			continue;
		say("below 4 GiB", (rare[i].flags & MAP_32BIT) && (uintptr_t)p >> 32);
		look(rare[i].name, p, npages);
		look_up(rare[i].name, p);
		if (rare[i].prot & PROT_WRITE)
			fill(p, npages, 7);
		drop(p, npages);
	}
	ANSWER(munmap(NULL, 0));
	ANSWER(mprotect((void *)(uintptr_t)1, PAGE, RW));
	MAPPED(mmap(NULL, nbytes, RW, ANON, -1, 17));
	MAPPED(mmap((void *)(uintptr_t)17, nbytes, RW, ANON | MAP_FIXED, -1, 0));
}

static void rare_advice(size_t npages)
{
	size_t nbytes = npages * PAGE;
	char *p = area(npages, 10);

	ANSWER(madvise(p, nbytes, MADV_FREE));
	fill(p, npages / 2, 20);
	look("what was written after MADV_FREE", p, npages / 2);
	fill(p, npages, 30);
	ANSWER(madvise(p + PAGE, nbytes - PAGE, MADV_COLD));
	ANSWER(madvise(p, nbytes, MADV_PAGEOUT));
	look("cold", p, npages);
	ANSWER(madvise(p, nbytes, MADV_POPULATE_READ));
	ANSWER(madvise(p, nbytes, MADV_POPULATE_WRITE));
	ANSWER(mprotect(p, PAGE, PROT_READ));
	ANSWER(madvise(p, nbytes, MADV_POPULATE_WRITE));
	ANSWER(madvise(p, nbytes, MADV_REMOVE));
	ANSWER(madvise(p, nbytes, MADV_MERGEABLE));
	look_up("mergeable", p + 2 * PAGE);
	ANSWER(madvise(p, nbytes, MADV_UNMERGEABLE));
	ANSWER(madvise(p, nbytes, MADV_SEQUENTIAL));
	look_up("in sequence", p + 2 * PAGE);
	ANSWER(madvise(p + 1, nbytes, MADV_NORMAL));
	ANSWER(madvise(p, nbytes, 4711));
	ANSWER(posix_madvise(p, nbytes, POSIX_MADV_DONTNEED));
	say("posix_madvise, a wrong one", posix_madvise(p, nbytes, 4711));
	look("POSIX_MADV_DONTNEED takes nothing", p, npages);
	ANSWER(madvise(p, nbytes, MADV_DONTDUMP));
	look_up("not in a dump", p);
	drop(p, npages);
	p = area(npages, 40);
	look_up("the next one", p);
	ANSWER(madvise(p, nbytes, MADV_DONTNEED));
	look("MADV_DONTNEED", p, npages);
	drop(p, npages);
}

/* Advice that is taken back, locks that are undone and advice that is no such leave a mapping that
 * may grow. */
static void taken_back(size_t npages)
{
	static const struct {
		const char *name;
		int advice, back;
	} pairs[] = {{"random", MADV_RANDOM, MADV_NORMAL}, {"dump", MADV_DONTDUMP, MADV_DODUMP},
		{"fork", MADV_DONTFORK, MADV_DOFORK}, {"wipe", MADV_WIPEONFORK, MADV_KEEPONFORK},
		{"none such", 4711, 4711}};
	size_t nbytes = npages * PAGE;
	char *p;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		p = area(npages, 10);
		said(pairs[i].name, madvise(p + PAGE, PAGE, pairs[i].advice));
		said(pairs[i].name, madvise(p + PAGE, PAGE, pairs[i].back));
		p = got(pairs[i].name, mremap(p, nbytes, 2 * nbytes, MREMAP_MAYMOVE));
		look("grown", p, 2 * npages);
		drop(p, 2 * npages);
	}
	p = area(npages, 10);
	ANSWER(mlock(p + PAGE, PAGE));
	ANSWER(munlock(p + PAGE, PAGE));
	p = MAPPED(mremap(p, nbytes, 2 * nbytes, MREMAP_MAYMOVE));
	look("grown", p, 2 * npages);
	drop(p, 2 * npages);
	p = area(npages, 10);
	ANSWER(madvise(p + PAGE, PAGE, MADV_RANDOM));
	MAPPED(mremap(p, nbytes, 2 * nbytes, MREMAP_MAYMOVE));
	look("advised in part", p, npages);
	drop(p, npages);
}

/* Blocks of malloc are memory as any other: what leaves them is zero there. */
static void blocks(size_t npages)
{
	const size_t nbytes = 1024 * PAGE;
	char *p = aligned_alloc(1024 * PAGE, nbytes), *q = plain(1024);

	(void)npages;
	fill(p, 1024, 10);
	said("as it is", mremap(p, nbytes, nbytes, 0) != p);
	MAPPED(mremap(
		p, 512 * PAGE, 512 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, q));
	look("what has left", q, 512);
	look("what is left", p, 1024);
	q = MAPPED(
		mremap(p + 512 * PAGE, 512 * PAGE, 512 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
	look("what has left", q, 512);
	fill(p, 1024, 20);
	look("used again", p, 1024);
	drop(q, 512);
	free(p);
	p = aligned_alloc(1024 * PAGE, nbytes);
	fill(p, 1024, 30);
	look("another", p, 1024);
	free(p);
}

static void many_holes(size_t npages)
{
	char *p = area(64, 10);

	(void)npages;
	for (int i = 0; i < 20; i++)
		munmap(p + (size_t)(2 * i + 1) * PAGE, PAGE);
	MAPPED(mmap(p, 64 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
	look("mapped over", p, 64);
	for (int i = 0; i < 20; i++)
		munmap(p + (size_t)(2 * i + 1) * PAGE, PAGE);
	MAPPED(mmap(p, 64 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	look("shared memory over it", p, 64);
	for (int i = 0; i < 20; i++)
		munmap(p + (size_t)(2 * i + 1) * PAGE, PAGE);
	MAPPED(mmap(p, 64 * PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0));
	look("closed", p, 64);
	drop(p, 64);
}

static void locks(size_t npages)
{
	size_t nbytes = npages * PAGE;
	char *p = area(npages, 10);
	unsigned char resident[NPAGES_MAX];

	ANSWER(mlock(p + PAGE, 3 * PAGE));
	look_up("before", p);
	look_up("locked", p + PAGE);
	ANSWER(madvise(p, nbytes, MADV_DONTNEED));
	look("what is locked stays", p + PAGE, 3);
	ANSWER(madvise(p + PAGE, PAGE, MADV_FREE));
	ANSWER(msync(p, nbytes, MS_INVALIDATE));
	ANSWER(munlock(p, nbytes));
	look_up("unlocked", p + PAGE);
	ANSWER(mlock2(p, nbytes, 1));
	look_up("locked on fault", p);
	ANSWER(mlock2(p, nbytes, 2));
	fill(p, npages, 20);
	drop(p, npages);
	p = area(npages, 30);
	look_up("the next one", p);
	ANSWER(mlock(p, nbytes));
	ANSWER(mincore(p, nbytes, resident));
	say("resident", resident[0] & 1 && resident[npages - 1] & 1);
	ANSWER(munmap(p + PAGE, PAGE));
	ANSWER(mlock(p, 3 * PAGE));
	ANSWER(munlock(p, 3 * PAGE));
	ANSWER(mincore(p, 3 * PAGE, resident));
	ANSWER(msync(p, 3 * PAGE, MS_ASYNC));
	drop(p, npages);
}

static void lookers(size_t npages)
{
	size_t nbytes = npages * PAGE;
	unsigned char resident[NPAGES_MAX];
	char *p = area(npages, 10);

	ANSWER(mincore(p, nbytes, resident));
	say("resident", resident[0] & resident[npages / 2] & resident[npages - 1] & 1);
	ANSWER(mincore(p + 1, nbytes, resident));
	ANSWER(mincore(p, nbytes, NULL));
	ANSWER(mincore(p, SIZE_MAX - PAGE, resident));
	ANSWER(madvise(p, nbytes, MADV_DONTNEED));
	ANSWER(mincore(p, nbytes, resident));
	say("resident", resident[0] & 1);
	ANSWER(msync(p, nbytes, MS_SYNC));
	ANSWER(msync(p, nbytes, MS_ASYNC | MS_SYNC));
	ANSWER(msync(p + 7, nbytes, MS_SYNC));
	ANSWER(msync(p, nbytes, 64));
	ANSWER(munmap(p + PAGE, PAGE));
	ANSWER(mincore(p + PAGE, PAGE, resident));
	ANSWER(mincore(p, nbytes, resident));
	ANSWER(msync(p, nbytes, MS_SYNC));
	ANSWER(msync(p + PAGE, PAGE, MS_ASYNC));
	ANSWER(munlock(p, nbytes));
	ANSWER(mlock(p + PAGE, PAGE));
	ANSWER(mlock2(p + PAGE, PAGE, 2));
	ANSWER(madvise(p + PAGE, PAGE, MADV_NORMAL));
	ANSWER(madvise(p + PAGE, PAGE, 4711));
	drop(p, npages);
}

static void code(size_t npages)
{
#if defined(__aarch64__)
	static const unsigned char give_42[] = {0x40, 5, 0x80, 0x52, 0xc0, 3, 0x5f, 0xd6};
#else
	static const unsigned char give_42[] = {0xb8, 42, 0, 0, 0, 0xc3};
#endif
	char *p = area(npages, 10);
	int (*f)(void);

	memcpy(p + PAGE, give_42, sizeof(give_42));
	__builtin___clear_cache(p + PAGE, p + PAGE + sizeof(give_42));
	ANSWER(mprotect(p + PAGE, PAGE, PROT_READ | PROT_EXEC));
	look_up("code", p + PAGE);
	p += PAGE;
	memcpy(&f, &p, sizeof(f));
	p -= PAGE;
	say("call", f());
	say("may be written", may_write(p + PAGE));
	look("rest", p + 2 * PAGE, npages - 2);
	drop(p, npages);
	p = area(npages, 20);
	look_up("the next one", p + PAGE);
	drop(p, npages);
}

static void moves(size_t npages)
{
	size_t nbytes = npages * PAGE;
	char *p = area(npages, 10), *q;

	q = MAPPED(mremap(p, nbytes, nbytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
	look("moved", q, npages);
	look("left behind", p, npages);
	fill(p, npages, 20);
	look("written again", p, npages);
	drop(q, npages);
	q = area(npages, 30);
	MAPPED(mremap(p, nbytes, nbytes, MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, q));
	look("moved over another", q, npages);
	look("left behind", p, npages);
	MAPPED(mremap(q, nbytes, nbytes / 2, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL));
	MAPPED(mremap(q, 0, nbytes, MREMAP_MAYMOVE, NULL));
	MAPPED(mremap(q, nbytes, nbytes, MREMAP_DONTUNMAP, NULL));
	q = MAPPED(mremap(q, nbytes, nbytes / 2, 0, NULL));
	look("cut", q, npages / 2);
	drop(q, npages / 2);
	fill(p, npages, 40);
	ANSWER(mlock(p, nbytes));
	p = MAPPED(mremap(p, nbytes, 2 * nbytes, MREMAP_MAYMOVE, NULL));
	look("grown while locked", p, 2 * npages);
	look_up("still locked", p + nbytes);
	drop(p, 2 * npages);
	p = area(npages, 50);
	ANSWER(munmap(p + PAGE, PAGE));
	MAPPED(mremap(p, nbytes, 2 * nbytes, MREMAP_MAYMOVE, NULL));
	MAPPED(mremap(p + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL));
	ANSWER(mprotect(p + 3 * PAGE, PAGE, PROT_READ));
	p[2 * PAGE]++;
	q = MAPPED(mremap(p + 2 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE, NULL));
	look("stays", q, 1);
	drop(p, npages);
}

/* To where the program has unmapped something, which the kernel would choose for other things. */
static void moves_to_gaps(size_t npages)
{
	static const int more[] = {0, -4, 4};

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		size_t to_npages = npages + (size_t)more[i];
		char *p = area(npages, 1), *to;

		if (more[i] > 0)
			ANSWER(mprotect(p, PAGE, PROT_READ) || mprotect(p, PAGE, RW) ||
				mlock(p, npages * PAGE));
		to = mmap(NULL, to_npages * PAGE, RW, ANON | MAP_STACK, -1, 0);
		drop(to, to_npages);
		to = MAPPED(mremap(
			p, npages * PAGE, to_npages * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to));
		if (to != MAP_FAILED) {
			look("moved to a gap", to, to_npages);
			drop(to, to_npages);
		} else {
			drop(p, npages);
		}
	}
}

/* What is refused for its arguments ends nothing. */
static void refused_moves(size_t npages)
{
	char *p = area(npages, 1), *to = area(npages, 60);

	MAPPED(mremap(p, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to));
	look("where it should have gone", to, npages);
	drop(to, npages);
	drop(p, npages);
}

/* Locked pages whose neighbours are moved stay locked; msync() tells. */
static void locked_neighbours(size_t npages)
{
	char *p = area(npages, 1), *all = area(npages, 20), *q;

	ANSWER(mlock(p, npages * PAGE));
	q = MAPPED(mremap(p, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE));
	ANSWER(msync(p + 2 * PAGE, (npages - 2) * PAGE, MS_INVALIDATE));
	ANSWER(msync(q, 2 * PAGE, MS_INVALIDATE));
	ANSWER(mlockall(MCL_CURRENT));
	drop(q, 3);
	q = mmap(NULL, PAGE, PROT_NONE, ANON, -1, 0);
	MAPPED(mremap(all, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q));
	ANSWER(msync(all + PAGE, (npages - 1) * PAGE, MS_INVALIDATE));
	ANSWER(munlockall());
	drop(q, 1);
	drop(all, npages);
	drop(p, npages);
}

/* Advice by process_madvise() (for oneself any, Linux 6.13) does not stay with a gap. */
static void advised_gaps(size_t npages)
{
	char *p = area(npages, 1), *q;
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0), status = 0;
	struct iovec v = {p, npages * PAGE};
	pid_t child;

	drop(p + PAGE, npages - 2);
	(void)!process_madvise(fd, &v, 1, MADV_WIPEONFORK, 0);
	close(fd);
	q = MAPPED(mmap(p + PAGE, (npages - 2) * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	fill(q, npages - 2, 5);
	child = fork();
	if (!child)
		_exit(q[0]);
	waitpid(child, &status, 0);
	say("what a child sees", WEXITSTATUS(status));
	drop(p, npages);
}

/* As far as the first gap, and not on through the window. */
static void endless(size_t npages)
{
	char *p = area(npages, 1), *q = area(npages, 1);

	drop(p + PAGE, npages - 1);
	ANSWER(mprotect(p, (size_t)1 << 63, PROT_READ));
	look("behind it", q, npages);
	drop(p, 1);
	drop(q, npages);
}

static void files(size_t npages)
{
	size_t nbytes = npages * PAGE;
	int fd = memfd_create("answers", 0);
	char *p = area(npages, 10), *q, byte = 0;

	if (ftruncate(fd, 4 * PAGE) || pwrite(fd, "f", 1, 100) != 1)
		abort();
	MAPPED(mmap(p + PAGE, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	MAPPED(mmap(p + 4 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0));
	look("over it", p, npages);
	p[PAGE + 100] = 'g';
	p[4 * PAGE + 100] = 'h';
	said("read back", pread(fd, &byte, 1, 100) != 1);
	say("shared", byte);
	look("over it", p, npages);
	ANSWER(msync(p, 6 * PAGE, MS_SYNC));
	q = MAPPED(mremap(p + PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE, NULL));
	look("grown", q, 4);
	ANSWER(munmap(q, 4 * PAGE));
	MAPPED(mmap(p + PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	MAPPED(mmap(p + PAGE, 2 * PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
	MAPPED(mmap(p, nbytes, RW, MAP_SHARED | MAP_FIXED, 1000, 0));
	MAPPED(mmap(p, nbytes, RW, MAP_PRIVATE | MAP_FIXED, fd, 5));
	look("mapped again", p, npages);
	MAPPED(mmap(p, nbytes, PROT_READ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	look("all shared", p, npages);
	say("may be written", may_write(p));
	drop(p, npages);
	close(fd);
	p = area(npages, 20);
	look("the next one", p, npages);
	drop(p, npages);
}

/* --- System V's shared memory --- */

enum {
	NSEGMENT = 7 /* pages, the last not all of it */
};

/* The segment is gone with its last attachment, or at the end. */
static int segment(int flags)
{
	int id = shmget(IPC_PRIVATE, NSEGMENT * PAGE - 1000, IPC_CREAT | flags);
	char *p = shmat(id, NULL, 0);

	if (p != MAP_FAILED) {
		fill(p, NSEGMENT, 70);
		shmdt(p);
	}
	return id;
}

static long count_attached(int id)
{
	struct shmid_ds seen;

	return shmctl(id, IPC_STAT, &seen) ? -1 : (long)seen.shm_nattch;
}

/* Over what is mapped; an end that is not where it began, or the second one. */
static void segments(size_t npages)
{
	size_t nbytes = npages * PAGE;
	char *p = area(npages, 10), *q;
	int id = segment(0600);

	MAPPED(shmat(id, p + PAGE, 0));
	MAPPED(shmat(id, p + PAGE + 5, SHM_REMAP));
	MAPPED(shmat(-1, p + PAGE, SHM_REMAP));
	MAPPED(shmat(id, NULL, SHM_REMAP));
	look("nothing has changed", p, npages);
	q = MAPPED(shmat(id, p + PAGE + 5, SHM_REMAP | SHM_RND));
	say("at the page's begin", q == p + PAGE);
	look("attached", p, npages);
	say("attached", count_attached(id));
	q = MAPPED(shmat(id, NULL, 0));
	p[2 * PAGE + 100] = 50;
	say("shared", q[PAGE + 100]);
	ANSWER(shmdt(q));
	ANSWER(shmdt(q));
	ANSWER(shmdt(p));
	ANSWER(shmdt(p + 2 * PAGE));
	ANSWER(shmdt(p + PAGE));
	ANSWER(shmdt(p + PAGE));
	say("attached", count_attached(id));
	look("before", p, 1);
	look("behind", p + 8 * PAGE, npages - 8);
	ANSWER(mprotect(p + PAGE, PAGE, RW));
	MAPPED(mremap(p, nbytes, nbytes + PAGE, MREMAP_MAYMOVE));
	/* Where nothing is; half on something. */
	MAPPED(shmat(id, p + 2 * PAGE, 0));
	MAPPED(shmat(id, p, 0));
	q = MAPPED(shmat(id, p + PAGE, SHM_RDONLY));
	say("where it was told to", q == p + PAGE);
	look("attached where nothing was", p, npages);
	look_up("read only", p + PAGE);
	say("may be written", may_write(p + PAGE));
	ANSWER(mprotect(p + PAGE, PAGE, RW));
	ANSWER(shmdt(p + PAGE));
	drop(p, npages);
	p = area(npages, 20);
	look("the next one", p, npages);
	look_up("the next one", p + PAGE);
	drop(p, npages);
	say("attached", count_attached(id));
	ANSWER(shmctl(id, IPC_RMID, NULL));
	MAPPED(shmat(id, p, SHM_REMAP));
}

/* Parts of one go, by themselves, and it is brought elsewhere. */
static void pieces_of_segments(size_t npages)
{
	char *p = area(npages, 10), *q, *elsewhere = area(npages, 30);
	int id = segment(0600), other = segment(0600);

	MAPPED(shmat(id, p, SHM_REMAP));
	ANSWER(munmap(p, PAGE));
	MAPPED(mmap(p + 2 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	ANSWER(mprotect(p + 3 * PAGE, PAGE, PROT_READ));
	ANSWER(madvise(p + 4 * PAGE, PAGE, MADV_DONTNEED));
	p[2 * PAGE + 100] = 44;
	look("in pieces", p + PAGE, npages - 1);
	ANSWER(shmdt(p));
	ANSWER(shmdt(p));
	look("mapped over", p + 2 * PAGE, 1);
	ANSWER(mprotect(p + 3 * PAGE, PAGE, RW));
	say("attached", count_attached(id));
	/* Two at one address. */
	MAPPED(shmat(id, p + PAGE, SHM_REMAP));
	MAPPED(shmat(other, p + PAGE, SHM_REMAP));
	ANSWER(munmap(p + PAGE, 2 * PAGE));
	MAPPED(shmat(id, p + 3 * PAGE, SHM_REMAP));
	ANSWER(shmdt(p + PAGE));
	say("attached", 10 * count_attached(id) + count_attached(other));
	ANSWER(shmdt(p + 3 * PAGE));
	say("attached", 10 * count_attached(id) + count_attached(other));
	/* Moved: away, over another area, and there left behind as well. */
	MAPPED(shmat(id, p, SHM_REMAP));
	q = MAPPED(mremap(p + 3 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		elsewhere + 4 * PAGE));
	look("moved", elsewhere, 8);
	ANSWER(shmdt(elsewhere + 4 * PAGE));
	ANSWER(shmdt(elsewhere + PAGE));
	say("attached", count_attached(id));
	q = MAPPED(
		mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, elsewhere));
	say("attached", count_attached(id));
	p[100] = 33;
	say("shared", q[100]);
	ANSWER(shmdt(q));
	q = MAPPED(mremap(p + 5 * PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE));
	look("grown", q, 2);
	ANSWER(shmdt(p));
	ANSWER(shmdt(q - 5 * PAGE));
	say("attached", count_attached(id));
	drop(p, npages);
	drop(elsewhere, npages);
	ANSWER(shmctl(id, IPC_RMID, NULL));
	ANSWER(shmctl(other, IPC_RMID, NULL));
}

/* --- huge pages: only where the program is told that there are some --- */

enum {
	HUGE = 512,          /* pages in one */
	OF_2_MIB = 21 << 26, /* for memory, files and segments */
	HUGE_ANON = ANON | MAP_HUGETLB | OF_2_MIB,
	NHUGE_AREA = 4 * HUGE
};

/* Whether the first and the last page of a huge one are mapped, and the page behind. */
static void look_at_ends(const char *what, char *p)
{
	unsigned char resident;

	said(what, mincore(p, PAGE, &resident));
	said(what, mincore(p + (HUGE - 1) * PAGE, PAGE, &resident));
	said(what, mincore(p + HUGE * PAGE, PAGE, &resident));
}

/* Lengths that are no multiple of a huge page: what is mapped, and what may be done to it. */
static void huge_lengths(char *p)
{
	MAPPED(mmap(p + PAGE, PAGE, RW, HUGE_ANON | MAP_FIXED, -1, 0));
	MAPPED(mmap(p, PAGE, RW, ANON | MAP_FIXED | MAP_HUGETLB | 12 << 26, -1, 0));
	MAPPED(mmap(p + PAGE, PAGE, RW, HUGE_ANON | MAP_FIXED_NOREPLACE, -1, 0));
	MAPPED(mmap(p, PAGE, RW, HUGE_ANON | MAP_FIXED_NOREPLACE, -1, 0));
	look("nothing has changed", p, 2 * HUGE);
	MAPPED(mmap(p, PAGE, RW, HUGE_ANON | MAP_FIXED, -1, 0));
	look("mapped", p, 2 * HUGE);
	fill(p, HUGE, 20);
	ANSWER(munmap(p, PAGE));
	ANSWER(munmap(p + PAGE, (HUGE - 1) * PAGE));
	ANSWER(munmap(p + (HUGE - 1) * PAGE, 2 * PAGE));
	ANSWER(mprotect(p, PAGE, PROT_READ));
	ANSWER(mprotect(p + PAGE, HUGE * PAGE, PROT_READ));
	say("may be written", may_write(p) + 2 * may_write(p + (HUGE + 1) * PAGE));
	ANSWER(mprotect(p, HUGE * PAGE, PROT_READ));
	say("may be written", may_write(p));
	ANSWER(mprotect(p, HUGE * PAGE, RW));
	ANSWER(madvise(p + PAGE, HUGE * PAGE, MADV_DONTNEED));
	ANSWER(madvise(p, PAGE, MADV_DONTFORK));
	MAPPED(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0));
	MAPPED(mremap(p + PAGE, PAGE, PAGE, 0));
	MAPPED(mremap(p, PAGE, PAGE, 0));
	MAPPED(mremap(p, PAGE, (HUGE + 1) * PAGE, MREMAP_MAYMOVE));
	look("as it was", p, 2 * HUGE);
	ANSWER(munmap(p, HUGE * PAGE));
	look_at_ends("unmapped", p);
	MAPPED(mmap(p, PAGE, RW, HUGE_ANON | MAP_FIXED_NOREPLACE, -1, 0));
	look("mapped where nothing was", p, 2 * HUGE);
}

/* Of files and of segments; over another's end, and shorter. */
static void huge_files(char *p)
{
	int fd = memfd_create("huge", MFD_HUGETLB | OF_2_MIB), id;
	char *q;

	if (ftruncate(fd, (off_t)3 * HUGE * PAGE))
		abort();
	MAPPED(mmap(p, (HUGE + 1) * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	look("a file", p, 3 * HUGE);
	fill(p, 2 * HUGE, 30);
	MAPPED(mmap(p + HUGE * PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0));
	look("twice", p, 3 * HUGE);
	MAPPED(mremap(p, (HUGE + 1) * PAGE, 5 * PAGE, 0));
	look_at_ends("cut", p);
	look_at_ends("cut", p + HUGE * PAGE);
	q = MAPPED(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0));
	MAPPED(mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + HUGE * PAGE));
	look("come in", p, 3 * HUGE);
	ANSWER(munmap(p, 2 * HUGE * PAGE));
	close(fd);
	id = shmget(IPC_PRIVATE, (HUGE + 1) * PAGE, IPC_CREAT | 0600 | SHM_HUGETLB | OF_2_MIB);
	MAPPED(shmat(id, p + PAGE, 0));
	MAPPED(shmat(id, p, 0));
	look("a segment", p, 3 * HUGE);
	ANSWER(munmap(p + PAGE, HUGE * PAGE));
	ANSWER(munmap(p, HUGE * PAGE));
	ANSWER(shmdt(p));
	look_at_ends("ended", p + HUGE * PAGE);
	look("behind", p + 2 * HUGE * PAGE, HUGE);
	ANSWER(shmctl(id, IPC_RMID, NULL));
}

static void huge_pages(size_t npages)
{
	char *all = area(NHUGE_AREA, 10),
	     *p = (char *)(((uintptr_t)all + HUGE * PAGE - 1) & ~(uintptr_t)(HUGE * PAGE - 1));

	(void)npages;
	fill(p, 3 * HUGE, 10);
	huge_lengths(p);
	huge_files(p);
	drop(all, NHUGE_AREA);
	all = area(NHUGE_AREA, 10);
	look("the next one", all, NHUGE_AREA);
	drop(all, NHUGE_AREA);
}

/* --- children --- */

/* A child's memory is its own: it gives what it has inherited back, and gets other. */
_Noreturn static void leave_child(char *p, size_t npages, int seed)
{
	drop(p, npages);
	p = area(npages, seed);
	look("its own", p, npages);
	drop(p, npages);
	fflush(stdout);
	_exit(0);
}

/* Both have it, and each ends its own. */
static void inherited_segments(size_t npages)
{
	char *p = area(npages, 10);
	int id = segment(0600), status = 0;
	pid_t child;

	MAPPED(shmat(id, p, SHM_REMAP));
	fflush(stdout);
	child = fork();
	if (!child) {
		scenario = "child";
		say("attached", count_attached(id));
		p[100] = 99;
		ANSWER(shmdt(p));
		ANSWER(shmdt(p));
		look("the rest", p + NSEGMENT * PAGE, npages - NSEGMENT);
		leave_child(p, npages, 20);
	}
	waitpid(child, &status, 0);
	say("child", status);
	say("attached", count_attached(id));
	look("parent", p, npages);
	ANSWER(shmctl(id, IPC_RMID, NULL));
	ANSWER(shmdt(p));
	say("gone", count_attached(id));
	drop(p, npages);
}

static sigjmp_buf back;
static char *guarded;
static volatile int ncaught;

static void open_page(int number, siginfo_t *info, void *context)
{
	char *at = (char *)((uintptr_t)info->si_addr & ~(uintptr_t)(PAGE - 1));

	(void)number, (void)context;
	if (info->si_code != SEGV_ACCERR || mprotect(at, PAGE, RW))
		siglongjmp(back, 1);
	ncaught++;
}

/* As collectors do, to learn which pages are written to. */
static void barrier(size_t npages)
{
	static char stack[1 << 16];
	struct sigaction act = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO | SA_ONSTACK},
			 old;
	stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)}, none = {.ss_flags = SS_DISABLE};

	sigaltstack(&other, NULL);
	sigaction(SIGSEGV, &act, &old);
	guarded = area(npages, 10);
	ncaught = 0;
	for (int round = 0; round < 3; round++) {
		ANSWER(mprotect(guarded, npages * PAGE, PROT_READ));
		if (!sigsetjmp(back, 1))
			for (size_t i = 0; i < npages; i += 3)
				guarded[i * PAGE + 100]++;
		say("caught", ncaught);
	}
	look("written", guarded, npages);
	ANSWER(mprotect(guarded, npages * PAGE, PROT_NONE));
	drop(guarded, npages);
	guarded = area(npages, 20);
	say("caught since", ncaught);
	drop(guarded, npages);
	sigaction(SIGSEGV, &old, NULL);
	sigaltstack(&none, NULL);
}

/* Neighbours of two owners, treated as one. */
static void careless(size_t npages)
{
	size_t nbytes = npages * PAGE;
	char *p = area(2 * npages, 10), *q, *end;

	ANSWER(munmap(p + nbytes, nbytes));
	q = MAPPED(mmap(p + nbytes / 2, nbytes, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	fill(q, npages, 30);
	look("mapped beyond its end", p, npages / 2 + npages);
	ANSWER(mprotect(p + PAGE, nbytes, PROT_READ));
	ANSWER(mprotect(p + PAGE, nbytes, RW));
	ANSWER(madvise(p, nbytes + nbytes / 2, MADV_DONTNEED));
	look("a shared page keeps what it has", p, npages / 2 + npages);
	ANSWER(munmap(p, nbytes + nbytes / 2));
	p = area(npages, 40);
	end = p + nbytes;
	ANSWER(munmap(p, nbytes));
	ANSWER(munmap(p, nbytes));
	q = MAPPED(mmap(p, nbytes, RW, ANON | MAP_FIXED, -1, 0));
	look("an order for where nothing is", q, npages);
	say("where it was told to", q == end - nbytes);
	drop(q, npages);
	p = area(npages, 50);
	q = MAPPED(mmap(p, nbytes, RW, ANON, -1, 0));
	say("a wish for what is taken", q == p);
	drop(q, npages);
	look("taken", p, npages);
	drop(p, npages);
}

/* Ranges of which only the front is there. */
static void gaps(size_t npages)
{
	size_t nbytes = npages * PAGE, half = nbytes / 2;
	char *p = area(npages, 10), *q = area(npages, 60);
	char *beyond = (char *)1 + ((size_t)1 << 62);

	ANSWER(munmap(p, (size_t)(beyond - p) / PAGE * PAGE));
	look("too long to be unmapped", p, npages);
	ANSWER(munmap(p + half, half));
	said("as long as it is", mremap(p, nbytes, nbytes, MREMAP_MAYMOVE) != p);
	said("shorter, beyond its end", mremap(p, nbytes, half - PAGE, 0) != p);
	look("shorter", p, npages / 2 - 1);
	ANSWER(munmap(p + PAGE, PAGE));
	said("shorter, with a hole", mremap(p, nbytes, 4 * PAGE, 0) != p);
	said("only a hole", mremap(p + PAGE, 3 * PAGE, PAGE, 0) != MAP_FAILED);
	look("before the hole", p, 1);
	look("behind the hole", p + 2 * PAGE, 2);
	for (size_t n = 1; n <= 2; n++)
		said("a hole over pages",
			mremap(p + PAGE, PAGE, n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				q + 3 * PAGE) != MAP_FAILED);
	said("no page's begin over pages", mremap(p + 1, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
						   q + 3 * PAGE) != MAP_FAILED);
	look("what is nobody's was to be moved over", q, npages);
	drop(q, npages);
	drop(p, npages);
}

/* The system has no huge pages set aside, mostly, and may have unmapped what was there before it
 * says so. */
static void refused_over(size_t npages)
{
	const size_t huge = 512 * PAGE;
	char *p = area(1536, 10), *at = (char *)(((uintptr_t)p + huge - 1) & ~(huge - 1));

	MAPPED(mmap(at, huge, RW, ANON | MAP_FIXED | MAP_HUGETLB, -1, 0));
	/* The kernel has ended what was there; umpa has asked elsewhere first. */
	ANSWER(munmap(at, huge));
	for (int i = 0; i < 4; i++) {
		char *q = area(npages, i), *r = malloc(3 * huge);

		memset(r, 1, 3 * huge);
		drop(q, npages);
		free(r);
	}
	drop(p, 1536);
}

static void children(size_t npages)
{
	size_t nbytes = npages * PAGE;
	char *p = area(npages, 10);
	int status = 0;
	pid_t child;

	ANSWER(madvise(p + PAGE, PAGE, MADV_DONTFORK));
	ANSWER(madvise(p + 2 * PAGE, PAGE, MADV_WIPEONFORK));
	ANSWER(mprotect(p + 3 * PAGE, PAGE, PROT_NONE));
	ANSWER(mlock(p + 4 * PAGE, PAGE));
	fflush(stdout);
	child = fork();
	if (!child) {
		scenario = "child";
		look("all", p, npages);
		look_up("not locked", p + 4 * PAGE);
		ANSWER(mprotect(p + 3 * PAGE, PAGE, RW));
		look("open", p + 3 * PAGE, 1);
		fill(p + 3 * PAGE, npages - 3, 60);
		leave_child(p, npages, 70);
	}
	waitpid(child, &status, 0);
	say("child", status);
	look("parent", p, npages);
	ANSWER(mprotect(p, nbytes, RW));
	look("parent", p, npages);
	drop(p, npages);
}

/* In a daemon with all its descriptors closed, which says what it saw by its exit. */
static void daemons(size_t npages)
{
	char *kept = area(npages, 10);
	int pipes[2];
	long sum = 0;
	pid_t child;

	if (pipe(pipes))
		abort();
	fflush(stdout);
	child = fork();
	if (!child) {
		for (int fd = 3; fd < 1024; fd++)
			if (fd != pipes[1])
				close(fd);
		if (daemon(0, 0))
			_exit(1);
		for (int i = 0; i < 3; i++) {
			char *p = area(npages, 20 + i);

			sum += p[100] + mprotect(p, PAGE, PROT_NONE) + munmap(p, npages * PAGE);
		}
		for (size_t i = 0; i < npages; i++)
			sum += kept[i * PAGE + 100];
		_exit(write(pipes[1], &sum, sizeof(sum)) != sizeof(sum));
	}
	waitpid(child, NULL, 0);
	close(pipes[1]);
	said("answer", read(pipes[0], &sum, sizeof(sum)) != sizeof(sum));
	close(pipes[0]);
	say("sum", sum);
	drop(kept, npages);
}

static void keys(size_t npages)
{
	char *p = area(npages, 10);
	int key;

	ANSWER(pkey_mprotect(p, PAGE, PROT_READ, -1));
	say("may be written", may_write(p));
	ANSWER(pkey_mprotect(p, PAGE, RW, 15));
	key = pkey_alloc(0, 0);
	said("pkey_alloc", key < 0);
	if (key > 0) {
		ANSWER(pkey_mprotect(p, PAGE, RW, key));
		ANSWER(pkey_free(key));
	}
	drop(p, npages);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t npages);
	} scenarios[] = {{"rare flags", rare_flags}, {"rare advice", rare_advice},
		{"taken back", taken_back}, {"blocks", blocks}, {"many holes", many_holes},
		{"locks", locks}, {"lookers", lookers}, {"code", code}, {"moves", moves},
		{"moves to gaps", moves_to_gaps}, {"refused moves", refused_moves},
		{"locked neighbours", locked_neighbours}, {"advised gaps", advised_gaps},
		{"endless", endless}, {"files", files}, {"segments", segments},
		{"pieces of segments", pieces_of_segments},
		{"inherited segments", inherited_segments}, {"barrier", barrier},
		{"careless", careless}, {"gaps", gaps}, {"refused over", refused_over},
		{"children", children}, {"daemons", daemons}, {"keys", keys}};
	/* A few of a slot of umpa's; a slot and a piece, twice of which are some. */
	static const size_t npages[] = {16, 700};
	const struct rlimit no_core = {0, 0};

	setrlimit(RLIMIT_CORE, &no_core);
	if (argc > 1 && !strcmp(argv[1], "huge")) {
		scenario = "huge pages";
		huge_pages(0);
		return 0;
	}
	for (size_t k = 0; k < 2; k++)
		for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
			scenario = scenarios[i].name;
			scenarios[i].run(npages[k]);
		}
	return 0;
}
