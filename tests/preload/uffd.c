/*
 * A program that registers its memory with a userfaultfd of its own, memory that umpa may have
 * served among it. Prints each answer, which faults it is told of, and what it reads; with and
 * without umpa it must be the same text. usage: uffd [moved]: frames have moved before.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	RW = PROT_READ | PROT_WRITE,
	ANON = MAP_PRIVATE | MAP_ANONYMOUS,
	FROM_HANDLER = 42,
	MISSING = UFFDIO_REGISTER_MODE_MISSING,
	WP = UFFDIO_REGISTER_MODE_WP
};

#define MIB ((size_t)1 << 20)

static int fd;
static unsigned long nmissing, nwritten; /* atomic */
static const char *scenario;

static void say(const char *what, long answer)
{
	printf("%s: %s: %ld\n", scenario, what, answer);
}

#define ANSWER(call) say(#call, (call) ? errno : 0)

/* --- the handler -------------------------------------------------------------------------- */

static void give_page(uintptr_t page)
{
	static char content[PAGE] __attribute__((aligned(PAGE)));
	struct uffdio_copy copy = {.dst = page, .src = (uintptr_t)content, .len = PAGE};

	memset(content, FROM_HANDLER, PAGE);
	__atomic_fetch_add(&nmissing, 1, __ATOMIC_RELAXED);
	ioctl(fd, UFFDIO_COPY, &copy);
}

static void let_write(uintptr_t page)
{
	struct uffdio_writeprotect open = {.range = {page, PAGE}};

	__atomic_fetch_add(&nwritten, 1, __ATOMIC_RELAXED);
	ioctl(fd, UFFDIO_WRITEPROTECT, &open);
}

static void *handle(void *arg)
{
	struct pollfd at = {.fd = fd, .events = POLLIN};
	struct uffd_msg m;

	(void)arg;
	while (poll(&at, 1, -1) == 1) {
		if (read(fd, &m, sizeof(m)) != sizeof(m) || m.event != UFFD_EVENT_PAGEFAULT)
			continue;
		if (m.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP)
			let_write(m.arg.pagefault.address & ~(uintptr_t)(PAGE - 1));
		else
			give_page(m.arg.pagefault.address & ~(uintptr_t)(PAGE - 1));
	}
	return NULL;
}

/* 0 or not. */
static int begin_handling(void)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};
	pthread_t handler;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | 1 /* user mode only */);
	return fd < 0 || ioctl(fd, UFFDIO_API, &api) ||
	       pthread_create(&handler, NULL, handle, NULL);
}

static int registers(void *p, size_t npages, unsigned mode)
{
	struct uffdio_register r = {.range = {(uintptr_t)p, npages * PAGE}, .mode = mode};

	return ioctl(fd, UFFDIO_REGISTER, &r);
}

static int unregisters(void *p, size_t npages)
{
	struct uffdio_range r = {(uintptr_t)p, npages * PAGE};

	return ioctl(fd, UFFDIO_UNREGISTER, &r);
}

static int write_protects(void *p, size_t npages)
{
	struct uffdio_writeprotect w = {
		.range = {(uintptr_t)p, npages * PAGE}, .mode = UFFDIO_WRITEPROTECT_MODE_WP};

	return ioctl(fd, UFFDIO_WRITEPROTECT, &w);
}

/* --- areas -------------------------------------------------------------------------------- */

/* As in answers.c: fresh memory, of a size that was used before. */
static char *area(size_t npages)
{
	char *p;

	for (int i = 0; i < 2; i++) {
		p = mmap(NULL, npages * PAGE, RW, ANON, -1, 0);
		memset(p, 1, npages * PAGE);
		munmap(p, npages * PAGE);
	}
	return mmap(NULL, npages * PAGE, RW, ANON, -1, 0);
}

/* Reads a byte of every page: rows of equal ones are one. And how many faults that was. */
static void look(const char *what, const char *p, size_t npages)
{
	int last = -1;

	printf("%s: %s:", scenario, what);
	for (size_t i = 0; i < npages; i++) {
		int next = *(const volatile char *)(p + i * PAGE + 100);

		if (next != last)
			printf(" %zu:%d", i, next);
		last = next;
	}
	printf(" (%lu missing, %lu written)\n", __atomic_exchange_n(&nmissing, 0, __ATOMIC_RELAXED),
		__atomic_exchange_n(&nwritten, 0, __ATOMIC_RELAXED));
}

/* --- scenarios ---------------------------------------------------------------------------- */

