#include "core/lent.h"

#include <errno.h>

#include "os/fork_lock.h"

/* Few and short-lived; who looks in it was about to end the program. */
static struct umpa_lent *list;
static uint32_t lock;

void umpa_lent_begin(struct umpa_lent *l)
{
	fork_lock_take(&lock);
	l->next = list;
	list = l;
	fork_lock_give(&lock);
}

void umpa_lent_end(struct umpa_lent *l)
{
	struct umpa_lent **link = &list;

	fork_lock_take(&lock);
	while (*link && *link != l)
		link = &(*link)->next;
	if (*link)
		*link = l->next;
	fork_lock_give(&lock);
}

static struct umpa_lent *find(const void *addr)
{
	struct umpa_lent *l;

	fork_lock_take(&lock);
	for (l = list; l && (uintptr_t)addr - l->begin >= l->nbytes; l = l->next)
		;
	fork_lock_give(&lock);
	return l;
}

size_t umpa_lent_npages(const void *block)
{
	const struct umpa_lent *l = find(block);

	return l ? l->npages(l, block) : 0;
}

int umpa_lent_free(void *block)
{
	struct umpa_lent *l = find(block);

	return l ? l->free(l, block) : -EINVAL;
}
