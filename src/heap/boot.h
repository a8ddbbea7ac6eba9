/*
 * The bootstrap arena: a little static memory for what is asked before there is an engine, which is
 * mostly dlsym's own calloc while the engine is being looked up.
 *
 * Each block has pages of its own and begins at one, so that free need not look for it among
 * pointers that don't. Blocks are never used again, so they are zero; free does nothing with them.
 * They are recognised by address for as long as the process lives. One atomic counter, no lock, no
 * relocation needed: may be used at any time at all.
 */
#ifndef UMPA_HEAP_BOOT_H
#define UMPA_HEAP_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "base/units.h"
#include "heap/engine.h"

#define BOOT_NPAGES ((size_t)256)
#define BOOT_NBYTES (BOOT_NPAGES * PAGE_NBYTES)

extern within_library char umpa_boot_arena[BOOT_NBYTES];

static inline int umpa_boot_owns(const void *p)
{
	return (uintptr_t)p - (uintptr_t)umpa_boot_arena < BOOT_NBYTES;
}

/* nbytes of zeros at the beginning of a page. NULL: used up; errno is left alone, as it may not be
 * there yet. */
void *umpa_boot_alloc(size_t nbytes);

/* Bytes the holder of a bootstrap block asked for. */
size_t umpa_boot_usable_size(const void *block);

#endif
