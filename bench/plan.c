#include "plan.h"

#include "base/compiler.h"
#include "cli/engine.h"

#define MIB ((size_t)1 << 20)

const struct umpa_method umpa_methods[NMETHODS] = {
	[BY_KERNEL] = {"kernel", "kernel", NULL, NULL, "mmap, munmap"},
	[BY_POPULATE] = {"populate", "populate", NULL, NULL, "mmap with MAP_POPULATE, munmap"},
	[BY_HUGEPAGE] = {"hugepage", "hugepage", NULL, NULL, "mmap, MADV_HUGEPAGE, munmap"},
	[BY_UMPA] = {"umpa", "umpa", NULL, NULL, "umpa_alloc, umpa_free"},
	[BY_TOUCH] = {"touch", "touch", NULL, NULL, "resident memory, touched and nothing else"},
	[BY_GLIBC] = {"glibc", "malloc", NULL, NULL, "malloc of the C library"},
	[BY_JEMALLOC] = {"jemalloc", "malloc", JEMALLOC_FILE, NULL, "jemalloc preloaded"},
	[BY_TCMALLOC] = {"tcmalloc", "malloc", TCMALLOC_FILE, NULL, "tcmalloc preloaded"},
	[BY_MIMALLOC] = {"mimalloc", "malloc", MIMALLOC_FILE, NULL, "mimalloc preloaded"},
	[BY_UMPA_MALLOC] = {"umpa-preload", "malloc", UMPA_LIBRARY, NULL,
		"umpa preloaded over glibc"},
	[BY_UMPA_HUGE0] = {"umpa-huge0", "malloc", UMPA_LIBRARY, "huge=0", "the same with huge=0"},
	[BY_FLOOR] = {"floor", "floor", NULL, NULL,
		"touch; what is live for the first time is new from the kernel, as huge pages"},
	[BY_UMPA_MMAP] = {"umpa-mmap", "umpa-mmap", NULL, NULL, "umpa_mmap, umpa_munmap"},
	[BY_DLMALLOC] = {"dlmalloc", "malloc", "examples/libdlmalloc-kernel.so", NULL,
		"dlmalloc over mmap"},
	[BY_DLMALLOC_UMPA] = {"dlmalloc-umpa", "malloc", "examples/libdlmalloc.so", NULL,
		"dlmalloc over umpa"},
	[BY_JEMALLOC_UMPA] = {"jemalloc-umpa", "malloc",
		JEMALLOC_FILE ":examples/libjemalloc_hooks.so", NULL, "jemalloc over umpa"},
	[BY_BARE] = {"bare", "bare", NULL, NULL, "an address: what the workload itself costs"},
	[BY_UMPA_JEMALLOC] = {"umpa-jemalloc", "malloc", UMPA_LIBRARY ":" JEMALLOC_FILE, NULL,
		"umpa preloaded over jemalloc"},
	[BY_UMPA_TCMALLOC] = {"umpa-tcmalloc", "malloc", UMPA_LIBRARY ":" TCMALLOC_FILE, NULL,
		"umpa preloaded over tcmalloc"},
	[BY_UMPA_MIMALLOC] = {"umpa-mimalloc", "malloc", UMPA_LIBRARY ":" MIMALLOC_FILE, NULL,
		"umpa preloaded over mimalloc"},
};

const char *const umpa_peers[NPEERS] = {"glibc", "jemalloc", "tcmalloc", "mimalloc"};

/*
 * The ring of 2011 is page-bins: 512 live blocks up to 8 MiB. Larger blocks have tests of their
 * own, with fewer live ones, so that a test fits into a machine of 2 GiB.
 */
