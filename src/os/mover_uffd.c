/*
 * The mover that uses UFFDIO_MOVE. The window is registered for write-protect only, which changes
 * nothing in how it behaves, and no mapping is ever split.
 *
 * The descriptor lives in a table the program thinks is its own. It is parked high, where loops
 * that tidy up rarely come, but it may be closed any time, and its number may by then be another
 * file. What is done about that:
 *  - A file that is not ours can't be made to move our pages: the kernel wants the window
 *    registered with the very userfaultfd that is asked (EINVAL), other files answer ENOTTY or
 *    the like. A move that "worked" counts only if the kernel wrote how much.
 *  - Any answer that an open, registered descriptor would not give makes us open a new one and
 *    register the window with it, in parts where a file is mapped into it. That fails with EBUSY as
 *    long as another one is registered with any part, so a refusal that was honest is found out
 *    without looking further.
 *  - A number is closed only if it is our file: same device and inode. Each userfaultfd has an
 *    inode of its own in kernels that can move pages.
 *  - After fork, the child's window is not registered and the inherited descriptor is the parent's:
 *    the kernel answers EINVAL, and the same steps help.
 * A descriptor that is lost here while a child still holds its copy leaves the window registered
 * with what nobody can reach: moves are refused, -EBUSY, until the child is gone or has moved
 * something.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/units.h"
#include "os/filter.h"
#include "os/fork_lock.h"
#include "os/mover.h"
#include "os/syscall.h"

/* Newer than the headers of some systems that umpa is built on: Linux 6.8 and 5.11. */
#ifndef UFFDIO_MOVE
#define UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES ((__u64)1 << 1)
#define UFFDIO_MOVE                      _IOWR(UFFDIO, 0x05, struct uffdio_move)
struct uffdio_move {
	__u64 dst;
	__u64 src;
	__u64 len;
	__u64 mode;
	__s64 move;
};
#endif
#define FEATURE_MOVE   ((__u64)1 << 16)
#define USER_MODE_ONLY 1

/* Higher, and the table of descriptors costs memory and time at each fork. */
#define PARK_MAX  4096
#define PARK_ROOM 32
#define PARK_MIN  64

/* So often is a move tried that got nothing done, EAGAIN. */
#define NTRIES 64

/* So many parts of the window are tried at most to register what of it can be. */
#define NPARTS_MAX 4096

/* --- the descriptor ----------------------------------------------------------------------- */

static int identify(int fd, uint64_t file[2])
{
	struct stat st = {0};
	long error = SYS_2(SYS_fstat, fd, &st);

	file[0] = st.st_dev;
	file[1] = st.st_ino;
	return (int)error;
}

static uint32_t self(void)
{
	return (uint32_t)SYS_1(SYS_getpid, 0);
}

static int is_ours(const struct umpa_mover *m, int fd)
{
	uint64_t file[2];

	return fd >= 0 && !identify(fd, file) && file[0] == m->file[0] && file[1] == m->file[1];
}

/* And not inherited: a parent's does to the parent what it is told. */
static int is_own(const struct umpa_mover *m, int fd)
{
	return is_ours(m, fd) && m->pid == self();
}

static int park(int fd)
{
	struct rlimit limit = {0};
	long from = PARK_MAX;

	if (!SYS_4(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) && limit.rlim_cur < PARK_MAX)
		from = (long)limit.rlim_cur;
	for (from -= PARK_ROOM; from >= PARK_MIN; from /= 2) {
		long high = SYS_3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, from);

		if (high < 0)
			continue;
		SYS_1(SYS_close, fd);
		return (int)high;
	}
	return fd;
}

