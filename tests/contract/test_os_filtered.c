/* What pages hold, in a process that was executed under a filter: mincore is not called. */
#include <errno.h>
#include <sys/syscall.h>

#include "base/units.h"
#include "check.h"
#include "os/filter.h"
#include "os/os.h"
#include "os_contract.h"
#include "real_os.h"

static int have_filter;

/* Before anybody asks whether there is one. */
__attribute__((constructor)) static void filter(void)
{
	const int calls[] = {SYS_mincore};

	have_filter = !real_refuse_calls(calls, 1, EPERM);
}

static void need_filter(void)
{
	if (!have_filter)
		SKIP("no seccomp here");
}

#define AS_TEST(name)                                                                              \
	TEST(os_filtered_##name)                                                                   \
	{                                                                                          \
		need_filter();                                                                     \
		os_##name(real_touch);                                                             \
	}
OS_CONTRACT_CASES(AS_TEST)

TEST(os_filtered_tells_gaps)
{
	unsigned char vec[4];
	void *addr = NULL;

	PLAN(4);
	need_filter();
	REQUIRE(!umpa_os_map(4 * PAGE_NBYTES, &addr));
	CHECK_EQ(umpa_os_resident(addr, 4, vec), 0);
	umpa_os_unmap((char *)addr + 2 * PAGE_NBYTES, PAGE_NBYTES);
	CHECK_EQ(umpa_os_resident(addr, 4, vec), -ENOMEM);
	umpa_os_unmap(addr, 2 * PAGE_NBYTES);
	umpa_os_unmap((char *)addr + 3 * PAGE_NBYTES, PAGE_NBYTES);
	CHECK(umpa_filter_may_kill());
}

/* The last one: from then on mincore is called. */
TEST(os_filtered_believes_a_refusal)
{
	unsigned char vec[1];
	void *addr = NULL;

	PLAN(3);
	need_filter();
	REQUIRE(!umpa_os_map(PAGE_NBYTES, &addr));
	umpa_filter_answers();
	CHECK(!umpa_filter_may_kill());
	CHECK_EQ(umpa_os_resident(addr, 1, vec), -EPERM);
	umpa_os_unmap(addr, PAGE_NBYTES);
}
