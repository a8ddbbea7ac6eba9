/*
 * setrlimit() and prlimit(): where a program limits its address space while it runs, the window
 * would be over the limit by itself, and everything the kernel is asked for refused: stacks of
 * threads, libraries, small blocks. So it is narrowed first. Of writable memory (RLIMIT_DATA) what
 * is open of the window counts, be it in use or not. A limit that another process sets is not
 * noticed.
 *
 * mlockall(): without privilege the kernel counts all address space for MCL_CURRENT, so that the
 * window alone is over the limit; where it refuses, that is narrowed too. With MCL_FUTURE alone the
 * window stays as it is, and what it would serve would not be locked: from then on it serves
 * nothing more.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/stats.h"
#include "heap/engine.h"
#include "heap/heap.h"
#include "heap/huge.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "os/os.h"
#include "shim/next.h"
#include "shim/vfork.h"

/* The books are this process's to change, and calls may be made for it. */
static int may_heed(void)
{
	return umpa_host_consent() == UMPA_CONSENT_GIVEN && !umpa_os_confined() &&
	       !umpa_has_parents_memory();
}

/* One that can't be read the kernel shall refuse: it reads the limit before it finds that there is
 * no such resource. */
static int is_readable(const struct rlimit64 *limit)
{
	return umpa_os_prlimit(0, -1, limit, NULL) == -EINVAL;
}

/* Before it holds, since other threads go on meanwhile. `other` is there already. */
static void heed_limit(const struct rlimit64 *limit, int other)
{
	struct rlimit64 there = {.rlim_cur = RLIM64_INFINITY};

	if (!may_heed() || !is_readable(limit))
		return;
	if (limit->rlim_cur != RLIM64_INFINITY)
		umpa_huge_stop_soon();
	(void)!umpa_os_prlimit(0, other, NULL, &there);
	umpa_mm_heed_limit(limit->rlim_cur < there.rlim_cur ? limit->rlim_cur : there.rlim_cur);
}

static void heed(int resource, const struct rlimit64 *limit)
{
	if (resource == RLIMIT_AS)
		heed_limit(limit, RLIMIT_DATA);
	else if (resource == RLIMIT_DATA)
		heed_limit(limit, RLIMIT_AS);
}

static int set(pid_t pid, int resource, const void *limit, void *old)
{
	if (limit && (!pid || pid == getpid()))
		heed(resource, limit);
	return umpa_answer(umpa_os_prlimit(pid, resource, limit, old));
}

public_api int prlimit64(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit64 *limit, struct rlimit64 *old)
{
	return set(pid, (int)resource, limit, old);
}

/* Both structs are the kernel's. */
_Static_assert(sizeof(struct rlimit) == sizeof(struct rlimit64), "struct rlimit has 64 bits each");

public_api int prlimit(
	pid_t pid, __rlimit_resource_t resource, const struct rlimit *limit, struct rlimit *old)
{
	return set(pid, (int)resource, limit, old);
}

public_api int setrlimit64(__rlimit_resource_t resource, const struct rlimit64 *limit)
{
	return set(0, (int)resource, limit, NULL);
}

public_api int setrlimit(__rlimit_resource_t resource, const struct rlimit *limit)
{
	return set(0, (int)resource, limit, NULL);
}

/* What of the window is in use stays. Where there is none, it is not the window that is too large.
 */
static int may_fit(size_t nbytes)
{
	struct umpa_stats st;

	umpa_stats_so_far(&st);
	return st.window_nbytes && st.open_nbytes < nbytes;
}

static int lock_all_within_limit(int flags)
{
	struct rlimit64 limit;
	int error = umpa_os_lock_all(flags);

	if (error != -ENOMEM || !(flags & MCL_CURRENT) || !may_heed() ||
		umpa_os_prlimit(0, RLIMIT_MEMLOCK, NULL, &limit) || !may_fit(limit.rlim_cur))
		return error;
	umpa_mm_heed_limit(limit.rlim_cur);
	return umpa_os_lock_all(flags);
}

/* What it has ahead would be locked, too. */
static void shrink_heap(void)
{
	int (*trim)(size_t keep_nbytes);

	if (!umpa_huge_stop())
		return;
	umpa_find_next("malloc_trim", &trim);
	if (trim)
		trim(HUGE_PAD_NBYTES);
}

public_api int mlockall(int flags)
{
	int error;

	if (may_heed())
		shrink_heap();
	error = lock_all_within_limit(flags);
	if (!error && (flags & (MCL_CURRENT | MCL_FUTURE)) == MCL_FUTURE && may_heed()) {
		umpa_mm_keep_off();
		umpa_heap_retire();
	}
	return umpa_answer(error);
}
