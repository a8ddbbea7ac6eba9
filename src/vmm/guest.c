#include "vmm/guest.h"

#include "vmm/peers.h"

enum {
	PAGE_FAULT = 14
};

static struct umpa_guest_cpu *this_cpu(void)
{
	struct umpa_guest_cpu *cpu;

	__asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}

static uint64_t touched_address(void)
{
	uint64_t addr;

	__asm__ volatile("mov %%cr2, %0" : "=r"(addr));
	return addr;
}

static int in_window(const struct umpa_guest *g, uint64_t addr)
{
	return addr - g->base < g->nbytes;
}

static uint64_t last_stack(const struct umpa_guest_cpu *cpu)
{
	return (uintptr_t)(cpu->trap_stack + sizeof(cpu->trap_stack));
}

static int is_outermost(const struct umpa_guest_cpu *cpu, const struct umpa_trap *trap)
{
	return trap->rsp - (uintptr_t)cpu->trap_stack > sizeof(cpu->trap_stack);
}

/* Asks the program; a trap within that finds the stack below, if there is one. */
static int ask_program(struct umpa_guest_cpu *cpu, uint64_t addr, uint64_t code)
{
	struct umpa_guest *g = cpu->guest;
	uint64_t stack = cpu->task.ist[0];
	int error;

	if (!g->on_fault || !in_window(g, addr) ||
		stack == (uintptr_t)cpu->trap_stack + GUEST_TRAP_STACK_NBYTES)
		return 1;
	cpu->task.ist[0] = stack - GUEST_TRAP_STACK_NBYTES;
	error = g->on_fault(g, (void *)(addr & ~(uint64_t)4095), code, g->on_fault_arg);
	cpu->task.ist[0] = stack;
	return error;
}

static _Noreturn void leave(const struct umpa_trap *trap)
{
	for (;;)
		__asm__ volatile("out %%al, %0" : : "i"(GUEST_PORT_TRAP), "a"(trap) : "memory");
}

/* A handler has jumped back into the function, and the next trap came in on the stack below. 1: it
 * comes in once more, on the last. */
static int is_to_come_again(struct umpa_guest_cpu *cpu, const struct umpa_trap *trap)
{
	if (likely(cpu->task.ist[0] == last_stack(cpu)))
		return 0;
	cpu->task.ist[0] = last_stack(cpu);
	return trap->vector == PAGE_FAULT;
}

void umpa_guest_trap(struct umpa_trap *trap)
{
	struct umpa_guest_cpu *cpu = this_cpu();
	uint64_t addr = trap->vector == PAGE_FAULT ? touched_address() : 0;

	if (is_outermost(cpu, trap)) {
		cpu->outermost = trap;
		if (is_to_come_again(cpu, trap))
			return;
	}
	if (trap->vector == PAGE_FAULT && !ask_program(cpu, addr, trap->code))
		return;
	cpu->fault_address = addr;
	leave(trap);
}

_Static_assert(offsetof(struct umpa_guest_cpu, mxcsr) == GUEST_MXCSR &&
		       offsetof(struct umpa_guest_cpu, fcw) == GUEST_FCW,
	"entry.S knows them");

void umpa_guest_take_rounding(struct umpa_guest_cpu *cpu)
{
	uint32_t mxcsr;
	uint16_t fcw;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	__asm__ volatile("fnstcw %0" : "=m"(fcw));
	cpu->mxcsr = mxcsr & ~0x3fu; /* but for what has come of it there */
	cpu->fcw = fcw;
}

void umpa_guest_forget(void)
{
	umpa_g_flush_all();
}

void umpa_guest_hide(void)
{
	struct umpa_guest_cpu *cpu = this_cpu();

	umpa_hide(&cpu->hide, cpu->hide_begin, cpu->hide_end);
}

/* --- entries ------------------------------------------------------------------------------ */

static void rewrite(volatile uint64_t *entry)
{
	*entry = *entry;
}

long umpa_guest_rewrite(struct umpa_guest *g, void *range)
{
	const struct umpa_guest_range *r = range;
	char *end = r->begin + (r->npages << 12);

	for (char *at = r->begin, *next; at < end; at = next) {
		volatile uint64_t *superpage = umpa_g_pte(g, at, 1);

		next = (char *)(((uintptr_t)at | (((uintptr_t)1 << 21) - 1)) + 1);
		rewrite(superpage);
		if (!umpa_g_is_split(*superpage) || !umpa_peers_has_table(g, *superpage))
			continue;
		for (; at < next && at < end; at += 4096)
			rewrite(umpa_g_pte(g, at, 0));
	}
	umpa_g_flush_all();
	return 0;
}

/* --- the processor's tables --------------------------------------------------------------- */

/* Code and data of 64-bit mode, ring 0, as they are always spelt. */
#define DESCRIPTOR_CODE 0x00af9b000000ffffu
#define DESCRIPTOR_DATA 0x00cf93000000ffffu

static void set_task_descriptor(uint64_t descriptor[2], const struct umpa_task *task)
{
	uint64_t at = (uintptr_t)task;

	descriptor[0] = (sizeof(*task) - 1) | (at & 0xffffff) << 16 | (uint64_t)0x8b << 40 |
			(at >> 24 & 0xff) << 56;
	descriptor[1] = at >> 32;
}

void umpa_guest_cpu_reset(struct umpa_guest_cpu *cpu)
{
	cpu->task.ist[0] = last_stack(cpu);
}

void umpa_guest_cpu_init(struct umpa_guest_cpu *cpu, struct umpa_guest *guest)
{
	cpu->self = cpu;
	cpu->guest = guest;
	umpa_guest_cpu_reset(cpu);
	cpu->task.io_map = sizeof(cpu->task);
	cpu->descriptor[GUEST_SELECTOR_CODE / 8] = DESCRIPTOR_CODE;
	cpu->descriptor[GUEST_SELECTOR_DATA / 8] = DESCRIPTOR_DATA;
	set_task_descriptor(&cpu->descriptor[GUEST_SELECTOR_TASK / 8], &cpu->task);
}

void umpa_guest_gates_init(struct umpa_gate gates[GUEST_NVECTORS])
{
	for (unsigned i = 0; i < GUEST_NVECTORS; i++) {
		uintptr_t at = (uintptr_t)umpa_guest_traps + 16 * i;

		gates[i] = (struct umpa_gate){.low = (uint16_t)at,
			.selector = GUEST_SELECTOR_CODE,
			.stack = 1,
			.type = 0x8e, /* a gate of interrupts, present */
			.middle = (uint16_t)(at >> 16),
			.high = (uint32_t)(at >> 32)};
	}
}
