#include <umpa/mmap.h>

#include "mm/calls.h"
#include "mmap_model.h"

const struct mmap_world mmap_world_umpa = {umpa_mmap, umpa_munmap, umpa_mremap, umpa_mprotect,
	umpa_madvise, umpa_mm_attach, umpa_mm_detach, 0, NULL, NULL};
