/* Moving and swapping on the real kernel, with whatever mover works here: every page's content,
 * also of memory that is shared after fork(). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "support/check.h"
#include "support/marked.h"
#include "support/real_os.h"

#define PAGE ((size_t)4096)
#define MIB  ((size_t)1 << 20)
#define BIG  (64 * MIB)

static char *marked(size_t nbytes, uint64_t value)
{
	char *p = umpa_alloc(nbytes, nbytes % (2 * MIB) ? 0 : UMPA_ALIGN(21));

	mark(p, nbytes, value);
	return p;
}

static struct umpa_stats stats(void)
{
	struct umpa_stats st;

	umpa_get_stats(&st, sizeof(st));
	return st;
}

/* --- in one process ----------------------------------------------------------------------- */

/* There and back, as a whole and in parts. */
static uint64_t large(void)
{
	char *a = marked(BIG, 1ull << 32), *b = marked(BIG, 2ull << 32);
	size_t from = 3 * MIB + 5 * PAGE, n = 33 * MIB;
	uint64_t nwrong = 0;

	nwrong += umpa_swap(a, b, BIG) != 0;
	nwrong += count_unmarked(a, BIG, 2ull << 32) + count_unmarked(b, BIG, 1ull << 32);
	nwrong += umpa_move(b, a, BIG) != 0;
	nwrong += count_unmarked(b, BIG, 2ull << 32) + count_not_zero(a, BIG);
	mark(a, BIG, 3ull << 32);
	nwrong += umpa_swap(a + from, b + from, n) != 0;
	nwrong += count_unmarked(a + from, n, (2ull << 32) + from);
	nwrong += count_unmarked(b + from, n, (3ull << 32) + from);
	nwrong += umpa_move(a + from, b + from, n) != 0;
	nwrong += count_unmarked(a, BIG, 3ull << 32) + count_not_zero(b + from, n);
	nwrong += count_unmarked(b, from, 2ull << 32);
	nwrong += count_unmarked(b + from + n, BIG - from - n, (2ull << 32) + from + n);
	umpa_free(a);
	umpa_free(b);
	return nwrong;
}

/* All pairs of sizes, with an offset that differs. */
static uint64_t small(void)
{
	static const size_t sizes[] = {PAGE, 7 * PAGE, 300 * PAGE, 2 * MIB + PAGE, 5 * MIB};
	uint64_t nwrong = 0;

	for (int i = 0; i < 25; i++) {
		size_t na = sizes[i / 5], nb = sizes[i % 5], n = na < nb ? na : nb;
		char *a = marked(na, 1ull << 32), *b = marked(nb, 2ull << 32);
		size_t at = n > PAGE ? PAGE : 0;

		n -= at;
		nwrong += umpa_swap(a, b + at, n) != 0;
		nwrong += count_unmarked(a, n, (2ull << 32) + at);
		nwrong += count_unmarked(b + at, n, 1ull << 32);
		nwrong += umpa_move(a, b + at, n) != 0;
		nwrong += count_unmarked(a, n, 1ull << 32) + count_not_zero(b + at, n);
		nwrong += count_unmarked(a + n, na - n, (1ull << 32) + n);
		umpa_free(a);
		umpa_free(b);
	}
	return nwrong;
}

/* Pages nobody touched, and those that were only read. */
static uint64_t sparse(void)
{
	char *a = umpa_alloc(BIG, UMPA_NOBACK | UMPA_ALIGN(21)), *b = marked(BIG, 2ull << 32);
	uint64_t nwrong = 0;

	mark(a + 10 * MIB, PAGE, 1ull << 32);
	mark(a + 13 * MIB, MIB, 3ull << 32);
	nwrong += count_not_zero(a + 20 * MIB, 4 * MIB);
	nwrong += umpa_swap(a, b, BIG) != 0;
	nwrong += count_unmarked(a, BIG, 2ull << 32);
	nwrong += count_not_zero(b, 10 * MIB) + count_unmarked(b + 10 * MIB, PAGE, 1ull << 32);
	nwrong += count_unmarked(b + 13 * MIB, MIB, 3ull << 32);
	nwrong += count_not_zero(b + 14 * MIB, BIG - 14 * MIB);
	nwrong += umpa_move(a, b, BIG) != 0;
	nwrong += count_not_zero(a, 10 * MIB) + count_unmarked(a + 10 * MIB, PAGE, 1ull << 32);
	nwrong += count_unmarked(a + 13 * MIB, MIB, 3ull << 32) + count_not_zero(b, BIG);
	umpa_free(a);
	umpa_free(b);
	return nwrong;
}

