/* A function in guest mode: in, what it needs of the host, and out. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "os/os.h"
#include "os/process.h"
#include "vmm/machine.h"

/* --- system calls ------------------------------------------------------------------------- */

static struct umpa_call call_of(const struct umpa_kvm_registers *r)
{
	return (struct umpa_call){r->rax, {r->rdi, r->rsi, r->rdx, r->r10, r->r8, r->r9}};
}

/* Gives back what was mapped. What mremap has moved is lost with it, as nothing can be kept that
 * the guest can't reach; a break that has grown stays, as nobody may touch it. */
static void undo(const struct umpa_call *call, uintptr_t begin, size_t nbytes)
{
	uint64_t argument[6] = {begin, nbytes};
	uint64_t number = umpa_call_undo(call);

	if (number)
		(void)umpa_process_call(number, argument);
}

/* Memory that the guest can't see is of no use to it. */
static long unless_out_of_reach(
	const struct umpa_vmm *vmm, const struct umpa_call *call, long result)
{
	uintptr_t begin;
	size_t nbytes;
	uint64_t physical;

	if (!umpa_call_maps(call, (uint64_t)result, &begin, &nbytes) ||
		(!umpa_layout_physical(&vmm->layout, begin, &physical) &&
			!umpa_layout_physical(&vmm->layout, begin + nbytes - 1, &physical)))
		return result;
	undo(call, begin, nbytes);
	return -ENOMEM;
}

/* How many of nbytes from addr on, in a holding, lie for the host as they are seen: in one row,
 * from their home on. */
static size_t in_a_row(struct umpa_guest *g, const char *addr, size_t nbytes)
{
	const char *home = umpa_g_home(g, addr);
	size_t n = 0;

	while (home && n < nbytes && umpa_peers_holder(g->peers, addr + n) &&
		umpa_g_home(g, addr + n) == home + n)
		n += PAGE_NBYTES - ((uintptr_t)(addr + n) & (PAGE_NBYTES - 1));
	return n < nbytes ? n : nbytes;
}

/* A pointer into a holding means what is seen there: the host is given its home. 0; -EFAULT: that
 * is in several places. */
static int lead_home(struct umpa_guest *g, struct umpa_call *call, int position)
{
	const char *addr = (const char *)call->argument[position];
	struct umpa_call_buffer b;
	size_t nbytes, n;

	if (likely(!umpa_peers_holder(g->peers, addr)))
		return 0;
	b = umpa_call_buffer(call, position);
	nbytes = b.nbytes_at < 0 ? b.nbytes : call->argument[b.nbytes_at];
	n = in_a_row(g, addr, nbytes ? nbytes : 1);
	if (n < nbytes && !(n && b.may_be_less))
		return -EFAULT;
	if (n < nbytes)
		call->argument[b.nbytes_at] = n;
	if (n)
		call->argument[position] = (uintptr_t)umpa_g_home(g, addr);
	return 0;
}

/* A copy of a list, which may be anywhere, or nowhere. */
static int copy_list(uintptr_t list, size_t n, struct iovec *copy)
{
	struct iovec to = {copy, n * sizeof(*copy)}, from = {(void *)list, n * sizeof(*copy)};
	uint64_t argument[6] = {
		(uint64_t)umpa_process_id(), (uintptr_t)&to, 1, (uintptr_t)&from, 1};

	return umpa_process_call(SYS_process_vm_readv, argument) == (long)to.iov_len ? 0 : -EFAULT;
}

/* Lists stay as they are: what they point to must be where it is seen. */
static int check_list(struct umpa_guest *g, const struct umpa_call *call)
{
	struct iovec v[IOV_MAX];
	uintptr_t list;
	size_t n;
	int error;

	if (!umpa_call_list(call, &list, &n) || !n || n > IOV_MAX)
		return 0;
	error = copy_list(list, n, v);
	for (size_t i = 0; !error && i < n; i++) {
		const char *base = v[i].iov_base;

		if (umpa_peers_holder(g->peers, base) &&
			(umpa_g_home(g, base) != base ||
				in_a_row(g, base, v[i].iov_len) < v[i].iov_len))
			error = -EFAULT;
	}
	return error;
}

static int translate(struct umpa_guest *g, struct umpa_call *call)
{
	int error = 0;

	if (!g->holding)
		return 0;
	for (int i = 0; !error && i < (int)array_len(call->argument); i++)
		error = lead_home(g, call, i);
	return error ? error : check_list(g, call);
}

