/* Functions in guest mode, on whatever /dev/kvm there is. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "base/compiler.h"
#include "support/check.h"
#include "support/guest.h"

#define NSLOTS 4

static struct umpa_vmm *vmm;
static struct umpa_vmm_fault fault;
static long ret;

/* A block of the window, of whole superpages; each page begins with its number. */
static uint64_t *block;

static uint64_t *page(size_t i)
{
	return block + i * 512;
}

static void begin(void)
{
	struct umpa_vmm_caps caps;

	vmm = guest_machine((struct umpa_vmm_options){0}, &caps);
	block = umpa_alloc(NSLOTS * 2 * MIB, 0);
	for (size_t i = 0; i < (size_t)NSLOTS * 512; i++)
		*page(i) = i;
}

static void end(void)
{
	umpa_vmm_destroy(vmm);
	umpa_free(block);
}

static int run(long (*fn)(struct umpa_guest *, void *), void *arg)
{
	ret = -1;
	return umpa_vmm_run(vmm, fn, arg, &ret, &fault);
}

TEST(vmm_runs_a_function)
{
	PLAN(7);
	begin();
	for (long i = 0; i < 3; i++)
		CHECK_EQ(run(guest_add_one, (void *)(41 + i)), 0);
	CHECK_EQ(ret, 44);
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_NONE);
	CHECK_EQ(umpa_vmm_run(vmm, guest_add_one, NULL, NULL, NULL), 0);
	end();
}

TEST(vmm_refuses)
{
	struct umpa_vmm_options odd = {.flags = 0x80}, uneven = {.stack_nbytes = 5000};
	struct umpa_vmm *none = NULL;

	PLAN(7);
	CHECK_EQ(umpa_vmm_create(NULL, NULL), -EINVAL);
	CHECK_EQ(umpa_vmm_create(&none, &odd), -EINVAL);
	CHECK_EQ(umpa_vmm_create(&none, &uneven), -EINVAL);
	CHECK_EQ(umpa_vmm_run(NULL, guest_add_one, NULL, NULL, NULL), -EINVAL);
	umpa_vmm_destroy(NULL);
	begin();
	CHECK_EQ(umpa_vmm_run(vmm, NULL, NULL, NULL, NULL), -EINVAL);
	CHECK_EQ(run(guest_add_one, (void *)1), 0);
	end();
}

/* Wherever the system puts what: each process has another layout. (make soak has many more.) */
TEST(vmm_is_made_in_any_layout)
{
	uint64_t nprocesses = check_times(9);
	unsigned nwrong = 0;

	PLAN(2);
	begin();
	for (uint64_t i = 0; i < nprocesses; i++) {
		int status = -1;
		pid_t child = fork();

		if (!child && freopen("/dev/null", "w", stdout))
			execl("/proc/self/exe", "test_vmm", "vmm_runs_a_function", NULL);
		if (!child)
			_exit(1);
		waitpid(child, &status, 0);
		nwrong += status != 0;
	}
	CHECK_EQ(nwrong, 0);
	end();
}

/* --- pages -------------------------------------------------------------------------------- */

GUEST static long map_pages(struct umpa_guest *g, void *arg)
{
	volatile uint64_t *a = page(7);

	(void)arg;
	umpa_g_map(g, page(7), page(1000), 1);
	umpa_g_flush(page(7));
	if (a[0] != 1000 || umpa_g_home(g, page(7)) != page(1000))
		return 1;
	a[1] = 0xabc;
	umpa_g_map(g, page(7), page(1001), 2);
	umpa_g_flush(page(7));
	umpa_g_flush(page(8));
	if (a[0] != 1001 || *(volatile uint64_t *)page(8) != 1002)
		return 2;
	a[1] = 0xdef;
	if (*(volatile uint64_t *)page(6) != 6 || *(volatile uint64_t *)page(9) != 9)
		return 3;
	umpa_g_map(g, page(7), page(7), 2);
	umpa_g_flush_all();
	return a[0] == 7 && !umpa_g_is_split(*umpa_g_pte(g, page(512), 1)) ? 0 : 4;
}

TEST(vmm_maps_pages)
{
	PLAN(6);
	begin();
	CHECK_EQ(run(map_pages, NULL), 0);
	CHECK_EQ(ret, 0);
	CHECK_EQ(page(1000)[1], 0xabc);
	CHECK_EQ(page(1001)[1], 0xdef);
	CHECK(page(7)[0] == 7 && page(7)[1] != 0xabc);
	end();
}

GUEST static long swap(struct umpa_guest *g, void *arg)
{
	volatile uint64_t *a = page(3), *b = page(512 + 3), *c = page(1024 + 3);

	(void)arg;
	umpa_g_exchange(g, page(0), page(512), 1);
	umpa_g_flush_all();
	if (*a != 512 + 3 || *b != 3)
		return 1;
	/* One of pages, of which one leads elsewhere, and one that is whole. */
	umpa_g_map(g, page(3), page(1500), 1);
	umpa_g_exchange(g, page(0), page(1024), 1);
	umpa_g_flush_all();
	if (*a != 1024 + 3 || *c != 1500 || *(volatile uint64_t *)page(1024 + 4) != 512 + 4)
		return 2;
	/* The entries of a page are where its superpage is now. */
	umpa_g_map(g, page(1024 + 4), page(1501), 1);
	umpa_g_map(g, page(4), page(1502), 1);
	umpa_g_flush_all();
	if (*(volatile uint64_t *)page(1024 + 4) != 1501 || *(volatile uint64_t *)page(4) != 1502 ||
		*a != 1024 + 3)
		return 3;
	/* A superpage by one entry. */
	umpa_g_map(g, page(1024), page(512), 512);
	umpa_g_flush_all();
	return *c == 512 + 3 && umpa_g_home(g, page(1024 + 5)) == page(512 + 5) ? 0 : 4;
}

