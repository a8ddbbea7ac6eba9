/*
 * The process as it is: where its memory lies, and system calls as it makes them. The contract of
 * src/os/os.h holds.
 */
#ifndef UMPA_OS_PROCESS_H
#define UMPA_OS_PROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum umpa_process_kind {
	PROCESS_MAPPING,
	PROCESS_HEAP, /* grows up, by brk() */
	PROCESS_STACK /* of the first thread: grows down */
};

/* Mappings less than a superpage apart. */
struct umpa_process_area {
	uintptr_t begin, end;
	enum umpa_process_kind kind; /* if any of them is one, heap or stack */
};

/* The areas of the process in order of address, and how many. -E2BIG: more than max; -errno: not to
 * be learned. */
must_check int umpa_process_areas(struct umpa_process_area *areas, size_t max, size_t *n);

int umpa_process_id(void);

/* Any system call, as the program would make it: its result or -errno. */
long umpa_process_call(uint64_t number, const uint64_t argument[6]);

#endif
