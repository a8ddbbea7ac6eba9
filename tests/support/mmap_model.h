/*
 * The mmap family under random operations, in one of two worlds: the kernel's calls, or umpa's. A
 * model beside it knows of every page what must be in it and what may be done to it; each world is
 * held to the model, and the answers of both can be compared, call by call.
 *
 * Areas are rows of mapped pages. What is unmapped is forgotten at once: it may be anybody's by the
 * next call. Only right after an unmapping calls go over the gap as well.
 */
#ifndef UMPA_TESTS_MMAP_MODEL_H
#define UMPA_TESTS_MMAP_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "numbers.h"

struct mmap_world {
	void *(*map)(void *addr, size_t nbytes, int prot, int flags, int fd, off_t offset);
	int (*unmap)(void *addr, size_t nbytes);
	void *(*remap)(void *addr, size_t old_nbytes, size_t new_nbytes, int flags, void *new_addr);
	int (*protect)(void *addr, size_t nbytes, int prot);
	int (*advise)(void *addr, size_t nbytes, int advice);
	void *(*attach)(int id, const void *addr, int flags);
	int (*detach)(const void *addr);
	void (*before)(uint64_t step); /* each operation; may be NULL */
	/* On the fake OS, which knows less of mappings: only the first bytes of a page count, and
	 * what begins outside the window is left out. Before each call `plan` may see to it that it
	 * fails, and cancel to it that it doesn't. */
	int fake;
	void (*plan)(struct numbers *numbers);
	void (*cancel)(void);
};

/* mmap_world_umpa is on the fake OS where a program is linked with that: set fake. */
extern const struct mmap_world mmap_world_kernel, mmap_world_umpa;

/* Runs nsteps operations, fewer if the numbers end. answers[i]: what call i said, 0 or errno, and
 * 1000 times which operation made it; nanswers: room, and then how many there were. Result: how
 * many things were not as the model says, each told on stdout. */
unsigned mmap_model_run(const struct mmap_world *world, struct numbers numbers, uint64_t nsteps,
	int *answers, size_t *nanswers);

#endif
