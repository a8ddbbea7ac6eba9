/*
 * ioctl(): a program that registers memory with a userfaultfd of its own shall be told of it as
 * without umpa (mm/watch.c). All else goes to the next library's at once, which need not be libc's:
 * some are preloaded to stand for a device.
 */
#include <errno.h>
#include <linux/userfaultfd.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "heap/engine.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "os/os.h"
#include "shim/next.h"

static int (*next_ioctl)(int fd, unsigned long request, ...);

/* Looked for once and before there are threads or signals: a call may come from a handler. */
__attribute__((constructor(101))) static void find_next(void)
{
	umpa_find_next("ioctl", &next_ioctl);
}

static int call_next(int fd, unsigned long request, void *arg)
{
	if (likely(next_ioctl != NULL))
		return next_ioctl(fd, request, arg);
	return (int)umpa_answer_number(umpa_os_ioctl(fd, request, arg));
}

/* The kernel has looked at *r before anybody here does. */
static int watch(int fd, struct uffdio_register *r)
{
	int got = call_next(fd, UFFDIO_REGISTER, r), error;
	struct umpa_mm_watch w = {.fd = fd};

	if (got && errno != EBUSY)
		return got;
	w.addr = (void *)(uintptr_t)r->range.start;
	w.nbytes = r->range.len;
	w.missing = (r->mode & UFFDIO_REGISTER_MODE_MISSING) != 0;
	if (!umpa_mm_may_watch(&w))
		return got;
	error = umpa_mm_hand_over(&w, !got);
	if (error)
		return umpa_answer(error);
	got = call_next(fd, UFFDIO_REGISTER, r);
	error = errno;
	umpa_mm_handed_over(&w, !got);
	errno = error;
	return got;
}

public_api int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;
	int got;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (likely(request != UFFDIO_REGISTER && request != UFFDIO_API) ||
		umpa_host_consent() != UMPA_CONSENT_GIVEN)
		return call_next(fd, request, arg);
	if (request == UFFDIO_REGISTER)
		return watch(fd, arg);
	got = call_next(fd, request, arg);
	if (!got)
		umpa_mm_keep_off();
	return got;
}
