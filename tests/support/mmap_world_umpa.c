#include <umpa/mmap.h>

#include "mmap_model.h"

const struct mmap_world mmap_world_umpa = {
	umpa_mmap, umpa_munmap, umpa_mremap, umpa_mprotect, umpa_madvise, 0, NULL, NULL};
