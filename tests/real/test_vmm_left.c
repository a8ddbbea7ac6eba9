/* Functions that leave guest mode without returning: the program goes on where they went. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "support/check.h"
#include "support/guest.h"
#include "vmm/machine.h"

static struct umpa_vmm *vmm;
static struct umpa_vmm_caps caps;
static __thread struct umpa_vmm_fault fault;
static __thread long ret;

static void begin(struct umpa_vmm_options options)
{
	vmm = guest_machine(options, &caps);
	memset(&fault, 0, sizeof(fault));
}

static void end(void)
{
	umpa_vmm_destroy(vmm);
}

/* The ring that this runs in says where. */
GUEST static int is_outside(void)
{
	uint64_t cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	return (cs & 3) == 3;
}

GUEST static long where(struct umpa_guest *g, void *arg)
{
	(void)g, (void)arg;
	return is_outside();
}

/* But where the window has a part of the stack's GiB, which is by chance, seldom. */
static int hides(void)
{
	return vmm->cpu[0].inner.hide.end != 0;
}

/* The machine is as good as before. */
static int is_fine(void)
{
	int error;

	ret = -1;
	error = umpa_vmm_run(vmm, where, NULL, &ret, NULL);
	if (error || ret)
		printf("  a run afterwards: error %d, result %ld\n", error, ret);
	return !error && !ret;
}

/* --- longjmp, in general registers -------------------------------------------------------- */

static __thread void *outside[5]; /* as the builtin has it */

GUEST static long jump_away(struct umpa_guest *g, void *arg)
{
	(void)g, (void)arg;
	__builtin_longjmp(outside, 1);
}

/* From so many frames below the one that is jumped to. */
GUEST static void run_below(int nframes)
{
	volatile char frame[3000];

	frame[0] = frame[2999] = 1;
	if (nframes)
		run_below(nframes - 1);
	else
		umpa_vmm_run(vmm, jump_away, NULL, NULL, &fault);
	frame[1] = 2;
}

/* Of the stack so much, and what is in it. */
GUEST static long go_down(int nframes)
{
	volatile long frame[400];
	long below;

	for (int i = 0; i < 400; i++)
		frame[i] = nframes + i;
	below = nframes ? go_down(nframes - 1) : 0;
	for (int i = 0; i < 400; i++)
		below += frame[i];
	return below;
}

enum after {
	AFTER_CALL, /* a system call */
	AFTER_DEEP, /* the stack that the host's frames are on */
	AFTER_LEAP  /* and that, with the first frame of all beyond the page that is nobody's */
};

GUEST static long leap(void)
{
	volatile long frame[2500];

	frame[0] = frame[2499] = 4;
	return frame[0] + frame[2499] + go_down(3);
}

/* Where the jump goes to. Result: 1 if all is as it was, outside. */
GUEST static int jump(int nframes, enum after after)
{
	volatile long mine[4] = {1, 2, 3, 4};
	long got = 0, wanted = after == AFTER_DEEP ? 24079800 : after == AFTER_LEAP ? 321608 : 0;

	if (__builtin_setjmp(outside) == 0) {
		run_below(nframes);
		return 0; /* never */
	}
	if (after == AFTER_DEEP)
		got = go_down(200);
	else if (after == AFTER_LEAP)
		got = leap();
	guest_call(SYS_getpid, 0, 0, 0);
	return is_outside() && mine[0] + mine[1] + mine[2] + mine[3] == 10 && got == wanted;
}

TEST(vmm_left_by_a_jump)
{
	PLAN(63);
	begin((struct umpa_vmm_options){0});
	CHECK(is_fine());
	CHECK_EQ(go_down(200), 24079800);
	for (int nframes = 0; nframes < 4; nframes++)
		for (int i = AFTER_CALL; i <= AFTER_LEAP; i++) {
			int after = hides() ? i : AFTER_CALL;

			memset(&fault, 0, sizeof(fault));
			CHECK(jump(nframes * nframes, (enum after)after));
			CHECK_EQ(fault.cause, UMPA_VMM_FAULT_LEFT);
			CHECK_EQ(fault.ip + fault.sp, 0);
			CHECK(is_fine() && !umpa_vmm_sync(vmm, NULL, 0));
			CHECK_EQ(fault.vector + fault.code + fault.address, 0);
		}
	end();
}

