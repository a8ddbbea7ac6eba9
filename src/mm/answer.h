/* What a system call said, as libc's functions say it: -1 or MAP_FAILED, and errno. */
#ifndef UMPA_MM_ANSWER_H
#define UMPA_MM_ANSWER_H

#include <errno.h>
#include <sys/mman.h>

#include "os/os.h"

static inline int umpa_answer(int error)
{
	if (!error)
		return 0;
	errno = -error;
	return -1;
}

static inline void *umpa_answer_address(intptr_t got)
{
	if (!umpa_os_failed(got))
		return (void *)got;
	errno = (int)-got;
	return MAP_FAILED;
}

#endif
