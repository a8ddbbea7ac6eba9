/*
 * The mmap family, and System V's shared memory, under libc's names, which is umpa's (src/mm): that
 * hands on what is not for it. Without the option mmap the program's own mmap is the system call;
 * an engine's is served by the option engine_mmap. In a program with more rights than its caller,
 * and before it is known whether it is one, all are system calls and nothing else.
 *
 * What the loader and libc map for themselves they map by calls of their own, which no library
 * replaces.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/uio.h>
#include <umpa/mmap.h>

#include "core/options.h"
#include "heap/engine.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "os/os.h"

static int may_act(void)
{
	static int known; /* atomic */
	int consent = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (likely(consent))
		return consent == UMPA_CONSENT_GIVEN;
	consent = umpa_host_consent();
	if (consent != UMPA_CONSENT_NOT_YET)
		__atomic_store_n(&known, consent, __ATOMIC_RELAXED);
	return consent == UMPA_CONSENT_GIVEN;
}

static void *map(
	void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset, const void *caller)
{
	if (may_act()) {
		if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
			return umpa_mm_map_at(addr, nbytes, prot, flags, fd, offset);
		if (umpa_engine_has(caller)) {
			if (umpa_option(OPTION_engine_mmap))
				return umpa_mm_map_for_engine(
					addr, nbytes, prot, flags, fd, offset);
		} else if (umpa_option(OPTION_mmap)) {
			return umpa_mm_map_if_used(addr, nbytes, prot, flags, fd, offset);
		}
	}
	return umpa_answer_address(umpa_os_mmap(addr, nbytes, prot, flags, fd, offset));
}

public_api void *mmap(void *addr, size_t nbytes, int prot, int flags, int fd, off_t offset)
{
	return map(addr, nbytes, prot, flags, fd, offset, __builtin_return_address(0));
}

public_api void *mmap64(void *addr, size_t nbytes, int prot, int flags, int fd, off64_t offset)
{
	return map(addr, nbytes, prot, flags, fd, offset, __builtin_return_address(0));
}

public_api int munmap(void *addr, size_t nbytes)
{
	if (may_act())
		return umpa_mm_unmap(addr, nbytes);
	return umpa_answer(umpa_os_munmap(addr, nbytes));
}

public_api void *mremap(void *addr, size_t old_nbytes, size_t new_nbytes, int flags, ...)
{
	void *new_addr = NULL;

	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) {
		va_list args;

		va_start(args, flags);
		new_addr = va_arg(args, void *);
		va_end(args);
	}
	if (may_act())
		return umpa_mremap(addr, old_nbytes, new_nbytes, flags, new_addr);
	return umpa_answer_address(umpa_os_mremap(addr, old_nbytes, new_nbytes, flags, new_addr));
}

public_api int mprotect(void *addr, size_t nbytes, int prot)
{
	if (may_act())
		return umpa_mprotect(addr, nbytes, prot);
	return umpa_answer(umpa_os_protect(addr, nbytes, prot));
}

public_api int madvise(void *addr, size_t nbytes, int advice)
{
	if (may_act())
		return umpa_madvise(addr, nbytes, advice);
	return umpa_answer(umpa_os_advise(addr, nbytes, advice));
}

/* Of this process or of another: what it has done here is noted afterwards, as the kernel has
 * looked at the vector before. */
public_api ssize_t process_madvise(
	int pidfd, const struct iovec *v, size_t n, int advice, unsigned flags)
{
	long got = umpa_os_process_advise(pidfd, v, n, advice, flags);
	int looked = got >= 0 || got == -ENOMEM || (got == -EINVAL && n <= IOV_MAX && !flags);

	for (size_t i = 0; looked && i < n && may_act(); i++)
		umpa_mm_advised(v[i].iov_base, v[i].iov_len, advice);
	return umpa_answer_number(got);
}

/* As libc's: POSIX_MADV_DONTNEED must not lose anything, and does nothing. */
public_api int posix_madvise(void *addr, size_t nbytes, int advice)
{
	int kept = errno, error = 0;

	if (advice != POSIX_MADV_DONTNEED && madvise(addr, nbytes, advice))
		error = errno;
	errno = kept;
	return error;
}

public_api int mlock(const void *addr, size_t nbytes)
{
	return mlock2(addr, nbytes, 0);
}

public_api int mlock2(const void *addr, size_t nbytes, unsigned flags)
{
	if (may_act())
		return umpa_mm_lock(addr, nbytes, flags);
	return umpa_answer(umpa_os_lock(addr, nbytes, flags));
}

public_api int munlock(const void *addr, size_t nbytes)
{
	if (may_act())
		return umpa_mm_unlock(addr, nbytes);
	return umpa_answer(umpa_os_unlock(addr, nbytes));
}

public_api int msync(void *addr, size_t nbytes, int flags)
{
	pthread_testcancel(); /* libc's can be cancelled */
	if (may_act())
		return umpa_mm_sync(addr, nbytes, flags);
	return umpa_answer(umpa_os_sync(addr, nbytes, flags));
}

public_api int mincore(void *addr, size_t nbytes, unsigned char *vec)
{
	if (may_act())
		return umpa_mm_incore(addr, nbytes, vec);
	return umpa_answer(umpa_os_incore(addr, nbytes, vec));
}

public_api int pkey_mprotect(void *addr, size_t nbytes, int prot, int key)
{
	if (key == -1) /* as libc's */
		return mprotect(addr, nbytes, prot);
	if (may_act())
		return umpa_mm_protect_key(addr, nbytes, prot, key);
	return umpa_answer(umpa_os_protect_key(addr, nbytes, prot, key));
}

public_api void *shmat(int id, const void *addr, int flags)
{
	if (may_act())
		return umpa_mm_attach(id, addr, flags);
	return umpa_answer_address(umpa_os_attach(id, addr, flags));
}

public_api int shmdt(const void *addr)
{
	if (may_act())
		return umpa_mm_detach(addr);
	return umpa_answer(umpa_os_detach(addr));
}
