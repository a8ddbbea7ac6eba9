#include <linux/magic.h>
#include <linux/mman.h>
#include <linux/shm.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/vfs.h>
#include <time.h>
#if defined(__has_include) && __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#else
#define __libc_single_threaded 0 /* glibc < 2.32, other libcs */
#endif

#include "base/units.h"
#include "os/os.h"
#include "os/syscall.h"

/* Newer than the headers of some systems that umpa is built on. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Reservations lie at random within so much below the stack, as far from it as it may grow: above
 * that are the libraries, far below it tools keep what they know about memory. */
#define SPREAD_NBYTES     ((uintptr_t)1 << 42)
#define STACK_ROOM_NBYTES ((uintptr_t)1 << 34)

/* How many places are tried, and from which size on what lies next to others is aligned to a GiB.
 */
#define LARGE_NBYTES ((size_t)1 << 34)
#define GIB_NBYTES   ((size_t)1 << 30)

enum {
	NPLACES = 4
};

static int confined; /* atomic */

/* --- address space ------------------------------------------------------------------------ */

static uintptr_t random_word(void)
{
	uintptr_t word = 0;

	/* Early in boot there is nothing random yet; then the kernel's own choice of the stack's
	 * place is all there is. */
	if (umpa_os_confined() ||
		SYS_3(SYS_getrandom, &word, sizeof(word), GRND_NONBLOCK) != sizeof(word))
		word = (uintptr_t)&word >> 4;
	return word;
}

static uintptr_t random_place(size_t nbytes)
{
	uintptr_t below = STACK_ROOM_NBYTES + nbytes + random_word() % SPREAD_NBYTES;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	return here > below ? (here - below) & ~(SLOT_NBYTES - 1) : 0;
}

/* A debugger's dump (gcore) writes what it finds mapped, readable or not: all of the window, page
 * by page of zeros. */
static void leave_out_of_dumps(void *addr, size_t nbytes)
{
	(void)!umpa_os_advise(addr, nbytes, MADV_DONTDUMP);
}

/* Reserves so much more than needed and gives back what lies before and behind. */
static int reserve_and_trim(size_t nbytes, size_t align, void **addr)
{
	long got = sys_mmap(NULL, nbytes + align, PROT_NONE, MAP_NORESERVE);
	uintptr_t base, head_nbytes;

	if (sys_failed(got))
		return (int)got;
	base = rounded_up((uintptr_t)got, align);
	head_nbytes = base - (uintptr_t)got;
	if (head_nbytes)
		umpa_os_release((void *)got, head_nbytes);
	umpa_os_release((void *)(base + nbytes), align - head_nbytes);
	*addr = (void *)base;
	return 0;
}

/* Where something is in the way the kernel takes a place of its own, next to others: one in ten of
 * half a TiB, as libraries lie at random too. */
static int reserve(size_t nbytes, void **addr)
{
	int error;

	for (int i = 0; i < NPLACES; i++) {
		uintptr_t place = random_place(nbytes);
		long got = sys_mmap((void *)place, nbytes, PROT_NONE, MAP_NORESERVE);

		if (sys_failed(got))
			return (int)got;
		*addr = (void *)got;
		if ((uintptr_t)got == place)
			return 0;
		umpa_os_release((void *)got, nbytes);
	}
	error = reserve_and_trim(nbytes, nbytes < LARGE_NBYTES ? SLOT_NBYTES : GIB_NBYTES, addr);
	return error && nbytes >= LARGE_NBYTES ? reserve_and_trim(nbytes, SLOT_NBYTES, addr)
					       : error;
}

int umpa_os_reserve(size_t nbytes, void **addr)
{
	int error = reserve(nbytes, addr);

	if (!error)
		leave_out_of_dumps(*addr, nbytes);
	return error;
}

