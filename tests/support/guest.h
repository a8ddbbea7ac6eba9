/*
 * What tests of guest mode have in common. Where instructions are interpreted, a few at a time,
 * only those of general registers are: so functions are compiled for them alone.
 */
#ifndef UMPA_TESTS_GUEST_H
#define UMPA_TESTS_GUEST_H

#include <stdlib.h>
#include <umpa/vmm.h>

#include "support/check.h"

#define MIB   ((size_t)1 << 20)
#define GUEST __attribute__((target("general-regs-only"), noinline))

/* An emulated host makes books of every page that a machine is shown, 160 ms of it with the window
 * that there is by itself; which examples/vmm have. */
__attribute__((constructor)) static void guest_has_small_window(void)
{
	setenv("UMPA_OPTIONS", "window=8g", 0);
}

/* A machine with those options, also where it is slow; a skip only where there is no /dev/kvm that
 * may be used. *caps: what there is. */
static inline struct umpa_vmm *guest_machine(
	struct umpa_vmm_options options, struct umpa_vmm_caps *caps)
{
	struct umpa_vmm *vmm = NULL;

	umpa_vmm_probe(caps);
	if (caps->level == UMPA_VMM_NONE)
		SKIP(caps->why);
	options.flags |= UMPA_VMM_ALLOW_SLOW;
	REQUIRE(!umpa_vmm_create(&vmm, &options));
	return vmm;
}

/* A system call, by the instruction: libc's way may use other registers. */
GUEST __attribute__((unused)) static long guest_call_6(
	long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

GUEST __attribute__((unused)) static long guest_call(long number, long a, long b, long c)
{
	return guest_call_6(number, a, b, c, 0, 0, 0);
}

/* Functions that return, or don't. */
GUEST __attribute__((unused)) static long guest_add_one(struct umpa_guest *g, void *arg)
{
	(void)g;
	return (long)arg + 1;
}

GUEST __attribute__((unused)) static long guest_loop(struct umpa_guest *g, void *arg)
{
	(void)g, (void)arg;
	for (;;)
		__asm__ volatile("");
	return 0;
}

/* Gives the turn to another processor, where an emulator has them take turns: long before the
 * system there wants its own. */
static inline void guest_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#endif
