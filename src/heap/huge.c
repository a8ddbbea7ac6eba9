#include "heap/huge.h"

#include <errno.h>

#include "core/options.h"
#include "heap/heap.h"
#include "heap/learn.h"
#include "os/os.h"

#define STEP_NBYTES_MIN ((size_t)8 << 20)
#define STEP_NBYTES_MAX ((size_t)32 << 20)

/* More than glibc has below the break for one block: beyond its threshold they are mappings. */
#define BLOCK_NBYTES_MAX ((size_t)256 << 10)

/* Larger requests are where a look costs nothing. */
#define LOOK_NBYTES_MIN ((size_t)1 << 10)

/* So many pages are needed to tell whether the program fills what it allocates. */
#define EVIDENCE_NPAGES_MIN 64

/* Each is a mapping or two for the kernel, of which a process may have 65530. */
#define NSTEPS_MAX 1024

/* Instead of the break that was seen last, and no break: stop at the next look. */
#define STOP ((uintptr_t)1)

const uintptr_t *umpa_huge_at;
uintptr_t umpa_huge_seen;

static uintptr_t begin;              /* of the heap */
static uintptr_t from;               /* huge pages from here on; 0: none yet */
static size_t pad = HUGE_PAD_NBYTES; /* what the engine was told last */
static uintptr_t probe; /* where the latest step began: base pages up to a superpage's end */
static int filled;      /* what was seen of probes: the program writes to all of its heap */

/* Where those steps begin that are advised, from below. */
static late_data uintptr_t steps[NSTEPS_MAX];
static unsigned nsteps;

