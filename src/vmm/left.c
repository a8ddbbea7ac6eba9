#include "vmm/left.h"

#include <pthread.h>

enum {
	HIDDEN_NPAGES = 16,
	SYSCALL_NBYTES = 2, /* that the instruction takes; */
	CALL_NBYTES = 16    /* a call, with the frame pointer of who called */
};

/* Flags that are a program's own: carry, parity, adjust, zero, sign, direction, overflow; and what
 * they are beside that. */
#define FLAGS_OWN   ((uint64_t)0xcd5)
#define FLAGS_FIXED ((uint64_t)0x202)

struct umpa_stand umpa_stand_at(uintptr_t frame)
{
	const uintptr_t *saved = (const uintptr_t *)frame;

	return (struct umpa_stand){frame,
		(frame - LEFT_SAVED_NBYTES - PAGE_NBYTES) & ~(PAGE_NBYTES - 1),
		{saved[0], saved[1]}};
}

static int shares_gib_with_window(const struct umpa_guest *g, uintptr_t at)
{
	return at >> 30 >= g->base >> 30 && at >> 30 <= (g->base + g->nbytes - 1) >> 30;
}

/* The way to what is hidden is that to one superpage. */
void umpa_stand_hidden(const struct umpa_vmm_cpu *cpu, uintptr_t *begin, uintptr_t *end)
{
	const struct umpa_stand *s = &cpu->stand;
	uintptr_t lowest = s->guard - (HIDDEN_NPAGES - 1) * PAGE_NBYTES;
	uintptr_t superpage = s->guard & ~(SLOT_NBYTES - 1);

	*begin = *end = 0;
	if (!s->frame || shares_gib_with_window(&cpu->guest, s->guard))
		return;
	*begin = lowest > superpage ? lowest : superpage;
	*end = s->guard + PAGE_NBYTES;
}

/* On the stack of this thread, as far as that is to be learned. It is asked for once a thread. */
static int on_threads_stack(uintptr_t sp)
{
	static __thread uintptr_t begin, end;
	pthread_attr_t attributes;
	void *lowest;
	size_t nbytes;

	if (!end && !pthread_getattr_np(pthread_self(), &attributes)) {
		if (!pthread_attr_getstack(&attributes, &lowest, &nbytes)) {
			begin = (uintptr_t)lowest;
			end = begin + nbytes;
		}
		pthread_attr_destroy(&attributes);
	}
	return sp > begin && sp <= end;
}

int umpa_stand_is_known(const struct umpa_stand *s)
{
	return on_threads_stack(s->frame);
}

int umpa_stand_left(const struct umpa_vmm_cpu *cpu, uint64_t sp)
{
	const struct umpa_stand *s = &cpu->stand;

	if (likely(sp - cpu->stack_begin <= cpu->stack_end - cpu->stack_begin) || !s->frame)
		return 0;
	return (sp >= s->guard - HIDDEN_NPAGES * PAGE_NBYTES && sp <= s->frame + CALL_NBYTES) ||
	       on_threads_stack(sp);
}

static struct umpa_trap of_registers(const struct umpa_kvm_registers *r)
{
	return (struct umpa_trap){.r15 = r->r15,
		.r14 = r->r14,
		.r13 = r->r13,
		.r12 = r->r12,
		.rbp = r->rbp,
		.rbx = r->rbx,
		.r11 = r->r11,
		.r10 = r->r10,
		.r9 = r->r9,
		.r8 = r->r8,
		.rax = r->rax,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rip = r->rip,
		.rflags = r->rflags,
		.rsp = r->rsp};
}

struct umpa_trap umpa_left_at(const struct umpa_kvm_event *e, const struct umpa_trap *trap)
{
	struct umpa_trap at = trap ? *trap : of_registers(&e->registers);

	if (e->exit == KVM_PORT && e->port == GUEST_PORT_CALL) {
		at.rip = at.rcx - SYSCALL_NBYTES;
		at.rflags = at.r11;
	}
	at.rflags = (at.rflags & FLAGS_OWN) | FLAGS_FIXED;
	__asm__ volatile("mov %%cs, %0" : "=r"(at.cs));
	__asm__ volatile("mov %%ss, %0" : "=r"(at.ss));
	return at;
}
