#include "os/kvm.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "os/syscall.h"

enum {
	API_VERSION = 12,
	NLEAVES_MAX = 256,
	/* Three pages that some processors need to run a guest in 16-bit mode; below 4 GiB. */
	IDENTITY_MAP = 0xfffbc000,
	TSS_PAGES = 0xfffbd000
};

/* The kernel's structures that end in an array of any length, with one. */
struct leaves {
	uint32_t n, padding;
	struct kvm_cpuid_entry2 leaf[NLEAVES_MAX];
};

_Static_assert(
	offsetof(struct leaves, leaf) == offsetof(struct kvm_cpuid2, entries), "the kernel's");

static int ask(int fd, unsigned long request, unsigned long arg)
{
	return (int)sys_call(SYS_ioctl, fd, (long)request, (long)arg, 0, 0, 0);
}

static int ask_with(int fd, unsigned long request, void *arg)
{
	return ask(fd, request, (unsigned long)arg);
}

/* --- what there is ------------------------------------------------------------------------ */

static const struct kvm_cpuid_entry2 *find_leaf(
	const struct leaves *l, uint32_t function, uint32_t index)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->leaf[i].function == function && l->leaf[i].index == index)
			return &l->leaf[i];
	return NULL;
}

static int get_leaves(int device, struct leaves *l)
{
	memset(l, 0, sizeof(*l));
	l->n = NLEAVES_MAX;
	return ask_with(device, KVM_GET_SUPPORTED_CPUID, l);
}

/* What libc and compilers choose code by. */
enum word {
	EBX,
	ECX,
	EDX
};

static const struct feature {
	uint32_t leaf;
	enum word word;
	unsigned bit;
	const char *name;
} features[] = {
	{1, ECX, 0, "sse3"},
	{1, ECX, 9, "ssse3"},
	{1, ECX, 12, "fma"},
	{1, ECX, 19, "sse4.1"},
	{1, ECX, 20, "sse4.2"},
	{1, ECX, 22, "movbe"},
	{1, ECX, 23, "popcnt"},
	{1, ECX, 26, "xsave"},
	{1, ECX, 28, "avx"},
	{7, EBX, 3, "bmi1"},
	{7, EBX, 5, "avx2"},
	{7, EBX, 8, "bmi2"},
	{7, EBX, 9, "erms"},
	{7, EBX, 11, "rtm"},
	{7, EBX, 16, "avx512f"},
	{7, EBX, 17, "avx512dq"},
	{7, EBX, 30, "avx512bw"},
	{7, EBX, 31, "avx512vl"},
	{0x80000001, ECX, 5, "lzcnt"},
};

static int guest_has(const struct leaves *l, uint32_t function, enum word word, unsigned bit)
{
	const struct kvm_cpuid_entry2 *leaf = find_leaf(l, function, 0);

	return leaf && (&leaf->ebx)[word] >> bit & 1;
}

static int host_has(uint32_t function, enum word word, unsigned bit)
{
	unsigned eax, words[3] = {0, 0, 0};

	return __get_cpuid_count(function, 0, &eax, &words[EBX], &words[ECX], &words[EDX]) &&
	       words[word] >> bit & 1;
}

static const char *lacking(const struct leaves *l)
{
	for (size_t i = 0; i < array_len(features); i++) {
		const struct feature *f = &features[i];

		if (host_has(f->leaf, f->word, f->bit) && !guest_has(l, f->leaf, f->word, f->bit))
			return f->name;
	}
	return NULL;
}

