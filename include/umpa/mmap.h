/*
 * The mmap family, as the kernel's, with private anonymous memory out of umpa's pool.
 *
 * Each function takes what the system call of its name takes and answers as that does, errno for
 * errno. What umpa gains nothing from goes to the kernel as it is: files, shared memory, stacks,
 * huge page file systems, memory that is not asked for as readable and writable, less than the
 * option mmap_min (4 KiB: nothing is less), MAP_NORESERVE. The rest comes from the window: zeroed
 * in user space where the process's pool has frames, else left to the kernel's fault, as huge
 * pages. So do reservations (PROT_NONE, MAP_NORESERVE or not) of 2 MiB to 1 GiB, and no more than a
 * 64th of the window: what is opened of them, by umpa_mprotect() or MAP_FIXED, has frames of the
 * pool where it is whole superpages. Ranges may be umpa's, the kernel's, or part one and part the
 * other; a mapping may be ended, protected, advised and mapped over in any part. A mapping is no
 * block: umpa_free(), umpa_realloc() and the like do not take it. Pages of a block may be
 * protected, advised, mapped over and moved elsewhere by umpa_mremap(), which leaves zero; they are
 * ordinary memory again when it is freed. Unmapping them does nothing, and is no error.
 *
 * What umpa_mmap() gave is for these functions alone: libc's munmap() and the like would leave a
 * hole in the window, unless the preload library stands behind them.
 *
 * Where it differs from the kernel:
 *  - memory that was unmapped may stay readable and writable, as part of the pool;
 *  - pages that the kernel still reads or writes for somebody when they are unmapped (vmsplice,
 *    sends without copying, I/O under way) belong to the pool at once: wait for these first (the
 *    preload library hears of vmsplice() and SO_ZEROCOPY, and gives such pages to the kernel);
 *  - memory of the window must not be registered with a userfaultfd of the program's, unless the
 *    preload library is there, which hears of it: EBUSY, or it is registered, and stays so when it
 *    has been unmapped;
 *  - what is unmapped of a slot of 2 MiB of which other pages are still mapped keeps its frames;
 *  - closed pages of a reservation may count for RLIMIT_DATA when they are unmapped, as the pool's:
 *    ENOMEM if the limit was lowered since;
 *  - RLIMIT_AS counts the pool's address space once, and not what comes out of it;
 *  - pages advised MADV_DONTFORK are there in a child, closed: nothing else can be mapped there
 *    without MAP_FIXED;
 *  - where several things are wrong with a call, errno may be that of another;
 *  - growing in place may succeed where the kernel would have had to move, and the reverse.
 *
 * Every function is thread-safe, for any ranges. None may be called from a signal handler that can
 * interrupt a call of umpa. A child after fork() may use them at once. Programs that must not
 * differ from the kernel anywhere use the kernel's.
 *
 * Source of the idea: N. Douglas, "User Mode Memory Page Allocation: A Silver Bullet For Memory
 * Allocation?", 2011.
 */
#ifndef UMPA_MMAP_H
#define UMPA_MMAP_H

#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As mmap(2). addr, nbytes (bytes, above 0), prot, flags, fd and offset are the kernel's. Result:
 * the address, or MAP_FAILED and errno. errno is kept on success. */
void *umpa_mmap(void *addr, size_t nbytes, int prot, int flags, int fd, off_t offset);

/* As munmap(2). Result: 0, or -1: EINVAL (addr is no multiple of 4096, nbytes is 0), ENOMEM. */
int umpa_munmap(void *addr, size_t nbytes);

/* As mremap(2), new_addr included, which counts with MREMAP_FIXED alone. Result: the address, or
 * MAP_FAILED: EINVAL, EFAULT (not all of the old range is mapped), ENOMEM. */
void *umpa_mremap(void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *new_addr);

/* As mprotect(2). Result: 0, or -1: EINVAL, EACCES, ENOMEM (not all is mapped; what lies before the
 * gap has changed). */
int umpa_mprotect(void *addr, size_t nbytes, int prot);

/* As madvise(2), and its errors: EINVAL, ENOMEM (not all is mapped; the rest is advised), and for
 * some advice EAGAIN, EIO, EBADF, EPERM, EFAULT. Result: 0, or -1. */
int umpa_madvise(void *addr, size_t nbytes, int advice);

#ifdef __cplusplus
}
#endif

#endif
