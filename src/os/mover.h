/*
 * Movers: the mechanisms that carry frames from one place in the window to another. Nothing of a
 * mover's mechanics shows here, so that one which writes page-table entries itself fits too.
 *
 * Rules for every mover:
 *  1. Frames move whole: each page of the range either has moved (its content is at dst, src has no
 *     frame and reads as zero) or is as it was.
 *  2. The destination has no frames: -EEXIST if one has. The source has frames: -ENOENT at the
 *     first page (superpage, for a superpage mover) that has none, unless holes are allowed.
 *  3. A refusal is ordinary: -EBUSY (frame shared or pinned), -EAGAIN (try again later), -ENOMEM
 *     (no page tables or mappings to be had), -EEXIST, -ENOENT, -EINVAL (the two ends can't
 *     exchange frames), -ENOSYS (this mover does not move such units). *moved says how many bytes
 *     from the start of the range did move; those stay moved.
 *  4. Safe to call from several threads on disjoint ranges while other threads use other memory. No
 *     lock of umpa is held across a call.
 *  5. Works in a child after fork() without help; frames still shared with the parent may refuse,
 *     -EBUSY.
 */
#ifndef UMPA_OS_MOVER_H
#define UMPA_OS_MOVER_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "os/os.h"

enum umpa_mover_kind {
	UMPA_MOVER_AUTO, /* the best that works: uffd, mremap, plain */
	UMPA_MOVER_UFFD,
	UMPA_MOVER_MREMAP,
	UMPA_MOVER_PLAIN,
};

#define UMPA_MOVE_HOLES 1u /* pages of the source without frame are left out, no -ENOENT */

struct umpa_mover {
	const char *name;
	/*
	 * Carries the frames behind [src, src + nbytes) to [dst, dst + nbytes); both are opened, in
	 * the mover's window and don't overlap. Both ends and nbytes multiples of SLOT_NBYTES:
	 * superpages move whole where they can. Else: single pages, -ENOSYS if the mover can't.
	 * A page with a frame at dst and none at src may be taken for one that has moved: dst must
	 * have none whose content counts.
	 */
	int (*move)(struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags,
		size_t *moved);
	/* Exchanges the frames behind two ranges that don't overlap, where there are some: so much,
	 * from the front, as *done says. NULL: the mover can't. */
	int (*exchange)(struct umpa_mover *m, void *a, void *b, size_t nbytes, size_t *done);
	/* Takes note that a part of the window has been mapped anew (umpa_os_renew()). Where that
	 * fails, moves from and to it are refused. NULL: nothing to note. */
	void (*renewed)(struct umpa_mover *m, void *addr, size_t nbytes);
	/* Leaves a part of the window to a mechanism of the program's own, until it is renewed: no
	 * moves from and to it. 0; -EBUSY: it is another's already, or can't be left. NULL: the
	 * mover has nothing anywhere, so it is. */
	int (*let_go)(struct umpa_mover *m, void *addr, size_t nbytes);
	void (*fini)(struct umpa_mover *m); /* gives back what init took; frames stay */
	void *window;
	size_t window_nbytes; /* becomes less where the window is narrowed */
	int one_step;         /* what gets a frame at the destination meanwhile keeps it: -EEXIST */
	int shadowed;     /* a host keeps shadow page tables: what moves is dear to touch first */
	uint32_t lock;    /* of the mover alone */
	int fd;           /* uffd: the parked descriptor, -1 while there is none */
	uint64_t file[2]; /* uffd: device and inode of its file */
	uint32_t pid;     /* uffd: of the process that opened it */
	uint32_t *origin; /* mremap: a slot, where its mapping was made */
	size_t norigin;
	uint32_t nsplit;    /* mremap: mappings split off */
	uint32_t split_max; /* mremap: most it may split off */
};

/*
 * Each fills *m for the window [window, window + nbytes), which is reserved, or refuses with -errno
 * (-ENOSYS, -EPERM, ...), *m then being the plain mover. No frame is moved yet.
 */
must_check int umpa_mover_uffd_init(struct umpa_mover *m, void *window, size_t nbytes);
must_check int umpa_mover_mremap_init(struct umpa_mover *m, void *window, size_t nbytes);
void umpa_mover_plain_init(struct umpa_mover *m, void *window, size_t nbytes);

/* Why a mover was not chosen: filled by umpa_mover_choose(), for the doctor. */
struct umpa_mover_trial {
	enum umpa_mover_kind kind;
	int error;        /* 0: works; else -errno of the step that failed */
	const char *step; /* "open", "move superpage", "move page", "content"; NULL if not tried */
};

/*
 * Scratch memory for trying movers, all in the window: two superpages, of which src has frames and
 * dst has none, and two single pages likewise, not part of either (NULL: pages are not tried). The
 * content of the sources is lost. A page that lies in a huge page would split it: take base pages.
 */
struct umpa_mover_scratch {
	void *dst, *src;
	void *page_dst, *page_src;
};

/*
 * Tries the movers in order of preference (or `want` alone, with plain behind it) by moving a
 * superpage and, where the mover can, a page, and looking at the bytes; leaves the first that works
 * in *m. trials has room for 3 (uffd, mremap, plain) and may be NULL. Never fails: plain always
 * works. Afterwards the superpage's frames are either at dst alone (result 1) or nowhere but at src
 * (result 0), and of the two pages exactly one still has the frame.
 */
int umpa_mover_choose(struct umpa_mover *m, enum umpa_mover_kind want, void *window, size_t nbytes,
	const struct umpa_mover_scratch *scratch, struct umpa_mover_trial trials[3]);

static inline int umpa_mover_move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	*moved = 0;
	return umpa_os_confined() ? -EPERM : m->move(m, dst, src, nbytes, flags, moved);
}

static inline void umpa_mover_renewed(struct umpa_mover *m, void *addr, size_t nbytes)
{
	if (m->renewed && !umpa_os_confined())
		m->renewed(m, addr, nbytes);
}

static inline int umpa_mover_let_go(struct umpa_mover *m, void *addr, size_t nbytes)
{
	return m->let_go && !umpa_os_confined() ? m->let_go(m, addr, nbytes) : -EBUSY;
}

#endif
