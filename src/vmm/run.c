/* A function in guest mode: in, what it needs of the host, and out. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

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

/* How many of nbytes from addr on, in the holding, lie for the host as they are seen: in one row,
 * from their home on. */
static size_t in_a_row(struct umpa_guest *g, const char *addr, size_t nbytes)
{
	const char *home = umpa_g_home(g, addr);
	size_t n = 0;

	while (home && n < nbytes && umpa_holding_has(g->holding, addr + n) &&
		umpa_g_home(g, addr + n) == home + n)
		n += PAGE_NBYTES - ((uintptr_t)(addr + n) & (PAGE_NBYTES - 1));
	return n < nbytes ? n : nbytes;
}

/* A pointer into the holding means what is seen there: the host is given its home. 0; -EFAULT: that
 * is in several places. */
static int lead_home(struct umpa_vmm *vmm, struct umpa_call *call, int position)
{
	const char *addr = (const char *)call->argument[position];
	struct umpa_call_buffer b;
	size_t nbytes, n;

	if (likely(!umpa_holding_has(&vmm->holding, addr)))
		return 0;
	b = umpa_call_buffer(call, position);
	nbytes = b.nbytes_at < 0 ? b.nbytes : call->argument[b.nbytes_at];
	n = in_a_row(&vmm->guest, addr, nbytes ? nbytes : 1);
	if (n < nbytes && !(n && b.may_be_less))
		return -EFAULT;
	if (n < nbytes)
		call->argument[b.nbytes_at] = n;
	if (n)
		call->argument[position] = (uintptr_t)umpa_g_home(&vmm->guest, addr);
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
static int check_list(struct umpa_vmm *vmm, const struct umpa_call *call)
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

		if (umpa_holding_has(&vmm->holding, base) &&
			(umpa_g_home(&vmm->guest, base) != base ||
				in_a_row(&vmm->guest, base, v[i].iov_len) < v[i].iov_len))
			error = -EFAULT;
	}
	return error;
}

static int translate(struct umpa_vmm *vmm, struct umpa_call *call)
{
	int error = 0;

	if (!vmm->guest.holding)
		return 0;
	for (int i = 0; !error && i < (int)array_len(call->argument); i++)
		error = lead_home(vmm, call, i);
	return error ? error : check_list(vmm, call);
}

static long make_call(struct umpa_vmm *vmm, const struct umpa_kvm_registers *r)
{
	struct umpa_call call = call_of(r);
	int refused = umpa_call_verdict(&call, vmm->ground, array_len(vmm->ground));

	if (!refused)
		refused = translate(vmm, &call);
	if (refused)
		return refused;
	return unless_out_of_reach(vmm, &call, umpa_process_call(call.number, call.argument));
}

/* --- faults ------------------------------------------------------------------------------- */

