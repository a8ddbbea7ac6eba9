/*
 * For allocators that are to have their memory from umpa: pages they can end in any part, and the
 * hooks of jemalloc. dlmalloc: include/umpa/dlmalloc.h. mimalloc takes umpa_alloc()'s memory as an
 * arena of its own. docs/embedding.md says how each is done and what it gains.
 *
 * Every function is thread-safe; none may be called from a signal handler that can interrupt a call
 * of umpa.
 */
#ifndef UMPA_ENGINES_H
#define UMPA_ENGINES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * As umpa_mmap() maps nbytes (bytes, above 0, rounded up to whole pages) of private anonymous
 * memory, readable and writable: for umpa_munmap() and its kin, whole or in parts. But its content
 * is unspecified unless flags has UMPA_ZERO, so that nothing is cleared for an allocator that
 * doesn't need it, and UMPA_ALIGN (up to 40) counts. No other flags.
 * Result: the address, or MAP_FAILED: EINVAL (nbytes is 0, flags), ENOMEM (no memory, or nbytes
 * above PTRDIFF_MAX). errno is kept on success.
 */
void *umpa_map(size_t nbytes, unsigned flags);

/*
 * Hooks for arenas of jemalloc 5, which then have all their memory from umpa, the arenas' books
 * included:
 *
 *	extent_hooks_t *hooks = umpa_jemalloc_hooks();
 *	mallctl("arenas.create", &arena, &nbytes, &hooks, sizeof(hooks));
 *
 * or "arena.<i>.extent_hooks" for an arena that there is. jemalloc's headers are not needed here,
 * and umpa calls nothing of jemalloc.
 *
 * What jemalloc gives up goes to the process's pool, with its frames, and what it takes comes from
 * there. So it may give up at once (dirty_decay_ms:0), and should: nothing is lost, and others can
 * have it. Extents are split, merged and given up in part at will. Refused is: growth ahead of need
 * (extents that are not to be committed), for which there is the pool; lazy purging, in place of
 * which jemalloc gives up. While another thread forks, memory comes from the kernel and none is
 * given up, since jemalloc may hold locks that the fork waits for.
 *
 * Result: the hooks, always the same, which live as long as the process.
 */
struct extent_hooks_s;
struct extent_hooks_s *umpa_jemalloc_hooks(void);

#ifdef __cplusplus
}
#endif

#endif
