/* Who can serve blocks, behind one set of verbs. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <umpa/mmap.h>
#include <umpa/page.h>

#include "base/units.h"
#include "worker.h"

static size_t whole_pages(size_t nbytes)
{
	return pages_of(nbytes) * PAGE_NBYTES;
}

static void *map(size_t nbytes, int flags)
{
	void *p = mmap(NULL, whole_pages(nbytes), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void *kernel_alloc(size_t nbytes)
{
	return map(nbytes, 0);
}

static void *populate_alloc(size_t nbytes)
{
	return map(nbytes, MAP_POPULATE);
}

static void *hugepage_alloc(size_t nbytes)
{
	void *p = map(nbytes, 0);

	if (p)
		madvise(p, whole_pages(nbytes), MADV_HUGEPAGE);
	return p;
}

static void *kernel_resize(void *block, size_t old_nbytes, size_t new_nbytes)
{
	void *p = mremap(block, whole_pages(old_nbytes), whole_pages(new_nbytes), MREMAP_MAYMOVE);

	return p == MAP_FAILED ? NULL : p;
}

static void kernel_release(void *block, size_t nbytes)
{
	munmap(block, whole_pages(nbytes));
}

static void *mmap_alloc(size_t nbytes)
{
	void *p = umpa_mmap(NULL, whole_pages(nbytes), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void *mmap_resize(void *block, size_t old_nbytes, size_t new_nbytes)
{
	void *p = umpa_mremap(
		block, whole_pages(old_nbytes), whole_pages(new_nbytes), MREMAP_MAYMOVE, NULL);

	return p == MAP_FAILED ? NULL : p;
}

static void mmap_release(void *block, size_t nbytes)
{
	umpa_munmap(block, whole_pages(nbytes));
}

static void *page_alloc(size_t nbytes)
{
	return umpa_alloc(nbytes, 0);
}

static void *page_alloc_zeroed(size_t nbytes)
{
	return umpa_alloc(nbytes, UMPA_ZERO);
}

static void *page_resize(void *block, size_t old_nbytes, size_t new_nbytes)
{
	(void)old_nbytes;
	return umpa_realloc(block, new_nbytes, 0);
}

static void page_release(void *block, size_t nbytes)
{
	(void)nbytes;
	umpa_free(block);
}

/* Through pointers the compiler can't see through: it would drop a malloc whose block is freed
 * unused, and make a calloc of malloc and memset. */
static void *(*volatile malloc_here)(size_t) = malloc;
static void *(*volatile calloc_here)(size_t, size_t) = calloc;
static void *(*volatile realloc_here)(void *, size_t) = realloc;
static void (*volatile free_here)(void *) = free;

static void *malloc_alloc(size_t nbytes)
{
	return malloc_here(nbytes);
}

static void *malloc_alloc_zeroed(size_t nbytes)
{
	return calloc_here(1, nbytes);
}

static void *malloc_resize(void *block, size_t old_nbytes, size_t new_nbytes)
{
	(void)old_nbytes;
	return realloc_here(block, new_nbytes);
}

static void malloc_release(void *block, size_t nbytes)
{
	(void)nbytes;
	free_here(block);
}

/* Addresses one behind the other, round and round in what has been live: nothing but the touching
 * costs anything. */
static struct {
	char *base;
	size_t nbytes, at;       /* resident so far; the next address */
	size_t max, live_nbytes; /* floor: as far as it may become; what is live */
} resident;

static void *place(size_t nbytes)
{
	size_t at = resident.at;

	if (at + nbytes > resident.nbytes)
		at = 0;
	resident.at = at + nbytes;
	return resident.at <= resident.nbytes ? resident.base + at : NULL;
}

static void *touch_alloc(size_t nbytes)
{
	return place(whole_pages(nbytes));
}

static void *touch_resize(void *block, size_t old_nbytes, size_t new_nbytes)
{
	return new_nbytes <= old_nbytes ? block : touch_alloc(new_nbytes);
}

static void touch_release(void *block, size_t nbytes)
{
	(void)block;
	(void)nbytes;
}

static void *bare_alloc(size_t nbytes)
{
	(void)nbytes;
	return resident.base;
}

/* As touch, but memory is resident only as far as it was live before: where more is live, the block
 * ends in pages that nobody has touched. */
static void *floor_alloc(size_t nbytes)
{
	nbytes = whole_pages(nbytes);
	resident.live_nbytes += nbytes;
	if (resident.live_nbytes > resident.nbytes) {
		if (resident.live_nbytes > resident.max)
			return NULL;
		resident.nbytes = resident.live_nbytes;
		resident.at = resident.nbytes - nbytes;
	}
	return place(nbytes);
}

static void floor_release(void *block, size_t nbytes)
{
	(void)block;
	resident.live_nbytes -= whole_pages(nbytes);
}

int umpa_page_api_provide(const struct umpa_page_api *api, size_t nbytes)
{
	char *p;

	if (api->alloc != touch_alloc && api->alloc != floor_alloc && api->alloc != bare_alloc)
		return 0;
	nbytes += SLOT_NBYTES;
	p = map(nbytes, 0);
	if (!p)
		return -1;
	madvise(p, nbytes, MADV_HUGEPAGE);
	resident.base = p;
	resident.max = nbytes;
	if (api->alloc != floor_alloc) {
		umpa_touch(p, nbytes);
		resident.nbytes = nbytes;
	}
	return 0;
}

static const struct umpa_page_api apis[] = {
	{"malloc", malloc_alloc, malloc_alloc_zeroed, malloc_resize, malloc_release},
	{"kernel", kernel_alloc, kernel_alloc, kernel_resize, kernel_release},
	{"populate", populate_alloc, populate_alloc, kernel_resize, kernel_release},
	{"hugepage", hugepage_alloc, hugepage_alloc, kernel_resize, kernel_release},
	{"umpa-mmap", mmap_alloc, mmap_alloc, mmap_resize, mmap_release},
	{"umpa", page_alloc, page_alloc_zeroed, page_resize, page_release},
	{"touch", touch_alloc, NULL, touch_resize, touch_release},
	{"bare", bare_alloc, NULL, touch_resize, touch_release},
	{"floor", floor_alloc, NULL, touch_resize, floor_release},
};

const struct umpa_page_api *umpa_page_api_find(const char *name)
{
	size_t i;

	for (i = 0; i < array_len(apis); i++)
		if (!strcmp(apis[i].name, name))
			return &apis[i];
	return NULL;
}

void umpa_touch(void *block, size_t nbytes)
{
	volatile char *at = block;
	size_t i;

	for (i = 0; i < nbytes; i += PAGE_NBYTES)
		at[i] = 1;
	at[nbytes - 1] = 1; /* a block that does not begin on a page reaches into one more */
}
