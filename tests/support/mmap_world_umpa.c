#include <umpa/mmap.h>

#include "mm/calls.h"
#include "mm/left.h"
#include "mmap_model.h"

/* As if the program touched nothing that it maps, and then again something. */
static void alternate(uint64_t step)
{
	for (unsigned i = 0; i < LEFT_NCLASSES; i++)
		umpa_left.streak[i].nuntouched = step / 16 % 2 ? STREAK_NROW : 0;
}

const struct mmap_world mmap_world_umpa = {umpa_mmap, umpa_munmap, umpa_mremap, umpa_mprotect,
	umpa_madvise, umpa_mm_attach, umpa_mm_detach, alternate, 0, NULL, NULL};
