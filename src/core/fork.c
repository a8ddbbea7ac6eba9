#include "core/fork.h"

#include <pthread.h>

#include "core/core.h"
#include "core/options.h"
#include "core/outside.h"
#include "core/recent.h"
#include "core/shard.h"
#include "core/trial.h"

static void take_space_at_rest(struct umpa_space *s)
{
	umpa_lock_take(&s->lock);
	s->nresting++;
	for (unsigned i = 0; s->ntransit; i++) {
		uint32_t ntransit = s->ntransit;

		umpa_lock_give(&s->lock);
		umpa_lock_pause(&s->ntransit, ntransit, i);
		umpa_lock_take(&s->lock);
	}
	s->nresting--;
}

/* --- the gate ----------------------------------------------------------------------------- */

/* Both atomic: forks under way, and calls that none of them may begin before the end of. */
static uint32_t nforking, ninside;

int umpa_fork_enter(void)
{
	/* Sequentially consistent, as in close_gate(): one of the two sees the other. */
	__atomic_fetch_add(&ninside, 1, __ATOMIC_SEQ_CST);
	if (likely(!__atomic_load_n(&nforking, __ATOMIC_SEQ_CST)))
		return 1;
	umpa_fork_leave();
	return 0;
}

void umpa_fork_leave(void)
{
	__atomic_fetch_sub(&ninside, 1, __ATOMIC_RELEASE);
}

static void close_gate(void)
{
	uint32_t n;

	__atomic_fetch_add(&nforking, 1, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; (n = __atomic_load_n(&ninside, __ATOMIC_SEQ_CST)) != 0; i++)
		umpa_lock_pause(&ninside, n, i);
}

static void open_gate(void)
{
	__atomic_fetch_sub(&nforking, 1, __ATOMIC_RELEASE);
}

/* In the child: threads of the parent that were at the gate are not there. */
static void renew_gate(void)
{
	nforking = ninside = 0;
}

/* --- the phases --------------------------------------------------------------------------- */

/* Of the fork under way: there is a window; all locks were taken, which guard both of these. */
static int have_window, is_locked;

struct umpa_fork_above umpa_fork_above;

static void take_all(void)
{
	struct umpa_core *c = &umpa_core;

	if (umpa_fork_above.take)
		umpa_fork_above.take();
	umpa_core_lock_start();
	umpa_trial_lock();
	/* With the start-up's lock held this can't change before the fork is over. */
	have_window = c->window.nbytes != 0;
	if (have_window) {
		umpa_shards_lock();
		take_space_at_rest(&c->space);
	}
	umpa_outside_lock();
}

/*
 * Without other threads nobody holds a lock or can come to hold one, so none is taken: a lock that
 * is given after the fork is a page that parent and child each have to copy. libc does so with its
 * own.
 */
void umpa_fork_prepare(void)
{
	int may_be_held = !umpa_os_single_threaded();

	if (may_be_held) {
		/* Read by now, or read here: a child must not wait for a thread that reads them. */
		(void)umpa_options_get();
		close_gate();
		take_all();
	}
	if (is_locked != may_be_held) /* else its page may be a child's too, and stay so */
		is_locked = may_be_held;
}

static void give_all(void)
{
	struct umpa_core *c = &umpa_core;

	umpa_outside_unlock();
	if (have_window) {
		umpa_lock_give(&c->space.lock);
		umpa_shards_unlock();
	}
	umpa_trial_unlock();
	umpa_core_unlock_start();
	if (umpa_fork_above.give)
		umpa_fork_above.give();
}

void umpa_fork_parent(void)
{
	if (!is_locked)
		return;
	give_all();
	open_gate();
}

static void give_all_in_child(void)
{
	if (have_window)
		umpa_recent_fork_child();
	give_all();
	renew_gate();
}

void umpa_fork_child(void)
{
	if (is_locked)
		give_all_in_child();
	if (umpa_fork_above.in_child)
		umpa_fork_above.in_child();
}

start_path void umpa_fork_register(void)
{
	static int registered; /* atomic */

	if (!__atomic_exchange_n(&registered, 1, __ATOMIC_RELAXED))
		pthread_atfork(umpa_fork_prepare, umpa_fork_parent, umpa_fork_child);
}