/* "Y" or "1"; where there is no such file another kind of processor's module is at work. */
static int says_no(const char *path)
{
	long fd = SYS_4(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	char c = 'Y';

	if (sys_failed(fd))
		return -1;
	(void)!SYS_3(SYS_read, fd, &c, 1);
	SYS_1(SYS_close, fd);
	return c == 'N' || c == '0';
}

static int is_nested(void)
{
	int intel = says_no("/sys/module/kvm_intel/parameters/ept");
	int amd = says_no("/sys/module/kvm_amd/parameters/npt");

	return intel == 0 || amd == 0;
}

static int find_facts(int device, struct umpa_kvm_facts *f)
{
	static const struct {
		long capability;
		const char *name;
	} needed[] = {{KVM_CAP_USER_MEMORY, "user memory"},
		{KVM_CAP_SYNC_REGS, "synchronised registers"},
		{KVM_CAP_IMMEDIATE_EXIT, "immediate exit"}};
	const struct kvm_cpuid_entry2 *leaf;
	struct leaves l;
	int ncpus;

	if (ask(device, KVM_GET_API_VERSION, 0) != API_VERSION) {
		f->lacking = "this version of KVM's interface";
		return -ENOTSUP;
	}
	for (size_t i = 0; i < array_len(needed); i++)
		if (ask(device, KVM_CHECK_EXTENSION, (unsigned long)needed[i].capability) <= 0) {
			f->lacking = needed[i].name;
			return -ENOTSUP;
		}
	if (get_leaves(device, &l)) {
		f->lacking = "CPUID";
		return -ENOTSUP;
	}
	ncpus = ask(device, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	f->ncpus_max = ncpus > 0 ? (unsigned)ncpus : 1;
	leaf = find_leaf(&l, 0x80000008, 0);
	f->physical_nbits = leaf ? leaf->eax & 0xff : 36;
	leaf = find_leaf(&l, 0x80000001, 0);
	f->gib_leaves = leaf && leaf->edx >> 26 & 1;
	f->nested = is_nested();
	f->lacking = lacking(&l);
	return 0;
}

/* --- machines ----------------------------------------------------------------------------- */

static int make_vm(struct umpa_kvm *k)
{
	uint64_t identity_map = IDENTITY_MAP;
	int vm;

	do
		vm = ask(k->device, KVM_CREATE_VM, 0);
	while (vm == -EINTR);
	if (vm < 0)
		return vm;
	/* Some processors need them; others refuse, and don't. */
	(void)!ask_with(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	(void)!ask(vm, KVM_SET_TSS_ADDR, TSS_PAGES);
	(void)!SYS_3(SYS_fcntl, vm, F_SETFD, FD_CLOEXEC);
	k->vm = vm;
	return 0;
}

int umpa_kvm_open(struct umpa_kvm *k)
{
	long fd = SYS_4(SYS_openat, AT_FDCWD, "/dev/kvm", O_RDWR | O_CLOEXEC, 0);
	int error;

	memset(k, 0, sizeof(*k));
	if (sys_failed(fd))
		return fd == -ENOENT || fd == -ENXIO ? -ENODEV : (int)fd;
	k->device = (int)fd;
	error = find_facts(k->device, &k->facts);
	if (!error)
		error = make_vm(k);
	if (error)
		SYS_1(SYS_close, fd);
	return error;
}

/* A program may have closed what it doesn't know, and the number may be another file's by now: it
 * answers as one of KVM's, in a child by EIO, or stays open. */
static void close_own(int fd, unsigned long request, unsigned long arg)
{
	int answer = ask(fd, request, arg);

	if (answer >= 0 || answer == -EIO)
		SYS_1(SYS_close, fd);
}

void umpa_kvm_close(struct umpa_kvm *k)
{
	close_own(k->vm, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY);
	close_own(k->device, KVM_GET_API_VERSION, 0);
}

/* KVM takes less than 8 TiB in one slot. */
#define SLOT_NBYTES_MAX ((uint64_t)4 << 40)

int umpa_kvm_show(struct umpa_kvm *k, void *addr, uint64_t nbytes, uint64_t physical)
{
	struct kvm_userspace_memory_region r = {
		.guest_phys_addr = physical, .userspace_addr = (uintptr_t)addr};
	int error = 0;

	if (nbytes > 2 * SLOT_NBYTES_MAX && !k->facts.nested)
		return -ENOTSUP;
	for (; !error && nbytes; nbytes -= r.memory_size) {
		r.slot = k->nshown++;
		r.memory_size = nbytes < SLOT_NBYTES_MAX ? nbytes : SLOT_NBYTES_MAX;
		error = ask_with(k->vm, KVM_SET_USER_MEMORY_REGION, &r);
		r.guest_phys_addr += r.memory_size;
		r.userspace_addr += r.memory_size;
	}
	return error;
}

/* --- CPUs --------------------------------------------------------------------------------- */

/* The parts of the processor's state that libc was told it may use. */
static uint64_t host_xcr0(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

/* Those of them that a guest has. */
static uint64_t xcr0_of(const struct leaves *l)
{
	const struct kvm_cpuid_entry2 *leaf = find_leaf(l, 0xd, 0);

	return leaf ? umpa_kvm_whole_parts(host_xcr0() & ((uint64_t)leaf->edx << 32 | leaf->eax))
		    : 0;
}

static int set_up(const struct umpa_kvm *k, struct umpa_kvm_cpu *cpu)
{
	uint64_t offset = 0;
	struct kvm_device_attr clock = {.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset};
	struct leaves l;
	int error = get_leaves(k->device, &l);

	if (!error)
		error = ask_with(cpu->fd, KVM_SET_CPUID2, &l);
	/* Where it can be had, a guest reads the clock that the host does. */
	(void)!ask_with(cpu->fd, KVM_SET_DEVICE_ATTR, &clock);
	cpu->xcr0 = guest_has(&l, 1, ECX, 26) ? xcr0_of(&l) : 0;
	cpu->has_fsgsbase = guest_has(&l, 7, EBX, 0);
	return error;
}

int umpa_kvm_add_cpu(struct umpa_kvm *k, unsigned number, struct umpa_kvm_cpu *cpu)
{
	int nbytes = ask(k->device, KVM_GET_VCPU_MMAP_SIZE, 0), error;
	int fd = ask(k->vm, KVM_CREATE_VCPU, number);
	long shared;

	if (fd < 0)
		return fd;
	*cpu = (struct umpa_kvm_cpu){.fd = fd, .nbytes = (size_t)nbytes};
	error = nbytes < 0 ? nbytes : set_up(k, cpu);
	shared = error ? error
		       : sys_call(SYS_mmap, 0, nbytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sys_failed(shared)) {
		SYS_1(SYS_close, fd);
		return (int)shared;
	}
	cpu->shared = (void *)shared;
	return 0;
}

void umpa_kvm_remove_cpu(struct umpa_kvm_cpu *cpu)
{
	struct kvm_regs registers;

	SYS_2(SYS_munmap, cpu->shared, cpu->nbytes);
	close_own(cpu->fd, KVM_GET_REGS, (unsigned long)&registers);
}

#define CR0_MODE     0x80050033 /* PE MP ET NE WP AM PG */
#define CR4_MODE     0x620      /* PAE OSFXSR OSXMMEXCPT */
#define CR4_FSGSBASE ((uint64_t)1 << 16)
#define CR4_OSXSAVE  ((uint64_t)1 << 18)
#define EFER_MODE    0xd01 /* SCE LME LMA NXE */

enum {
	MSR_STAR = (int)0xc0000081,
	MSR_LSTAR = (int)0xc0000082,
	MSR_FMASK = (int)0xc0000084
};

static int set_xcr0(const struct umpa_kvm_cpu *cpu)
{
	struct kvm_xcrs x = {.nr_xcrs = 1};

	x.xcrs[0].value = cpu->xcr0;
	return ask_with(cpu->fd, KVM_SET_XCRS, &x);
}

enum {
	MXCSR_WORD = 6 /* of what XSAVE stores */
};

/* As a fresh process has it. */
static int reset_floating_point(const struct umpa_kvm_cpu *cpu)
{
	struct kvm_fpu f;
	struct kvm_xsave x;

	memset(&f, 0, sizeof(f));
	f.fcw = 0x37f;
	/* Which does not look at MXCSR. */
	if (!ask_with(cpu->fd, KVM_GET_XSAVE, &x)) {
		x.region[MXCSR_WORD] = 0x1f80;
		(void)!ask_with(cpu->fd, KVM_SET_XSAVE, &x);
	}
	return ask_with(cpu->fd, KVM_SET_FPU, &f);
}

/* x87, SSE, AVX, AVX-512: not what protects memory from the thread, or describes it. */
#define PARTS_OF_CODE ((uint64_t)0xe7)

_Static_assert(sizeof(struct kvm_xsave) == KVM_VECTORS_NBYTES, "the kernel's");

int umpa_kvm_get_vectors(struct umpa_kvm_cpu *cpu, void *vectors, uint64_t *parts)
{
	*parts = cpu->xcr0 & PARTS_OF_CODE;
	return ask_with(cpu->fd, KVM_GET_XSAVE, vectors);
}

static int set_msrs(const struct umpa_kvm_cpu *cpu, const struct umpa_kvm_state *s)
{
	struct {
		uint32_t n, padding;
		struct kvm_msr_entry msr[3];
	} m = {.n = 3};

	m.msr[0].index = (uint32_t)MSR_STAR;
	m.msr[0].data = (uint64_t)s->code << 32 | (uint64_t)s->code << 48;
	m.msr[1].index = (uint32_t)MSR_LSTAR;
	m.msr[1].data = s->syscall_rip;
	m.msr[2].index = (uint32_t)MSR_FMASK;
	return ask_with(cpu->fd, KVM_SET_MSRS, &m) == 3 ? 0 : -ENOTSUP;
}

int umpa_kvm_set_state(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_state *s)
{
	struct kvm_segment code = {.limit = ~0u,
		.selector = s->code,
		.type = 11,
		.present = 1,
		.s = 1,
		.l = 1,
		.g = 1};
	struct kvm_segment data = {.limit = ~0u,
		.selector = s->data,
		.type = 3,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1};
	struct kvm_vcpu_events none = {.flags = 0}; /* of a trap that it was about to take */
	struct kvm_sregs r;
	int error = ask_with(cpu->fd, KVM_GET_SREGS, &r);

	if (error)
		return error;
	r.cr0 = CR0_MODE;
	r.cr3 = s->tables;
	r.cr4 = CR4_MODE | (cpu->xcr0 ? CR4_OSXSAVE : 0) | (cpu->has_fsgsbase ? CR4_FSGSBASE : 0);
	r.efer = EFER_MODE;
	r.cs = code;
	r.ss = r.ds = r.es = r.fs = r.gs = data;
	r.fs.base = s->fs_base;
	r.gs.base = s->gs_base;
	r.gdt = (struct kvm_dtable){.base = s->gdt, .limit = s->gdt_limit};
	r.idt = (struct kvm_dtable){.base = s->idt, .limit = s->idt_limit};
	r.tr = (struct kvm_segment){.base = s->tss,
		.limit = s->tss_limit,
		.selector = s->task,
		.type = 11,
		.present = 1};
	error = ask_with(cpu->fd, KVM_SET_SREGS, &r);
	if (!error)
		error = ask_with(cpu->fd, KVM_SET_VCPU_EVENTS, &none);
	if (!error && cpu->xcr0)
		error = set_xcr0(cpu);
	if (!error)
		error = reset_floating_point(cpu);
	return error ? error : set_msrs(cpu, s);
}

/* A root with another bit that means nothing here is another one, which the kernel has to look up
 * anew, and the processor with it. */
#define CR3_WRITE_THROUGH ((uint64_t)1 << 3)

int umpa_kvm_forget(struct umpa_kvm_cpu *cpu)
{
	struct kvm_sregs r = {.cr3 = 0};
	int error = ask_with(cpu->fd, KVM_GET_SREGS, &r);

	if (error)
		return error;
	r.cr3 ^= CR3_WRITE_THROUGH;
	return ask_with(cpu->fd, KVM_SET_SREGS, &r);
}

/* --- running ------------------------------------------------------------------------------ */

_Static_assert(sizeof(struct umpa_kvm_registers) == sizeof(struct kvm_regs), "the kernel's order");

/* Of Linux 6.8: what a -EFAULT is about, behind the flags. */
enum {
	EXIT_MEMORY_FAULT = 39
};

static uint64_t refused_physical(const struct kvm_run *run)
{
	const uint64_t *about = (const uint64_t *)(const void *)&run->hw;

	return run->exit_reason == EXIT_MEMORY_FAULT ? about[1] : UINT64_MAX;
}

/* Why the kernel came back without having run the guest, or after it did what it may not. */
static void explain(const struct kvm_run *run, struct umpa_kvm_event *e)
{
	e->physical = UINT64_MAX;
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		e->exit = run->io.direction == KVM_EXIT_IO_OUT ? KVM_PORT : KVM_BROKEN;
		e->port = run->io.port;
		break;
	case KVM_EXIT_MMIO:
		e->exit = KVM_NOTHING;
		e->physical = run->mmio.phys_addr;
		break;
	case KVM_EXIT_HLT:
		e->exit = KVM_HALT;
		break;
	case KVM_EXIT_SHUTDOWN:
		e->exit = KVM_SHUTDOWN;
		break;
	default:
		e->exit = KVM_BROKEN;
	}
}

/* The kernel has begun to interpret an access to nothing, or to a port that is read, and would end
 * it when the CPU is run next, in registers that are another function's by then. One of several
 * pages or words comes out for each. */
enum {
	NPIECES_MAX = 4096
};

static void end_access(const struct umpa_kvm_cpu *cpu)
{
	struct kvm_run *run = cpu->shared;
	int error = 0;

	run->kvm_dirty_regs = 0;
	run->immediate_exit = 1;
	for (int i = 0; !error && i < NPIECES_MAX; i++)
		error = ask(cpu->fd, KVM_RUN, 0);
	run->immediate_exit = 0;
}

int umpa_kvm_run(struct umpa_kvm_cpu *cpu, struct umpa_kvm_event *e)
{
	struct kvm_run *run = cpu->shared;
	int error;

	memcpy(&run->s.regs.regs, &e->registers, sizeof(e->registers));
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	run->exit_reason = KVM_EXIT_UNKNOWN;
	error = ask(cpu->fd, KVM_RUN, 0);
	if (error == -EIO)
		return error;
	e->error = error;
	if (error) {
		/* The registers are not in what is shared then. */
		(void)!ask_with(cpu->fd, KVM_GET_REGS, &run->s.regs.regs);
		e->exit = error == -EINTR    ? KVM_SIGNAL
			  : error == -EFAULT ? KVM_NOTHING
					     : KVM_BROKEN;
		e->physical = error == -EFAULT ? refused_physical(run) : UINT64_MAX;
	} else {
		explain(run, e);
	}
	memcpy(&e->registers, &run->s.regs.regs, sizeof(e->registers));
	if (!error && (e->exit == KVM_NOTHING || e->exit == KVM_BROKEN))
		end_access(cpu);
	return 0;
}

/* --- alarms ------------------------------------------------------------------------------- */

/*
 * A signal that is blocked but for guest mode, which it ends, and then taken away. One that is of
 * no use on this processor, and none of the real-time ones: these are refused where a limit of
 * signals on their way is reached. Nobody handles it, so that it would end the process where a
 * function has it not blocked for a moment, by ppoll() and the like: a handler that does nothing is
 * there for that, from the first time on, unless the program has one.
 */
enum {
	ALARM_SIGNAL = SIGSTKFLT,
	AGAIN_NS = 5000000,
	NSIGNAL_BYTES = 8
};

static void ignore(int signal)
{
	(void)signal;
}

static void handle_alarm(void)
{
	static int handled; /* atomic */
	struct sigaction now, nothing = {.sa_handler = ignore, .sa_flags = SA_RESTART};

	if (__atomic_load_n(&handled, __ATOMIC_RELAXED))
		return;
	if (!sigaction(ALARM_SIGNAL, NULL, &now) && now.sa_handler == SIG_DFL)
		sigaction(ALARM_SIGNAL, &nothing, NULL);
	__atomic_store_n(&handled, 1, __ATOMIC_RELAXED);
}

static const uint64_t alarm_bit = (uint64_t)1 << (ALARM_SIGNAL - 1);

/* The signals that are blocked in guest mode; NULL: as outside. */
static int set_mask(const struct umpa_kvm_cpu *cpu, const uint64_t *blocked)
{
	struct {
		uint32_t n;
		uint8_t set[NSIGNAL_BYTES];
	} m = {.n = NSIGNAL_BYTES};

	if (!blocked)
		return ask(cpu->fd, KVM_SET_SIGNAL_MASK, 0);
	memcpy(m.set, blocked, NSIGNAL_BYTES);
	return ask_with(cpu->fd, KVM_SET_SIGNAL_MASK, &m);
}

int umpa_kvm_thread(void)
{
	return (int)sys_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

/* And again after that: a run in a handler of a signal, which came just before this one went into
 * guest mode, takes away what has come by then. */
static int set_timer(int timer, uint64_t ns)
{
	struct itimerspec when = {.it_value = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)},
		.it_interval = {0, AGAIN_NS}};

	return (int)SYS_4(SYS_timer_settime, timer, 0, &when, 0);
}

static int start_timer(uint64_t ns, int *timer)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = ALARM_SIGNAL};
	int error;

	event._sigev_un._tid = umpa_kvm_thread();
	error = (int)SYS_3(SYS_timer_create, CLOCK_MONOTONIC, &event, timer);
	return error ? error : set_timer(*timer, ns);
}

