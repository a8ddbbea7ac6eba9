#include "refuse.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field)       BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(k, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), 0, n)
#define ANSWER(k)         BPF_STMT(BPF_RET | BPF_K, k)
#define ANSWER_ERROR(e)   ANSWER(SECCOMP_RET_ERRNO | ((e)&SECCOMP_RET_DATA))

static int install(struct sock_filter *code, size_t ncode)
{
	struct sock_fprog program = {.len = (unsigned short)ncode, .filter = code};

	/* Not by libc's prctl(), from which the preload library learns of it. */
	if (syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
		return -errno;
	return 0;
}

/* Arguments that no kernel accepts, so that a call that is not refused does no harm either. */
static int is_refused(int call, unsigned request, int error)
{
	return syscall(call, -1L, (long)request, -1L, -1L, -1L, -1L) == -1 && errno == error;
}

int refuse_calls(const int *calls, size_t ncalls, int error)
{
	struct sock_filter code[2 + 2 * 16];
	size_t n = 0;
	int result;

	if (ncalls > 16)
		return -EINVAL;
	code[n++] = (struct sock_filter)LOAD(nr);
	for (size_t i = 0; i < ncalls; i++) {
		code[n++] = (struct sock_filter)SKIP_UNLESS(calls[i], 1);
		code[n++] = (struct sock_filter)ANSWER_ERROR(error);
	}
	code[n++] = (struct sock_filter)ANSWER(SECCOMP_RET_ALLOW);
	result = install(code, n);
	for (size_t i = 0; i < ncalls && !result; i++)
		if (!is_refused(calls[i], 0, error))
			result = -ENOSYS;
	return result;
}

int refuse_ioctl(unsigned request, int error)
{
	struct sock_filter code[] = {
		LOAD(nr),
		SKIP_UNLESS(SYS_ioctl, 3),
		LOAD(args[1]), /* the low half: requests have 32 bits */
		SKIP_UNLESS(request, 1),
		ANSWER_ERROR(error),
		ANSWER(SECCOMP_RET_ALLOW),
	};
	int result = install(code, sizeof(code) / sizeof(code[0]));

	if (!result && !is_refused(SYS_ioctl, request, error))
		return -ENOSYS;
	return result;
}
