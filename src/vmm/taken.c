/* Who has a CPU. */
#include <signal.h>
#include <sys/syscall.h>

#include "os/process.h"
#include "vmm/left.h"

/* Who has a CPU, and where it has called from, in one word: so that whenever a thread is called
 * away for good, by a longjmp() out of a handler of a signal, the CPU is either free or to be
 * known. */
enum {
	PLACE_NBITS = 40
};

#define ANY_PLACE (((uint64_t)1 << PLACE_NBITS) - 1) /* not a place that is over some time */

/* A hint: of this thread, CPUs that it has, for one within the other. */
static __thread unsigned ntaken;

/* Its number, asked for once in each process. */
static __thread int thread, thread_pid;

static int this_thread(const struct umpa_vmm *vmm)
{
	if (unlikely(thread_pid != vmm->pid)) {
		thread = umpa_kvm_thread();
		thread_pid = vmm->pid;
	}
	return thread;
}

static uint64_t word_of(int owner, uint64_t place)
{
	return (uint64_t)owner << PLACE_NBITS | (place < ANY_PLACE ? place : ANY_PLACE);
}

static int owner_of(uint64_t word)
{
	return (int)(word >> PLACE_NBITS);
}

int umpa_vmm_owner(const struct umpa_vmm_cpu *cpu)
{
	return owner_of(__atomic_load_n(&cpu->busy, __ATOMIC_RELAXED));
}

void umpa_vmm_set_owner(struct umpa_vmm_cpu *cpu, int owner)
{
	__atomic_store_n(&cpu->busy, owner ? word_of(owner, ANY_PLACE) : 0, __ATOMIC_RELAXED);
}

static int take(struct umpa_vmm_cpu *cpu, uint64_t word)
{
	uint64_t free = 0;

	return __atomic_compare_exchange_n(
		&cpu->busy, &free, word, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void give(struct umpa_vmm_cpu *cpu)
{
	__atomic_store_n(&cpu->busy, 0, __ATOMIC_RELEASE);
}

void umpa_vmm_give_cpu(struct umpa_vmm_cpu *cpu)
{
	give(cpu);
	ntaken--;
}

void umpa_vmm_forsake_cpu(void)
{
	ntaken--;
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
 * 1: there was such. */
static int take_back_own(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	int any = 0;

	for (unsigned i = 0; i < vmm->ncpus; i++) {
		struct umpa_vmm_cpu *cpu = &vmm->cpu[i];
		uint64_t word = __atomic_load_n(&cpu->busy, __ATOMIC_RELAXED);
		uint64_t place = word & ANY_PLACE;

		if (word && owner_of(word) == this_thread(vmm) && place != ANY_PLACE &&
			umpa_stand_is_over(place, stand) && !on_signal_stack()) {
			umpa_vmm_break_off(cpu, 1);
			umpa_vmm_give_cpu(cpu);
			any = 1;
		}
	}
	return any;
}

/* What threads had that are no more. 1: there was such. */
static int take_back_of_dead(struct umpa_vmm *vmm)
{
	int any = 0;

	for (unsigned i = 0; i < vmm->ncpus; i++) {
		struct umpa_vmm_cpu *cpu = &vmm->cpu[i];
		uint64_t word = __atomic_load_n(&cpu->busy, __ATOMIC_RELAXED);

		if (word && !umpa_kvm_is_thread(owner_of(word)) &&
			__atomic_compare_exchange_n(&cpu->busy, &word,
				word_of(this_thread(vmm), ANY_PLACE), 0, __ATOMIC_ACQUIRE,
				__ATOMIC_RELAXED)) {
			umpa_vmm_break_off(cpu, 0);
			give(cpu);
			any = 1;
		}
	}
	return any;
}

static int take_back(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	return take_back_own(vmm, stand) | take_back_of_dead(vmm);
}

/* --- a free one --------------------------------------------------------------------------- */

/* One that a thread had last, by where its thread-local variables are. */
static struct umpa_vmm_cpu *take_cpu_of(struct umpa_vmm *vmm, uint64_t word, uint64_t fs_base)
{
	for (unsigned i = 0; i < vmm->ncpus; i++) {
		struct umpa_vmm_cpu *cpu = &vmm->cpu[i];

		if (__atomic_load_n(&cpu->state.fs_base, __ATOMIC_RELAXED) == fs_base &&
			take(cpu, word))
			return cpu;
	}
	return NULL;
}

static struct umpa_vmm_cpu *take_any(struct umpa_vmm *vmm, uint64_t word)
{
	struct umpa_vmm_cpu *cpu;

	if (vmm->ncpus == 1)
		return take(vmm->cpu, word) ? vmm->cpu : NULL;
	cpu = take_cpu_of(vmm, word, umpa_kvm_fs_base());
	if (!cpu)
		cpu = take_cpu_of(vmm, word, 0);
	for (unsigned i = 0; !cpu && i < vmm->ncpus; i++)
		if (take(&vmm->cpu[i], word))
			cpu = &vmm->cpu[i];
	return cpu;
}

struct umpa_vmm_cpu *umpa_vmm_take_cpu(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	uint64_t word = word_of(this_thread(vmm), umpa_stand_place(stand));
	struct umpa_vmm_cpu *cpu;

	if (unlikely(ntaken))
		take_back_own(vmm, stand);
	ntaken++;
	do
		cpu = take_any(vmm, word);
	while (unlikely(!cpu) && take_back(vmm, stand));
	if (cpu)
		cpu->stand = *stand;
	else
		ntaken--;
	return cpu;
}

/* --- all of them -------------------------------------------------------------------------- */

static int take_all(struct umpa_vmm *vmm, uint64_t word)
{
	for (unsigned i = 0; i < vmm->ncpus; i++) {
		if (!take(&vmm->cpu[i], word)) {
			while (i)
				give(&vmm->cpu[--i]);
			return 0;
		}
		vmm->cpu[i].stand.frame = 0;
	}
	return 1;
}

int umpa_vmm_take_all(struct umpa_vmm *vmm, const struct umpa_stand *stand)
{
	uint64_t word = word_of(this_thread(vmm), ANY_PLACE);
	int all;

	do
		all = take_all(vmm, word);
	while (unlikely(!all) && take_back(vmm, stand));
	return all;
}

void umpa_vmm_give_all(struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		give(&vmm->cpu[i]);
}
