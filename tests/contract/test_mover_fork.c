/* Movers before and after fork(): frames shared with the other process, and the child on its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/units.h"
#include "check.h"
#include "mover_contract.h"
#include "real_os.h"

static const struct contract uffd_huge = {umpa_mover_uffd_init, real_touch, 1};
static const struct contract uffd_small = {umpa_mover_uffd_init, real_touch, 0};
static const struct contract mremap_huge = {umpa_mover_mremap_init, real_touch, 1};

#define ON_EACH(name)                                                                              \
	TEST(uffd_huge_##name)                                                                     \
	{                                                                                          \
		name(&uffd_huge);                                                                  \
	}                                                                                          \
	TEST(uffd_small_##name)                                                                    \
	{                                                                                          \
		name(&uffd_small);                                                                 \
	}                                                                                          \
	TEST(mremap_##name)                                                                        \
	{                                                                                          \
		name(&mremap_huge);                                                                \
	}

static const uint64_t tag = 100;

static int is_fair(int result)
{
	return !result || result == -EBUSY;
}

/* Moves slot 2 to slot 8 while frames are shared, then, when they are written, the rest: 0 if all
 * is as promised, else a number that says where it went wrong. */
static int move_shared_then_own(struct bench *b)
{
	char *dst = bench_slot(b, 8), *src = bench_slot(b, 2);
	size_t moved, more;

	if (!is_fair(bench_move(b, dst, src, SLOT_NBYTES, 0, &moved)))
		return 1;
	if (!bench_is_moved(dst, src, SLOT_NBYTES, moved, tag))
		return 2;
	if (moved == SLOT_NBYTES)
		return 0;
	bench_fill(b, src + moved, SLOT_NBYTES - moved, tag + moved / PAGE_NBYTES);
	if (bench_move(b, dst + moved, src + moved, SLOT_NBYTES - moved, 0, &more))
		return 3;
	return bench_is_moved(dst, src, SLOT_NBYTES, moved + more, tag) ? 0 : 4;
}

/* --- one after the other ------------------------------------------------------------------ */

static int child_moves(void *arg)
{
	return move_shared_then_own(arg);
}

static void child_moves_then_parent(const struct contract *c)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 3);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, tag);
	CHECK_EQ(real_in_child(child_moves, &b), 0);
	CHECK(bench_holds(bench_slot(&b, 2), SLOT_NBYTES, tag));
	CHECK_EQ(move_shared_then_own(&b), 0);
	contract_finish(&b);
}
ON_EACH(child_moves_then_parent)

static int child_with_own_memory(void *arg)
{
	struct bench *b = arg;
	size_t moved;

	bench_fill(b, bench_slot(b, 4), SLOT_NBYTES, 7);
	if (bench_move(b, bench_slot(b, 9), bench_slot(b, 4), SLOT_NBYTES, 0, &moved))
		return 1;
	return !bench_is_moved(bench_slot(b, 9), bench_slot(b, 4), SLOT_NBYTES, moved, 7);
}

static void child_moves_what_is_its_own(const struct contract *c)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 2);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, tag);
	CHECK_EQ(real_in_child(child_with_own_memory, &b), 0);
	CHECK(bench_holds(bench_slot(&b, 2), SLOT_NBYTES, tag));
	contract_finish(&b);
}
ON_EACH(child_moves_what_is_its_own)

static int grandchild_moves(void *arg)
{
	int result = child_with_own_memory(arg);

	return result ? result : real_in_child(child_moves, arg);
}

static void child_of_a_child_moves(const struct contract *c)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 2);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, tag);
	CHECK_EQ(real_in_child(grandchild_moves, &b), 0);
	CHECK_EQ(move_shared_then_own(&b), 0);
	contract_finish(&b);
}
ON_EACH(child_of_a_child_moves)

/* --- at the same time --------------------------------------------------------------------- */

