#include "fake_mmap.h"

#include <errno.h>
#include <stdio.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/space.h"
#include "fake_os.h"
#include "mm/mapping.h"
#include "mmap_model.h"

void fake_mmap_begin(void)
{
	umpa_mapping_stop();
	umpa_core_stop();
	fake_reset();
}

int fake_mmap_ends_well(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	return st.mapping_nbytes == 0 && umpa_mapping_valid() &&
	       umpa_extents_valid(&umpa_core.space.extents) && fake_consistent();
}

static void plan(struct numbers *numbers)
{
	fake_fail_at(number_below(numbers, 3) ? 0 : 1 + number_below(numbers, 6), -ENOMEM);
}

static void cancel(void)
{
	fake_fail_at(0, 0);
}

unsigned fake_mmap_run(struct numbers numbers, uint64_t nsteps, size_t memory_nbytes, int refuse)
{
	struct mmap_world world = mmap_world_umpa;
	size_t nanswers = 0;
	unsigned nwrong;

	fake_mmap_begin();
	fake_machine.memory_nbytes = memory_nbytes;
	world.fake = 1;
	world.plan = refuse ? plan : NULL;
	world.cancel = refuse ? cancel : NULL;
	nwrong = mmap_model_run(&world, numbers, nsteps, NULL, &nanswers);
	if (!fake_mmap_ends_well()) {
		printf("  not in order at the end\n");
		nwrong++;
	}
	return nwrong;
}
