#include "vmm/calls.h"

#include <errno.h>
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

#include "base/units.h"

/* Another process or thread, or another program, would begin in the middle of a guest. */
static const uint16_t makes_others[] = {
	SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_execve, SYS_execveat};

/* They change what the host has arranged for this thread, or end it alone. */
static const uint16_t ends_this[] = {SYS_exit, SYS_rt_sigreturn, SYS_sigaltstack, SYS_modify_ldt,
	SYS_iopl, SYS_ioperm, SYS_unshare, SYS_set_thread_area};

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
	EPOLL_EVENT_NBYTES = 12
};

/* All pointers of a call that has one here, but those that come behind it. */
static const struct {
	uint16_t number;
	struct umpa_call_buffer buffer;
} buffers[] = {
	{SYS_read, {1, 2, 1, 1}},
	{SYS_write, {1, 2, 1, 1}},
	{SYS_pread64, {1, 2, 1, 1}},
	{SYS_pwrite64, {1, 2, 1, 1}},
	{SYS_readv, {1, 2, sizeof(struct iovec), 0}},
	{SYS_writev, {1, 2, sizeof(struct iovec), 0}},
	{SYS_preadv, {1, 2, sizeof(struct iovec), 0}},
	{SYS_pwritev, {1, 2, sizeof(struct iovec), 0}},
	{SYS_preadv2, {1, 2, sizeof(struct iovec), 0}},
	{SYS_pwritev2, {1, 2, sizeof(struct iovec), 0}},
	{SYS_vmsplice, {1, 2, sizeof(struct iovec), 0}},
	{SYS_getrandom, {0, 1, 1, 1}},
	{SYS_getdents64, {1, 2, 1, 1}},
	{SYS_recvfrom, {1, 2, 1, 0}},
	{SYS_recvfrom, {4, -1, sizeof(struct sockaddr_storage), 0}},
	{SYS_recvfrom, {5, -1, sizeof(int), 0}},
	{SYS_sendto, {1, 2, 1, 0}},
	{SYS_sendto, {4, 5, 1, 0}},
	{SYS_sendmsg, {1, -1, sizeof(struct msghdr), 0}},
	{SYS_recvmsg, {1, -1, sizeof(struct msghdr), 0}},
	{SYS_sendmmsg, {1, 2, sizeof(struct mmsghdr), 0}},
	{SYS_recvmmsg, {1, 2, sizeof(struct mmsghdr), 0}},
	{SYS_recvmmsg, {4, -1, sizeof(struct timespec), 0}},
	{SYS_getsockopt, {3, -1, 0, 0}},
	{SYS_getsockopt, {4, -1, sizeof(int), 0}},
	{SYS_setsockopt, {3, 4, 1, 0}},
	{SYS_mlock, {0, 1, 1, 0}},
	{SYS_munlock, {0, 1, 1, 0}},
	{SYS_msync, {0, 1, 1, 0}},
	{SYS_mincore, {0, 1, 1, 0}},
	{SYS_mincore, {2, -1, 0, 0}},
	{SYS_readlink, {0, -1, 0, 0}},
	{SYS_readlink, {1, 2, 1, 0}},
	{SYS_getcwd, {0, 1, 1, 0}},
	{SYS_open, {0, -1, 0, 0}},
	{SYS_openat, {1, -1, 0, 0}},
	{SYS_clock_gettime, {1, -1, sizeof(struct timespec), 0}},
	{SYS_clock_getres, {1, -1, sizeof(struct timespec), 0}},
	{SYS_gettimeofday, {0, -1, sizeof(struct timeval), 0}},
	{SYS_gettimeofday, {1, -1, sizeof(struct timezone), 0}},
	{SYS_nanosleep, {0, -1, sizeof(struct timespec), 0}},
	{SYS_nanosleep, {1, -1, sizeof(struct timespec), 0}},
	{SYS_clock_nanosleep, {2, -1, sizeof(struct timespec), 0}},
	{SYS_clock_nanosleep, {3, -1, sizeof(struct timespec), 0}},
	{SYS_stat, {0, -1, 0, 0}},
	{SYS_stat, {1, -1, sizeof(struct stat), 0}},
	{SYS_lstat, {0, -1, 0, 0}},
	{SYS_lstat, {1, -1, sizeof(struct stat), 0}},
	{SYS_fstat, {1, -1, sizeof(struct stat), 0}},
	{SYS_newfstatat, {1, -1, 0, 0}},
	{SYS_newfstatat, {2, -1, sizeof(struct stat), 0}},
	{SYS_statx, {1, -1, 0, 0}},
	{SYS_statx, {4, -1, STATX_NBYTES, 0}},
	{SYS_statfs, {0, -1, 0, 0}},
	{SYS_statfs, {1, -1, sizeof(struct statfs), 0}},
	{SYS_fstatfs, {1, -1, sizeof(struct statfs), 0}},
	{SYS_getrusage, {1, -1, sizeof(struct rusage), 0}},
	{SYS_uname, {0, -1, sizeof(struct utsname), 0}},
	{SYS_sysinfo, {0, -1, sizeof(struct sysinfo), 0}},
	{SYS_times, {0, -1, sizeof(struct tms), 0}},
	{SYS_getrlimit, {1, -1, RLIMIT_NBYTES, 0}},
	{SYS_setrlimit, {1, -1, RLIMIT_NBYTES, 0}},
	{SYS_prlimit64, {2, -1, RLIMIT_NBYTES, 0}},
	{SYS_prlimit64, {3, -1, RLIMIT_NBYTES, 0}},
	{SYS_wait4, {1, -1, sizeof(int), 0}},
	{SYS_wait4, {3, -1, sizeof(struct rusage), 0}},
	{SYS_pipe, {0, -1, 2 * sizeof(int), 0}},
	{SYS_pipe2, {0, -1, 2 * sizeof(int), 0}},
	{SYS_poll, {0, 1, sizeof(struct pollfd), 0}},
	{SYS_ppoll, {0, 1, sizeof(struct pollfd), 0}},
	{SYS_ppoll, {2, -1, sizeof(struct timespec), 0}},
	{SYS_ppoll, {3, -1, SIGNALS_NBYTES, 0}},
	{SYS_epoll_wait, {1, 2, EPOLL_EVENT_NBYTES, 0}},
	{SYS_epoll_ctl, {3, -1, EPOLL_EVENT_NBYTES, 0}},
	{SYS_rt_sigprocmask, {1, -1, SIGNALS_NBYTES, 0}},
	{SYS_rt_sigprocmask, {2, -1, SIGNALS_NBYTES, 0}},
	{SYS_rt_sigaction, {1, -1, ACTION_NBYTES, 0}},
	{SYS_rt_sigaction, {2, -1, ACTION_NBYTES, 0}},
	{SYS_futex, {0, -1, sizeof(int), 0}},
	{SYS_futex, {3, -1, sizeof(struct timespec), 0}},
	{SYS_futex, {4, -1, sizeof(int), 0}},
};

struct umpa_call_buffer umpa_call_buffer(const struct umpa_call *call, int position)
{
	struct umpa_call_buffer b = {position, -1, 0, 0};

	for (size_t i = 0; i < array_len(buffers); i++) {
		if (buffers[i].number != call->number)
			continue;
		if (buffers[i].buffer.position == position)
			return buffers[i].buffer;
		b.nbytes = 1; /* no pointer, whatever is there */
	}
	return b;
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

int umpa_call_messages(const struct umpa_call *call, uintptr_t *headers, size_t *n, size_t *each)
{
	int many = call->number == SYS_sendmmsg || call->number == SYS_recvmmsg;

	*headers = call->argument[1];
	*n = many ? (unsigned)call->argument[2] : 1;
	*each = many ? sizeof(struct mmsghdr) : sizeof(struct msghdr);
	return many || call->number == SYS_sendmsg || call->number == SYS_recvmsg;
}

/* --- what it has mapped ------------------------------------------------------------------- */

uint64_t umpa_call_undo(const struct umpa_call *call)
{
	switch (call->number) {
	case SYS_mmap:
	case SYS_mremap:
		return SYS_munmap;
	case SYS_shmat:
		return SYS_shmdt;
	default:
		return 0;
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
