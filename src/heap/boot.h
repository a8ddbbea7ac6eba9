/*
 * The bootstrap arena: a little static memory for what is asked before there is an engine, which is
 * mostly dlsym's own calloc while the engine is being looked up.
 *
 * Blocks are handed out in order and never used again, so they are zero; free does nothing with
 * them. They are recognised by address for as long as the process lives. One atomic counter, no
 * lock, no relocation needed: may be used at any time at all.
 */
#ifndef UMPA_HEAP_BOOT_H
#define UMPA_HEAP_BOOT_H

#include <stddef.h>
#include <stdint.h>

#include "heap/engine.h"

#define BOOT_NBYTES ((size_t)256 << 10)

extern within_library char umpa_boot_arena[BOOT_NBYTES];

static inline int umpa_boot_owns(const void *p)
{
	return (uintptr_t)p - (uintptr_t)umpa_boot_arena < BOOT_NBYTES;
}

/* nbytes of zeros, aligned to `align`, a power of two (below 16 is taken as 16). NULL: used up;
 * errno is left alone, as it may not be there yet. */
void *umpa_boot_alloc(size_t align, size_t nbytes);

/* Bytes the holder of a bootstrap block asked for. */
size_t umpa_boot_usable_size(const void *block);

#endif
