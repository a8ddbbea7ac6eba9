/*
 * /dev/kvm: a virtual machine whose memory is this process's own, and CPUs that run in it. The
 * contract of src/os/os.h holds: one verb is one thing, 0 or -errno, nothing changed where it
 * refuses, no allocation, errno left alone.
 *
 * A machine is used by the process that made it: in a child after fork() the kernel answers -EIO.
 *
 * Two implementations: os_kvm.c for the kernel, tests/support/fake_kvm.c for the unit tests, whose
 * CPUs do what they are told to.
 */
#ifndef UMPA_OS_KVM_H
#define UMPA_OS_KVM_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct umpa_kvm_facts {
	unsigned physical_nbits; /* of a guest's physical addresses */
	unsigned ncpus_max;
	int gib_leaves;      /* page tables may have leaves of a GiB */
	int nested;          /* the MMU walks a guest's tables itself; 0: the kernel shadows them */
	const char *lacking; /* instructions that libc may use here and a guest has not, or what
				a -ENOTSUP is for; NULL */
};

struct umpa_kvm {
	int device, vm; /* descriptors */
	struct umpa_kvm_facts facts;
	unsigned nshown; /* the kernel's slots in use */
};

/*
 * Makes a machine without memory or CPUs. -ENODEV: there is no /dev/kvm, or none for this kind of
 * processor; -EACCES: it may not be used; -ENOTSUP: it is too old, and k->facts.lacking says what
 * it lacks; -EMFILE and the like.
 */
must_check int umpa_kvm_open(struct umpa_kvm *k);
void umpa_kvm_close(struct umpa_kvm *k);

/* Shows the guest memory of the process, mapped or not, at a physical address. -ENOTSUP: more than
 * 8 TiB, as a process may well reserve (sanitizers do), where the kernel shadows page tables, for
 * which it has books of each page. */
must_check int umpa_kvm_show(struct umpa_kvm *k, void *addr, uint64_t nbytes, uint64_t physical);

/* The general registers, in the kernel's order. */
struct umpa_kvm_registers {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rip, rflags;
};

struct umpa_kvm_cpu {
	int fd;
	size_t nbytes;
	void *shared;  /* with the kernel */
	uint64_t xcr0; /* the parts of its state that libc may use; 0: it can't be told to have any
			*/
	int has_fsgsbase;
};

must_check int umpa_kvm_add_cpu(struct umpa_kvm *k, unsigned number, struct umpa_kvm_cpu *cpu);
void umpa_kvm_remove_cpu(struct umpa_kvm_cpu *cpu);

/* What a CPU is to be: 64-bit, ring 0, interrupts off, floating point as a fresh process has it. */
struct umpa_kvm_state {
	uint64_t tables; /* physical address of the root */
	uint64_t gdt, idt, tss;
	uint16_t gdt_limit, idt_limit, tss_limit;
	uint16_t code, data, task; /* selectors */
	uint64_t fs_base, gs_base;
	uint64_t syscall_rip; /* where a `syscall` goes */
};

must_check int umpa_kvm_set_state(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_state *s);

/* What the CPU has in other registers than the general ones, as XSAVE stores it, at a multiple of
 * 64. *parts: what of it XRSTOR is to take; 0: the processor knows FXRSTOR alone. */
enum {
	KVM_VECTORS_NBYTES = 4096
};

/* Parts of the processor's state (XCR0) that are to be had all together or not at all, as MPX's,
 * those of AVX-512, and AMX's: without those of which one is missing. */
static inline uint64_t umpa_kvm_whole_parts(uint64_t parts)
{
	static const uint64_t together[] = {0x18, 0xe0, 0x60000};

	for (size_t i = 0; i < array_len(together); i++)
		if ((parts & together[i]) != together[i])
			parts &= ~together[i];
	return parts;
}

must_check int umpa_kvm_get_vectors(struct umpa_kvm_cpu *cpu, void *vectors, uint64_t *parts);

enum umpa_kvm_exit {
	KVM_PORT,     /* it wrote to a port */
	KVM_SIGNAL,   /* a signal was delivered to the thread, or is about to be */
	KVM_HALT,     /* hlt */
	KVM_NOTHING,  /* a physical address behind which nothing is, or not what was asked of it */
	KVM_SHUTDOWN, /* a fault within a fault within a fault; the registers are lost */
	KVM_BROKEN    /* the kernel can't go on with it */
};

struct umpa_kvm_event {
	enum umpa_kvm_exit exit;
	unsigned port;
	uint64_t physical;                   /* KVM_NOTHING, where it is known; else UINT64_MAX */
	int error;                           /* -errno, where the kernel gave one */
	struct umpa_kvm_registers registers; /* on the way out, and in again */
};

/* What the CPU remembers of page tables is forgotten before it goes on. */
must_check int umpa_kvm_forget(struct umpa_kvm_cpu *cpu);

/* Goes on with the registers of the event, until the CPU comes out again. 0; -EIO: this process did
 * not make the machine. */
must_check int umpa_kvm_run(struct umpa_kvm_cpu *cpu, struct umpa_kvm_event *event);

/*
 * From now on, until umpa_kvm_disarm(), this thread comes out of umpa_kvm_run() with KVM_SIGNAL
 * once `ns` nanoseconds are over, unless that is 0, and whenever it is called by
 * umpa_kvm_interrupt(). -EAGAIN, -ENOMEM: no timer is to be had.
 */
struct umpa_kvm_alarm {
	uint64_t blocked; /* in guest mode, and whether the alarm's signal was before */
	int timer;        /* -1: none */
};

must_check int umpa_kvm_arm(struct umpa_kvm_cpu *cpu, uint64_t ns, struct umpa_kvm_alarm *alarm);
void umpa_kvm_disarm(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_alarm *alarm);

/* The same for who is another thread than the one that armed: its signals are its own. */
void umpa_kvm_drop(struct umpa_kvm_cpu *cpu, const struct umpa_kvm_alarm *alarm);

/* The thread has changed which signals it blocks: so does guest mode. */
void umpa_kvm_follow_mask(struct umpa_kvm_cpu *cpu, struct umpa_kvm_alarm *alarm);

/* In ns nanoseconds once more, where there is a timer. */
void umpa_kvm_rearm(const struct umpa_kvm_alarm *alarm, uint64_t ns);

/* After KVM_SIGNAL: it need not come out again for what has come by now. */
void umpa_kvm_hush(void);

/* From here to there no handler of a signal runs in this thread, which may jump away for good. */
uint64_t umpa_kvm_hold_signals(void);
void umpa_kvm_let_signals(uint64_t held);

/* The calling thread; and one, that is armed, is called out. */
int umpa_kvm_thread(void);
void umpa_kvm_interrupt(int thread);

/* 1: there is such a thread in this process. */
int umpa_kvm_is_thread(int thread);

/* The calling thread's FS base: where its thread-local variables are. */
uint64_t umpa_kvm_fs_base(void);

#endif
