/* The verbs of os.h on the kernel: the contract, and what only a real system can refuse. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/units.h"
#include "check.h"
#include "os/os.h"
#include "os/os_proc.h"
#include "os_contract.h"
#include "real_os.h"

#define AS_TEST(name)                                                                              \
	TEST(os_##name)                                                                            \
	{                                                                                          \
		os_##name(real_touch);                                                             \
	}
OS_CONTRACT_CASES(AS_TEST)

#define NO_FILTERS 77

static void in_child(int (*fn)(void *))
{
	int result = real_in_child(fn, NULL);

	PLAN(1);
	if (result == NO_FILTERS)
		SKIP("not allowed here");
	CHECK_EQ(result, 0);
}

/* --- where reservations lie --------------------------------------------------------------- */

#define NPLACES 32

TEST(os_reservations_lie_at_random)
{
	uintptr_t places[NPLACES];
	size_t nalike = 0;

	PLAN(NPLACES + 1);
	for (size_t i = 0; i < NPLACES; i++) {
		void *addr = NULL;

		REQUIRE(!umpa_os_reserve(SLOT_NBYTES, &addr));
		umpa_os_release(addr, SLOT_NBYTES);
		places[i] = (uintptr_t)addr;
		for (size_t k = 0; k < i; k++)
			nalike += places[k] == places[i];
	}
	/* Two of 32 alike among two million places happens once in some thousand runs. */
	CHECK(nalike <= 2);
}

static int is_mapped(const char *at)
{
	unsigned char resident;

	return !mincore((void *)(uintptr_t)at, 4096, &resident);
}

/* 24 of 256 GiB have no room where they lie at random: the rest is next to others. */
TEST(os_reserves_what_is_large_away_from_others)
{
	enum {
		NLARGE = 24
	};
	const size_t nbytes = (size_t)256 << 30;
	unsigned nwrong = 0, naligned = 0;
	char *at[NLARGE];

	PLAN(NLARGE + 2);
	for (int i = 0; i < NLARGE; i++) {
		void *addr;
		int aligned;

		REQUIRE(!umpa_os_reserve(nbytes, &addr));
		at[i] = addr;
		aligned = (uintptr_t)addr % ((size_t)1 << 30) == 0;
		naligned += aligned;
		nwrong += !aligned && (is_mapped(at[i] - 4096) || is_mapped(at[i] + nbytes));
	}
	CHECK_EQ(nwrong, 0);
	CHECK(naligned > 0 && naligned < NLARGE);
	for (int i = 0; i < NLARGE; i++)
		umpa_os_release(at[i], nbytes);
}

/* 1 if the mapping that addr lies in is left out of dumps, 0 if not, -1: not to be learned. */
static int is_left_out_of_dumps(const char *addr)
{
	FILE *in = fopen("/proc/self/smaps", "r");
	unsigned long begin, end;
	int found = 0, answer = -1;
	char line[512];

	while (in && answer < 0 && fgets(line, sizeof(line), in)) {
		if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
			found = (uintptr_t)addr >= begin && (uintptr_t)addr < end;
		else if (found && !strncmp(line, "VmFlags:", 8))
			answer = strstr(line, " dd") != NULL;
	}
	if (in)
		fclose(in);
	return answer;
}

TEST(os_dumps_have_what_is_open)
{
	void *addr = NULL;
	char *a;

	PLAN(9);
	REQUIRE(!umpa_os_reserve(4 * SLOT_NBYTES, &addr));
	a = addr;
	if (is_left_out_of_dumps(a) < 0)
		SKIP("no /proc/self/smaps");
	CHECK(is_left_out_of_dumps(a) && is_left_out_of_dumps(a + 4 * SLOT_NBYTES - 1));
	for (size_t at = 0; at < 3 * SLOT_NBYTES; at += SLOT_NBYTES) {
		CHECK_EQ(umpa_os_open(a + at, SLOT_NBYTES), 0);
		CHECK(!is_left_out_of_dumps(a + at) && is_left_out_of_dumps(a + at + SLOT_NBYTES));
	}
	CHECK_EQ(real_nmappings(a, 4 * SLOT_NBYTES), 2);
	umpa_os_release(a, 4 * SLOT_NBYTES);
}

static int reserve_without_random(void *arg)
{
	const int calls[] = {SYS_getrandom};
	void *addr = NULL;

	(void)arg;
	if (real_refuse_calls(calls, 1, ENOSYS))
		return NO_FILTERS;
	return umpa_os_reserve(SLOT_NBYTES, &addr) || (uintptr_t)addr % SLOT_NBYTES;
}

