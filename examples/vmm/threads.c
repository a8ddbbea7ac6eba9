/*
 * Two threads, each a function in guest mode on a virtual CPU of its own: one allocates blocks and
 * hands them on, the other frees them. Superpages go from block to block by page-table entries all
 * the while, and neither interrupts the other. The kernel's way is mmap() and munmap(), which has
 * other processors forget what they remember of the pages, by an interrupt, each time.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "inside.h"

enum {
	NPLACES = 16,
	NBLOCKS = 160,
	NSUPERPAGES_MAX = 8
};

struct block {
	volatile char *addr; /* atomic; NULL: the place is free */
	size_t nsuperpages;
};

/* From one hand to the other, in order. */
static struct block place[NPLACES];
static size_t nblocks;
static uint64_t ninterruptions; /* that the functions have asked for; atomic */

static size_t draw(uint64_t *random)
{
	return 1 + inside_random(random) % NSUPERPAGES_MAX;
}

static void hand_on(size_t i, volatile char *addr, size_t nsuperpages)
{
	struct block *b = &place[i % NPLACES];

	while (__atomic_load_n(&b->addr, __ATOMIC_ACQUIRE))
		__asm__ volatile("pause");
	for (size_t s = 0; s < nsuperpages; s++)
		addr[s * SUPERPAGE_NBYTES] = (char)(i + s);
	b->nsuperpages = nsuperpages;
	__atomic_store_n(&b->addr, addr, __ATOMIC_RELEASE);
}

/* 1 if it holds what it was handed on with. */
static int take(size_t i, struct block *taken)
{
	struct block *b = &place[i % NPLACES];
	int right = 1;

	while (!__atomic_load_n(&b->addr, __ATOMIC_ACQUIRE))
		__asm__ volatile("pause");
	*taken = *b;
	__atomic_store_n(&b->addr, NULL, __ATOMIC_RELEASE);
	for (size_t s = 0; s < taken->nsuperpages; s++)
		right &= taken->addr[s * SUPERPAGE_NBYTES] == (char)(i + s);
	return right;
}

/* --- in guest mode ------------------------------------------------------------------------ */

static void note(struct umpa_guest *g)
{
	__atomic_add_fetch(&ninterruptions, g->ninterruptions, __ATOMIC_RELAXED);
	g->ninterruptions = 0;
}

static long make_inside(struct umpa_guest *g, void *arg)
{
	uint64_t random = 1;

	(void)arg;
	for (size_t i = 0; i < nblocks; i++) {
		size_t n = draw(&random);
		void *block = umpa_g_alloc(g, n * SUPERPAGE_NBYTES, 0);

		if (!block)
			return -1;
		hand_on(i, block, n);
	}
	note(g);
	return 0;
}

static long free_inside(struct umpa_guest *g, void *arg)
{
	long nwrong = 0;

	(void)arg;
	for (size_t i = 0; i < nblocks; i++) {
		struct block b;

		nwrong += !take(i, &b);
		umpa_g_free(g, (void *)b.addr);
	}
	note(g);
	return nwrong;
}

static const struct inside *inside;

static void *free_inside_in_thread(void *arg)
{
	*(long *)arg = inside_run(inside, free_inside, NULL);
	return NULL;
}

/* --- by the kernel ------------------------------------------------------------------------ */

static long make_by_calls(void)
{
	uint64_t random = 1;

	for (size_t i = 0; i < nblocks; i++) {
		size_t n = draw(&random);
		void *block = mmap(NULL, n * SUPERPAGE_NBYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		inside_need(block != MAP_FAILED, "memory");
		hand_on(i, block, n);
	}
	return 0;
}

static void *free_by_calls(void *arg)
{
	long *nwrong = arg;

	for (size_t i = 0; i < nblocks; i++) {
		struct block b;

		*nwrong += !take(i, &b);
		munmap((void *)b.addr, b.nsuperpages * SUPERPAGE_NBYTES);
	}
	return NULL;
}

/* --- both --------------------------------------------------------------------------------- */

/* How often a processor has interrupted another one to have it forget translations; 0 if the system
 * does not say. */
static uint64_t ninterrupts(void)
{
	FILE *f = fopen("/proc/interrupts", "r");
	char line[4096];
	uint64_t sum = 0;

	while (f && fgets(line, sizeof(line), f)) {
		char *at = strstr(line, "TLB:"), *end;

		for (at = at ? at + 4 : NULL; at; at = end) {
			uint64_t n = strtoull(at, &end, 10);

			if (end == at)
				break;
			sum += n;
		}
	}
	if (f)
		fclose(f);
	return sum;
}

struct cost {
	uint64_t ticks, ninterrupts;
};

static struct cost since(uint64_t ticks, uint64_t interrupts)
{
	return (struct cost){inside_ticks() - ticks, ninterrupts() - interrupts};
}

static struct cost with_thread(void *(*other)(void *), long (*own)(void))
{
	uint64_t interrupts = ninterrupts(), start = inside_ticks();
	pthread_t thread;
	long nwrong = 0;

	inside_need(!pthread_create(&thread, NULL, other, &nwrong), "a thread");
	inside_need(!own(), "memory");
	pthread_join(thread, NULL);
	inside_need(!nwrong, "blocks hold what they were handed on with");
	return since(start, interrupts);
}

static long make_inside_here(void)
{
	return inside_run(inside, make_inside, NULL);
}

int main(void)
{
	struct inside in = inside_begin_with(2, (size_t)1 << 30, NBLOCKS);
	struct cost guest, kernel;

	inside = &in;
	nblocks = in.ntimes;
	/* Once before, for the frames. */
	with_thread(free_inside_in_thread, make_inside_here);
	ninterruptions = 0;
	guest = with_thread(free_inside_in_thread, make_inside_here);
	kernel = with_thread(free_by_calls, make_by_calls);
	inside_say("threads: a block", guest.ticks, kernel.ticks, nblocks);
	printf("interrupts to forget, of %zu blocks: in guest mode %llu and the system's %llu, "
	       "by the kernel %llu\n",
		nblocks, (unsigned long long)ninterruptions, (unsigned long long)guest.ninterrupts,
		(unsigned long long)kernel.ninterrupts);
	umpa_vmm_destroy(in.vmm);
	return 0;
}
