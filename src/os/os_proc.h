/*
 * What the system says of itself, for the doctor and for sizing: read once, from /proc, /sys and a
 * few system calls, with no allocation. Nothing here fails: where /proc is not mounted or a file
 * says nothing, the value is the unknown one. Thread-safe; each call reads anew.
 */
#ifndef UMPA_OS_OS_PROC_H
#define UMPA_OS_OS_PROC_H

#include <stdint.h>

#define UMPA_UNKNOWN         (-1)
#define UMPA_NBYTES_UNKNOWN  UINT64_MAX
#define UMPA_NBYTES_NO_LIMIT (UINT64_MAX - 1)

enum umpa_thp {
	UMPA_THP_UNKNOWN = -1,
	UMPA_THP_NEVER,
	UMPA_THP_MADVISE,
	UMPA_THP_ALWAYS
};

struct umpa_os_facts {
	char kernel[65];              /* as uname -r says; "" if unknown */
	int proc;                     /* /proc is mounted */
	enum umpa_thp thp;            /* transparent_hugepage/enabled */
	int thp_refused;              /* 1: this process has been told to do without (prctl) */
	int overcommit;               /* vm.overcommit_memory: 0, 1 or 2 */
	int64_t max_map_count;        /* mappings a process may have */
	int unprivileged_userfaultfd; /* vm.unprivileged_userfaultfd; -1: no such file, or unknown
				       */
	int seccomp;                  /* 0 none, 1 strict, 2 filter */
	int cgroup_version;           /* 1 or 2: where the memory limit was found; 0: none found */
	uint64_t cgroup_limit_nbytes; /* the tightest on the way to the root */
	uint64_t cgroup_usage_nbytes; /* of that group */
	int64_t pressure_centi;   /* PSI memory, some, avg10 in 1/100 %; of the group or the machine
				   */
	uint64_t as_limit_nbytes; /* RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK */
	uint64_t data_limit_nbytes;
	uint64_t memlock_limit_nbytes;
};

void umpa_os_facts(struct umpa_os_facts *f);

/* vm.max_map_count, or the kernel's own default where it can't be read. */
uint32_t umpa_os_max_map_count(void);

#endif
