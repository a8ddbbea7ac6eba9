/* Every call of the system fails once, in turn: the program's blocks keep their content and nothing
 * is lost. */
#include <errno.h>
#include <stdio.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/untouched.h"
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

/* As where moves take long, and by turns nobody touches what blocks lack, or somebody has. */
static void leave_void(void *arg, uint64_t op)
{
	(void)arg;
	umpa_core.left_void.move_ns = 1000000;
	umpa_core.left_void.streak.nuntouched = op / 16 % 2 ? STREAK_NROW : 0;
}

/* Which sizes: 2^log2_min to 2^log2_max bytes. */
static unsigned log2_min = 12, log2_max = 24;

struct plan {
	uint64_t seed;
	int error;
	int lasting;    /* all behind it fail, too */
	uint64_t again; /* the call that many behind it fails, too; 0: none */
	unsigned step;  /* of so many calls one fails */
};

/* The n-th call fails; 0: none. */
static struct outcome run(struct plan p, uint64_t n)
{
	struct model_options o = {.seed = p.seed,
		.nops = NOPS,
		.nblocks = NBLOCKS,
		.log2_min = log2_min,
		.log2_max = log2_max,
		.touch = touch,
		.between = p.seed % 3 ? NULL : leave_void,
		.refusals_allowed = 1};
	struct outcome out = {0};
	struct model_result r;
	struct umpa_stats st;

	fake_reset();
	fake_first_look_ns =
		p.seed % 2 ? 0 : 5000; /* by turns, on a host with shadow page tables */
	(p.lasting ? fake_fail_from : fake_fail_at)(n, p.error);
	fake_fail_again(p.again, p.error);
	r = model_run(&o);
	out.ncalls = fake_ncalls();
	fake_fail_at(0, 0);
	out.nwrong = r.nwrong_tags + r.nwrong_zeros;
	umpa_get_stats(&st, sizeof(st));
	out.ninvalid = st.nblocks != 0 || st.block_nbytes != 0 || !fake_consistent() ||
		       umpa_critical.nsections != 0;
	if (umpa_core.window.nbytes)
		out.ninvalid +=
			!umpa_extents_valid(&umpa_core.space.extents) || umpa_core.space.ntransit;
	umpa_core_stop();
	out.nleaked = fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes();
	if (out.nwrong || out.ninvalid || out.nleaked)
		printf("  seed %llu, call %llu%s, %llu behind it, error %d: %llu wrong, %llu "
		       "invalid, %llu leaked\n",
			(unsigned long long)p.seed, (unsigned long long)n,
			p.lasting ? " and on" : "", (unsigned long long)p.again, p.error,
			(unsigned long long)out.nwrong, (unsigned long long)out.ninvalid,
			(unsigned long long)out.nleaked);
	return out;
}

static void each_call(struct plan p)
{
	uint64_t step = p.step * CHECK_STRIDE, nbad = 0, nruns = 0, ncalls;

	ncalls = run((struct plan){.seed = p.seed}, 0).ncalls;
	for (uint64_t n = 1; n <= ncalls; n += step, nruns++) {
		struct outcome out = run(p, n);

		nbad += out.nwrong || out.ninvalid || out.nleaked;
	}
	CHECK_EQ(nbad, 0);
	CHECK(nruns * step > 40);
}

TEST(faults_each_call_once_enomem)
{
	PLAN(4);
	each_call((struct plan){.seed = 1, .error = -ENOMEM, .step = 1});
	each_call((struct plan){.seed = 2, .error = -ENOMEM, .step = 1});
}

TEST(faults_each_call_once_busy)
{
	PLAN(4);
	each_call((struct plan){.seed = 3, .error = -EBUSY, .step = 2});
	each_call((struct plan){.seed = 4, .error = -EAGAIN, .step = 2});
}

TEST(faults_from_each_call_on)
{
	PLAN(4);
	each_call((struct plan){.seed = 5, .error = -ENOMEM, .lasting = 1, .step = 3});
	each_call((struct plan){.seed = 6, .error = -EINVAL, .lasting = 1, .step = 3});
}

/* And one of those that undo what had been done, or do it another way. */
TEST(faults_each_call_and_one_behind_it)
{
	PLAN(6);
	for (uint64_t again = 1; again <= 3; again++)
		each_call((struct plan){
			.seed = 9 + again, .error = -ENOMEM, .again = again, .step = 3});
}

/* Of 2 to 4 MiB, half of them of one size: runs across two slots (model.c). */
TEST(faults_blocks_of_one_size)
{
	PLAN(6);
	log2_min = 21;
	log2_max = 22;
	each_call((struct plan){.seed = 7, .error = -ENOMEM, .step = 4});
	each_call((struct plan){.seed = 8, .error = -EINVAL, .step = 4});
	each_call((struct plan){.seed = 9, .error = -ENOMEM, .lasting = 1, .step = 5});
	log2_min = 12;
	log2_max = 24;
}
