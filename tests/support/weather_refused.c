#include "refuse.h"
#include "weather.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <umpa/stats.h>

/* Debian 12's headers are older than the request: five 64-bit fields. */
#define UFFDIO_MOVE_REQUEST ((unsigned)_IOWR(0xaa, 0x05, char[40]))

static const char *reason_of(int result)
{
	return result ? "system calls can't be filtered here" : NULL;
}

static const char *refuse_one(int call, int error)
{
	return reason_of(refuse_calls(&call, 1, error));
}

/* A test of the weather itself: a refused userfaultfd can't be in use. */
static const char *another_mover_is_in_use(void)
{
	return strcmp(umpa_mover_in_use(), "uffd") ? NULL : "userfaultfd is in use though refused";
}

/* The same for a mover that was in use before its moves were refused. */
static const char *refusals_were_met(void)
{
	struct umpa_stats stats;

	if (strcmp(umpa_mover_in_use(), "uffd") || umpa_get_stats(&stats, sizeof(stats)))
		return NULL;
	return stats.nmoves_refused ? NULL : "nothing was to be moved: the test tests nothing";
}

#define REFUSES(id, expression)                                                                    \
	static const char *id(int late)                                                            \
	{                                                                                          \
		(void)late;                                                                        \
		return expression;                                                                 \
	}

REFUSES(uffd_eperm, refuse_one(SYS_userfaultfd, EPERM))
REFUSES(uffd_enosys, refuse_one(SYS_userfaultfd, ENOSYS))
REFUSES(move_ebusy, reason_of(refuse_ioctl(UFFDIO_MOVE_REQUEST, EBUSY)))
REFUSES(move_eagain, reason_of(refuse_ioctl(UFFDIO_MOVE_REQUEST, EAGAIN)))
REFUSES(move_enomem, reason_of(refuse_ioctl(UFFDIO_MOVE_REQUEST, ENOMEM)))
REFUSES(mmap_enomem, refuse_one(SYS_mmap, ENOMEM))
REFUSES(mprotect_enomem, refuse_one(SYS_mprotect, ENOMEM))
REFUSES(mremap_enomem, refuse_one(SYS_mremap, ENOMEM))
REFUSES(munmap_enomem, refuse_one(SYS_munmap, ENOMEM))
REFUSES(madvise_einval, refuse_one(SYS_madvise, EINVAL))
REFUSES(madvise_enomem, refuse_one(SYS_madvise, ENOMEM))

/* The worst: the kernel does nothing for us any more. */
static const char *all_enomem(int late)
{
	static const int calls[] = {
		SYS_mmap, SYS_mprotect, SYS_mremap, SYS_munmap, SYS_madvise, SYS_userfaultfd};
	int result = refuse_calls(calls, sizeof(calls) / sizeof(calls[0]), ENOMEM);

	(void)late;
	return reason_of(result ? result : refuse_ioctl(UFFDIO_MOVE_REQUEST, ENOMEM));
}

const struct weather weather_uffd_eperm = {uffd_eperm, another_mover_is_in_use, NULL};
const struct weather weather_uffd_enosys = {uffd_enosys, another_mover_is_in_use, NULL};
const struct weather weather_move_ebusy = {move_ebusy, refusals_were_met, NULL};
const struct weather weather_move_eagain = {move_eagain, refusals_were_met, NULL};
const struct weather weather_move_enomem = {move_enomem, refusals_were_met, NULL};
const struct weather weather_mmap_enomem = {mmap_enomem, NULL, NULL};
const struct weather weather_mprotect_enomem = {mprotect_enomem, NULL, NULL};
const struct weather weather_mremap_enomem = {mremap_enomem, NULL, NULL};
const struct weather weather_munmap_enomem = {munmap_enomem, NULL, NULL};
const struct weather weather_madvise_einval = {madvise_einval, NULL, NULL};
const struct weather weather_madvise_enomem = {madvise_enomem, NULL, NULL};
const struct weather weather_all_enomem = {all_enomem, NULL, NULL};
