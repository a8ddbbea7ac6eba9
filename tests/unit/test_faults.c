/* Every call of the system fails once, in turn: the program's blocks keep their content and nothing
 * is lost. */
#include <errno.h>
#include <stdio.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/model.h"

enum {
	NBLOCKS = 10,
	NOPS = 120
};

struct outcome {
	uint64_t ncalls, nwrong, nleaked, ninvalid;
};

static void touch(void *addr, size_t nbytes)
{
	fake_touch(addr, nbytes);
}

/* Which sizes: 2^log2_min to 2^log2_max bytes. */
static unsigned log2_min = 12, log2_max = 24;

static struct outcome run(uint64_t seed, uint64_t n, int error, int lasting)
{
	struct model_options o = {.seed = seed,
		.nops = NOPS,
		.nblocks = NBLOCKS,
		.log2_min = log2_min,
		.log2_max = log2_max,
		.touch = touch,
		.refusals_allowed = 1};
	struct outcome out = {0};
	struct model_result r;
	struct umpa_stats st;

	fake_reset();
	fake_first_look_ns = seed % 2 ? 0 : 5000; /* by turns, on a host with shadow page tables */
	if (lasting)
		fake_fail_from(n, error);
	else
		fake_fail_at(n, error);
	r = model_run(&o);
	out.ncalls = fake_ncalls();
	fake_fail_at(0, 0);
	out.nwrong = r.nwrong_tags + r.nwrong_zeros;
	umpa_get_stats(&st, sizeof(st));
	out.ninvalid = st.nblocks != 0 || st.block_nbytes != 0 || !fake_consistent();
	if (umpa_core.window.nbytes)
		out.ninvalid += !umpa_extents_valid(&umpa_core.space.extents) ||
				umpa_core.space.ntransit != 0;
	umpa_core_stop();
	out.nleaked = fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes();
	if (out.nwrong || out.ninvalid || out.nleaked)
		printf("  seed %llu, call %llu%s, error %d: %llu wrong, %llu invalid, %llu "
		       "leaked\n",
			(unsigned long long)seed, (unsigned long long)n, lasting ? " and on" : "",
			error, (unsigned long long)out.nwrong, (unsigned long long)out.ninvalid,
			(unsigned long long)out.nleaked);
	return out;
}

static void each_call(uint64_t seed, int error, int lasting, unsigned step)
{
	uint64_t ncalls = run(seed, 0, 0, 0).ncalls, nbad = 0, nruns = 0;

	for (uint64_t n = 1; n <= ncalls; n += step * CHECK_STRIDE, nruns++) {
		struct outcome out = run(seed, n, error, lasting);

		nbad += out.nwrong || out.ninvalid || out.nleaked;
	}
	CHECK_EQ(nbad, 0);
	CHECK(nruns * step * CHECK_STRIDE > 40);
}

TEST(faults_each_call_once_enomem)
{
	PLAN(4);
	each_call(1, -ENOMEM, 0, 1);
	each_call(2, -ENOMEM, 0, 1);
}

TEST(faults_each_call_once_busy)
{
	PLAN(4);
	each_call(3, -EBUSY, 0, 2);
	each_call(4, -EAGAIN, 0, 2);
}

TEST(faults_from_each_call_on)
{
	PLAN(4);
	each_call(5, -ENOMEM, 1, 3);
	each_call(6, -EINVAL, 1, 3);
}

/* Of 2 to 4 MiB, half of them of one size: runs across two slots (model.c). */
TEST(faults_blocks_of_one_size)
{
	PLAN(6);
	log2_min = 21;
	log2_max = 22;
	each_call(7, -ENOMEM, 0, 4);
	each_call(8, -EINVAL, 0, 4);
	each_call(9, -ENOMEM, 1, 5);
	log2_min = 12;
	log2_max = 24;
}
