#include "heap/learn.h"

#include <errno.h>
#include <stdint.h>

#include "heap/heap.h"
#include "heap/huge.h"

/* mallopt's parameters, each of which ends glibc's learning. The numbers are glibc's ABI. */
enum {
	TRIM_THRESHOLD = -1,
	TOP_PAD = -2,
	MMAP_THRESHOLD = -3,
	MMAP_MAX = -4
};

#define TAUGHT_ENOUGH SIZE_MAX

/* From a power of two to the next. What glibc keeps beyond what it would is a sixteenth at most;
 * each step may cost a process one call of mallopt. */
#define NSTEPS 16

size_t umpa_learn_noted = LEARN_NBYTES_MIN;
size_t umpa_learn_taught = LEARN_NBYTES_MIN;

static size_t taught(void)
{
	return __atomic_load_n(&umpa_learn_taught, __ATOMIC_RELAXED);
}

static void stop(void)
{
	__atomic_store_n(&umpa_learn_taught, TAUGHT_ENOUGH, __ATOMIC_RELAXED);
}

void umpa_learn_note(size_t nbytes)
{
	size_t noted = __atomic_load_n(&umpa_learn_noted, __ATOMIC_RELAXED), rounded;

	if (nbytes > LEARN_NBYTES_MAX)
		return;
	rounded = rounded_up(nbytes, ((size_t)1 << (63 - __builtin_clzll(nbytes))) / NSTEPS);
	while (noted < rounded && !__atomic_compare_exchange_n(&umpa_learn_noted, &noted, rounded,
					  0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

int umpa_learn_may_teach(void)
{
	return umpa_engine.mallopt && umpa_engine.learns &&
	       __atomic_load_n(&umpa_heap_min, __ATOMIC_RELAXED) <= LEARN_NBYTES_MIN &&
	       !umpa_host_tunes_engine();
}

/* Above which the free top of the heap goes back, after blocks of nbytes were freed; none yet: what
 * it was at first. */
static void set_threshold(size_t nbytes)
{
	size_t own = nbytes > LEARN_NBYTES_MIN ? 2 * nbytes : LEARN_NBYTES_MIN;

	umpa_engine.mallopt(TRIM_THRESHOLD, (int)(own + umpa_huge_ahead_nbytes()));
}

void umpa_learn_pad(size_t nbytes)
{
	umpa_engine.mallopt(TOP_PAD, (int)nbytes);
	if (taught() != TAUGHT_ENOUGH)
		set_threshold(taught());
}

void umpa_learn_teach(void)
{
	size_t noted = __atomic_load_n(&umpa_learn_noted, __ATOMIC_RELAXED), before = taught();
	int saved = errno;

	if (!umpa_learn_may_teach())
		stop();
	if (noted <= before || !__atomic_compare_exchange_n(&umpa_learn_taught, &before, noted, 0,
				       __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	/* Whoever comes last must say the highest: two threads may pass here side by side. */
	for (before = 0; before != taught() && taught() != TAUGHT_ENOUGH;) {
		before = taught();
		set_threshold(before);
	}
	errno = saved;
}

int umpa_heap_mallopt(int param, int value)
{
	if (param >= MMAP_MAX && param <= TRIM_THRESHOLD) {
		umpa_huge_stop();
		stop();
	}
	return umpa_engine_start() && umpa_engine.mallopt ? umpa_engine.mallopt(param, value) : 0;
}