TEST(vmm_swaps_superpages)
{
	PLAN(4);
	begin();
	CHECK_EQ(run(swap, NULL), 0);
	CHECK_EQ(ret, 0);
	CHECK(page(3)[0] == 3 && page(512 + 3)[0] == 512 + 3);
	end();
}

GUEST static long rearrange(struct umpa_guest *g, void *arg)
{
	(void)arg;
	umpa_g_exchange(g, page(0), page(512), 1);
	umpa_g_map(g, page(1030), page(1031), 1);
	umpa_g_map(g, page(1031), page(1030), 1);
	umpa_g_flush_all();
	page(0)[1] = 77;
	return *(volatile uint64_t *)page(1030) == 1031;
}

GUEST static long look_at_what_was_rearranged(struct umpa_guest *g, void *arg)
{
	(void)arg;
	return umpa_g_home(g, page(0)) == page(0) && *(volatile uint64_t *)page(0) == 512 &&
	       *(volatile uint64_t *)page(515) == 3 && *(volatile uint64_t *)page(1031) == 1030 &&
	       !umpa_g_is_split(*umpa_g_pte(g, page(1030), 1));
}

TEST(vmm_sync_shows_the_host)
{
	unsigned nwrong = 0;

	PLAN(9);
	begin();
	CHECK_EQ(run(rearrange, NULL), 0);
	CHECK(ret && page(0)[0] == 0);
	CHECK_EQ(umpa_vmm_sync(vmm, block, NSLOTS * 2 * MIB), 0);
	for (size_t i = 0; i < (size_t)NSLOTS * 512; i++)
		nwrong += *page(i) != (i < 1024           ? (i + 512) % 1024
					      : i == 1030 ? 1031
					      : i == 1031 ? 1030
							  : i);
	CHECK_EQ(nwrong, 0);
	CHECK(page(0)[1] == 77 && page(512)[1] != 77);
	/* And functions see the same. */
	CHECK_EQ(run(look_at_what_was_rearranged, NULL), 0);
	CHECK_EQ(ret, 1);
	umpa_vmm_destroy(vmm);
	CHECK(page(0)[0] == 512);
	umpa_free(block);
}

GUEST static long write_protected(struct umpa_guest *g, void *arg)
{
	volatile uint64_t *a = page(5);

	umpa_g_protect(g, page(5), (size_t)arg, 0);
	umpa_g_flush_all();
	if (*a != 5)
		return 1;
	*a = 1;
	return 2;
}

GUEST static long open_again(struct umpa_guest *g, void *arg)
{
	umpa_g_protect(g, page(5), (size_t)arg, 1);
	umpa_g_flush_all();
	*(volatile uint64_t *)page(5) = 55;
	return 0;
}

GUEST static long read_unmapped(struct umpa_guest *g, void *arg)
{
	(void)arg;
	umpa_g_unmap(g, page(512), 512);
	umpa_g_unmap(g, page(9), 1);
	umpa_g_flush_all();
	if (umpa_g_home(g, page(9)) || umpa_g_home(g, page(600)))
		return 1;
	return (long)*(volatile uint64_t *)(page(600) + 3);
}

TEST(vmm_tells_of_page_faults)
{
	PLAN(15);
	begin();
	for (size_t npages = 1; npages <= 1000; npages += 999) {
		CHECK_EQ(run(write_protected, (void *)npages), -EFAULT);
		CHECK(fault.cause == UMPA_VMM_FAULT_TRAP && fault.vector == 14);
		CHECK_EQ(fault.code & 7, 3);
		CHECK_EQ(fault.address, (uintptr_t)page(5));
		CHECK_EQ(run(open_again, (void *)npages), 0);
		*page(5) = 5;
	}
	CHECK_EQ(run(read_unmapped, NULL), -EFAULT);
	CHECK(fault.vector == 14 && !(fault.code & 3));
	CHECK_EQ(fault.address, (uintptr_t)(page(600) + 3));
	CHECK(fault.ip && fault.sp);
	end();
}

/* --- faults that the program handles ------------------------------------------------------ */

static volatile long nfaults;

GUEST static int map_on_demand(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	size_t i = (size_t)((uint64_t *)addr - block) / 512;

	(void)code;
	nfaults = nfaults + 1;
	if (arg && i == 20 && *(volatile uint64_t *)page(21) != 121) /* it faults while at it */
		return 1;
	if (i == 30)
		return 1;
	umpa_g_map(g, addr, page(100 + i), 1);
	return 0;
}

