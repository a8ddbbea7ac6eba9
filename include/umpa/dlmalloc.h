/*
 * dlmalloc over umpa: include this in front of dlmalloc's malloc.c, version 2.8.6, and its
 * memory comes from umpa's pool and goes back there.
 *
 *	#include <umpa/dlmalloc.h>
 *	#include "malloc.c"
 *
 * What dlmalloc maps is not cleared for it; it is told so, and clears what calloc hands out.
 * DEFAULT_GRANULARITY and the thresholds of dlmalloc are whoever's includes this to choose.
 */
#ifndef UMPA_DLMALLOC_H
#define UMPA_DLMALLOC_H

#include <umpa/engines.h>
#include <umpa/mmap.h>

#define HAVE_MORECORE 0
#define HAVE_MMAP     1
#define HAVE_MREMAP   1
#define MMAP_CLEARS   0

/* MAP_FAILED is dlmalloc's MFAIL. */
#define MMAP(nbytes)         umpa_map((nbytes), 0)
#define DIRECT_MMAP(nbytes)  umpa_map((nbytes), 0)
#define MUNMAP(addr, nbytes) umpa_munmap((addr), (nbytes))
#define MREMAP(addr, old_nbytes, new_nbytes, may_move)                                             \
	umpa_mremap((addr), (old_nbytes), (new_nbytes), (may_move), NULL)

#endif
