/*
 * Which system calls of a guest are made for it. Most are, as they come: it is the same process,
 * thread and memory. Refused are those that can't come back into a guest, and those that would take
 * away the memory it stands on.
 *
 * Pure.
 */
#ifndef UMPA_VMM_CALLS_H
#define UMPA_VMM_CALLS_H

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct umpa_call {
	uint64_t number, argument[6];
};

/* Memory that a call must leave as it is. */
struct umpa_ground {
	uintptr_t begin, end;
};

/* 0: to be made; or -errno, which the guest is told. */
must_check int umpa_call_verdict(
	const struct umpa_call *call, const struct umpa_ground *ground, size_t nground);

/* 1 if it changes mappings that are there, so that ground matters. */
int umpa_call_changes(const struct umpa_call *call);

enum {
	CALL_MAY_BE_LESS = 1, /* it may do with less, and says how much that was */
	CALL_IS_WRITTEN = 2   /* by the kernel, perhaps */
};

/* A pointer that a call is given. */
struct umpa_call_buffer {
	int position;  /* of the argument; -1: it is no pointer, whatever is there */
	int nbytes_at; /* of the one that says how many there are, or -1: one, or CALL_TEXT: up to 0
			*/
	size_t nbytes; /* that each has; 0: not known */
	int flags;
};

#define CALL_TEXT (-2)

/* Of the argument at a position, if that is a pointer. */
struct umpa_call_buffer umpa_call_buffer(const struct umpa_call *call, int position);

/* The call that does with a list of pieces, or a message of them, what this one does with its
 * second argument; 0: none. */
uint64_t umpa_call_of_pieces(uint64_t number);

/* 1 if nothing but what a call's pointers point to matters to it; 0: where that is does. */
int umpa_call_takes_copies(const struct umpa_call *call);

/* The call that does with one message what this one does with many. */
uint64_t umpa_call_of_one(uint64_t number);

/* 1 if a call is given a list of pointers (struct iovec) in this process: *list and *n. */
int umpa_call_list(const struct umpa_call *call, uintptr_t *list, size_t *n);

/* 1 if it writes to what a list, or the list of a message, has. */
int umpa_call_writes_list(uint64_t number);

/* The process whose memory a call reads or writes by a second list, of which the arguments 3 and 4
 * are where it is and how long; 0: there is none. */
int umpa_call_process(const struct umpa_call *call);

/* 1 if a call is given messages: *n headers (struct msghdr), a row of which `each` is so long. */
int umpa_call_messages(const struct umpa_call *call, uintptr_t *headers, size_t *n, size_t *each);

/* 1 if a call orders where it is to map something: from *begin on, *nbytes or more. */
int umpa_call_orders(const struct umpa_call *call, uintptr_t *begin, size_t *nbytes);

/* The call that undoes what another one has mapped, from `begin` on, nbytes; number 0: none. */
struct umpa_call umpa_call_undo(const struct umpa_call *call, uintptr_t begin, size_t nbytes);

/* 1 if a call that was made, and gave `result`, has mapped memory: from *begin on, *nbytes. */
int umpa_call_maps(const struct umpa_call *call, uint64_t result, uintptr_t *begin, size_t *nbytes);

#endif
