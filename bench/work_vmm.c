/*
 * What page operations take by page tables of one's own, and by the kernel's calls for the same: in
 * ticks of the clock that both read, which are cycles on a real processor, and instructions in a
 * machine that counts them (scripts/check-kernels -i).
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/cli.h"
#include "worker.h"

#if defined(__x86_64__)

enum {
	NTIMES = 512,
	NROUNDS = 3, /* of which the least counts: at first second-level tables are cold, and a
			timer may tick in any */
	NPAGES = NTIMES,
	BLOCK_NSLOTS = 4,
	TICK_TRIAL_NS = 20000000
};

/* A function by itself, as what is measured is. */
#define GUEST __attribute__((noinline))

static inline uint64_t ticks(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* A block of the window, resident. */
static char *block;

/* Of blocks that are allocated inside. */
static const size_t alloc_nbytes[] = {
	PAGE_NBYTES, (size_t)1 << 16, (size_t)1 << 20, (size_t)1 << 26, (size_t)1 << 30};

enum {
	NSIZES = sizeof(alloc_nbytes) / sizeof(alloc_nbytes[0]),
	NMOVED = 256,  /* superpages */
	NSWAPPED = 64, /* pages */
	NLIVE = 64
};

#define HOLDING_NBYTES ((size_t)6 << 30) /* address space */

static volatile char *page(size_t i)
{
	return block + (i << PAGE_SHIFT);
}

static void *home(size_t i)
{
	return block + 2 * SLOT_NBYTES + (i % NPAGES << PAGE_SHIFT);
}

/* --- in guest mode ------------------------------------------------------------------------ */

/* What one of them is worth: measured, as the clock need not go as fast as its name says. */
__attribute__((unused)) static double tick_ns(void)
{
	uint64_t start_ns = umpa_now_ns(), start = ticks(), now_ns;

	do
		now_ns = umpa_now_ns();
	while (now_ns - start_ns < TICK_TRIAL_NS);
	return (double)(now_ns - start_ns) / (double)(ticks() - start);
}

struct guest_ticks {
	uint64_t map, remap, swap, fault, call, entry;
	uint64_t alloc[NSIZES], mixed, page, pages;
	uint64_t refused;
};

static void keep_least(struct guest_ticks *least, const struct guest_ticks *t)
{
	uint64_t *to = (uint64_t *)least;
	const uint64_t *from = (const uint64_t *)t;

	for (size_t i = 0; i < sizeof(*t) / sizeof(*to); i++)
		to[i] = from[i] < to[i] ? from[i] : to[i];
}

__attribute__((target("general-regs-only"))) static int map_one(
	struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	size_t *next = arg;

	(void)code;
	*umpa_g_pte(g, addr, 0) = umpa_g_entry(g, home((*next)++));
	return 0;
}

GUEST static void map_pages(struct umpa_guest *g)
{
	char *to = block, *from = block + 2 * SLOT_NBYTES, *end = from + NTIMES * PAGE_NBYTES;

	for (; from < end; to += PAGE_NBYTES, from += PAGE_NBYTES)
		*umpa_g_pte(g, to, 0) = umpa_g_entry(g, from);
}

/* To the same pages, in the opposite order. */
GUEST static void remap_pages(struct umpa_guest *g)
{
	char *to = block, *end = block + 2 * SLOT_NBYTES, *from = end + NTIMES * PAGE_NBYTES;

	while (from > end) {
		from -= PAGE_NBYTES;
		*umpa_g_pte(g, to, 0) = umpa_g_entry(g, from);
		umpa_g_flush(to);
		(void)*(volatile char *)to;
		to += PAGE_NBYTES;
	}
}

GUEST static void swap_superpages(struct umpa_guest *g)
{
	char *a = block + SLOT_NBYTES, *b = block + 3 * SLOT_NBYTES;

	for (size_t i = 0; i < NTIMES; i++) {
		umpa_g_exchange(g, a, b, 1);
		umpa_g_flush_all();
	}
}

GUEST static void fault_pages(struct umpa_guest *g)
{
	for (size_t i = 0; i < NTIMES; i++)
		*page(i) = 1;
	(void)g;
}

GUEST static void make_calls(struct umpa_guest *g)
{
	(void)g;
	for (size_t i = 0; i < NTIMES; i++) {
		long result;

		__asm__ volatile("syscall"
				 : "=a"(result)
				 : "a"(SYS_getppid)
				 : "rcx", "r11", "memory");
	}
}

/* --- blocks --- */

GUEST static void alloc_one_size(struct umpa_guest *g, struct guest_ticks *t, size_t nbytes)
{
	for (size_t i = 0; i < NTIMES; i++) {
		void *b = umpa_g_alloc(g, nbytes, 0);

		t->refused |= !b;
		umpa_g_free(g, b);
	}
}

/* Sizes 2^uniform, 4 KiB to 64 MiB; each takes the place of one of those that live. */
GUEST static void alloc_mixed(struct umpa_guest *g, struct guest_ticks *t)
{
	void *live[NLIVE];
	uint64_t random = 1, start = 0;

	for (size_t i = 0; i < NLIVE; i++)
		live[i] = NULL;
	for (size_t i = 0; i < 5 * (size_t)NTIMES; i++) {
		void **b = &live[i % NLIVE];
		unsigned log2;

		if (i == 4 * (size_t)NTIMES)
			start = ticks();
		random = random * 6364136223846793005u + 1442695040888963407u;
		log2 = 12 + (unsigned)(random >> 60) % 14;
		umpa_g_free(g, *b);
		*b = umpa_g_alloc(
			g, ((size_t)1 << log2) + (random >> 20 & (((size_t)1 << log2) - 1)), 0);
		t->refused |= !*b;
	}
	t->mixed = ticks() - start;
	for (size_t i = 0; i < NLIVE; i++)
		umpa_g_free(g, live[i]);
}

/* Pages of two blocks change places, n at a time. Result: ticks of NTIMES pages. */
GUEST static uint64_t swap_pages(
	struct umpa_guest *g, struct guest_ticks *t, char *a, char *b, size_t n)
{
	uint64_t start = ticks();

	for (size_t i = 0; i < NTIMES; i += n) {
		size_t at = i % NSWAPPED << PAGE_SHIFT;

		t->refused |= umpa_g_swap(g, a + at, b + at, n << PAGE_SHIFT) != 0;
	}
	return ticks() - start;
}

GUEST static void measure_pages(struct umpa_guest *g, struct guest_ticks *t)
{
	char *a = umpa_g_alloc(g, NSWAPPED << PAGE_SHIFT, 0),
	     *b = umpa_g_alloc(g, NSWAPPED << PAGE_SHIFT, 0);

	(void)swap_pages(g, t, a, b, NSWAPPED);
	t->page = swap_pages(g, t, a, b, 1);
	t->pages = swap_pages(g, t, a, b, NSWAPPED);
	umpa_g_free(g, a);
	umpa_g_free(g, b);
}

struct moved_ticks {
	uint64_t fill, resize;
};

/* Hardly any of a block's superpages is at home. */
GUEST static int have_moved(struct umpa_guest *g, char *b)
{
	size_t n = 0;

	for (size_t i = 0; i < NMOVED; i++)
		n += umpa_g_home(g, b + i * SLOT_NBYTES) != b + i * SLOT_NBYTES;
	return n >= NMOVED - NMOVED / 16;
}

/* Every superpage that a block gets was another block's, each elsewhere; then it grows, and all of
 * them move again. In a machine that has done nothing yet. Result: 1 if it was so. */
GUEST static long move_blocks(struct umpa_guest *g, void *arg)
{
	static void *b[2 * NMOVED];
	struct moved_ticks *t = arg;
	char *large, *moved;
	uint64_t start;

	for (size_t i = 0; i < 2 * (size_t)NMOVED; i++)
		b[i] = umpa_g_alloc(g, SLOT_NBYTES, 0);
	for (size_t i = 0; i < 2 * (size_t)NMOVED; i += 2)
		umpa_g_free(g, b[i]);
	start = ticks();
	large = umpa_g_alloc(g, NMOVED * SLOT_NBYTES, 0);
	t->fill = ticks() - start;
	/* What is right behind it is another's: more slots than lie free elsewhere. */
	if (!large || !have_moved(g, large) || !umpa_g_alloc(g, 4 * SLOT_NBYTES, UMPA_NOBACK))
		return 0;
	start = ticks();
	moved = umpa_g_realloc(g, large, 2 * NMOVED * SLOT_NBYTES, UMPA_NOBACK);
	t->resize = ticks() - start;
	return moved && moved != large && have_moved(g, moved);
}

/* Blocks that another CPU frees. */
struct far_ticks {
	char *block[NTIMES];
	uint64_t alloc, free;
};

GUEST static long alloc_for_other(struct umpa_guest *g, void *arg)
{
	struct far_ticks *t = arg;
	uint64_t start = ticks();
	long nrefused = 0;

	for (size_t i = 0; i < NTIMES; i++) {
		t->block[i] = umpa_g_alloc(g, (size_t)1 << 20, 0);
		nrefused += !t->block[i];
	}
	t->alloc = ticks() - start;
	return nrefused;
}

GUEST static long free_for_other(struct umpa_guest *g, void *arg)
{
	struct far_ticks *t = arg;
	uint64_t start = ticks();

	for (size_t i = 0; i < NTIMES; i++)
		umpa_g_free(g, t->block[i]);
	t->free = ticks() - start;
	return 0;
}

GUEST static void measure_blocks(struct umpa_guest *g, struct guest_ticks *t)
{
	t->refused = 0;
	for (size_t i = 0; i < NSIZES; i++) {
		uint64_t start;

		umpa_g_free(g, umpa_g_alloc(g, alloc_nbytes[i], 0));
		start = ticks();
		alloc_one_size(g, t, alloc_nbytes[i]);
		t->alloc[i] = ticks() - start;
	}
	alloc_mixed(g, t);
	measure_pages(g, t);
}

GUEST static uint64_t time_of(void (*fn)(struct umpa_guest *), struct umpa_guest *g)
{
	uint64_t start = ticks();

	fn(g);
	return ticks() - start;
}

GUEST static long measure_guest(struct umpa_guest *g, void *arg)
{
	struct guest_ticks *t = arg;
	size_t next = 0;

	umpa_g_split(g, block);
	umpa_g_flush_all();
	t->map = time_of(map_pages, g);
	umpa_g_flush_all();
	t->remap = time_of(remap_pages, g);
	t->swap = time_of(swap_superpages, g);
	umpa_g_unmap(g, block, NPAGES - 1); /* page by page */
	umpa_g_unmap(g, (void *)page(NPAGES - 1), 1);
	umpa_g_flush_all();
	umpa_g_on_fault(g, map_one, &next);
	t->fault = time_of(fault_pages, g);
	t->call = time_of(make_calls, g);
	measure_blocks(g, t);
	return 0;
}

GUEST static long nothing(struct umpa_guest *g, void *arg)
{
	(void)g;
	return (long)arg;
}

static int put_guest(struct umpa_vmm *vmm)
{
	struct guest_ticks t, now;

	memset(&t, 0xff, sizeof(t));
	for (int round = 0; round < NROUNDS; round++) {
		uint64_t start;

		if (umpa_vmm_run(vmm, measure_guest, &now, NULL, NULL) || now.refused)
			return -1;
		start = ticks();
		for (size_t i = 0; i < NTIMES; i++)
			if (umpa_vmm_run(vmm, nothing, NULL, NULL, NULL))
				return -1;
		now.entry = ticks() - start;
		keep_least(&t, &now);
	}
	umpa_put("guest_map", 0, (double)t.map / NTIMES);
	umpa_put("guest_remap", 0, (double)t.remap / NTIMES);
	umpa_put("guest_swap", 0, (double)t.swap / NTIMES);
	umpa_put("guest_fault", 0, (double)t.fault / NTIMES);
	umpa_put("guest_call", 0, (double)t.call / NTIMES);
	umpa_put("guest_entry", 0, (double)t.entry / NTIMES);
	for (size_t i = 0; i < NSIZES; i++)
		umpa_put("guest_alloc", alloc_nbytes[i], (double)t.alloc[i] / NTIMES);
	umpa_put("guest_mixed", 0, (double)t.mixed / NTIMES);
	umpa_put("guest_page", 0, (double)t.page / NTIMES);
	umpa_put("guest_pages", 0, (double)t.pages / NTIMES);
	return 0;
}

static int put_moved(const struct umpa_vmm_options *o)
{
	struct moved_ticks least = {UINT64_MAX, UINT64_MAX}, t;

	for (int round = 0; round < NROUNDS; round++) {
		struct umpa_vmm *vmm;
		long done = 0;

		if (umpa_vmm_create(&vmm, o))
			return -1;
		if (umpa_vmm_run(vmm, move_blocks, &t, &done, NULL) || !done)
			return -1;
		umpa_vmm_destroy(vmm);
		least.fill = t.fill < least.fill ? t.fill : least.fill;
		least.resize = t.resize < least.resize ? t.resize : least.resize;
	}
	umpa_put("guest_fill", 0, (double)least.fill / NMOVED);
	umpa_put("guest_resize", 0, (double)least.resize / NMOVED);
	return 0;
}

/* Another thread, which has a CPU of its own, the second one: the first is this thread's. */
struct other {
	struct umpa_vmm *vmm;
	struct far_ticks *t;
	int error;
};

static void *free_in_thread(void *arg)
{
	struct other *o = arg;

	o->error = umpa_vmm_run(o->vmm, free_for_other, o->t, NULL, NULL);
	return NULL;
}

static int free_elsewhere(struct umpa_vmm *vmm, struct far_ticks *t)
{
	struct other o = {vmm, t, 0};
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_in_thread, &o))
		return -1;
	pthread_join(thread, NULL);
	return o.error;
}