static struct umpa_vmm_fault fault_of_trap(
	const struct umpa_vmm *vmm, const struct umpa_kvm_registers *r)
{
	const struct umpa_trap *t = (const struct umpa_trap *)r->rax;

	return (struct umpa_vmm_fault){UMPA_VMM_FAULT_TRAP, (unsigned)t->vector, t->code,
		vmm->guest_cpu->fault_address, t->rip, t->rsp};
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

/* --- the run ------------------------------------------------------------------------------ */

enum outcome {
	GO_ON,
	DONE,
	FAULT
};

static int is_late(uint64_t end_ns)
{
	return end_ns && umpa_os_clock_ns() >= end_ns;
}

static enum outcome obey(struct umpa_vmm *vmm, struct umpa_kvm_event *e, uint64_t end_ns,
	struct umpa_vmm_fault *fault)
{
	if (e->exit == KVM_PORT && e->port == GUEST_PORT_DONE)
		return DONE;
	if (e->exit == KVM_PORT && e->port == GUEST_PORT_CALL)
		e->registers.rax = (uint64_t)make_call(vmm, &e->registers);
	else if (e->exit == KVM_PORT && e->port == GUEST_PORT_TRAP)
		*fault = fault_of_trap(vmm, &e->registers);
	else if (e->exit != KVM_SIGNAL || is_late(end_ns))
		*fault = fault_of_exit(e);
	return fault->cause ? FAULT : GO_ON;
}

/* Where a CPU came out in the middle of something it is made anew, as far as the system does that.
 */
static int renew(struct umpa_vmm *vmm)
{
	umpa_guest_cpu_reset(vmm->guest_cpu);
	return umpa_kvm_set_state(&vmm->cpu, &vmm->state);
}

static int go(struct umpa_vmm *vmm, struct umpa_kvm_event *e, uint64_t end_ns, long *ret,
	struct umpa_vmm_fault *fault)
{
	enum outcome outcome;

	do {
		int error = umpa_kvm_run(&vmm->cpu, e);

		if (error)
			return error;
		outcome = obey(vmm, e, end_ns, fault);
	} while (outcome == GO_ON);
	if (outcome == DONE)
		*ret = (long)e->registers.rax;
	else if (renew(vmm))
		return -EIO;
	return outcome == DONE ? 0 : fault->cause == UMPA_VMM_FAULT_TIME ? -ETIMEDOUT : -EFAULT;
}

static int go_for_a_time(
	struct umpa_vmm *vmm, struct umpa_kvm_event *e, long *ret, struct umpa_vmm_fault *fault)
{
	struct umpa_kvm_alarm alarm;
	int error;

	if (!vmm->time_ns)
		return go(vmm, e, 0, ret, fault);
	error = umpa_kvm_arm(&vmm->cpu, vmm->time_ns, &alarm);
	if (error)
		return error;
	error = go(vmm, e, umpa_os_clock_ns() + vmm->time_ns, ret, fault);
	umpa_kvm_disarm(&vmm->cpu, &alarm);
	return error;
}

/* Thread-local variables are those of the thread that runs it now. */
static int follow_thread(struct umpa_vmm *vmm)
{
	uint64_t fs_base = umpa_kvm_fs_base();

	if (fs_base == vmm->state.fs_base)
		return 0;
	vmm->state.fs_base = fs_base;
	return umpa_kvm_set_state(&vmm->cpu, &vmm->state);
}

int umpa_vmm_enter(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *, void *), void *arg,
	long *ret, struct umpa_vmm_fault *fault)
{
	struct umpa_kvm_event e = {.error = 0};
	int error = follow_thread(vmm);

	if (error)
		return -EIO;
	vmm->guest.on_fault = NULL;
	e.registers.rip = (uintptr_t)umpa_guest_enter;
	/* A call pushes eight bytes more, and finds the stack as the ABI wants it. */
	e.registers.rsp = (uintptr_t)vmm->stack.addr + vmm->stack.nbytes;
	e.registers.rdi = (uintptr_t)&vmm->guest;
	e.registers.rsi = (uintptr_t)arg;
	e.registers.rdx = (uintptr_t)fn;
	e.registers.rcx = (uint64_t)vmm->is_stale;
	e.registers.rflags = 2; /* always set; interrupts off */
	error = go_for_a_time(vmm, &e, ret, fault);
	/* Else it is not known whether it came as far as to forget. */
	if (!error)
		vmm->is_stale = 0;
	return error;
}

static int call(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *, void *), void *arg, long *ret,
	struct umpa_vmm_fault *fault)
{
	if (!vmm->is_host)
		return umpa_vmm_enter(vmm, fn, arg, ret, fault);
	*ret = fn(&vmm->guest, arg);
	return 0;
}

public_api int umpa_vmm_run(struct umpa_vmm *vmm, long (*fn)(struct umpa_guest *guest, void *arg),
	void *arg, long *ret, struct umpa_vmm_fault *fault)
{
	struct umpa_vmm_fault unasked;
	long unwanted;
	int error;

	if (!vmm || !fn)
		return -EINVAL;
	if (vmm->pid != umpa_process_id())
		return -ESTALE;
	if (__atomic_exchange_n(&vmm->is_busy, 1, __ATOMIC_ACQUIRE))
		return -EBUSY;
	fault = fault ? fault : &unasked;
	memset(fault, 0, sizeof(*fault));
	error = call(vmm, fn, arg, ret ? ret : &unwanted, fault);
	__atomic_store_n(&vmm->is_busy, 0, __ATOMIC_RELEASE);
	return error;
}