/* --- what goes along ---------------------------------------------------------------------- */

/* All registers but RAX, RSP and RSI, by RDI, at the moment it looks at the hidden page; and the
 * carry. To RSI. */
void registers_across(const uint64_t in[13], uint64_t out[14]);
__asm__(".text\n"
	"registers_across:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	"
	"push %r15\n"
	"	mov (%rdi), %rbx\n	mov 8(%rdi), %rbp\n	mov 16(%rdi), %r12\n"
	"	mov 24(%rdi), %r13\n	mov 32(%rdi), %r14\n	mov 40(%rdi), %r15\n"
	"	mov 48(%rdi), %rcx\n	mov 56(%rdi), %rdx\n	mov 64(%rdi), %r8\n"
	"	mov 72(%rdi), %r9\n	mov 80(%rdi), %r10\n	mov 88(%rdi), %r11\n"
	"	mov 96(%rdi), %rdi\n"
	"	stc\n"
	"	mov -16384(%rsp), %rax\n"
	"	setc 104(%rsi)\n"
	"	mov %rbx, (%rsi)\n	mov %rbp, 8(%rsi)\n	mov %r12, 16(%rsi)\n"
	"	mov %r13, 24(%rsi)\n	mov %r14, 32(%rsi)\n	mov %r15, 40(%rsi)\n"
	"	mov %rcx, 48(%rsi)\n	mov %rdx, 56(%rsi)\n	mov %r8, 64(%rsi)\n"
	"	mov %r9, 72(%rsi)\n	mov %r10, 80(%rsi)\n	mov %r11, 88(%rsi)\n"
	"	mov %rdi, 96(%rsi)\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	"
	"pop %rbx\n"
	"	ret\n");

GUEST static void keep_registers(const uint64_t in[13], uint64_t out[14])
{
	if (__builtin_setjmp(outside) == 0)
		run_below(0);
	registers_across(in, out);
}

TEST(vmm_left_with_all_registers)
{
	uint64_t in[13], out[14] = {0};
	unsigned nwrong = 0;

	PLAN(5);
	begin((struct umpa_vmm_options){0});
	for (unsigned i = 0; i < 13; i++)
		in[i] = 0x8123456789abcdef + i;
	keep_registers(in, out);
	for (unsigned i = 0; i < 13; i++)
		nwrong += in[i] != out[i];
	CHECK(is_outside());
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(out[13], 1);
	CHECK(is_fine());
	end();
}

GUEST static void keep_vectors(const char in[32], char out[32], int is_wide)
{
	if (__builtin_setjmp(outside) == 0)
		run_below(0);
	if (is_wide)
		__asm__ volatile(
			"vmovdqu (%0), %%ymm7; mov -16384(%%rsp), %%rax; vmovdqu %%ymm7, (%1)"
			:
			: "r"(in), "r"(out)
			: "rax", "memory");
	else
		__asm__ volatile(
			"movdqu (%0), %%xmm7; mov -16384(%%rsp), %%rax; movdqu %%xmm7, (%1)"
			:
			: "r"(in), "r"(out)
			: "rax", "memory");
}

TEST(vmm_left_with_vectors)
{
	int is_wide = __builtin_cpu_supports("avx");
	char in[32] = "thirty-one letters, and a zero.", out[32] = "";

	PLAN(4);
	begin((struct umpa_vmm_options){0});
	if (caps.level == UMPA_VMM_EMULATED) {
		end();
		SKIP("this host interprets what a guest does, and not all of it");
	}
	keep_vectors(in, out, is_wide);
	CHECK(is_outside());
	CHECK(!memcmp(in, out, is_wide ? 32 : 16));
	CHECK(is_fine());
	end();
}

/* --- when it is seen ---------------------------------------------------------------------- */

