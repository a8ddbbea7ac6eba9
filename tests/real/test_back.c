/* umpa_back() on the real kernel: while another thread writes to the same pages, and where pages
 * can't be written. */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <umpa/umpa.h>

#include "support/check.h"
#include "support/real_os.h"

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

static int race(void *arg)
{
	size_t nlost = 0;

	(void)arg;
	for (int i = 0; i < NROUNDS; i++)
		nlost += count_lost();
	return nlost != 0;
}

TEST(back_keeps_what_another_thread_writes)
{
	PLAN(1);
	CHECK_EQ(real_in_child(race, NULL), 0);
}

/* Of a block outside the window only the kernel knows which pages are protected. */
static int back_protected(void *prot)
{
	struct umpa_stats st;
	char *p;

	setenv("UMPA_OPTIONS", "window=16M", 1);
	p = umpa_alloc(NBYTES, UMPA_NOBACK);
	if (!p || umpa_get_stats(&st, sizeof(st)) || st.outside_nbytes != NBYTES)
		return 1;
	if (umpa_back(p, NBYTES) || umpa_mprotect(p + 2 * PAGE, PAGE, *(int *)prot))
		return 2;
	if (umpa_back(p, NBYTES) != -1 || errno != EINVAL || umpa_back(p, 2 * PAGE))
		return 3;
	if (umpa_mprotect(p + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE) || umpa_back(p, NBYTES))
		return 4;
	umpa_free(p);
	return 0;
}

TEST(back_refuses_protected_pages_outside_the_window)
{
	int none = PROT_NONE, reading = PROT_READ;

	PLAN(2);
	CHECK_EQ(real_in_child(back_protected, &none), 0);
	CHECK_EQ(real_in_child(back_protected, &reading), 0);
}
