#include "vmm/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

/* Another process or thread, or another program, would begin in the middle of a guest. */
static const uint16_t makes_others[] = {
	SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_execve, SYS_execveat};

/* They change what the host has arranged for this thread, or end it alone. */
static const uint16_t ends_this[] = {SYS_exit, SYS_rt_sigreturn, SYS_sigaltstack, SYS_modify_ldt,
	SYS_iopl, SYS_ioperm, SYS_unshare, SYS_set_thread_area,
	SYS_process_madvise}; /* of this process, too, since Linux 6.13 */

#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002

static int is_one_of(uint64_t number, const uint16_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (number == list[i])
			return 1;
	return 0;
}

static int touches(const struct umpa_ground *ground, size_t n, uint64_t begin, uint64_t nbytes)
{
	uint64_t end;

	if (__builtin_add_overflow(begin, nbytes, &end))
		end = UINT64_MAX;
	for (size_t i = 0; i < n; i++)
		if (begin < ground[i].end && end > ground[i].begin)
			return 1;
	return 0;
}

/* Where a call changes mappings that are there: at most two ranges, of no bytes if none. */
struct changed {
	uint64_t begin[2], nbytes[2];
};

static struct changed changed_by(const struct umpa_call *c)
{
	const uint64_t *a = c->argument;

	switch (c->number) {
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_madvise:
	case SYS_remap_file_pages:
		return (struct changed){{a[0]}, {a[1]}};
	case SYS_mmap:
		return (struct changed){{a[0]}, {a[3] & MAP_FIXED ? a[1] : 0}};
	case SYS_mremap:
		return (struct changed){{a[0], a[4]}, {a[1], a[3] & MREMAP_FIXED ? a[2] : 0}};
	case SYS_shmat: /* whatever the segment's length */
		return (struct changed){{a[1]}, {a[2] & SHM_REMAP ? UINT64_MAX : 0}};
	default:
		return (struct changed){{0}, {0}};
	}
}

int umpa_call_changes(const struct umpa_call *call)
{
	struct changed c = changed_by(call);

	return c.nbytes[0] || c.nbytes[1];
}

int umpa_call_verdict(
	const struct umpa_call *call, const struct umpa_ground *ground, size_t nground)
{
	struct changed c = changed_by(call);

	if (is_one_of(call->number, makes_others, array_len(makes_others)))
		return -ENOSYS;
	if (is_one_of(call->number, ends_this, array_len(ends_this)))
		return -EINVAL;
	if (call->number == SYS_arch_prctl &&
		(call->argument[0] == ARCH_SET_FS || call->argument[0] == ARCH_SET_GS))
		return -EPERM;
	for (int i = 0; i < 2; i++)
		if (c.nbytes[i] && touches(ground, nground, c.begin[i], c.nbytes[i]))
			return -EINVAL;
	return 0;
}

/* --- pointers ----------------------------------------------------------------------------- */

enum {
	SIGNALS_NBYTES = 8, /* a set of signals, as the kernel has it */
	ACTION_NBYTES = 32, /* what is done about one */
	STATX_NBYTES = 256,
	RLIMIT_NBYTES = 16,
	EPOLL_EVENT_NBYTES = 12,
	IOCTL_NBYTES = 4096 /* or less: what most take has a few words */
};

struct buffers {
	const struct umpa_call_buffer *buffer;
	size_t n;
	int is_known;
};

/* What a futex is given depends on what is to be done with it. */
static int is_given(const struct umpa_call *call, int position)
{
	static const unsigned with_time = 1u << 0 | 1u << 6 | 1u << 9 | 1u << 11 | 1u << 13;
	static const unsigned with_another = 1u << 3 | 1u << 4 | 1u << 5 | 1u << 11 | 1u << 12;
	unsigned operation = (unsigned)call->argument[1] & 0x1f;

	if (call->number != SYS_futex || position < 3)
		return 1;
	return (position == 3 ? with_time : with_another) >> operation & 1;
}

/* All pointers that a call is given. Looked for at each system call: so by a jump, not by a search.
 */
