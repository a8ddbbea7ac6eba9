#include "queues.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <umpa/umpa.h>

enum {
	NQUEUES = 64,
	FIRST_NBYTES = 4 << 10,
	LONG_NBYTES = 4 << 20,
	RECORD_NBYTES_MAX = 64 << 10
};

struct queue {
	unsigned char *bytes;
	size_t nbytes, room;
	unsigned char mark; /* tells its content from others' */
};

struct run {
	const struct verbs *verbs;
	struct queue queue[NQUEUES];
	struct queues_result result;
	size_t room; /* of all queues */
};

static double now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

/* What byte number `at` of a queue holds. */
static unsigned char content(const struct queue *q, size_t at)
{
	return (unsigned char)(q->mark + at / 4096);
}

static void check_and_drop(struct run *run, struct queue *q)
{
	for (size_t i = 0; i < q->nbytes; i++)
		run->result.nwrong += q->bytes[i] != content(q, i);
	run->verbs->release(q->bytes);
	run->room -= q->room;
	*q = (struct queue){.mark = (unsigned char)(q->mark + 7)};
}

static void make_room(struct run *run, struct queue *q, size_t nbytes)
{
	size_t room = q->room ? q->room : FIRST_NBYTES;

	while (room < q->nbytes + nbytes)
		room *= 2;
	if (room == q->room)
		return;
	q->bytes = run->verbs->resize(q->bytes, room);
	if (!q->bytes) {
		fputs("no memory\n", stderr);
		exit(1);
	}
	run->result.nblocks++;
	run->result.nforeign += !umpa_owns(q->bytes) || !umpa_owns(q->bytes + room - 1);
	run->room += room - q->room;
	q->room = room;
	if (run->room > run->result.most_nbytes)
		run->result.most_nbytes = run->room;
}

static void append(struct run *run, struct queue *q, size_t nbytes)
{
	make_room(run, q, nbytes);
	for (size_t i = 0; i < nbytes; i++, q->nbytes++)
		q->bytes[q->nbytes] = content(q, q->nbytes);
	run->result.nbytes += nbytes;
	if (q->nbytes >= LONG_NBYTES)
		check_and_drop(run, q);
}

struct queues_result queues_run(const struct verbs *verbs, unsigned nrecords)
{
	struct run run = {.verbs = verbs};
	double begin_ms = now_ms();
	uint64_t state = 2011;

	for (unsigned i = 0; i < NQUEUES; i++)
		run.queue[i].mark = (unsigned char)(i * 4);
	while (nrecords--) {
		struct queue *q = &run.queue[random_next(&state) % NQUEUES];

		append(&run, q, 1 + random_next(&state) % RECORD_NBYTES_MAX);
	}
	for (unsigned i = 0; i < NQUEUES; i++)
		if (run.queue[i].bytes)
			check_and_drop(&run, &run.queue[i]);
	run.result.ms = now_ms() - begin_ms;
	return run.result;
}

int queues_right(const struct queues_result *r, const char *name)
{
	printf("%s: %llu MiB in %llu blocks, %zu MiB at a time, %.0f ms; wrong bytes %llu, blocks "
	       "not umpa's %llu\n",
		name, (unsigned long long)r->nbytes >> 20, (unsigned long long)r->nblocks,
		r->most_nbytes >> 20, r->ms, (unsigned long long)r->nwrong,
		(unsigned long long)r->nforeign);
	return r->nbytes && !r->nwrong && !r->nforeign;
}
