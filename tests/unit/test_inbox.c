/* Inboxes: every block put in is taken out once, whoever puts it in. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>

#include "frame/inbox.h"
#include "support/check.h"

static char page[INBOX_NBLOCKS + 1];

/* All of them. Result: how many. */
static unsigned take(struct umpa_inbox *in, void *got[INBOX_NBLOCKS])
{
	unsigned n = 0;

	umpa_inbox_look(in, got);
	for (unsigned i = 0; i < INBOX_NBLOCKS; i++) {
		if (!got[i])
			continue;
		umpa_inbox_clear(in, i);
		got[n++] = got[i];
	}
	return n;
}

TEST(inbox_has_what_was_put_in_until_it_is_taken)
{
	struct umpa_inbox in = {.any = 0};
	void *got[INBOX_NBLOCKS];

	PLAN(9);
	CHECK(umpa_inbox_is_empty(&in));
	CHECK_EQ(umpa_inbox_put(&in, &page[1]), 0);
	CHECK(!umpa_inbox_is_empty(&in));
	CHECK(umpa_inbox_has(&in, &page[1]));
	CHECK(!umpa_inbox_has(&in, &page[0]));
	CHECK_EQ(take(&in, got), 1);
	CHECK_EQ(got[0], &page[1]);
	CHECK(!umpa_inbox_has(&in, &page[1]));
	CHECK(umpa_inbox_is_empty(&in));
}

TEST(inbox_has_all_it_holds_and_refuses_more)
{
	struct umpa_inbox in = {.any = 0};
	void *got[INBOX_NBLOCKS];

	PLAN(INBOX_NBLOCKS * 2 + 4);
	for (int i = 0; i < INBOX_NBLOCKS; i++) {
		CHECK_EQ(umpa_inbox_put(&in, &page[i]), 0);
		CHECK(umpa_inbox_has(&in, &page[i]));
	}
	CHECK_EQ(umpa_inbox_put(&in, &page[INBOX_NBLOCKS]), -ENOSPC);
	CHECK(umpa_inbox_has(&in, &page[0]) && !umpa_inbox_has(&in, &page[INBOX_NBLOCKS]));
	CHECK_EQ(take(&in, got), INBOX_NBLOCKS);
	CHECK_EQ(umpa_inbox_put(&in, &page[INBOX_NBLOCKS]), 0);
}

TEST(inbox_is_due_when_it_is_half_full)
{
	struct umpa_inbox in = {.any = 0};
	void *got[INBOX_NBLOCKS];

	PLAN(2 * INBOX_NHALF + 2);
	for (int i = 0; i < INBOX_NHALF; i++) {
		CHECK(!umpa_inbox_is_due(&in));
		CHECK_EQ(umpa_inbox_put(&in, &page[i]), 0);
	}
	CHECK(umpa_inbox_is_due(&in));
	(void)!take(&in, got);
	CHECK(!umpa_inbox_is_due(&in));
}

/* Who frees one a second time while it is being given back must be told. */
TEST(inbox_has_what_was_looked_at_until_it_is_cleared)
{
	struct umpa_inbox in = {.any = 0};
	void *got[INBOX_NBLOCKS];

	PLAN(6);
	CHECK_EQ(umpa_inbox_put(&in, &page[1]), 0);
	umpa_inbox_look(&in, got);
	CHECK_EQ(got[0], &page[1]);
	CHECK(!got[1]);
	CHECK(umpa_inbox_has(&in, &page[1]));
	umpa_inbox_clear(&in, 0);
	CHECK(!umpa_inbox_has(&in, &page[1]));
	CHECK(umpa_inbox_is_empty(&in));
}

/* --- threads ------------------------------------------------------------------------------ */

enum {
	NTHREADS = 3,
	NEACH = 5000
};

static struct umpa_inbox shared;
static char block[NTHREADS * NEACH];
static unsigned nput; /* atomic */

/* Puts its share in, one by one, as soon as there is room. */
static void *put_all(void *arg)
{
	char *first = arg;

	for (int i = 0; i < NEACH; i++)
		while (umpa_inbox_put(&shared, first + i))
			sched_yield();
	__atomic_fetch_add(&nput, 1, __ATOMIC_RELEASE);
	return NULL;
}

TEST(inbox_loses_nothing_and_doubles_nothing)
{
	pthread_t thread[NTHREADS];
	void *got[INBOX_NBLOCKS];
	unsigned nwrong = 0, n;
	int last;

	PLAN(2);
	memset(block, 0, sizeof(block));
	nput = 0;
	for (int i = 0; i < NTHREADS; i++)
		pthread_create(&thread[i], NULL, put_all, &block[i * NEACH]);
	do {
		last = __atomic_load_n(&nput, __ATOMIC_ACQUIRE) == NTHREADS;
		n = take(&shared, got);
		/* Which is a write to what another thread wrote before it put it in: see
		 * put_at(). */
		for (unsigned i = 0; i < n; i++)
			nwrong += ++*(char *)got[i] != 1;
	} while (!last);
	for (int i = 0; i < NTHREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQ(nwrong, 0);
	CHECK(!memchr(block, 0, sizeof(block)));
}
