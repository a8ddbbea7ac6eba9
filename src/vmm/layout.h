/*
 * Where the memory of a process lies in the physical address space of a guest.
 *
 * A guest that is to see a process as it is needs a physical address for each virtual one, and has
 * few bits for them: 39 or 40 on many hosts, where a process spreads over 47. So areas that lie
 * near each other form a cluster, and clusters lie close together: each at a physical address that
 * is the virtual one's equal below a GiB, so that mappings of a GiB are possible, and above 4 GiB,
 * below which devices of the machine are.
 *
 * Pure: no OS call, no allocation, no lock.
 *
 * Invariants
 *  1. Clusters are whole superpages but for an end at the top of the address space, in order of
 *     address and apart from each other; so are their physical addresses.
 *  2. Each area lies in one cluster, with the room it may grow by as far as that is free.
 */
#ifndef UMPA_VMM_LAYOUT_H
#define UMPA_VMM_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* A mapping of the process, or several side by side. */
struct umpa_area {
	uintptr_t begin, end;
	size_t below_nbytes, above_nbytes; /* what it may grow by */
};

struct umpa_cluster {
	uintptr_t begin, end;
	uint64_t physical; /* of the begin */
};

enum {
	NCLUSTERS_MAX = 16
};

struct umpa_layout {
	struct umpa_cluster cluster[NCLUSTERS_MAX];
	unsigned nclusters;
	uint64_t physical_end; /* of the last one, a multiple of a GiB */
};

/* Addresses of a process end here. */
#define LAYOUT_TOP (((uintptr_t)1 << 47) - 4096)

/*
 * Lays out areas, which are in order of address and apart from each other, for a guest with so many
 * bits of physical address. 0; -EINVAL: they are not, or there are none; -ENOTSUP: the bits are too
 * few, however tightly the clusters are drawn.
 */
must_check int umpa_layout_make(
	struct umpa_layout *l, const struct umpa_area *areas, size_t n, unsigned nbits);

/* Where a byte of the process is for the guest. -EFAULT: in no cluster. */
must_check int umpa_layout_physical(
	const struct umpa_layout *l, uintptr_t addr, uint64_t *physical);

/* The byte of the process that a physical address is. -EFAULT: none. */
must_check int umpa_layout_virtual(const struct umpa_layout *l, uint64_t physical, uintptr_t *addr);

#endif
