#include "huge_pages.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/types.h>
#include <unistd.h>

static char pool[100]; /* where the kernel says how many there are */
static long nbefore;

static long count(void)
{
	FILE *f = fopen(pool, "r");
	long n = -1;

	if (f && fscanf(f, "%ld", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

static int set(long n)
{
	FILE *f = fopen(pool, "w");

	if (!f)
		return 0;
	fprintf(f, "%ld", n);
	return !fclose(f) && count() == n;
}

/* A process that lives longer than this one, however that ends: the pool is set back when nothing
 * holds the other end of the pipe. */
static int will_set_back(void)
{
	int ends[2];
	pid_t pid;
	char byte;

	if (pipe2(ends, O_CLOEXEC))
		return 0;
	pid = fork();
	if (!pid) {
		close(ends[1]);
		if (!read(ends[0], &byte, 1))
			set(nbefore);
		_exit(0);
	}
	close(ends[0]);
	return pid > 0;
}

int huge_pages_need(size_t nbytes, unsigned n)
{
	/* Locked until both have ended. */
	int fd = open("/sys/kernel/mm/hugepages", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX))
		return 0;
	snprintf(pool, sizeof(pool), "/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages",
		nbytes >> 10);
	nbefore = count();
	return nbefore >= 0 && !access(pool, W_OK) && will_set_back() && set(nbefore + (long)n);
}
