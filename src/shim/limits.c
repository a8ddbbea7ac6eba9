/*
 * setrlimit() and prlimit(): where a program limits its address space while it runs, the window
 * would be over the limit by itself, and everything the kernel is asked for refused: stacks of
 * threads, libraries, small blocks. So it is narrowed first. A limit that another process sets is
 * not noticed.
 */
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "heap/engine.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "os/os.h"

/*
 * A child of vfork() has its parent's memory, but limits of its own. libc's idea of which thread
 * this is, which it writes into a lock that it must know the owner of, is its parent's then too.
 */
static int has_parents_memory(void)
{
	pthread_mutex_t m = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
	int owner;

	pthread_mutex_lock(&m);
	owner = m.__data.__owner;
	pthread_mutex_unlock(&m);
	return owner != gettid();
}

/* One that can't be read the kernel shall refuse: it reads the limit before it finds that there is
 * no such resource. */
static int is_readable(const struct rlimit64 *limit)
{
	return umpa_os_prlimit(0, -1, limit, NULL) == -EINVAL;
}

/* Before it holds, since other threads go on meanwhile. */
static void heed_limit(const struct rlimit64 *limit)
{
	if (umpa_host_consent() == UMPA_CONSENT_GIVEN && !umpa_os_confined() &&
		!has_parents_memory() && is_readable(limit))
		umpa_mm_heed_limit(limit->rlim_cur);
}

static int set(pid_t pid, int resource, const void *limit, void *old)
{
	if (limit && resource == RLIMIT_AS && (!pid || pid == getpid()))
		heed_limit(limit);
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
