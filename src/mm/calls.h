/* What the layers above need of the mmap family beside its public face. */
#ifndef UMPA_MM_CALLS_H
#define UMPA_MM_CALLS_H

#include <stddef.h>

#include "base/compiler.h"

/* Something that umpa does not follow is about to be done to the mapping of a range (a lock, a
 * key): what of it lies in the window is mapped anew before anyone else gets it. 0 or -ENOMEM. */
must_check int umpa_mm_expect_oddity(const void *addr, size_t nbytes);

#endif