static uintptr_t load(const uintptr_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void store(uintptr_t *word, uintptr_t value)
{
	__atomic_store_n(word, value, __ATOMIC_RELAXED);
}

void umpa_huge_start(void)
{
	const uintptr_t *at = umpa_engine.breaks ? umpa_os_break() : NULL;

	if (!at || !umpa_option(OPTION_huge) || umpa_host_has_huge_heap())
		return;
	store(&begin, load(at));
	store(&umpa_huge_seen, load(at));
	__atomic_store_n(&umpa_huge_at, at, __ATOMIC_RELAXED);
	umpa_heap_look_from(LOOK_NBYTES_MIN);
}

/* What of the heap lies in [at, end). */
static void advise(uintptr_t at, uintptr_t end, int on)
{
	end &= ~(PAGE_NBYTES - 1);
	if (end > at)
		(void)!umpa_os_advise_huge((void *)at, end - at, on); /* a hint */
}

static void set_pad(size_t nbytes)
{
	/* In one order with end() and is_over(). */
	if (nbytes == __atomic_exchange_n(&pad, nbytes, __ATOMIC_SEQ_CST))
		return;
	/* Whoever comes last must say the latest: two threads may pass here side by side. */
	do {
		nbytes = __atomic_load_n(&pad, __ATOMIC_RELAXED);
		umpa_learn_pad(nbytes);
	} while (nbytes != __atomic_load_n(&pad, __ATOMIC_RELAXED));
}

static void leave_alone(void)
{
	__atomic_store_n(&umpa_huge_at, NULL, __ATOMIC_SEQ_CST); /* with is_over() */
	umpa_heap_look_from(SIZE_MAX);
}

static int is_over(void)
{
	return !__atomic_load_n(&umpa_huge_at, __ATOMIC_SEQ_CST); /* with leave_alone() */
}

static void end(const uintptr_t *word)
{
	uintptr_t at;

	leave_alone();
	set_pad(HUGE_PAD_NBYTES);
	at = __atomic_exchange_n(&from, 0, __ATOMIC_RELAXED);
	if (at)
		advise(at, load(word), 0);
}

int umpa_huge_stop(void)
{
	const uintptr_t *word = __atomic_load_n(&umpa_huge_at, __ATOMIC_RELAXED);
	int saved = errno, ahead = umpa_huge_ahead_nbytes() != 0;

	if (!word)
		return 0;
	end(word);
	errno = saved;
	return ahead;
}

void umpa_huge_stop_soon(void)
{
	store(&umpa_huge_seen, STOP);
}

size_t umpa_huge_ahead_nbytes(void)
{
	size_t nbytes = __atomic_load_n(&pad, __ATOMIC_RELAXED);

	return nbytes > HUGE_PAD_NBYTES ? nbytes : 0;
}

/* Memory may be taken ahead of need. */
static int may_pad(void)
{
	struct umpa_os_machine m;

	if (umpa_os_confined() || !umpa_learn_may_teach())
		return 0;
	umpa_os_machine(&m);
	return !m.strict_commit && m.as_limit_nbytes == SIZE_MAX;
}

/* Up to where a superpage ends, but for the page by which glibc raises the break for what is
 * smaller than a page. The first superpage of a step can't be huge, as glibc writes to it before it
 * can be advised, and the mapping is one of its own: so steps grow with the heap. */
static size_t step_from(uintptr_t end)
{
	size_t step = (end - load(&begin)) / 4;

	step = step < STEP_NBYTES_MIN ? STEP_NBYTES_MIN : step;
	step = step > STEP_NBYTES_MAX ? STEP_NBYTES_MAX : step;
	return ((end + step) & ~(SLOT_NBYTES - 1)) - end - PAGE_NBYTES;
}

/* Two threads here at once may lose one. */
static int note_step(uintptr_t at)
{
	unsigned n = __atomic_load_n(&nsteps, __ATOMIC_RELAXED);

	if (n == NSTEPS_MAX)
		return 0;
	store(&steps[n], at);
	__atomic_store_n(&nsteps, n + 1, __ATOMIC_RELAXED);
	return 1;
}

static void forget_steps_from(uintptr_t at)
{
	unsigned n = __atomic_load_n(&nsteps, __ATOMIC_RELAXED);

	while (n && load(&steps[n - 1]) >= at)
		n--;
	__atomic_store_n(&nsteps, n, __ATOMIC_RELAXED);
}

static void begin_steps(uintptr_t end)
{
	uintptr_t none = 0;

	if (!may_pad()) {
		leave_alone();
	} else if (__atomic_compare_exchange_n(&from, &none, rounded_up(end, PAGE_NBYTES), 0,
			   __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		store(&probe, (end & ~(SLOT_NBYTES - 1)) - SLOT_NBYTES);
		forget_steps_from(0);
		set_pad(step_from(end));
		umpa_heap_look_from(0);
	}
}

/* By as much as glibc would for one of its blocks; else it is the program that moves the break, and
 * what it wants the memory for is not known. */
static int is_a_step(size_t nbytes)
{
	size_t least = umpa_huge_ahead_nbytes();

	return least && nbytes >= least && nbytes <= least + BLOCK_NBYTES_MAX;
}

/* Seven pages of eight below `end` that tell have frames. Not to be told: what was seen last. */
static int is_filled(uintptr_t end)
{
	uintptr_t at = load(&probe), until = (at | (SLOT_NBYTES - 1)) + 1;
	unsigned char vec[SLOT_NPAGES];
	size_t npages = ((until < end ? until : end) - at) >> PAGE_SHIFT, nframes = 0;

	if (at >= end || npages < EVIDENCE_NPAGES_MIN || umpa_os_resident((void *)at, npages, vec))
		return __atomic_load_n(&filled, __ATOMIC_RELAXED);
	for (size_t i = 0; i < npages; i++)
		nframes += vec[i] & 1;
	__atomic_store_n(&filled, 8 * nframes >= 7 * npages, __ATOMIC_RELAXED);
	return 8 * nframes >= 7 * npages;
}

/* The heap was raised from `at`. */
static void stepped(uintptr_t at, uintptr_t end)
{
	if (is_filled(at) && note_step(at))
		advise(at, end, 1);
	store(&probe, at);
}

static void grown(uintptr_t seen, uintptr_t end)
{
	if (end - load(&begin) < HUGE_HEAP_NBYTES_MIN)
		return;
	if (!load(&from)) {
		begin_steps(end);
		return;
	}
	if (is_a_step(end - seen))
		stepped(rounded_up(seen, PAGE_NBYTES), end);
	set_pad(step_from(end));
}

static void changed(uintptr_t seen, uintptr_t now)
{
	if (!seen)
		store(&begin, now);
	if (now > seen) {
		grown(seen, now);
	} else if (load(&from)) {
		forget_steps_from(now);
		set_pad(HUGE_PAD_NBYTES); /* more is being freed: the rest shall go back, too */
	}
}

void umpa_huge_look_closer(const uintptr_t *at)
{
	uintptr_t seen = load(&umpa_huge_seen), now = load(at);
	int saved = errno;

	if (seen != STOP) {
		if (!__atomic_compare_exchange_n(
			    &umpa_huge_seen, &seen, now, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return; /* somebody else looks */
		changed(seen, now);
	}
	if (seen == STOP || is_over()) /* another thread has stopped meanwhile */
		end(at);
	errno = saved;
}