static const struct umpa_bench_test scaling_tests[] = {
	{"page-bins", "@ring", "min=4K max=8M live=512 batch=16 warmup=2816 ops=5632",
		"warmup=1408 ops=1408", PAGE_LEVEL, 1536 * MIB,
		"page level, 4 KiB to 8 MiB, 512 live, by size bin"},
	{"page-bins-untouched", "@ring",
		"min=4K max=8M live=512 batch=16 warmup=2816 ops=5632 touch=0", NULL,
		PAGE_LEVEL & ~BIT(BY_TOUCH), 1536 * MIB,
		"the same, blocks not touched while measured"},
	{"page-large", "@ring", "min=8M max=64M live=16 batch=1 warmup=48 ops=96",
		"warmup=24 ops=24", PAGE_LEVEL, 2048 * MIB,
		"page level, 8 to 64 MiB, 16 live, by size bin"},
	{"page-large-untouched", "@ring", "min=8M max=64M live=16 batch=1 warmup=48 ops=96 touch=0",
		NULL, PAGE_LEVEL & ~BIT(BY_TOUCH), 2048 * MIB,
		"the same, blocks not touched while measured"},
	{"page-1g", "@ring", "min=1G max=1G live=1 batch=1 warmup=1 ops=4", "ops=2", PAGE_LEVEL,
		2048 * MIB, "page level, 1 GiB, one live"},
	{"page-1g-untouched", "@ring", "min=1G max=1G live=1 batch=1 warmup=1 ops=4 touch=0", NULL,
		PAGE_LEVEL & ~BIT(BY_TOUCH), 2048 * MIB, "the same, not touched while measured"},
	{"page-reuse", "@reuse", "min=64K max=1G ops=20000", "", BIT(BY_KERNEL) | BIT(BY_UMPA),
		2048 * MIB, "a size used before, handed out and taken back untouched"},
	{"page-moved", "@moved", "live=512", "", BIT(BY_UMPA), 2048 * MIB,
		"a 512 MiB span out of 256 scattered superpages"},
	{"page-mmap", "@ring", "min=4K max=8M live=512 batch=16 warmup=2816 ops=2816", NULL,
		MMAP_LEVEL, 1536 * MIB, "mmap level, 4 KiB to 8 MiB, 512 live, by size bin"},
	{"page-resize", "@resize", "min=128K max=256K live=64 batch=16 warmup=512 ops=4096", "",
		BIT(BY_KERNEL) | BIT(BY_UMPA), 128 * MIB, "128 to 256 KiB, 64 live"},
	{"malloc-bins", "@ring", "min=4K max=8M live=512 batch=16 warmup=2816 ops=5632",
		"warmup=1408 ops=1408", MALLOC_LEVEL, 1536 * MIB,
		"malloc level, 4 KiB to 8 MiB, 512 live, by size bin"},
	{"malloc-A", "@ring", "min=4K max=8M live=512 warmup=1024 ops=20000", "ops=4000",
		MALLOC_LEVEL | BOUNDS, 1536 * MIB, "A: 4 KiB to 8 MiB, 512 live, steady state"},
	{"malloc-A-untouched", "@ring", "min=4K max=8M live=512 warmup=1024 ops=20000 touch=0",
		NULL, MALLOC_LEVEL, 1536 * MIB, "A, blocks not touched while measured"},
	{"malloc-B", "@ring", "min=64K max=64M live=64 warmup=128 ops=2000", "ops=128",
		MALLOC_LEVEL | BOUNDS, 2048 * MIB, "B: 64 KiB to 64 MiB, 64 live, steady state"},
	{"malloc-B-untouched", "@ring", "min=64K max=64M live=64 warmup=128 ops=2000 touch=0", NULL,
		MALLOC_LEVEL, 2048 * MIB, "B, blocks not touched while measured"},
	{"malloc-A-settled", "@ring", "min=4K max=8M live=512 warmup=20000 ops=5000", NULL,
		MALLOC_LEVEL | BOUNDS, 1536 * MIB, "A after 20 times as long a warm-up"},
	{"malloc-B-settled", "@ring", "min=64K max=64M live=64 warmup=2560 ops=500", NULL,
		MALLOC_LEVEL | BOUNDS, 2048 * MIB, "B after 20 times as long a warm-up"},
	{"malloc-C", "@ring", "min=4K max=8M live=512 ops=8000", "", MALLOC_LEVEL | BOUNDS,
		1536 * MIB, "C: as A, from the process's start"},
	{"malloc-C-untouched", "@ring", "min=4K max=8M live=512 ops=8000 touch=0", NULL,
		MALLOC_LEVEL, 1536 * MIB, "C, blocks not touched"},
	{"malloc-grow2", "@grow", "min=1M max=1G factor=200", NULL, MALLOC_LEVEL, 3072 * MIB,
		"realloc from 1 MiB to 1 GiB, by 2"},
	{"malloc-grow1.5", "@grow", "min=1M max=1G factor=150", NULL, MALLOC_LEVEL, 3072 * MIB,
		"realloc from 1 MiB to 1 GiB, by 1.5"},
	{"malloc-resize", "@resize", "min=128K max=256K live=64 batch=16 warmup=512 ops=4096", NULL,
		MALLOC_LEVEL, 128 * MIB, "realloc from 128 to 256 KiB, 64 live"},
	{"malloc-reuse", "@reuse", "min=64K max=1G ops=2000", NULL, MALLOC_LEVEL, 2048 * MIB,
		"a size used before, handed out and taken back untouched"},
	{"malloc-calloc", "@calloc", "max=32M ops=8", NULL, MALLOC_LEVEL, 128 * MIB,
		"calloc of 64 KiB, 1, 4 and 32 MiB, one page touched, and all"},
	{"malloc-over-2M", "@ring", "min=2097153 max=2097153 live=200 ops=200", NULL, MALLOC_LEVEL,
		1024 * MIB, "peak memory of 400 MiB in blocks of 2 MiB and a byte"},
	{"malloc-over-3M", "@ring", "min=3145729 max=3145729 live=133 ops=133", NULL, MALLOC_LEVEL,
		1024 * MIB, "the same of 3 MiB and a byte"},
	{"malloc-over-4M", "@ring", "min=4194305 max=4194305 live=100 ops=100", NULL, MALLOC_LEVEL,
		1024 * MIB, "the same of 4 MiB and a byte"},
	{"malloc-over-8M", "@ring", "min=8388609 max=8388609 live=50 ops=50", NULL, MALLOC_LEVEL,
		1024 * MIB, "the same of 8 MiB and a byte"},
	{"malloc-sparse", "@sparse", "max=1G", "",
		MALLOC_LEVEL | BIT(BY_UMPA_HUGE0) | BIT(BY_KERNEL) | BIT(BY_UMPA_MMAP), 2048 * MIB,
		"a 1 GiB block, one page touched in every 2 MiB"},
	{"idle", "@idle", "ops=0", "", BIT(BY_GLIBC) | BIT(BY_UMPA_MALLOC), 8 * MIB,
		"a process that does nothing"},
	{"idle-64k", "@idle", "min=64K ops=1", "", BIT(BY_GLIBC) | BIT(BY_UMPA_MALLOC), 8 * MIB,
		"a process that touches one block of 64 KiB"},
	{"startup", STARTUP_KIND, "", "", BIT(BY_GLIBC) | BIT(BY_UMPA_MALLOC), 8 * MIB,
		"/bin/true, with and without umpa preloaded"},
};