static int register_range(int fd, void *addr, size_t nbytes)
{
	struct uffdio_register range = {
		.range = {.start = (uintptr_t)addr, .len = nbytes},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return (int)SYS_3(SYS_ioctl, fd, UFFDIO_REGISTER, &range);
}

struct parts {
	int fd;
	unsigned ntried, nregistered;
};

/*
 * Registers what can be of nslots slots. A range is refused as a whole where a file or the like is
 * mapped anywhere in it, so it is halved, down to a slot, which then does not move. Where there are
 * too many such the rest of the window does not move.
 */
static int register_parts(struct parts *p, char *addr, size_t nslots)
{
	size_t half = nslots / 2;
	int error;

	if (p->ntried++ >= NPARTS_MAX)
		return 0;
	error = register_range(p->fd, addr, nslots << SLOT_SHIFT);
	p->nregistered += !error;
	if (error != -EINVAL && error != -EPERM)
		return error;
	if (!half)
		return 0;
	error = register_parts(p, addr, half);
	return error ? error : register_parts(p, addr + (half << SLOT_SHIFT), nslots - half);
}

static int register_window(const struct umpa_mover *m, int fd)
{
	struct uffdio_api api = {.api = UFFD_API, .features = FEATURE_MOVE};
	struct parts p = {.fd = fd};
	long error = SYS_3(SYS_ioctl, fd, UFFDIO_API, &api);

	if (error == -EINVAL) /* knows no UFFDIO_MOVE */
		error = -ENOSYS;
	if (!error)
		error = register_parts(&p, m->window, m->window_nbytes >> SLOT_SHIFT);
	return error || p.nregistered ? (int)error : -EINVAL;
}

/* A descriptor with which the window is registered, or -errno. */
static int open_registered(const struct umpa_mover *m)
{
	long fd = SYS_1(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
	int error;

	if (fd == -EPERM || fd == -ENOSYS)
		umpa_filter_answers();
	if (fd == -EINVAL) /* Linux < 5.11 */
		return -ENOSYS;
	if (fd < 0)
		return (int)fd;
	error = register_window(m, (int)fd);
	if (!error)
		return park((int)fd);
	SYS_1(SYS_close, fd);
	return error;
}

/* --- opening anew ------------------------------------------------------------------------- */

/* The descriptor `failed` gave an answer it should not give. 0: it is worth trying once more. */
static int reopen_locked(struct umpa_mover *m, int failed)
{
	int fd;

	if (__atomic_load_n(&m->fd, __ATOMIC_RELAXED) != failed)
		return 0;
	fd = open_registered(m);
	if (fd == -EBUSY && is_ours(m, failed))
		return 0; /* as it should be, or another thread was quicker and got the number again
			   */
	if (fd < 0)
		return fd;
	if (is_ours(m, failed))
		SYS_1(SYS_close, failed); /* inherited from the parent */
	if (identify(fd, m->file))
		m->file[0] = m->file[1] = 0;
	m->pid = self();
	__atomic_store_n(&m->fd, fd, __ATOMIC_RELAXED);
	return 0;
}

static int reopen(struct umpa_mover *m, int failed)
{
	int error;

	fork_lock_take(&m->lock);
	error = reopen_locked(m, failed);
	fork_lock_give(&m->lock);
	return error;
}

/* --- moving ------------------------------------------------------------------------------- */

/* Answers of a registered descriptor; EINVAL is one too, but an unregistered one says the same. */
static int is_refusal(long error)
{
	return error == -EBUSY || error == -EEXIST || error == -ENOENT || error == -ENOMEM ||
	       error == -EAGAIN;
}

/* One call and what follows from it, from *done on. */
static long move_once(int fd, struct uffdio_move *op)
{
	long error;

	op->move = 0;
	error = SYS_3(SYS_ioctl, fd, UFFDIO_MOVE, op);
	if (!error && op->move != (__s64)op->len)
		return -ENOTTY; /* not a userfaultfd */
	return error;
}

/*
 * What has moved and was not counted. Linux 6.18 was seen to move pages and leave them out of its
 * count, after it met one that was being migrated: the pages right behind those it counted, up to
 * the end of a page table at most, and then to stop there, since what it moved is in its way. Taken
 * at its word, it would lose content: the caller would go on to use the source. Since there was
 * nothing at the destination, what has a frame there, and none at the source, has moved.
 */
static size_t uncounted(const char *dst, const char *src, size_t nbytes)
{
	unsigned char at_dst[SLOT_NPAGES], at_src[SLOT_NPAGES];
	size_t npages = nbytes / PAGE_NBYTES, n = 0;

	npages = npages < SLOT_NPAGES ? npages : SLOT_NPAGES;
	if (umpa_os_resident(dst, npages, at_dst) || umpa_os_resident(src, npages, at_src))
		return 0;
	while (n < npages && at_dst[n] & 1 && !(at_src[n] & 1))
		n++;
	return n * PAGE_NBYTES;
}

static int move_on(int fd, char *dst, char *src, size_t nbytes, unsigned flags, size_t *moved)
{
	struct uffdio_move op = {
		.mode = flags & UMPA_MOVE_HOLES ? UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES : 0,
	};

	for (int i = 0; i < NTRIES; i++) {
		size_t step;
		long error;

		op.dst = (uintptr_t)dst + *moved;
		op.src = (uintptr_t)src + *moved;
		op.len = nbytes - *moved;
		error = move_once(fd, &op);
		step = op.move > 0 ? (size_t)op.move : 0;
		if (error && error != -EAGAIN && error != -EEXIST)
			return (int)error;
		if (error && step < op.len)
			step += uncounted(dst + *moved + step, src + *moved + step, op.len - step);
		*moved += step;
		if (!error || *moved == nbytes)
			return 0;
		if (error == -EEXIST && !step)
			return -EEXIST;
		if (step)
			i = 0;
	}
	return -EAGAIN;
}

/* What the contract of movers has no word for is "these ends can't"; what passes is "again". */
static int refusal_of(int error)
{
	if (error == -EMFILE || error == -ENFILE)
		return -EAGAIN;
	return !error || is_refusal(error) ? error : -EINVAL;
}

static int move_uffd(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	int fd = __atomic_load_n(&m->fd, __ATOMIC_RELAXED);
	int error;

	*moved = 0;
	error = move_on(fd, dst, src, nbytes, flags, moved);
	if (!error || is_refusal(error))
		return error;
	error = reopen(m, fd);
	if (!error) {
		fd = __atomic_load_n(&m->fd, __ATOMIC_RELAXED);
		error = move_on(fd, dst, src, nbytes, flags, moved);
	}
	return refusal_of(error);
}

static void renewed_uffd(struct umpa_mover *m, void *addr, size_t nbytes)
{
	int fd = __atomic_load_n(&m->fd, __ATOMIC_RELAXED);
	uintptr_t from = (uintptr_t)addr & ~(SLOT_NBYTES - 1);
	uintptr_t to = rounded_up((uintptr_t)addr + nbytes, SLOT_NBYTES);

	/* Whole slots: the other pages of one may have been left out because of these. A descriptor
	 * that is lost, or the parent's, is opened anew at the next move, which registers all of
	 * the window. */
	if (is_own(m, fd) && register_range(fd, (void *)from, to - from))
		return; /* this part does not move */
}

/*
 * That a range is registered with this descriptor is known by registering it: done again where it
 * is, refused where it is with another. Unregistering would not tell: until Linux 6.16 any
 * descriptor could end the registration with any other.
 */
static int let_go_uffd(struct umpa_mover *m, void *addr, size_t nbytes)
{
	int fd = __atomic_load_n(&m->fd, __ATOMIC_RELAXED);

	if (!is_own(m, fd) || register_range(fd, addr, nbytes))
		return -EBUSY;
	return umpa_os_unregister(fd, addr, nbytes) ? -EBUSY : 0;
}

static void fini_uffd(struct umpa_mover *m)
{
	if (is_ours(m, m->fd))
		SYS_1(SYS_close, m->fd);
	m->fd = -1;
}

int umpa_mover_uffd_init(struct umpa_mover *m, void *window, size_t nbytes)
{
	int fd, error;

	umpa_mover_plain_init(m, window, nbytes);
	fd = open_registered(m);
	if (fd < 0)
		return fd;
	error = identify(fd, m->file);
	if (error) {
		SYS_1(SYS_close, fd);
		return error;
	}
	m->fd = fd;
	m->pid = self();
	m->name = "uffd";
	m->move = move_uffd;
	m->renewed = renewed_uffd;
	m->let_go = let_go_uffd;
	m->fini = fini_uffd;
	m->one_step = 1;
	return 0;
}
