/* fork() on the real kernel: both sides go on at once, each with memory of its own. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <umpa/umpa.h>
#include <unistd.h>

#include "support/check.h"
#include "support/marked.h"
#include "support/model.h"

#define MIB ((size_t)1 << 20)

enum {
	PAGE = 4096
};

static uint64_t churn(uint64_t seed, uint64_t nops)
{
	struct model_options o = {.seed = seed,
		.nops = check_steps(nops),
		.nblocks = 12,
		.log2_min = 12,
		.log2_max = 24};
	struct model_result r = model_run(&o);

	return r.nwrong_tags + r.nwrong_zeros + r.nrefused;
}

static int wait_for(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

/* Pages shared with the other side stay whole while each side grows, moves and frees its blocks. */
TEST(fork_memory_is_independent)
{
	enum {
		NROUNDS = 4,
		NBLOCKS = 6
	};
	static const size_t sizes[NBLOCKS] = {PAGE, 70000, MIB, 2 * MIB + 12345, 9 * MIB, 40 * MIB};
	char *block[NBLOCKS];
	uint64_t nwrong = 0;
	int nbad = 0;

	PLAN(2);
	for (int i = 0; i < NBLOCKS; i++) {
		block[i] = umpa_alloc(sizes[i], 0);
		mark(block[i], sizes[i], (uint64_t)i << 40);
	}
	umpa_free(umpa_alloc(64 * MIB, UMPA_BACKED)); /* a pool that is shared, too */
	for (int round = 0; round < NROUNDS; round++) {
		pid_t pid = fork();

		if (!pid) {
			nwrong = churn((uint64_t)round + 1, 150);
			for (int i = 0; i < NBLOCKS; i++) {
				nwrong += count_unmarked(block[i], sizes[i], (uint64_t)i << 40);
				block[i] = umpa_realloc(block[i], 2 * sizes[i], 0);
				nwrong += count_unmarked(block[i], sizes[i], (uint64_t)i << 40);
				mark(block[i], sizes[i], 0xdead);
			}
			_exit(nwrong != 0);
		}
		for (int i = 0; i < NBLOCKS; i++) {
			size_t nbytes = sizes[i] * (round % 2 ? 1 : 3);

			block[i] = umpa_realloc(block[i], nbytes, 0);
			nwrong += count_unmarked(block[i], sizes[i], (uint64_t)i << 40);
		}
		nwrong += churn(100 + (uint64_t)round, 150);
		nbad += wait_for(pid) != 0;
	}
	for (int i = 0; i < NBLOCKS; i++) {
		nwrong += count_unmarked(block[i], sizes[i], (uint64_t)i << 40);
		umpa_free(block[i]);
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(nbad, 0);
}

static int stop;

static void *keep_busy(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg, nwrong = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		nwrong += churn(seed++, 40);
	return (void *)(uintptr_t)nwrong;
}

/* The child has one thread, and finds no lock held by those it does not have. */
TEST(fork_while_threads_allocate)
{
	enum {
		NTHREADS = 3,
		NFORKS = 12
	};
	pthread_t thread[NTHREADS];
	uintptr_t nwrong = 0;
	int nbad = 0;

	PLAN(2);
	__atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
	for (uintptr_t i = 0; i < NTHREADS; i++)
		pthread_create(&thread[i], NULL, keep_busy, (void *)(1000 * (i + 1)));
	for (uint64_t i = 0; i < check_steps(NFORKS); i++) {
		pid_t pid = fork();

		if (!pid) {
			alarm(60); /* a deadlock ends as a failure */
			_exit(churn(i + 1, 30) != 0);
		}
		nbad += wait_for(pid) != 0;
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (int i = 0; i < NTHREADS; i++) {
		void *result;

		pthread_join(thread[i], &result);
		nwrong += (uintptr_t)result;
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(nbad, 0);
}

/* Children of children, each with blocks from the generation before. */
TEST(fork_generations)
{
	char *block = umpa_alloc(6 * MIB, UMPA_ZERO);
	pid_t pid;

	PLAN(2);
	mark(block, 6 * MIB, 1);
	pid = fork();
	if (!pid) {
		for (uint64_t depth = 2; depth < 6; depth++) {
			block = umpa_realloc(block, 6 * MIB * depth, 0);
			if (count_unmarked(block, 6 * MIB, 1))
				_exit(1);
			pid = fork();
			if (pid)
				_exit(wait_for(pid) != 0);
		}
		_exit(count_unmarked(block, 6 * MIB, 1) != 0 || churn(9, 100));
	}
	CHECK_EQ(wait_for(pid), 0);
	CHECK_EQ(count_unmarked(block, 6 * MIB, 1), 0);
	umpa_free(block);
}
