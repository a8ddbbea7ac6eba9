/*
 * The measured side of a bench: one process, one method, one workload. Started by the bench as
 *
 *	umpa bench @KIND key=value...
 *
 * and prints a line "metric bin value" for each figure when it has measured everything. Nothing
 *here allocates through malloc but what is measured.
 *
 * Keys (numbers may end in K, M, G):
 *	api     who serves the blocks: malloc (whichever is loaded), kernel, populate, hugepage,
 *	        umpa, touch (nobody: addresses in resident memory), bare (nobody: one address)
 *	min max blocks are 2^uniform bytes between min and max
 *	live    blocks held at a time; a new one takes the place of the oldest
 *	ops     blocks handed out while measured (@calloc: of its largest size); warmup: before that
 *	touch   0: no page is written while measured, 1: every page
 *	batch   0: only the total is timed. n: n blocks of one size bin are freed, n of another
 *handed out and touched, each step timed as one, so that the clock's own cost, which is also
 *	        subtracted, disappears
 *	factor  growth of a realloc in percent
 *	seed    of the sizes
 *	threads how many take part, ms for how long, among which the live blocks are dealt out
 *	least   blocks that threads hand out in any case, in all, if the time is over before; their
 *	        sizes are dealt out evenly then. 0: none
 *	burst   blocks that a thread hands out between two looks at whether the time is over
 *	traced  1: system calls mark where the measured phase begins and ends; threads end after ops
 *	        blocks in all
 */
#ifndef UMPA_BENCH_WORKER_H
#define UMPA_BENCH_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct umpa_page_api;

struct umpa_work {
	const struct umpa_page_api *api;
	uint64_t min, max, live, ops, warmup, touch, batch, factor, seed, traced;
	uint64_t threads, ms, least, burst;
};

/* argv[0] is the kind with its '@'. Result: the exit status. */
int umpa_worker_main(int argc, char **argv);

/* The workloads; each returns 0, or -1 after a message. Those that take sizes from a ring are in
 * work_ring.c, those of many threads in work_threads.c, small blocks in work_small.c, page tables
 * of one's own in work_vmm.c, the others in work_block.c. */
must_check int umpa_work_ring(const struct umpa_work *w);
must_check int umpa_work_grow(const struct umpa_work *w);
must_check int umpa_work_resize(const struct umpa_work *w);
must_check int umpa_work_reuse(const struct umpa_work *w);
must_check int umpa_work_calloc(const struct umpa_work *w);
must_check int umpa_work_moved(const struct umpa_work *w);
must_check int umpa_work_sparse(const struct umpa_work *w);
must_check int umpa_work_idle(const struct umpa_work *w);
must_check int umpa_work_own(const struct umpa_work *w);
must_check int umpa_work_handed(const struct umpa_work *w);
must_check int umpa_work_random(const struct umpa_work *w);
must_check int umpa_work_larson(const struct umpa_work *w);
must_check int umpa_work_loop(const struct umpa_work *w);
must_check int umpa_work_vmm(const struct umpa_work *w);

/* --- what the workloads share -------------------------------------------------------------- */

/* alloc gives NULL when refused. alloc_zeroed: NULL where memory is not cleared. resize keeps the
 * content. release is told the size. */
struct umpa_page_api {
	const char *name;
	void *(*alloc)(size_t nbytes);
	void *(*alloc_zeroed)(size_t nbytes);
	void *(*resize)(void *block, size_t old_nbytes, size_t new_nbytes);
	void (*release)(void *block, size_t nbytes);
};

const struct umpa_page_api *umpa_page_api_find(const char *name);

/* Gives the apis "touch", "bare" and "floor" their memory, nbytes as huge pages: to be touched as
 * needed for the last, resident for the others. Others need none. */
must_check int umpa_page_api_provide(const struct umpa_page_api *api, size_t nbytes);

/* Writes a byte in each page of the block. */
void umpa_touch(void *block, size_t nbytes);

/* Resident zeroed memory that is not from malloc, for a workload's own books. Ends the process if
 * refused. */
void *umpa_worker_take(size_t nbytes);

uint64_t umpa_now_ns(void);

/* CPU time of this process so far. */
uint64_t umpa_cpu_now_ns(void);

/* Page faults of this process so far. */
uint64_t umpa_faults_now(void);

/* What one reading of the clock costs. */
uint64_t umpa_clock_ns(void);

/* The measured phase: time, CPU time, faults, umpa's counters between begin and end. end prints
 * them, with the mappings, peak memory and resident memory at the end. */
void umpa_phase_begin(const struct umpa_work *w);
void umpa_phase_end(const struct umpa_work *w);

void umpa_put(const char *metric, uint64_t bin, double value);

/* The value in kB of a line of /proc/self/status, as bytes; 0 if there is none. */
uint64_t umpa_status_nbytes(const char *key);

/* xorshift64*: next number of the sequence; *seed is not 0. */
uint64_t umpa_random(uint64_t *seed);

/* A size between lo and 2 * lo, 2^uniform. */
uint64_t umpa_random_size(uint64_t *seed, uint64_t lo);

/* The marks that a tracer sees (trace.c): prctl with this option, which no system knows. */
#define UMPA_MARK_OPTION 0x756d7061
#define UMPA_MARK_BEGIN  1
#define UMPA_MARK_END    2

#endif
