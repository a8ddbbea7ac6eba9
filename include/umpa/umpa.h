/* umpa: a user-mode page allocator. This header includes all the others but
 * umpa/dlmalloc.h, which is for dlmalloc's source. */
#ifndef UMPA_UMPA_H
#define UMPA_UMPA_H

#include <umpa/engines.h>
#include <umpa/mmap.h>
#include <umpa/options.h>
#include <umpa/page.h>
#include <umpa/rewire.h>
#include <umpa/stats.h>
#include <umpa/version.h>
#include <umpa/vmm.h>

#endif