static struct buffers buffers_of(uint64_t number)
{
	enum {
		LESS = CALL_MAY_BE_LESS,
		WRITTEN = CALL_IS_WRITTEN
	};
#define HAS(name, ...)                                                                             \
	case SYS_##name: {                                                                         \
		static const struct umpa_call_buffer b[] = {__VA_ARGS__};                          \
		return (struct buffers){b, array_len(b), 1};                                       \
	}
	switch (number) {
		HAS(madvise, {0, 1, 1, 0})
		HAS(munmap, {0, 1, 1, 0})
		HAS(mprotect, {0, 1, 1, 0})
		HAS(pkey_mprotect, {0, 1, 1, 0})
		HAS(mremap, {0, 1, 1, 0})
		HAS(read, {1, 2, 1, LESS | WRITTEN})
		HAS(write, {1, 2, 1, LESS})
		HAS(pread64, {1, 2, 1, LESS | WRITTEN})
		HAS(pwrite64, {1, 2, 1, LESS})
		HAS(readv, {1, 2, sizeof(struct iovec), 0})
		HAS(writev, {1, 2, sizeof(struct iovec), 0})
		HAS(preadv, {1, 2, sizeof(struct iovec), 0})
		HAS(pwritev, {1, 2, sizeof(struct iovec), 0})
		HAS(preadv2, {1, 2, sizeof(struct iovec), 0})
		HAS(pwritev2, {1, 2, sizeof(struct iovec), 0})
		HAS(vmsplice, {1, 2, sizeof(struct iovec), 0})
		HAS(getrandom, {0, 1, 1, WRITTEN})
		HAS(getdents64, {1, 2, 1, LESS | WRITTEN})
		HAS(recvfrom, {1, 2, 1, WRITTEN}, {4, -1, sizeof(struct sockaddr_storage), WRITTEN},
			{5, -1, sizeof(int), WRITTEN})
		HAS(sendto, {1, 2, 1, 0}, {4, 5, 1, 0})
		HAS(sendmsg, {1, -1, sizeof(struct msghdr), 0})
		HAS(recvmsg, {1, -1, sizeof(struct msghdr), WRITTEN})
		HAS(sendmmsg, {1, 2, sizeof(struct mmsghdr), 0})
		HAS(recvmmsg, {1, 2, sizeof(struct mmsghdr), WRITTEN},
			{4, -1, sizeof(struct timespec), 0})
		HAS(getsockopt, {3, -1, 0, WRITTEN}, {4, -1, sizeof(int), WRITTEN})
		HAS(setsockopt, {3, 4, 1, 0})
		HAS(mlock, {0, 1, 1, 0})
		HAS(munlock, {0, 1, 1, 0})
		HAS(msync, {0, 1, 1, 0})
		HAS(mincore, {0, 1, 1, 0}, {2, 1, 1, WRITTEN})
		HAS(readlink, {0, CALL_TEXT, 0, 0}, {1, 2, 1, WRITTEN})
		HAS(getcwd, {0, 1, 1, WRITTEN})
		HAS(access, {0, CALL_TEXT, 0, 0})
		HAS(faccessat, {1, CALL_TEXT, 0, 0})
		HAS(unlink, {0, CALL_TEXT, 0, 0})
		HAS(open, {0, CALL_TEXT, 0, 0})
		HAS(openat, {1, CALL_TEXT, 0, 0})
		HAS(clock_gettime, {1, -1, sizeof(struct timespec), WRITTEN})
		HAS(clock_getres, {1, -1, sizeof(struct timespec), WRITTEN})
		HAS(gettimeofday, {0, -1, sizeof(struct timeval), WRITTEN},
			{1, -1, sizeof(struct timezone), WRITTEN})
		HAS(nanosleep, {0, -1, sizeof(struct timespec), 0},
			{1, -1, sizeof(struct timespec), WRITTEN})
		HAS(clock_nanosleep, {2, -1, sizeof(struct timespec), 0},
			{3, -1, sizeof(struct timespec), WRITTEN})
		HAS(stat, {0, CALL_TEXT, 0, 0}, {1, -1, sizeof(struct stat), WRITTEN})
		HAS(lstat, {0, CALL_TEXT, 0, 0}, {1, -1, sizeof(struct stat), WRITTEN})
		HAS(fstat, {1, -1, sizeof(struct stat), WRITTEN})
		HAS(newfstatat, {1, CALL_TEXT, 0, 0}, {2, -1, sizeof(struct stat), WRITTEN})
		HAS(statx, {1, CALL_TEXT, 0, 0}, {4, -1, STATX_NBYTES, WRITTEN})
		HAS(statfs, {0, CALL_TEXT, 0, 0}, {1, -1, sizeof(struct statfs), WRITTEN})
		HAS(fstatfs, {1, -1, sizeof(struct statfs), WRITTEN})
		HAS(getrusage, {1, -1, sizeof(struct rusage), WRITTEN})
		HAS(uname, {0, -1, sizeof(struct utsname), WRITTEN})
		HAS(sysinfo, {0, -1, sizeof(struct sysinfo), WRITTEN})
		HAS(times, {0, -1, sizeof(struct tms), WRITTEN})
		HAS(getrlimit, {1, -1, RLIMIT_NBYTES, WRITTEN})
		HAS(setrlimit, {1, -1, RLIMIT_NBYTES, 0})
		HAS(prlimit64, {2, -1, RLIMIT_NBYTES, 0}, {3, -1, RLIMIT_NBYTES, WRITTEN})
		HAS(wait4, {1, -1, sizeof(int), WRITTEN}, {3, -1, sizeof(struct rusage), WRITTEN})
		HAS(pipe, {0, -1, 2 * sizeof(int), WRITTEN})
		HAS(pipe2, {0, -1, 2 * sizeof(int), WRITTEN})
		HAS(poll, {0, 1, sizeof(struct pollfd), WRITTEN})
		HAS(ppoll, {0, 1, sizeof(struct pollfd), WRITTEN},
			{2, -1, sizeof(struct timespec), 0}, {3, -1, SIGNALS_NBYTES, 0})
		HAS(epoll_wait, {1, 2, EPOLL_EVENT_NBYTES, WRITTEN})
		HAS(epoll_ctl, {3, -1, EPOLL_EVENT_NBYTES, 0})
		HAS(rt_sigprocmask, {1, -1, SIGNALS_NBYTES, 0}, {2, -1, SIGNALS_NBYTES, WRITTEN})
		HAS(rt_sigaction, {1, -1, ACTION_NBYTES, 0}, {2, -1, ACTION_NBYTES, WRITTEN})
		HAS(ioctl, {2, -1, IOCTL_NBYTES, 0})
		HAS(fcntl, {2, -1, sizeof(struct flock), 0})
		HAS(mkdir, {0, CALL_TEXT, 0, 0})
		HAS(rmdir, {0, CALL_TEXT, 0, 0})
		HAS(chdir, {0, CALL_TEXT, 0, 0})
		HAS(creat, {0, CALL_TEXT, 0, 0})
		HAS(chmod, {0, CALL_TEXT, 0, 0})
		HAS(chown, {0, CALL_TEXT, 0, 0})
		HAS(truncate, {0, CALL_TEXT, 0, 0})
		HAS(rename, {0, CALL_TEXT, 0, 0}, {1, CALL_TEXT, 0, 0})
		HAS(link, {0, CALL_TEXT, 0, 0}, {1, CALL_TEXT, 0, 0})
		HAS(symlink, {0, CALL_TEXT, 0, 0}, {1, CALL_TEXT, 0, 0})
		HAS(mkdirat, {1, CALL_TEXT, 0, 0})
		HAS(unlinkat, {1, CALL_TEXT, 0, 0})
		HAS(fchmodat, {1, CALL_TEXT, 0, 0})
		HAS(fchownat, {1, CALL_TEXT, 0, 0})
		HAS(renameat, {1, CALL_TEXT, 0, 0}, {3, CALL_TEXT, 0, 0})
		HAS(renameat2, {1, CALL_TEXT, 0, 0}, {3, CALL_TEXT, 0, 0})
		HAS(linkat, {1, CALL_TEXT, 0, 0}, {3, CALL_TEXT, 0, 0})
		HAS(symlinkat, {0, CALL_TEXT, 0, 0}, {2, CALL_TEXT, 0, 0})
		HAS(readlinkat, {1, CALL_TEXT, 0, 0}, {2, 3, 1, WRITTEN})
		HAS(utimensat, {1, CALL_TEXT, 0, 0}, {2, -1, 2 * sizeof(struct timespec), 0})
		HAS(memfd_create, {0, CALL_TEXT, 0, 0})
		HAS(inotify_add_watch, {1, CALL_TEXT, 0, 0})
		HAS(getxattr, {0, CALL_TEXT, 0, 0}, {1, CALL_TEXT, 0, 0}, {2, 3, 1, WRITTEN})
		HAS(lgetxattr, {0, CALL_TEXT, 0, 0}, {1, CALL_TEXT, 0, 0}, {2, 3, 1, WRITTEN})
		HAS(fgetxattr, {1, CALL_TEXT, 0, 0}, {2, 3, 1, WRITTEN})
		HAS(setxattr, {0, CALL_TEXT, 0, 0}, {1, CALL_TEXT, 0, 0}, {2, 3, 1, 0})
		HAS(lsetxattr, {0, CALL_TEXT, 0, 0}, {1, CALL_TEXT, 0, 0}, {2, 3, 1, 0})
		HAS(fsetxattr, {1, CALL_TEXT, 0, 0}, {2, 3, 1, 0})
		HAS(listxattr, {0, CALL_TEXT, 0, 0}, {1, 2, 1, WRITTEN})
		HAS(llistxattr, {0, CALL_TEXT, 0, 0}, {1, 2, 1, WRITTEN})
		HAS(flistxattr, {1, 2, 1, WRITTEN})
		HAS(bind, {1, 2, 1, 0})
		HAS(connect, {1, 2, 1, 0})
		HAS(accept, {1, -1, sizeof(struct sockaddr_storage), WRITTEN},
			{2, -1, sizeof(int), WRITTEN})
		HAS(accept4, {1, -1, sizeof(struct sockaddr_storage), WRITTEN},
			{2, -1, sizeof(int), WRITTEN})
		HAS(getsockname, {1, -1, sizeof(struct sockaddr_storage), WRITTEN},
			{2, -1, sizeof(int), WRITTEN})
		HAS(getpeername, {1, -1, sizeof(struct sockaddr_storage), WRITTEN},
			{2, -1, sizeof(int), WRITTEN})
		HAS(socketpair, {3, -1, 2 * sizeof(int), WRITTEN})
		HAS(getgroups, {1, 0, sizeof(int), WRITTEN})
		HAS(setgroups, {1, 0, sizeof(int), 0})
		HAS(sched_getaffinity, {2, 1, 1, WRITTEN})
		HAS(sched_setaffinity, {2, 1, 1, 0})
		HAS(setitimer, {1, -1, sizeof(struct itimerval), 0},
			{2, -1, sizeof(struct itimerval), WRITTEN})
		HAS(getitimer, {1, -1, sizeof(struct itimerval), WRITTEN})
		HAS(timerfd_settime, {2, -1, sizeof(struct itimerspec), 0},
			{3, -1, sizeof(struct itimerspec), WRITTEN})
		HAS(timerfd_gettime, {1, -1, sizeof(struct itimerspec), WRITTEN})
		HAS(epoll_pwait, {1, 2, EPOLL_EVENT_NBYTES, WRITTEN}, {4, 5, 1, 0})
		HAS(sendfile, {2, -1, sizeof(off_t), WRITTEN})
		HAS(splice, {1, -1, sizeof(off_t), WRITTEN}, {3, -1, sizeof(off_t), WRITTEN})
		HAS(copy_file_range, {1, -1, sizeof(off_t), WRITTEN},
			{3, -1, sizeof(off_t), WRITTEN})
		HAS(futex, {0, -1, sizeof(int), 0}, {3, -1, sizeof(struct timespec), 0},
			{4, -1, sizeof(int), 0})
	/* None. (mmap has a wish, which stays one.) */
	case SYS_getpid:
	case SYS_gettid:
	case SYS_getppid:
	case SYS_getuid:
	case SYS_geteuid:
	case SYS_getgid:
	case SYS_getegid:
	case SYS_close:
	case SYS_lseek:
	case SYS_dup:
	case SYS_dup2:
	case SYS_dup3:
	case SYS_fsync:
	case SYS_fdatasync:
	case SYS_ftruncate:
	case SYS_sched_yield:
	case SYS_kill:
	case SYS_tkill:
	case SYS_tgkill:
	case SYS_alarm:
	case SYS_pause:
	case SYS_socket:
	case SYS_listen:
	case SYS_shutdown:
	case SYS_brk:
	case SYS_mmap:
	case SYS_mlockall:
	case SYS_munlockall:
	case SYS_exit_group:
	case SYS_eventfd2:
	case SYS_epoll_create1:
	case SYS_timerfd_create:
	case SYS_getpgrp:
	case SYS_setsid:
	case SYS_umask:
		return (struct buffers){NULL, 0, 1};
	default:
		return (struct buffers){NULL, 0, 0};
	}
