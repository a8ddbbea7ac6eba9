/* Functions that leave without returning, on a fake /dev/kvm: where the program goes on, and that
 * nobody has the CPU. */
#include <alloca.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>

#include "core/core.h"
#include "support/check.h"
#include "support/child.h"
#include "support/fake_kvm.h"
#include "support/fake_os.h"
#include "vmm/left.h"

static struct umpa_vmm *vmm;
static struct umpa_vmm_fault fault;

/* has_vectors 0: those of guests are of no use, and are left alone. */
static void begin_on(const struct umpa_vmm_options *o, int has_vectors)
{
	umpa_core_stop();
	fake_reset();
	fake_kvm_reset();
	if (!has_vectors)
		fake_kvm.facts.nested = 0, fake_kvm.facts.lacking = "all";
	umpa_core_start();
	REQUIRE(!umpa_vmm_create(&vmm, o));
	memset(&fault, 0, sizeof(fault));
}

static void begin(const struct umpa_vmm_options *o)
{
	begin_on(o, 1);
}

static long function(struct umpa_guest *g, void *arg)
{
	(void)g;
	return (long)arg;
}

static int return_at_once(struct umpa_kvm_event *e)
{
	e->exit = KVM_PORT;
	e->port = GUEST_PORT_DONE;
	e->registers.rax = 3;
	return 0;
}

static int is_fine(void)
{
	long ret = 0;

	fake_kvm.run = return_at_once;
	return !umpa_vmm_run(vmm, function, NULL, &ret, NULL) && ret == 3 &&
	       !umpa_vmm_sync(vmm, NULL, 0);
}

/* --- seen where it comes out -------------------------------------------------------------- */

static void *outside[5]; /* as __builtin_setjmp() has it: frame pointer, where to, stack */

static void go_outside(struct umpa_kvm_registers *r)
{
	r->rbp = (uintptr_t)outside[0];
	r->rip = (uintptr_t)outside[1];
	r->rsp = (uintptr_t)outside[2];
}

/* Interrupted there. */
static int come_out_interrupted(struct umpa_kvm_event *e)
{
	go_outside(&e->registers);
	e->exit = KVM_SIGNAL;
	return 0;
}

/* In a system call, to be made anew. */
static int come_out_in_call(struct umpa_kvm_event *e)
{
	go_outside(&e->registers);
	e->exit = KVM_PORT;
	e->port = GUEST_PORT_CALL;
	e->registers.rcx = e->registers.rip + 2;
	e->registers.rip = (uintptr_t)umpa_guest_call;
	return 0;
}

/* At what is hidden. */
static int come_out_in_trap(struct umpa_kvm_event *e)
{
	struct umpa_guest_cpu *inner = &vmm->cpu[0].inner;
	struct umpa_trap *trap =
		(struct umpa_trap *)(inner->trap_stack + sizeof(inner->trap_stack)) - 1;

	*trap = (struct umpa_trap){.vector = 14,
		.rbp = (uintptr_t)outside[0],
		.rip = (uintptr_t)outside[1],
		.rsp = (uintptr_t)outside[2]};
	inner->outermost = trap;
	e->exit = KVM_PORT;
	e->port = GUEST_PORT_TRAP;
	e->registers.rax = (uintptr_t)trap;
	e->registers.rsp = (uintptr_t)trap - 64;
	return 0;
}

__attribute__((noinline)) static int leaves(int (*by)(struct umpa_kvm_event *))
{
	fake_kvm.run = by;
	if (__builtin_setjmp(outside))
		return 1;
	umpa_vmm_run(vmm, function, NULL, NULL, &fault);
	return 0;
}

TEST(vmm_left_goes_on_outside)
{
	static int (*const ways[])(struct umpa_kvm_event *) = {
		come_out_interrupted, come_out_in_call, come_out_in_trap};
	struct umpa_vmm_options o = {.ncpus = 2};

	PLAN(18);
	for (unsigned i = 0; i < 3; i++) {
		begin(&o);
		CHECK(leaves(ways[i]));
		CHECK_EQ(fault.cause, UMPA_VMM_FAULT_LEFT);
		CHECK_EQ(fault.ip + fault.sp, 0);
		CHECK_EQ(fake_kvm.nalarms, 0);
		CHECK(is_fine());
		umpa_vmm_destroy(vmm);
	}
}

