/* A function in guest mode: in, what it needs of the host, and out. */
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/panic.h"
#include "os/os.h"
#include "os/process.h"
#include "vmm/left.h"
#include "vmm/machine.h"

/* --- system calls ------------------------------------------------------------------------- */

static struct umpa_call call_of(const struct umpa_kvm_registers *r)
{
	/* The kernel looks at no more of it. */
	return (struct umpa_call){(uint32_t)r->rax, {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};
}

/* Nothing can be kept that the guest can't reach. A break that has grown stays, as nobody may touch
 * it. */
static void undo(const struct umpa_call *call, uintptr_t begin, size_t nbytes)
{
	struct umpa_call back = umpa_call_undo(call, begin, nbytes);

	if (back.number)
		(void)umpa_process_call(back.number, back.argument);
}

static int reaches(const struct umpa_vmm *vmm, uintptr_t begin, size_t nbytes)
{
	uint64_t physical;

	return !umpa_layout_physical(&vmm->layout, begin, &physical) &&
	       !umpa_layout_physical(&vmm->layout, begin + nbytes - 1, &physical);
}

/* What is mapped by order ends what was there: so it is judged before. */
static int orders_out_of_reach(const struct umpa_vmm *vmm, const struct umpa_call *call)
{
	uintptr_t begin;
	size_t nbytes;

	return umpa_call_orders(call, &begin, &nbytes) && nbytes && !reaches(vmm, begin, nbytes);
}

/* Memory that the guest can't see is of no use to it. */
static long unless_out_of_reach(
	const struct umpa_vmm *vmm, const struct umpa_call *call, long result)
{
	uintptr_t begin;
	size_t nbytes;

	if (!umpa_call_maps(call, (uint64_t)result, &begin, &nbytes) || reaches(vmm, begin, nbytes))
		return result;
	undo(call, begin, nbytes);
	return -ENOMEM;
}

/* The break is refused by staying what it was. */
static long set_break(const struct umpa_vmm *vmm, const struct umpa_call *call)
{
	uint64_t same[6] = {0}, before[6] = {0};
	long result;

	before[0] = (uint64_t)umpa_process_call(SYS_brk, same);
	result = umpa_process_call(SYS_brk, call->argument);
	return unless_out_of_reach(vmm, call, result) == result
		       ? result
		       : umpa_process_call(SYS_brk, before);
}

static long make_call(struct umpa_vmm_cpu *cpu, const struct umpa_kvm_registers *r)
{
	const struct umpa_vmm *vmm = cpu->vmm;
	struct umpa_call call = call_of(r);
	int refused = umpa_call_verdict(&call, vmm->ground, array_len(vmm->ground));
	struct umpa_led *led = &cpu->led;

	for (unsigned i = 0; !refused && umpa_call_changes(&call) && i < vmm->ncpus; i++)
		refused = umpa_call_verdict(&call, &vmm->cpu[i].ground, 1);
	if (!refused)
		refused = umpa_lead(&cpu->guest, &call, led);
	if (!refused && orders_out_of_reach(vmm, &led->call))
		refused = -ENOMEM;
	if (refused)
		return refused;
	if (call.number == SYS_brk)
		return set_break(vmm, &led->call);
	return unless_out_of_reach(vmm, &led->call,
		umpa_led_result(
			&cpu->guest, led, umpa_process_call(led->call.number, led->call.argument)));
}

/* --- faults ------------------------------------------------------------------------------- */

static int is_trap_at(const struct umpa_vmm_cpu *cpu, uintptr_t at)
{
	uintptr_t stack = (uintptr_t)cpu->inner.trap_stack;

	return at % sizeof(uint64_t) == 0 && at >= stack &&
	       at <= stack + sizeof(cpu->inner.trap_stack) - sizeof(struct umpa_trap);
}

/* NULL: none is told of. Anybody may write to the port. */
static const struct umpa_trap *trap_of(
	const struct umpa_vmm_cpu *cpu, const struct umpa_kvm_event *e)
{
	uintptr_t at = e->registers.rax;

	if (e->exit != KVM_PORT || e->port != GUEST_PORT_TRAP || !is_trap_at(cpu, at))
		return NULL;
	return (const struct umpa_trap *)at;
}

static struct umpa_vmm_fault fault_of_trap(
	const struct umpa_vmm_cpu *cpu, const struct umpa_kvm_event *e)
{
	const struct umpa_trap *t = trap_of(cpu, e);

	if (!t)
		return (struct umpa_vmm_fault){
			UMPA_VMM_FAULT_BROKEN, 0, 0, 0, e->registers.rip, e->registers.rsp};
	return (struct umpa_vmm_fault){UMPA_VMM_FAULT_TRAP, (unsigned)t->vector, t->code,
		cpu->inner.fault_address, t->rip, t->rsp};
}

static enum umpa_vmm_cause cause_of(enum umpa_kvm_exit exit)
{
	switch (exit) {
	case KVM_HALT:
		return UMPA_VMM_FAULT_HALT;
	case KVM_NOTHING:
		return UMPA_VMM_FAULT_MEMORY;
	case KVM_SHUTDOWN:
		return UMPA_VMM_FAULT_SHUTDOWN;
	case KVM_SIGNAL:
		return UMPA_VMM_FAULT_TIME;
	default:
		return UMPA_VMM_FAULT_BROKEN;
	}
}

static struct umpa_vmm_fault fault_of_exit(
	const struct umpa_vmm *vmm, const struct umpa_kvm_event *e)
{
	struct umpa_vmm_fault f = {cause_of(e->exit), 0, 0, 0, e->registers.rip, e->registers.rsp};
	uintptr_t addr;

	if (e->exit == KVM_NOTHING && !umpa_layout_virtual(&vmm->layout, e->physical, &addr))
		f.address = addr;
	if (e->exit == KVM_SHUTDOWN)
		f.ip = f.sp = 0;
	return f;
}

/* --- other CPUs --------------------------------------------------------------------------- */

enum {
	NYIELDS = 64
};

/* One that takes interrupts comes out of guest mode. In one piece: who jumps away in between would
 * have that thread wait for ever. */
static void interrupt(struct umpa_vmm_cpu *cpu)
{
	uint64_t held = umpa_kvm_hold_signals();
	int thread = __atomic_load_n(&cpu->thread, __ATOMIC_RELAXED);

	if (thread > 0 && __atomic_compare_exchange_n(&cpu->thread, &thread, -thread, 0,
				  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		umpa_kvm_interrupt(thread);
		__atomic_store_n(&cpu->thread, thread, __ATOMIC_RELEASE);
	}
	umpa_kvm_let_signals(held);
}

/* Its thread may have ended, out of a handler of a signal. Somebody else may have it by then, who
 * has entered. */
static void leave_for_gone(struct umpa_vmm_cpu *cpu)
{
	uint64_t *reached = &cpu->vmm->peers.epochs.cpu[cpu->guest.number].reached;
	uint64_t seen = __atomic_load_n(reached, __ATOMIC_SEQ_CST);
	int owner = umpa_vmm_owner(cpu);

	if (owner && !umpa_kvm_is_thread(owner))
		(void)!__atomic_compare_exchange_n(
			reached, &seen, EPOCH_OUT, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* For what has come to pass in another thread. */
static void wait_a_little(unsigned nwaits)
{
	struct timespec ts = {0, 50000};
	uint64_t nothing[6] = {0}, sleep[6] = {(uintptr_t)&ts};

	if (nwaits < NYIELDS)
		(void)umpa_process_call(SYS_sched_yield, nothing);
	else
		(void)umpa_process_call(SYS_nanosleep, sleep);
}

/* Each other CPU forgets what it remembers from before now, or is out of guest mode: this one is,
 * so that two may wait for each other. */
static void interrupt_others(struct umpa_vmm_cpu *cpu)
{
	struct umpa_vmm *vmm = cpu->vmm;
	uint64_t now = umpa_epoch_now(&vmm->peers.epochs);

	for (unsigned i = 0; i < vmm->ncpus; i++)
		for (unsigned n = 0;
			i != cpu->guest.number && umpa_epoch_reached(&vmm->peers.epochs, i) < now;
			n++) {
			/* Anew now and then: it may have had another thread by then. */
			if (n % NYIELDS == 0)
				interrupt(&vmm->cpu[i]);
			if (n % NYIELDS == NYIELDS - 1)
				leave_for_gone(&vmm->cpu[i]);
			wait_a_little(n);
		}
}

static int take_interrupts(struct umpa_vmm_cpu *cpu)
{
	int thread = umpa_kvm_thread();

	__atomic_store_n(&cpu->thread, thread, __ATOMIC_RELEASE);
	return thread;
}

/* None is on its way afterwards. (In a child that a signal's handler has forked this is another
 * thread than the one that took them.) */
static void take_no_interrupts(struct umpa_vmm_cpu *cpu, int thread)
{
	int seen = thread;

	for (unsigned n = 0; !__atomic_compare_exchange_n(
		     &cpu->thread, &seen, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		n++, seen = thread)
		wait_a_little(n);
}

/* --- the run ------------------------------------------------------------------------------ */

enum outcome {
	GO_ON,
	DONE,
	FAULT,
	LEFT
};

/* That it is let go on, to the end of a change, at a time; and so long at most. Of the wall: on a
 * busy host that interprets instructions a copy of 16 MiB takes seconds. */
#define LET_NS      1000000
#define LATE_NS_MAX UINT64_C(10000000000)

/* It is called out once more where it is let go on; and its time begins when the host's frames are
 * hidden. */
static int is_over(struct umpa_vmm_cpu *cpu)
{
	uint64_t now = cpu->end_ns ? umpa_os_clock_ns() : 0;

	if (now < cpu->end_ns || !cpu->end_ns)
		return 0;
	if (cpu->inner.hide.is_under_way) {
		cpu->end_ns = now + cpu->vmm->time_ns;
		umpa_kvm_rearm(&cpu->alarm, cpu->vmm->time_ns);
		return 0;
	}
	if (!cpu->guest.nchanges || now - cpu->end_ns > LATE_NS_MAX)
		return 1;
	umpa_kvm_rearm(&cpu->alarm, LET_NS);
	return 0;
}

/* Signals that were blocked by the call are in guest mode too; and an alarm may have come meanwhile
 * where somebody else has taken it. */
static void call_for(
	struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e, struct umpa_vmm_fault *fault)
{
	uint64_t number = e->registers.rax;

	e->registers.rax = (uint64_t)make_call(cpu, &e->registers);
	if (number == SYS_rt_sigprocmask && cpu->is_armed)
		umpa_kvm_follow_mask(&cpu->kvm, &cpu->alarm);
	if (is_over(cpu))
		*fault = (struct umpa_vmm_fault){
			UMPA_VMM_FAULT_TIME, 0, 0, 0, e->registers.rcx, e->registers.rsp};
}

/* Vectors are of use inside: else who has left has those of the thread that came in. */
static int has_vectors(const struct umpa_vmm *vmm)
{
	return vmm->kvm.facts.nested || !vmm->kvm.facts.lacking;
}

/* A function that has left takes what it has with it; the CPU is to be made anew. */
static void take_along(
	struct umpa_vmm_cpu *cpu, const struct umpa_kvm_event *e, const struct umpa_trap *trap)
{
	struct umpa_left *left = &cpu->left;

	left->at = umpa_left_at(e, trap);
	/* On the stack of a trap that nobody comes back to. */
	left->vectors = has_vectors(cpu->vmm) ? cpu->inner.trap_stack + PAGE_NBYTES : NULL;
	if (left->vectors && umpa_kvm_get_vectors(&cpu->kvm, left->vectors, &left->parts))
		umpa_misuse("umpa_vmm_run", (const void *)left->at.rip,
			"a function has left, and its registers are not to be had");
}

/* The first of the traps that a CPU is in, if it is on their stacks with all of it pushed. NULL. */
static const struct umpa_trap *outermost_trap(const struct umpa_vmm_cpu *cpu, uint64_t sp)
{
	uintptr_t stack = (uintptr_t)cpu->inner.trap_stack, at = (uintptr_t)cpu->inner.outermost;

	return is_trap_at(cpu, at) && sp >= stack && sp <= at ? (const struct umpa_trap *)at : NULL;
}

/* One that comes back has not left, nor has one that only speaks to the host; of one that is shut
 * down nobody knows where it was. A handler of its faults is given up with it. */
static int has_left(struct umpa_vmm_cpu *cpu, const struct umpa_kvm_event *e)
{
	const struct umpa_trap *trap = outermost_trap(cpu, e->registers.rsp);

	if (likely(!umpa_stand_left(cpu, trap ? trap->rsp : e->registers.rsp)) ||
		e->exit == KVM_SHUTDOWN ||
		(e->exit == KVM_PORT &&
			(e->port == GUEST_PORT_DONE || e->port == GUEST_PORT_FLUSH)))
		return 0;
	take_along(cpu, e, trap);
	return 1;
}

static enum outcome obey(
	struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e, struct umpa_vmm_fault *fault)
{
	if (e->exit == KVM_PORT && e->port == GUEST_PORT_DONE)
		return DONE;
	if (e->exit == KVM_PORT && e->port == GUEST_PORT_CALL)
		call_for(cpu, e, fault);
	else if (e->exit == KVM_PORT && e->port == GUEST_PORT_FLUSH)
		interrupt_others(cpu);
	else if (e->exit == KVM_PORT && e->port == GUEST_PORT_TRAP)
		*fault = fault_of_trap(cpu, e);
	else if (e->exit != KVM_SIGNAL || is_over(cpu))
		*fault = fault_of_exit(cpu->vmm, e);
	return fault->cause ? FAULT : GO_ON;
}

/* Where a CPU came out in the middle of something it is made anew, as far as the system does that.
 */
static int renew(struct umpa_vmm_cpu *cpu)
{
	umpa_guest_cpu_reset(&cpu->inner);
	cpu->forgot = 0;
	cpu->holding.is_broken |= cpu->guest.nchanges != 0;
	cpu->guest.nchanges = 0;
	return umpa_kvm_set_state(&cpu->kvm, &cpu->state);
}

/* By how it came out last: there it goes on, or by way of forgetting. */
static int forget(struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e)
{
	if (e->exit != KVM_PORT)
		return umpa_kvm_forget(&cpu->kvm);
	if (e->port == GUEST_PORT_DONE)
		e->registers.rcx |= GUEST_ENTER_FORGETS; /* a new function */
	else if (e->port == GUEST_PORT_CALL)
		e->registers.rip = (uintptr_t)umpa_guest_call_forgets;
	return 0;
}

/* Into guest mode until it comes out again. */
static int visit(struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e)
{
	struct umpa_epochs *epochs = &cpu->vmm->peers.epochs;
	unsigned i = cpu->guest.number;
	int error = umpa_epoch_enter(epochs, i) == cpu->forgot ? 0 : forget(cpu, e);

	if (!error)
		error = umpa_kvm_run(&cpu->kvm, e);
	if (!error)
		cpu->forgot = umpa_epoch_reached(epochs, i);
	umpa_epoch_leave(epochs, i);
	return error;
}

static int go(
	struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e, long *ret, struct umpa_vmm_fault *fault)
{
	enum outcome outcome;

	do {
		if (visit(cpu, e)) {
			(void)!renew(cpu);
			return -EIO;
		}
		if (e->exit == KVM_SIGNAL && cpu->is_armed) {
			umpa_kvm_hush();
			/* Its handler may have said what is blocked from then on. */
			umpa_kvm_follow_mask(&cpu->kvm, &cpu->alarm);
		}
		outcome = has_left(cpu, e) ? LEFT : obey(cpu, e, fault);
	} while (outcome == GO_ON);
	if (outcome == DONE)
		*ret = (long)e->registers.rax;
	else if (renew(cpu) && outcome == FAULT)
		return -EIO;
	if (outcome == LEFT)
		return VMM_LEFT;
	return outcome == DONE ? 0 : fault->cause == UMPA_VMM_FAULT_TIME ? -ETIMEDOUT : -EFAULT;
}

static uint64_t end_of(uint64_t ns)
{
	uint64_t end_ns;

	if (ns && __builtin_add_overflow(umpa_os_clock_ns(), ns, &end_ns))
		end_ns = UINT64_MAX;
	return ns ? end_ns : 0;
}

static void disarm(struct umpa_vmm_cpu *cpu)
{
	umpa_kvm_disarm(&cpu->kvm, &cpu->alarm);
	cpu->is_armed = 0;
}

/* Where there is somebody to interrupt it, or something. */
static int go_armed(struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e, uint64_t ns, long *ret,
	struct umpa_vmm_fault *fault)
{
	int error, thread;

	cpu->end_ns = end_of(ns);
	if (cpu->vmm->ncpus == 1 && !ns)
		return go(cpu, e, ret, fault);
	cpu->alarm = (struct umpa_kvm_alarm){0, -1};
	cpu->is_armed = 1;
	error = umpa_kvm_arm(&cpu->kvm, ns, &cpu->alarm);
	if (error) {
		cpu->is_armed = 0;
		return error == -EAGAIN ? error : -EIO;
	}
	thread = take_interrupts(cpu);
	error = go(cpu, e, ret, fault);
	take_no_interrupts(cpu, thread);
	disarm(cpu);
	return error;
}

/* What the thread has blocked since stays as it is; and what another has. */
void umpa_vmm_break_off(struct umpa_vmm_cpu *cpu, int by_own_thread)
{
	int thread = __atomic_load_n(&cpu->thread, __ATOMIC_RELAXED);

	if (cpu->vmm->is_host)
		return;
	umpa_epoch_leave(&cpu->vmm->peers.epochs, cpu->guest.number);
	if (thread)
		take_no_interrupts(cpu, thread < 0 ? -thread : thread);
	if (cpu->is_armed && by_own_thread) {
		disarm(cpu);
	} else if (cpu->is_armed) {
		umpa_kvm_drop(&cpu->kvm, &cpu->alarm);
		cpu->is_armed = 0;
	}
	(void)!renew(cpu);
}

/* Thread-local variables are those of the thread that runs it now. */
static int follow_thread(struct umpa_vmm_cpu *cpu)
{
	uint64_t fs_base = umpa_kvm_fs_base();
	int error;

	if (fs_base == cpu->state.fs_base)
		return 0;
	__atomic_store_n(&cpu->state.fs_base, fs_base, __ATOMIC_RELAXED);
	error = umpa_kvm_set_state(&cpu->kvm, &cpu->state);
	if (error)
		__atomic_store_n(&cpu->state.fs_base, 0, __ATOMIC_RELAXED);
	return error;
}

/* Result: what is to be done about it on the way in. */
static uint64_t hide(struct umpa_vmm_cpu *cpu)
{
	struct umpa_guest_cpu *inner = &cpu->inner;

	umpa_stand_hidden(cpu, &inner->hide_begin, &inner->hide_end);
	return !inner->hide.is_under_way && inner->hide_begin == inner->hide.begin &&
			       inner->hide_end == inner->hide.end
		       ? 0
		       : GUEST_ENTER_HIDES;
}

int umpa_vmm_enter(struct umpa_vmm_cpu *cpu, const struct umpa_vmm_visit *v, long *ret,
	struct umpa_vmm_fault *fault)
{
	/* As if the function before had returned just now. */
	struct umpa_kvm_event e = {.exit = KVM_PORT, .port = GUEST_PORT_DONE};

	if (follow_thread(cpu))
		return -EIO;
	cpu->guest.on_fault = NULL;
	umpa_guest_cpu_reset(&cpu->inner);
	e.registers.rip = (uintptr_t)umpa_guest_enter;
	/* A call pushes eight bytes more, and finds the stack as the ABI wants it. */
	e.registers.rsp = cpu->stack_end;
	e.registers.rdi = (uintptr_t)&cpu->guest;
	e.registers.rsi = (uintptr_t)v->arg;
	e.registers.rdx = (uintptr_t)v->fn;
	e.registers.rcx = hide(cpu);
	/* As if umpa_vmm_run() had called, for who looks who did. */
	e.registers.rbp = cpu->stand.frame;
	e.registers.rflags = 2; /* always set; interrupts off */
	/* An emulated processor does not know how. */
	if (has_vectors(cpu->vmm)) {
		umpa_guest_take_rounding(&cpu->inner);
		e.registers.rcx |= GUEST_ENTER_ROUNDS;
	}
	return go_armed(cpu, &e, v->time_ns, ret, fault);
}

/* --- the call ----------------------------------------------------------------------------- */

static int call(struct umpa_vmm_cpu *cpu, const struct umpa_vmm_visit *v, long *ret,
	struct umpa_vmm_fault *fault)
{
	if (!cpu->vmm->is_host)
		return umpa_vmm_enter(cpu, v, ret, fault);
	*ret = v->fn(&cpu->guest, v->arg);
	return 0;
}

/* Goes on where the function has gone. */
static _Noreturn void go_after(struct umpa_vmm_cpu *cpu)
{
	struct umpa_left left = cpu->left;

	umpa_vmm_forsake_cpu();
	umpa_left_go_on(&left.at, left.vectors, left.parts, &cpu->busy);
}

/* Where the caller's frames are not what they were there is no way back. */
static void look_back(const struct umpa_stand *stand)
{
	if (unlikely(!umpa_stand_is_whole(stand)))
		umpa_misuse("umpa_vmm_run", (const void *)stand->frame,
			"a function has left, and what came of it can't be gone on with");
}

/* By umpa_vmm_run() in entry.S, which is the public one. */
int umpa_vmm_run_apart(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg),
	void *arg, long *ret, struct umpa_vmm_fault *fault, uintptr_t frame)
{
	struct umpa_vmm_fault told = {.cause = UMPA_VMM_FAULT_NONE};
	struct umpa_stand stand = umpa_stand_at(frame);
	struct umpa_vmm_cpu *cpu;
	long result = 0;
	int error;

	if (!vmm || !fn)
		return -EINVAL;
	umpa_stand_learn();
	if (vmm->pid != umpa_process_id())
		return -ESTALE;
	cpu = umpa_vmm_take_cpu(vmm, &stand);
	if (!cpu)
		return -EBUSY;
	/* Where it leaves, what it left is not to be written to. */
	if (fault)
		*fault = (struct umpa_vmm_fault){.cause = UMPA_VMM_FAULT_LEFT};
	error = call(cpu, &(struct umpa_vmm_visit){fn, arg, vmm->time_ns}, &result, &told);
	if (error == VMM_LEFT)
		go_after(cpu);
	look_back(&stand);
	umpa_vmm_give_cpu(cpu);
	if (fault)
		*fault = told;
	if (ret && !error)
		*ret = result;
	return error;
}
