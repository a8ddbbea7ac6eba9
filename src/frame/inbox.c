#include "frame/inbox.h"

#include <errno.h>
#include <stddef.h>

int umpa_inbox_has(const struct umpa_inbox *in, const void *block)
{
	/* Acquire pairs with umpa_inbox_clear(): one that was in it and is no more is no block. */
	for (unsigned i = 0; i < INBOX_NBLOCKS; i++)
		if (__atomic_load_n(&in->block[i], __ATOMIC_ACQUIRE) == block)
			return 1;
	return 0;
}

/*
 * Sequentially consistent, as in umpa_inbox_look(): either it finds the block or this sees that
 * `any` is to be set. Release, which that is too, is for the thread that is handed out the pages
 * next: what was done to them is over.
 */
static int put_at(struct umpa_inbox *in, unsigned i, void *block)
{
	void *none = NULL;

	if (!__atomic_compare_exchange_n(
		    &in->block[i], &none, block, 0, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return 0;
	if (!__atomic_load_n(&in->any, __ATOMIC_SEQ_CST))
		__atomic_store_n(&in->any, 1, __ATOMIC_RELAXED);
	/* A hint: lost, it is given again with the next block. */
	if (i + 1 >= INBOX_NHALF && !umpa_inbox_is_due(in))
		__atomic_store_n(&in->half_full, 1, __ATOMIC_RELAXED);
	return 1;
}

int umpa_inbox_put(struct umpa_inbox *in, void *block)
{
	for (unsigned i = 0; i < INBOX_NBLOCKS; i++)
		if (!__atomic_load_n(&in->block[i], __ATOMIC_RELAXED) && put_at(in, i, block))
			return 0;
	return -ENOSPC;
}

void umpa_inbox_look(struct umpa_inbox *in, void *block[INBOX_NBLOCKS])
{
	if (umpa_inbox_is_due(in))
		__atomic_store_n(&in->half_full, 0, __ATOMIC_RELAXED);
	__atomic_exchange_n(&in->any, 0, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < INBOX_NBLOCKS; i++)
		block[i] = __atomic_load_n(&in->block[i], __ATOMIC_SEQ_CST);
}

void umpa_inbox_clear(struct umpa_inbox *in, unsigned place)
{
	__atomic_store_n(&in->block[place], NULL, __ATOMIC_RELEASE);
}
