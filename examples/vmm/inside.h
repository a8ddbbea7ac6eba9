/*
 * What the examples of guest mode have in common: a machine, or exit status 77 where there is none;
 * and figures, in ticks of the clock, of one thing done in guest mode and by the kernel's calls.
 *
 * They are compiled for general registers alone, as handlers of page faults must be, and so that
 * they run where KVM interprets instructions.
 */
#ifndef EXAMPLES_INSIDE_H
#define EXAMPLES_INSIDE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>

#define PAGE_NBYTES      ((size_t)4096)
#define SUPERPAGE_NBYTES ((size_t)2 << 20)

struct inside {
	struct umpa_vmm *vmm;
	unsigned ncpus;
	size_t ntimes; /* as often as is asked for, or less where instructions are interpreted */
};

/* A machine that has done nothing yet. */
static inline void inside_renew(struct inside *in, size_t holding_nbytes)
{
	struct umpa_vmm_options options = {
		.flags = UMPA_VMM_ALLOW_SLOW, .holding_nbytes = holding_nbytes, .ncpus = in->ncpus};
	int error;

	umpa_vmm_destroy(in->vmm);
	in->vmm = NULL;
	umpa_trim(0); /* what the last one's holding had */
	error = umpa_vmm_create(&in->vmm, &options);
	if (error) {
		printf("no machine: %s\n", strerror(-error));
		exit(1);
	}
}

static inline struct inside inside_begin_with(unsigned ncpus, size_t holding_nbytes, size_t ntimes)
{
	struct inside in = {NULL, ncpus, ntimes};
	struct umpa_vmm_caps caps;

	umpa_vmm_probe(&caps);
	if (caps.level == UMPA_VMM_NONE) {
		printf("skipped: %s\n", caps.why);
		exit(77);
	}
	if (caps.level == UMPA_VMM_EMULATED)
		in.ntimes = ntimes / 16;
	inside_renew(&in, holding_nbytes);
	printf("%-24s %13s %13s %8s\n", "ticks", "in guest mode", "by the kernel", "ratio");
	return in;
}

static inline struct inside inside_begin(size_t holding_nbytes, size_t ntimes)
{
	return inside_begin_with(1, holding_nbytes, ntimes);
}

static inline long inside_run(
	const struct inside *in, long (*fn)(struct umpa_guest *, void *), void *arg)
{
	struct umpa_vmm_fault fault;
	long ret = -1;
	int error = umpa_vmm_run(in->vmm, fn, arg, &ret, &fault);

	if (error) {
		printf("the function has failed: %s, cause %d, vector %u, address %#lx, ip %#lx\n",
			strerror(-error), (int)fault.cause, fault.vector,
			(unsigned long)fault.address, (unsigned long)fault.ip);
		exit(1);
	}
	return ret;
}

static inline uint64_t inside_ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

static inline void inside_copy_page(void *dst, const void *src)
{
	size_t n = PAGE_NBYTES / 8;

	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

static inline uint32_t inside_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static inline void inside_say(const char *what, uint64_t guest, uint64_t kernel, size_t n)
{
	unsigned long long tenths = kernel * 10 / (guest ? guest : 1);

	printf("%-24s %13llu %13llu %6llu.%llu\n", what, (unsigned long long)(guest / n),
		(unsigned long long)(kernel / n), tenths / 10, tenths % 10);
}

static inline void inside_need(int fact, const char *what)
{
	if (fact)
		return;
	printf("wrong: %s\n", what);
	exit(1);
}

#endif