GUEST static long touch_on_demand(struct umpa_guest *g, void *arg)
{
	long sum = 0;

	umpa_g_unmap(g, page(0), 64);
	umpa_g_flush_all();
	umpa_g_on_fault(g, map_on_demand, arg);
	for (int round = 0; round < 2; round++)
		for (size_t i = 10; i < 25; i++)
			sum += (long)*(volatile uint64_t *)page(i);
	return sum;
}

GUEST static long touch_what_is_not_mapped(struct umpa_guest *g, void *arg)
{
	umpa_g_unmap(g, page(0), 64);
	umpa_g_flush_all();
	umpa_g_on_fault(g, map_on_demand, arg);
	return (long)*(volatile uint64_t *)page(30);
}

GUEST static int fault_for_ever(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	uint64_t *next = (uint64_t *)addr + 512;

	(void)g, (void)code, (void)arg;
	nfaults = nfaults + 1;
	return *(volatile uint64_t *)next == 0;
}

GUEST static long touch_and_fault_for_ever(struct umpa_guest *g, void *arg)
{
	(void)arg;
	umpa_g_unmap(g, page(0), 64);
	umpa_g_flush_all();
	umpa_g_on_fault(g, fault_for_ever, NULL);
	return (long)*(volatile uint64_t *)page(0);
}

TEST(vmm_lets_the_program_handle_faults)
{
	PLAN(14);
	begin();
	nfaults = 0;
	CHECK_EQ(run(touch_on_demand, NULL), 0);
	CHECK_EQ(nfaults, 15);
	CHECK_EQ(ret, 2 * (15 * 100 + (10 + 24) * 15 / 2));
	CHECK_EQ(run(touch_on_demand, (void *)1), 0);
	CHECK_EQ(nfaults, 15 + 15);
	CHECK_EQ(ret, 2 * (15 * 100 + (10 + 24) * 15 / 2));
	CHECK_EQ(run(touch_what_is_not_mapped, NULL), -EFAULT);
	CHECK_EQ(fault.address, (uintptr_t)page(30));
	/* Within each other, until the stacks for it are used up. */
	nfaults = 0;
	CHECK_EQ(run(touch_and_fault_for_ever, NULL), -EFAULT);
	CHECK_EQ(fault.vector, 14);
	CHECK(nfaults >= 2 && nfaults < 10);
	CHECK_EQ(fault.address, (uintptr_t)page((size_t)nfaults));
	/* Nobody is asked by the next function but who asks. */
	CHECK_EQ(run(read_unmapped, NULL), -EFAULT);
	end();
}

/* --- the process as it is ----------------------------------------------------------------- */

static __thread long of_thread = 5;
static int pipe_fd[2], zero_fd;

GUEST static long use_process(struct umpa_guest *g, void *arg)
{
	const char *text = arg;

	(void)g;
	of_thread++;
	return guest_call(SYS_getpid, (long)NULL, 0, 0) +
	       guest_call(SYS_write, pipe_fd[1], (long)text, 5);
}

TEST(vmm_sees_the_process)
{
	char text[8] = "";

	PLAN(6);
	begin();
	REQUIRE(!pipe(pipe_fd));
	CHECK_EQ(run(use_process, "hello"), 0);
	CHECK_EQ(ret, getpid() + 5);
	CHECK(read(pipe_fd[0], text, 5) == 5 && !strcmp(text, "hello"));
	CHECK_EQ(of_thread, 6);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	end();
}

/* What is seen, and no more: in one row, or in two, or nothing. */
GUEST static long write_what_is_seen(struct umpa_guest *g, void *arg)
{
	long wrong = 0;

	(void)arg;
	umpa_g_map(g, page(5), page(8), 1);
	umpa_g_unmap(g, page(6), 1);
	umpa_g_flush_all();
	wrong |= guest_call(SYS_write, pipe_fd[1], (long)page(5), 8) != 8;
	wrong |= (guest_call(SYS_write, pipe_fd[1], (long)page(6), 8) != -EFAULT) << 1;
	/* As much as lies in a row is written, or read. */
	wrong |= (guest_call(SYS_write, pipe_fd[1], (long)(page(5) + 511), 16) != 8) << 2;
	wrong |= (guest_call(SYS_read, zero_fd, (long)(page(5) + 511), 16) != 8) << 6;
	/* A name is as long as it is, and what a call doesn't take may be anything. */
	((volatile char *)(page(5) + 511))[0] = '/';
	((volatile char *)(page(5) + 511))[1] = 0;
	wrong |= (guest_call(SYS_access, (long)(page(5) + 511), 0, 0) != 0) << 7;
	wrong |= (guest_call(SYS_getpid, (long)page(6), (long)page(6), 0) <= 0) << 8;
	wrong |= (guest_call(SYS_close, -1, (long)page(6), (long)page(6)) != -EBADF) << 9;
	wrong |= (guest_call(SYS_madvise, (long)page(5), 8192, MADV_DONTNEED) != -EFAULT) << 10;
	wrong |= (guest_call(SYS_stat, (long)"/", (long)(page(5) + 511), 0) != -EFAULT) << 3;
	/* A struct across two that lie apart. */
	wrong |= (guest_call(SYS_uname, (long)(page(4) + 511), 0, 0) != 0) << 4;
	wrong |= (*(volatile char *)(page(4) + 511) != 'L') << 11;
	wrong |= (((volatile char *)page(5))[65 - 8] == 0) << 12; /* the node's name */
	return wrong;
}

