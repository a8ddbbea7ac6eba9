#include "measure.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/units.h"
#include "interrupt.h"
#include "os/os_proc.h"

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds_of(struct timeval t)
{
	return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

/* Never onto itself: a descriptor 0 to 2 that was closed may be the very one opened. */
static void point_at_null(int fd, int flags)
{
	int null = open("/dev/null", flags);

	if (null < 0 || null == fd)
		return;
	dup2(null, fd);
	if (null > STDERR_FILENO)
		close(null);
}

/* The child's half: becomes the program, or sends errno through the pipe, which exec closes. */
static _Noreturn void become(
	char *const argv[], char *const envp[], int quiet, int keep_input, int report_fd)
{
	int error;

	if (!keep_input)
		point_at_null(STDIN_FILENO, O_RDONLY);
	if (quiet) {
		point_at_null(STDOUT_FILENO, O_WRONLY);
		point_at_null(STDERR_FILENO, O_WRONLY);
	}
	execvpe(argv[0], argv, envp);
	error = errno;
	if (write(report_fd, &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static pid_t wait_for(pid_t pid, int *status, struct rusage *ru)
{
	pid_t got;

	do {
		got = wait4(pid, status, 0, ru);
	} while (got < 0 && errno == EINTR);
	umpa_interrupt_reaped();
	return got;
}

/* 0 once the program runs, else the errno it could not be run for. */
static int read_report(int fd)
{
	int error = 0;
	ssize_t n;

	do {
		n = read(fd, &error, sizeof(error));
	} while (n < 0 && errno == EINTR);
	return n == sizeof(error) ? error : 0;
}

static void fill_usage(struct umpa_usage *out, double wall_s, int status, const struct rusage *ru)
{
	*out = (struct umpa_usage){
		.wall_s = wall_s,
		.user_s = seconds_of(ru->ru_utime),
		.sys_s = seconds_of(ru->ru_stime),
		.peak_nbytes = (size_t)ru->ru_maxrss * 1024,
		.minor_faults = ru->ru_minflt,
		.major_faults = ru->ru_majflt,
		.status = status,
	};
}

/* A pipe above the standard descriptors, so that pointing those elsewhere leaves it whole. */
static int open_report(int fd[2])
{
	int i, raised[2];

	if (pipe2(fd, O_CLOEXEC) < 0)
		return -errno;
	for (i = 0; i < 2; i++) {
		raised[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(fd[i]);
	}
	fd[0] = raised[0];
	fd[1] = raised[1];
	return fd[0] < 0 || fd[1] < 0 ? -EMFILE : 0;
}

/* The parent's half. Result: 0 or errno. */
static int await(pid_t pid, int report_fd, double start_s, struct umpa_usage *out)
{
	int error = read_report(report_fd), status;
	struct rusage ru;

	if (wait_for(pid, &status, &ru) < 0)
		return errno;
	if (!error)
		fill_usage(out, seconds_now() - start_s, status, &ru);
	return error;
}

int umpa_measure_run(char *const argv[], char *const envp[], int quiet, struct umpa_usage *out)
{
	off_t place = lseek(STDIN_FILENO, 0, SEEK_CUR);
	double start_s;
	int fd[2], error;
	pid_t pid;

	error = open_report(fd);
	if (error)
		return error;
	start_s = seconds_now();
	pid = umpa_interrupt_fork();
	error = pid < 0 ? errno : 0;
	if (pid == 0)
		become(argv, envp, quiet, place >= 0, fd[1]);
	close(fd[1]);
	if (!error)
		error = await(pid, fd[0], start_s, out);
	close(fd[0]);
	if (place >= 0)
		lseek(STDIN_FILENO, place, SEEK_SET);
	return -error;
}

/* MemAvailable of /proc/meminfo, or what is wholly free where there is no /proc. */
static size_t available_nbytes(void)
{
	size_t pages = (size_t)sysconf(_SC_AVPHYS_PAGES), kb = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char line[256];

	while (f && !kb && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %zu kB", &kb) != 1)
			kb = 0;
	if (f)
		fclose(f);
	return kb ? kb * 1024 : pages * PAGE_NBYTES;
}

static size_t left_nbytes(void)
{
	size_t left = available_nbytes();
	struct umpa_os_facts f;
	uint64_t in_group;

	umpa_os_facts(&f);
	if (!f.cgroup_version || f.cgroup_limit_nbytes >= UMPA_NBYTES_NO_LIMIT ||
		f.cgroup_usage_nbytes >= UMPA_NBYTES_NO_LIMIT)
		return left;
	in_group = f.cgroup_limit_nbytes > f.cgroup_usage_nbytes
			   ? f.cgroup_limit_nbytes - f.cgroup_usage_nbytes
			   : 0;
	return in_group < left ? (size_t)in_group : left;
}

/* If memory runs out after all, this process is the one to go. */
static void be_killed_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1000", 4) < 0) { /* then it is not */
	}
	close(fd);
}

#define MOST_PARTS 16

struct part {
	volatile char *begin;
	size_t nbytes;
};

static void *touch_part(void *arg)
{
	const struct part *p = arg;
	size_t i;

	for (i = 0; i < p->nbytes; i += PAGE_NBYTES)
		p->begin[i] = 1;
	return NULL;
}

/* By as many threads as there are processors: who warms waits for it. */
static void touch_all(volatile char *begin, size_t nbytes)
{
	long ncpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t nparts = ncpus > 0 && ncpus < MOST_PARTS ? (size_t)ncpus : MOST_PARTS;
	size_t each = (nbytes / nparts + SLOT_NBYTES) & -SLOT_NBYTES, at, n = 0;
	pthread_t thread[MOST_PARTS];
	struct part part[MOST_PARTS];

	for (at = 0; at < nbytes; at += each) {
		part[n] = (struct part){begin + at, nbytes - at < each ? nbytes - at : each};
		if (pthread_create(&thread[n], NULL, touch_part, &part[n]))
			touch_part(&part[n]);
		else
			n++;
	}
	while (n)
		pthread_join(thread[--n], NULL);
}

static _Noreturn void touch_and_end(size_t nbytes)
{
	volatile char *at;

	be_killed_first();
	at = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	if (at == MAP_FAILED)
		_exit(1);
	madvise((void *)at, nbytes, MADV_HUGEPAGE);
	touch_all(at, nbytes);
	_exit(0);
}

size_t umpa_measure_warm_nbytes(size_t peak_nbytes)
{
	return peak_nbytes + peak_nbytes / 8 + 16 * SLOT_NBYTES;
}

void umpa_measure_warm(size_t nbytes)
{
	size_t most = left_nbytes() / 8 * 7;
	struct rusage ru;
	int status;
	pid_t pid;

	if (nbytes > most)
		nbytes = most;
	if (!nbytes)
		return;
	pid = umpa_interrupt_fork();
	if (pid == 0)
		touch_and_end(nbytes);
	if (pid > 0)
		(void)!wait_for(pid, &status, &ru);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double umpa_median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_doubles);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}
