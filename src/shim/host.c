/* What the heap asks of the process it is preloaded into: the next malloc, and leave to act. */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "heap/heap.h"
#include "shim/report.h"

static int constructed;

/* An object pointer goes where a function pointer is, which C has no cast for. */
static void find_next(const char *name, void *function)
{
	void *found = dlsym(RTLD_NEXT, name);

	memcpy(function, &found, sizeof(found));
}

static const void *library_of(const void *function)
{
	Dl_info info;

	return dladdr(function, &info) ? info.dli_fbase : NULL;
}

int umpa_host_find_engine(struct umpa_engine *out)
{
	find_next("malloc", &out->malloc);
	find_next("calloc", &out->calloc);
	find_next("realloc", &out->realloc);
	find_next("free", &out->free);
	find_next("posix_memalign", &out->posix_memalign);
	find_next("aligned_alloc", &out->aligned_alloc);
	find_next("memalign", &out->memalign);
	find_next("malloc_usable_size", &out->usable_size);
	if (!out->malloc || !out->calloc || !out->realloc || !out->free)
		return 0;
	out->measures =
		out->usable_size && library_of((const void *)(uintptr_t)out->usable_size) ==
					    library_of((const void *)(uintptr_t)out->malloc);
	return 1;
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
