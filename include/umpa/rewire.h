/*
 * Rewiring: frames change their place behind blocks that live on.
 *
 * umpa_move() and umpa_swap() do what memcpy() and clearing, or a swap of bytes, would do, but
 * carry the frames and leave the bytes alone wherever whole superpages (2 MiB, aligned) of blocks
 * of a superpage and more lie at the same offset within a superpage at both ends. All else is
 * copied: pages at the ends of a range, ranges that lie differently within a superpage, blocks
 * below a superpage, blocks that the kernel serves outside the window, and what the system does
 * not let move (frames shared after fork(), pinned or locked memory, no mover), and a range with
 * pages that were locked, advised for good or mapped over (umpa/mmap.h). So the result is
 * always the same, and only the time differs. To have everything carried, allocate with
 * UMPA_ALIGN(21) and use multiples of 2 MiB.
 *
 * Ranges: each lies in one live block. Addresses and nbytes are multiples of 4096; the two ranges
 * of one call don't overlap and may lie in the same block; every page of both can be read and
 * written, as far as umpa_mprotect(), or mprotect() under the preload library, has a say: pages
 * that are protected otherwise, or that the kernel serves outside the window, must not be in a
 * range. Anything else is refused with EINVAL, before anything has changed. Where nbytes is 0
 * nothing is done and the addresses aren't looked at. Nothing but that is refused, and errno is
 * kept on success.
 *
 * Every function is thread-safe: any number may run at once, on ranges that no two of them share.
 * While a call runs no other thread may use either range, or free or resize the blocks they lie in;
 * it may use their other pages. None may be called from a signal handler that can interrupt a call
 * of umpa. A child after fork() may use them at once; what it still shares with its parent is
 * copied.
 *
 * Source of the idea: N. Douglas, "User Mode Memory Page Allocation: A Silver Bullet For Memory
 * Allocation?", 2011 (frames that are mapped where they are wanted); F. M. Schuhknecht, J.
 * Dittrich, A. Sharma, "RUMA has it: Rewired User-space Memory Access is Possible!", 2016 (rewiring
 * pages instead of copying them).
 */
#ifndef UMPA_REWIRE_H
#define UMPA_REWIRE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The content of [src, src + nbytes) becomes that of [dst, dst + nbytes); src reads as zero
 * afterwards, and the old content of dst is lost. Where frames are carried, those of dst go to the
 * process's pool, and the pages of src have none until they are touched, or backed with
 * umpa_back().
 * Result: 0, or -1: EINVAL (see above).
 */
int umpa_move(void *dst, void *src, size_t nbytes);

/*
 * The contents of [a, a + nbytes) and [b, b + nbytes) change places.
 * Result: 0, or -1: EINVAL (see above).
 */
int umpa_swap(void *a, void *b, size_t nbytes);

struct umpa_move_op {
	void *dst, *src;
	size_t nbytes;
};

/*
 * As umpa_move() for each of ops[0] to ops[nops - 1], in this order: an op finds what those before
 * it have left. All ops are looked at before the first is carried out. Ops of which each goes on
 * where the one before ended, at dst and at src and in the same two blocks, are carried out as one,
 * so that moving superpages piece by piece costs no more than at once.
 * *done, if done is not NULL: how many ops were carried out. Neither it nor ops may lie in one of
 * the ranges.
 * Result: 0 and nops in *done, or -1 and 0 in *done: EINVAL (one op is as it must not be, or ops is
 * NULL and nops is not 0).
 */
int umpa_movev(const struct umpa_move_op *ops, size_t nops, size_t *done);

#ifdef __cplusplus
}
#endif

#endif