/* Whatever is refused then, it goes on. */
TEST(vmm_left_whatever_is_refused)
{
	struct umpa_vmm_options o = {.flags = UMPA_VMM_ALLOW_SLOW};
	unsigned nleft = 0;

	PLAN(7);
	for (uint64_t n = 1; n <= 6; n++) {
		begin_on(&o, 0);
		fake_fail_at(n, -ENOMEM);
		nleft += (unsigned)leaves(come_out_interrupted);
		fake_fail_at(0, 0);
		umpa_vmm_destroy(vmm);
	}
	CHECK(nleft >= 4);
}

/* Interrupted where the processor is at the system call's way to the host, and not there yet. */
static int come_out_before_call(struct umpa_kvm_event *e)
{
	come_out_in_call(e);
	e->exit = KVM_SIGNAL;
	return 0;
}

/* In a handler of its faults. */
static int come_out_in_handler(struct umpa_kvm_event *e)
{
	come_out_in_trap(e);
	e->exit = KVM_SIGNAL;
	e->registers.rsp -= 1000;
	e->registers.rip = 77;
	return 0;
}

/* A breakpoint, which is said to be where the next instruction is. */
static int come_out_at_breakpoint(struct umpa_kvm_event *e)
{
	struct umpa_trap *trap;

	come_out_in_trap(e);
	trap = (struct umpa_trap *)e->registers.rax;
	trap->vector = 3;
	trap->rip++;
	return 0;
}

TEST(vmm_left_in_whatever_it_was)
{
	static int (*const ways[])(struct umpa_kvm_event *) = {
		come_out_before_call, come_out_in_handler, come_out_at_breakpoint};

	PLAN(9);
	for (unsigned i = 0; i < 3; i++) {
		begin(NULL);
		CHECK(leaves(ways[i]));
		CHECK(is_fine());
		umpa_vmm_destroy(vmm);
	}
}

/* --- what can't be gone on with ----------------------------------------------------------- */

/* Its vectors are refused: the program ends, as it would go on with others. */
static void leave_without_vectors(void *nothing)
{
	(void)nothing;
	begin(NULL);
	REQUIRE(leaves(come_out_interrupted)); /* the thread's own are learned */
	fake_fail_at(1, -EINVAL);
	leaves(come_out_interrupted);
}

/* One that has left is shut down, after its frames were overwritten: what was saved is no more. */
static int spoil_frames_and_shut_down(struct umpa_kvm_event *e)
{
	*(uintptr_t *)vmm->cpu[0].stand.frame ^= 64;
	e->exit = KVM_SHUTDOWN;
	return 0;
}

static void leave_and_be_shut_down(void *nothing)
{
	(void)nothing;
	begin(NULL);
	fake_kvm.run = spoil_frames_and_shut_down;
	umpa_vmm_run(vmm, function, NULL, NULL, NULL);
}

static void check_ends(void (*run)(void *), const char *says)
{
	struct child_end end;

	child_run(run, NULL, &end);
	CHECK_EQ(end.signal, SIGABRT);
	CHECK(strstr(end.stderr_text, says) != NULL);
}

TEST(vmm_left_and_no_way_on)
{
	PLAN(4);
	check_ends(leave_without_vectors, "its registers are not to be had");
	check_ends(leave_and_be_shut_down, "what came of it can't be gone on with");
}

/* --- what is written, and hidden ---------------------------------------------------------- */

/* The record of a frame that is left is not written to, nor is any that is left behind. */
__attribute__((noinline)) static int leaves_record(struct umpa_vmm_fault *record)
{
	fake_kvm.run = come_out_interrupted;
	if (__builtin_setjmp(outside))
		return record->cause == UMPA_VMM_FAULT_LEFT;
	record->cause = UMPA_VMM_FAULT_NONE;
	umpa_vmm_run(vmm, function, NULL, NULL, record);
	return 0;
}

static struct umpa_vmm_fault watched;

static int spoil_and_come_out(struct umpa_kvm_event *e)
{
	memset(&watched, 0x5a, sizeof(watched));
	return come_out_interrupted(e);
}

TEST(vmm_left_writes_to_nothing_that_was_left)
{
	unsigned char *at = (unsigned char *)&watched;
	unsigned nwrong = 0;

	PLAN(4);
	begin(NULL);
	CHECK(leaves_record(&watched));
	fake_kvm.run = spoil_and_come_out;
	if (!__builtin_setjmp(outside))
		umpa_vmm_run(vmm, function, NULL, NULL, &watched);
	for (size_t i = 0; i < sizeof(watched); i++)
		nwrong += at[i] != 0x5a;
	CHECK_EQ(nwrong, 0);
	CHECK(is_fine());
	umpa_vmm_destroy(vmm);
}