#undef HAS
}

struct umpa_call_buffer umpa_call_buffer(const struct umpa_call *call, int position)
{
	struct buffers known = buffers_of(call->number);

	for (size_t i = 0; i < known.n; i++)
		if (known.buffer[i].position == position && is_given(call, position))
			return known.buffer[i];
	return (struct umpa_call_buffer){known.is_known ? -1 : position, -1, 0, 0};
}

uint64_t umpa_call_of_pieces(uint64_t number)
{
	switch (number) {
	case SYS_read:
		return SYS_readv;
	case SYS_write:
		return SYS_writev;
	case SYS_pread64:
		return SYS_preadv;
	case SYS_pwrite64:
		return SYS_pwritev;
	case SYS_recvfrom:
		return SYS_recvmsg;
	case SYS_sendto:
		return SYS_sendmsg;
	default:
		return 0;
	}
}

int umpa_call_takes_copies(const struct umpa_call *call)
{
	switch (call->number) {
	case SYS_madvise:
	case SYS_munmap:
	case SYS_mprotect:
	case SYS_pkey_mprotect:
	case SYS_mremap:
	case SYS_mlock:
	case SYS_munlock:
	case SYS_msync:
	case SYS_mincore:
	case SYS_futex:
	case SYS_vmsplice:
		return 0;
	default:
		return buffers_of(call->number).is_known;
	}
}