/* The ring of 2011 again, as malloc-bins. */
static const struct umpa_bench_test dlmalloc_tests[] = {
	{"dlmalloc-bins", "@ring", "min=4K max=8M live=512 batch=16 warmup=2816 ops=5632",
		"warmup=1408 ops=1408", BIT(BY_DLMALLOC) | BIT(BY_DLMALLOC_UMPA), 1536 * MIB,
		"dlmalloc over mmap and over umpa, 4 KiB to 8 MiB, 512 live, by size bin"},
	{"jemalloc-bins", "@ring", "min=64K max=8M live=512 batch=16 warmup=1792 ops=3584",
		"warmup=896 ops=896", BIT(BY_JEMALLOC) | BIT(BY_JEMALLOC_UMPA), 2560 * MIB,
		"jemalloc alone and with umpa's hooks, 64 KiB to 8 MiB, 512 live, by size bin"},
};

/* --- threads --------------------------------------------------------------------------------- */

const char *const umpa_teams[NTEAMS] = {"1", "2", "4", "8", "64"};

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

/* One test for each number of threads; what is live is the same on the whole, but for the block
 * that each has in hand and what its caches hold. */
#define TEAM(name, kind, keys, n, brief, methods, warm, help)                                      \
	{                                                                                          \
		name "-" n, kind, keys " ms=100 ops=" STRING(TRACED_NBLOCKS) " threads=" n, brief, \
			methods, warm, help ", threads: " n                                        \
	}
