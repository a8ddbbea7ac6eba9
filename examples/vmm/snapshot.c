/*
 * A snapshot of a region by copying page-table entries, while the writer runs on: two words a
 * superpage, and a page is copied when it is written first. The kernel's way is fork(), whose child
 * has the snapshot. (After X. Zhou et al., "libdbos", SIGMOD 2025.)
 */
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inside.h"

enum {
	NSUPERPAGES = 16,
	NPAGES = NSUPERPAGES * 512,
	NWORDS = 512, /* of a page */
	NWRITES = 1024
};

/* One block: the region, as long again at which the snapshot is seen, and frames for copies. */
static uint64_t *region, *snapshot, *spare;
static size_t ncopied;

struct work {
	size_t nwrites;
	uint64_t take, first;
	long nwrong;
};

static void *page_of(uint64_t *base, size_t i)
{
	return base + i * NWORDS;
}

/* Of the n-th write: which page. Each is another one. */
static size_t written(size_t i)
{
	return i * 5 % NPAGES;
}

static uint64_t first_word(size_t page)
{
	return page * 3 + 1;
}

/* --- in guest mode ------------------------------------------------------------------------ */

/* The writer gets a copy of its own; the snapshot keeps the page. */
static int copy_on_write(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	void *copy = page_of(spare, ncopied++);

	(void)code, (void)arg;
	inside_copy_page(copy, addr);
	umpa_g_split(g, addr);
	*umpa_g_pte(g, addr, 0) = umpa_g_entry(g, copy);
	umpa_g_flush(addr);
	return 0;
}

static void take(struct umpa_guest *g)
{
	for (size_t i = 0; i < NPAGES; i += 512) {
		volatile uint64_t *entry = umpa_g_pte(g, page_of(region, i), 1);

		*entry &= ~UMPA_G_WRITABLE;
		*umpa_g_pte(g, page_of(snapshot, i), 1) = *entry;
	}
	umpa_g_flush_all();
}

static long take_and_write(struct umpa_guest *g, void *arg)
{
	struct work *w = arg;
	uint64_t start;

	umpa_g_on_fault(g, copy_on_write, NULL);
	/* Once before, so that its code, the page tables, also those that splitting takes, and the
	 * frames for copies are at hand. */
	take(g);
	umpa_g_split(g, spare);
	for (size_t i = 0; i < w->nwrites; i++)
		*(volatile uint64_t *)page_of(spare, i) = 0;
	start = inside_ticks();
	take(g);
	w->take = inside_ticks() - start;
	start = inside_ticks();
	for (size_t i = 0; i < w->nwrites; i++)
		region[written(i) * NWORDS] = i;
	w->first = inside_ticks() - start;
	for (size_t i = 0; i < NPAGES; i += 3)
		w->nwrong += snapshot[i * NWORDS] != first_word(i);
	/* It is not wanted any more. */
	umpa_g_unmap(g, snapshot, NPAGES);
	umpa_g_unmap(g, spare, ncopied); /* where copies lie, that the region leads to now */
	for (size_t i = 0; i < NPAGES; i += 512)
		if (!umpa_g_is_split(*umpa_g_pte(g, page_of(region, i), 1)))
			*umpa_g_pte(g, page_of(region, i), 1) |= UMPA_G_WRITABLE;
	umpa_g_flush_all();
	return 0;
}

/* --- by the kernel ------------------------------------------------------------------------ */

static int see_snapshot(int until)
{
	char byte;
	long nwrong = read(until, &byte, 1) != 1;

	for (size_t i = 0; i < NPAGES; i += 3)
		nwrong += region[i * NWORDS] != first_word(i);
	return nwrong != 0;
}

static void fork_and_write(struct work *w)
{
	int written_all[2], status = 1;
	pid_t child;

	inside_need(!pipe(written_all), "pipe");
	child = fork(); /* likewise */
	if (!child)
		_exit(0);
	waitpid(child, &status, 0);
	w->take = inside_ticks();
	child = fork();
	if (!child)
		_exit(see_snapshot(written_all[0]));
	w->take = inside_ticks() - w->take;
	w->first = inside_ticks();
	for (size_t i = 0; i < w->nwrites; i++)
		region[written(i) * NWORDS] = i;
	w->first = inside_ticks() - w->first;
	inside_need(write(written_all[1], "", 1) == 1, "write");
	waitpid(child, &status, 0);
	w->nwrong += status != 0;
}

static void fill(void)
{
	for (size_t i = 0; i < NPAGES; i++)
		region[i * NWORDS] = first_word(i);
}

/* What the host sees of the region, after all of it. */
static long nwrong_after(size_t nwrites)
{
	long n = 0;

	for (size_t i = 0; i < nwrites; i++)
		n += region[written(i) * NWORDS] != i;
	return n;
}

int main(void)
{
	struct inside in = inside_begin(0, NWRITES);
	struct work inside = {.nwrites = in.ntimes}, outside = inside;
	size_t nbytes = NPAGES * PAGE_NBYTES,
	       all = 2 * nbytes + (NWRITES * PAGE_NBYTES + SUPERPAGE_NBYTES) / SUPERPAGE_NBYTES *
					  SUPERPAGE_NBYTES;

	region = umpa_alloc(all, UMPA_ALIGN(21) | UMPA_BACKED);
	inside_need(region != NULL, "memory");
	snapshot = page_of(region, NPAGES);
	spare = page_of(region, 2 * NPAGES);
	fill();
	inside_run(&in, take_and_write, &inside);
	inside_need(!inside.nwrong && ncopied == in.ntimes, "the snapshot is as the region was");
	inside_need(!umpa_vmm_sync(in.vmm, region, all), "sync");
	inside_need(!nwrong_after(in.ntimes), "the region is as it was written");
	umpa_vmm_destroy(in.vmm);
	umpa_free(region);
	region = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	inside_need(region != MAP_FAILED, "mmap");
	fill();
	fork_and_write(&outside);
	inside_need(!outside.nwrong && !nwrong_after(in.ntimes), "the same by the kernel");
	inside_say("snapshot: a superpage", inside.take, outside.take, NSUPERPAGES);
	inside_say("snapshot: first write", inside.first, outside.first, in.ntimes);
	return 0;
}
