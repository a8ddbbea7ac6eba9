#include "heap/boot.h"

#define BOOT_ALIGN ((size_t)16)

/* In front of each block: how large it is. Fills BOOT_ALIGN, so that the block behind it is
 * aligned. */
struct boot_head {
	size_t nbytes;
	size_t unused;
};

char umpa_boot_arena[BOOT_NBYTES] __attribute__((aligned(4096)));
static size_t used;

/* Where a block starts if the arena is used up to `from`; there may be no room for it. */
static size_t place(size_t from, size_t align)
{
	return (from + sizeof(struct boot_head) + align - 1) & ~(align - 1);
}

void *umpa_boot_alloc(size_t align, size_t nbytes)
{
	size_t from = __atomic_load_n(&used, __ATOMIC_RELAXED);
	size_t start;

	if (align < BOOT_ALIGN)
		align = BOOT_ALIGN;
	if (align > 4096 || nbytes >= BOOT_NBYTES)
		return NULL;
	do {
		start = place(from, align);
		if (start + nbytes > BOOT_NBYTES)
			return NULL;
	} while (!__atomic_compare_exchange_n(
		&used, &from, start + nbytes, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	((struct boot_head *)(void *)(umpa_boot_arena + start))[-1].nbytes = nbytes;
	return umpa_boot_arena + start;
}

size_t umpa_boot_usable_size(const void *block)
{
	return ((const struct boot_head *)block)[-1].nbytes;
}
