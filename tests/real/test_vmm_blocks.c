/* Blocks that functions in guest mode allocate, on whatever /dev/kvm there is. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "support/check.h"
#include "support/guest.h"
#include "vmm/machine.h"

static struct umpa_vmm *vmm;
static struct umpa_vmm_fault fault;
static long ret;

static struct umpa_vmm_caps caps;
static int pipe_fd[2];

static void begin(struct umpa_vmm_options options)
{
	vmm = guest_machine(options, &caps);
}

/* With no frames, as if it were the first: a block has those of the pool meanwhile, which is given
 * back. (If they went to the kernel, tables of superpages made of pages would stay, and pages come
 * instead of superpages.) */
static void *begin_without_frames(struct umpa_vmm_options options)
{
	struct umpa_stats s;
	void *others;

	umpa_get_stats(&s, sizeof(s));
	others = s.pool_nbytes ? umpa_alloc(s.pool_nbytes, UMPA_BACKED) : NULL;
	begin(options);
	return others;
}

static int run(long (*fn)(struct umpa_guest *, void *), void *arg)
{
	ret = -1;
	return umpa_vmm_run(vmm, fn, arg, &ret, &fault);
}

/* What the processor remembers of superpages that have moved is not what is there: one by one, and
 * so many that all is forgotten. More than once, as on the first time all is forgotten anyway when
 * the books get their frames. */
GUEST static long move_what_is_remembered(struct umpa_guest *g, void *arg)
{
	size_t nbytes = (size_t)arg;
	volatile char *a = umpa_g_alloc(g, nbytes, UMPA_NOBACK), *last = a + nbytes - 1;
	volatile char *b = umpa_g_alloc(g, nbytes, UMPA_NOBACK);

	for (char i = 1; i < 10; i += 2) {
		*a = *last = i;
		*b = (char)(i + 1);
		if (umpa_g_swap(g, (char *)a, (char *)b, 2 * MIB) || *a != i + 1 || *b != i)
			return i;
		if (umpa_g_move(g, (char *)a, (char *)b, nbytes) || *a != i || *b)
			return i + 1;
		if (umpa_g_move(g, (char *)b, (char *)a, nbytes) || *a || *b != i)
			return i + 2;
	}
	return 0;
}

TEST(vmm_forgets_what_has_moved)
{
	/* Room for all that moves: where there is none, superpages are cleared. */

	PLAN(5);
	begin((struct umpa_vmm_options){.holding_nbytes = 2048 * MIB});
	for (size_t nbytes = 2 * MIB; nbytes < 200 * MIB; nbytes *= 70) {
		CHECK_EQ(run(move_what_is_remembered, (void *)nbytes), 0);
		CHECK_EQ(ret, 0);
	}
	umpa_vmm_destroy(vmm);
}

/* Pages of two blocks change places by their entries, across the end of a superpage; so few that
 * each is forgotten, or many. What the processor remembers is not what is there. */
GUEST static long exchange_pages(struct umpa_guest *g, void *arg)
{
	size_t n = (size_t)arg;
	volatile uint64_t *a = umpa_g_alloc(g, 300 * 4096, 0), *b = umpa_g_alloc(g, 3 * MIB, 0);
	char *in_a = (char *)&a[512], *in_b = (char *)&b[(512 - 2) * 512], *home;
	long nwrong = 0;

	for (size_t i = 0; i < 300; i++)
		a[i * 512] = i;
	for (size_t i = 0; i < 768; i++)
		b[i * 512] = 1000 + i;
	home = umpa_g_home(g, in_b);
	nwrong += umpa_g_swap(g, in_a, in_b, n * 4096) != 0;
	nwrong += umpa_g_home(g, in_a) != home;
	for (size_t i = 0; i < 300; i++)
		nwrong += a[i * 512] != (i < 1 || i > n ? i : 1000 + 510 + i - 1);
	for (size_t i = 0; i < 768; i++)
		nwrong += b[i * 512] != (i < 510 || i >= 510 + n ? 1000 + i : i - 510 + 1);
	/* A move leaves zeros. */
	home = umpa_g_home(g, in_b);
	nwrong += umpa_g_move(g, (char *)a, in_b, 4096) || a[0] != 1 || b[510 * 512];
	nwrong += umpa_g_home(g, (char *)a) != home;
	/* What is made of such pages is as good as any. */
	umpa_g_free(g, (char *)a);
	umpa_g_free(g, (char *)b);
	a = umpa_g_alloc(g, 4 * MIB, UMPA_ZERO);
	for (size_t i = 0; i < 1024; i++) {
		nwrong += a[i * 512] != 0;
		a[i * 512] = i;
	}
	for (size_t i = 0; i < 1024; i++)
		nwrong += a[i * 512] != i;
	return nwrong;
}