/* A block turned round, a superpage at a time; then everything a superpage down, in 4 KiB ops. */
static uint64_t batch(void)
{
	enum {
		NSLOTS = 16,
		NOPS = (NSLOTS - 1) * 512
	};
	static struct umpa_move_op op[NOPS];
	size_t slot = 2 * MIB, n = NSLOTS * slot, done = 0;
	char *a = marked(n, 1ull << 32), *b = umpa_alloc(n, UMPA_ALIGN(21));
	uint64_t nwrong = 0;

	for (size_t i = 0; i < NSLOTS; i++)
		op[i] = (struct umpa_move_op){b + (NSLOTS - 1 - i) * slot, a + i * slot, slot};
	nwrong += umpa_movev(op, NSLOTS, &done) != 0 || done != NSLOTS;
	for (size_t i = 0; i < NSLOTS; i++)
		nwrong +=
			count_unmarked(b + (NSLOTS - 1 - i) * slot, slot, (1ull << 32) + i * slot);
	nwrong += count_not_zero(a, n);
	mark(a, n, 2ull << 32);
	for (size_t i = 0; i < NOPS; i++)
		op[i] = (struct umpa_move_op){a + i * PAGE, a + slot + i * PAGE, PAGE};
	nwrong += umpa_movev(op, NOPS, &done) != 0 || done != NOPS;
	nwrong += count_unmarked(a, n - slot, (2ull << 32) + slot);
	nwrong += count_not_zero(a + n - slot, slot);
	umpa_free(a);
	umpa_free(b);
	return nwrong;
}

static int carries_frames(void)
{
	return strcmp(umpa_mover_in_use(), "plain") != 0;
}

static int all_of_it(void *options)
{
	setenv("UMPA_OPTIONS", options, 1);
	if (large() || small() || sparse() || batch())
		return 1;
	if (stats().nblocks)
		return 2;
	/* A window as small as that has no room for it all. */
	if (carries_frames() && !strstr(options, "window=") && !stats().nslots_moved)
		return 3;
	return 0;
}

