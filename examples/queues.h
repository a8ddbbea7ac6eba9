/*
 * The work of the examples: byte queues that grow as records come in, and are checked and dropped
 * when they are long, as those of a server's clients might. It takes blocks of 4 KiB to 8 MiB, and
 * resizes them.
 */
#ifndef QUEUES_H
#define QUEUES_H

#include <stddef.h>
#include <stdint.h>

/* Whose memory it is. */
struct verbs {
	void *(*resize)(void *block, size_t nbytes); /* as realloc() */
	void (*release)(void *block);
};

struct queues_result {
	uint64_t nbytes;    /* bytes appended, all of which were read back */
	uint64_t nwrong;    /* bytes that were not what was appended */
	uint64_t nforeign;  /* blocks that were not umpa's */
	uint64_t nblocks;   /* blocks taken or resized */
	size_t most_nbytes; /* most bytes that all queues had at one time */
	double ms;
};

/* Appends nrecords records. */
struct queues_result queues_run(const struct verbs *verbs, unsigned nrecords);

/* Prints the result. 1 if all was right. */
int queues_right(const struct queues_result *r, const char *name);

#endif