TEST(os_reserves_without_getrandom)
{
	in_child(reserve_without_random);
}

/* --- limits ------------------------------------------------------------------------------- */

static int set_limit(int which, size_t nbytes)
{
	struct rlimit limit;

	if (getrlimit(which, &limit))
		return -1;
	limit.rlim_cur = nbytes;
	return setrlimit(which, &limit);
}

static int reserve_under_as_limit(void *arg)
{
	void *addr = NULL;
	struct umpa_os_machine m;

	(void)arg;
	if (set_limit(RLIMIT_AS, (size_t)1 << 30))
		return 1;
	umpa_os_machine(&m);
	if (m.as_limit_nbytes != (size_t)1 << 30)
		return 2;
	if (umpa_os_reserve((size_t)2 << 30, &addr) != -ENOMEM)
		return 3;
	return umpa_os_reserve((size_t)256 << 20, &addr) ? 4 : 0;
}

TEST(os_reserve_obeys_the_address_limit)
{
	in_child(reserve_under_as_limit);
}

static int open_under_data_limit(void *arg)
{
	struct umpa_os_machine m;
	void *addr = NULL;

	(void)arg;
	if (set_limit(RLIMIT_DATA, (size_t)64 << 20))
		return 1;
	umpa_os_machine(&m);
	if (!m.strict_commit || m.as_limit_nbytes != (size_t)64 << 20)
		return 2;
	if (umpa_os_reserve((size_t)1 << 30, &addr)) /* is not counted */
		return 3;
	if (umpa_os_open(addr, (size_t)1 << 30) != -ENOMEM || !is_left_out_of_dumps(addr))
		return 4;
	if (umpa_os_open(addr, 16 * SLOT_NBYTES))
		return 5;
	real_touch(addr, 16 * SLOT_NBYTES);
	return 0;
}

TEST(os_open_obeys_the_data_limit)
{
	in_child(open_under_data_limit);
}

/* Every other page writable: a mapping each, until there are no more to be had. */
static int use_up_mappings(char *addr, size_t nbytes)
{
	for (size_t at = PAGE_NBYTES; at < nbytes; at += 2 * PAGE_NBYTES)
		if (mprotect(addr + at, PAGE_NBYTES, PROT_READ | PROT_WRITE))
			return errno == ENOMEM ? 0 : -1;
	return -1;
}

