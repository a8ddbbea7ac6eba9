/* The mmap family of umpa's against the kernel's: the same random calls, in a process each. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "support/check.h"
#include "support/mmap_model.h"

enum {
	NANSWERS_MAX = 1 << 20
};

struct run {
	unsigned nwrong;
	size_t nanswers;
	uint64_t nmappings, mapping_nbytes;
	int answer[NANSWERS_MAX];
};

static struct run *shared_run(void)
{
	return mmap(NULL, sizeof(struct run), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		-1, 0);
}

static int run_in_child(struct run *r, const struct mmap_world *world, const char *options,
	uint64_t seed, uint64_t n)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct umpa_stats st;

		setenv("UMPA_OPTIONS", options, 1);
		r->nanswers = NANSWERS_MAX;
		r->nwrong =
			mmap_model_run(world, numbers_of_seed(seed), n, r->answer, &r->nanswers);
		umpa_get_stats(&st, sizeof(st));
		r->nmappings = st.nmappings;
		r->mapping_nbytes = st.mapping_nbytes;
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void compare(const char *options, uint64_t seed, uint64_t nsteps)
{
	struct run *kernel = shared_run(), *umpa = shared_run();
	size_t i = 0;

	seed = check_seed(seed);
	nsteps = check_times(nsteps);
	PLAN(8);
	CHECK_EQ(run_in_child(kernel, &mmap_world_kernel, options, seed, nsteps), 0);
	CHECK_EQ(kernel->nwrong, 0);
	CHECK_EQ(run_in_child(umpa, &mmap_world_umpa, options, seed, nsteps), 0);
	CHECK_EQ(umpa->nwrong, 0);
	CHECK(umpa->nmappings > nsteps / 60);
	CHECK_EQ(umpa->mapping_nbytes, 0);
	CHECK_EQ(umpa->nanswers, kernel->nanswers);
	while (i < kernel->nanswers && i < umpa->nanswers && kernel->answer[i] == umpa->answer[i])
		i++;
	if (i < kernel->nanswers)
		printf("  answer %zu: %d from the kernel, %d from umpa\n", i, kernel->answer[i],
			umpa->answer[i]);
	CHECK_EQ(i, kernel->nanswers);
	munmap(kernel, sizeof(*kernel));
	munmap(umpa, sizeof(*umpa));
}

TEST(mmap_same_auto)
{
	compare("", 1, 400);
}

TEST(mmap_same_mremap)
{
	compare("mover=mremap", 2, 400);
}

TEST(mmap_same_plain)
{
	compare("mover=plain", 3, 400);
}

TEST(mmap_same_base_pages)
{
	compare("huge=0,mmap_min=64K", 4, 400);
}

TEST(mmap_same_small_window)
{
	compare("window=64M", 5, 400);
}
