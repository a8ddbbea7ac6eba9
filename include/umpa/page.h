/*
 * The page API: blocks of whole pages.
 *
 * A block is a range of pages, contiguous in address, that belongs to its caller until it is
 * freed. Its frames come from the process's own pool when the pool has any, and from the kernel
 * when it has none; freeing a block returns its frames to the pool, not to the kernel.
 *
 * Every function is thread-safe and may be used in a child after fork(). None may be called from
 * a signal handler that can interrupt another one of them. All sizes are bytes and are rounded
 * up to whole pages.
 *
 * Refusal leaves everything as it was: NULL or -1, and errno. Misuse (freeing twice, a pointer
 * that was never handed out) ends the program with one line on standard error.
 *
 * Source of the idea: N. Douglas, "User Mode Memory Page Allocation: A Silver Bullet For Memory
 * Allocation?", 2011.
 */
#ifndef UMPA_PAGE_H
#define UMPA_PAGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* UMPA_ALIGN() and UMPA_RESERVE() look at their argument twice. */

/* The block's content is zero. */
#define UMPA_ZERO 0x01u
/* umpa_realloc() grows or shrinks in place, or refuses with ENOMEM. */
#define UMPA_NOMOVE 0x02u
/* Frames are behind every page on return, so that no page faults later. umpa_alloc() refuses where
 * they can't be had, umpa_realloc() does not. */
#define UMPA_BACKED 0x04u
/* Address space only, of the window's, which is 16 times the machine's memory and no more: no frame
 * is taken for the block before it is touched or backed. Blocks below 2 MiB share superpages, and
 * may have frames all the same. */
#define UMPA_NOBACK 0x08u
/* The block's address is a multiple of 1 << log2; log2 from 0 to 40, below 12 has no effect; above
 * 40 the call refuses with EINVAL. */
#define UMPA_ALIGN(log2) (((unsigned)(log2) > 0x3fu ? 0x3fu : (unsigned)(log2)) << 8)
/* Address space for n times the size, n from 1 to 255 (more counts as 255), so that the block can
 * grow in place; as far as the window has it. Such a block has superpages of its own, also below 2
 * MiB. */
#define UMPA_RESERVE(n) (((unsigned)(n) > 0xffu ? 0xffu : (unsigned)(n)) << 16)

/*
 * Hands out a block of at least nbytes (0 is taken as 1), page-aligned.
 * flags: any of UMPA_ZERO, UMPA_BACKED or UMPA_NOBACK (not both), UMPA_NOMOVE (no effect here),
 * UMPA_ALIGN, UMPA_RESERVE. Without UMPA_ZERO the content is unspecified.
 * Result: the block, or NULL: ENOMEM (no memory, or nbytes above PTRDIFF_MAX), EINVAL (flags).
 */
void *umpa_alloc(size_t nbytes, unsigned flags);

/* Takes the block back. NULL is fine. Keeps errno. */
void umpa_free(void *block);

/*
 * Makes the block nbytes large (0 is taken as 1), in place where the pages behind it are free,
 * else at another address; the content up to the smaller of both sizes stays. Moving carries
 * frames, not bytes, as far as whole superpages go. block NULL: as umpa_alloc().
 * flags: as umpa_alloc(); UMPA_ZERO makes the added pages zero; UMPA_NOMOVE refuses to change
 * the address; UMPA_ALIGN holds for a new address.
 * Result: the block, or NULL and the old block untouched: ENOMEM, EINVAL.
 */
void *umpa_realloc(void *block, size_t nbytes, unsigned flags);

/* Bytes the caller may use: the whole pages of the block. 0 for NULL. */
size_t umpa_usable_size(const void *block);

/* 1 if ptr lies in memory that umpa hands out (any byte of it, in use or not), else 0. */
int umpa_owns(const void *ptr);

/*
 * Puts frames behind every page that [addr, addr + nbytes) touches; the range lies in one block.
 * The pool serves whole superpages, the kernel the rest. Content stays, also what other threads
 * write meanwhile: so the pool serves none where frames move in more than one step (mover mremap).
 * Result: 0, or -1: ENOMEM (some pages may have frames by then), EINVAL (not in a block, or a page
 * is protected: umpa_mprotect() and the like have taken reading or writing away).
 */
int umpa_back(void *addr, size_t nbytes);

/*
 * Takes the frames from every page that lies whole in [addr, addr + nbytes), which lies in one
 * block: those pages read as zero afterwards. Whole superpages go to the pool, the rest back to
 * the kernel. What a range has that was locked or mapped over is overwritten, and its other frames
 * go to the kernel.
 * Result: 0, or -1: EINVAL (not in a block, or a page is protected, which is not looked at where
 * the kernel serves the block outside the window); nothing has changed.
 */
int umpa_unback(void *addr, size_t nbytes);

/*
 * Gives free memory back to the kernel until the pool holds at most keep_nbytes, and whatever is
 * wholly free of the nursery (option nursery), which is no part of the pool.
 * Result: the bytes given back. Keeps errno.
 */
size_t umpa_trim(size_t keep_nbytes);

#ifdef __cplusplus
}
#endif

#endif
