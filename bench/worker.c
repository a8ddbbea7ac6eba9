#include "worker.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <umpa/stats.h>

#include "base/units.h"
#include "cli/cli.h"

static uint64_t read_clock(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t umpa_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t umpa_cpu_now_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

uint64_t umpa_clock_ns(void)
{
	enum {
		NREADINGS = 100000
	};
	uint64_t start_ns = umpa_now_ns(), last_ns = start_ns;
	int i;

	for (i = 0; i < NREADINGS; i++)
		last_ns = umpa_now_ns();
	return (last_ns - start_ns) / NREADINGS;
}

uint64_t umpa_faults_now(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_minflt + usage.ru_majflt);
}

void umpa_put(const char *metric, uint64_t bin, double value)
{
	printf("%s %llu %.15g\n", metric, (unsigned long long)bin, value);
}

uint64_t umpa_random(uint64_t *seed)
{
	*seed ^= *seed >> 12;
	*seed ^= *seed << 25;
	*seed ^= *seed >> 27;
	return *seed * 0x2545f4914f6cdd1du;
}

/* 2^u for a u of ten random bits, as the product of the roots whose bits are set. */
uint64_t umpa_random_size(uint64_t *seed, uint64_t lo)
{
	static const double root[] = {1.4142135623730951, 1.189207115002721, 1.0905077326652577,
		1.0442737824274138, 1.0218971486541166, 1.0108892860517005, 1.0054299011128027,
		1.0027112750502025, 1.0013547198921082, 1.0006771306930664};
	uint64_t bits = umpa_random(seed) >> 32;
	double nbytes = (double)lo;
	size_t i;

	for (i = 0; i < array_len(root); i++)
		if (bits & (1u << i))
			nbytes *= root[i];
	return (uint64_t)nbytes;
}

void *umpa_worker_take(size_t nbytes)
{
	void *p = mmap(NULL, nbytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		exit(umpa_refuse(EXIT_UMPA, "bench: no memory for the books"));
	return p;
}

/* Reads a file of /proc without stdio, which allocates. Result: how much was read, below most. */
static size_t read_whole(const char *path, char *text, size_t most)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t nread = 0;
	ssize_t n;

	if (fd < 0)
		return 0;
	while (nread < most - 1 && (n = read(fd, text + nread, most - 1 - nread)) > 0)
		nread += (size_t)n;
	close(fd);
	text[nread] = 0;
	return nread;
}

uint64_t umpa_status_nbytes(const char *key)
{
	char text[4096];
	const char *at;

	read_whole("/proc/self/status", text, sizeof(text));
	at = strstr(text, key);
	return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

static uint64_t count_mappings(void)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uint64_t nlines = 0;
	char text[4096];
	ssize_t i, n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (i = 0; i < n; i++)
			nlines += text[i] == '\n';
	close(fd);
	return nlines;
}

/* umpa's counters, of whichever umpa serves: the one linked in, or the one preloaded under malloc.
 */
static int read_stats(const struct umpa_work *w, struct umpa_stats *out)
{
	int (*get)(struct umpa_stats *, size_t) = umpa_get_stats;

	if (!strcmp(w->api->name, "malloc")) {
		void *preloaded = dlsym(RTLD_DEFAULT, "umpa_get_stats");

		memcpy(&get, &preloaded, sizeof(get));
	} else if (strcmp(w->api->name, "umpa") && strcmp(w->api->name, "umpa-mmap")) {
		return 0;
	}
	return get && !get(out, sizeof(*out)) && (out->nallocs || out->nmappings);
}

static struct {
	uint64_t start_ns, start_cpu_ns;
	struct rusage usage;
	struct umpa_stats stats;
} begun;

static void mark(const struct umpa_work *w, unsigned long what)
{
	if (w->traced)
		prctl(UMPA_MARK_OPTION, what, 0, 0, 0);
}

void umpa_phase_begin(const struct umpa_work *w)
{
	memset(&begun.stats, 0, sizeof(begun.stats));
	(void)read_stats(w, &begun.stats);
	getrusage(RUSAGE_SELF, &begun.usage);
	begun.start_cpu_ns = umpa_cpu_now_ns();
	mark(w, UMPA_MARK_BEGIN);
	begun.start_ns = umpa_now_ns();
}

static void put_usage(const struct rusage *usage)
{
	const struct rusage *was = &begun.usage;

	umpa_put("nfaults", 0, (double)(usage->ru_minflt - was->ru_minflt));
	umpa_put("npreempted", 0, (double)(usage->ru_nivcsw - was->ru_nivcsw));
}