#define TEAMS(name, kind, keys, brief, methods, warm, help)                                        \
	TEAM(name, kind, keys, "1", brief, methods, warm, help),                                   \
		TEAM(name, kind, keys, "2", brief, methods, warm, help),                           \
		TEAM(name, kind, keys, "4", brief, methods, warm, help),                           \
		TEAM(name, kind, keys, "8", brief, methods, warm, help),                           \
		TEAM(name, kind, keys, "64", brief, methods, 2 * (warm), help)
#define SIZES(name, kind, keys, untouched, brief, warm, help)                                      \
	TEAMS(name, kind, keys, NULL, THREADS_LEVEL, warm, help),                                  \
		TEAMS(name "-untouched", kind, keys untouched " touch=0", brief,                   \
			THREADS_LEVEL | BIT(BY_BARE), warm, help " untouched")
/* Large blocks are warmed up where that takes no time to speak of. */
#define PATTERN(name, help)                                                                        \
	SIZES(name "-4K", "@" name, "min=4K max=64K live=512 warmup=1024", "", NULL, 256 * MIB,    \
		help "4 to 64 KiB"),                                                               \
		SIZES(name "-64K", "@" name, "min=64K max=1M live=512 warmup=1024", "", "ms=50",   \
			512 * MIB, help "64 KiB to 1 MiB"),                                        \
		SIZES(name "-1M", "@" name, "min=1M max=64M live=64 least=16 burst=1",             \
			" warmup=1024", NULL, 1664 * MIB, help "1 to 64 MiB")

static const struct umpa_bench_test threads_tests[] = {
	PATTERN("own", "each frees its own, "),
	PATTERN("handed", "one frees what the other was handed, "),
	PATTERN("random", "any frees any, "),
};

/* --- small ----------------------------------------------------------------------------------- */

#define SMALL(name, kind, n, help)                                                                 \
	{                                                                                          \
		name "-" n, kind, "min=16 max=32K live=4096 warmup=200000 ms=100 threads=" n, "",  \
			ENGINE_LEVEL, 256 * MIB, help ", threads: " n                              \
	}

static const struct umpa_bench_test small_tests[] = {
	{"loop", "@loop", "min=16 max=32K warmup=20000 ops=4000", "", ENGINE_LEVEL, 64 * MIB,
		"one size, eight at a time, 16 B to 16 KiB"},
	SMALL("larson", "@larson", "1", "16 B to 32 KiB, threads leave their blocks to new ones"),
	SMALL("larson", "@larson", "2", "16 B to 32 KiB, threads leave their blocks to new ones"),
	SMALL("larson", "@larson", "8", "16 B to 32 KiB, threads leave their blocks to new ones"),
	SMALL("handed", "@handed", "2", "16 B to 32 KiB, one frees what the other was handed"),
	SMALL("handed", "@handed", "8", "16 B to 32 KiB, one frees what the other was handed"),
	SMALL("random", "@random", "2", "16 B to 32 KiB, any frees any"),
	SMALL("random", "@random", "8", "16 B to 32 KiB, any frees any"),
};

#define BENCH(name, tests)                                                                         \
	{                                                                                          \
		(name), (tests), array_len(tests)                                                  \
	}

const struct umpa_bench umpa_benches[NBENCHES] = {
	[BENCH_SCALING] = BENCH("scaling", scaling_tests),
	[BENCH_DLMALLOC] = BENCH("dlmalloc", dlmalloc_tests),
	[BENCH_THREADS] = BENCH("threads", threads_tests),
	[BENCH_SMALL] = BENCH("small", small_tests),
};

const struct umpa_published umpa_published[NPUBLISHED] = {
	{4 << 10, 0.45, 7.4, 1.5},
	{8 << 10, 0.45, 3.3, 1.5},
	{16 << 10, 1.0, 4.7, 1.4},
	{32 << 10, 1.0, 3.7, 1.6},
	{64 << 10, 2.7, 5.7, 1.3},
	{128 << 10, 3.3, 5.7, 1.0},
	{256 << 10, 4.9, 4.7, 3.0},
	{512 << 10, 7.1, 4.0, 6.8},
	{1 << 20, 8.4, 7.9, 7.5},
	{2 << 20, 9.3, 9.4, 9.9},
	{4 << 20, 8.7, 9.7, 10.3},
};