TEST(vmm_exchanges_pages)
{
	PLAN(3 * 3);
	for (size_t n = 1; n < 256; n *= 15) {
		begin((struct umpa_vmm_options){.holding_nbytes = 64 * MIB});
		CHECK_EQ(run(exchange_pages, (void *)n), 0);
		CHECK_EQ(ret, 0);
		umpa_vmm_destroy(vmm);
	}
}

/* Superpages that are made of pages change places as wholes: each page is remembered by itself. */
GUEST static long exchange_split_superpages(struct umpa_guest *g, void *arg)
{
	volatile uint64_t *a = umpa_g_alloc(g, 2 * MIB, 0), *b = umpa_g_alloc(g, 2 * MIB, 0);
	long nwrong = 0;

	(void)arg;
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < 512; i++) {
			a[i * 512] = i;
			b[i * 512] = 1000 + i;
		}
		nwrong += umpa_g_swap(g, (char *)&a[5 * 512], (char *)&b[5 * 512], 4096) != 0;
		/* A way out, on which all that there was to forget is forgotten. */
		guest_call(SYS_getppid, 0, 0, 0);
		for (size_t i = 0; i < 64; i++)
			nwrong += a[i * 512] != (i == 5 ? 1005 : i);
		nwrong += umpa_g_swap(g, (char *)a, (char *)b, 2 * MIB) != 0;
		for (size_t i = 0; i < 64; i++)
			nwrong += a[i * 512] != (i == 5 ? 5 : 1000 + i);
	}
	return nwrong;
}

TEST(vmm_forgets_each_page)
{
	PLAN(5);
	begin((struct umpa_vmm_options){.flags = VMM_MIRROR_BY_PAGES, .holding_nbytes = 64 * MIB});
	CHECK_EQ(run(exchange_split_superpages, NULL), 0);
	CHECK_EQ(ret, 0);
	CHECK_EQ(run(exchange_pages, (void *)15), 0);
	CHECK_EQ(ret, 0);
	umpa_vmm_destroy(vmm);
}

/* Two blocks, of which a superpage each has changed places, are the program's outside. */
static uint64_t *made[2];

GUEST static long make_blocks(struct umpa_guest *g, void *arg)
{
	uint64_t *b = umpa_g_alloc(g, 3 * MIB, 0), *c = umpa_g_alloc(g, 8 * MIB, 0);

	(void)arg;
	b[0] = 81;
	c[0] = 31;
	made[1] = c;
	made[0] = umpa_g_realloc(g, b, 20 * MIB, 0);
	return !umpa_g_swap(g, made[0], c, 2 * MIB) && umpa_g_home(g, c) != c;
}

TEST(vmm_blocks_are_the_programs_outside)
{
	uint64_t *to;

	PLAN(7);
	begin((struct umpa_vmm_options){.holding_nbytes = 128 * MIB});
	for (int i = 0; i < 2; i++) {
		CHECK(!run(make_blocks, NULL) && ret == 1);
		CHECK(!umpa_vmm_sync(vmm, NULL, 0) && made[0][0] == 31 && made[1][0] == 81);
		to = umpa_realloc(made[0], 30 * MIB, 0);
		CHECK(to && to[0] == 31 && umpa_usable_size(made[1]) == 8 * MIB);
		umpa_free(to);
		umpa_free(made[1]);
	}
	umpa_vmm_destroy(vmm);
}

/* Frames go from slots in use to others, and the machine ends without a sync: what a slot had is
 * not taken for nothing. */
GUEST static long leave_frames_elsewhere(struct umpa_guest *g, void *arg)
{
	uint64_t *b[8], *large;

	(void)arg;
	for (int i = 0; i < 8; i++) {
		b[i] = umpa_g_alloc(g, 2 * MIB, 0);
		for (size_t p = 0; p < 512; p++)
			b[i][p * 512] = p + 1;
	}
	for (int i = 0; i < 8; i += 2)
		umpa_g_free(g, b[i]);
	large = umpa_g_alloc(g, 6 * MIB, 0);
	for (int i = 1; i < 8; i += 2)
		umpa_g_free(g, b[i]);
	umpa_g_free(g, large);
	return umpa_g_home(g, large) != large;
}

TEST(vmm_leaves_nothing_behind)
{
	unsigned nwrong = 0;
	uint64_t *after;
	void *others;

	PLAN(3);
	others = begin_without_frames((struct umpa_vmm_options){.holding_nbytes = 32 * MIB});
	CHECK(!run(leave_frames_elsewhere, NULL) && ret == 1);
	umpa_vmm_destroy(vmm);
	umpa_free(others);
	after = umpa_alloc(40 * MIB, UMPA_ZERO);
	for (size_t p = 0; p < 10240; p++)
		nwrong += after[p * 512] != 0;
	CHECK_EQ(nwrong, 0);
	umpa_free(after);
}

