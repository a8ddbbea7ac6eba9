#include "weather.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (1ul << 20)

/* Reads without stdio, whose buffer would be memory of the child's own. */
static long read_text(const char *path, char *text, size_t ntext)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	long n;

	if (fd < 0)
		return -1;
	n = read(fd, text, ntext - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	return n;
}

static int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n > 0 ? 0 : -1;
}

/* The number behind a name in a file of "name: number kB" lines. */
static unsigned long kib_of(const char *path, const char *name)
{
	static char text[8192];
	const char *at;

	if (read_text(path, text, sizeof(text)) <= 0)
		return 0;
	at = strstr(text, name);
	return at ? strtoul(at + strlen(name), NULL, 10) : 0;
}

static const char *set_limit(int resource, unsigned long nbytes)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	if (nbytes < limit.rlim_max)
		limit.rlim_max = nbytes;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) ? "the limit can't be set" : NULL;
}

const char *weather_limit(int resource, unsigned long nbytes)
{
	const char *name = resource == RLIMIT_AS ? "VmSize:" : "VmData:";
	unsigned long used = kib_of("/proc/self/status", name) << 10;

	return used ? set_limit(resource, used + nbytes) : "/proc/self/status can't be read";
}

static const char *limit_as(int late)
{
	return weather_limit(RLIMIT_AS, late ? 0 : 192 * MIB);
}

static const char *limit_data(int late)
{
	return weather_limit(RLIMIT_DATA, late ? 0 : 64 * MIB);
}

static const char *forbid_locking(int late)
{
	(void)late;
	return set_limit(RLIMIT_MEMLOCK, 0);
}

/* The limit holds for unprivileged processes only. */
static const char *lock_up_to_a_limit(int late)
{
	unsigned long locked = late ? kib_of("/proc/self/status", "VmSize:") << 10 : 0;
	const char *reason = set_limit(RLIMIT_MEMLOCK, locked + 64 * MIB);

	if (!reason && !geteuid() && setresuid(65534, 65534, 65534))
		reason = "privileges can't be dropped";
	if (!reason && mlockall(MCL_FUTURE))
		reason = "mlockall is refused";
	return reason;
}

static const char *lock_all(int late)
{
	(void)late;
	set_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	return mlockall(MCL_CURRENT | MCL_FUTURE) ? "mlockall needs a higher RLIMIT_MEMLOCK" : NULL;
}

static const char *lock_all_on_fault(int late)
{
	(void)late;
	set_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	return mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)
		       ? "mlockall needs a higher RLIMIT_MEMLOCK"
		       : NULL;
}

/* Locking must not have put frames behind memory that nobody has asked for. */
static const char *little_is_resident(void)
{
	return kib_of("/proc/self/status", "VmRSS:") > 384 << 10
		       ? "more than 384 MiB is resident though at most 64 MiB was live"
		       : NULL;
}

static const char *forbid_descriptors(int late)
{
	struct rlimit limit = {3, 3};

	(void)late;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return "the limit can't be set";
	return dup(0) < 0 ? NULL : "the limit has no effect";
}

/* Neighbouring pages of different protection are mappings of their own. */
static const char *fill_the_map_count(int late)
{
	char *area = mmap(NULL, 65536 * 4096ul * 4, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	long n = 0;

	if (area == MAP_FAILED)
		return "no room to split";
	while (n < 131000 && !mprotect(area + (2 * n + 1) * 4096, 4096, PROT_READ))
		n++;
	if (n == 131000)
		return "the mapping count is not limited to 65530";
	for (long i = 0; i < 32 && !late; i++)
		if (mprotect(area + (2 * i + 1) * 4096, 4096, PROT_NONE))
			return "a mapping can't be given up";
	return NULL;
}

static const char *commit_strictly(int late)
{
	unsigned long used = kib_of("/proc/meminfo", "Committed_AS:");
	char text[32];

	if (!getenv("UMPA_GUEST"))
		return "changes the whole machine: only in an emulated one";
	snprintf(text, sizeof(text), "%lu", used + ((late ? 16 : 192) << 10));
	if (!used || write_text("/proc/sys/vm/overcommit_kbytes", text) ||
		write_text("/proc/sys/vm/admin_reserve_kbytes", "0") ||
		write_text("/proc/sys/vm/user_reserve_kbytes", "0") ||
		write_text("/proc/sys/vm/overcommit_memory", "2"))
		return "the system's settings can't be written";
	return NULL;
}

static void commit_as_usual(void)
{
	if (!getenv("UMPA_GUEST"))
		return;
	write_text("/proc/sys/vm/overcommit_memory", "0");
	write_text("/proc/sys/vm/overcommit_ratio", "50");
}

static const char *forbid_huge_pages(int late)
{
	(void)late;
	return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) ? "PR_SET_THP_DISABLE is refused" : NULL;
}

const struct weather weather_as_small = {limit_as, NULL, NULL};
const struct weather weather_data_small = {limit_data, NULL, NULL};
const struct weather weather_memlock_none = {forbid_locking, NULL, NULL};
const struct weather weather_memlock_small = {lock_up_to_a_limit, NULL, NULL};
const struct weather weather_mlockall = {lock_all, little_is_resident, NULL};
const struct weather weather_mlock_onfault = {lock_all_on_fault, little_is_resident, NULL};
const struct weather weather_nofile_none = {forbid_descriptors, NULL, NULL};
const struct weather weather_maps_full = {fill_the_map_count, NULL, NULL};
const struct weather weather_strict_commit = {commit_strictly, NULL, commit_as_usual};
const struct weather weather_thp_never = {forbid_huge_pages, NULL, NULL};