/* No other signal: a handler that ran since may have blocked some for good. */
static void unblock_alarm(const struct umpa_kvm_alarm *alarm)
{
	if (!(alarm->blocked & alarm_bit))
		SYS_4(SYS_rt_sigprocmask, SIG_UNBLOCK, &alarm_bit, 0, NSIGNAL_BYTES);
}

int umpa_kvm_arm(struct umpa_kvm_cpu *cpu, uint64_t ns, struct umpa_kvm_alarm *alarm)
{
	uint64_t wanted;
	int error;

	handle_alarm();
	alarm->timer = -1;
	SYS_4(SYS_rt_sigprocmask, SIG_BLOCK, &alarm_bit, &alarm->blocked, NSIGNAL_BYTES);
	wanted = alarm->blocked & ~alarm_bit;
	error = set_mask(cpu, &wanted);
	if (!error && ns)
		error = start_timer(ns, &alarm->timer);
	if (error) {
		umpa_kvm_drop(cpu, alarm);
		unblock_alarm(alarm);
	}
	return error;
}

void umpa_kvm_follow_mask(struct umpa_kvm_cpu *cpu, struct umpa_kvm_alarm *alarm)
{
	uint64_t wanted, before = alarm->blocked & alarm_bit, now = 0;

	SYS_4(SYS_rt_sigprocmask, SIG_BLOCK, &alarm_bit, &now, NSIGNAL_BYTES);
	wanted = now & ~alarm_bit;
	if (alarm->blocked == (wanted | before))
		return;
	alarm->blocked = wanted | before;
	(void)!set_mask(cpu, &wanted);
}

