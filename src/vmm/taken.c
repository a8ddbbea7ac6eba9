/* Who has a CPU. */
#include <signal.h>
#include <sys/syscall.h>

#include "os/process.h"
#include "vmm/left.h"

/* Of this thread: CPUs that it has, for one within the other; and its address says who it is. */
static __thread unsigned ntaken;

static int take(struct umpa_vmm_cpu *cpu)
{
	return !__atomic_exchange_n(&cpu->is_busy, 1, __ATOMIC_ACQUIRE);
}

static struct umpa_vmm_cpu *have(struct umpa_vmm_cpu *cpu, const struct umpa_stand *stand)
{
	ntaken++;
	cpu->stand = *stand;
	__atomic_store_n(&cpu->thread_at, (uintptr_t)&ntaken, __ATOMIC_RELEASE);
	return cpu;
}

void umpa_vmm_forsake_cpu(struct umpa_vmm_cpu *cpu)
{
	ntaken--;
	cpu->stand.frame = 0;
	__atomic_store_n(&cpu->thread_at, 0, __ATOMIC_RELEASE);
}

void umpa_vmm_give_cpu(struct umpa_vmm_cpu *cpu)
{
	umpa_vmm_forsake_cpu(cpu);
	__atomic_store_n(&cpu->is_busy, 0, __ATOMIC_RELEASE);
}

/* --- left behind -------------------------------------------------------------------------- */

static int on_signal_stack(void)
{
	stack_t now = {.ss_flags = 0};
	uint64_t argument[6] = {0, (uintptr_t)&now};

	return umpa_process_call(SYS_sigaltstack, argument) || now.ss_flags & SS_ONSTACK;
}

/* A call of umpa_vmm_run() that this thread was in is over if the stack has come up to it since, or
 * if what it has saved is no more. Of other stacks nobody knows. */
static int is_over(const struct umpa_stand *then, const struct umpa_stand *now)
{
	const uintptr_t *saved = (const uintptr_t *)then->frame;

	if (!umpa_stand_is_known(then) || !umpa_stand_is_known(now) || on_signal_stack())
		return 0;
	return now->frame >= then->frame || saved[0] != then->saved[0] ||
	       saved[1] != then->saved[1];
}

/* What was left by longjmp() outside: by a function that runs there, or by a handler of a signal
 * that came while one ran inside. It is not heard of before the thread comes by again. */
static void take_back(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	for (unsigned i = 0; ntaken && i < vmm->ncpus; i++) {
		struct umpa_vmm_cpu *cpu = &vmm->cpu[i];

		if (__atomic_load_n(&cpu->thread_at, __ATOMIC_ACQUIRE) == (uintptr_t)&ntaken &&
			is_over(&cpu->stand, stand)) {
			umpa_vmm_break_off(cpu);
			umpa_vmm_give_cpu(cpu);
		}
	}
}

/* --- a free one --------------------------------------------------------------------------- */

/* One that a thread had last, by where its thread-local variables are. */
static struct umpa_vmm_cpu *take_cpu_of(struct umpa_vmm *vmm, uint64_t fs_base)
{
	for (unsigned i = 0; i < vmm->ncpus; i++) {
		struct umpa_vmm_cpu *cpu = &vmm->cpu[i];

		if (__atomic_load_n(&cpu->state.fs_base, __ATOMIC_RELAXED) == fs_base && take(cpu))
			return cpu;
	}
	return NULL;
}

static struct umpa_vmm_cpu *take_any(struct umpa_vmm *vmm)
{
	struct umpa_vmm_cpu *cpu;

	if (vmm->ncpus == 1)
		return take(vmm->cpu) ? vmm->cpu : NULL;
	cpu = take_cpu_of(vmm, umpa_kvm_fs_base());
	if (!cpu)
		cpu = take_cpu_of(vmm, 0);
	for (unsigned i = 0; !cpu && i < vmm->ncpus; i++)
		if (take(&vmm->cpu[i]))
			cpu = &vmm->cpu[i];
	return cpu;
}

struct umpa_vmm_cpu *umpa_vmm_take_cpu(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	struct umpa_vmm_cpu *cpu;

	take_back(vmm, stand);
	cpu = take_any(vmm);
	return cpu ? have(cpu, stand) : NULL;
}

/* --- all of them -------------------------------------------------------------------------- */

int umpa_vmm_take_all(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	take_back(vmm, stand);
	for (unsigned i = 0; i < vmm->ncpus; i++)
		if (!take(&vmm->cpu[i])) {
			while (i)
				__atomic_store_n(&vmm->cpu[--i].is_busy, 0, __ATOMIC_RELEASE);
			return 0;
		}
	return 1;
}

void umpa_vmm_give_all(struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		__atomic_store_n(&vmm->cpu[i].is_busy, 0, __ATOMIC_RELEASE);
}
