#include "check.h"
#include "fake_os.h"
#include "os_contract.h"

#define AS_TEST(name)                                                                              \
	TEST(fake_##name)                                                                          \
	{                                                                                          \
		fake_reset();                                                                      \
		fake_machine.as_limit_nbytes = (size_t)1 << 46;                                    \
		os_##name(fake_touch);                                                             \
	}
OS_CONTRACT_CASES(AS_TEST)