GUEST static long compute(void)
{
	long n = 0;

	if (__builtin_setjmp(outside) == 0)
		run_below(0);
	while (!is_outside())
		n++;
	return n;
}

/* In no system call, and not down the stack. */
TEST(vmm_left_when_time_is_over)
{
	PLAN(4);
	begin((struct umpa_vmm_options){.time_ns = 20000000});
	CHECK(compute() > 0);
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_LEFT);
	CHECK(is_fine());
	end();
}

GUEST static int run_again(int nframes)
{
	if (__builtin_setjmp(outside) == 0)
		run_below(nframes);
	return is_fine() && is_outside();
}

/* Nothing else comes between. */
TEST(vmm_left_and_runs_another)
{
	PLAN(5);
	begin((struct umpa_vmm_options){0});
	CHECK(run_again(0));
	CHECK(run_again(1));
	CHECK(run_again(5));
	CHECK(run_again(0));
	end();
}

/* A handler of faults jumps back into its function, more often than there are stacks for it; then
 * the function leaves. */
static void *inside[5];
static char *nowhere;

GUEST static int jump_back(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	(void)g, (void)addr, (void)code, (void)arg;
	__builtin_longjmp(inside, 1);
}

GUEST static long fault_and_leave(struct umpa_guest *g, void *count)
{
	volatile int *njumps = count;

	umpa_g_on_fault(g, jump_back, NULL);
	umpa_g_unmap(g, nowhere, 1);
	umpa_g_flush(nowhere);
	if (__builtin_setjmp(inside))
		++*njumps;
	if (*njumps < 9)
		*(volatile char *)nowhere = 1;
	__builtin_longjmp(outside, 1);
}

GUEST static long jump_from_handler(volatile int *njumps)
{
	if (__builtin_setjmp(outside) == 0)
		umpa_vmm_run(vmm, fault_and_leave, (void *)(uintptr_t)njumps, NULL, &fault);
	return go_down(hides() ? 200 : 0);
}

TEST(vmm_left_after_a_handler_jumped)
{
	volatile int njumps = 0;

	PLAN(5);
	begin((struct umpa_vmm_options){0});
	CHECK(is_fine());
	nowhere = umpa_alloc(2 * MIB, 0);
	CHECK_EQ(jump_from_handler(&njumps), hides() ? 24079800 : 79800);
	CHECK_EQ(njumps, 9);
	CHECK(is_fine());
	end();
	umpa_free(nowhere);
}

/* --- in threads, and on other stacks ------------------------------------------------------ */

GUEST static int jump_when_free(void)
{
	if (__builtin_setjmp(outside) == 0) {
		while (umpa_vmm_run(vmm, jump_away, NULL, NULL, &fault) == -EBUSY)
			;
		return 0;
	}
	guest_call(SYS_getpid, 0, 0, 0);
	return is_outside();
}

static void *leave_often(void *nothing)
{
	long nwrong = 0;

	(void)nothing;
	for (int i = 0; i < 40; i++) {
		nwrong += !is_fine();
		nwrong += !jump(i % 3, i % 2 && hides() ? AFTER_DEEP : AFTER_CALL);
		nwrong += fault.cause != UMPA_VMM_FAULT_LEFT;
	}
	return (void *)nwrong;
}

TEST(vmm_left_by_several_threads)
{
	enum {
		NTHREADS = 4
	};
	pthread_t thread[NTHREADS];
	void *nwrong;

	PLAN(10);
	begin((struct umpa_vmm_options){.ncpus = NTHREADS});
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < NTHREADS; i++)
			if (round == 0) {
				REQUIRE(!pthread_create(&thread[i], NULL, leave_often, NULL));
			} else {
				pthread_join(thread[i], &nwrong);
				CHECK(!nwrong);
			}
	CHECK(is_fine());
	end();
}

/* One CPU for two threads: what one goes on with must not be on it any more when the other has it.
 */
static void *leave_when_free(void *nothing)
{
	long nwrong = 0;

	(void)nothing;
	for (int i = 0; i < 60; i++)
		nwrong += !jump_when_free();
	return (void *)nwrong;
}