TEST(vmm_calls_are_given_what_is_seen)
{
	uint64_t got[2] = {0, 0};

	PLAN(6);
	begin();
	REQUIRE(!pipe(pipe_fd));
	zero_fd = open("/dev/zero", O_RDONLY);
	page(8)[511] = 77;
	CHECK_EQ(run(write_what_is_seen, NULL), 0);
	CHECK_EQ(ret, 0);
	CHECK_EQ(read(pipe_fd[0], got, sizeof(got)), (ssize_t)sizeof(got));
	CHECK(got[0] == 8 && got[1] == 77);
	close(zero_fd);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	end();
}

/* A name where the host may not look, with nothing behind it. */
GUEST static long name_what_is_closed(struct umpa_guest *g, void *arg)
{
	(void)arg;
	umpa_g_map(g, page(5), page(8), 1);
	umpa_g_unmap(g, page(6), 1);
	umpa_g_flush_all();
	return guest_call(SYS_access, (long)(page(5) + 100), 0, 0);
}

TEST(vmm_calls_are_given_names_nowhere)
{
	PLAN(5);
	begin();
	REQUIRE(!mprotect(page(8), 4096, PROT_NONE));
	CHECK_EQ(run(name_what_is_closed, NULL), 0);
	CHECK_EQ(ret, -EFAULT);
	REQUIRE(!mprotect(page(8), 4096, PROT_READ | PROT_WRITE));
	end();
}

GUEST static long call_what_is_refused(struct umpa_guest *g, void *arg)
{
	long wrong = 0;

	wrong |= guest_call(SYS_fork, (long)NULL, 0, 0) != -ENOSYS;
	wrong |= (guest_call(SYS_exit, (long)NULL, 0, 0) != -EINVAL) << 1;
	wrong |= (guest_call(SYS_munmap, (long)(void *)((uintptr_t)g & ~(uintptr_t)4095), 4096,
			  0) != -EINVAL)
		 << 2;
	wrong |= (guest_call(SYS_mprotect,
			  (long)(void *)((uintptr_t)g->superpage & ~(uintptr_t)4095), 4096,
			  PROT_READ) != -EINVAL)
		 << 3;
	(void)arg;
	wrong |= (guest_call(SYS_write, pipe_fd[1], 0x10, 5) != -EFAULT) << 5;
	wrong |= (guest_call(SYS_execve, (long)"/bin/true", 0, 0) != -ENOSYS) << 6;
	wrong |= (guest_call(SYS_vfork, (long)NULL, 0, 0) != -ENOSYS) << 7;
	/* The kernel looks at the lower half of a number. */
	wrong |= (guest_call((1L << 32) | SYS_vfork, 0, 0, 0) != -ENOSYS) << 8;
	return wrong;
}

static long map_flags = MAP_PRIVATE | MAP_ANONYMOUS;

GUEST static long map_out_of_reach(struct umpa_guest *g, void *arg)
{
	register long flags __asm__("r10") = map_flags;
	register long fd __asm__("r8") = -1;
	register long offset __asm__("r9") = 0;
	long result;

	(void)g;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_mmap), "D"(arg), "S"(4096), "d"(PROT_READ), "r"(flags), "r"(fd),
			 "r"(offset)
			 : "rcx", "r11", "memory");
	return result;
}

TEST(vmm_refuses_calls)
{
	char *far = (char *)((uintptr_t)1 << 44), *near;
	unsigned char vec;

	PLAN(12);
	begin();
	REQUIRE(!pipe(pipe_fd));
	CHECK_EQ(run(call_what_is_refused, NULL), 0);
	CHECK_EQ(ret, 0);
	/* Where no machine reaches: what is there stays, and what comes is given back at once. */
	map_flags |= MAP_FIXED;
	REQUIRE(mmap(far, 4096, PROT_READ | PROT_WRITE, map_flags, -1, 0) == far);
	*far = 'f';
	CHECK_EQ(run(map_out_of_reach, far), 0);
	CHECK(ret == -ENOMEM && *far == 'f');
	munmap(far, 4096);
	map_flags &= ~MAP_FIXED;
	CHECK_EQ(run(map_out_of_reach, far), 0);
	CHECK_EQ(ret, -ENOMEM);
	CHECK(mincore(far, 4096, &vec) == -1 && errno == ENOMEM);
	CHECK_EQ(run(map_out_of_reach, NULL), 0);
	near = (char *)ret;
	CHECK(!munmap(near, 4096));
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	end();
}

/* --- all of libc, where a guest has what it uses here ---------------------------------------- */

struct of_libc {
	char text[64];
	size_t nread;
	long sum;
	struct timespec time;
	int is_alike;
};

static long use_libc(struct umpa_guest *g, void *arg)
{
	struct of_libc *l = arg;
	char *p = malloc(5 * MIB), *q = malloc(5 * MIB), line[64];
	double d = 1.5;
	FILE *file = fopen("/proc/self/comm", "r");

	(void)g;
	for (int i = 0; i < 10; i++)
		d *= 1.25;
	snprintf(l->text, sizeof(l->text), "%.6f %d", d, (int)getpid());
	memset(p, 0x5a, 5 * MIB);
	memcpy(q, p, 5 * MIB);
	for (size_t i = 0; i < 5 * MIB; i += 4096)
		l->sum += q[i];
	l->is_alike = !memcmp(p, q, 5 * MIB);
	clock_gettime(CLOCK_MONOTONIC, &l->time);
	l->nread = file ? fread(line, 1, sizeof(line), file) : 0;
	if (file)
		fclose(file);
	free(p);
	free(q);
	return umpa_g_home(g, block) == block;
}

