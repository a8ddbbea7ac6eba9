/*
 * What umpa asks of the system: the whole contract. One verb is one system call (or one plain loop
 * of it); every verb returns 0 or -errno and changes nothing when it refuses, unless said
 * otherwise. No verb allocates, writes errno or takes a lock. All are thread-safe on disjoint
 * ranges. Addresses and sizes are multiples of PAGE_NBYTES, sizes above 0.
 *
 * Two implementations: os_linux.c for the kernel, tests/support/fake_os.c for the unit tests, where
 * each page has a numbered frame behind it and any call can be made to fail.
 *
 * Nothing above this layer may make a VM system call or have an #if on the system.
 */
#ifndef UMPA_OS_OS_H
#define UMPA_OS_OS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/units.h"

/* --- address space ------------------------------------------------------------------------ */

/*
 * Reserves nbytes of address space, aligned to SLOT_NBYTES (nbytes is a multiple of it), at an
 * unpredictable place, away from others: no access, not counted as memory, left out of dumps until
 * it is opened. Where there is no such place, what is large is aligned to a GiB, so that it shares
 * no page table. -ENOMEM: no room, or a limit forbids.
 */
must_check int umpa_os_reserve(size_t nbytes, void **addr);

/* Reserves exactly this range. -EEXIST: something is mapped there; -ENOMEM. */
must_check int umpa_os_reserve_at(void *addr, size_t nbytes);

/* Ends a reservation or a part of it; what was behind it is lost. Never fails: where the kernel
 * refuses to unmap, the frames are given back and the address space stays lost. */
void umpa_os_release(void *addr, size_t nbytes);

/*
 * Makes a reserved range readable and writable. Pages never touched read as zero. -ENOMEM: a limit
 * (RLIMIT_DATA, strict overcommit, the mapping count) forbids it.
 */
must_check int umpa_os_open(void *addr, size_t nbytes);

/* Asks for (on) or against huge pages in a reserved range, opened or not. A hint: -EINVAL where the
 * system has none. */
must_check int umpa_os_advise_huge(void *addr, size_t nbytes, int on);

/* --- memory outside the window ------------------------------------------------------------ */

/* A fresh mapping of zero pages, readable and writable, aligned to PAGE_NBYTES. */
must_check int umpa_os_map(size_t nbytes, void **addr);

/* Ends what umpa_os_map() or umpa_os_remap() gave, or whole pages of it. As umpa_os_release(). */
void umpa_os_unmap(void *addr, size_t nbytes);

/* Changes the size of what umpa_os_map() gave; may_move lets the address change. Added pages are
 * zero. -ENOMEM: no room. */
must_check int umpa_os_remap(
	void *addr, size_t old_nbytes, size_t new_nbytes, int may_move, void **new_addr);

/* --- the program's own mappings ----------------------------------------------------------- */

/*
 * The calls a program makes, as it makes them, arguments and all: the kernel checks them. The range
 * may be any of the process, the window included. Result: the kernel's, or -errno.
 */
static inline int umpa_os_failed(intptr_t result)
{
	return result < 0 && result >= -4095;
}

intptr_t umpa_os_mmap(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset);
must_check int umpa_os_munmap(void *addr, size_t nbytes);
intptr_t umpa_os_mremap(
	void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *new_addr);
must_check int umpa_os_protect(void *addr, size_t nbytes, int prot);
must_check int umpa_os_advise(void *addr, size_t nbytes, int advice);

/* mlock() where flags are 0, else mlock2(). */
must_check int umpa_os_lock(const void *addr, size_t nbytes, unsigned flags);
must_check int umpa_os_unlock(const void *addr, size_t nbytes);
must_check int umpa_os_lock_all(int flags);
must_check int umpa_os_sync(void *addr, size_t nbytes, int flags);
must_check int umpa_os_incore(const void *addr, size_t nbytes, unsigned char *vec);
must_check int umpa_os_protect_key(void *addr, size_t nbytes, int prot, int key);

/*
 * What is of huge pages (MAP_HUGETLB, a file of hugetlbfs) covers whole ones, whatever length was
 * asked for. umpa_os_is_huge(): 1 if a file is such a one, 0 if not, -EPERM.
 * umpa_os_measure_pages(): how large the pages are that mmap() with those arguments would map. It
 * is mapped for a moment, wherever there is room, so that -errno is what mmap() would say.
 */
int umpa_os_is_huge(int fd);
must_check int umpa_os_measure_pages(
	size_t nbytes, int prot, int flags, int fd, int64_t offset, size_t *page_nbytes);

/* 0: nothing is mapped at addr. */
int umpa_os_is_mapped(const void *addr);

/* 1 if the range is all of one mapping, for the kernel. That shows in the reason for which it
 * refuses to make so much of it in place that no mapping is as large. */
static inline int umpa_os_is_one_mapping(const void *addr, size_t nbytes)
{
	const size_t too_many = ((size_t)1 << 47) - 3 * PAGE_NBYTES;

	return umpa_os_mremap((void *)addr, nbytes, too_many, 0, NULL) != -EFAULT;
}