/* Blocks that a function leaves behind: of all sizes, moved and swapped, with others that are free
 * between them. */
enum {
	NLEFT = 24
};

static struct left_block {
	uint64_t *at;
	size_t npages;
} left[2][NLEFT];

GUEST static void write_numbers(uint64_t *at, size_t from, size_t npages, uint64_t number)
{
	for (size_t i = from; i < npages; i++)
		at[i * 512] = number << 32 | i;
}

GUEST static long leave_blocks(struct umpa_guest *g, void *arg)
{
	static const size_t sizes[] = {1, 3, 511, 512, 513, 40, 1500, 2049, 700, 5120, 17, 300};
	struct left_block *b = left[(long)arg];
	uint64_t *other[NLEFT];

	for (int i = 0; i < NLEFT; i++) {
		b[i].npages = sizes[i % 12];
		b[i].at = umpa_g_alloc(g, b[i].npages * 4096, 0);
		other[i] = umpa_g_alloc(g, sizes[(i + 5) % 12] * 4096, 0);
		if (!b[i].at || !other[i])
			return 0;
		write_numbers(b[i].at, 0, b[i].npages, (uint64_t)i);
	}
	for (int i = 0; i < NLEFT; i++)
		umpa_g_free(g, other[i]);
	for (int i = 3; i < NLEFT; i += 4) {
		size_t npages = b[i].npages + 2048;

		b[i].at = umpa_g_realloc(g, b[i].at, npages * 4096, 0);
		if (!b[i].at)
			return 0;
		write_numbers(b[i].at, b[i].npages, npages, (uint64_t)i);
		b[i].npages = npages;
	}
	if (umpa_g_swap(g, b[7].at, b[19].at, 2048 * 4096))
		return 0;
	write_numbers(b[7].at, 0, 2048, 7);
	write_numbers(b[19].at, 0, 2048, 19);
	return umpa_g_home(g, b[7].at) != b[7].at;
}

static unsigned nwrong_numbers(struct left_block *b)
{
	unsigned n = 0;

	for (int i = 0; i < NLEFT; i++) {
		n += umpa_usable_size(b[i].at) != b[i].npages * 4096;
		for (size_t p = 0; p < b[i].npages; p++)
			n += b[i].at[p * 512] != ((uint64_t)i << 32 | p);
	}
	return n;
}

static uint64_t nblocks(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	return st.nblocks;
}

static void *run_leave_blocks(void *arg)
{
	long got = 0;

	umpa_vmm_run(vmm, leave_blocks, arg, &got, NULL);
	return (void *)got;
}

GUEST static long use_some(struct umpa_guest *g, void *arg)
{
	uint64_t *b = umpa_g_alloc(g, 20 * MIB, 0);

	for (size_t i = 0; b && i < 20 * MIB / 8; i += 2 * MIB / 8)
		b[i] = 1;
	umpa_g_free(g, b);
	(void)arg;
	return b != NULL;
}

/* What one has left in the pool the next one takes, and no more is wanted of the kernel. */
TEST(vmm_machines_take_what_one_takes)
{
	struct umpa_stats s;
	uint64_t pool_nbytes = 0;

	PLAN(3 * 4 + 2);
	for (int i = 0; i < 4; i++) {
		begin((struct umpa_vmm_options){.holding_nbytes = 64 * MIB});
		CHECK_EQ(run(use_some, NULL), 0);
		CHECK_EQ(ret, 1);
		umpa_vmm_destroy(vmm);
		umpa_get_stats(&s, sizeof(s));
		if (i == 1)
			pool_nbytes = s.pool_nbytes;
	}
	CHECK(pool_nbytes > 0);
	CHECK(s.pool_nbytes <= pool_nbytes + 2 * MIB);
}

/* Of two threads, so of two CPUs, after the machine has ended. */
TEST(vmm_blocks_outlive_their_machine)
{
	uint64_t before = nblocks();

	PLAN(7);
	begin((struct umpa_vmm_options){.holding_nbytes = 1024 * MIB, .ncpus = 2});
	for (long i = 0; i < 2; i++) {
		pthread_t thread;
		void *got;

		pthread_create(&thread, NULL, run_leave_blocks, (void *)i);
		pthread_join(thread, &got);
		CHECK(got == (void *)1);
	}
	umpa_vmm_destroy(vmm);
	CHECK_EQ(nblocks(), before + 2 * NLEFT);
	CHECK_EQ(nwrong_numbers(left[0]), 0);
	CHECK_EQ(nwrong_numbers(left[1]), 0);
	for (int i = 0; i < 2 * NLEFT; i++)
		umpa_free(left[i / NLEFT][i % NLEFT].at);
	CHECK_EQ(nblocks(), before);
}

