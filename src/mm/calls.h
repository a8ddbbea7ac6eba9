/* What the layers above need of the mmap family beside its public face. */
#ifndef UMPA_MM_CALLS_H
#define UMPA_MM_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* As umpa_mmap() and umpa_munmap(), for a program that did not ask for them: what it maps comes
 * from umpa where it is known to use what it maps (mm/evidence.h). */
void *umpa_mm_map_if_used(void *addr, size_t nbytes, int prot, int flags, int fd, int64_t offset);
int umpa_mm_unmap(void *addr, size_t nbytes);

/* Something that umpa does not follow is about to be done to the mapping of a range (a lock, a
 * key): what of it lies in the window is mapped anew before anyone else gets it. 0 or -ENOMEM. */
must_check int umpa_mm_expect_oddity(const void *addr, size_t nbytes);

#endif
