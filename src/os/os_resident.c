/* Which pages have frames, or content elsewhere: mincore, or /proc/self/pagemap. */
#include <fcntl.h>
#include <linux/sysinfo.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/units.h"
#include "os/filter.h"
#include "os/os.h"
#include "os/syscall.h"

/* Bits of an entry in /proc/PID/pagemap. */
#define PAGEMAP_PRESENT ((uint64_t)1 << 63)
#define PAGEMAP_SWAPPED ((uint64_t)1 << 62)

/* So many entries are read at a time, onto stacks that may be a signal handler's. */
#define NENTRIES 128

/* --- filters ------------------------------------------------------------------------------ */

enum {
	NOT_ASKED,
	HARMLESS,
	MAY_KILL
};

static int filter; /* atomic */

int umpa_filter_may_kill(void)
{
	int known = __atomic_load_n(&filter, __ATOMIC_RELAXED);

	if (likely(known != NOT_ASKED))
		return known == MAY_KILL;
	/* A filter that refuses this one answers with errors. */
	known = SYS_5(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) > 0 ? MAY_KILL : HARMLESS;
	__atomic_store_n(&filter, known, __ATOMIC_RELAXED);
	return known == MAY_KILL;
}

void umpa_filter_answers(void)
{
	__atomic_store_n(&filter, HARMLESS, __ATOMIC_RELAXED);
}

/* --- pagemap ------------------------------------------------------------------------------ */

static long open_pagemap(void)
{
	return SYS_4(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
}

/* The entries of pages from addr on, as many as there is room for and npages. Result: how many, or
 * -errno. */
static long read_entries(long fd, const char *addr, size_t npages, uint64_t entries[NENTRIES])
{
	size_t n = npages < NENTRIES ? npages : NENTRIES, nbytes = n * sizeof(*entries);
	long got = SYS_4(
		SYS_pread64, fd, entries, nbytes, (uintptr_t)addr / PAGE_NBYTES * sizeof(*entries));

	if (sys_failed(got))
		return got;
	return got == (long)nbytes ? (long)n : -EIO;
}

/* Pages that are not mapped have entries too: msync knows them. */
static int resident_by_pagemap(const char *addr, size_t npages, unsigned char *vec)
{
	uint64_t entries[NENTRIES] = {0};
	long error = umpa_os_sync((void *)addr, npages * PAGE_NBYTES, MS_ASYNC);
	long fd = error ? error : open_pagemap(), n;

	if (sys_failed(fd))
		return (int)fd;
	for (size_t at = 0; !error && at < npages; at += (size_t)n) {
		n = read_entries(fd, addr + at * PAGE_NBYTES, npages - at, entries);
		error = n < 0 ? n : 0;
		for (long i = 0; i < n; i++)
			vec[at + (size_t)i] = (entries[i] & PAGEMAP_PRESENT) != 0;
	}
	SYS_1(SYS_close, fd);
	return (int)error;
}

/* Pages swapped out have content and no frame. Not to be learned: taken as if there were some. */
static int has_any(const char *addr, size_t npages)
{
	uint64_t entries[NENTRIES] = {0};
	long fd = open_pagemap(), n;
	int any = 0;

	if (sys_failed(fd))
		return 1;
	for (size_t at = 0; !any && at < npages; at += (size_t)n) {
		n = read_entries(fd, addr + at * PAGE_NBYTES, npages - at, entries);
		any = n < 0;
		for (long i = 0; i < n; i++)
			any |= (entries[i] & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) != 0;
	}
	SYS_1(SYS_close, fd);
	return any;
}

/* --- verbs -------------------------------------------------------------------------------- */

/* mincore is no call that a service needs: systemd's @system-service, which kills, has all that
 * umpa makes but that. Who was executed under a filter may open and read files, as the loader did.
 */
int umpa_os_resident(const void *addr, size_t npages, unsigned char *vec)
{
	if (umpa_os_confined())
		return -EPERM;
	if (unlikely(umpa_filter_may_kill()))
		return resident_by_pagemap(addr, npages, vec);
	return umpa_os_incore(addr, npages * PAGE_NBYTES, vec);
}

static int system_swaps(void)
{
	struct sysinfo info = {0};

	return SYS_1(SYS_sysinfo, &info) || info.totalswap;
}

/* The first superpage tells of most that is not bare; of what is there are several as a rule. A
 * byte a page is on the stack, which may be a signal handler's. */
enum {
	STEP_NPAGES = SLOT_NPAGES,
	STEP_NPAGES_MAX = 4 * SLOT_NPAGES
};

/* 1 if any of n bytes is odd; eight at once, without a way out. */
static int has_odd(const unsigned char *vec, size_t n)
{
	uint64_t any = 0, word;
	size_t i = 0;

	for (; i + sizeof(word) <= n; i += sizeof(word)) {
		memcpy(&word, vec + i, sizeof(word));
		any |= word;
	}
	for (; i < n; i++)
		any |= vec[i];
	return (any & 0x0101010101010101) != 0;
}

static int bare_step(const char *addr, size_t npages)
{
	unsigned char vec[STEP_NPAGES_MAX];
	int error = umpa_os_resident(addr, npages, vec);

	return !error && has_odd(vec, npages) ? -EEXIST : error;
}

int umpa_os_bare(const void *addr, size_t npages)
{
	size_t step = STEP_NPAGES, n;
	int error = 0;

	for (size_t at = 0; !error && at < npages; at += n, step = STEP_NPAGES_MAX) {
		n = npages - at < step ? npages - at : step;
		error = bare_step((const char *)addr + at * PAGE_NBYTES, n);
	}
	return !error && system_swaps() && has_any(addr, npages) ? -EEXIST : error;
}