TEST(vmm_runs_libc)
{
	struct of_libc inside = {.sum = 0}, outside = {.sum = 0};
	struct umpa_vmm_caps caps;
	struct timespec before;

	PLAN(8);
	begin();
	umpa_vmm_probe(&caps);
	if (caps.level == UMPA_VMM_EMULATED) {
		end();
		SKIP("this host interprets what a guest does, and not all of it");
	}
	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK_EQ(run(use_libc, &inside), 0);
	CHECK_EQ(ret, 1);
	snprintf(outside.text, sizeof(outside.text), "%.6f %d", 13.969839, (int)getpid());
	CHECK_STR(inside.text, outside.text);
	CHECK_EQ(inside.sum, (long)(5 * MIB / 4096 * 0x5a));
	CHECK(inside.is_alike && inside.nread > 0);
	clock_gettime(CLOCK_MONOTONIC, &outside.time);
	CHECK(inside.time.tv_sec >= before.tv_sec && inside.time.tv_sec <= outside.time.tv_sec);
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_NONE);
	end();
}

/* To the nearest, down or up: 0, 1, 2. libm is not linked here. */
static void set_rounding(unsigned mode)
{
	uint32_t mxcsr = 0x1f80 | mode << 13;

	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

static double divide(double by)
{
	volatile double one = 1, d = by;

	return one / d;
}

/* 1: as its thread does. */
static long divide_inside(struct umpa_guest *g, void *arg)
{
	const double *outside = arg;

	(void)g;
	return divide(3) == *outside;
}

/* And leaves something behind. */
static long spoil_and_fault(struct umpa_guest *g, void *arg)
{
	(void)g, (void)arg;
	set_rounding(1);
	__asm__ volatile("fld1");
	__asm__ volatile("fld1");
	__asm__ volatile("ud2");
	return 0;
}

TEST(vmm_rounds_as_its_thread_does)
{
	static const unsigned modes[] = {2, 0, 1, 0};
	struct umpa_vmm_caps caps;
	double outside;

	PLAN(1 + 3 * array_len(modes));
	begin();
	umpa_vmm_probe(&caps);
	if (caps.level == UMPA_VMM_EMULATED) {
		end();
		SKIP("this host interprets what a guest does, and not all of it");
	}
	for (size_t i = 0; i < array_len(modes); i++) {
		set_rounding(modes[i]);
		outside = divide(3);
		CHECK_EQ(run(divide_inside, &outside), 0);
		CHECK_EQ(ret, 1);
		CHECK_EQ(run(spoil_and_fault, NULL), -EFAULT);
	}
	end();
}

/* Up to where no machine reaches, if it is not the limit that comes first: 1 if malloc says so. */
static long allocate_until_refused(struct umpa_guest *g, void *arg)
{
	long nblocks = 0;
	void **last = NULL, **p;

	(void)g, (void)arg;
	for (; nblocks < 4000; nblocks++) {
		p = malloc(120000);
		if (!p)
			break;
		*p = last;
		last = p;
	}
	for (; last; last = p) {
		p = *last;
		free(last);
	}
	return nblocks;
}

TEST(vmm_has_the_heap_as_far_as_it_reaches)
{
	struct umpa_vmm_caps caps;
	void *after;

	PLAN(4);
	begin();
	umpa_vmm_probe(&caps);
	if (caps.level == UMPA_VMM_EMULATED) {
		end();
		SKIP("this host interprets what a guest does, and not all of it");
	}
	CHECK_EQ(run(allocate_until_refused, NULL), 0);
	CHECK(ret > 100);
	after = malloc(100000);
	CHECK(after != NULL);
	free(after);
	end();
}

/* --- signals outside ---------------------------------------------------------------------- */

static pthread_t runner;
static volatile int nblocked;

static void block_for_good(int signal, siginfo_t *info, void *context)
{
	(void)info;
	nblocked++;
	sigaddset(&((ucontext_t *)context)->uc_sigmask, signal);
}

static void *send_twice(void *arg)
{
	for (int i = 0; i < 2; i++) {
		usleep(50000);
		pthread_kill(runner, (int)(long)arg);
	}
	return NULL;
}

GUEST static long wait_for_a_while(struct umpa_guest *g, void *arg)
{
	struct timespec ts = {0, 200000000};

	(void)g;
	for (volatile long i = 0; i < (long)arg; i++)
		;
	guest_call(SYS_nanosleep, (long)&ts, 0, 0);
	for (volatile long i = 0; i < (long)arg; i++)
		;
	return 3;
}

/* Until the first signal has come, which may take its time where the machine is emulated. */
GUEST static long wait_for_signal(struct umpa_guest *g, void *arg)
{
	while (!nblocked)
		wait_for_a_while(g, arg);
	return wait_for_a_while(g, arg);
}

/* A handler may say which signals are blocked from then on: one of these does not end guest mode.
 */
TEST(vmm_follows_what_handlers_block)
{
	struct sigaction action = {.sa_sigaction = block_for_good, .sa_flags = SA_SIGINFO}, before;
	struct umpa_vmm_caps caps;
	sigset_t now;
	pthread_t sender;

	PLAN(9);
	vmm = guest_machine((struct umpa_vmm_options){.time_ns = 20000000000}, &caps);
	runner = pthread_self();
	REQUIRE(!sigaction(SIGUSR1, &action, &before));
	REQUIRE(!pthread_create(&sender, NULL, send_twice, (void *)SIGUSR1));
	CHECK_EQ(run(wait_for_signal, (void *)1000), 0);
	CHECK_EQ(ret, 3);
	CHECK_EQ(nblocked, 1);
	pthread_join(sender, NULL);
	/* The second may have been sent by now alone. */
	CHECK_EQ(nblocked, 1);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&now);
	pthread_sigmask(SIG_SETMASK, &now, NULL);
	REQUIRE(!sigaction(SIGUSR1, &before, NULL));
	umpa_vmm_destroy(vmm);
}

