/* Moving and swapping while calls of the system fail, each in turn, and pages refuse to move: no
 * content is anywhere but where it should be, and nothing is lost. */
#include <errno.h>
#include <stdio.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/marked.h"

#define PAGE ((size_t)4096)
#define SLOT ((size_t)2 << 20)

static void mark_all(char *p, size_t nbytes, uint64_t value)
{
	fake_touch(p, nbytes);
	mark(p, nbytes, value);
}

enum call {
	CALL_MOVE,
	CALL_SWAP,
	CALL_MOVEV
};

/* One call that meets bare slots, slots with holes, full ones and pages at both ends. Result: pages
 * that are not what they should be. */
static uint64_t do_call(enum call call, char *a, char *b, size_t n)
{
	size_t half = n / 2, rest = n - half - PAGE;
	struct umpa_move_op op[3] = {
		{b, a, half}, {b + half, a + half, PAGE}, {b + half + PAGE, a + half + PAGE, rest}};
	uint64_t nwrong = 0;

	if (call == CALL_SWAP)
		nwrong += umpa_swap(a, b, n) != 0;
	else if (call == CALL_MOVE)
		nwrong += umpa_move(b, a, n) != 0;
	else
		nwrong += umpa_movev(op, 3, NULL) != 0;
	/* Of a, the second slot was bare, and a page of the third. */
	nwrong += count_unmarked(b, SLOT - PAGE, (1ull << 32) + PAGE);
	nwrong += count_not_zero(b + SLOT - PAGE, SLOT + PAGE);
	nwrong += count_unmarked(b + 2 * SLOT, n - 2 * SLOT, (1ull << 32) + 2 * SLOT + PAGE);
	if (call != CALL_SWAP)
		return nwrong + count_not_zero(a, n);
	/* Of b, the fourth slot. */
	nwrong += count_unmarked(a, 3 * SLOT - PAGE, (2ull << 32) + PAGE);
	nwrong += count_not_zero(a + 3 * SLOT - PAGE, SLOT);
	return nwrong +
	       count_unmarked(a + 4 * SLOT - PAGE, n - 4 * SLOT + PAGE, (2ull << 32) + 4 * SLOT);
}

/* Nothing is live: free slots that are void have no frame, and are zero. Result: 0 if so. */
static uint64_t count_dirty_void(void)
{
	size_t nbytes = 32 * SLOT;
	uint64_t n;
	char *p;

	umpa_trim(0);
	n = fake_nframes();
	p = umpa_alloc(nbytes, UMPA_ZERO | UMPA_NOBACK);
	n += count_not_zero(p, nbytes);
	umpa_free(p);
	return n;
}

struct fault {
	uint64_t nth;
	uint64_t again; /* so does the call that many behind it; 0: none */
	int error;
	int lasting; /* those behind it fail, too */
	int shared;  /* pages in the middle of slots of either block don't move */
};

/* Result: calls of the system that the call makes. */
static uint64_t one_fault(enum call call, struct fault f, uint64_t *nbad)
{
	size_t n = 6 * SLOT;
	char *a, *b;
	uint64_t ncalls, nwrong;

	fake_reset();
	marked_fronts_only = 1;
	a = umpa_alloc(n, UMPA_ALIGN(21));
	b = umpa_alloc(n, UMPA_ALIGN(21));
	mark_all(a, n, 1ull << 32);
	mark_all(b, n, 2ull << 32);
	umpa_unback(a + SLOT, SLOT);
	umpa_unback(a + 2 * SLOT, PAGE);
	umpa_unback(b + 3 * SLOT, SLOT);
	umpa_trim(0);
	if (f.shared) {
		fake_share(a + 3 * SLOT + 99 * PAGE, PAGE, 1);
		fake_share(b + SLOT + 50 * PAGE, PAGE, 1); /* where a is bare */
		fake_share(b + 4 * SLOT + 111 * PAGE, PAGE, 1);
	}
	ncalls = fake_ncalls();
	(f.lasting ? fake_fail_from : fake_fail_at)(f.nth, f.error);
	fake_fail_again(f.again, f.error);
	nwrong = do_call(call, a + PAGE, b + PAGE, n - 2 * PAGE);
	fake_fail_at(0, 0);
	ncalls = fake_ncalls() - ncalls;
	nwrong += count_unmarked(a, PAGE, 1ull << 32) + count_unmarked(b, PAGE, 2ull << 32);
	umpa_free(a);
	umpa_free(b);
	nwrong += count_dirty_void();
	nwrong += !umpa_extents_valid(&umpa_core.space.extents) || umpa_core.space.ntransit ||
		  umpa_critical.nsections;
	nwrong += !fake_consistent();
	umpa_core_stop();
	nwrong += fake_nframes() + fake_reserved_nbytes() + fake_mapped_nbytes();
	if (nwrong)
		printf("  call %d, fault %llu%s, %llu behind it, error %d%s: %llu wrong\n",
			(int)call, (unsigned long long)f.nth, f.lasting ? " and on" : "",
			(unsigned long long)f.again, f.error, f.shared ? ", shared" : "",
			(unsigned long long)nwrong);
	*nbad += nwrong != 0;
	return ncalls;
}

/* Each call of the system in turn fails. */
static void each_fault(struct fault f)
{
	uint64_t nbad = 0, nfew = 0;

	for (int call = CALL_MOVE; call <= CALL_MOVEV; call++) {
		uint64_t ncalls;

		f.nth = 0;
		ncalls = one_fault((enum call)call, f, &nbad);
		nfew += ncalls < 15;
		for (f.nth = 1; f.nth <= ncalls; f.nth += CHECK_STRIDE)
			one_fault((enum call)call, f, &nbad);
	}
	CHECK_EQ(nfew, 0);
	CHECK_EQ(nbad, 0);
}

TEST(rewire_each_call_fails_once)
{
	static const int errors[] = {-ENOMEM, -EBUSY, -EAGAIN};

	PLAN(3 * 2 * 2);
	for (int i = 0; i < 6; i++)
		each_fault((struct fault){.error = errors[i / 2], .shared = i % 2});
}

TEST(rewire_each_call_fails_from_there_on)
{
	static const int errors[] = {-ENOMEM, -EINVAL};

	PLAN(2 * 2 * 2);
	for (int i = 0; i < 4; i++)
		each_fault((struct fault){.error = errors[i / 2], .lasting = 1, .shared = i % 2});
}

/* And one of those that undo it, or do it another way. */
TEST(rewire_each_call_fails_and_one_behind_it)
{
	PLAN(2 * 2 * 2);
	for (int i = 0; i < 4; i++)
		each_fault((struct fault){
			.error = -ENOMEM, .again = 1 + (uint64_t)i / 2, .shared = i % 2});
}
