/*
 * Which pages of the window hold a segment of System V's shared memory. shmdt() names nothing but
 * the address where a segment was attached, and can't be left to the kernel: the window would have
 * a hole.
 *
 * An attachment is a segment at an address. Pages are taken from it when they are unmapped or
 * mapped over, one by one if need be; what of it mremap() brings to another place of the window is
 * another attachment there, of the same segment. So one may begin where its first page is no more,
 * or never was. One without pages is given back when the next is made or looked for.
 *
 * The lock of the pages (mm/pages.h) guards them; who makes one needs none. Pages are numbered from
 * the window's begin.
 *
 * Invariant: a page belongs to one attachment at most.
 */
#ifndef UMPA_MM_ATTACHMENTS_H
#define UMPA_MM_ATTACHMENTS_H

#include <stddef.h>
#include <stdint.h>

struct umpa_attachment;

/* Of a segment of npages that was attached anew, at an address; not yet among the others, and
 * without pages. NULL: no memory. */
struct umpa_attachment *umpa_attachment_new(uintptr_t begin, size_t npages);
void umpa_attachment_give(struct umpa_attachment *a);

/* From now on the pages, which belong to none, are of this one, which has been made for them. */
void umpa_attachments_add(struct umpa_attachment *a, size_t first, size_t end);

/* From now on the pages belong to none. */
void umpa_attachments_forget(size_t first, size_t end);

/* What of [first, end) belongs to some is at `to` as well. Where there is no memory to note it in,
 * what is there belongs to none. */
void umpa_attachments_copy(size_t first, size_t end, size_t to);

/* The one that shmdt() of that address ends. NULL: none. */
const struct umpa_attachment *umpa_attachments_find(uintptr_t begin);

/* Some pages in a row that belong to it. 0: there are none left. */
int umpa_attachment_row(const struct umpa_attachment *a, size_t *first, size_t *end);

/* 0 if there is none at all; without the lock. */
int umpa_attachments_exist(void);

/* Gives all back; for tests. */
void umpa_attachments_stop(void);

#endif
