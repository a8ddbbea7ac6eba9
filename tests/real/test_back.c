/* umpa_back() while another thread writes to the same pages, on the real kernel. */
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <umpa/umpa.h>

#include "support/check.h"

#define NBYTES ((size_t)32 << 20)

enum {
	PAGE = 4096,
	NROUNDS = 10
};

static char *block;
static int begun; /* atomic */

static char mark_of(size_t at)
{
	return (char)(1 + at / PAGE % 100);
}

static void *write_all(void *arg)
{
	__atomic_store_n(&begun, 1, __ATOMIC_RELAXED);
	for (size_t at = 0; at < NBYTES; at += PAGE)
		block[at + 8] = mark_of(at);
	return arg;
}

/* Pages that have lost what the thread wrote while this one backed them from a pool as large. */
static size_t count_lost(void)
{
	char *pool = umpa_alloc(NBYTES, UMPA_BACKED);
	size_t nlost = 0;
	pthread_t thread;

	memset(pool, 'p', NBYTES);
	block = umpa_alloc(NBYTES, UMPA_NOBACK | UMPA_ALIGN(21));
	umpa_free(pool);
	begun = 0;
	pthread_create(&thread, NULL, write_all, NULL);
	while (!__atomic_load_n(&begun, __ATOMIC_RELAXED))
		;
	nlost += umpa_back(block, NBYTES) != 0;
	pthread_join(thread, NULL);
	for (size_t at = 0; at < NBYTES; at += PAGE)
		nlost += block[at + 8] != mark_of(at);
	umpa_free(block);
	umpa_trim(0);
	return nlost;
}

TEST(back_keeps_what_another_thread_writes)
{
	size_t nlost = 0;

	PLAN(1);
	for (int i = 0; i < NROUNDS; i++)
		nlost += count_lost();
	CHECK_EQ(nlost, 0);
}
