/*
 * What runs in guest mode beside the program's function: how it is entered, and what comes of traps
 * and system calls. Entries are in entry.S, the rest in guest.c, which is compiled for general
 * registers alone: what it interrupts has the others.
 *
 * It speaks to the host by writing to ports. Whatever comes in finds its CPU by the GS base.
 */
#ifndef UMPA_VMM_GUEST_H
#define UMPA_VMM_GUEST_H

#define GUEST_PORT_CALL  0x51 /* a system call: number and arguments as it makes them */
#define GUEST_PORT_DONE  0x52 /* the function has returned: RAX */
#define GUEST_PORT_TRAP  0x53 /* a trap that nobody takes: struct umpa_trap at RAX */
#define GUEST_PORT_FLUSH 0x54 /* what other CPUs remember is to be forgotten */

#define GUEST_NVECTORS 32

/* What is to be done before the function. */
#define GUEST_ENTER_FORGETS 1
#define GUEST_ENTER_ROUNDS  2
#define GUEST_ENTER_HIDES   4

/* In struct umpa_guest_cpu. */
#define GUEST_MXCSR 24
#define GUEST_FCW   28

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>
#include <umpa/vmm.h>

#include "vmm/hide.h"

/* As entry.S pushes it. */
struct umpa_trap {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector, code;
	uint64_t rip, cs, rflags, rsp, ss; /* as the processor does */
};

enum {
	GUEST_TRAP_STACK_NBYTES =
		65536,   /* for one trap, the last page of which nobody may touch; */
	GUEST_NTRAPS = 4 /* and so many within each other */
};

enum {
	GUEST_SELECTOR_CODE = 0x10,
	GUEST_SELECTOR_DATA = 0x18,
	GUEST_SELECTOR_TASK = 0x20,
	GUEST_NDESCRIPTORS = 6
};

/* The processor's: where its stack is when a trap comes. */
struct umpa_task {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* the first is for all traps */
	uint64_t reserved2;
	uint16_t reserved3, io_map;
} __attribute__((packed));

struct umpa_gate {
	uint16_t low, selector;
	uint8_t stack, type;
	uint16_t middle;
	uint32_t high, reserved;
};

/* A CPU's own, at its GS base. */
struct umpa_guest_cpu {
	struct umpa_guest_cpu *self;
	struct umpa_guest *guest;
	uint64_t fault_address; /* of the trap that goes to the host */
	/* Of the thread that comes in: how it rounds, and what it masks. At offsets that entry.S
	 * knows. */
	uint32_t mxcsr;
	uint16_t fcw, padding;
	struct umpa_task task;
	uint64_t descriptor[GUEST_NDESCRIPTORS] __attribute__((aligned(16)));
	struct umpa_trap *outermost; /* of the traps that it is in, or was in last */
	struct umpa_hide hide;
	uintptr_t hide_begin, hide_end; /* that the function is to find hidden */
	uint64_t way[HIDE_NTABLES * TABLE_NENTRIES] __attribute__((aligned(4096)));
	char trap_stack[GUEST_NTRAPS * GUEST_TRAP_STACK_NBYTES] __attribute__((aligned(4096)));
};

/* In entry.S. Entered with the guest in RDI, arg in RSI, the function in RDX, and in RCX what is to
 * be done first; a system call is over at where it came from, or there by way of forgetting. */
extern const char umpa_guest_enter[], umpa_guest_call[], umpa_guest_call_forgets[];
extern const char umpa_guest_traps[]; /* GUEST_NVECTORS of them, 16 bytes each */

/* Of vmm/peers.h: this CPU forgets; and the host interrupts all others, and this one forgets. */
void umpa_guest_forget(void);
void umpa_guest_interrupt(void);

/* A trap, on its stack. Comes back if what was interrupted is to go on. */
void umpa_guest_trap(struct umpa_trap *trap);

/* For a kernel that shadows page tables: it sees what the guest writes to them, and nothing else.
 */
struct umpa_guest_range {
	char *begin;
	size_t npages;
};

/* Writes what entries of the range (struct umpa_guest_range) are once more. */
long umpa_guest_rewrite(struct umpa_guest *g, void *range);

/* Hides what this CPU is told to, on its way in. */
void umpa_guest_hide(void);

/* Floating point inside is as the calling thread's. */
void umpa_guest_take_rounding(struct umpa_guest_cpu *cpu);

/* Makes a CPU's descriptors, and the gates of all. */
void umpa_guest_cpu_init(struct umpa_guest_cpu *cpu, struct umpa_guest *guest);
/* Whatever it was in the middle of is over. */
void umpa_guest_cpu_reset(struct umpa_guest_cpu *cpu);
void umpa_guest_gates_init(struct umpa_gate gates[GUEST_NVECTORS]);
#endif

#endif