static long make_call(struct umpa_vmm_cpu *cpu, const struct umpa_kvm_registers *r)
{
	const struct umpa_vmm *vmm = cpu->vmm;
	struct umpa_call call = call_of(r);
	int refused = umpa_call_verdict(&call, vmm->ground, array_len(vmm->ground));

	if (!refused)
		refused = translate(&cpu->guest, &call);
	if (refused)
		return refused;
	return unless_out_of_reach(vmm, &call, umpa_process_call(call.number, call.argument));
}

/* --- faults ------------------------------------------------------------------------------- */

static struct umpa_vmm_fault fault_of_trap(
	const struct umpa_vmm_cpu *cpu, const struct umpa_kvm_registers *r)
{
	const struct umpa_trap *t = (const struct umpa_trap *)r->rax;

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

static struct umpa_vmm_fault fault_of_exit(const struct umpa_kvm_event *e)
{
	struct umpa_vmm_fault f = {cause_of(e->exit), 0, 0, 0, e->registers.rip, e->registers.rsp};

	if (e->exit == KVM_SHUTDOWN)
		f.ip = f.sp = 0;
	return f;
}

/* --- other CPUs --------------------------------------------------------------------------- */

enum {
	NYIELDS = 64
};

/* One that takes interrupts comes out of guest mode. */
static void interrupt(struct umpa_vmm_cpu *cpu)
{
	int thread = __atomic_load_n(&cpu->thread, __ATOMIC_RELAXED);

	if (thread > 0 && __atomic_compare_exchange_n(&cpu->thread, &thread, -thread, 0,
				  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		umpa_kvm_interrupt(thread);
		__atomic_store_n(&cpu->thread, thread, __ATOMIC_RELEASE);
	}
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
			wait_a_little(n);
		}
}

static void take_interrupts(struct umpa_vmm_cpu *cpu)
{
	__atomic_store_n(&cpu->thread, umpa_kvm_thread(), __ATOMIC_RELEASE);
}

/* None is on its way afterwards. */
static void take_no_interrupts(struct umpa_vmm_cpu *cpu)
{
	int thread = umpa_kvm_thread(), seen = thread;

	for (unsigned n = 0; !__atomic_compare_exchange_n(
		     &cpu->thread, &seen, 0, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
		n++, seen = thread)
		wait_a_little(n);
}

/* --- the run ------------------------------------------------------------------------------ */

enum outcome {
	GO_ON,
	DONE,
	FAULT
};

/* Until when a function may run, and what calls it out then. */
struct limit {
	uint64_t end_ns; /* 0: none */
	struct umpa_kvm_alarm alarm;
};

enum {
	LET_NS = 1000000,        /* that it is let go on, to the end of a change, at a time; */
	LATE_NS_MAX = 1000000000 /* and so long at most */
};

/* It is called out once more where it is let go on. */
static int is_over(const struct umpa_vmm_cpu *cpu, const struct limit *l)
{
	uint64_t now = l->end_ns ? umpa_os_clock_ns() : 0;

	if (now < l->end_ns || !l->end_ns)
		return 0;
	if (!cpu->guest.nchanges || now - l->end_ns > LATE_NS_MAX)
		return 1;
	umpa_kvm_rearm(&l->alarm, LET_NS);
	return 0;
}

static enum outcome obey(struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e, const struct limit *l,
	struct umpa_vmm_fault *fault)
{
	if (e->exit == KVM_PORT && e->port == GUEST_PORT_DONE)
		return DONE;
	if (e->exit == KVM_PORT && e->port == GUEST_PORT_CALL)
		e->registers.rax = (uint64_t)make_call(cpu, &e->registers);
	else if (e->exit == KVM_PORT && e->port == GUEST_PORT_FLUSH)
		interrupt_others(cpu);
	else if (e->exit == KVM_PORT && e->port == GUEST_PORT_TRAP)
		*fault = fault_of_trap(cpu, &e->registers);
	else if (e->exit != KVM_SIGNAL || is_over(cpu, l))
		*fault = fault_of_exit(e);
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
		e->registers.rcx = 1; /* a new function */
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

static int go(struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e, const struct limit *limit,
	long *ret, struct umpa_vmm_fault *fault)
{
	enum outcome outcome;

	do {
		if (visit(cpu, e)) {
			(void)!renew(cpu);
			return -EIO;
		}
		if (e->exit == KVM_SIGNAL && __atomic_load_n(&cpu->thread, __ATOMIC_RELAXED))
			umpa_kvm_hush();
		outcome = obey(cpu, e, limit, fault);
	} while (outcome == GO_ON);
	if (outcome == DONE)
		*ret = (long)e->registers.rax;
	else if (renew(cpu))
		return -EIO;
	return outcome == DONE ? 0 : fault->cause == UMPA_VMM_FAULT_TIME ? -ETIMEDOUT : -EFAULT;
}

/* Where there is somebody to interrupt it, or something. */
static int go_armed(
	struct umpa_vmm_cpu *cpu, struct umpa_kvm_event *e, long *ret, struct umpa_vmm_fault *fault)
{
	uint64_t ns = cpu->vmm->time_ns;
	struct limit limit = {ns ? umpa_os_clock_ns() + ns : 0, {0, -1}};
	int error;

	if (cpu->vmm->ncpus == 1 && !ns)
		return go(cpu, e, &limit, ret, fault);
	error = umpa_kvm_arm(&cpu->kvm, ns, &limit.alarm);
	if (error)
		return error;
	take_interrupts(cpu);
	error = go(cpu, e, &limit, ret, fault);
	take_no_interrupts(cpu);
	umpa_kvm_disarm(&cpu->kvm, &limit.alarm);
	return error;
}

/* Thread-local variables are those of the thread that runs it now. */
static int follow_thread(struct umpa_vmm_cpu *cpu)
{
	uint64_t fs_base = umpa_kvm_fs_base();

	if (fs_base == cpu->state.fs_base)
		return 0;
	__atomic_store_n(&cpu->state.fs_base, fs_base, __ATOMIC_RELAXED);
	return umpa_kvm_set_state(&cpu->kvm, &cpu->state);
}

int umpa_vmm_enter(struct umpa_vmm_cpu *cpu, long (*fn)(struct umpa_guest *, void *), void *arg,
	long *ret, struct umpa_vmm_fault *fault)
{
	/* As if the function before had returned just now. */
	struct umpa_kvm_event e = {.exit = KVM_PORT, .port = GUEST_PORT_DONE};

	if (follow_thread(cpu))
		return -EIO;
	cpu->guest.on_fault = NULL;
	e.registers.rip = (uintptr_t)umpa_guest_enter;
	/* A call pushes eight bytes more, and finds the stack as the ABI wants it. */
	e.registers.rsp = cpu->stack_end;
	e.registers.rdi = (uintptr_t)&cpu->guest;
	e.registers.rsi = (uintptr_t)arg;
	e.registers.rdx = (uintptr_t)fn;
	e.registers.rflags = 2; /* always set; interrupts off */
	return go_armed(cpu, &e, ret, fault);
}

/* --- who has a CPU ------------------------------------------------------------------------ */

static int take(struct umpa_vmm_cpu *cpu)
{
	return !__atomic_exchange_n(&cpu->is_busy, 1, __ATOMIC_ACQUIRE);
}

void umpa_vmm_give_cpu(struct umpa_vmm_cpu *cpu)
{
	__atomic_store_n(&cpu->is_busy, 0, __ATOMIC_RELEASE);
}

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

struct umpa_vmm_cpu *umpa_vmm_take_cpu(struct umpa_vmm *vmm)
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

int umpa_vmm_take_all(struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		if (!take(&vmm->cpu[i])) {
			while (i)
				umpa_vmm_give_cpu(&vmm->cpu[--i]);
			return 0;
		}
	return 1;
}

void umpa_vmm_give_all(struct umpa_vmm *vmm)
{
	for (unsigned i = 0; i < vmm->ncpus; i++)
		umpa_vmm_give_cpu(&vmm->cpu[i]);
}

static int call(struct umpa_vmm_cpu *cpu, long (*fn)(struct umpa_guest *, void *), void *arg,
	long *ret, struct umpa_vmm_fault *fault)
{
	if (!cpu->vmm->is_host)
		return umpa_vmm_enter(cpu, fn, arg, ret, fault);
	*ret = fn(&cpu->guest, arg);
	return 0;
}

public_api int umpa_vmm_run(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg),
	void *arg, long *ret, struct umpa_vmm_fault *fault)
{
	struct umpa_vmm_fault unasked;
	struct umpa_vmm_cpu *cpu;
	long unwanted;
	int error;

	if (!vmm || !fn)
		return -EINVAL;
	if (vmm->pid != umpa_process_id())
		return -ESTALE;
	cpu = umpa_vmm_take_cpu(vmm);
	if (!cpu)
		return -EBUSY;
	fault = fault ? fault : &unasked;
	memset(fault, 0, sizeof(*fault));
	error = call(cpu, fn, arg, ret ? ret : &unwanted, fault);
	umpa_vmm_give_cpu(cpu);
	return error;
}