static int release_without_mappings(void *arg)
{
	size_t nbytes = ((size_t)umpa_os_max_map_count() + 64) * 2 * PAGE_NBYTES;
	char *filler = mmap(NULL, nbytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char vec[1];
	void *addr = NULL;
	char *a;

	(void)arg;
	if (umpa_os_reserve(4 * SLOT_NBYTES, &addr) || umpa_os_open(addr, 4 * SLOT_NBYTES))
		return 1;
	a = addr;
	real_touch(a, 4 * SLOT_NBYTES);
	memset(a, 1, 4 * SLOT_NBYTES);
	if (filler == MAP_FAILED || use_up_mappings(filler, nbytes))
		return 2;
	umpa_os_release(a + SLOT_NBYTES, SLOT_NBYTES); /* would split the mapping */
	if (!umpa_os_resident(a + SLOT_NBYTES, 1, vec) && vec[0] & 1)
		return 3;
	return a[0] != 1 || a[2 * SLOT_NBYTES] != 1;
}

TEST(os_release_gives_frames_back_where_no_mapping_is_left)
{
	if (umpa_os_max_map_count() > 300000)
		SKIP("vm.max_map_count is too high to be used up");
	in_child(release_without_mappings);
}

/* --- locked memory ------------------------------------------------------------------------ */

TEST(os_unback_works_in_locked_memory)
{
	unsigned char vec[4];
	void *addr = NULL;
	char *a;

	PLAN(4);
	REQUIRE(!umpa_os_map(4 * PAGE_NBYTES, &addr));
	a = addr;
	memset(a, 1, 4 * PAGE_NBYTES);
	if (mlock(a + PAGE_NBYTES, PAGE_NBYTES))
		SKIP("not allowed to lock memory");
	CHECK_EQ(umpa_os_unback(a, 4 * PAGE_NBYTES), 0);
	CHECK(!umpa_os_resident(a, 4, vec) && !((vec[0] | vec[1] | vec[2] | vec[3]) & 1));
	CHECK(!a[0] && !a[PAGE_NBYTES] && !a[3 * PAGE_NBYTES]);
	umpa_os_unmap(a, 4 * PAGE_NBYTES);
}

/* --- older and narrower systems ----------------------------------------------------------- */

static int back_by_touching(void *arg)
{
	const int calls[] = {SYS_madvise};
	unsigned char vec[20];
	void *addr = NULL;

	(void)arg;
	if (umpa_os_map(20 * PAGE_NBYTES, &addr))
		return 1;
	((char *)addr)[5] = 42;
	if (real_refuse_calls(calls, 1, EINVAL))
		return NO_FILTERS;
	if (umpa_os_back(addr, 20 * PAGE_NBYTES) || umpa_os_resident(addr, 20, vec))
		return 2;
	for (int i = 0; i < 20; i++)
		if (!(vec[i] & 1))
			return 3;
	if (umpa_os_unback(addr, PAGE_NBYTES) != -EINVAL)
		return 4;
	return ((char *)addr)[5] != 42;
}

TEST(os_backs_by_touching_where_the_kernel_is_old)
{
	in_child(back_by_touching);
}

static int machine_without_files(void *arg)
{
	const int calls[] = {SYS_openat, SYS_prlimit64, SYS_sysinfo, SYS_sched_getaffinity,
		SYS_uname, SYS_prctl};
	struct umpa_os_machine m;
	struct umpa_os_facts f;

	(void)arg;
	if (real_refuse_calls(calls, 6, EPERM))
		return NO_FILTERS;
	errno = 1234;
	umpa_os_machine(&m);
	if (m.page_nbytes != PAGE_NBYTES || m.memory_nbytes != (size_t)1 << 30)
		return 1;
	if (m.as_limit_nbytes != SIZE_MAX || m.ncpus != 1 || !m.strict_commit)
		return 2;
	umpa_os_facts(&f);
	if (f.kernel[0] || f.proc || f.thp != UMPA_THP_UNKNOWN || f.overcommit != UMPA_UNKNOWN ||
		f.max_map_count != UMPA_UNKNOWN || f.seccomp != UMPA_UNKNOWN)
		return 3;
	if (f.cgroup_version || f.cgroup_limit_nbytes != UMPA_NBYTES_UNKNOWN ||
		f.pressure_centi != UMPA_UNKNOWN || f.as_limit_nbytes != UMPA_NBYTES_UNKNOWN)
		return 4;
	if (umpa_os_max_map_count() != 65530)
		return 5;
	return errno != 1234;
}

TEST(os_machine_where_nothing_can_be_learned)
{
	in_child(machine_without_files);
}

static int facts_under_seccomp(void *arg)
{
	const int calls[] = {SYS_swapon};
	struct umpa_os_facts f;

	(void)arg;
	if (real_refuse_calls(calls, 1, EPERM))
		return NO_FILTERS;
	umpa_os_facts(&f);
	return f.proc ? f.seccomp != 2 : f.seccomp != UMPA_UNKNOWN;
}

TEST(os_facts_tell_of_seccomp)
{
	in_child(facts_under_seccomp);
}

TEST(os_facts_are_those_of_the_system)
{
	struct umpa_os_facts f;
	struct utsname names;
	struct rlimit limit;

	PLAN(6);
	umpa_os_facts(&f);
	uname(&names);
	getrlimit(RLIMIT_MEMLOCK, &limit);
	CHECK_STR(f.kernel, names.release);
	CHECK_EQ(f.proc, !access("/proc/self/status", R_OK));
	CHECK_EQ(f.memlock_limit_nbytes,
		limit.rlim_cur == RLIM_INFINITY ? UMPA_NBYTES_NO_LIMIT : limit.rlim_cur);
	CHECK(f.thp >= UMPA_THP_UNKNOWN && f.thp <= UMPA_THP_ALWAYS);
	CHECK(f.overcommit >= UMPA_UNKNOWN && f.overcommit <= 2);
	CHECK(f.cgroup_version >= 0 && f.cgroup_version <= 2);
}

static int one_cpu(void *arg)
{
	struct umpa_os_machine m;
	cpu_set_t one;

	(void)arg;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		return 1;
	umpa_os_machine(&m);
	return m.ncpus != 1;
}

TEST(os_machine_counts_the_cpus_allowed)
{
	in_child(one_cpu);
}

/* Where the break of libc's is kept, which is written whenever it moves. */
TEST(os_break_is_what_libc_has)
{
	const uintptr_t *at = umpa_os_break();
	uintptr_t before;

	PLAN(3);
	if (!at)
		SKIP("this libc shows no break");
	before = (uintptr_t)sbrk(0);
	CHECK(*at == before);
	CHECK(sbrk(64 << 10) != (void *)-1);
	CHECK(*at == before + (64 << 10));
}
