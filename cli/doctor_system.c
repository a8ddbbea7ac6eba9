/* The doctor's look at kernel settings, limits and what else is installed. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli.h"
#include "doctor.h"
#include "engine.h"
#include "os/os.h"
#include "os/os_proc.h"
#include "preload.h"

#define MAP_COUNT_USUAL 65530
#define NOFILE_ENOUGH   64
#define NOFILE_USUAL    1024

/* A finding with a number in its value. */
static void finding_of(struct umpa_findings *f, enum umpa_state state, const char *check,
	char *value, const char *why, const char *fix)
{
	umpa_finding(f, state, check, value, why, fix);
	free(value);
}

static char *nbytes_text(uint64_t nbytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double value = (double)nbytes;
	unsigned u = 0;

	if (nbytes == UMPA_NBYTES_NO_LIMIT)
		return umpa_text("no limit");
	if (nbytes == UMPA_NBYTES_UNKNOWN)
		return umpa_text("unknown");
	for (; value >= 1024 && u + 1 < array_len(units); u++)
		value /= 1024;
	return umpa_text("%.4g %s", value, units[u]);
}

static void find_kernel(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	umpa_finding(f, STATE_OK, "kernel", *facts->kernel ? facts->kernel : "unknown", NULL, NULL);
	if (!facts->proc)
		umpa_finding(f, STATE_NOTE, "/proc", "not mounted",
			"limits and settings can't be read, and careful values are taken",
			"mount -t proc proc /proc");
}

static void find_seccomp(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	static const char *const modes[] = {"none", "strict", "filter"};

	umpa_finding(f, STATE_OK, "seccomp",
		facts->seccomp >= 0 && facts->seccomp <= 2 ? modes[facts->seccomp] : "unknown",
		NULL, NULL);
}

