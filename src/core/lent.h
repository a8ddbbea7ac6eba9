/*
 * Memory of a block that another allocator has: in it begin blocks of that one's, as guest mode's
 * (vmm/held.c), which the page API takes as well. Looked up only where no block of the core begins.
 */
#ifndef UMPA_CORE_LENT_H
#define UMPA_CORE_LENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct umpa_lent {
	uintptr_t begin;
	size_t nbytes;
	/* Of a block there, by any thread: its pages, 0: none begins there. And frees it: 0, or
	 * -EINVAL where none does. */
	size_t (*npages)(const struct umpa_lent *l, const void *block);
	int (*free)(struct umpa_lent *l, void *block);
	struct umpa_lent *next;
};

/* From now on, and no more: nobody frees a block there meanwhile, or asks for one. Thread-safe. */
void umpa_lent_begin(struct umpa_lent *l);
void umpa_lent_end(struct umpa_lent *l);

/* The pages of a lent block; 0: there is none at that address. */
size_t umpa_lent_npages(const void *block);

/* 0; -EINVAL: there is none at that address. */
must_check int umpa_lent_free(void *block);

#endif
