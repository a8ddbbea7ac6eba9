/* Which system calls of a guest are made. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "support/check.h"
#include "vmm/calls.h"

static const struct umpa_ground ground[] = {{0x10000, 0x20000}, {0x50000, 0x51000}};

static int verdict(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
	struct umpa_call call = {number, {a, b, c, d, e, 0}};

	return umpa_call_verdict(&call, ground, 2);
}

TEST(vmm_calls_that_are_made)
{
	PLAN(12);
	CHECK_EQ(verdict(SYS_getpid, 0, 0, 0, 0, 0), 0);
	CHECK_EQ(verdict(SYS_write, 1, 0x10000, 5, 0, 0), 0);
	CHECK_EQ(verdict(SYS_exit_group, 0, 0, 0, 0, 0), 0);
	CHECK_EQ(verdict(SYS_arch_prctl, 0x1003, 0x8000, 0, 0, 0), 0); /* GET_FS */
	CHECK_EQ(verdict(SYS_munmap, 0x8000, 0x8000, 0, 0, 0), 0);
	CHECK_EQ(verdict(SYS_munmap, 0x20000, 0x30000, 0, 0, 0), 0);
	CHECK_EQ(verdict(SYS_munmap, 0x10000, 0, 0, 0, 0), 0); /* the kernel refuses */
	CHECK_EQ(verdict(SYS_mmap, 0x10000, 0x1000, 3, MAP_PRIVATE | MAP_ANONYMOUS, 0), 0);
	CHECK_EQ(verdict(SYS_mremap, 0x8000, 0x1000, 0x9000, MREMAP_MAYMOVE, 0x10000), 0);
	CHECK_EQ(verdict(SYS_shmat, 1, 0x10000, 0, 0, 0), 0);
	CHECK_EQ(verdict(SYS_brk, 0x10000, 0, 0, 0, 0), 0);
	CHECK_EQ(verdict(100000, 0, 0, 0, 0, 0), 0); /* the kernel says ENOSYS */
}

TEST(vmm_calls_that_are_refused)
{
	static const unsigned others[] = {
		SYS_clone, SYS_clone3, SYS_fork, SYS_vfork, SYS_execve, SYS_execveat};
	static const unsigned ends[] = {SYS_exit, SYS_rt_sigreturn, SYS_sigaltstack, SYS_unshare};

	PLAN(array_len(others) + array_len(ends) + 12);
	for (size_t i = 0; i < array_len(others); i++)
		CHECK_EQ(verdict(others[i], 0, 0, 0, 0, 0), -ENOSYS);
	for (size_t i = 0; i < array_len(ends); i++)
		CHECK_EQ(verdict(ends[i], 0, 0, 0, 0, 0), -EINVAL);
	CHECK_EQ(verdict(SYS_arch_prctl, 0x1002, 0, 0, 0, 0), -EPERM);
	CHECK_EQ(verdict(SYS_arch_prctl, 0x1001, 0, 0, 0, 0), -EPERM);
	CHECK_EQ(verdict(SYS_munmap, 0x8000, 0x8001, 0, 0, 0), -EINVAL);
	CHECK_EQ(verdict(SYS_munmap, 0x1ffff, 1, 0, 0, 0), -EINVAL);
	CHECK_EQ(verdict(SYS_mprotect, 0x50800, 8, 0, 0, 0), -EINVAL);
	CHECK_EQ(verdict(SYS_madvise, 0, UINT64_MAX, 0, 0, 0), -EINVAL);
	CHECK_EQ(verdict(SYS_munmap, 0x10000, UINT64_MAX, 0, 0, 0), -EINVAL); /* wraps */
	CHECK_EQ(verdict(SYS_mmap, 0x10000, 0x1000, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, 0),
		-EINVAL);
	CHECK_EQ(verdict(SYS_mremap, 0x10000, 0x1000, 0x2000, MREMAP_MAYMOVE, 0), -EINVAL);
	CHECK_EQ(
		verdict(SYS_mremap, 0x8000, 0x1000, 0x1000, MREMAP_MAYMOVE | MREMAP_FIXED, 0x10000),
		-EINVAL);
	CHECK_EQ(verdict(SYS_shmat, 1, 0x8000, SHM_REMAP, 0, 0), -EINVAL);
	CHECK_EQ(verdict(SYS_pkey_mprotect, 0x10000, 1, 0, 0, 0), -EINVAL);
}

static int maps(
	uint64_t number, uint64_t b, uint64_t c, uint64_t result, uintptr_t *begin, size_t *n)
{
	struct umpa_call call = {number, {0, b, c, 0, 0, 0}};

	return umpa_call_maps(&call, result, begin, n);
}