static void find_thp(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	static const char *const modes[] = {"never", "madvise", "always"};
	static const char without[] =
		"without huge pages a superpage is 512 pages: slower to get and to move";

	if (facts->thp == UMPA_THP_UNKNOWN)
		umpa_finding(f, STATE_PROBLEM, "huge pages", "the kernel has none to give", without,
			"a kernel with CONFIG_TRANSPARENT_HUGEPAGE");
	else
		umpa_finding(f, facts->thp == UMPA_THP_NEVER ? STATE_PROBLEM : STATE_OK,
			"huge pages", modes[facts->thp],
			facts->thp == UMPA_THP_NEVER ? without : NULL,
			"echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
	if (facts->thp_refused > 0)
		umpa_finding(f, STATE_PROBLEM, "huge pages here", "refused (PR_SET_THP_DISABLE)",
			without, "start from a process that has not set PR_SET_THP_DISABLE");
}

/* The word in brackets of a file such as "always [madvise] never". */
static int chosen_word(const char *path, char *word, size_t nword)
{
	char line[128], *open = NULL, *close;
	FILE *in = fopen(path, "re");

	if (in && fgets(line, sizeof(line), in))
		open = strchr(line, '[');
	close = open ? strchr(open, ']') : NULL;
	if (close) {
		*close = 0;
		snprintf(word, nword, "%s", open + 1);
	}
	if (in)
		fclose(in);
	return close != NULL;
}

static void find_defrag(struct umpa_findings *f)
{
	char word[32];
	int lazy;

	if (!chosen_word("/sys/kernel/mm/transparent_hugepage/defrag", word, sizeof(word)))
		return;
	lazy = !strcmp(word, "never") || !strcmp(word, "defer");
	umpa_finding(f, lazy ? STATE_NOTE : STATE_OK, "huge page defrag", word,
		lazy ? "huge pages come only while the kernel has free ones at hand" : NULL,
		"echo madvise > /sys/kernel/mm/transparent_hugepage/defrag");
}

static void find_overcommit(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	int strict = facts->overcommit == 2;

	finding_of(f, strict ? STATE_NOTE : STATE_OK, "overcommit",
		facts->overcommit < 0 ? umpa_text("unknown") : umpa_text("%d", facts->overcommit),
		strict ? "memory counts before it is touched: the window opens in small steps"
		       : NULL,
		"sysctl -w vm.overcommit_memory=0");
}

static void find_map_count(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	int low = facts->max_map_count >= 0 && facts->max_map_count < MAP_COUNT_USUAL;

	finding_of(f, low ? STATE_NOTE : STATE_OK, "vm.max_map_count",
		facts->max_map_count < 0 ? umpa_text("unknown")
					 : umpa_text("%lld", (long long)facts->max_map_count),
		low ? "the mremap mover stops moving when its share of mappings is used up" : NULL,
		"sysctl -w vm.max_map_count=65530");
}

/* A limit below what the machine has makes the program get less; above that it only makes umpa
 * reserve or open less at a time. */
static void find_limit(struct umpa_findings *f, const char *check, uint64_t limit, const char *why,
	const char *fix)
{
	struct umpa_os_machine machine;
	enum umpa_state state = STATE_OK;

	umpa_os_machine(&machine);
	if (limit < UMPA_NBYTES_NO_LIMIT)
		state = limit < machine.memory_nbytes ? STATE_PROBLEM : STATE_NOTE;
	finding_of(f, state, check, nbytes_text(limit), state == STATE_OK ? NULL : why, fix);
}

/* Who may raise it: anybody up to the hard limit, root beyond. */
static char *files_fix(void)
{
	struct rlimit files;

	if (!getrlimit(RLIMIT_NOFILE, &files) && files.rlim_max < NOFILE_USUAL)
		return umpa_text("ulimit -n %d, as root: the hard limit is %llu", NOFILE_USUAL,
			(unsigned long long)files.rlim_max);
	return umpa_text("ulimit -n %d", NOFILE_USUAL);
}

static void find_files_limit(struct umpa_findings *f)
{
	struct rlimit files;
	char *fix;
	int few;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	few = files.rlim_cur < NOFILE_ENOUGH;
	fix = files_fix();
	finding_of(f, few ? STATE_NOTE : STATE_OK, "RLIMIT_NOFILE",
		files.rlim_cur == RLIM_INFINITY
			? umpa_text("no limit")
			: umpa_text("%llu", (unsigned long long)files.rlim_cur),
		few ? "the mover's descriptor can't be kept away from the program's own" : NULL,
		fix);
	free(fix);
}

static void find_limits(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	find_limit(f, "RLIMIT_AS", facts->as_limit_nbytes,
		"the window gets smaller; what does not fit in it, the kernel serves",
		"ulimit -v unlimited");
	find_limit(f, "RLIMIT_DATA", facts->data_limit_nbytes,
		"the window gets smaller and opens in small steps; what does not fit in it, the "
		"kernel serves",
		"ulimit -d unlimited");
	finding_of(f, STATE_OK, "RLIMIT_MEMLOCK", nbytes_text(facts->memlock_limit_nbytes), NULL,
		NULL);
	find_files_limit(f);
}

static void find_cgroup(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	uint64_t limit = facts->cgroup_limit_nbytes, used = facts->cgroup_usage_nbytes;
	char *limit_text = nbytes_text(limit), *used_text = nbytes_text(used);
	int tight = used < UMPA_NBYTES_NO_LIMIT && used > limit / 10 * 9;

	if (facts->overcommit < 0) /* nor can anything else be read in /proc */
		umpa_finding(f, STATE_OK, "control group", "unknown", NULL, NULL);
	else if (!facts->cgroup_version || limit >= UMPA_NBYTES_NO_LIMIT)
		umpa_finding(f, STATE_OK, "control group", "no memory limit", NULL, NULL);
	else
		finding_of(f, tight ? STATE_NOTE : STATE_OK, "control group",
			umpa_text("%s of %s used", used_text, limit_text),
			tight ? "memory that umpa keeps for reuse counts too" : NULL,
			"systemctl set-property UNIT MemoryMax=SIZE, or the option keep=");
	free(limit_text);
	free(used_text);
}

static void find_pressure(struct umpa_findings *f, const struct umpa_os_facts *facts)
{
	int high = facts->pressure_centi >= 1000;

	finding_of(f, high ? STATE_NOTE : STATE_OK, "memory pressure",
		facts->pressure_centi < 0
			? umpa_text("unknown")
			: umpa_text("%.2f %%", (double)facts->pressure_centi / 100),
		high ? "the system is short of memory: measurements say little now" : NULL,
		"ps -eo rss,args --sort=-rss | head");
}

void umpa_find_system(struct umpa_findings *f)
{
	struct umpa_os_facts facts;

	umpa_os_facts(&facts);
	find_kernel(f, &facts);
	find_seccomp(f, &facts);
	find_thp(f, &facts);
	find_defrag(f);
	find_overcommit(f, &facts);
	find_map_count(f, &facts);
	find_limits(f, &facts);
	find_cgroup(f, &facts);
	find_pressure(f, &facts);
}

/* What changes it where a library could not even be tried. */
static char *trial_fix(int error)
{
	switch (error) {
	case EMFILE:
		return files_fix();
	case ENFILE:
		return umpa_text("sysctl -w fs.file-max=1000000");
	case EAGAIN:
		return umpa_text("ulimit -u unlimited");
	case ENOMEM:
		return umpa_text("ulimit -v unlimited; ulimit -d unlimited");
	default:
		return umpa_text("umpa doctor --json, in a report of the case");
	}
}

void umpa_find_library(struct umpa_findings *f)
{
	char *why, *fix, *path = umpa_preload_locate(&why);
	int untried = 0;

	if (path)
		why = umpa_preload_refusal(path, &untried);
	fix = untried ? trial_fix(untried)
		      : umpa_text("make install, or UMPA_PRELOAD=/path/to/" UMPA_PRELOAD_FILE);
	umpa_finding(f, why ? STATE_PROBLEM : STATE_OK, "preload library",
		path ? path : "not found", why, fix);
	free(path);
	free(why);
	free(fix);
}

/* A library that is not there is one the loader can't open; anything else is its own fault. */
static void find_peer(
	struct umpa_findings *f, const char *name, const char *file, const char *package)
{
	int untried;
	char *why = umpa_preload_refusal(file, &untried);
	char *fix = untried ? trial_fix(untried) : umpa_text("apt-get install %s", package);

	if (!why)
		umpa_finding(f, STATE_OK, name, file, NULL, NULL);
	else if (untried)
		umpa_finding(f, STATE_NOTE, name, "not tried", why, fix);
	else if (strstr(why, "cannot open shared object file"))
		umpa_finding(f, STATE_NOTE, name, "not installed",
			"one engine less to choose from, and one allocator for umpa bench to "
			"compare with",
			fix);
	else
		umpa_finding(f, STATE_NOTE, name, "does not load", why, fix);
	free(why);
	free(fix);
}

void umpa_find_peers(struct umpa_findings *f)
{
	const struct umpa_engine_library *e;

	for (e = umpa_engine_libraries; e->name; e++)
		if (e->file)
			find_peer(f, e->name, e->file, e->package);
}