/* Frames of one block have gone to a larger one; then so many pages of two of its superpages change
 * places that neither is mostly one. Result: where the frames were. */
GUEST static long mix_pages(struct umpa_guest *g, void *arg)
{
	char *small = umpa_g_alloc(g, 8 * MIB, 0), *large;

	(void)arg;
	for (size_t i = 0; i < 8 * MIB; i += 4096)
		small[i] = 1;
	umpa_g_alloc(g, 2 * MIB, UMPA_NOBACK); /* no room behind it */
	umpa_g_free(g, small);
	large = umpa_g_alloc(g, 16 * MIB, 0);
	if (umpa_g_swap(g, large, large + 2 * MIB + 4096, (size_t)300 * 4096) ||
		umpa_g_home(g, large + 4 * MIB) == large + 4 * MIB)
		return 0;
	large[0] = 2;
	return (long)small;
}

/* Then all is brought page by page, also what is seen where nothing is; which has no frames still.
 */
TEST(vmm_sync_leaves_no_frames_behind)
{
	unsigned char resident[2048];
	unsigned nresident = 0;
	void *others;

	PLAN(5);
	others = begin_without_frames((struct umpa_vmm_options){.holding_nbytes = 64 * MIB});
	CHECK(!run(mix_pages, NULL) && ret);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	REQUIRE(!mincore((void *)ret, 8 * MIB, resident));
	for (size_t i = 0; i < 2048; i++)
		nresident += resident[i] & 1;
	CHECK_EQ(nresident, 0);
	umpa_vmm_destroy(vmm);
	umpa_free(others);
}

/* What is seen at two superpages has changed places, so their homes are elsewhere. */
GUEST static long speak_of_blocks(struct umpa_guest *g, void *arg)
{
	char *a = umpa_g_alloc(g, 4 * MIB, 0), *b = umpa_g_alloc(g, 4 * MIB, 0), *end = a + 2 * MIB;
	struct iovec v = {a, 4};
	struct timespec ts;
	long wrong = 0;

	(void)arg;
	for (int i = 0; i < 4; i++) {
		a[i] = (char)('a' + i);
		b[i] = (char)('A' + i);
		b[2 * MIB - 4 + i] = '<'; /* which end[-4] will be */
		end[i] = '>';
	}
	umpa_g_swap(g, a, b, 2 * MIB);
	/* "ABCD" is seen at a now. */
	wrong |= guest_call(SYS_write, pipe_fd[1], (long)a, 4) != 4;
	wrong |= (guest_call(SYS_read, pipe_fd[0], (long)b, 4) != 4) << 1;
	wrong |= (b[0] != 'A' || b[3] != 'D') << 2;
	/* Not in a row: in two pieces, or nothing. */
	wrong |= (guest_call(SYS_write, pipe_fd[1], (long)(end - 4), 8) != 8) << 3;
	wrong |= (guest_call(SYS_clock_gettime, 0, (long)(end - 8), 0) != 0) << 4;
	wrong |= (*(long *)end < 0 || *(long *)end >= 1000000000) << 12;
	wrong |= (guest_call(SYS_mincore, (long)a, 4 * MIB, (long)(end - 4)) != -EFAULT) << 13;
	wrong |= (guest_call(SYS_clock_gettime, 0, (long)a, 0) != 0) << 5;
	ts = *(struct timespec *)a;
	wrong |= (ts.tv_nsec < 0 || ts.tv_nsec >= 1000000000) << 6;
	wrong |= (guest_call(SYS_writev, pipe_fd[1], (long)&v, 1) != 4) << 7;
	/* It stands on them. */
	wrong |= (guest_call(SYS_munmap, (long)a, 2 * MIB, 0) != -EINVAL) << 10;
	wrong |= (guest_call(SYS_madvise, (long)b, 4096, MADV_DONTNEED) != -EINVAL) << 11;
	for (int i = 0; i < 4; i++)
		end[i] = '>';
	v.iov_base = end;
	wrong |= (guest_call(SYS_writev, pipe_fd[1], (long)&v, 1) != 4) << 8;
	wrong |= (guest_call(SYS_writev, pipe_fd[1], 0x10, 1) != -EFAULT) << 9;
	return wrong;
}

TEST(vmm_calls_see_what_is_seen)
{
	char text[9] = "";

	PLAN(6);
	begin((struct umpa_vmm_options){.holding_nbytes = 64 * MIB});
	REQUIRE(!pipe(pipe_fd));
	CHECK_EQ(run(speak_of_blocks, NULL), 0);
	CHECK_EQ(ret, 0);
	CHECK_EQ(read(pipe_fd[0], text, 8), 8);
	CHECK_STR(text, "<<<<>>>>");
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	umpa_vmm_destroy(vmm);
}