#define WITH(name, options)                                                                        \
	TEST(rewire_real_##name)                                                                   \
	{                                                                                          \
		PLAN(1);                                                                           \
		CHECK_EQ(real_in_child(all_of_it, options), 0);                                    \
	}
WITH(auto, "")
WITH(mremap, "mover=mremap")
WITH(plain, "mover=plain")
WITH(base_pages, "huge=0")
WITH(no_nursery, "nursery=0,shards=1,keep=8M")
WITH(small_window, "window=64M")

/* --- with pages that are not ordinary ----------------------------------------------------- */

static int refused(int result)
{
	return result == -1 && errno == EINVAL;
}

/* A superpage's place in a block is closed; then nothing with it in is done, all else is. */
static uint64_t closed(char *a, char *b, size_t n, int prot)
{
	char *at = a + 4 * MIB;
	uint64_t nwrong = umpa_mprotect(at, 2 * MIB, prot) != 0;

	nwrong += !refused(umpa_move(b, a, n)) + !refused(umpa_move(a, b, n));
	nwrong += !refused(umpa_swap(a, b, n)) + !refused(umpa_unback(a, n));
	nwrong += !refused(umpa_back(at + MIB, PAGE));
	nwrong += umpa_unback(a, 4 * MIB) != 0;
	nwrong += umpa_swap(at + 2 * MIB, b + 6 * MIB, 2 * MIB) != 0;
	nwrong += umpa_mprotect(at, 2 * MIB, PROT_READ | PROT_WRITE) != 0;
	nwrong += count_not_zero(a, 4 * MIB);
	nwrong += count_unmarked(at, 2 * MIB, (1ull << 32) + 4 * MIB);
	nwrong += count_unmarked(at + 2 * MIB, 2 * MIB, (2ull << 32) + 6 * MIB);
	mark(a, n, 1ull << 32);
	mark(b, n, 2ull << 32);
	return nwrong;
}

/* A superpage of a file in the middle of a, which holds bytes of neither block. */
static uint64_t with_a_file(char *a, char *b, size_t n)
{
	int fd = memfd_create("umpa-test", MFD_CLOEXEC);
	uint64_t nwrong = fd < 0;
	char *at = a + 4 * MIB;

	nwrong += ftruncate(fd, 2 * MIB) != 0;
	for (size_t i = 0; i < 2 * MIB; i += PAGE)
		nwrong += pwrite(fd, "file", 4, (off_t)i) != 4;
	nwrong += umpa_mmap(at, 2 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0) !=
		  (void *)at;
	nwrong += umpa_swap(a, b, n) != 0;
	nwrong += count_unmarked(a, n, 2ull << 32) + count_unmarked(b, 4 * MIB, 1ull << 32);
	nwrong += memcmp(b + 4 * MIB, "file", 5) != 0;
	nwrong += umpa_back(a, n) != 0 || umpa_unback(a, n) != 0;
	nwrong += count_not_zero(a, n); /* not what the file has */
	nwrong += umpa_move(a, b, n) != 0;
	nwrong += count_unmarked(a, 4 * MIB, 1ull << 32) + count_not_zero(b, n);
	close(fd);
	return nwrong;
}

/* Afterwards all memory is as any. */
static int not_ordinary(void *options)
{
	size_t n = 16 * MIB;
	uint64_t nwrong = 0;
	char *a, *b;

	setenv("UMPA_OPTIONS", options, 1);
	a = marked(n, 1ull << 32);
	b = marked(n, 2ull << 32);
	nwrong += umpa_swap(a, b, n) != 0 || umpa_swap(a, b, n) != 0; /* a mover is there */
	nwrong += closed(a, b, n, PROT_NONE) + closed(a, b, n, PROT_READ);
	nwrong += umpa_madvise(b + PAGE, 3 * MIB, MADV_DONTFORK) != 0;
	nwrong += umpa_swap(a, b, n) != 0;
	nwrong += count_unmarked(a, n, 2ull << 32) + count_unmarked(b, n, 1ull << 32);
	nwrong += umpa_swap(a, b, n) != 0;
	nwrong += with_a_file(a, b, n);
	umpa_free(a);
	umpa_free(b);
	return nwrong || large() || small();
}

#define NOT_ORDINARY(name, options)                                                                \
	TEST(rewire_not_ordinary_##name)                                                           \
	{                                                                                          \
		PLAN(1);                                                                           \
		CHECK_EQ(real_in_child(not_ordinary, options), 0);                                 \
	}
NOT_ORDINARY(auto, "")
NOT_ORDINARY(mremap, "mover=mremap")
NOT_ORDINARY(plain, "mover=plain")

/* Files lie in a block when the mover is chosen, and when its descriptor is lost: others' frames
 * move. */
static int around_a_file(void *arg)
{
	size_t n = 8 * MIB;
	char *a = marked(n, 1ull << 32), *b = marked(n, 2ull << 32), *odd = marked(n, 3ull << 32);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t nwrong = 0, nmoved;

	(void)arg;
	for (size_t at = 0; at < n; at += 4 * MIB)
		nwrong += umpa_mmap(odd + at, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) !=
			  (void *)(odd + at);
	for (int i = 0; i < 2; i++) {
		nmoved = stats().nslots_moved;
		nwrong += umpa_swap(a, b, n) != 0;
		nwrong += count_unmarked(a, n, (2ull - (unsigned)i) << 32);
		nwrong += count_unmarked(b, n, (1ull + (unsigned)i) << 32);
		nwrong += carries_frames() && stats().nslots_moved < nmoved + 4;
		closefrom(3);
	}
	nwrong += count_unmarked(odd + PAGE, 4 * MIB - PAGE, (3ull << 32) + PAGE);
	umpa_free(odd);
	nwrong += umpa_swap(a, b, n) != 0 || count_unmarked(a, n, 2ull << 32);
	umpa_free(a);
	umpa_free(b);
	return nwrong != 0 || large();
}

TEST(rewire_real_around_a_file)
{
	PLAN(1);
	CHECK_EQ(real_in_child(around_a_file, NULL), 0);
}

/* --- with another process ----------------------------------------------------------------- */

static uint64_t on_shared_memory(char *a, char *b, size_t n)
{
	uint64_t nwrong = 0;

	nwrong += umpa_swap(a, b, n) != 0;
	nwrong += count_unmarked(a, n, 2ull << 32) + count_unmarked(b, n, 1ull << 32);
	mark(a, n / 4, 2ull << 32); /* own frames again, for a part */
	nwrong += umpa_move(b, a, n) != 0;
	nwrong += count_unmarked(b, n, 2ull << 32) + count_not_zero(a, n);
	return nwrong;
}

/* Both sides at once, on frames that they share; and the parent again when it is alone. */
static int both_sides(void *arg)
{
	size_t n = 16 * MIB;
	char *a = marked(n, 1ull << 32), *b = marked(n, 2ull << 32);
	int status = -1;
	uint64_t nwrong;
	pid_t pid;

	(void)arg;
	umpa_swap(a, b, n); /* the mover is chosen, and its descriptor is the parent's */
	umpa_swap(a, b, n);
	pid = fork();
	if (!pid) {
		alarm(60);
		_exit((on_shared_memory(a, b, n) || large()) != 0);
	}
	nwrong = on_shared_memory(a, b, n);
	waitpid(pid, &status, 0);
	nwrong += status != 0;
	mark(a, n, 3ull << 32);
	nwrong += umpa_swap(a, b, n) != 0;
	nwrong += count_unmarked(a, n, 2ull << 32) + count_unmarked(b, n, 3ull << 32);
	umpa_free(a);
	umpa_free(b);
	return nwrong != 0;
}

TEST(rewire_real_after_fork)
{
	PLAN(1);
	CHECK_EQ(real_in_child(both_sides, NULL), 0);
}
