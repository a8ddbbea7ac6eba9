/*
 * Demand paging by the program: 2048 pages in 256 frames. Which page goes is told by the bits that
 * the MMU sets itself when a page is touched or written: a clock with a second chance, in a handler
 * of some hundred instructions. The kernel's way, for comparison: SIGSEGV and mprotect(), where
 * nobody tells what was touched, so that the oldest page goes.
 */
#include <signal.h>
#include <sys/mman.h>

#include "inside.h"

enum {
	NPAGES = 2048,
	NFRAMES = 256,
	NWORDS = 512, /* of a page */
	NTOUCHES = 8192
};

static uint64_t *store;  /* what the pages hold that have no frame */
static uint64_t *region; /* the addresses */
static uint64_t *frames;

static size_t page_in[NFRAMES]; /* plus 1: which page a frame holds */
static size_t hand, nfaults, nsaved;

static void *page_of(uint64_t *base, size_t i)
{
	return base + i * NWORDS;
}

/* Three of four touches are of the first eighth. */
static size_t next_page(uint64_t *random)
{
	size_t n = inside_random(random) % 4 ? NPAGES / 8 : NPAGES;

	return inside_random(random) % n;
}

/* --- in guest mode ------------------------------------------------------------------------ */

/* The first frame whose page was not touched since the hand came by. */
static size_t choose(struct umpa_guest *g)
{
	for (;; hand = (hand + 1) % NFRAMES) {
		void *seen = page_of(region, page_in[hand] - 1);
		volatile uint64_t *entry;

		if (!page_in[hand])
			return hand;
		entry = umpa_g_pte(g, seen, 0);
		if (!(*entry & UMPA_G_ACCESSED))
			return hand;
		*entry &= ~UMPA_G_ACCESSED;
		umpa_g_flush(seen);
	}
}

static void drop(struct umpa_guest *g, size_t frame)
{
	size_t page = page_in[frame] - 1;
	void *seen = page_of(region, page);
	uint64_t entry = *umpa_g_pte(g, seen, 0);

	*umpa_g_pte(g, seen, 0) = 0;
	umpa_g_flush(seen);
	if (!(entry & UMPA_G_DIRTY))
		return;
	inside_copy_page(page_of(store, page), page_of(frames, frame));
	nsaved++;
}

static int bring(struct umpa_guest *g, void *addr, uint64_t code, void *arg)
{
	size_t page = (size_t)((uint64_t *)addr - region) / NWORDS, frame = choose(g);

	(void)code, (void)arg;
	if (page_in[frame])
		drop(g, frame);
	inside_copy_page(page_of(frames, frame), page_of(store, page));
	*umpa_g_pte(g, addr, 0) =
		umpa_g_entry(g, page_of(frames, frame)) & ~(UMPA_G_ACCESSED | UMPA_G_DIRTY);
	page_in[frame] = page + 1;
	hand = (hand + 1) % NFRAMES;
	nfaults++;
	return 0;
}

struct work {
	size_t ntouches;
	uint64_t ticks;
};

/* Every other touch is a write. */
static void touch_pages(size_t ntouches)
{
	uint64_t random = 1, sum = 0;

	for (size_t i = 0; i < ntouches; i++) {
		volatile uint64_t *word = (uint64_t *)page_of(region, next_page(&random)) + 7;

		if (i & 1)
			*word += i;
		else
			sum += *word;
	}
	store[0] = sum; /* a word that nobody touches */
}

static long page_inside(struct umpa_guest *g, void *arg)
{
	struct work *w = arg;

	for (size_t i = 0; i < NPAGES; i += 512)
		umpa_g_split(g, page_of(region, i));
	for (size_t i = 0; i < NPAGES; i++)
		*umpa_g_pte(g, page_of(region, i), 0) = 0;
	umpa_g_flush_all();
	umpa_g_on_fault(g, bring, NULL);
	w->ticks = inside_ticks();
	touch_pages(w->ntouches);
	w->ticks = inside_ticks() - w->ticks;
	for (size_t i = 0; i < NFRAMES; i++)
		if (page_in[i])
			drop(g, i);
	return 0;
}

/* --- by the kernel ------------------------------------------------------------------------ */

static void bring_by_calls(int number, siginfo_t *info, void *context)
{
	size_t page = ((uintptr_t)info->si_addr - (uintptr_t)region) / PAGE_NBYTES;
	void *at = page_of(region, page);

	(void)number, (void)context;
	if (page_in[hand]) {
		void *old = page_of(region, page_in[hand] - 1);

		inside_copy_page(page_of(store, page_in[hand] - 1), old);
		madvise(old, PAGE_NBYTES, MADV_DONTNEED);
		mprotect(old, PAGE_NBYTES, PROT_NONE);
	}
	mprotect(at, PAGE_NBYTES, PROT_READ | PROT_WRITE);
	inside_copy_page(at, page_of(store, page));
	page_in[hand] = page + 1;
	hand = (hand + 1) % NFRAMES;
	nfaults++;
}

static uint64_t page_by_calls(size_t ntouches)
{
	struct sigaction action = {.sa_sigaction = bring_by_calls, .sa_flags = SA_SIGINFO};
	uint64_t start;

	region = mmap(NULL, NPAGES * PAGE_NBYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	inside_need(region != MAP_FAILED, "mmap");
	sigaction(SIGSEGV, &action, NULL);
	start = inside_ticks();
	touch_pages(ntouches);
	start = inside_ticks() - start;
	for (size_t i = 0; i < NFRAMES; i++)
		if (page_in[i])
			inside_copy_page(
				page_of(store, page_in[i] - 1), page_of(region, page_in[i] - 1));
	return start;
}

/* What all pages add up to, as the writes alone say. */
static uint64_t expected(size_t ntouches)
{
	uint64_t sum = 0;

	for (size_t i = 1; i < ntouches; i += 2)
		sum += i;
	return sum;
}

static uint64_t stored(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < NPAGES; i++)
		sum += ((uint64_t *)page_of(store, i))[7];
	return sum;
}

static void begin_again(void)
{
	memset(store, 0, NPAGES * PAGE_NBYTES);
	memset(page_in, 0, sizeof(page_in));
	hand = nfaults = nsaved = 0;
}

int main(void)
{
	struct inside in = inside_begin(0, NTOUCHES);
	struct work work = {.ntouches = in.ntimes};
	uint64_t guest, kernel;
	void *block;

	store = umpa_alloc(NPAGES * PAGE_NBYTES, UMPA_BACKED);
	block = umpa_alloc(NPAGES * PAGE_NBYTES, UMPA_ALIGN(21) | UMPA_NOBACK);
	frames = umpa_alloc(NFRAMES * PAGE_NBYTES, UMPA_BACKED);
	inside_need(store && block && frames, "memory");
	region = block;
	begin_again();
	inside_run(&in, page_inside, &work);
	inside_need(stored() == expected(in.ntimes), "what was written is what is stored");
	inside_need(nfaults > NFRAMES && nsaved < nfaults, "pages came and went");
	guest = work.ticks / nfaults;
	begin_again();
	kernel = page_by_calls(in.ntimes) / nfaults;
	inside_need(stored() == expected(in.ntimes), "the same by the kernel");
	inside_say("paging: a page fault", guest, kernel, 1);
	umpa_vmm_destroy(in.vmm);
	umpa_free(frames);
	umpa_free(block);
	umpa_free(store);
	return 0;
}