static int put_far(struct umpa_vmm_options o)
{
	static struct far_ticks t;
	uint64_t least = UINT64_MAX;
	struct umpa_vmm *vmm;
	int error;

	o.ncpus = 2;
	o.holding_nbytes = (size_t)1 << 30;
	if (umpa_vmm_create(&vmm, &o))
		return -1;
	for (int round = 0; round <= NROUNDS; round++) {
		long nrefused = 0;

		error = umpa_vmm_run(vmm, alloc_for_other, &t, &nrefused, NULL);
		/* The first time they are new, and none has been freed. */
		if (round && t.alloc + t.free < least)
			least = t.alloc + t.free;
		if (error || nrefused || free_elsewhere(vmm, &t))
			return -1;
	}
	umpa_vmm_destroy(vmm);
	umpa_put("guest_far", 0, (double)least / NTIMES);
	return 0;
}

/* --- by the kernel ------------------------------------------------------------------------ */

/* Each does one operation to one page of a range, or one superpage of two. */
struct kernel_work {
	char *pages, *superpages[2], *empty;
	int file;
};

static int kernel_call(const struct kernel_work *k, size_t i)
{
	(void)k, (void)i;
	return syscall(SYS_getppid) < 0;
}

static int kernel_touch(const struct kernel_work *k, size_t i)
{
	k->pages[i << PAGE_SHIFT] = 1;
	return 0;
}

