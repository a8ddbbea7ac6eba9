/*
 * Bad weather, as arguments in the order it comes:
 *	close      every descriptor above 2 is closed
 *	mlock      mlockall, now and for the future
 *	toolarge   mlockall of more than RLIMIT_MEMLOCK: refused, and nothing comes of it
 *	as=MIB     RLIMIT_AS
 *	data=MIB   RLIMIT_DATA
 *	churn      random mallocs, reallocs and frees; each works, or refuses, once a limit is set
 *	hold       blocks in use, with places for others between
 *	exhaust    blocks until memory is refused; all have their content; freed, there is room
 *	phases     60 MiB of large blocks, and once they are freed as much of small ones: all is had
 *	umpa       large blocks are umpa's
 *	room       a thread starts, a file can be mapped
 *	vfork      a child limits itself to what a program hardly starts with
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "expect.h"

enum {
	NBLOCKS = 64,
	NSTEPS = 1000,
	NMANY = 1 << 16
};

static int limited;

static int refused_well(const void *p)
{
	return p || (limited && errno == ENOMEM);
}

static unsigned long churn(void)
{
	static struct {
		char *p;
		size_t nbytes;
	} block[NBLOCKS];
	uint64_t state = 12345;

	for (unsigned step = 0; step < NSTEPS; step++) {
		unsigned i = (unsigned)(random_next(&state) % NBLOCKS);
		size_t nbytes = random_nbytes(&state, 23), old = block[i].nbytes;
		char *p;

		EXPECT(tagged(block[i].p, old, i));
		errno = 0;
		p = realloc(block[i].p, nbytes);
		EXPECT(refused_well(p));
		if (!p) {
			EXPECT(tagged(block[i].p, old, i));
			free(block[i].p);
			nbytes = 0;
		} else {
			EXPECT(tagged(p, old < nbytes ? old : nbytes, i));
			tag(p, nbytes, i);
		}
		block[i].p = p;
		block[i].nbytes = nbytes;
	}
	for (unsigned i = 0; i < NBLOCKS; i++) {
		free(block[i].p);
		block[i].p = NULL;
		block[i].nbytes = 0;
	}
	return 3 * NSTEPS;
}

/* Those below 4 KiB are the engine's. Of RLIMIT_DATA set late it feels most, as what is open of the
 * window has been counted: the more of them there are, the sooner. */
static size_t nbytes_of(unsigned i)
{
	static const size_t some[] = {3000000, 100000, 70000, 4200000, 1000, 65536, 2097152, 700000,
		4000, 4000, 4000, 4000, 4000, 4000, 4000, 4000};

	return some[i % 16];
}

/* Blocks until one is refused. Result: how many. */
static unsigned take_all(char **block)
{
	unsigned n = 0;

	for (errno = 0; n < NMANY; n++) {
		block[n] = malloc(nbytes_of(n));
		if (!block[n])
			break;
		tag(block[n], nbytes_of(n), n);
	}
	return n;
}

static unsigned long exhaust(void)
{
	static char *block[NMANY + 1];
	unsigned n = take_all(block), again;
	int right = 1;

	EXPECT(n > 8 && n < NMANY && errno == ENOMEM);
	for (unsigned i = 0; i < n; i++)
		right &= tagged(block[i], nbytes_of(i), i);
	EXPECT(right);
	for (unsigned i = 0; i < n; i++) {
		errno = 0;
		free(block[i]);
		right &= errno == 0;
	}
	EXPECT(right);
	again = take_all(block);
	EXPECT(again >= n - n / 4);
	for (unsigned i = 0; i < again; i++)
		free(block[i]);
	return 4;
}

/* Places with frames between blocks in use, and a large one without: what comes there takes frames
 * from elsewhere. */
static unsigned long hold(void)
{
	enum {
		N = 40
	};
	static char *block[N];
	char *gap = NULL;
	int right = 1;

	for (unsigned i = 0; i < N; i++) {
		if (i == N - 1)
			gap = malloc((size_t)40 << 20);
		block[i] = malloc(3000000);
		right &= block[i] != NULL;
		if (block[i])
			tag(block[i], 3000000, i);
	}
	EXPECT(right && gap);
	free(gap);
	malloc_trim(0);
	for (unsigned i = 0; i < N; i += 2)
		free(block[i]);
	return 1;
}