/* What the MMU remembers of an entry, until it is told to forget. Bits: 1 what was there before was
 * seen, 2 what is there. */
GUEST static long change_entry(struct umpa_guest *g, void *arg)
{
	volatile uint64_t *at = page(40);
	long seen = 0;

	(void)arg;
	umpa_g_map(g, page(40), page(41), 1);
	umpa_g_flush(page(40));
	for (int i = 0; i < 1000; i++)
		if (*at != 41)
			return -1;
	umpa_g_map(g, page(40), page(42), 1);
	for (int i = 0; i < 1000; i++)
		seen |= *at == 41 ? 1 : 2;
	umpa_g_flush(page(40));
	for (int i = 0; i < 1000; i++)
		if (*at != 42)
			return -2;
	return seen;
}

TEST(vmm_flushes_what_the_mmu_remembers)
{
	PLAN(4);
	begin();
	CHECK_EQ(run(change_entry, NULL), 0);
	CHECK(ret > 0);
	/* Of the emulated machine it is known that it remembers, if nothing comes between. */
	for (int i = 0; i < 50 && getenv("UMPA_GUEST") && !(ret & 1); i++)
		(void)run(change_entry, NULL);
	CHECK(!getenv("UMPA_GUEST") || ret & 1);
	end();
}

/* --- signals and other processes ---------------------------------------------------------- */

static volatile sig_atomic_t nalarms, nbusy;

static void on_alarm(int number)
{
	(void)number;
	nalarms = nalarms + 1;
	nbusy = nbusy + (umpa_vmm_run(vmm, guest_add_one, NULL, NULL, NULL) == -EBUSY);
}

GUEST static long wait_for_alarms(struct umpa_guest *g, void *arg)
{
	long n = 0;

	(void)g;
	for (int until = nalarms + (int)(long)arg; nalarms < until;)
		n++;
	return n != 0;
}

TEST(vmm_is_interrupted_by_signals)
{
	struct itimerval each_ms = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
	struct sigaction action = {.sa_handler = on_alarm}, before;

	PLAN(5);
	begin();
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &each_ms, NULL);
	CHECK_EQ(run(wait_for_alarms, (void *)5), 0);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	CHECK_EQ(ret, 1);
	CHECK(nalarms >= 5);
	CHECK(nbusy >= 5);
	end();
}

TEST(vmm_ends_what_takes_too_long)
{
	struct umpa_vmm_options options = {.flags = UMPA_VMM_ALLOW_SLOW, .time_ns = 30000000};
	struct umpa_vmm *limited;

	PLAN(9);
	begin();
	REQUIRE(!umpa_vmm_create(&limited, &options));
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(umpa_vmm_run(limited, guest_loop, NULL, &ret, &fault), -ETIMEDOUT);
		CHECK_EQ(fault.cause, UMPA_VMM_FAULT_TIME);
		CHECK(!umpa_vmm_run(limited, guest_add_one, (void *)4, &ret, &fault) && ret == 5);
	}
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_NONE);
	umpa_vmm_destroy(limited);
	end();
}

TEST(vmm_is_one_process)
{
	int status = -1;
	pid_t child;

	PLAN(4);
	begin();
	child = fork();
	if (!child)
		_exit(umpa_vmm_run(vmm, guest_add_one, NULL, NULL, NULL) == -ESTALE ? 0 : 1);
	REQUIRE(child > 0);
	waitpid(child, &status, 0);
	CHECK_EQ(status, 0);
	CHECK_EQ(run(guest_add_one, (void *)1), 0);
	end();
}

/* --- what a function may do wrong --------------------------------------------------------- */

enum wrong {
	UNMAPPED,
	READ_ONLY,
	NOWHERE,
	NO_MEMORY,
	RESERVED_BITS,
	UNDEFINED,
	DIVIDED,
	PRIVILEGED,
	HALTED,
	OVERFLOWN,
	LOST,
	PORT_READ,
	ACROSS_NOTHING,
	WILD_TRAP,
	LARGE_HANDLER,
	NWRONG
};

static char *gone;
static const char constant[4096] __attribute__((aligned(4096))) = "read only";