/* Calls with buffers of many pages, of which hardly any two lie in a row. */
enum {
	PIECES_NPAGES = 80,
	DATAGRAM_NBYTES = 4 * 4096
};

static struct {
	int file, event, to, from; /* the last two are sockets */
	struct sockaddr_un name, name_of_from;
	socklen_t name_nbytes, name_of_from_nbytes;
} talk;

/* Numbers at both ends of each page. */
GUEST static void number_ends(uint64_t *b, size_t npages, uint64_t first)
{
	for (size_t i = 0; i < npages; i++)
		b[i * 512] = b[i * 512 + 511] = first + i;
}

GUEST static int is_numbered(const uint64_t *b, size_t npages, uint64_t first)
{
	for (size_t i = 0; i < npages; i++)
		if (b[i * 512] != first + i || b[i * 512 + 511] != first + i)
			return 0;
	return 1;
}

GUEST static long give_pieces_of_files(uint64_t *a, uint64_t *b)
{
	struct iovec *v = (struct iovec *)&b[10 * 512];
	long wrong = 0;

	number_ends(a, PIECES_NPAGES, 1);
	wrong |= guest_call_6(SYS_pwrite64, talk.file, (long)a, 5 * 4096, 4096, 0, 0) != 5 * 4096;
	wrong |= (guest_call_6(SYS_pread64, talk.file, (long)b, 4096 * 5, 4096, 0, 0) != 5 * 4096)
		 << 1;
	wrong |= !is_numbered(b, 5, 1) << 2;
	wrong |= (guest_call(SYS_write, talk.file, (long)a, PIECES_NPAGES * 4096) !=
			 PIECES_NPAGES * 4096)
		 << 3;
	/* Takes eight bytes at once, and no pieces. */
	((char *)a)[4095] = 7;
	a[512] = 0;
	wrong |= (guest_call(SYS_write, talk.event, (long)((char *)a + 4095), 8) != 8) << 13;
	wrong |= (guest_call(SYS_read, talk.event, (long)((char *)a + 8191), 8) != 8) << 14;
	wrong |= (((char *)a)[8191] != 7 || a[1024] & 0xffffff) << 15;
	wrong |= (guest_call(SYS_lseek, talk.file, 4096, SEEK_SET) != 4096) << 4;
	wrong |= (guest_call(SYS_read, talk.file, (long)(a + 10 * 512), 3 * 4096) != 3 * 4096) << 5;
	wrong |= !is_numbered(a + 10 * 512, 3, 2) << 6;
	/* Lists, themselves in a block. */
	v[0] = (struct iovec){a + 30 * 512, 2 * 4096};
	v[1] = (struct iovec){b, 0};
	v[2] = (struct iovec){b + 512, 4096};
	number_ends(b + 512, 1, 500);
	wrong |= (guest_call_6(SYS_pwritev, talk.file, (long)v, 3, 0, 0, 0) != 3 * 4096) << 7;
	v[0] = (struct iovec){a + 60 * 512, 3 * 4096};
	wrong |= (guest_call_6(SYS_preadv, talk.file, (long)v, 1, 0, 0, 0) != 3 * 4096) << 8;
	wrong |= (!is_numbered(a + 60 * 512, 2, 31) || !is_numbered(a + 62 * 512, 1, 500)) << 9;
	/* What the kernel refuses. */
	v[0].iov_len = (size_t)-1;
	wrong |= (guest_call_6(SYS_preadv, talk.file, (long)v, 1, 0, 0, 0) != -EINVAL) << 10;
	wrong |= (guest_call(SYS_readv, talk.file, (long)v, 1025) != -EINVAL) << 11;
	wrong |= (guest_call(SYS_read, -1, (long)a, 3 * 4096) != -EBADF) << 12;
	return wrong;
}

