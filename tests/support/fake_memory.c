#include "fake_memory.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/units.h"

/* An entry of /proc/self/pagemap: the page is there, or was swapped out. */
#define PRESENT (UINT64_C(3) << 62)

/* Of what is smaller there is less to save than a window that it would take the place of; and the
 * thread sanitizer takes longer to note what is cleared than the host does. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KEPT_MIN_NBYTES SIZE_MAX
#endif
#endif
#ifndef KEPT_MIN_NBYTES
#define KEPT_MIN_NBYTES ((size_t)32 << 20)
#endif

static struct {
	char *base;
	size_t nbytes;
} kept;

static char *map(size_t nbytes, size_t align, int prot)
{
	size_t all = nbytes + align - PAGE_NBYTES;
	char *got = mmap(NULL, all, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *base;

	if (got == MAP_FAILED)
		return NULL;
	base = got + (-(uintptr_t)got & (align - 1));
	if (base > got)
		munmap(got, (size_t)(base - got));
	if (base + nbytes < got + all)
		munmap(base + nbytes, (size_t)(got + all - (base + nbytes)));
	return base;
}

char *fake_memory_map(size_t nbytes, size_t align)
{
	return map(nbytes, align, PROT_READ | PROT_WRITE);
}

char *fake_memory_reserve(size_t nbytes, size_t align)
{
	char *base = kept.base;

	if (base && kept.nbytes == nbytes && !((uintptr_t)base & (align - 1))) {
		kept.base = NULL;
		return base;
	}
	base = map(nbytes, align, PROT_NONE);
	/* Only saves the host's faults: what is advised of it is not looked at. */
	if (base)
		madvise(base, nbytes, MADV_HUGEPAGE);
	return base;
}

static void clear_page(char *page)
{
	if (page[0] || memcmp(page, page + 1, PAGE_NBYTES - 1))
		memset(page, 0, PAGE_NBYTES);
}

/* Of a slot or less. 0 if the host does not say what is there. */
static int clear_slot(int pagemap, char *base, size_t npages)
{
	uint64_t entries[SLOT_NPAGES];
	ssize_t n = (ssize_t)(npages * sizeof(*entries));

	if (pread(pagemap, entries, (size_t)n, (off_t)((uintptr_t)base / PAGE_NBYTES * 8)) != n)
		return 0;
	for (size_t i = 0; i < npages; i++)
		if (entries[i] & PRESENT)
			clear_page(base + i * PAGE_NBYTES);
	return 1;
}

static int clear(char *base, size_t npages)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), ok = pagemap >= 0;

	for (size_t i = 0; ok && i < npages; i += SLOT_NPAGES)
		ok = clear_slot(pagemap, base + i * PAGE_NBYTES,
			npages - i < SLOT_NPAGES ? npages - i : SLOT_NPAGES);
	if (pagemap >= 0)
		close(pagemap);
	return ok;
}

void fake_memory_unmap(char *base, size_t nbytes)
{
	munmap(base, nbytes);
}

void fake_memory_release(char *base, size_t nbytes, size_t nopened)
{
	if (nbytes < KEPT_MIN_NBYTES || mprotect(base, nopened, PROT_READ | PROT_WRITE) ||
		!clear(base, nopened / PAGE_NBYTES) || mprotect(base, nopened, PROT_NONE)) {
		fake_memory_unmap(base, nbytes);
		return;
	}
	if (kept.base)
		fake_memory_unmap(kept.base, kept.nbytes);
	kept.base = base;
	kept.nbytes = nbytes;
}
