/* Who has a CPU. */
#include <signal.h>
#include <sys/syscall.h>

#include "os/process.h"
#include "vmm/left.h"

/* Of this thread: CPUs that it has, for one within the other; its address says who it is. */
static __thread unsigned ntaken;

/* And its number, asked for once in each process. */
static __thread int thread, thread_pid;

static int take(struct umpa_vmm_cpu *cpu)
{
	return !__atomic_exchange_n(&cpu->is_busy, 1, __ATOMIC_ACQUIRE);
}

static void give(struct umpa_vmm_cpu *cpu)
{
	__atomic_store_n(&cpu->is_busy, 0, __ATOMIC_RELEASE);
}

static struct umpa_vmm_cpu *have(struct umpa_vmm_cpu *cpu, const struct umpa_stand *stand)
{
	if (unlikely(thread_pid != cpu->vmm->pid)) {
		thread = umpa_kvm_thread();
		thread_pid = cpu->vmm->pid;
	}
	ntaken++;
	cpu->stand = *stand;
	__atomic_store_n(&cpu->owner, thread, __ATOMIC_RELAXED);
	__atomic_store_n(&cpu->owner_at, (uintptr_t)&ntaken, __ATOMIC_RELEASE);
	return cpu;
}

static void forget_owner(struct umpa_vmm_cpu *cpu)
{
	cpu->stand.frame = 0;
	__atomic_store_n(&cpu->owner, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&cpu->owner_at, 0, __ATOMIC_RELEASE);
}

void umpa_vmm_forsake_cpu(struct umpa_vmm_cpu *cpu)
{
	ntaken--;
	forget_owner(cpu);
}

void umpa_vmm_give_cpu(struct umpa_vmm_cpu *cpu)
{
	umpa_vmm_forsake_cpu(cpu);
	give(cpu);
}

/* --- left behind -------------------------------------------------------------------------- */

static int on_signal_stack(void)
{
	stack_t now = {.ss_flags = 0};
	uint64_t argument[6] = {0, (uintptr_t)&now};

	return umpa_process_call(SYS_sigaltstack, argument) || now.ss_flags & SS_ONSTACK;
}

/* What this thread has left by longjmp() outside: a function that runs there, or out of a handler
 * of a signal that came while one ran inside. It is not heard of before the thread comes by again.
 */
static void take_back_own(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	for (unsigned i = 0; ntaken && i < vmm->ncpus; i++) {
		struct umpa_vmm_cpu *cpu = &vmm->cpu[i];

		/* The address may have been another thread's, that has ended. */
		if (__atomic_load_n(&cpu->owner_at, __ATOMIC_ACQUIRE) == (uintptr_t)&ntaken &&
			__atomic_load_n(&cpu->owner, __ATOMIC_RELAXED) == thread &&
			umpa_stand_is_over(&cpu->stand, stand) && !on_signal_stack()) {
			umpa_vmm_break_off(cpu, 1);
			umpa_vmm_give_cpu(cpu);
		}
	}
}

/* What threads had that are no more. 1: there was such. */
static int take_back_of_dead(struct umpa_vmm *vmm)
{
	int any = 0;

	for (unsigned i = 0; i < vmm->ncpus; i++) {
		struct umpa_vmm_cpu *cpu = &vmm->cpu[i];
		int owner = __atomic_load_n(&cpu->owner, __ATOMIC_RELAXED);

		if (owner && !umpa_kvm_is_thread(owner) &&
			__atomic_compare_exchange_n(
				&cpu->owner, &owner, 0, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
			umpa_vmm_break_off(cpu, 0);
			forget_owner(cpu);
			give(cpu);
			any = 1;
		}
	}
	return any;
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

	take_back_own(vmm, stand);
	do
		cpu = take_any(vmm);
	while (unlikely(!cpu) && take_back_of_dead(vmm));
	return cpu ? have(cpu, stand) : NULL;
}

/* --- all of them -------------------------------------------------------------------------- */

static int take_all(struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		if (!take(&vmm->cpu[i])) {
			while (i)
				give(&vmm->cpu[--i]);
			return 0;
		}
	return 1;
}

int umpa_vmm_take_all(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	int all;

	take_back_own(vmm, stand);
	do
		all = take_all(vmm);
	while (unlikely(!all) && take_back_of_dead(vmm));
	return all;
}

void umpa_vmm_give_all(struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		give(&vmm->cpu[i]);
}