int umpa_os_reserve_at(void *addr, size_t nbytes)
{
	long got = sys_mmap(addr, nbytes, PROT_NONE, MAP_NORESERVE | MAP_FIXED_NOREPLACE);

	if (sys_failed(got))
		return (int)got;
	if (got == (long)addr)
		return 0;
	umpa_os_release((void *)got, nbytes); /* Linux < 4.17 */
	return -EEXIST;
}

void umpa_os_release(void *addr, size_t nbytes)
{
	/* Unmapping the middle of a mapping takes one mapping more, which may not be had. */
	if (!umpa_os_munmap(addr, nbytes))
		return;
	if (!sys_failed(sys_mmap(addr, nbytes, PROT_NONE, MAP_NORESERVE | MAP_FIXED)))
		return;
	(void)!umpa_os_unback(addr, nbytes); /* else the frames stay until the program ends */
}

int umpa_os_open(void *addr, size_t nbytes)
{
	int error;

	/* Before it is opened: then it is one mapping with what was opened before. */
	(void)!umpa_os_advise(addr, nbytes, MADV_DODUMP);
	error = umpa_os_protect(addr, nbytes, PROT_READ | PROT_WRITE);
	if (error)
		leave_out_of_dumps(addr, nbytes);
	return error;
}

int umpa_os_advise_huge(void *addr, size_t nbytes, int on)
{
	return umpa_os_advise(addr, nbytes, on ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

/* --- libc's heap -------------------------------------------------------------------------- */

extern uintptr_t __curbrk __attribute__((weak)); /* void *, glibc's, GLIBC_2.2.5 */

const uintptr_t *umpa_os_break(void)
{
	return &__curbrk;
}

/* --- memory outside the window ------------------------------------------------------------ */

int umpa_os_map(size_t nbytes, void **addr)
{
	long got = sys_mmap(NULL, nbytes, PROT_READ | PROT_WRITE, 0);

	if (sys_failed(got))
		return (int)got;
	*addr = (void *)got;
	return 0;
}

void umpa_os_unmap(void *addr, size_t nbytes)
{
	umpa_os_release(addr, nbytes);
}

int umpa_os_remap(void *addr, size_t old_nbytes, size_t new_nbytes, int may_move, void **new_addr)
{
	long got = SYS_4(SYS_mremap, addr, old_nbytes, new_nbytes, may_move ? MREMAP_MAYMOVE : 0);

	if (sys_failed(got))
		return (int)got;
	*new_addr = (void *)got;
	return 0;
}

/* --- the program's own mappings ----------------------------------------------------------- */

intptr_t umpa_os_mmap(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset)
{
	return sys_call(SYS_mmap, (long)addr, (long)nbytes, prot, flags, fd, (long)offset);
}

int umpa_os_munmap(void *addr, size_t nbytes)
{
	return (int)SYS_2(SYS_munmap, addr, nbytes);
}

intptr_t umpa_os_mremap(void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *new_addr)
{
	return SYS_5(SYS_mremap, addr, old_nbytes, new_nbytes, flags, new_addr);
}

int umpa_os_protect(void *addr, size_t nbytes, int prot)
{
	return (int)SYS_3(SYS_mprotect, addr, nbytes, prot);
}

int umpa_os_advise(void *addr, size_t nbytes, int advice)
{
	return (int)SYS_3(SYS_madvise, addr, nbytes, advice);
}

int umpa_os_lock(const void *addr, size_t nbytes, unsigned flags)
{
	if (!flags)
		return (int)SYS_2(SYS_mlock, addr, nbytes);
	return (int)SYS_3(SYS_mlock2, addr, nbytes, flags);
}

int umpa_os_unlock(const void *addr, size_t nbytes)
{
	return (int)SYS_2(SYS_munlock, addr, nbytes);
}

int umpa_os_lock_all(int flags)
{
	return (int)SYS_1(SYS_mlockall, flags);
}

int umpa_os_sync(void *addr, size_t nbytes, int flags)
{
	return (int)SYS_3(SYS_msync, addr, nbytes, flags);
}

int umpa_os_incore(const void *addr, size_t nbytes, unsigned char *vec)
{
	return (int)SYS_3(SYS_mincore, addr, nbytes, vec);
}

int umpa_os_protect_key(void *addr, size_t nbytes, int prot, int key)
{
	return (int)SYS_4(SYS_pkey_mprotect, addr, nbytes, prot, key);
}

intptr_t umpa_os_attach(int id, const void *addr, int flags)
{
	return SYS_3(SYS_shmat, id, addr, flags);
}

int umpa_os_detach(const void *addr)
{
	return (int)SYS_1(SYS_shmdt, addr);
}

/*
 * Ends what was mapped for a moment, nbytes of it or up to a huge page more. The kernel unmaps no
 * part of a huge page: so the first length that it does unmap is a page's.
 */
static int unmap_trial(char *at, size_t nbytes, size_t *page_nbytes)
{
	size_t page = PAGE_NBYTES, whole;
	int error = umpa_os_munmap(at, page);

	while (error == -EINVAL && page < HUGE_PAGE_NBYTES_MAX) {
		page *= 2;
		error = umpa_os_munmap(at, page);
	}
	if (error)
		return error;
	whole = rounded_up(nbytes, page);
	if (whole > page)
		umpa_os_release(at + page, whole - page);
	*page_nbytes = page;
	return 0;
}

int umpa_os_measure_pages(
	size_t nbytes, int prot, int flags, int fd, int64_t offset, size_t *page_nbytes)
{
	const int elsewhere = ~(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_POPULATE | MAP_LOCKED);
	intptr_t at = umpa_os_mmap(NULL, nbytes, prot, flags & elsewhere, fd, offset);

	return umpa_os_failed(at) ? (int)at : unmap_trial((char *)at, nbytes, page_nbytes);
}

int umpa_os_is_huge(int fd)
{
	struct statfs seen = {0};

	if (umpa_os_confined())
		return -EPERM;
	return !SYS_2(SYS_fstatfs, fd, &seen) && seen.f_type == HUGETLBFS_MAGIC;
}

/* To the size that they have: nothing is done, but it is refused where nothing is mapped, or for
 * what begins within a huge page. */
static intptr_t remap_to_same(const void *addr)
{
	return umpa_os_mremap((void *)addr, PAGE_NBYTES, PAGE_NBYTES, 0, NULL);
}

int umpa_os_is_mapped(const void *addr)
{
	return remap_to_same(addr) != -EFAULT;
}

size_t umpa_os_page_nbytes(const void *addr)
{
	const char *at = addr;
	size_t n = PAGE_NBYTES;

	if (remap_to_same(at) == -EINVAL)
		return 0;
	while (n < HUGE_PAGE_NBYTES_MAX && remap_to_same(at + n) == -EINVAL)
		n *= 2;
	return n;
}

static int measure_at(int id, char *at, size_t *nbytes)
{
	struct shmid64_ds segment = {0};
	int error = (int)SYS_3(SYS_shmctl, id, IPC_STAT, &segment);
	size_t page = 0;

	if (!error)
		error = unmap_trial(at, segment.shm_segsz, &page);
	if (error)
		(void)!umpa_os_detach(at);
	else
		*nbytes = rounded_up(segment.shm_segsz, page);
	return error;
}

int umpa_os_measure(int id, int flags, size_t *nbytes)
{
	intptr_t at;

	if (umpa_os_confined())
		return -EPERM;
	at = umpa_os_attach(id, NULL, flags & ~(SHM_REMAP | SHM_RND));
	return umpa_os_failed(at) ? (int)at : measure_at(id, (char *)at, nbytes);
}

long umpa_os_ioctl(int fd, unsigned long request, void *arg)
{
	return SYS_3(SYS_ioctl, fd, request, arg);
}

int umpa_os_unregister(int fd, void *addr, size_t nbytes)
{
	struct uffdio_range range = {.start = (uintptr_t)addr, .len = nbytes};

	return (int)umpa_os_ioctl(fd, UFFDIO_UNREGISTER, &range);
}

/* An end of the range lies within a huge page. */
static int cuts_page(const char *addr, size_t nbytes)
{
	return remap_to_same(addr) == -EINVAL || remap_to_same(addr + nbytes) == -EINVAL;
}

int umpa_os_renew(void *addr, size_t nbytes, int huge)
{
	long got = sys_mmap(addr, nbytes, PROT_READ | PROT_WRITE, MAP_NORESERVE | MAP_FIXED);

	/* Older kernels (6.1) say so of mapping over a part of a huge page, too. */
	if (got == -ENOMEM && cuts_page(addr, nbytes))
		return -EINVAL;
	if (sys_failed(got))
		return (int)got;
	(void)!umpa_os_advise_huge(addr, nbytes, huge); /* as at start-up: a hint */
	return 0;
}

/* --- frames ------------------------------------------------------------------------------- */

static void touch(char *addr, size_t nbytes)
{
	/* Atomic, so that what another thread writes meanwhile stays. */
	for (size_t at = 0; at < nbytes; at += PAGE_NBYTES)
		__atomic_fetch_or(addr + at, 0, __ATOMIC_RELAXED);
}

static int back_step(char *addr, size_t nbytes)
{
	int error = umpa_os_advise(addr, nbytes, MADV_POPULATE_WRITE);

	if (error == -EINTR || error == -EAGAIN)
		error = umpa_os_advise(addr, nbytes, MADV_POPULATE_WRITE);
	if (error == -EINVAL && umpa_os_advise(addr, 0, MADV_POPULATE_WRITE)) { /* Linux < 5.14 */
		touch(addr, nbytes);
		return 0;
	}
	return error;
}

int umpa_os_back(void *addr, size_t nbytes)
{
	char *at = addr, *end = at + nbytes;

	while (at < end) {
		size_t step = SLOT_NBYTES - (uintptr_t)at % SLOT_NBYTES;
		int error;

		if (step > (size_t)(end - at))
			step = (size_t)(end - at);
		error = back_step(at, step);
		if (error)
			return error;
		at += step;
	}
	return 0;
}

int umpa_os_unback(void *addr, size_t nbytes)
{
	int error = umpa_os_advise(addr, nbytes, MADV_DONTNEED);

	if (error == -EINVAL) /* locked in memory */
		error = umpa_os_advise(addr, nbytes, MADV_DONTNEED_LOCKED);
	return error;
}

/* --- confinement -------------------------------------------------------------------------- */

void umpa_os_confine(void)
{
	__atomic_store_n(&confined, 1, __ATOMIC_RELAXED);
}

int umpa_os_confined(void)
{
	return __atomic_load_n(&confined, __ATOMIC_RELAXED);
}

int umpa_os_prlimit(int pid, int resource, const void *limit, void *old)
{
	return (int)SYS_4(SYS_prlimit64, pid, resource, limit, old);
}

long umpa_os_vmsplice(int fd, const void *iovec, size_t n, unsigned flags)
{
	return SYS_4(SYS_vmsplice, fd, iovec, n, flags);
}

long umpa_os_setsockopt(int fd, int level, int option, const void *value, unsigned nbytes)
{
	return SYS_5(SYS_setsockopt, fd, level, option, value, nbytes);
}

long umpa_os_process_advise(int pidfd, const void *iovec, size_t n, int advice, unsigned flags)
{
	return SYS_5(SYS_process_madvise, pidfd, iovec, n, advice, flags);
}

long umpa_os_prctl(int option, long a, long b, long c, long d)
{
	return SYS_5(SYS_prctl, option, a, b, c, d);
}

/* --- the machine -------------------------------------------------------------------------- */

uint64_t umpa_os_clock_ns(void)
{
	struct timespec now;

	/* libc's, which asks the kernel's page of clocks; it can't fail for this clock. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int umpa_os_single_threaded(void)
{
	return __libc_single_threaded != 0;
}

/* From what the kernel keeps in the thread's own memory (rseq), or the vDSO. */
unsigned umpa_os_cpu(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (unsigned)cpu;
}
