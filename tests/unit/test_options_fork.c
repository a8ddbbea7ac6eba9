/* A fork while another thread reads the options: the child must not wait for that thread, which it
 * doesn't have. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/fork.h"
#include "core/options.h"
#include "support/check.h"
#include "support/fake_os.h"

static int reading, may_go_on; /* atomic */

/* In place of libc's: where the options are read. */
char *secure_getenv(const char *name)
{
	(void)name;
	__atomic_store_n(&reading, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&may_go_on, __ATOMIC_ACQUIRE))
		sched_yield();
	return NULL;
}

static void *read_options(void *arg)
{
	umpa_options_get();
	return arg;
}

/* When what does not wait for the options is long done. */
static void *go_on_later(void *arg)
{
	usleep(300000);
	__atomic_store_n(&may_go_on, 1, __ATOMIC_RELEASE);
	return arg;
}

TEST(options_are_whole_in_a_child)
{
	pthread_t reader, later;

	PLAN(1);
	fake_reset();
	pthread_create(&reader, NULL, read_options, NULL);
	while (!__atomic_load_n(&reading, __ATOMIC_ACQUIRE))
		sched_yield();
	pthread_create(&later, NULL, go_on_later, NULL);
	umpa_fork_prepare();
	CHECK(__atomic_load_n(&may_go_on, __ATOMIC_ACQUIRE));
	umpa_fork_parent();
	pthread_join(later, NULL);
	pthread_join(reader, NULL);
}