void umpa_kvm_rearm(const struct umpa_kvm_alarm *alarm, uint64_t ns)
{
	if (alarm->timer != -1)
		(void)set_timer(alarm->timer, ns);
}

/* It is queued as often as it was sent. */
void umpa_kvm_hush(void)
{
	struct timespec now = {0, 0};

	while (SYS_4(SYS_rt_sigtimedwait, &alarm_bit, 0, &now, NSIGNAL_BYTES) > 0)
		;
}

void umpa_kvm_disarm(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_alarm *alarm)
{
	if (alarm->timer != -1)
		SYS_1(SYS_timer_delete, alarm->timer);
	umpa_kvm_hush();
	(void)!set_mask(cpu, NULL);
	unblock_alarm(alarm);
}

void umpa_kvm_drop(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_alarm *alarm)
{
	if (alarm->timer != -1)
		SYS_1(SYS_timer_delete, alarm->timer);
	(void)!set_mask(cpu, NULL);
}

uint64_t umpa_kvm_hold_signals(void)
{
	uint64_t all = UINT64_MAX, before = 0;

	SYS_4(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, NSIGNAL_BYTES);
	return before;
}

void umpa_kvm_let_signals(uint64_t held)
{
	SYS_4(SYS_rt_sigprocmask, SIG_SETMASK, &held, 0, NSIGNAL_BYTES);
}

void umpa_kvm_interrupt(int thread)
{
	SYS_3(SYS_tgkill, SYS_1(SYS_getpid, 0), thread, ALARM_SIGNAL);
}

int umpa_kvm_is_thread(int thread)
{
	return SYS_3(SYS_tgkill, SYS_1(SYS_getpid, 0), thread, 0) != -ESRCH;
}

uint64_t umpa_kvm_fs_base(void)
{
	uint64_t base = 0;

	SYS_2(SYS_arch_prctl, ARCH_GET_FS, &base);
	return base;
}
