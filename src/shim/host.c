/* What the heap asks of the process it is preloaded into: the next malloc, and leave to act. */
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "heap/heap.h"
#include "os/os.h"
#include "shim/next.h"
#include "shim/report.h"

static int constructed;

/* 1 if the function, or the variable, is there, and the engine's own. Not asked of dladdr(), which
 * looks at every symbol of the library: five times what all the rest of starting takes. */
static int is_own(const struct umpa_engine *e, uintptr_t function)
{
	return function - e->begin < e->end - e->begin;
}

/* Sets *arg to what the library that its malloc is in takes of the address space. */
static int note_bounds(struct dl_phdr_info *library, size_t nbytes, void *arg)
{
	struct umpa_engine *out = arg;
	uintptr_t begin = UINTPTR_MAX, end = 0;

	(void)nbytes;
	for (unsigned i = 0; i < library->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &library->dlpi_phdr[i];
		uintptr_t from = library->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD)
			continue;
		begin = from < begin ? from : begin;
		end = from + p->p_memsz > end ? from + p->p_memsz : end;
	}
	if ((uintptr_t)out->malloc < begin || (uintptr_t)out->malloc >= end)
		return 0;
	out->begin = begin;
	out->end = end;
	return 1;
}

int umpa_host_has_huge_heap(void)
{
	const char *list = getenv("GLIBC_TUNABLES");

	return list && strstr(list, "glibc.malloc.hugetlb");
}

static __attribute__((noinline)) void clear_stack_below(void)
{
	volatile char below[2048];

	for (size_t i = 0; i < sizeof(below); i++)
		below[i] = 0;
}

/*
 * Told to have its heap in huge pages (glibc.malloc.hugetlb=1), glibc asks at its first malloc
 * which mode they have, and compares what it has read as a string of which the end is missing
 * (2.36): what follows is what the stack had there, by which it has them or not. So the first
 * malloc is made here, over zeros.
 */
static void settle_huge_pages(const struct umpa_engine *e)
{
	if (!umpa_host_has_huge_heap())
		return;
	clear_stack_below();
	e->free(e->malloc(1));
}

int umpa_host_find_engine(struct umpa_engine *out)
{
	umpa_find_next("malloc", &out->malloc);
	umpa_find_next("calloc", &out->calloc);
	umpa_find_next("realloc", &out->realloc);
	umpa_find_next("free", &out->free);
	umpa_find_next("posix_memalign", &out->posix_memalign);
	umpa_find_next("aligned_alloc", &out->aligned_alloc);
	umpa_find_next("memalign", &out->memalign);
	umpa_find_next("malloc_usable_size", &out->usable_size);
	umpa_find_next("mallopt", &out->mallopt);
	if (!out->malloc || !out->calloc || !out->realloc || !out->free || !out->usable_size)
		return 0;
	dl_iterate_phdr(note_bounds, out);
	out->measures = is_own(out, (uintptr_t)out->usable_size);
	out->learns = is_own(out, (uintptr_t)out->mallopt);
	out->breaks = is_own(out, (uintptr_t)umpa_os_break());
	settle_huge_pages(out);
	return 1;
}

int umpa_host_tunes_engine(void)
{
	static const char *const variables[] = {"MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_",
		"MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_"};
	static const char *const tunables[] = {"glibc.malloc.trim_threshold",
		"glibc.malloc.top_pad", "glibc.malloc.mmap_threshold", "glibc.malloc.mmap_max"};
	const char *list = getenv("GLIBC_TUNABLES");

	for (size_t i = 0; i < array_len(variables); i++)
		if (getenv(variables[i]) || (list && strstr(list, tunables[i])))
			return 1;
	return 0;
}

/*
 * A program with more rights than its caller gets no umpa at all. Before libc has set the
 * environment, which is the loader's time, options can't be read.
 */
enum umpa_consent umpa_host_consent(void)
{
	if (getauxval(AT_SECURE))
		return UMPA_CONSENT_NEVER;
	return environ || constructed ? UMPA_CONSENT_GIVEN : UMPA_CONSENT_NOT_YET;
}

__attribute__((constructor(101))) static void construct(void)
{
	constructed = 1;
	umpa_heap_start();
	if (umpa_host_consent() == UMPA_CONSENT_GIVEN)
		umpa_report_init();
}

__attribute__((destructor)) static void destruct(void)
{
	umpa_report_fini();
}