TEST(vmm_left_by_threads_that_share_a_cpu)
{
	pthread_t thread[2];
	void *nwrong;

	PLAN(6);
	begin((struct umpa_vmm_options){0});
	for (int i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, leave_when_free, NULL));
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], &nwrong);
		CHECK(!nwrong);
	}
	CHECK(is_fine());
	end();
}

/* One CPU, and threads that have it in turns: what is hidden follows them. */
TEST(vmm_left_by_threads_in_turns)
{
	PLAN(9);
	begin((struct umpa_vmm_options){0});
	for (int i = 0; i < 4; i++) {
		pthread_attr_t attributes;
		pthread_t thread;
		void *nwrong;

		pthread_attr_init(&attributes);
		pthread_attr_setstacksize(&attributes, (size_t)(i + 1) * MIB);
		REQUIRE(!pthread_create(&thread, &attributes, leave_often, NULL));
		pthread_join(thread, &nwrong);
		CHECK(!nwrong);
		pthread_attr_destroy(&attributes);
	}
	end();
}

static ucontext_t back, coroutine;
static int coroutine_is_fine;

/* From who called: how far up such a stack goes nobody can know. */
GUEST static int jump_directly(int is_deep)
{
	if (__builtin_setjmp(outside) == 0)
		umpa_vmm_run(vmm, jump_away, NULL, NULL, &fault);
	if (is_deep)
		return go_down(200) == 24079800 && is_outside();
	guest_call(SYS_getpid, 0, 0, 0);
	return is_outside();
}

static void in_coroutine(void)
{
	coroutine_is_fine = jump_directly(0) && is_fine() && jump_directly(hides());
}

TEST(vmm_left_on_a_stack_of_its_own)
{
	static char stack[2 * MIB];

	PLAN(5);
	begin((struct umpa_vmm_options){0});
	REQUIRE(!getcontext(&coroutine));
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = sizeof(stack);
	coroutine.uc_link = &back;
	makecontext(&coroutine, in_coroutine, 0);
	REQUIRE(!swapcontext(&back, &coroutine));
	CHECK(coroutine_is_fine);
	CHECK(is_fine());
	end();
}

/* --- out of a handler, outside ------------------------------------------------------------ */

static sigjmp_buf libc_outside;

static void leave_handler(int signal)
{
	siglongjmp(libc_outside, signal);
}

/* A loop, until the alarm rings. */
static int jump_out_of_handler(void)
{
	struct itimerval soon = {.it_value = {0, 30000}};

	if (!sigsetjmp(libc_outside, 1)) {
		setitimer(ITIMER_REAL, &soon, NULL);
		umpa_vmm_run(vmm, guest_loop, NULL, NULL, NULL);
	}
	return is_fine();
}

GUEST static int is_fine_below(int nframes)
{
	volatile char frame[3000];
	int fine;

	memset((void *)(uintptr_t)frame, 1, sizeof(frame));
	fine = nframes ? is_fine_below(nframes - 1) : is_fine();
	return fine && frame[5] == 1;
}

static int jump_out_of_handler_and_go_down(void)
{
	struct itimerval soon = {.it_value = {0, 30000}};

	if (!sigsetjmp(libc_outside, 1)) {
		setitimer(ITIMER_REAL, &soon, NULL);
		umpa_vmm_run(vmm, guest_loop, NULL, NULL, NULL);
	}
	return is_fine_below(3);
}

static int blocks_alarms(void)
{
	sigset_t now;

	sigprocmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, SIGSTKFLT);
}

TEST(vmm_left_out_of_a_handler)
{
	static const struct umpa_vmm_options options[] = {
		{0}, {.time_ns = (uint64_t)3600 * 1000000000}, {.ncpus = 2}};

	PLAN(15);
	signal(SIGALRM, leave_handler);
	for (unsigned i = 0; i < 3; i++) {
		begin(options[i]);
		CHECK(jump_out_of_handler());
		CHECK(jump_out_of_handler_and_go_down());
		CHECK(!blocks_alarms());
		CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
		end();
	}
	signal(SIGALRM, SIG_DFL);
}