uint64_t umpa_call_of_one(uint64_t number)
{
	return number == SYS_sendmmsg ? SYS_sendmsg : SYS_recvmsg;
}

int umpa_call_list(const struct umpa_call *call, uintptr_t *list, size_t *n)
{
	switch (call->number) {
	case SYS_readv:
	case SYS_writev:
	case SYS_preadv:
	case SYS_pwritev:
	case SYS_preadv2:
	case SYS_pwritev2:
	case SYS_vmsplice:
	case SYS_process_vm_readv:
	case SYS_process_vm_writev:
		*list = call->argument[1];
		*n = call->argument[2];
		return 1;
	default:
		return 0;
	}
}

int umpa_call_writes_list(uint64_t number)
{
	switch (number) {
	case SYS_readv:
	case SYS_preadv:
	case SYS_preadv2:
	case SYS_process_vm_readv:
	case SYS_recvmsg:
	case SYS_recvmmsg:
		return 1;
	default:
		return 0;
	}
}

int umpa_call_process(const struct umpa_call *call)
{
	int is = call->number == SYS_process_vm_readv || call->number == SYS_process_vm_writev;

	return is ? (int)call->argument[0] : 0;
}

int umpa_call_messages(const struct umpa_call *call, uintptr_t *headers, size_t *n, size_t *each)
{
	int many = call->number == SYS_sendmmsg || call->number == SYS_recvmmsg;

	*headers = call->argument[1];
	*n = many ? (unsigned)call->argument[2] : 1;
	*each = many ? sizeof(struct mmsghdr) : sizeof(struct msghdr);
	return many || call->number == SYS_sendmsg || call->number == SYS_recvmsg;
}

