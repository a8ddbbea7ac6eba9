/*
 * The write barrier of a generational collector by page protection: who writes to the old
 * generation is told of by a page fault, once a page. The two loops are those by which such things
 * have been measured since A. Appel and K. Li, "Virtual Memory Primitives for User Programs",
 * ASPLOS 1991; Dune (OSDI 2012) has them 7 times as fast as the kernel's calls, in cycles.
 */
#include <signal.h>
#include <sys/mman.h>

#include "inside.h"

enum {
	NPAGES = 512,
	NPROTECTED = 100, /* at once, as in 1991 */
	NTIMES = 2048
};

static volatile char *old; /* the generation */
static char remembered[NPAGES];

struct work {
	size_t ntimes;
	uint64_t one, many;
	size_t nremembered, nwritten;
};

static volatile char *page(size_t i)
{
	return old + i % NPAGES * PAGE_NBYTES;
}

static size_t number_of(const volatile char *addr)
{
	return (size_t)(addr - old) / PAGE_NBYTES;
}

/* How pages are protected, here or there. The handler is told by protect_next whether another page
 * is to be protected in place of the one that was written. */
struct barrier {
	void (*set)(struct umpa_guest *g, volatile char *addr, size_t npages, int writable);
	struct umpa_guest *g;
	int protect_next;
};

static struct barrier barrier;

static void remember(volatile char *addr)
{
	remembered[number_of(addr)] = 1;
	barrier.set(barrier.g, addr, 1, 1);
	if (barrier.protect_next)
		barrier.set(barrier.g, page(number_of(addr) + 1), 1, 0);
}

/* Appel 1: a fault, its page unprotected, another one protected. Appel 2: many protected at once,
 * and a fault and an end of protection for each. */
static void measure(struct work *w)
{
	barrier.set(barrier.g, old, NPAGES, 1);
	barrier.protect_next = 1;
	barrier.set(barrier.g, page(0), 1, 0);
	w->one = inside_ticks();
	for (size_t i = 0; i < w->ntimes; i++)
		*page(i) = 1;
	w->one = inside_ticks() - w->one;
	barrier.protect_next = 0;
	barrier.set(barrier.g, old, NPAGES, 1);
	w->many = inside_ticks();
	for (size_t i = 0; i < w->ntimes; i += NPROTECTED) {
		barrier.set(barrier.g, page(0), NPROTECTED, 0);
		for (size_t k = 0; k < NPROTECTED; k++)
			*page(7 * k % NPROTECTED) = 1;
	}
	w->many = inside_ticks() - w->many;
}

/* A collection: all is protected, some is written, and what is remembered is what was written. */
static void collect(struct work *w)
{
	char written[NPAGES] = {0};
	uint64_t random = 1;

	for (size_t i = 0; i < NPAGES; i++)
		remembered[i] = 0;
	barrier.set(barrier.g, old, NPAGES, 0);
	for (size_t i = 0; i < NPAGES / 2; i++) {
		size_t at = inside_random(&random) % (NPAGES * PAGE_NBYTES);

		old[at] = 2;
		written[at / PAGE_NBYTES] = 1;
	}
	for (size_t i = 0; i < NPAGES; i++) {
		w->nremembered += (size_t)(remembered[i] == written[i]);
		w->nwritten += (size_t)written[i];
	}
}

/* --- in guest mode ------------------------------------------------------------------------ */

static void set_inside(struct umpa_guest *g, volatile char *addr, size_t npages, int writable)
{
	/* Page by page, as all of a superpage would be one entry. */
	for (size_t i = 0; i < npages; i++) {
		void *at = (char *)addr + i * PAGE_NBYTES;

		umpa_g_protect(g, at, 1, writable);
		umpa_g_flush(at);
	}
}

static int written_inside(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	(void)g, (void)code, (void)arg;
	remember(addr);
	return 0;
}

static long run_inside(struct umpa_guest *g, void *arg)
{
	barrier = (struct barrier){set_inside, g, 0};
	umpa_g_on_fault(g, written_inside, NULL);
	measure(arg);
	collect(arg);
	return 0;
}

/* --- by the kernel ------------------------------------------------------------------------ */

static void set_by_call(struct umpa_guest *g, volatile char *addr, size_t npages, int writable)
{
	(void)g;
	mprotect((char *)addr, npages * PAGE_NBYTES, writable ? PROT_READ | PROT_WRITE : PROT_READ);
}

static void written_by_signal(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	remember((char *)((uintptr_t)info->si_addr & ~(PAGE_NBYTES - 1)));
}

static void run_by_calls(struct work *w)
{
	struct sigaction action = {.sa_sigaction = written_by_signal, .sa_flags = SA_SIGINFO};

	old = mmap(NULL, NPAGES * PAGE_NBYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		-1, 0);
	inside_need(old != MAP_FAILED, "mmap");
	madvise((char *)old, NPAGES * PAGE_NBYTES, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < NPAGES; i++)
		*page(i) = 1;
	sigaction(SIGSEGV, &action, NULL);
	barrier = (struct barrier){set_by_call, NULL, 0};
	measure(w);
	collect(w);
}

int main(void)
{
	struct inside in = inside_begin(0, NTIMES);
	struct work inside = {.ntimes = in.ntimes / NPROTECTED * NPROTECTED}, outside = inside;
	void *block = umpa_alloc(NPAGES * PAGE_NBYTES, UMPA_ALIGN(21) | UMPA_BACKED);

	inside_need(block != NULL, "memory");
	old = block;
	inside_run(&in, run_inside, &inside);
	inside_need(inside.nremembered == NPAGES && inside.nwritten > NPAGES / 4,
		"what is remembered is what was written");
	run_by_calls(&outside);
	inside_need(outside.nremembered == NPAGES, "the same by the kernel");
	inside_say("barrier: one protected", inside.one, outside.one, inside.ntimes);
	inside_say("barrier: many protected", inside.many, outside.many, inside.ntimes);
	umpa_vmm_destroy(in.vmm);
	umpa_free(block);
	return 0;
}