/* Never touched but for a few pages, which keep what they have. */
static void missing(char *p, size_t npages)
{
	p[2 * PAGE + 100] = 7;
	p[(npages - 1) * PAGE + 100] = 8;
	ANSWER(registers(p, npages, MISSING));
	look("first", p, npages);
	look("again", p, npages);
	ANSWER(madvise(p + PAGE, 3 * PAGE, MADV_DONTNEED));
	look("given up", p, npages);
	ANSWER(registers(p, npages, MISSING));
	look("registered twice", p, npages);
	ANSWER(munmap(p + PAGE, PAGE));
	ANSWER(unregisters(p + 2 * PAGE, npages - 2));
	ANSWER(madvise(p + 2 * PAGE, (npages - 2) * PAGE, MADV_DONTNEED));
	look("no more", p + 2 * PAGE, npages - 2);
	ANSWER(registers(p + 2 * PAGE, npages - 2, MISSING));
	look("and again", p + 2 * PAGE, 3);
	ANSWER(munmap(p, npages * PAGE));
}

/* A part in the middle, of memory that is in use. */
static void part(char *p, size_t npages)
{
	for (size_t i = 0; i < npages; i++)
		p[i * PAGE + 100] = 9;
	ANSWER(mprotect(p + 5 * PAGE, PAGE, PROT_READ));
	ANSWER(madvise(p + 6 * PAGE, PAGE, MADV_DONTNEED));
	ANSWER(registers(p + 3 * PAGE, 8, MISSING | WP));
	look("used before", p, npages);
	ANSWER(write_protects(p + 7 * PAGE, 2));
	p[8 * PAGE + 100] = 10;
	p[9 * PAGE + 100] = 11;
	look("written", p, npages);
	ANSWER(registers(p, npages, WP));
	ANSWER(write_protects(p, npages));
	p[(npages - 1) * PAGE + 100] = 12;
	look("written", p, npages);
	ANSWER(munmap(p, npages * PAGE));
}

static void inherited(char *p, size_t npages)
{
	int status = 0;
	pid_t child;

	ANSWER(registers(p, npages, MISSING));
	look("some", p, 4);
	fflush(stdout);
	child = fork();
	if (!child) {
		scenario = "child";
		look("all", p, npages);
		ANSWER(munmap(p, npages * PAGE));
		p = area(npages);
		look("its own", p, npages);
		fflush(stdout);
		_exit(0);
	}
	waitpid(child, &status, 0);
	say("child", status);
	look("all", p, npages);
	ANSWER(munmap(p, npages * PAGE));
}

static void wrong(char *p, size_t npages)
{
	int null = open("/dev/null", O_RDWR);
	struct uffdio_register r = {.range = {(uintptr_t)p, npages * PAGE}, .mode = MISSING};

	ANSWER(ioctl(fd, UFFDIO_REGISTER, NULL));
	ANSWER(ioctl(null, UFFDIO_REGISTER, &r));
	ANSWER(ioctl(-1, UFFDIO_REGISTER, &r));
	ANSWER(registers(p + 1, npages, MISSING));
	ANSWER(registers(p, 0, MISSING));
	ANSWER(registers(p, npages, 0));
	ANSWER(registers(p, npages, 64));
	look("nothing has changed", p, npages);
	close(null);
	ANSWER(munmap(p, npages * PAGE));
}

/* Memory that others have had since, or have from malloc, is as any. */
static void afterwards(size_t npages)
{
	long sum = 0;

	for (int i = 0; i < 3; i++) {
		char *p = area(npages), *q = calloc(1, npages * PAGE);

		for (size_t k = 0; k < npages; k++)
			sum += p[k * PAGE] + q[k * PAGE];
		free(q);
		munmap(p, npages * PAGE);
	}
	say("sum", sum);
	look("faults", "", 0);
}

/* So that umpa chooses how frames move, and registers memory itself for that. */
static void have_frames_moved(void)
{
	char *kept[2];

	for (int i = 0; i < 2; i++) {
		char *p = malloc(4 * MIB);

		kept[i] = malloc(4 * MIB);
		memset(p, 1, 4 * MIB);
		p = realloc(p, 20 * MIB);
		memset(p, 1, 20 * MIB);
		free(p);
	}
	free(kept[0]);
	free(kept[1]);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(char *p, size_t npages);
	} scenarios[] = {
		{"missing", missing}, {"part", part}, {"inherited", inherited}, {"wrong", wrong}};
	enum {
		N = sizeof(scenarios) / sizeof(scenarios[0])
	};
	static const size_t npages[] = {16, 700};
	char *p[2][N];

	if (argc > 1 && !strcmp(argv[1], "moved"))
		have_frames_moved();
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < N; i++)
			p[k][i] = area(npages[k]);
	if (begin_handling()) {
		printf("no userfaultfd here: %d\n", errno);
		return 77;
	}
	for (int k = 0; k < 2; k++)
		for (int i = 0; i < N; i++) {
			scenario = scenarios[i].name;
			scenarios[i].run(p[k][i], npages[k]);
		}
	scenario = "afterwards";
	afterwards(700);
	return 0;
}
