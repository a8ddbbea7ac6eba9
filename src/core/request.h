/* What a call of the page API asks for. */
#ifndef UMPA_CORE_REQUEST_H
#define UMPA_CORE_REQUEST_H

#include <errno.h>
#include <umpa/page.h>

#include "base/units.h"

#define REQUEST_FLAGS_PLAIN (UMPA_ZERO | UMPA_NOMOVE | UMPA_BACKED | UMPA_NOBACK)
#define REQUEST_FLAGS       (REQUEST_FLAGS_PLAIN | UMPA_ALIGN(0x3f) | UMPA_RESERVE(0xff))

enum {
	REQUEST_ALIGN_LOG2_MAX = 40
};

struct umpa_request {
	size_t npages, npages_room;
	unsigned align_log2; /* PAGE_SHIFT or more */
	unsigned flags;
};

static inline int umpa_request_refuse(int error)
{
	errno = error;
	return 0;
}

/* 1; or 0 and errno. */
static inline int umpa_request_parse(size_t nbytes, unsigned flags, struct umpa_request *r)
{
	unsigned align = flags >> 8 & 0x3f, times = flags >> 16 & 0xff;

	if (flags & ~REQUEST_FLAGS || align > REQUEST_ALIGN_LOG2_MAX ||
		(flags & (UMPA_BACKED | UMPA_NOBACK)) == (UMPA_BACKED | UMPA_NOBACK))
		return umpa_request_refuse(EINVAL);
	if (nbytes > PTRDIFF_MAX)
		return umpa_request_refuse(ENOMEM);
	r->npages = nbytes ? pages_of(nbytes) : 1;
	if (__builtin_mul_overflow(r->npages, times ? times : 1, &r->npages_room))
		return umpa_request_refuse(ENOMEM);
	r->align_log2 = align < PAGE_SHIFT ? PAGE_SHIFT : align;
	r->flags = flags;
	return 1;
}

#endif
