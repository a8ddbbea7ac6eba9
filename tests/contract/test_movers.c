/* The contract of movers on the kernel's movers, on huge pages and on small ones. */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "check.h"
#include "mover_contract.h"
#include "real_os.h"

static const struct contract uffd_huge = {umpa_mover_uffd_init, real_touch, 1};
static const struct contract uffd_small = {umpa_mover_uffd_init, real_touch, 0};
static const struct contract mremap_huge = {umpa_mover_mremap_init, real_touch, 1};
static const struct contract mremap_small = {umpa_mover_mremap_init, real_touch, 0};

#define AS_TESTS(name)                                                                             \
	TEST(uffd_huge_##name)                                                                     \
	{                                                                                          \
		contract_##name(&uffd_huge);                                                       \
	}                                                                                          \
	TEST(uffd_small_##name)                                                                    \
	{                                                                                          \
		contract_##name(&uffd_small);                                                      \
	}                                                                                          \
	TEST(mremap_huge_##name)                                                                   \
	{                                                                                          \
		contract_##name(&mremap_huge);                                                     \
	}                                                                                          \
	TEST(mremap_small_##name)                                                                  \
	{                                                                                          \
		contract_##name(&mremap_small);                                                    \
	}
CONTRACT_CASES(AS_TESTS)
