/*
 * Whose a pointer is, in a few instructions, for callers that ask it of every pointer they see,
 * umpa's or not. Unlike umpa_owns() this does not start umpa.
 */
#ifndef UMPA_CORE_OWNS_H
#define UMPA_CORE_OWNS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/units.h"
#include "core/core.h"
#include "core/outside.h"

/* The window, 0 bytes until there is one. Apart from umpa_core, as it is read while another thread
 * may be setting that up: base is written first. */
struct umpa_bounds {
	uintptr_t base;
	size_t nbytes;
};

extern __attribute__((visibility("hidden"))) struct umpa_bounds umpa_bounds;

static inline int umpa_in_window(const void *ptr)
{
	/* Pairs with the release in umpa_core_start(): who sees nbytes sees base. */
	size_t nbytes = __atomic_load_n(&umpa_bounds.nbytes, __ATOMIC_ACQUIRE);

	return (uintptr_t)ptr - __atomic_load_n(&umpa_bounds.base, __ATOMIC_RELAXED) < nbytes;
}

/* Of an address in the window: 1 if it lies in a slot that mappings have (mm/pages.h), where there
 * are no blocks. */
static inline int umpa_in_mappings(const void *ptr)
{
	struct slot slot = umpa_window_slot(&umpa_core.window, ptr);

	return slot.i < umpa_window_nslots_open(&umpa_core.window) && slot_use(slot) >= SLOT_MAPPED;
}

/* 1 if a block of umpa's begins at ptr, or did, or ptr is anywhere in the window but in a mapping.
 */
static inline int umpa_owns_block(const void *ptr)
{
	if (umpa_in_window(ptr))
		return !umpa_in_mappings(ptr);
	return umpa_outside_any() && (uintptr_t)ptr % PAGE_NBYTES == 0 &&
	       umpa_outside_npages(ptr) != 0;
}

#endif