static void both_move_while_both_live(const struct contract *c)
{
	int to_child[2], to_parent[2], status = 0;
	struct bench b;
	char byte = 0;
	pid_t pid;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, c);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, tag);
	REQUIRE(!pipe(to_child) && !pipe(to_parent));
	pid = fork();
	if (!pid) {
		int result = move_shared_then_own(&b);

		alarm(60);
		if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1)
			_exit(100);
		/* The parent has moved and written meanwhile. */
		_exit(result ? result : !bench_holds(bench_slot(&b, 8), SLOT_NBYTES, tag));
	}
	CHECK(read(to_parent[0], &byte, 1) == 1);
	CHECK_EQ(move_shared_then_own(&b), 0);
	bench_fill(&b, bench_slot(&b, 8), SLOT_NBYTES, 9000);
	CHECK(write(to_child[1], &byte, 1) == 1);
	waitpid(pid, &status, 0);
	CHECK_EQ(status, 0);
	for (int i = 0; i < 2; i++) {
		close(to_child[i]);
		close(to_parent[i]);
	}
	contract_finish(&b);
}
ON_EACH(both_move_while_both_live)

/* --- the inherited descriptor ------------------------------------------------------------- */

static int count_descriptors(void)
{
	int n = 0;

	for (int fd = 0; fd < 5000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int child_counts_descriptors(void *arg)
{
	int before = count_descriptors(), result = child_with_own_memory(arg);

	return result ? result : 2 * (count_descriptors() != before);
}

TEST(uffd_child_gives_the_inherited_descriptor_back)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 1);
	contract_setup(&b, &uffd_huge);
	CHECK_EQ(real_in_child(child_counts_descriptors, &b), 0);
	contract_finish(&b);
}

static int child_closes_all(void *arg)
{
	for (int fd = 3; fd < 5000; fd++)
		close(fd);
	return child_with_own_memory(arg);
}

TEST(uffd_child_that_closed_all_moves)
{
	struct bench b;
	size_t moved;

	PLAN(SETUP_NCHECKS + 3);
	contract_setup(&b, &uffd_huge);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, tag);
	CHECK_EQ(real_in_child(child_closes_all, &b), 0);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, tag);
	CHECK_EQ(bench_move(&b, bench_slot(&b, 8), bench_slot(&b, 2), SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(bench_slot(&b, 8), bench_slot(&b, 2), SLOT_NBYTES, moved, tag));
	contract_finish(&b);
}

static int is_taken_over(void *arg)
{
	struct bench *b = arg;

	/* As if another thread of the parent had held it at the time of the fork. */
	b->mover.lock = (uint32_t)getppid();
	return child_with_own_memory(b);
}

static void child_takes_over_the_parents_lock(const struct contract *c)
{
	struct bench b;

	PLAN(SETUP_NCHECKS + 1);
	contract_setup(&b, c);
	CHECK_EQ(real_in_child(is_taken_over, &b), 0);
	contract_finish(&b);
}
ON_EACH(child_takes_over_the_parents_lock)

/* Nobody can reach the parent's descriptor but an idle child: a refusal until that is gone. */
TEST(uffd_lost_descriptor_that_a_child_holds)
{
	int to_child[2];
	struct bench b;
	size_t moved;
	char byte = 0;
	pid_t pid;
	int result, n;

	PLAN(SETUP_NCHECKS + 5);
	contract_setup(&b, &uffd_huge);
	REQUIRE(!pipe(to_child));
	pid = fork();
	if (!pid) {
		close(to_child[1]);
		alarm(60);
		_exit(read(to_child[0], &byte, 1) != 0);
	}
	close(to_child[0]);
	close(b.mover.fd);
	bench_fill(&b, bench_slot(&b, 2), SLOT_NBYTES, tag);
	n = count_descriptors();
	result = bench_move(&b, bench_slot(&b, 8), bench_slot(&b, 2), SLOT_NBYTES, 0, &moved);
	CHECK(result == -EBUSY && moved == 0);
	CHECK_EQ(count_descriptors(), n); /* one that was opened in vain is closed */
	close(to_child[1]);
	waitpid(pid, NULL, 0);
	CHECK_EQ(bench_move(&b, bench_slot(&b, 8), bench_slot(&b, 2), SLOT_NBYTES, 0, &moved), 0);
	CHECK(bench_is_moved(bench_slot(&b, 8), bench_slot(&b, 2), SLOT_NBYTES, moved, tag));
	contract_finish(&b);
}
