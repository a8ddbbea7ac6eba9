#include "heap/boot.h"

late_data char umpa_boot_arena[BOOT_NBYTES] __attribute__((aligned(4096)));

/* Of the block that begins at each page. */
static late_data size_t block_nbytes[BOOT_NPAGES];
static size_t nused;

void *umpa_boot_alloc(size_t nbytes)
{
	size_t first = __atomic_load_n(&nused, __ATOMIC_RELAXED);
	size_t npages;

	if (nbytes > BOOT_NBYTES)
		return NULL;
	npages = nbytes ? pages_of(nbytes) : 1;
	do {
		if (npages > BOOT_NPAGES - first)
			return NULL;
	} while (!__atomic_compare_exchange_n(
		&nused, &first, first + npages, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	block_nbytes[first] = nbytes;
	return umpa_boot_arena + (first << PAGE_SHIFT);
}

size_t umpa_boot_usable_size(const void *block)
{
	return block_nbytes[((uintptr_t)block - (uintptr_t)umpa_boot_arena) >> PAGE_SHIFT];
}
