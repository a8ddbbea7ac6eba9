#include "refuse.h"
#include "weather.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <umpa/stats.h>
#include <unistd.h>

/* --- descriptors -------------------------------------------------------------------------- */

enum {
	nlow = 64,
	nfds_max = 256
};

static int taken[nfds_max]; /* numbers that hold the program's own file afterwards */
static int ntaken;
static const char precious[] = "not a byte of this may change";

static int nfds(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur > 1 << 20)
		return 1 << 20;
	return (int)limit.rlim_cur;
}

/* Asking starts umpa, so only when it has been started already. */
static uint64_t slots_moved(void)
{
	struct umpa_stats stats;

	return umpa_get_stats(&stats, sizeof(stats)) ? 0 : stats.nslots_moved;
}

static uint64_t nmoved_before;

/* A mover that has lost its descriptor gets another one. */
static const char *moves_went_on(void)
{
	if (!strcmp(umpa_mover_in_use(), "plain") || slots_moved() > nmoved_before)
		return NULL;
	return "nothing moves any more";
}

static void close_all(void)
{
	if (syscall(SYS_close_range, 0u, ~0u, 0u))
		for (int fd = 0; fd < nfds(); fd++)
			close(fd);
}

static const char *close_fds(int late)
{
	nmoved_before = late ? slots_moved() : 0;
	close_all();
	return fcntl(0, F_GETFD) < 0 ? NULL : "descriptors can't be closed";
}

/* Puts `fd` under every number that was open, and under the lowest ones, in place of what was
 * there. */
static void take_all_numbers(int fd)
{
	ntaken = 0;
	for (int i = 0; i < nfds() && ntaken < nfds_max; i++)
		if (i != fd && (i < nlow || fcntl(i, F_GETFD) >= 0))
			if (dup2(fd, i) == i)
				taken[ntaken++] = i;
}

static const char *reuse_fds(int late)
{
	int fd = memfd_create("precious", 0);

	nmoved_before = late ? slots_moved() : 0;
	if (fd < 0 || write(fd, precious, sizeof(precious)) != sizeof(precious))
		return "memfd_create is refused";
	take_all_numbers(fd);
	return NULL;
}

static const char *files_are_whole(void)
{
	char text[sizeof(precious) + 1];

	for (int i = 0; i < ntaken; i++)
		if (pread(taken[i], text, sizeof(text), 0) != sizeof(precious) ||
			memcmp(text, precious, sizeof(precious)))
			return "a file of the program was closed or written to";
	return moves_went_on();
}

static const char *reuse_fds_for_uffd(int late)
{
	struct uffdio_api api = {.api = UFFD_API};
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	nmoved_before = late ? slots_moved() : 0;
	if (fd < 0 || ioctl(fd, UFFDIO_API, &api))
		return "userfaultfd is refused";
	take_all_numbers(fd);
	return NULL;
}

/* The program's own can still serve a range, which shows that nobody closed it or changed it. */
static const char *uffds_are_whole(void)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register range = {.range = {.start = (uintptr_t)page, .len = 4096},
		.mode = UFFDIO_REGISTER_MODE_MISSING};

	for (int i = 0; i < ntaken; i++)
		if (ioctl(taken[i], UFFDIO_REGISTER, &range) ||
			ioctl(taken[i], UFFDIO_UNREGISTER, &range.range))
			return "a userfaultfd of the program was closed or changed";
	return moves_went_on();
}

static const char *close_fds_for_good(int late)
{
	int call = SYS_userfaultfd;

	if (refuse_calls(&call, 1, EPERM))
		return "system calls can't be filtered here";
	return close_fds(late);
}

/* --- files -------------------------------------------------------------------------------- */

static int have_mounts_of_my_own(void)
{
	if (unshare(CLONE_NEWNS) && unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return 0;
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

static const char *unmount_proc(int late)
{
	(void)late;
	if (!have_mounts_of_my_own())
		return "mounting needs privilege here";
	while (!umount2("/proc", MNT_DETACH))
		;
	return access("/proc/self/maps", F_OK) ? NULL : "/proc can't be unmounted";
}

static const char *empty_the_root(int late)
{
	char dir[] = "/tmp/umpa-root-XXXXXX";
	int refused;

	(void)late;
	if (!have_mounts_of_my_own() || !mkdtemp(dir))
		return "changing the root needs privilege here";
	refused = chdir(dir) || rmdir(dir) || chroot(".");
	return refused || !access("/dev", F_OK) ? "the root can't be changed" : NULL;
}

const struct weather weather_fds_closed = {close_fds, moves_went_on, NULL};
const struct weather weather_fds_reused = {reuse_fds, files_are_whole, NULL};
const struct weather weather_fds_reused_uffd = {reuse_fds_for_uffd, uffds_are_whole, NULL};
const struct weather weather_fds_uffd_refused = {close_fds_for_good, NULL, NULL};
const struct weather weather_proc_unmounted = {unmount_proc, NULL, NULL};
const struct weather weather_root_empty = {empty_the_root, NULL, NULL};