/* What is hidden is said on the way in. */
TEST(vmm_left_is_prepared_for)
{
	struct umpa_guest_cpu *inner;
	char here = 0;

	PLAN(5);
	begin(NULL);
	inner = &vmm->cpu[0].inner;
	CHECK(is_fine());
	CHECK_EQ(inner->hide.begin, 0); /* by nobody yet: there is no guest */
	fake_kvm.run = return_at_once;
	umpa_vmm_run(vmm, function, NULL, NULL, NULL);
	CHECK(inner->hide_end < (uintptr_t)&here && inner->hide_end > (uintptr_t)&here - 12288);
	CHECK(inner->hide_end - inner->hide_begin >= 4096 &&
		inner->hide_end - inner->hide_begin <= 65536);
	umpa_vmm_destroy(vmm);
}

/* --- not seen, until the thread comes by again -------------------------------------------- */

static jmp_buf back;

static int leave_handler(struct umpa_kvm_event *e)
{
	(void)e;
	longjmp(back, 1);
}

static long leave_outside(struct umpa_guest *g, void *arg)
{
	(void)g, (void)arg;
	longjmp(back, 1);
}

__attribute__((noinline)) static int run_below(int nframes)
{
	volatile char frame[700];
	int error;

	memset((void *)(uintptr_t)frame, nframes, sizeof(frame));
	error = nframes ? run_below(nframes - 1)
			: umpa_vmm_run(vmm, leave_outside, NULL, NULL, NULL);
	return error + frame[5] * 0;
}

/* As other functions do in between: frames may leave single words of the stack as they were, and by
 * such a one it is told whether a call is over. */
__attribute__((noinline)) static void use_stack(void)
{
	volatile char all[24576];

	memset((void *)(uintptr_t)all, 1, sizeof(all));
}

/* From so many frames below. Result: of the call; 1: it was left. */
__attribute__((noinline)) static int leave_from(int nframes)
{
	use_stack();
	fake_kvm.run = leave_handler;
	return setjmp(back) ? 1 : run_below(nframes);
}

/* From the same place of a page each time: at some, one in a hundred, what frames save is like the
 * word by which it is told whether a call is over. */
static void check_all_depths(void)
{
	static const int depths[] = {0, 0, 3, 3, 1, 9, 9, 0, 2, 5};
	volatile char *room = alloca(((uintptr_t)__builtin_frame_address(0) & 4095) + 16);
	unsigned nleft = 0;

	*room = 1;

	for (unsigned i = 0; i < 10; i++)
		nleft += leave_from(depths[i]) == 1;
	CHECK_EQ(nleft, 10);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	CHECK_EQ(leave_from(4), 1);
	umpa_vmm_destroy(vmm);
	CHECK_EQ(fake_kvm.nalarms, 0);
}

TEST(vmm_left_behind_is_taken_back)
{
	struct umpa_vmm_options one = {.time_ns = 1000000000}, two = {.ncpus = 2};

	PLAN(10);
	begin(&one);
	check_all_depths();
	begin(&two);
	check_all_depths();
}

/* The thread is no more. */
TEST(vmm_left_behind_by_the_dead)
{
	struct umpa_vmm_options o = {.ncpus = 2};

	PLAN(9);
	begin(&o);
	CHECK_EQ(umpa_vmm_owner(&vmm->cpu[0]), 0);
	fake_kvm.thread = 6;
	for (int i = 0; i < 2; i++) {
		umpa_vmm_set_owner(&vmm->cpu[i], 7 + i);
		(void)umpa_epoch_enter(&vmm->peers.epochs, (unsigned)i);
	}
	fake_kvm.run = return_at_once;
	CHECK_EQ(umpa_vmm_run(vmm, function, NULL, NULL, NULL), -EBUSY);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), -EBUSY);
	fake_kvm.dead = 8;
	CHECK_EQ(umpa_vmm_run(vmm, function, NULL, NULL, NULL), 0);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), -EBUSY);
	fake_kvm.dead = 7;
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	CHECK_EQ(umpa_epoch_reached(&vmm->peers.epochs, 0), EPOCH_OUT);
	CHECK_EQ(umpa_vmm_owner(&vmm->cpu[0]) + umpa_vmm_owner(&vmm->cpu[1]), 0);
	umpa_vmm_destroy(vmm);
}

TEST(vmm_left_behind_outside_is_taken_back)
{
	struct umpa_vmm_options o = {.flags = UMPA_VMM_ALLOW_HOST};

	PLAN(6);
	begin(&o);
	umpa_vmm_destroy(vmm);
	fake_kvm.error = -ENODEV;
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	check_all_depths();
}
