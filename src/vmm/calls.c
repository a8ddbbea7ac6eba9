#include "vmm/calls.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
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

static const struct {
	uint16_t number;
	struct umpa_call_buffer buffer;
} buffers[] = {
	{SYS_read, {1, 2, 0, 1}},
	{SYS_write, {1, 2, 0, 1}},
	{SYS_pread64, {1, 2, 0, 1}},
	{SYS_pwrite64, {1, 2, 0, 1}},
	{SYS_getrandom, {0, 1, 0, 1}},
	{SYS_getdents64, {1, 2, 0, 1}},
	{SYS_recvfrom, {1, 2, 0, 0}},
	{SYS_sendto, {1, 2, 0, 0}},
	{SYS_mlock, {0, 1, 0, 0}},
	{SYS_munlock, {0, 1, 0, 0}},
	{SYS_msync, {0, 1, 0, 0}},
	{SYS_mincore, {0, 1, 0, 0}},
	{SYS_readlink, {1, 2, 0, 0}},
	{SYS_getcwd, {0, 1, 0, 0}},
	{SYS_clock_gettime, {1, -1, sizeof(struct timespec), 0}},
	{SYS_gettimeofday, {0, -1, sizeof(struct timeval), 0}},
	{SYS_nanosleep, {0, -1, sizeof(struct timespec), 0}},
	{SYS_stat, {1, -1, sizeof(struct stat), 0}},
	{SYS_fstat, {1, -1, sizeof(struct stat), 0}},
	{SYS_newfstatat, {2, -1, sizeof(struct stat), 0}},
	{SYS_getrusage, {1, -1, sizeof(struct rusage), 0}},
	{SYS_uname, {0, -1, sizeof(struct utsname), 0}},
};

struct umpa_call_buffer umpa_call_buffer(const struct umpa_call *call, int position)
{
	for (size_t i = 0; i < array_len(buffers); i++)
		if (buffers[i].number == call->number && buffers[i].buffer.position == position)
			return buffers[i].buffer;
	return (struct umpa_call_buffer){position, -1, 1, 0};
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
		*list = call->argument[1];
		*n = call->argument[2];
		return 1;
	default:
		return 0;
	}
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