static unsigned long fill_and_free(size_t nbytes_each, size_t nbytes)
{
	static char *block[1 << 16];
	size_t n = nbytes / nbytes_each;
	int right = 1;

	for (size_t i = 0; i < n; i++) {
		block[i] = malloc(nbytes_each);
		right &= block[i] != NULL;
		if (block[i])
			tag(block[i], nbytes_each, i);
	}
	EXPECT(right);
	for (size_t i = 0; i < n; i++)
		free(block[i]);
	return 1;
}

static unsigned long phases(void)
{
	static const size_t nbytes_each[] = {4000000, 1000, 300000, 1000};
	unsigned long n = 0;

	for (unsigned i = 0; i < 4; i++)
		n += fill_and_free(nbytes_each[i], (size_t)60 << 20);
	return n;
}

static unsigned long limit(int what, const char *mib)
{
	rlim_t nbytes = (rlim_t)atoi(mib) << 20;
	struct rlimit r = {nbytes, nbytes};

	limited = 1;
	EXPECT(setrlimit((__rlimit_resource_t)what, (struct rlimit *)8) && errno == EFAULT);
	EXPECT(!setrlimit((__rlimit_resource_t)what, &r));
	return 2;
}

static unsigned long served(void)
{
	void *p = malloc(1000000);

	EXPECT(umpas(p));
	free(p);
	return 1;
}

static void *nothing(void *arg)
{
	return arg;
}

static unsigned long room(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	pthread_t thread;

	EXPECT(!pthread_create(&thread, NULL, nothing, NULL) && !pthread_join(thread, NULL));
	EXPECT(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	close(fd);
	return 2;
}

/* Pages of it that are taken. */
static long address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long npages = 0;

	EXPECT(f && fscanf(f, "%ld", &npages) == 1);
	fclose(f);
	return npages;
}

static unsigned long vfork_limited(void)
{
	struct rlimit r = {(rlim_t)100 << 20, (rlim_t)100 << 20};
	long before = address_space();
	int status;
	pid_t pid = vfork();

	if (!pid)
		_exit(setrlimit(RLIMIT_AS, &r) != 0);
	EXPECT(waitpid(pid, &status, 0) == pid && !status);
	EXPECT(address_space() >= before);
	return 4;
}

static unsigned long lock_too_much(void)
{
	struct rlimit r = {(rlim_t)4 << 20, (rlim_t)4 << 20};
	void *p = mmap(NULL, (size_t)64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long before;

	EXPECT(p != MAP_FAILED && !setrlimit(RLIMIT_MEMLOCK, &r));
	EXPECT(geteuid() || !seteuid(65534)); /* who is root has no limit */
	before = address_space();
	before = address_space(); /* with what stdio has by now */
	EXPECT(mlockall(MCL_CURRENT) && errno == ENOMEM);
	EXPECT(address_space() == before);
	return 7;
}

static unsigned long act(const char *arg)
{
	if (!strcmp(arg, "close")) {
		closefrom(3);
		return 0;
	}
	if (!strcmp(arg, "mlock")) {
		EXPECT(!mlockall(MCL_CURRENT | MCL_FUTURE));
		return 1;
	}
	if (!strncmp(arg, "as=", 3))
		return limit(RLIMIT_AS, arg + 3);
	if (!strncmp(arg, "data=", 5))
		return limit(RLIMIT_DATA, arg + 5);
	if (!strcmp(arg, "churn"))
		return churn();
	if (!strcmp(arg, "hold"))
		return hold();
	if (!strcmp(arg, "exhaust"))
		return exhaust();
	if (!strcmp(arg, "phases"))
		return phases();
	if (!strcmp(arg, "umpa"))
		return served();
	if (!strcmp(arg, "room"))
		return room();
	if (!strcmp(arg, "vfork"))
		return vfork_limited();
	if (!strcmp(arg, "toolarge"))
		return lock_too_much();
	EXPECT(!"an argument that is known");
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long n = 0;

	for (int i = 1; i < argc; i++)
		n += act(argv[i]);
	return expect_end(n);
}
