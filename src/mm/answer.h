/* What a system call said, as libc's functions say it: errors are -1 or MAP_FAILED, and errno. */
#ifndef UMPA_MM_ANSWER_H
#define UMPA_MM_ANSWER_H

#include <errno.h>
#include <sys/mman.h>

#include "os/os.h"

static inline long umpa_answer_number(long got)
{
	if (!umpa_os_failed(got))
		return got;
	errno = (int)-got;
	return -1;
}

static inline int umpa_answer(int error)
{
	return (int)umpa_answer_number(error);
}

static inline void *umpa_answer_address(intptr_t got)
{
	if (!umpa_os_failed(got))
		return (void *)got;
	errno = (int)-got;
	return MAP_FAILED;
}

#endif