GUEST static long give_pieces_of_datagrams(uint64_t *a, uint64_t *b)
{
	struct sockaddr_un *from = (struct sockaddr_un *)b;
	socklen_t *from_nbytes = (socklen_t *)(b + 512);
	struct msghdr *m = (struct msghdr *)(b + 1024);
	struct iovec *v = (struct iovec *)(b + 1536);
	long wrong = 0;

	number_ends(a, PIECES_NPAGES, 1);
	wrong |= guest_call_6(SYS_sendto, talk.from, (long)a, DATAGRAM_NBYTES, 0, (long)&talk.name,
			 talk.name_nbytes) != DATAGRAM_NBYTES;
	*from_nbytes = sizeof(*from);
	wrong |= (guest_call_6(SYS_recvfrom, talk.to, (long)(a + 20 * 512), DATAGRAM_NBYTES, 0,
			  (long)from, (long)from_nbytes) != DATAGRAM_NBYTES)
		 << 1;
	wrong |= !is_numbered(a + 20 * 512, 4, 1) << 2;
	wrong |= (*from_nbytes != talk.name_of_from_nbytes) << 3;
	for (size_t i = 0; i < *from_nbytes; i++)
		wrong |= (((char *)from)[i] != ((char *)&talk.name_of_from)[i]) << 4;
	/* A datagram is not cut, nor is its receiver's name. */
	wrong |= (guest_call_6(SYS_sendto, talk.from, (long)a, 66 * 4096, 0, (long)&talk.name,
			  talk.name_nbytes) != -EMSGSIZE)
		 << 5;
	wrong |= (guest_call_6(SYS_sendto, talk.from, (long)a, DATAGRAM_NBYTES, 0, (long)&talk.name,
			  1000) != -EINVAL)
		 << 6;
	/* By messages. */
	*m = (struct msghdr){.msg_name = &talk.name,
		.msg_namelen = talk.name_nbytes,
		.msg_iov = v,
		.msg_iovlen = 2};
	v[0] = (struct iovec){a, 2 * 4096};
	v[1] = (struct iovec){a + 6 * 512, 4096};
	wrong |= (guest_call(SYS_sendmsg, talk.from, (long)m, 0) != 3 * 4096) << 7;
	m->msg_name = from;
	m->msg_namelen = sizeof(*from);
	m->msg_flags = 77;
	v[0] = (struct iovec){a + 40 * 512, 2 * 4096 + 8};
	m->msg_iovlen = 1;
	wrong |= (guest_call(SYS_recvmsg, talk.to, (long)m, 0) != 2 * 4096 + 8) << 8;
	wrong |= (!is_numbered(a + 40 * 512, 2, 1) || a[42 * 512] != 7) << 9;
	wrong |= (m->msg_flags != MSG_TRUNC || m->msg_namelen != talk.name_of_from_nbytes) << 10;
	wrong |= (m->msg_iov != v || m->msg_name != from) << 11;
	return wrong;
}

GUEST static long give_pieces(struct umpa_guest *g, void *arg)
{
	uint64_t *a = umpa_g_alloc(g, PIECES_NPAGES * 4096, 0);
	uint64_t *b = umpa_g_alloc(g, PIECES_NPAGES * 4096, 0);
	long wrong = 0;

	/* From its end to its begin. */
	for (size_t i = 0; i < PIECES_NPAGES / 2; i++)
		wrong |= umpa_g_swap(g, a + i * 512, a + (PIECES_NPAGES - 1 - i) * 512, 4096);
	if (wrong || umpa_g_home(g, a) != a + (PIECES_NPAGES - 1) * 512)
		return -1;
	wrong = arg ? give_pieces_of_datagrams(a, b) : give_pieces_of_files(a, b);
	umpa_g_free(g, a);
	umpa_g_free(g, b);
	return wrong;
}

/* A socket with a name that the system gives. */
static int named_socket(struct sockaddr_un *name, socklen_t *nbytes)
{
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);

	*name = (struct sockaddr_un){.sun_family = AF_UNIX};
	*nbytes = sizeof(*name);
	REQUIRE(s >= 0 && !bind(s, (struct sockaddr *)name, sizeof(name->sun_family)));
	REQUIRE(!getsockname(s, (struct sockaddr *)name, nbytes));
	return s;
}

TEST(vmm_calls_take_pieces)
{
	PLAN(10);
	begin((struct umpa_vmm_options){.holding_nbytes = 64 * MIB});
	talk.file = memfd_create("pieces", MFD_CLOEXEC);
	talk.event = eventfd(0, EFD_CLOEXEC);
	REQUIRE(talk.file >= 0 && talk.event >= 0);
	talk.to = named_socket(&talk.name, &talk.name_nbytes);
	talk.from = named_socket(&talk.name_of_from, &talk.name_of_from_nbytes);
	CHECK_EQ(run(give_pieces, NULL), 0);
	CHECK_EQ(ret, 0);
	CHECK_EQ(run(give_pieces, &talk), 0);
	CHECK_EQ(ret, 0);
	close(talk.file);
	close(talk.event);
	close(talk.to);
	close(talk.from);
	umpa_vmm_destroy(vmm);
}

enum {
	NOPS = 400,
	NBLOCKS = 12
};

enum op_kind {
	OP_ALLOC,
	OP_FREE,
	OP_RESIZE,
	OP_UNBACK,
	OP_MOVE,
	OP_SWAP,
	OP_NKINDS
};

struct op {
	enum op_kind kind;
	unsigned a, b;
	size_t npages, from_a, from_b;
	unsigned flags;
};

