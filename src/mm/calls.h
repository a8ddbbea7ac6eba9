/* What the layers above need of the mmap family beside its public face. */
#ifndef UMPA_MM_CALLS_H
#define UMPA_MM_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* As umpa_mmap() and umpa_munmap(), for a program that did not ask for them: what it maps comes
 * from umpa where it is known to use what it maps (core/evidence.h), and umpa is started for that
 * alone. */
void *umpa_mm_map_if_used(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset);
int umpa_mm_unmap(void *addr, size_t nbytes);

/* As umpa_mmap() where the flags order an address, but that umpa is not started for it. */
void *umpa_mm_map_at(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset);

/* mmap() by an engine, for its blocks: out of the pool too, once it has some and is seen to use
 * them. Where it wishes for an address it gets one aligned alike. */
void *umpa_mm_map_for_engine(
	void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset);

/* munmap(): 0 or -errno. */
must_check int umpa_mm_end(void *addr, size_t nbytes);

/* Address space without memory, as mmap(PROT_NONE) gives it: its address, or -errno. umpa is
 * started before. */
intptr_t umpa_mm_reserve(size_t nbytes);

/* mlock2() (flags 0: mlock()) and pkey_mprotect(), of which umpa does not keep account: what of the
 * range lies in the window is mapped anew before anyone else gets it. 0, or -1 and errno. As the
 * kernel does they stop at the first page that is nobody's: ENOMEM. */
int umpa_mm_lock(const void *addr, size_t nbytes, unsigned flags);
int umpa_mm_protect_key(void *addr, size_t nbytes, int prot, int key);

/* madvise() has been called for the range by another call. */
void umpa_mm_advised(void *addr, size_t nbytes, int advice);

/* The kernel may hold on to pages of mappings for somebody: they are not used again when they are
 * unmapped. */
void umpa_mm_distrust(void);

/* munlock(), msync() and mincore(): the kernel's, but ENOMEM where a page of the window is
 * nobody's.
 */
int umpa_mm_unlock(const void *addr, size_t nbytes);
int umpa_mm_sync(void *addr, size_t nbytes, int flags);
int umpa_mm_incore(const void *addr, size_t nbytes, unsigned char *vec);

/* shmat() and shmdt(): a segment over pages of the window, or where none of them is anybody's, and
 * the end of one. */
void *umpa_mm_attach(int id, const void *addr, int flags);
int umpa_mm_detach(const void *addr);

/* The address space is about to be limited to so many bytes (RLIMIT_AS): umpa keeps no more of it
 * than it would have taken under that limit, but for what is in use. */
void umpa_mm_heed_limit(size_t nbytes);

/* What the program and its engine map from now on, without saying where, is the kernel's: the
 * program has a userfaultfd, or wants all of it locked. */
void umpa_mm_keep_off(void);

/* What it registers, pages without frame at the least if `missing`. */
struct umpa_mm_watch {
	int fd;
	void *addr;
	size_t nbytes;
	int missing;
	int was_ours; /* umpa had registered some of it */
};

/* 1 if any of it lies in the window. */
int umpa_mm_may_watch(const struct umpa_mm_watch *w);

/*
 * Makes the range the kernel's, content and all, after UFFDIO_REGISTER has done so for the program
 * (is_registered), or was refused since umpa has registered it. 0: that is to be called, again, and
 * umpa_mm_handed_over() then, with whether it is registered. -ENOMEM: it is not; -EBUSY: nothing is
 * changed.
 */
must_check int umpa_mm_hand_over(struct umpa_mm_watch *w, int is_registered);
void umpa_mm_handed_over(const struct umpa_mm_watch *w, int is_registered);

#endif