/* --- what it has mapped ------------------------------------------------------------------- */

struct umpa_call umpa_call_undo(const struct umpa_call *call, uintptr_t begin, size_t nbytes)
{
	const uint64_t *a = call->argument;

	switch (call->number) {
	case SYS_mremap:
		if (a[1]) /* back to where it was, as long as it was */
			return (struct umpa_call){SYS_mremap,
				{begin, nbytes, a[1], MREMAP_MAYMOVE | MREMAP_FIXED, a[0]}};
		__attribute__((fallthrough));
	case SYS_mmap:
		return (struct umpa_call){SYS_munmap, {begin, nbytes}};
	case SYS_shmat:
		return (struct umpa_call){SYS_shmdt, {begin}};
	default:
		return (struct umpa_call){0, {0}};
	}
}

int umpa_call_orders(const struct umpa_call *call, uintptr_t *begin, size_t *nbytes)
{
	const uint64_t *a = call->argument;

	switch (call->number) {
	case SYS_mmap:
		*begin = a[0];
		*nbytes = a[1];
		return a[3] & MAP_TYPE && a[3] & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	case SYS_mremap:
		*begin = a[4];
		*nbytes = a[2];
		return (a[3] & MREMAP_FIXED) != 0;
	case SYS_shmat:
		*begin = a[1];
		*nbytes = 1; /* or more */
		return a[1] != 0;
	default:
		return 0;
	}
}

int umpa_call_maps(const struct umpa_call *call, uint64_t result, uintptr_t *begin, size_t *nbytes)
{
	if (result > (uint64_t)-4096)
		return 0;
	*begin = result;
	switch (call->number) {
	case SYS_mmap:
		*nbytes = call->argument[1];
		return 1;
	case SYS_mremap:
		*nbytes = call->argument[2];
		return 1;
	case SYS_shmat:
		*nbytes = 1; /* or more; a segment lies in one place */
		return 1;
	case SYS_brk:
		*begin = result - 1;
		*nbytes = 1;
		return 1;
	default:
		return 0;
	}
}