/* Blocks as a trace of operations leaves them: each page's first word is its number and more. */
struct trace {
	const struct op *op;
	size_t nops;
	uint64_t *block[NBLOCKS];
	size_t npages[NBLOCKS];
	unsigned nwrong;
};

GUEST static void number_pages(struct trace *t, unsigned a, size_t from, size_t i)
{
	for (size_t p = from; p < t->npages[a]; p++)
		t->block[a][p * 512] = i << 32 | p << 8 | a | 1;
}

GUEST static void trace_resize(struct umpa_guest *g, struct trace *t, const struct op *o, size_t i)
{
	size_t old = t->npages[o->a];
	uint64_t *to = umpa_g_realloc(g, t->block[o->a], o->npages << 12, o->flags);

	if (!to)
		t->nwrong++;
	else
		t->block[o->a] = to;
	t->npages[o->a] = o->npages;
	for (size_t p = old; o->flags & UMPA_ZERO && p < o->npages; p++)
		t->nwrong += to[p * 512] != 0;
	number_pages(t, o->a, old, i);
}

GUEST static void trace_alloc(struct umpa_guest *g, struct trace *t, const struct op *o, size_t i)
{
	umpa_g_free(g, t->block[o->a]);
	t->block[o->a] = umpa_g_alloc(g, o->npages << 12, o->flags);
	t->npages[o->a] = o->npages;
	for (size_t p = 0; o->flags & UMPA_ZERO && p < o->npages; p++)
		t->nwrong += t->block[o->a][p * 512] != 0;
	number_pages(t, o->a, 0, i);
}

GUEST static void trace_one(struct umpa_guest *g, struct trace *t, const struct op *o, size_t i)
{
	char *a = (char *)(t->block[o->a] + o->from_a * 512);
	char *b = (char *)(t->block[o->b] + o->from_b * 512);

	switch (o->kind) {
	case OP_ALLOC:
		trace_alloc(g, t, o, i);
		break;
	case OP_FREE:
		umpa_g_free(g, t->block[o->a]);
		t->block[o->a] = NULL;
		t->npages[o->a] = 0;
		break;
	case OP_RESIZE:
		trace_resize(g, t, o, i);
		break;
	case OP_UNBACK:
		t->nwrong += umpa_g_unback(g, a, o->npages << 12) != 0;
		break;
	case OP_MOVE:
		t->nwrong += umpa_g_move(g, a, b, o->npages << 12) != 0;
		break;
	default:
		t->nwrong += umpa_g_swap(g, a, b, o->npages << 12) != 0;
	}
}

GUEST static long play(struct umpa_guest *g, void *arg)
{
	struct trace *t = arg;

	for (size_t i = 0; i < t->nops; i++)
		trace_one(g, t, &t->op[i], i);
	return umpa_g_is_inside(g);
}

static uint64_t drawn = 1;

