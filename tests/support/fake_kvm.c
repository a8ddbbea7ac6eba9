#include "support/fake_kvm.h"

#include <string.h>

#include "support/fake_os.h"

struct fake_kvm fake_kvm;

void fake_kvm_reset(void)
{
	fake_kvm = (struct fake_kvm){
		.facts = {.physical_nbits = 46, .ncpus_max = 8, .gib_leaves = 1, .nested = 1}};
}

int umpa_kvm_open(struct umpa_kvm *k)
{
	int error = fake_refuses_kvm();

	memset(k, 0, sizeof(*k));
	if (error || fake_kvm.error)
		return error ? error : fake_kvm.error;
	k->facts = fake_kvm.facts;
	fake_kvm.nmachines++;
	fake_kvm.shown_nbytes = fake_kvm.shown_end = 0;
	return 0;
}

void umpa_kvm_close(struct umpa_kvm *k)
{
	(void)k;
	fake_kvm.nmachines--;
}

int umpa_kvm_show(struct umpa_kvm *k, void *addr, uint64_t nbytes, uint64_t physical)
{
	int error = fake_refuses_kvm();

	(void)k, (void)addr;
	if (error)
		return error;
	fake_kvm.shown_nbytes += nbytes;
	fake_kvm.shown_end = physical + nbytes;
	return 0;
}

int umpa_kvm_add_cpu(struct umpa_kvm *k, unsigned number, struct umpa_kvm_cpu *cpu)
{
	int error = fake_refuses_kvm();

	(void)k;
	if (error)
		return error;
	*cpu = (struct umpa_kvm_cpu){.fd = (int)number};
	fake_kvm.ncpus++;
	return 0;
}

void umpa_kvm_remove_cpu(struct umpa_kvm_cpu *cpu)
{
	(void)cpu;
	fake_kvm.ncpus--;
}

int umpa_kvm_set_state(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_state *s)
{
	int error = fake_refuses_kvm();

	(void)cpu;
	if (error)
		return error;
	fake_kvm.state = *s;
	fake_kvm.nstates++;
	return 0;
}

/* None that matter. */
int umpa_kvm_get_vectors(struct umpa_kvm_cpu *cpu, void *vectors, uint64_t *parts)
{
	int error = fake_refuses_kvm();

	(void)cpu;
	if (error)
		return error;
#if defined(__x86_64__)
	__asm__ volatile("fxsave64 %0" : "=m"(*(char(*)[512])vectors));
#else
	(void)vectors;
#endif
	*parts = 0;
	return 0;
}

int umpa_kvm_run(struct umpa_kvm_cpu *cpu, struct umpa_kvm_event *event)
{
	(void)cpu;
	return fake_kvm.run(event);
}

int umpa_kvm_forget(struct umpa_kvm_cpu *cpu)
{
	int error = fake_refuses_kvm();

	(void)cpu;
	fake_kvm.nforgets += !error;
	return error;
}

int umpa_kvm_thread(void)
{
	return fake_kvm.thread ? fake_kvm.thread : 1;
}

int umpa_kvm_is_thread(int thread)
{
	return thread != fake_kvm.dead;
}

void umpa_kvm_follow_mask(struct umpa_kvm_cpu *cpu, struct umpa_kvm_alarm *alarm)
{
	(void)cpu, (void)alarm;
}

void umpa_kvm_rearm(const struct umpa_kvm_alarm *alarm, uint64_t ns)
{
	(void)alarm, (void)ns;
	fake_kvm.nrearmed++;
}

void umpa_kvm_hush(void)
{
}

uint64_t umpa_kvm_hold_signals(void)
{
	return 0;
}

void umpa_kvm_let_signals(uint64_t held)
{
	(void)held;
}

void umpa_kvm_interrupt(int thread)
{
	if (fake_kvm.interrupted)
		fake_kvm.interrupted(thread);
}

int umpa_kvm_arm(struct umpa_kvm_cpu *cpu, uint64_t ns, struct umpa_kvm_alarm *alarm)
{
	int error = fake_refuses_kvm();

	(void)cpu, (void)ns, (void)alarm;
	fake_kvm.nalarms += !error;
	return error;
}

void umpa_kvm_disarm(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_alarm *alarm)
{
	(void)cpu, (void)alarm;
	fake_kvm.nalarms--;
}

void umpa_kvm_drop(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_alarm *alarm)
{
	umpa_kvm_disarm(cpu, alarm);
}

uint64_t umpa_kvm_fs_base(void)
{
	return 0xf5;
}
