#include "mm/map.h"

#include <errno.h>
#include <sys/mman.h>
#include <umpa/engines.h>

#include "core/core.h"
#include "core/request.h"
#include "mm/answer.h"
#include "mm/mapping.h"
#include "mm/pages.h"

#define FLAGS_ALL (UMPA_ZERO | UMPA_ALIGN(0x3f))

/* Who maps a range and ends what is over at its ends. map: 0 and the address, or -errno. */
struct source {
	int (*map)(size_t nbytes, unsigned flags, uintptr_t *addr);
	void (*unmap)(uintptr_t addr, size_t nbytes);
};

static int map_pages(size_t nbytes, unsigned flags, uintptr_t *addr)
{
	*addr = (uintptr_t)umpa_pages_new(nbytes >> PAGE_SHIFT, flags);
	return *addr ? 0 : -ENOMEM;
}

static void unmap_pages(uintptr_t addr, size_t nbytes)
{
	size_t first = umpa_pages_number((const char *)addr);

	(void)!umpa_mapping_end(first, first + (nbytes >> PAGE_SHIFT));
}

static int map_of_kernel(size_t nbytes, unsigned flags, uintptr_t *addr)
{
	intptr_t got = umpa_os_mmap(
		NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)flags;
	*addr = (uintptr_t)got;
	return umpa_os_failed(got) ? (int)got : 0;
}

/* Where that is refused, address space is lost. */
static void unmap_of_kernel(uintptr_t addr, size_t nbytes)
{
	(void)!umpa_os_munmap((void *)addr, nbytes);
}

static const struct source window = {map_pages, unmap_pages};
static const struct source kernel = {map_of_kernel, unmap_of_kernel};

/* Maps so much that an aligned part is in it, and ends the rest. */
static intptr_t map_around(const struct source *s, size_t nbytes, size_t align, unsigned flags)
{
	size_t more = nbytes + align - PAGE_NBYTES, before;
	uintptr_t addr;
	int error = s->map(more, flags, &addr);

	if (error)
		return error;
	before = -addr & (align - 1);
	if (before)
		s->unmap(addr, before);
	if (more > before + nbytes)
		s->unmap(addr + before + nbytes, more - before - nbytes);
	return (intptr_t)(addr + before);
}

/* Whole superpages lie as they should anyway, and others may by chance. */
static intptr_t map_aligned(const struct source *s, size_t nbytes, size_t align, unsigned flags)
{
	uintptr_t addr;
	int error = s->map(nbytes, flags, &addr);

	if (error)
		return error;
	if (!(addr & (align - 1)))
		return (intptr_t)addr;
	s->unmap(addr, nbytes);
	return map_around(s, nbytes, align, flags);
}

intptr_t umpa_mm_map_of_kernel(size_t nbytes, size_t align)
{
	return map_aligned(&kernel, nbytes, align, 0);
}

intptr_t umpa_mm_map(size_t nbytes, size_t align, unsigned flags)
{
	intptr_t got;

	umpa_core_need();
	got = umpa_mapping_need() ? map_aligned(&window, nbytes, align, flags) : -ENOMEM;
	return umpa_os_failed(got) ? umpa_mm_map_of_kernel(nbytes, align) : got;
}

public_api void *umpa_map(size_t nbytes, unsigned flags)
{
	struct umpa_request r;

	if (!nbytes || flags & ~FLAGS_ALL)
		return umpa_answer_address(-EINVAL);
	if (!umpa_request_parse(nbytes, flags, &r))
		return MAP_FAILED;
	return umpa_answer_address(umpa_mm_map(
		r.npages << PAGE_SHIFT, (size_t)1 << r.align_log2, r.flags & UMPA_ZERO));
}
