#include "vmm/left.h"

#include <errno.h>
#include <pthread.h>

enum {
	HIDDEN_NPAGES = 16, /* with the guard; */
	USED_NPAGES = 4,    /* so many where it is not known whose the others are */
	SYSCALL_NBYTES = 2, /* that the instruction takes; */
	CALL_NBYTES = 16,   /* a call, with the frame pointer of who called */
	BREAKPOINT = 3      /* its trap comes behind the instruction, which takes a byte */
};

/* Flags that are a program's own: carry, parity, adjust, zero, sign, direction, overflow; and what
 * they are beside that. */
#define FLAGS_OWN   ((uint64_t)0xcd5)
#define FLAGS_FIXED ((uint64_t)0x202)

/* --- the thread's stack ------------------------------------------------------------------- */

/* 0, 0: not to be learned, or not asked for yet. */
static __thread uintptr_t own_begin, own_end;
static __thread int is_asked;

/* libc allocates for that. */
void umpa_stand_learn(void)
{
	pthread_attr_t attributes;
	int saved = errno;
	size_t nbytes;
	void *lowest;

	if (likely(is_asked))
		return;
	is_asked = 1;
	if (!pthread_getattr_np(pthread_self(), &attributes)) {
		if (!pthread_attr_getstack(&attributes, &lowest, &nbytes)) {
			own_begin = (uintptr_t)lowest;
			own_end = own_begin + nbytes;
		}
		pthread_attr_destroy(&attributes);
	}
	errno = saved;
}

static int on_threads_stack(uintptr_t sp)
{
	return sp > own_begin && sp <= own_end;
}

static uintptr_t guard_of(uintptr_t frame)
{
	return (frame - LEFT_SAVED_NBYTES - PAGE_NBYTES) & ~(PAGE_NBYTES - 1);
}

struct umpa_stand umpa_stand_at(uintptr_t frame)
{
	const uintptr_t *saved = (const uintptr_t *)frame;

	return (struct umpa_stand){frame, guard_of(frame), {saved[0], saved[1]}};
}

uint64_t umpa_stand_place(const struct umpa_stand *s)
{
	return on_threads_stack(s->frame) ? (own_end - s->frame) / sizeof(uint64_t) : UINT64_MAX;
}

/* The guard has a word of the call while that lasts: the host leaves it alone, and functions don't
 * see it. */
int umpa_stand_is_over(uint64_t place, const struct umpa_stand *now)
{
	uintptr_t frame = own_end - place * sizeof(uint64_t), guard = guard_of(frame);

	return on_threads_stack(frame) && on_threads_stack(now->frame) &&
	       (now->frame >= guard || *(const uintptr_t *)guard != frame);
}

int umpa_stand_is_whole(const struct umpa_stand *s)
{
	const uintptr_t *saved = (const uintptr_t *)s->frame;

	return saved[0] == s->saved[0] && saved[1] == s->saved[1];
}

/* Down to where the stack is, from the guard on, the thread's own. */
static uintptr_t lowest_of(const struct umpa_stand *s)
{
	uintptr_t lowest = s->guard - (HIDDEN_NPAGES - 1) * PAGE_NBYTES;

	if (!on_threads_stack(s->frame))
		return s->guard - (USED_NPAGES - 1) * PAGE_NBYTES;
	return lowest > own_begin ? lowest : own_begin;
}

static int shares_gib_with_window(const struct umpa_guest *g, uintptr_t at)
{
	return at >> 30 >= g->base >> 30 && at >> 30 <= (g->base + g->nbytes - 1) >> 30;
}

void umpa_stand_hidden(const struct umpa_vmm_cpu *cpu, uintptr_t *begin, uintptr_t *end)
{
	const struct umpa_stand *s = &cpu->stand;
	uintptr_t lowest;

	*begin = *end = 0;
	if (!s->frame || shares_gib_with_window(&cpu->guest, s->guard))
		return;
	*end = s->guard + PAGE_NBYTES;
	lowest = umpa_hide_lowest(*end);
	*begin = lowest_of(s) > lowest ? lowest_of(s) : lowest;
}

/* --- who has left ------------------------------------------------------------------------- */

/* The stack of a function that another CPU runs, which has called umpa_vmm_run(). Below its own,
 * where nothing is, one has not left but used it up. */
static int on_others_stack(const struct umpa_vmm_cpu *cpu, uintptr_t sp)
{
	const struct umpa_vmm_piece *all = &cpu->vmm->stacks;

	return sp - (uintptr_t)all->addr <= all->nbytes &&
	       cpu->stack_end - sp >= all->nbytes / cpu->vmm->ncpus;
}

int umpa_stand_left(const struct umpa_vmm_cpu *cpu, uint64_t sp)
{
	const struct umpa_stand *s = &cpu->stand;

	if (likely(sp - cpu->stack_begin <= cpu->stack_end - cpu->stack_begin) || !s->frame)
		return 0;
	return (sp >= lowest_of(s) && sp <= s->frame + CALL_NBYTES) || on_threads_stack(sp) ||
	       on_others_stack(cpu, sp);
}

/* --- where it goes on --------------------------------------------------------------------- */

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

	/* The host hears of it at its port, or before that, if a signal comes in between. */
	if (!trap && ((e->exit == KVM_PORT && e->port == GUEST_PORT_CALL) ||
			     at.rip == (uintptr_t)umpa_guest_call)) {
		at.rip = at.rcx - SYSCALL_NBYTES;
		at.rflags = at.r11;
	}
	if (trap && trap->vector == BREAKPOINT)
		at.rip--;
	at.rflags = (at.rflags & FLAGS_OWN) | FLAGS_FIXED;
	__asm__ volatile("mov %%cs, %0" : "=r"(at.cs));
	__asm__ volatile("mov %%ss, %0" : "=r"(at.ss));
	return at;
}