/* How large the page is that begins at addr; PAGE_NBYTES where nothing is mapped. 0: addr lies
 * within a huge one, or it can't be told (huge ones, Linux < 5.16). */
size_t umpa_os_page_nbytes(const void *addr);

/*
 * System V's shared memory: shmat() and shmdt(). And how many bytes, of whole pages, a segment
 * takes where it is attached with those flags: it is attached for a moment, wherever there is room,
 * so that -errno is what shmat() would say.
 */
intptr_t umpa_os_attach(int id, const void *addr, int flags);
must_check int umpa_os_detach(const void *addr);
must_check int umpa_os_measure(int id, int flags, size_t *nbytes);

/* ioctl() as the program makes it. And the end of a registration with a userfaultfd of its own. */
long umpa_os_ioctl(int fd, unsigned long request, void *arg);
must_check int umpa_os_unregister(int fd, void *addr, size_t nbytes);

/* Makes an opened range of the window what it was when it was opened, whatever has been mapped over
 * it, locked or advised since: no frames, advised for (huge) or against huge pages. -ENOMEM;
 * -EINVAL: an end of it lies within a huge page. */
must_check int umpa_os_renew(void *addr, size_t nbytes, int huge);

/* --- frames ------------------------------------------------------------------------------- */

/* Puts frames behind every page of an opened range; those that have one keep it. -ENOMEM, -EFAULT,
 * -EINVAL (a page can't be written; before Linux 5.14 that ends the program): pages up to some
 * point have frames by then. In steps of at most a superpage, so that threads that fault meanwhile
 * don't wait for all of it. */
must_check int umpa_os_back(void *addr, size_t nbytes);

/* Gives the frames of an opened range back to the system; its pages read as zero afterwards, also
 * where they are locked in memory. -EINVAL: the system refused (nothing or part of it is given). */
must_check int umpa_os_unback(void *addr, size_t nbytes);

/* vec[i] gets bit 0 set if page i of the range has a frame. A snapshot; a page swapped out may
 * count as absent, so absence says nothing of the content. npages is the length of vec. */
must_check int umpa_os_resident(const void *addr, size_t npages, unsigned char *vec);

/* 0 if the pages of the range are bare: no frame, and no content elsewhere (swapped out); they read
 * as zero. -EEXIST: one has something, or it can't be told. */
must_check int umpa_os_bare(const void *addr, size_t npages);

/* --- confinement -------------------------------------------------------------------------- */

/*
 * A process that confines itself (seccomp) may be killed for a call it did not foresee, and
 * foresees those of a malloc: mmap, munmap, mremap, mprotect, madvise, futex. After
 * umpa_os_confine() no others are made for umpa's own sake: a verb or a mover that needs one
 * answers -EPERM. There is no way back; a child after fork() is confined too, as it is for the
 * kernel.
 */
void umpa_os_confine(void);
int umpa_os_confined(void);

/* prlimit(), prctl() and others, for the program. */
int umpa_os_prlimit(int pid, int resource, const void *limit, void *old);
long umpa_os_prctl(int option, long a, long b, long c, long d);
long umpa_os_vmsplice(int fd, const void *iovec, size_t n, unsigned flags);
long umpa_os_setsockopt(int fd, int level, int option, const void *value, unsigned nbytes);
long umpa_os_process_advise(int pidfd, const void *iovec, size_t n, int advice, unsigned flags);

/* --- libc's heap -------------------------------------------------------------------------- */

/* Where libc keeps the program break, below which the heap of its malloc lies: 0 or the address
 * where that ends, written by libc whenever it changes. NULL: this libc shows none. */
const uintptr_t *umpa_os_break(void);

/* --- the machine -------------------------------------------------------------------------- */

struct umpa_os_machine {
	size_t page_nbytes;     /* the system's base page */
	size_t memory_nbytes;   /* physical memory, or 1 GiB if not to be learned */
	size_t as_limit_nbytes; /* of address space: RLIMIT_AS or, of what is writable, RLIMIT_DATA,
				   the lesser; SIZE_MAX if none */
	unsigned ncpus;         /* CPUs this process may run on, at least 1 */
	int strict_commit;      /* writable memory counts before it is touched: overcommit_memory=2,
				   or RLIMIT_DATA set */
};

/* Fills *m. Never fails: what can't be learned has the value that is safe. */
void umpa_os_machine(struct umpa_os_machine *m);

/* Monotonic nanoseconds. */
uint64_t umpa_os_clock_ns(void);

/* 1 if this process surely has no thread but the caller's; 0: it has, had, or it can't be told. */
int umpa_os_single_threaded(void);

/* The number of the CPU this thread runs on, or ran on a moment ago; 0 if not to be learned. Not
 * below machine.ncpus where this process may not run on all. */
unsigned umpa_os_cpu(void);

#endif
