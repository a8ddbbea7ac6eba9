/*
 * Functions that leave guest mode without returning: by longjmp(), an exception, pthread_exit().
 *
 * What they go on with are frames of the thread that called umpa_vmm_run(), on its stack. To the
 * processor that is as good as anything else: so it is seen where they come out next, or come down
 * to the host's own frames, which are hidden from them. They go on outside then, at that very
 * instruction, and who called umpa_vmm_run() never hears of it; as with any function that is left
 * so.
 *
 * So umpa_vmm_run() has the host's frames apart from the caller's:
 *
 *   the frames of who called
 *   what umpa_vmm_run() has saved     from `frame` up the caller's frame pointer, return address;
 *                                     below, LEFT_SAVED_NBYTES of other registers
 *   a page that is nobody's           from `guard` up; hidden. Its first word is `frame`
 *   the host's frames                 below `guard`; hidden, as far as they may go
 */
#ifndef UMPA_VMM_LEFT_H
#define UMPA_VMM_LEFT_H

/* Below the frame pointer: the other registers that a function must keep. */
#define LEFT_SAVED_NBYTES 40

#ifndef __ASSEMBLER__
#include "vmm/guest.h"
#include "vmm/machine.h"

/* What umpa_vmm_run() is, with the frame pointer it has. */
int umpa_vmm_run_apart(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg),
	void *arg, long *ret, struct umpa_vmm_fault *fault, uintptr_t frame);

/* Asks, once a thread, where its stack is; not in the middle of a function, which may be in malloc.
 */
void umpa_stand_learn(void);

/* By that frame pointer. */
struct umpa_stand umpa_stand_at(uintptr_t frame);

/* A number for that place on this thread's stack; UINT64_MAX: it is on another one. */
uint64_t umpa_stand_place(const struct umpa_stand *s);

/* 1: who stands there now is not called from such a place any more. 0: it is, or that can't be
 * told. */
int umpa_stand_is_over(uint64_t place, const struct umpa_stand *now);

/* 1: umpa_vmm_run() can come back. */
int umpa_stand_is_whole(const struct umpa_stand *s);

/* What is hidden from functions on a CPU, of where its thread stands: [*begin, *end), or nothing,
 * 0. */
void umpa_stand_hidden(const struct umpa_vmm_cpu *cpu, uintptr_t *begin, uintptr_t *end);

/* 1: with its stack there, a function on a CPU has left. */
int umpa_stand_left(const struct umpa_vmm_cpu *cpu, uint64_t sp);

/* Where one that has left goes on outside, by what it came out with: a trap, if not NULL. A system
 * call is made anew. */
struct umpa_trap umpa_left_at(const struct umpa_kvm_event *e, const struct umpa_trap *trap);

/* Goes on there, with vectors (umpa_kvm_get_vectors(); NULL: as they are), and gives the CPU back,
 * which the vectors may lie in. `at` is the stack for a moment: so it must be on this thread's. In
 * entry.S. */
_Noreturn void umpa_left_go_on(
	const struct umpa_trap *at, const void *vectors, uint64_t parts, uint64_t *busy);
#endif

#endif