/* While one that has left is inside yet a handler runs another: the CPU is not free, though what
 * was saved of the call is overwritten. */
static volatile int handled;

static void run_in_handler(int signal)
{
	long got = -1;

	(void)signal;
	handled = 100 + umpa_vmm_run(vmm, guest_add_one, (void *)4, &got, NULL);
	if (handled == 100 && got != 5)
		handled = 1;
}

GUEST static int wait_for_handler(void)
{
	volatile long below[200];

	if (__builtin_setjmp(outside) == 0)
		run_below(2);
	for (int i = 0; i < 200; i++)
		below[i] = i;
	while (!handled)
		;
	guest_call(SYS_getpid, 0, 0, 0);
	return is_outside() && below[7] + below[199] == 206;
}

TEST(vmm_left_and_interrupted)
{
	PLAN(9);
	signal(SIGALRM, run_in_handler);
	for (unsigned ncpus = 1; ncpus <= 2; ncpus++) {
		struct itimerval soon = {.it_value = {0, 30000}};

		begin((struct umpa_vmm_options){.ncpus = ncpus});
		handled = 0;
		setitimer(ITIMER_REAL, &soon, NULL);
		CHECK(wait_for_handler());
		CHECK_EQ(handled, ncpus == 1 ? 100 - EBUSY : 100);
		CHECK(is_fine());
		end();
	}
	signal(SIGALRM, SIG_DFL);
	CHECK(handled);
}

GUEST static long allocate(struct umpa_guest *g, void *arg)
{
	void *block = umpa_g_alloc(g, (size_t)arg, 0);

	if (block)
		umpa_g_free(g, block);
	return block != NULL;
}

/* At any moment, on the way in too: from another place of the stack each time. */
TEST(vmm_left_at_any_moment)
{
	volatile int error = 0, nleft = 0;

	PLAN(4);
	begin((struct umpa_vmm_options){.holding_nbytes = 16 * MIB});
	signal(SIGALRM, leave_handler);
	for (volatile int i = 0; i < 60; i++) {
		struct itimerval soon = {.it_value = {0, 200 + 300 * i}}, never = {{0, 0}, {0, 0}};
		volatile char *apart = __builtin_alloca(1 + (size_t)i % 7 * 5000);

		apart[0] = 1;
		if (!sigsetjmp(libc_outside, 1)) {
			setitimer(ITIMER_REAL, &soon, NULL);
			for (;;)
				umpa_vmm_run(vmm, i % 2 ? allocate : guest_loop, (void *)MIB, NULL,
					NULL);
		}
		setitimer(ITIMER_REAL, &never, NULL);
		nleft++;
		if (!error)
			error = umpa_vmm_run(vmm, where, NULL, NULL, NULL);
	}
	signal(SIGALRM, SIG_DFL);
	CHECK_EQ(nleft, 60);
	CHECK_EQ(error, 0);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	end();
}

/* --- where the stack is ------------------------------------------------------------------- */

static char *place; /* of a superpage that is in the middle of a thread's stack */

GUEST static int jump_at(size_t offset)
{
	char here;
	volatile char *apart = __builtin_alloca((size_t)(&here - (place + offset)));

	apart[0] = 1;
	return jump_directly(0) && jump(1, hides() ? AFTER_LEAP : AFTER_CALL);
}

static void *jump_at_all(void *nothing)
{
	static const size_t offsets[] = {300, 4090, 6000, 8300, 11000, 14000, 20000, 60000};
	long nwrong = 0;

	(void)nothing;
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
		nwrong += !jump_at(offsets[i]);
	return (void *)nwrong;
}

static void *run_on(void *stack, size_t nbytes, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *result = NULL;

	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, stack, nbytes);
	if (!pthread_create(&thread, &attributes, fn, arg))
		pthread_join(thread, &result);
	pthread_attr_destroy(&attributes);
	return result;
}

