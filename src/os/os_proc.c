#include "os/os_proc.h"

#include <fcntl.h>
#include <linux/sysinfo.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "os/os.h"
#include "os/syscall.h"

#define FILE_NBYTES           4096 /* as much of any file as is looked at */
#define PATH_NBYTES           512
#define MAX_MAP_COUNT         65530
#define MEMORY_NBYTES_UNKNOWN ((size_t)1 << 30)
/* cgroup v1 says "no limit" as the largest multiple of a page that fits, which differs by kernel.
 */
#define V1_NO_LIMIT ((uint64_t)1 << 62)

/* --- reading ------------------------------------------------------------------------------ */

/* The beginning of a file as a string. 0, or -errno and "". */
static int read_file(const char *path, char text[FILE_NBYTES])
{
	long fd = SYS_4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	size_t length = 0;
	long got = 0;

	text[0] = 0;
	if (fd < 0)
		return (int)fd;
	while (length < FILE_NBYTES - 1) {
		got = SYS_3(SYS_read, fd, text + length, FILE_NBYTES - 1 - length);
		if (got == -EINTR)
			continue;
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	SYS_1(SYS_close, fd);
	text[length] = 0;
	return got < 0 ? (int)got : 0;
}

/* The number text begins with, or `otherwise` if it begins with none. */
static uint64_t number_in(const char *text, uint64_t otherwise)
{
	uint64_t n = 0;

	if (*text < '0' || *text > '9')
		return otherwise;
	for (; *text >= '0' && *text <= '9'; text++)
		n = n > (UINT64_MAX - 9) / 10 ? UINT64_MAX - 9 : n * 10 + (uint64_t)(*text - '0');
	return n;
}

static int64_t number_of(const char *path)
{
	char text[FILE_NBYTES];

	return read_file(path, text) ? UMPA_UNKNOWN : (int64_t)number_in(text, (uint64_t)-1);
}

/* What follows the first `key` in text, blanks skipped; NULL if there is none. */
static const char *after(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	if (!at)
		return NULL;
	at += strlen(key);
	return at + strspn(at, " \t");
}

static uint64_t limit_of(int resource)
{
	struct rlimit limit = {0};

	/* prlimit64, which has the same structure on every 64-bit system. */
	if (SYS_4(SYS_prlimit64, 0, resource, NULL, &limit))
		return UMPA_NBYTES_UNKNOWN;
	return limit.rlim_cur == RLIM_INFINITY ? UMPA_NBYTES_NO_LIMIT : limit.rlim_cur;
}

/* --- the machine -------------------------------------------------------------------------- */

static size_t memory_nbytes(void)
{
	struct sysinfo info = {0};
	size_t nbytes;

	if (SYS_1(SYS_sysinfo, &info))
		return MEMORY_NBYTES_UNKNOWN;
	nbytes = (size_t)info.totalram * (info.mem_unit ? info.mem_unit : 1);
	return nbytes ? nbytes : MEMORY_NBYTES_UNKNOWN;
}

static unsigned cpus_allowed(void)
{
	unsigned long mask[1024 / sizeof(long)] = {0};
	long nbytes = SYS_3(SYS_sched_getaffinity, 0, sizeof(mask), mask);
	unsigned n = 0;

	for (long i = 0; i < nbytes / (long)sizeof(long); i++)
		n += (unsigned)__builtin_popcountl(mask[i]);
	return n ? n : 1;
}

void umpa_os_machine(struct umpa_os_machine *m)
{
	uint64_t as_limit = limit_of(RLIMIT_AS), data_limit = limit_of(RLIMIT_DATA);
	int64_t overcommit = number_of("/proc/sys/vm/overcommit_memory");

	m->page_nbytes = getauxval(AT_PAGESZ);
	m->memory_nbytes = memory_nbytes();
	as_limit = data_limit < as_limit ? data_limit : as_limit;
	m->as_limit_nbytes = as_limit >= UMPA_NBYTES_NO_LIMIT ? SIZE_MAX : (size_t)as_limit;
	m->ncpus = cpus_allowed();
	/* Not to be learned: taken as strict, which costs a little and is never wrong. */
	m->strict_commit =
		overcommit == 2 || overcommit == UMPA_UNKNOWN || data_limit != UMPA_NBYTES_NO_LIMIT;
}

uint32_t umpa_os_max_map_count(void)
{
	int64_t n = number_of("/proc/sys/vm/max_map_count");

	return n <= 0 ? MAX_MAP_COUNT : n > INT32_MAX ? INT32_MAX : (uint32_t)n;
}

/* --- control groups ----------------------------------------------------------------------- */

struct group {
	int version;
	char path[PATH_NBYTES]; /* the memory group's folder */
	size_t root_length;     /* of the path: where the tree of groups begins */
};

/* The files of one version. */
static const struct {
	const char *root, *limit, *usage;
} groups[] = {
	[1] = {"/sys/fs/cgroup/memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes"},
	[2] = {"/sys/fs/cgroup", "/memory.max", "/memory.current"},
};

/* Finds this process's memory group in /proc/self/cgroup: lines of "N:controllers:/path". */
static void find_group(struct group *g)
{
	char text[FILE_NBYTES];
	const char *path;
	size_t length;

	g->version = 0;
	if (read_file("/proc/self/cgroup", text))
		return;
	path = after(text, ":memory:");
	g->version = path ? 1 : 2;
	if (!path)
		path = after(text, "0::");
	g->root_length = strlen(groups[g->version].root);
	length = path ? strcspn(path, "\n") : 0;
	if (!length || g->root_length + length >= PATH_NBYTES) {
		g->version = 0;
		return;
	}
	memcpy(g->path, groups[g->version].root, g->root_length);
	memcpy(g->path + g->root_length, path, length);
	g->path[g->root_length + length] = 0;
}

static int read_in_group(const struct group *g, const char *name, char text[FILE_NBYTES])
{
	char path[PATH_NBYTES + 64];
	size_t length = strlen(g->path);

	while (length > g->root_length && g->path[length - 1] == '/')
		length--;
	memcpy(path, g->path, length);
	memcpy(path + length, name, strlen(name) + 1);
	return read_file(path, text);
}

/* The group above; 0 at the root. */
static int step_up(struct group *g)
{
	size_t length = strlen(g->path);

	if (length <= g->root_length + 1)
		return 0;
	while (g->path[length - 1] != '/')
		length--;
	g->path[length > g->root_length + 1 ? length - 1 : length] = 0;
	return 1;
}

static uint64_t limit_in(const struct group *g)
{
	char text[FILE_NBYTES];
	uint64_t limit;

	if (read_in_group(g, groups[g->version].limit, text))
		return UMPA_NBYTES_UNKNOWN;
	limit = number_in(text, UMPA_NBYTES_NO_LIMIT); /* v2: "max" */
	return g->version == 1 && limit >= V1_NO_LIMIT ? UMPA_NBYTES_NO_LIMIT : limit;
}

static int64_t pressure_in(const char *text)
{
	const char *at = after(text, "some avg10=");

	/* "0.37": two digits behind the point, always. */
	if (!at || !strchr(at, '.'))
		return UMPA_UNKNOWN;
	return (int64_t)(number_in(at, 0) * 100 + number_in(strchr(at, '.') + 1, 0));
}

static void ask_groups(struct umpa_os_facts *f)
{
	char text[FILE_NBYTES];
	struct group g;

	find_group(&g);
	if (g.version == 2 && !read_in_group(&g, "/memory.pressure", text))
		f->pressure_centi = pressure_in(text);
	if (f->pressure_centi == UMPA_UNKNOWN && !read_file("/proc/pressure/memory", text))
		f->pressure_centi = pressure_in(text);
	if (!g.version)
		return;
	do {
		uint64_t limit = limit_in(&g);

		if (limit >= f->cgroup_limit_nbytes)
			continue;
		f->cgroup_version = g.version;
		f->cgroup_limit_nbytes = limit;
		f->cgroup_usage_nbytes = read_in_group(&g, groups[g.version].usage, text)
						 ? UMPA_NBYTES_UNKNOWN
						 : number_in(text, UMPA_NBYTES_UNKNOWN);
	} while (step_up(&g));
}

/* --- facts -------------------------------------------------------------------------------- */

static enum umpa_thp thp_mode(void)
{
	char text[FILE_NBYTES];

	if (read_file("/sys/kernel/mm/transparent_hugepage/enabled", text))
		return UMPA_THP_UNKNOWN;
	return strstr(text, "[always]")    ? UMPA_THP_ALWAYS
	       : strstr(text, "[madvise]") ? UMPA_THP_MADVISE
	       : strstr(text, "[never]")   ? UMPA_THP_NEVER
					   : UMPA_THP_UNKNOWN;
}

static int seccomp_mode(void)
{
	char text[FILE_NBYTES];
	const char *at;

	if (read_file("/proc/self/status", text))
		return UMPA_UNKNOWN;
	at = after(text, "\nSeccomp:");
	return at ? (int)number_in(at, (uint64_t)-1) : UMPA_UNKNOWN;
}

void umpa_os_facts(struct umpa_os_facts *f)
{
	struct utsname names = {0};
	char text[FILE_NBYTES];
	long refused = SYS_5(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);

	*f = (struct umpa_os_facts){.pressure_centi = UMPA_UNKNOWN,
		.cgroup_limit_nbytes = UMPA_NBYTES_UNKNOWN,
		.cgroup_usage_nbytes = UMPA_NBYTES_UNKNOWN};
	if (!SYS_1(SYS_uname, &names))
		memcpy(f->kernel, names.release, sizeof(f->kernel));
	f->proc = !read_file("/proc/self/status", text);
	f->thp = thp_mode();
	f->thp_refused = refused < 0 ? UMPA_UNKNOWN : refused != 0;
	f->overcommit = (int)number_of("/proc/sys/vm/overcommit_memory");
	f->max_map_count = number_of("/proc/sys/vm/max_map_count");
	f->unprivileged_userfaultfd = (int)number_of("/proc/sys/vm/unprivileged_userfaultfd");
	f->seccomp = seccomp_mode();
	f->as_limit_nbytes = limit_of(RLIMIT_AS);
	f->data_limit_nbytes = limit_of(RLIMIT_DATA);
	f->memlock_limit_nbytes = limit_of(RLIMIT_MEMLOCK);
	ask_groups(f);
}
