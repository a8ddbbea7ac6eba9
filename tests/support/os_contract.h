/*
 * What os.h promises, as one body of tests for the fake OS and the kernel. A case is a function
 * that plans and checks, called from a TEST.
 */
#ifndef UMPA_TESTS_OS_CONTRACT_H
#define UMPA_TESTS_OS_CONTRACT_H

#include <stddef.h>

/* As the program would: every page of the range has a frame afterwards. */
typedef void os_touch_fn(void *addr, size_t nbytes);

#define OS_CONTRACT_CASES(X)                                                                       \
	X(reservations_are_aligned_and_apart)                                                      \
	X(opened_pages_read_as_zero)                                                               \
	X(opening_goes_on_where_it_ended)                                                          \
	X(released_parts_leave_the_rest)                                                           \
	X(back_gives_frames_and_keeps_content)                                                     \
	X(unback_takes_frames_and_content)                                                         \
	X(resident_tells_touched_pages)                                                            \
	X(bare_tells_pages_without_content)                                                        \
	X(mappings_are_zero_and_end_in_parts)                                                      \
	X(remap_keeps_content)                                                                     \
	X(renewed_pages_are_fresh)                                                                 \
	X(huge_advice_is_a_hint)                                                                   \
	X(what_cannot_be_had_is_refused)                                                           \
	X(machine_is_known)                                                                        \
	X(clock_does_not_go_back)                                                                  \
	X(cpu_is_a_number_of_one)                                                                  \
	X(two_threads_are_not_taken_for_one)

#define DECLARE(name) void os_##name(os_touch_fn *touch);
OS_CONTRACT_CASES(DECLARE)
#undef DECLARE

#endif
