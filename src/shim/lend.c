/*
 * vmsplice() and setsockopt(SO_ZEROCOPY): pages that are lent to the kernel, which may hold on to
 * them when they are unmapped. The kernel's own mmap would have others at that place next; umpa
 * would use them again, so it does not from then on (mm/mapping.h). What I/O is under way by other
 * calls, io_uring's and those of libaio, is not noticed.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "heap/engine.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "os/os.h"
#include "shim/next.h"

static ssize_t (*next_vmsplice)(int fd, const struct iovec *v, size_t n, unsigned flags);
static int (*next_setsockopt)(int fd, int level, int option, const void *value, socklen_t nbytes);

/* As in watch.c. */
__attribute__((constructor(101))) static void find_next(void)
{
	umpa_find_next("vmsplice", &next_vmsplice);
	umpa_find_next("setsockopt", &next_setsockopt);
}

static void distrust(void)
{
	if (umpa_host_consent() == UMPA_CONSENT_GIVEN)
		umpa_mm_distrust();
}

/* Constructors of other libraries may call before ours has looked. */
public_api ssize_t vmsplice(int fd, const struct iovec *v, size_t n, unsigned flags)
{
	distrust();
	return next_vmsplice ? next_vmsplice(fd, v, n, flags)
			     : umpa_answer_number(umpa_os_vmsplice(fd, v, n, flags));
}

public_api int setsockopt(int fd, int level, int option, const void *value, socklen_t nbytes)
{
	if (unlikely(level == SOL_SOCKET && option == SO_ZEROCOPY))
		distrust();
	if (likely(next_setsockopt != NULL))
		return next_setsockopt(fd, level, option, value, nbytes);
	return (int)umpa_answer_number(umpa_os_setsockopt(fd, level, option, value, nbytes));
}
