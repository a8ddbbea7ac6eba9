/* The page API on the real kernel under random operations, with whatever mover works here. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "support/check.h"
#include "support/model.h"

/* A child runs the model with its own options, so that each run begins with a fresh umpa. */
static int run_in_child(const char *options, struct model_options o)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct umpa_stats st;
		struct model_result r;

		setenv("UMPA_OPTIONS", options, 1);
		o.nops = check_times(o.nops);
		o.seed = check_seed(o.seed);
		r = model_run(&o);
		umpa_get_stats(&st, sizeof(st));
		_exit(r.nwrong_tags || r.nwrong_zeros || (r.nrefused && !o.refusals_allowed) ||
			st.nblocks || st.block_nbytes);
	}
	waitpid(pid, &status, 0);
	return status;
}

/* Runs of small blocks and of large ones; of the latter nops. */
static void run_sizes(const char *options, uint64_t nops)
{
	CHECK_EQ(run_in_child(options, (struct model_options){.seed = 31,
					       .nops = 4000,
					       .nblocks = 200,
					       .log2_min = 10,
					       .log2_max = 21}),
		0);
	CHECK_EQ(run_in_child(options, (struct model_options){.seed = 32,
					       .nops = nops,
					       .nblocks = 40,
					       .log2_min = 12,
					       .log2_max = 25}),
		0);
}

TEST(model_real_auto)
{
	PLAN(2);
	run_sizes("", 1000);
}

TEST(model_real_mremap)
{
	PLAN(2);
	run_sizes("mover=mremap", 1000);
}

TEST(model_real_plain)
{
	PLAN(2);
	run_sizes("mover=plain", 1000);
}

TEST(model_real_base_pages)
{
	PLAN(2);
	run_sizes("huge=0", 600);
}

TEST(model_real_no_nursery)
{
	PLAN(2);
	run_sizes("nursery=0,shards=1,keep=8M", 1000);
}

/* A window too small for the blocks: some of them come from the kernel. */
TEST(model_real_small_window)
{
	PLAN(2);
	run_sizes("window=64M", 400); /* base pages, most of them */
}
