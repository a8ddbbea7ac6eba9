/*
 * What a system call of a guest is given, led to where the host has it: a pointer into the window
 * means what is seen there, by page tables that lead anywhere.
 *
 * Where that lies in several places the call is made with a list of the pieces, read() as readv()
 * and sendto() as sendmsg(); lists that the program gives, and messages, are written anew. Of small
 * structures and names the call gets a copy, and what it changes in that is brought back. What must
 * be in one place and isn't is refused, and so is what the kernel would write to pages that may not
 * be written.
 */
#ifndef UMPA_VMM_LEAD_H
#define UMPA_VMM_LEAD_H

#include <sys/socket.h>
#include <sys/uio.h>
#include <umpa/vmm.h>

#include "vmm/calls.h"

/* Of more the first ones are read or written, or the call is refused: the kernel takes no more. */
enum {
	LED_NPIECES_MAX = 1024,
	LED_NCOPIES_MAX = 4,
	LED_COPY_NBYTES_MAX = 4096 /* of all together */
};

/* What a call gets a copy of: from there on in the memory for it. */
struct umpa_led_copy {
	char *addr;
	size_t at, nbytes;
};

struct umpa_led {
	struct umpa_call call;                     /* to be made */
	uintptr_t length_at, message_at, count_at; /* of the guest, for what comes back; 0: nothing
						      does */
	struct msghdr message, of_guest; /* what the call is given, instead of what it was */
	int writes_list;                 /* what its list has, the call writes to */
	unsigned npieces, ncopies;
	size_t copies_nbytes;
	struct iovec piece[LED_NPIECES_MAX];
	struct umpa_led_copy copied[LED_NCOPIES_MAX];
	char given[LED_COPY_NBYTES_MAX], was[LED_COPY_NBYTES_MAX];
};

/* Of a call as the guest would make it. *led stays as long as the call takes. 0; -EFAULT: what it
 * is given is nowhere, or not in one place; -EINVAL. */
must_check int umpa_lead(struct umpa_guest *g, const struct umpa_call *call, struct umpa_led *led);

/* What the guest is told of the call's result, and where it wants to be told it. */
long umpa_led_result(struct umpa_guest *g, const struct umpa_led *led, long result);

#endif