/* Down the stack until it is used up. */
GUEST static long overflow(long depth)
{
	volatile char here[1024];

	here[0] = 0;
	return depth ? overflow(depth - 1) + here[0] : 0;
}

/* No page tables, so no way to a trap's. */
GUEST static long lose(struct umpa_guest *g)
{
	for (int i = 0; i < 512; i++)
		((volatile uint64_t *)page(13))[i] = 0;
	__asm__ volatile("mov %0, %%cr3"
			 :
			 : "r"(umpa_g_entry(g, page(13)) & UMPA_G_ADDRESS)
			 : "memory");
	return *(volatile long *)page(14);
}

/* More than its stack has. */
GUEST static int handle_at_large(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	volatile char here[80000];

	(void)g, (void)addr, (void)code, (void)arg;
	for (size_t i = sizeof(here); i; i -= 4000)
		here[i - 1] = 0;
	return 1;
}

/* Two pages behind which nothing is, in one access. */
GUEST static long read_across_nothing(struct umpa_guest *g)
{
	uint64_t nowhere = UMPA_G_OPEN | (uint64_t)1 << 35;

	umpa_g_split(g, page(9));
	*umpa_g_pte(g, page(9), 0) = nowhere;
	*umpa_g_pte(g, page(10), 0) = nowhere + 4096;
	umpa_g_flush_all();
	return *(volatile long *)(void *)((char *)page(10) - 4);
}

GUEST static long do_wrong(struct umpa_guest *g, void *arg)
{
	volatile uint64_t *at = NULL;
	volatile int zero = 0, one = 1;

	switch ((enum wrong)(long)arg) {
	case UNMAPPED:
		return *gone;
	case READ_ONLY:
		*(volatile char *)(uintptr_t)constant = 1;
		return 0;
	case NOWHERE:
		at = (void *)0x123456789000;
		return (long)*at;
	case NO_MEMORY:
	case RESERVED_BITS:
		umpa_g_split(g, page(9));
		*umpa_g_pte(g, page(9), 0) =
			UMPA_G_OPEN | (((long)arg == NO_MEMORY ? (uint64_t)1 : 0xffff) << 35);
		if ((long)arg == RESERVED_BITS)
			*umpa_g_pte(g, page(9), 0) |= (uint64_t)0xff << 44;
		umpa_g_flush(page(9));
		return (long)*(volatile uint64_t *)page(9);
	case UNDEFINED:
		__asm__ volatile("ud2");
		return 0;
	case DIVIDED:
		return one / zero;
	case PRIVILEGED:
		__asm__ volatile("rdmsr" : : "c"(0x12345) : "eax", "edx");
		return 0;
	case HALTED:
		__asm__ volatile("hlt");
		return 0;
	case OVERFLOWN:
		return overflow(4096);
	case LOST:
		return lose(g);
	case PORT_READ:
		__asm__ volatile("in $0x52, %%al" : : : "eax");
		return 0;
	case ACROSS_NOTHING:
		return read_across_nothing(g);
	case WILD_TRAP:
		__asm__ volatile("out %%al, $0x53" : : "a"((long)8));
		return 0;
	case LARGE_HANDLER:
		umpa_g_on_fault(g, handle_at_large, NULL);
		umpa_g_unmap(g, page(20), 1);
		umpa_g_flush(page(20));
		return (long)*page(20);
	default:
		return 0;
	}
}

/* One precise word for each, and the machine and the program go on. */
TEST(vmm_survives)
{
	static const struct {
		enum umpa_vmm_cause cause;
		unsigned vector;
	} expected[NWRONG] = {
		[UNMAPPED] = {UMPA_VMM_FAULT_MEMORY, 0},
		[READ_ONLY] = {UMPA_VMM_FAULT_MEMORY, 0},
		[NOWHERE] = {UMPA_VMM_FAULT_TRAP, 14},
		[NO_MEMORY] = {UMPA_VMM_FAULT_MEMORY, 0},
		[RESERVED_BITS] = {UMPA_VMM_FAULT_TRAP, 14},
		[UNDEFINED] = {UMPA_VMM_FAULT_TRAP, 6},
		[DIVIDED] = {UMPA_VMM_FAULT_TRAP, 0},
		[PRIVILEGED] = {UMPA_VMM_FAULT_TRAP, 13},
		[HALTED] = {UMPA_VMM_FAULT_HALT, 0},
		[OVERFLOWN] = {UMPA_VMM_FAULT_MEMORY, 0},
		[LOST] = {UMPA_VMM_FAULT_SHUTDOWN, 0},
		[PORT_READ] = {UMPA_VMM_FAULT_BROKEN, 0},
		[ACROSS_NOTHING] = {UMPA_VMM_FAULT_MEMORY, 0},
		[WILD_TRAP] = {UMPA_VMM_FAULT_BROKEN, 0},
		[LARGE_HANDLER] = {UMPA_VMM_FAULT_MEMORY, 0},
	};

	PLAN(1 + 6 * NWRONG);
	begin();
	gone = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(gone, 1 << 20);
	for (long i = 0; i < NWRONG; i++) {
		CHECK_EQ(run(do_wrong, (void *)i), -EFAULT);
		CHECK_EQ(fault.cause, expected[i].cause);
		CHECK_EQ(fault.vector, expected[i].vector);
		CHECK_EQ(run(guest_add_one, (void *)i), 0);
		CHECK_EQ(ret, i + 1);
		CHECK_EQ(run(guest_add_one, (void *)i), 0);
	}
	end();
}