TEST(vmm_calls_that_map)
{
	struct umpa_call mapped = {SYS_mmap, {0}}, attached = {SYS_shmat, {0}},
			 broken = {SYS_brk, {0}}, back,
			 moved = {SYS_mremap, {0x5000, 0x2000, 0x3000, MREMAP_MAYMOVE}};
	uintptr_t begin;
	size_t n;

	PLAN(11);
	CHECK(maps(SYS_mmap, 0x3000, 0, 0x7000, &begin, &n) && begin == 0x7000 && n == 0x3000);
	CHECK(maps(SYS_mremap, 0x3000, 0x5000, 0x7000, &begin, &n) && begin == 0x7000 &&
		n == 0x5000);
	CHECK(maps(SYS_shmat, 0, 0, 0x7000, &begin, &n) && begin == 0x7000 && n == 1);
	CHECK(maps(SYS_brk, 0, 0, 0x7000, &begin, &n) && begin == 0x6fff);
	CHECK(!maps(SYS_mmap, 0x3000, 0, (uint64_t)-ENOMEM, &begin, &n));
	CHECK(!maps(SYS_read, 0x3000, 0, 0x7000, &begin, &n));
	back = umpa_call_undo(&mapped, 0x7000, 0x3000);
	CHECK(back.number == SYS_munmap && back.argument[1] == 0x3000);
	back = umpa_call_undo(&moved, 0x7000, 0x3000);
	CHECK(back.number == SYS_mremap && back.argument[1] == 0x3000 &&
		back.argument[2] == 0x2000 && back.argument[4] == 0x5000);
	moved.argument[1] = 0; /* a copy */
	CHECK_EQ(umpa_call_undo(&moved, 0x7000, 0x3000).number, SYS_munmap);
	CHECK_EQ(umpa_call_undo(&attached, 0x7000, 1).number, SYS_shmdt);
	CHECK_EQ(umpa_call_undo(&broken, 0, 1).number, 0);
}

TEST(vmm_calls_and_their_pointers)
{
	struct umpa_call call = {SYS_read, {0, 1, 2}}, vectors = {SYS_writev, {1, 0x7000, 3}};
	struct umpa_call_buffer b = umpa_call_buffer(&call, 1);
	uintptr_t list;
	size_t n, each;

	PLAN(18);
	CHECK(b.position == 1 && b.nbytes_at == 2 &&
		b.flags == (CALL_MAY_BE_LESS | CALL_IS_WRITTEN));
	b = umpa_call_buffer(&call, 0);
	CHECK(b.position == -1);
	call.number = SYS_sendto;
	b = umpa_call_buffer(&call, 1);
	CHECK(b.nbytes_at == 2 && !(b.flags & CALL_MAY_BE_LESS));
	call.number = SYS_fstat;
	CHECK_EQ(umpa_call_buffer(&call, 1).nbytes, sizeof(struct stat));
	CHECK(umpa_call_list(&vectors, &list, &n));
	CHECK(list == 0x7000 && n == 3);
	CHECK(!umpa_call_list(&call, &list, &n));
	/* How long what an unknown call is given may be nobody knows. */
	call.number = SYS_msgrcv;
	CHECK_EQ(umpa_call_buffer(&call, 1).nbytes, 0);
	CHECK_EQ(umpa_call_buffer(&vectors, 1).nbytes, sizeof(struct iovec));
	call.number = SYS_sendmsg;
	CHECK(umpa_call_messages(&call, &list, &n, &each) && list == 1 && n == 1);
	CHECK_EQ(each, sizeof(struct msghdr));
	call.number = SYS_recvmmsg;
	CHECK(umpa_call_messages(&call, &list, &n, &each) && n == 2);
	CHECK_EQ(each, sizeof(struct mmsghdr));
	CHECK(!umpa_call_messages(&vectors, &list, &n, &each));
	vectors.number = SYS_process_vm_readv;
	CHECK(umpa_call_list(&vectors, &list, &n));
	CHECK_EQ(umpa_call_of_pieces(SYS_pread64), SYS_preadv);
	CHECK_EQ(umpa_call_of_pieces(SYS_sendto), SYS_sendmsg);
	CHECK_EQ(umpa_call_of_pieces(SYS_getrandom), 0);
}

/* Where something is to be mapped, come what may. */
TEST(vmm_calls_that_order)
{
	struct umpa_call call = {SYS_mmap, {0x7000, 0x3000, 3, MAP_PRIVATE | MAP_ANONYMOUS}};
	uintptr_t begin;
	size_t n;

	PLAN(11);
	CHECK(!umpa_call_changes(&call));
	CHECK(!umpa_call_orders(&call, &begin, &n));
	call.argument[3] |= MAP_FIXED;
	CHECK(umpa_call_orders(&call, &begin, &n) && begin == 0x7000 && n == 0x3000);
	call.argument[3] ^= MAP_FIXED | MAP_FIXED_NOREPLACE;
	CHECK(umpa_call_orders(&call, &begin, &n));
	call.argument[3] = MAP_FIXED; /* which the kernel refuses */
	CHECK(!umpa_call_orders(&call, &begin, &n));
	call = (struct umpa_call){SYS_mremap, {0x7000, 1, 0x5000, MREMAP_MAYMOVE, 0x9000}};
	CHECK(!umpa_call_orders(&call, &begin, &n));
	call.argument[3] |= MREMAP_FIXED;
	CHECK(umpa_call_orders(&call, &begin, &n) && begin == 0x9000 && n == 0x5000);
	call = (struct umpa_call){SYS_shmat, {1, 0x9000}};
	CHECK(umpa_call_orders(&call, &begin, &n) && begin == 0x9000);
	call.number = SYS_munmap;
	CHECK(!umpa_call_orders(&call, &begin, &n));
	CHECK(umpa_call_changes(&call));
	call.number = SYS_getpid;
	CHECK(!umpa_call_changes(&call));
}
