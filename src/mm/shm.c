/*
 * System V's shared memory: shmat() and shmdt() in the window. The kernel attaches the segment,
 * over whatever is there, and the pages are odd from then on, as under a file; they leave as any
 * others do (mm/attachments.h).
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "core/core.h"
#include "mm/answer.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/range.h"

struct attach_args {
	int id;
	const char *addr;
	int flags;
};

static intptr_t kernel_attach(const struct attach_args *a)
{
	return umpa_os_attach(a->id, a->addr, a->flags);
}

static intptr_t kernel_attach_over(void *arg)
{
	struct attach_args over = *(const struct attach_args *)arg;

	over.flags |= SHM_REMAP;
	return kernel_attach(&over);
}

static int prot_of(int flags)
{
	return PROT_READ | (flags & SHM_RDONLY ? 0 : PROT_WRITE) |
	       (flags & SHM_EXEC ? PROT_EXEC : 0);
}

/* Without SHM_REMAP where nothing is mapped as far as the program knows. */
static intptr_t attach_over(struct attach_args *a, const struct range *r)
{
	const struct umpa_overlay o = {r->first, r->last, prot_of(a->flags),
		!(a->flags & SHM_REMAP), kernel_attach_over, a};
	struct umpa_attachment *new = umpa_attachment_new((uintptr_t)a->addr, r->last - r->first);
	intptr_t got = new ? umpa_mapping_attach(&o, new) : -ENOMEM;

	return got == -EEXIST ? -EINVAL : got;
}

static intptr_t attach_in_window(struct attach_args *a, const struct range *r)
{
	/* What lies across an edge of the window is no place that a program has been given. */
	return range_is_all_ours(r) ? attach_over(a, r) : -EINVAL;
}

/* A segment attached there may reach into the window. Without SHM_REMAP the kernel refuses one that
 * begins before it, as the window is in its way. */
static int may_reach_window(const struct attach_args *a)
{
	uintptr_t base = __atomic_load_n(&umpa_bounds.base, __ATOMIC_RELAXED);

	return umpa_in_window(a->addr) || (a->flags & SHM_REMAP && (uintptr_t)a->addr < base);
}

/* In a confined process it can't be learned how much a segment will cover. */
static intptr_t attach_confined(const struct attach_args *a)
{
	return umpa_in_window(a->addr) && a->flags & SHM_REMAP ? -ENOMEM : kernel_attach(a);
}

static intptr_t attach(struct attach_args *a)
{
	struct range r;
	size_t nbytes;
	int error, ours;

	if (!may_reach_window(a))
		return kernel_attach(a);
	if (a->flags & SHM_RND)
		a->addr -= (uintptr_t)a->addr % PAGE_NBYTES;
	if ((uintptr_t)a->addr % PAGE_NBYTES)
		return -EINVAL;
	if (umpa_os_confined())
		return attach_confined(a);
	error = umpa_os_measure(a->id, a->flags, &nbytes);
	if (error)
		return error;
	ours = range_find(a->addr, nbytes, &r);
	if (ours < 0)
		return ours;
	return ours ? attach_in_window(a, &r) : kernel_attach(a);
}

void *umpa_mm_attach(int id, const void *addr, int flags)
{
	struct attach_args a = {id, addr, flags};

	return umpa_answer_address(addr ? attach(&a) : kernel_attach(&a));
}

int umpa_mm_detach(const void *addr)
{
	int error = umpa_mapping_detach((uintptr_t)addr);

	if (error == -EINVAL && !umpa_in_window(addr))
		error = umpa_os_detach(addr);
	return umpa_answer(error);
}
