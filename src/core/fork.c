#include "core/fork.h"

#include <pthread.h>
#include <sched.h>

#include "core/core.h"
#include "core/outside.h"
#include "core/trial.h"

static void take_space_at_rest(struct umpa_space *s)
{
	umpa_lock_take(&s->lock);
	while (s->ntransit) {
		umpa_lock_give(&s->lock);
		sched_yield();
		umpa_lock_take(&s->lock);
	}
}

static int have_window;

struct umpa_fork_above umpa_fork_above;

void umpa_fork_prepare(void)
{
	struct umpa_core *c = &umpa_core;

	if (umpa_fork_above.take)
		umpa_fork_above.take();
	umpa_core_fork_start_take();
	umpa_trial_fork_take();
	/* With the start-up's lock held this can't change before the fork is over. */
	have_window = c->window.nbytes != 0;
	if (have_window) {
		for (unsigned i = 0; i < c->nshards; i++)
			umpa_lock_take(&umpa_shard(i)->lock);
		take_space_at_rest(&c->space);
	}
	umpa_outside_fork_take();
}

static void give_all(void)
{
	struct umpa_core *c = &umpa_core;

	umpa_outside_fork_give();
	if (have_window) {
		umpa_lock_give(&c->space.lock);
		for (unsigned i = c->nshards; i-- > 0;)
			umpa_lock_give(&umpa_shard(i)->lock);
	}
	umpa_trial_fork_give();
	umpa_core_fork_start_give();
	if (umpa_fork_above.give)
		umpa_fork_above.give();
}

void umpa_fork_parent(void)
{
	give_all();
}

void umpa_fork_child(void)
{
	give_all();
}

void umpa_fork_register(void)
{
	static int registered; /* atomic */

	if (!__atomic_exchange_n(&registered, 1, __ATOMIC_RELAXED))
		pthread_atfork(umpa_fork_prepare, umpa_fork_parent, umpa_fork_child);
}
