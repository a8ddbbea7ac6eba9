/* What the benches run: the methods, the tests of each bench, and which test runs which method. */
#ifndef UMPA_BENCH_PLAN_H
#define UMPA_BENCH_PLAN_H

#include <stddef.h>
#include <stdint.h>

enum umpa_method_id {
	BY_KERNEL,
	BY_POPULATE,
	BY_HUGEPAGE,
	BY_UMPA,
	BY_TOUCH,
	BY_GLIBC,
	BY_JEMALLOC,
	BY_TCMALLOC,
	BY_MIMALLOC,
	BY_UMPA_MALLOC,
	BY_UMPA_HUGE0,
	BY_FLOOR,
	BY_UMPA_MMAP,
	BY_DLMALLOC,
	BY_DLMALLOC_UMPA,
	BY_JEMALLOC_UMPA,
	BY_BARE,
	BY_UMPA_JEMALLOC, /* in the order of the peers */
	BY_UMPA_TCMALLOC,
	BY_UMPA_MIMALLOC,
	NMETHODS
};

#define BIT(id) (1u << (id))
#define PAGE_LEVEL                                                                                 \
	(BIT(BY_KERNEL) | BIT(BY_POPULATE) | BIT(BY_HUGEPAGE) | BIT(BY_UMPA) | BIT(BY_TOUCH))
#define PEERS         (BIT(BY_GLIBC) | BIT(BY_JEMALLOC) | BIT(BY_TCMALLOC) | BIT(BY_MIMALLOC))
#define MALLOC_LEVEL  (PEERS | BIT(BY_UMPA_MALLOC))
#define MMAP_LEVEL    (BIT(BY_KERNEL) | BIT(BY_HUGEPAGE) | BIT(BY_UMPA_MMAP))
#define BOUNDS        (BIT(BY_TOUCH) | BIT(BY_FLOOR))
#define THREADS_LEVEL (BIT(BY_KERNEL) | BIT(BY_UMPA) | BIT(BY_UMPA_MMAP) | MALLOC_LEVEL)
#define ENGINE_LEVEL                                                                               \
	(MALLOC_LEVEL | BIT(BY_UMPA_JEMALLOC) | BIT(BY_UMPA_TCMALLOC) | BIT(BY_UMPA_MIMALLOC))

struct umpa_method {
	const char *name;    /* in tables and samples */
	const char *api;     /* of the worker */
	const char *library; /* to preload: a name the loader finds; UMPA_LIBRARY: umpa's, perhaps
			      * with ":" and an engine behind it; a path below this program's
			      * folder, perhaps with a name and ":" in front; or NULL */
	const char *options; /* UMPA_OPTIONS, or NULL: as they are */
	const char *help;
};

#define UMPA_LIBRARY "umpa"

struct umpa_bench_test {
	const char *name;
	const char *kind;       /* of the worker, or STARTUP_KIND */
	const char *args;       /* "key=value key=value" */
	const char *short_args; /* added to args in the short form; NULL: not part of it */
	unsigned methods;       /* BIT() of each */
	size_t warm_nbytes; /* more than any method takes; what others on the machine do eats into
			       it */
	const char *help;
};

extern const struct umpa_method umpa_methods[NMETHODS];

/* A whole program from start to end, timed by the bench itself. */
#define STARTUP_KIND "startup"

enum umpa_bench_id {
	BENCH_SCALING,
	BENCH_DLMALLOC,
	BENCH_THREADS,
	BENCH_SMALL,
	NBENCHES
};

struct umpa_bench {
	const char *name; /* on the command line; and of its raw figures, DIR/NAME.csv */
	const struct umpa_bench_test *tests;
	size_t ntests;
};

extern const struct umpa_bench umpa_benches[NBENCHES];

/* The threads of each test of `threads`, whose names end in their number; the blocks that are
 * handed out where system calls are counted. */
#define NTEAMS 5
extern const char *const umpa_teams[NTEAMS];
#define TRACED_NBLOCKS 256

/* The names of the peers, for ratios against the best of them. */
#define NPEERS 4
extern const char *const umpa_peers[NPEERS];

/* The ratios published in 2011, by size bin; 0 where there is none. */
struct umpa_published {
	uint64_t bin;
	double page;     /* page allocator against the system's page calls */
	double malloc;   /* an allocator built on it against the system's malloc */
	double dlmalloc; /* dlmalloc over it against dlmalloc */
};

#define NPUBLISHED 11
extern const struct umpa_published umpa_published[NPUBLISHED];

#endif
