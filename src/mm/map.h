/* Mappings for allocators: aligned, and cleared only if that is asked for. */
#ifndef UMPA_MM_MAP_H
#define UMPA_MM_MAP_H

#include <stddef.h>
#include <stdint.h>

/* umpa_map() of whole pages; align is a power of two, flags UMPA_ZERO or 0. The address, or -errno.
 */
intptr_t umpa_mm_map(size_t nbytes, size_t align, unsigned flags);

/* The same of the kernel, always zero. */
intptr_t umpa_mm_map_of_kernel(size_t nbytes, size_t align);

#endif