/* Pages to be hidden are in two superpages. */
TEST(vmm_left_wherever_the_stack_is)
{
	char *all = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *begin_at = (char *)(((uintptr_t)all + 2 * MIB - 1) & ~(2 * MIB - 1));

	PLAN(4);
	REQUIRE(all != MAP_FAILED);
	begin((struct umpa_vmm_options){0});
	place = begin_at + 2 * MIB;
	CHECK(is_fine());
	CHECK(!run_on(begin_at, 2 * MIB + 256 * 1024, jump_at_all, NULL));
	end();
	munmap(all, 8 * MIB);
}

GUEST static long read_all(struct umpa_guest *g, void *arg)
{
	const char *at = arg;
	long sum = 0;

	(void)g;
	for (size_t i = 0; i < 256 * 1024; i += 4096)
		sum += at[i];
	return sum;
}

static void *run_read_all(void *arg)
{
	return umpa_vmm_run(vmm, read_all, arg, &ret, NULL) ? NULL : (void *)ret;
}

/* What is below a small stack is somebody else's. */
TEST(vmm_hides_no_others)
{
	char *all = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	PLAN(5);
	REQUIRE(all != MAP_FAILED);
	begin((struct umpa_vmm_options){0});
	memset(all, 1, MIB);
	CHECK(run_on(all + 256 * 1024, 32 * 1024, run_read_all, all) == (void *)64);
	CHECK(run_on(all + 256 * 1024, 64 * 1024, run_read_all, all) == (void *)64);
	CHECK(run_on(all + 256 * 1024, 256 * 1024, run_read_all, all) == (void *)64);
	end();
	munmap(all, MIB);
}

/* --- libc's ways -------------------------------------------------------------------------- */

static long jump_by_libc(struct umpa_guest *g, void *arg)
{
	(void)g;
	siglongjmp(libc_outside, (int)(long)arg);
}

TEST(vmm_left_by_siglongjmp)
{
	sigset_t usr1, now;
	volatile int got;

	PLAN(6);
	begin((struct umpa_vmm_options){0});
	if (caps.level == UMPA_VMM_EMULATED) {
		end();
		SKIP("this host interprets what a guest does, and not all of it");
	}
	got = sigsetjmp(libc_outside, 1);
	if (!got) {
		sigemptyset(&usr1);
		sigaddset(&usr1, SIGUSR1);
		sigprocmask(SIG_BLOCK, &usr1, NULL);
		umpa_vmm_run(vmm, jump_by_libc, (void *)5, NULL, &fault);
	}
	CHECK_EQ(got, 5);
	sigprocmask(SIG_BLOCK, NULL, &now);
	CHECK(is_outside());
	CHECK(!sigismember(&now, SIGUSR1));
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_LEFT);
	CHECK(is_fine());
	end();
}

static int ncleanups;

static void clean_up(void *arg)
{
	ncleanups += (int)(long)arg;
}

static long exit_thread(struct umpa_guest *g, void *arg)
{
	(void)g;
	pthread_exit(arg);
}

static void *run_exit_thread(void *arg)
{
	pthread_cleanup_push(clean_up, (void *)1);
	pthread_cleanup_push(clean_up, (void *)2);
	umpa_vmm_run(vmm, exit_thread, arg, NULL, NULL);
	pthread_cleanup_pop(0);
	pthread_cleanup_pop(0);
	return NULL;
}

/* By way of what its callers clean up. */
TEST(vmm_left_by_pthread_exit)
{
	pthread_t thread;
	void *result = NULL;

	PLAN(6);
	begin((struct umpa_vmm_options){0});
	if (caps.level == UMPA_VMM_EMULATED) {
		end();
		SKIP("this host interprets what a guest does, and not all of it");
	}
	for (int i = 0; i < 2; i++) {
		ncleanups = 0;
		pthread_create(&thread, NULL, run_exit_thread, (void *)7);
		pthread_join(thread, &result);
		CHECK_EQ(ncleanups, 3);
		CHECK(result == (void *)7);
	}
	CHECK(is_fine());
	end();
}