/* --- signals that a function blocks or lets in ---------------------------------------------- */

static const uint64_t no_signals, user_signal = (uint64_t)1 << (SIGUSR1 - 1);

/* What ends guest mode comes while it is not blocked. */
GUEST static long let_all_in(struct umpa_guest *g, void *arg)
{
	static const struct timespec while_it_rings = {0, 60000000};

	(void)g, (void)arg;
	return guest_call_6(SYS_ppoll, 0, 0, (long)&while_it_rings, (long)&no_signals, 8, 0);
}

GUEST static long unblock_and_wait(struct umpa_guest *g, void *arg)
{
	guest_call_6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&no_signals, 0, 8, 0, 0);
	return let_all_in(g, arg);
}

/* Blocked inside, and comes. */
GUEST static long block_and_raise(struct umpa_guest *g, void *arg)
{
	long pid = guest_call(SYS_getpid, 0, 0, 0), thread = guest_call(SYS_gettid, 0, 0, 0);

	guest_call_6(SYS_rt_sigprocmask, SIG_BLOCK, (long)&user_signal, 0, 8, 0, 0);
	guest_call(SYS_tgkill, pid, thread, SIGUSR1);
	return guest_add_one(g, arg);
}

TEST(vmm_has_the_signals_that_a_function_sets)
{
	struct umpa_vmm_options options = {.flags = UMPA_VMM_ALLOW_SLOW, .time_ns = 20000000};
	struct umpa_vmm *limited;
	sigset_t before, after;

	PLAN(9);
	begin();
	REQUIRE(!umpa_vmm_create(&limited, &options));
	CHECK_EQ(umpa_vmm_run(limited, let_all_in, NULL, &ret, &fault), -ETIMEDOUT);
	CHECK_EQ(umpa_vmm_run(limited, unblock_and_wait, NULL, &ret, &fault), -ETIMEDOUT);
	umpa_vmm_destroy(limited);
	options.time_ns = UINT64_MAX; /* which is no time at all after now */
	REQUIRE(!umpa_vmm_create(&limited, &options));
	sigprocmask(SIG_BLOCK, NULL, &before);
	CHECK_EQ(umpa_vmm_run(limited, block_and_raise, (void *)6, &ret, &fault), 0);
	CHECK_EQ(ret, 7);
	sigprocmask(SIG_BLOCK, NULL, &after);
	CHECK(sigismember(&after, SIGUSR1) == 1 && !sigismember(&before, SIGUSR1));
	CHECK(!sigismember(&after, SIGSTKFLT));
	signal(SIGUSR1, SIG_IGN);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGUSR1, SIG_DFL);
	umpa_vmm_destroy(limited);
	end();
}

/* --- what a function leaves behind -------------------------------------------------------- */

GUEST static long write_entry(struct umpa_guest *g, void *entry)
{
	*umpa_g_pte(g, page(5), 1) = (uintptr_t)entry;
	return guest_call(SYS_write, 1, (long)page(5), 8);
}

GUEST static long write_it_right(struct umpa_guest *g, void *arg)
{
	*umpa_g_pte(g, page(5), 1) = umpa_g_entry(g, page(0)) | UMPA_G_LEAF;
	umpa_g_flush_all();
	return (long)arg;
}

/* A superpage's entry that is none: neither a system call nor the host is led by it. */
TEST(vmm_is_not_led_by_wrong_entries)
{
	static const uint64_t wrong[] = {0x2, 0x3, 0x1000, 0x800000003, 0x7fffffffffe003};

	PLAN(1 + 5 * 5);
	begin();
	for (int i = 0; i < 5; i++) {
		CHECK_EQ(run(write_entry, (void *)wrong[i]), 0);
		CHECK_EQ(ret, -EFAULT);
		CHECK_EQ(umpa_vmm_sync(vmm, block, NSLOTS * 2 * MIB), -EINVAL);
		CHECK_EQ(run(write_it_right, NULL), 0);
		CHECK_EQ(umpa_vmm_sync(vmm, block, NSLOTS * 2 * MIB), 0);
	}
	end();
}

/* A program that closes what it doesn't know, as daemons do, and opens files of its own. */
TEST(vmm_closes_its_own_alone)
{
	struct umpa_vmm *other;
	int first, own[3];

	PLAN(8);
	begin();
	first = dup(0);
	close(first);
	REQUIRE(first > 2);
	REQUIRE(!umpa_vmm_create(&other, &(struct umpa_vmm_options){.flags = UMPA_VMM_ALLOW_SLOW}));
	for (int i = 0; i < 3; i++)
		close(first + i);
	for (int i = 0; i < 3; i++)
		own[i] = open("/dev/null", O_RDONLY);
	CHECK(own[0] == first && own[2] == first + 2);
	CHECK_EQ(umpa_vmm_run(other, guest_add_one, NULL, &ret, &fault), -EIO);
	umpa_vmm_destroy(other);
	for (int i = 0; i < 3; i++)
		REQUIRE(!close(own[i]));
	end();
}