/* It goes up and down. */
static int is_level(const char *counter)
{
	static const char *const levels[] = {"window_nbytes", "open_nbytes", "block_nbytes",
		"nblocks", "pool_nbytes", "run_free_nbytes", "outside_nbytes", "mapping_nbytes"};
	size_t i;

	for (i = 0; i < array_len(levels); i++)
		if (!strcmp(counter, levels[i]))
			return 1;
	return 0;
}

/* Counts of the phase; what is a level and not a count is its value at the end. */
static void put_stats(const struct umpa_stats *now)
{
	const struct umpa_stats *was = &begun.stats;

#define UMPA_STAT(name, help)                                                                      \
	umpa_put("umpa_" #name, 0, (double)(now->name - (is_level(#name) ? 0 : was->name)));
#include <umpa/stats.def>
#undef UMPA_STAT
}

void umpa_phase_end(const struct umpa_work *w)
{
	uint64_t end_ns = umpa_now_ns(), cpu_ns, nmappings, peak_nbytes, now_nbytes;
	struct umpa_stats stats;
	struct rusage usage;
	int has_stats;

	mark(w, UMPA_MARK_END);
	cpu_ns = umpa_cpu_now_ns() - begun.start_cpu_ns;
	getrusage(RUSAGE_SELF, &usage);
	has_stats = read_stats(w, &stats);
	nmappings = count_mappings();
	peak_nbytes = umpa_status_nbytes("VmHWM:");
	now_nbytes = umpa_status_nbytes("VmRSS:");
	umpa_put("time_ns", 0, (double)(end_ns - begun.start_ns));
	umpa_put("cpu_ns", 0, (double)cpu_ns);
	put_usage(&usage);
	umpa_put("nmappings", 0, (double)nmappings);
	umpa_put("peak_nbytes", 0, (double)peak_nbytes);
	umpa_put("end_nbytes", 0, (double)now_nbytes);
	if (has_stats)
		put_stats(&stats);
}

static int read_number(const char *text, uint64_t *out)
{
	char *end;

	*out = strtoull(text, &end, 10);
	if (end == text)
		return -1;
	if (*end == 'K')
		*out <<= 10;
	else if (*end == 'M')
		*out <<= 20;
	else if (*end == 'G')
		*out <<= 30;
	return 0;
}

static int read_key(struct umpa_work *w, const char *text)
{
	const struct {
		const char *name;
		uint64_t *to;
	} keys[] = {{"min=", &w->min}, {"max=", &w->max}, {"live=", &w->live}, {"ops=", &w->ops},
		{"warmup=", &w->warmup}, {"touch=", &w->touch}, {"batch=", &w->batch},
		{"factor=", &w->factor}, {"seed=", &w->seed}, {"traced=", &w->traced},
		{"threads=", &w->threads}, {"ms=", &w->ms}, {"least=", &w->least},
		{"burst=", &w->burst}};
	size_t i;

	if (!strncmp(text, "api=", 4)) {
		w->api = umpa_page_api_find(text + 4);
		return w->api ? 0 : -1;
	}
	for (i = 0; i < array_len(keys); i++)
		if (!strncmp(text, keys[i].name, strlen(keys[i].name)))
			return read_number(text + strlen(keys[i].name), keys[i].to);
	return -1;
}

static const struct {
	const char *name;
	int (*run)(const struct umpa_work *w);
} kinds[] = {{"@ring", umpa_work_ring}, {"@grow", umpa_work_grow}, {"@resize", umpa_work_resize},
	{"@reuse", umpa_work_reuse}, {"@calloc", umpa_work_calloc}, {"@moved", umpa_work_moved},
	{"@sparse", umpa_work_sparse}, {"@idle", umpa_work_idle}, {"@own", umpa_work_own},
	{"@handed", umpa_work_handed}, {"@random", umpa_work_random}, {"@larson", umpa_work_larson},
	{"@loop", umpa_work_loop}, {"@vmm", umpa_work_vmm}};

int umpa_worker_main(int argc, char **argv)
{
	struct umpa_work w = {.api = umpa_page_api_find("malloc"),
		.min = PAGE_NBYTES,
		.max = 2 * PAGE_NBYTES,
		.live = 1,
		.ops = 1,
		.touch = 1,
		.factor = 200,
		.threads = 1,
		.ms = 100,
		.burst = 16,
		.seed = 2011};
	size_t k;
	int i;

	for (i = 1; i < argc; i++)
		if (read_key(&w, argv[i]))
			return umpa_refuse(EXIT_USAGE, "bench: bad key '%s'", argv[i]);
	for (k = 0; k < array_len(kinds); k++)
		if (!strcmp(argv[0], kinds[k].name))
			return kinds[k].run(&w) ? EXIT_UMPA : EXIT_FINE;
	return umpa_refuse(EXIT_USAGE, "bench: no workload '%s'", argv[0]);
}