static size_t below(size_t n)
{
	drawn = drawn * 6364136223846793005u + 1442695040888963407u;
	return (size_t)(drawn >> 33) % n;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Operations that are all possible, one after the other. Whole superpages at the same place in two
 * blocks come up often. */
static void draw(struct op op[NOPS], size_t npages_max)
{
	size_t npages[NBLOCKS] = {0};

	for (size_t i = 0; i < NOPS; i++) {
		struct op *o = &op[i];

		o->kind = below(OP_NKINDS);
		o->a = (unsigned)below(NBLOCKS);
		o->b = (unsigned)below(NBLOCKS);
		if (!npages[o->a] || (o->kind >= OP_MOVE && (!npages[o->b] || o->a == o->b)))
			o->kind = OP_ALLOC;
		o->flags = (below(3) ? 0 : UMPA_ZERO) | (below(2) ? 0 : UMPA_ALIGN(21));
		o->npages = 1 + below(below(2) ? 500 : npages_max);
		if (o->kind <= OP_RESIZE) {
			npages[o->a] = o->kind == OP_FREE ? 0 : o->npages;
			continue;
		}
		o->from_a = below(2) ? 0 : below(npages[o->a]);
		o->from_b = below(2) || !npages[o->b] ? 0 : below(npages[o->b]);
		o->npages = least(o->npages, npages[o->a] - o->from_a);
		if (o->kind != OP_UNBACK)
			o->npages = least(o->npages, npages[o->b] - o->from_b);
	}
}

static unsigned nunlike(const struct trace *a, const struct trace *b)
{
	unsigned n = 0;

	for (size_t i = 0; i < NBLOCKS; i++)
		for (size_t p = 0; p < a->npages[i]; p++)
			n += a->block[i][p * 512] != b->block[i][p * 512];
	return n;
}

/* How many blocks have another last page, and they are gone. */
GUEST static long sees_77(struct umpa_guest *g, void *arg)
{
	struct trace *t = arg;
	long n = 0;

	for (size_t i = 0; i < NBLOCKS; i++) {
		n += t->npages[i] && t->block[i][(t->npages[i] - 1) * 512] != 77;
		umpa_g_free(g, t->block[i]);
	}
	return n;
}

static void drop(struct umpa_guest *g, struct trace *t)
{
	for (size_t i = 0; i < NBLOCKS; i++)
		umpa_g_free(g, t->block[i]);
}

/* The same operations, in guest mode by entries and outside by the mover that there is, give the
 * same memory, as the host sees it. */
TEST(vmm_allocates_as_the_host_does)
{
	static struct umpa_guest outside;
	static struct op op[NOPS];
	size_t nops, npages_max;
	void *others;

	PLAN(1 + 2 * 8);
	others = begin_without_frames((struct umpa_vmm_options){.holding_nbytes = 256 * MIB});
	/* To clear a superpage takes 130 ms where the host interprets. */
	nops = caps.level == UMPA_VMM_EMULATED ? NOPS / 20 : check_steps(NOPS);
	npages_max = caps.level == UMPA_VMM_EMULATED ? 1100 : 2000;
	drawn = check_seed(1);
	for (int i = 0; i < 2; i++) {
		struct trace in = {.op = op, .nops = nops}, out = in;

		draw(op, npages_max);
		CHECK_EQ(run(play, &in), 0);
		CHECK_EQ(ret, 1);
		CHECK_EQ(play(&outside, &out), 0);
		CHECK_EQ(in.nwrong, 0);
		CHECK_EQ(out.nwrong, 0);
		CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
		CHECK_EQ(nunlike(&in, &out), 0);
		/* And back: what the host writes is seen inside. */
		for (size_t k = 0; k < NBLOCKS; k++)
			if (in.npages[k])
				in.block[k][(in.npages[k] - 1) * 512] = 77;
		CHECK_EQ(run(sees_77, &in) || ret, 0);
		drop(&outside, &out);
	}
	umpa_vmm_destroy(vmm);
	umpa_free(others);
}

/* --- ended in the middle ------------------------------------------------------------------ */

/* Blocks come and go, each with its number at both ends, until there is no more time. */
enum {
	NHELD = 12
};

static uint64_t *held[NHELD];

GUEST static int ends_are_right(const uint64_t *b)
{
	return b[0] == (uintptr_t)b && b[b[1] / 8 - 1] == (uintptr_t)b;
}

GUEST static void set_ends(uint64_t *b, size_t nbytes)
{
	b[0] = b[nbytes / 8 - 1] = (uintptr_t)b;
	b[1] = nbytes;
}

GUEST static long allocate_for_ever(struct umpa_guest *g, void *arg)
{
	uint64_t n = (uintptr_t)arg;

	for (;;) {
		uint64_t **at = &held[(n = n * 6364136223846793005u + 1) >> 40 & 7], *b = *at;
		size_t nbytes = 4096 * (1 + (n >> 33 & (n >> 60 ? 255 : 4095)));

		*at = NULL; /* lost, if it ends before there is another one */
		if (b && !ends_are_right(b))
			return (long)n;
		if (n >> 50 & 1 && b) {
			umpa_g_free(g, b);
			b = NULL;
		}
		b = umpa_g_realloc(g, b, nbytes, 0);
		if (b)
			set_ends(b, nbytes);
		*at = b;
	}
}

static long nwrong_ends;

/* The allocator is as good as it was, whenever a function is ended; which this one may be too. */
GUEST static long free_all(struct umpa_guest *g, void *arg)
{
	(void)arg;
	for (int i = 0; i < NHELD; i++) {
		uint64_t *b = held[i];

		nwrong_ends += b && !ends_are_right(b);
		held[i] = NULL;
		if (b)
			umpa_g_free(g, b);
	}
	/* Of a size that none was: whoever had lost his books would have none. */
	return umpa_g_alloc(g, 5001 * 4096, 0) != NULL;
}

TEST(vmm_ends_what_allocates)
{
	unsigned nwrong = 0, nrounds = getenv("UMPA_GUEST") ? 60 : 12;

	PLAN(3);
	begin((struct umpa_vmm_options){.time_ns = 15000000, .holding_nbytes = (size_t)2048 * MIB});
	for (uintptr_t i = 1; i <= nrounds; i++)
		nwrong += run(allocate_for_ever, (void *)i) != -ETIMEDOUT;
	CHECK_EQ(nwrong, 0);
	while (run(free_all, NULL) == -ETIMEDOUT)
		;
	CHECK(ret == 1 && !nwrong_ends);
	umpa_vmm_destroy(vmm);
}