static int kernel_give(const struct kernel_work *k, size_t i)
{
	return madvise(k->pages + (i << PAGE_SHIFT), PAGE_NBYTES, MADV_DONTNEED);
}

static int kernel_protect(const struct kernel_work *k, size_t i)
{
	return mprotect(k->pages + (i << PAGE_SHIFT), PAGE_NBYTES,
		i & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
}

static int kernel_map(const struct kernel_work *k, size_t i)
{
	void *p = mmap(
		NULL, (size_t)1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)k, (void)i;
	return p == MAP_FAILED || munmap(p, (size_t)1 << 20);
}

/* A frame of a file, as one of shared memory, is led to by mapping it. */
static int kernel_remap(const struct kernel_work *k, size_t i)
{
	volatile char *at = k->pages + (i << PAGE_SHIFT);

	if (mmap((void *)at, PAGE_NBYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, k->file,
		    (off_t)(7 * i % NTIMES << PAGE_SHIFT)) == MAP_FAILED)
		return -1;
	(void)*at;
	return 0;
}

static int kernel_move(const struct kernel_work *k, size_t i)
{
	return mremap(k->pages + (i << PAGE_SHIFT), PAGE_NBYTES, PAGE_NBYTES,
		       MREMAP_MAYMOVE | MREMAP_FIXED, k->empty + (i << PAGE_SHIFT)) == MAP_FAILED;
}

static int kernel_move_superpage(const struct kernel_work *k, size_t i)
{
	return mremap(k->superpages[i & 1], SLOT_NBYTES, SLOT_NBYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		       k->superpages[~i & 1]) == MAP_FAILED;
}

static int put_kernel_one(const char *metric, int (*fn)(const struct kernel_work *, size_t),
	const struct kernel_work *k)
{
	uint64_t start = ticks();

	for (size_t i = 0; i < NTIMES; i++)
		if (fn(k, i))
			return umpa_refuse(-1, "bench: vmm: %s is refused", metric);
	umpa_put(metric, 0, (double)(ticks() - start) / NTIMES);
	return 0;
}

static char *map_aligned(size_t nbytes)
{
	char *p = mmap(NULL, nbytes + SLOT_NBYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL
			       : (char *)(((uintptr_t)p + SLOT_NBYTES - 1) & ~(SLOT_NBYTES - 1));
}

static int prepare(struct kernel_work *k)
{
	char *p = map_aligned(4 * SLOT_NBYTES);

	k->file = memfd_create("frames", MFD_CLOEXEC);
	if (!p || k->file < 0 || ftruncate(k->file, NPAGES * PAGE_NBYTES)) {
		umpa_say("bench: vmm: out of memory");
		return -1;
	}
	madvise(p, 4 * SLOT_NBYTES, MADV_NOHUGEPAGE);
	k->pages = p;
	k->empty = p + SLOT_NBYTES;
	k->superpages[0] = p + 2 * SLOT_NBYTES;
	k->superpages[1] = p + 3 * SLOT_NBYTES;
	memset(k->superpages[0], 1, SLOT_NBYTES);
	munmap(k->superpages[1], SLOT_NBYTES);
	return 0;
}

static int put_kernel(void)
{
	struct kernel_work k = {.file = -1};

	if (prepare(&k) || put_kernel_one("kernel_call", kernel_call, &k) ||
		put_kernel_one("kernel_touch", kernel_touch, &k) ||
		put_kernel_one("kernel_give", kernel_give, &k) ||
		put_kernel_one("kernel_map", kernel_map, &k))
		return -1;
	if (put_kernel_one("kernel_protect", kernel_protect, &k) ||
		put_kernel_one("kernel_move_superpage", kernel_move_superpage, &k) ||
		put_kernel_one("kernel_remap", kernel_remap, &k) ||
		put_kernel_one("kernel_move", kernel_move, &k))
		return -1;
	return 0;
}

/* --- both --------------------------------------------------------------------------------- */

int umpa_work_vmm(const struct umpa_work *w)
{
	struct umpa_vmm_options options = {
		.flags = UMPA_VMM_ALLOW_SLOW, .holding_nbytes = HOLDING_NBYTES};
	struct umpa_vmm_caps caps;
	struct umpa_vmm *vmm;
	int error;

	(void)w;
	umpa_vmm_probe(&caps);
	error = umpa_vmm_create(&vmm, &options);
	if (error)
		return umpa_refuse(
			-1, "bench: vmm: no machine: %s", *caps.why ? caps.why : strerror(-error));
	block = umpa_alloc(BLOCK_NSLOTS * SLOT_NBYTES, UMPA_BACKED | UMPA_ALIGN(21));
	if (!block)
		return umpa_refuse(-1, "bench: vmm: out of memory");
	umpa_touch(block, BLOCK_NSLOTS * SLOT_NBYTES);
	umpa_put("class", 0, caps.level);
	umpa_put("tick_ns", 0, tick_ns());
	error = put_guest(vmm);
	umpa_vmm_destroy(vmm);
	if (error || put_moved(&options) || put_far(options))
		return umpa_refuse(-1, "bench: vmm: a function has failed");
	return put_kernel();
}

#else

int umpa_work_vmm(const struct umpa_work *w)
{
	(void)w;
	return umpa_refuse(-1, "bench: vmm: for x86-64 only");
}
#endif
