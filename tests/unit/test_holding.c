/* Blocks for guest mode, on the fake mover: which frame is behind which, that kept blocks come
 * back, and that nothing is lost where frames do not move. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>

#include "core/core.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/model.h"
#include "support/numbers.h"
#include "vmm/holding.h"

#define MIB  ((size_t)1 << 20)
#define PAGE ((size_t)4096)

static struct umpa_holding holding;
static struct umpa_guest guest = {.holding = &holding};
static struct umpa_mover mover;
static void *block_of_all, *books;

static void begin(uint32_t nslots)
{
	umpa_core_stop();
	fake_reset();
	umpa_core_start();
	block_of_all = umpa_alloc((size_t)nslots * 2 * MIB, UMPA_NOBACK | UMPA_ALIGN(21));
	books = calloc(1, umpa_holding_nbytes(nslots) + 128);
	fake_mover_init(&mover, (void *)umpa_core.window.base, umpa_core.window.nbytes);
	umpa_holding_init(&holding, block_of_all, nslots, &mover,
		(void *)(((uintptr_t)books + 127) & ~(uintptr_t)127));
}

static void end(void)
{
	CHECK(umpa_holding_valid(&holding) && fake_consistent());
	umpa_free(block_of_all);
	free(books);
}

static void *alloc(size_t nbytes, unsigned flags)
{
	return umpa_g_alloc(&guest, nbytes, flags);
}

static void *alloc_touched(size_t nbytes)
{
	void *block = alloc(nbytes, 0);

	if (block)
		fake_touch(block, nbytes);
	return block;
}

static void give(void *block)
{
	umpa_g_free(&guest, block);
}

static void *resize(void *block, size_t nbytes, unsigned flags)
{
	return umpa_g_realloc(&guest, block, nbytes, flags);
}

static size_t usable_size(const void *block)
{
	return umpa_g_usable_size(&guest, block);
}

static int unback(void *addr, size_t nbytes)
{
	return umpa_g_unback(&guest, addr, nbytes);
}

static int move(void *dst, void *src, size_t nbytes)
{
	return umpa_g_move(&guest, dst, src, nbytes);
}

static int swap(void *a, void *b, size_t nbytes)
{
	return umpa_g_swap(&guest, a, b, nbytes);
}

static const struct model_api api = {
	alloc, give, resize, usable_size, unback, move, swap, NULL, NULL};

/* --- which frames ------------------------------------------------------------------------- */

/* Whatever the size, a block that was freed is the next one of its size, frames and all, and
 * nothing is moved for it. */
TEST(holding_keeps_blocks)
{
	static const size_t npages[] = {1, 7, 300, 511, 512, 700, 1024, 5000};

	PLAN(2 * 8 + 2);
	begin(64);
	for (size_t i = 0; i < 8; i++) {
		char *block = alloc_touched(npages[i] * PAGE), *other;
		uint64_t frame = fake_frame(block + (npages[i] - 1) * PAGE);

		give(block);
		other = alloc(npages[i] * PAGE, 0);
		CHECK(other == block);
		CHECK_EQ(fake_frame(block + (npages[i] - 1) * PAGE), frame);
	}
	CHECK_EQ(holding.nmove_calls, 0);
	end();
}

/* Blocks of 8 MiB are freed, and one of 32 MiB, elsewhere or not, has their frames: no more are in
 * use than were. */
TEST(holding_carries_frames)
{
	char *small[4], *fence[4], *large;
	uint64_t frame[4];
	size_t nframes;
	unsigned nfound = 0;

	PLAN(6);
	begin(64);
	for (int i = 0; i < 4; i++) {
		small[i] = alloc_touched(8 * MIB);
		fence[i] = alloc_touched(2 * MIB);
		frame[i] = fake_frame(small[i] + 5 * MIB);
	}
	nframes = fake_nframes();
	for (int i = 0; i < 4; i++)
		give(small[i]);
	large = alloc_touched(32 * MIB);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK(holding.nslots_moved >= 12 && holding.nslots_moved <= 16);
	for (size_t page = 0; page < 32 * 256; page++)
		for (int i = 0; i < 4; i++)
			nfound += fake_frame(large + page * PAGE) == frame[i];
	CHECK_EQ(nfound, 4);
	for (int i = 0; i < 4; i++)
		give(fence[i]);
	give(large);
	large = alloc_touched(40 * MIB);
	CHECK(large);
	CHECK_EQ(fake_nframes(), nframes);
	end();
}

/* A block that grows and can't stay takes its frames along. */
TEST(holding_moves_blocks)
{
	char *block, *fence, *to;
	uint64_t first, last;

	PLAN(8);
	begin(64);
	block = alloc_touched(16 * MIB);
	fence = alloc_touched(2 * MIB);
	first = fake_frame(block);
	last = fake_frame(block + 16 * MIB - PAGE);
	CHECK(!resize(block, 24 * MIB, UMPA_NOMOVE) && errno == ENOMEM);
	to = resize(block, 24 * MIB, 0);
	CHECK(to && to != block && usable_size(to) == 24 * MIB);
	CHECK_EQ(fake_frame(to), first);
	CHECK_EQ(fake_frame(to + 16 * MIB - PAGE), last);
	CHECK_EQ(holding.nslots_moved, 8);
	CHECK(resize(to, 2 * MIB, 0) == to);
	/* What it shrank by is there for others. */
	give(fence);
	CHECK(alloc(20 * MIB, 0));
	end();
}

/* Runs of one slot side by side; the end of a span is shared with them. */
TEST(holding_packs_blocks)
{
	char *span, *run;

	PLAN(5);
	begin(8);
	span = alloc(2 * MIB + 100 * PAGE, 0);
	run = alloc(412 * PAGE, 0);
	CHECK(run == span + 2 * MIB + 100 * PAGE);
	CHECK_EQ(holding.extents.nslots, 2);
	give(span);
	/* The same place, its tail as well. */
	CHECK(alloc(2 * MIB + 100 * PAGE, 0) == span);
	give(run);
	CHECK(resize(span, 2 * MIB + 400 * PAGE, UMPA_NOMOVE) == span);
	end();
}

/* --- what is refused ---------------------------------------------------------------------- */

TEST(holding_is_finite)
{
	char *block[8];
	unsigned n = 0;

	PLAN(10);
	begin(8);
	CHECK(!alloc(17 * MIB, 0) && errno == ENOMEM);
	CHECK(!alloc(SIZE_MAX, 0) && errno == ENOMEM);
	CHECK(!alloc(1, UMPA_BACKED | UMPA_NOBACK) && errno == EINVAL);
	CHECK(!alloc(1, 1u << 31) && errno == EINVAL);
	CHECK(!alloc(1, UMPA_ALIGN(40)) && errno == ENOMEM);
	while (n < 8 && (block[n] = alloc(2 * MIB, 0)))
		n++;
	CHECK_EQ(n, 8);
	CHECK(!alloc(PAGE, 0) && !resize(block[0], 3 * MIB, 0) && usable_size(block[0]) == 2 * MIB);
	for (n = 0; n < 8; n++)
		give(block[n]);
	/* All that was kept makes room; and so do a slot's runs, freed. */
	block[0] = alloc(16 * MIB, UMPA_ZERO);
	give(block[0]);
	give(alloc(PAGE, 0));
	CHECK(alloc(16 * MIB, 0) == block[0]);
	CHECK_EQ(umpa_holding_free(&holding, block[0] + PAGE), -EINVAL);
	end();
}

TEST(holding_tells_misuse)
{
	char *block, *outside;

	PLAN(9);
	begin(8);
	block = alloc(3 * PAGE, 0);
	CHECK_EQ(umpa_holding_free(&holding, block + PAGE), -EINVAL);
	CHECK_EQ(umpa_holding_free(&holding, block + 1), -EINVAL);
	CHECK_EQ(umpa_holding_free(&holding, block), 0);
	CHECK_EQ(umpa_holding_free(&holding, block), -EINVAL);
	CHECK_EQ(umpa_holding_npages(&holding, block), 0);
	CHECK(swap(block, block + PAGE, 2 * PAGE) == -1 && errno == EINVAL);
	CHECK(move(block, holding.begin + 16 * MIB - PAGE, 2 * PAGE) == -1);
	/* What is not the holding's is umpa's. */
	outside = umpa_alloc(PAGE, 0);
	CHECK_EQ(usable_size(outside), PAGE);
	give(outside);
	end();
}

/* --- what is the same, whatever happens ---------------------------------------------------- */

static void check_model(struct model_options o)
{
	struct model_result r;

	o.nops = check_times(o.nops);
	o.seed = check_seed(o.seed);
	o.api = &api;
	o.touch = fake_touch;
	r = model_run(&o);
	CHECK_EQ(r.nwrong_tags, 0);
	CHECK_EQ(r.nwrong_zeros, 0);
	CHECK(o.refusals_allowed || !r.nrefused);
}

static void valid(void *arg, uint64_t op)
{
	unsigned *nwrong = arg;

	if (op % 64 == 0)
		*nwrong += !umpa_holding_valid(&holding) || !fake_consistent();
}

static void check_model_in(uint32_t nslots, struct model_options o)
{
	unsigned nwrong = 0;

	begin(nslots);
	o.between = valid;
	o.arg = &nwrong;
	check_model(o);
	CHECK_EQ(nwrong, 0);
	end();
}

TEST(holding_model)
{
	static const struct model_options runs[] = {
		{.nops = 6000, .nblocks = 200, .log2_min = 10, .log2_max = 21},
		{.nops = 2000, .nblocks = 24, .log2_min = 12, .log2_max = 24},
		{.nops = 1500, .nblocks = 12, .log2_min = 20, .log2_max = 25},
		{.nops = 4000, .nblocks = 60, .log2_min = 20, .log2_max = 22}};

	PLAN(5 * 12);
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct model_options o = runs[seed % 4];

		o.seed = seed;
		check_model_in(512, o);
	}
}

/* In a place that is too small, most of what is asked for is refused, and nothing is lost. */
TEST(holding_model_in_little)
{
	PLAN(5 * 6);
	for (uint64_t seed = 31; seed <= 36; seed++)
		check_model_in((uint32_t)(seed % 2 ? 12 : 40), (struct model_options){.seed = seed,
								       .nops = 3000,
								       .nblocks = 30,
								       .log2_min = 12,
								       .log2_max = 24,
								       .refusals_allowed = 1});
}

/* --- pages -------------------------------------------------------------------------------- */

enum {
	NTAKEN = 70
};

static void sign_pages(char *addr, size_t npages, int sign)
{
	for (size_t i = 0; i < npages; i++)
		*(uint64_t *)(addr + i * PAGE) = (uint64_t)sign + i;
}

/* Pages that are not as they were signed. */
static unsigned nunlike(const char *addr, size_t npages, int sign)
{
	unsigned n = 0;

	for (size_t i = 0; i < npages; i++)
		n += *(const uint64_t *)(addr + i * PAGE) != (uint64_t)sign + i;
	return n;
}

/* Pages change places by their frames, wherever in superpages they lie, a superpage's end between
 * them or not. */
TEST(holding_exchanges_pages)
{
	char *run, *span;
	uint64_t of_run[NTAKEN], of_span[NTAKEN];
	unsigned nfound = 0;
	size_t nframes;

	PLAN(8);
	begin(64);
	run = alloc_touched(100 * PAGE);
	span = alloc_touched(1500 * PAGE);
	span += 480 * PAGE;
	sign_pages(run, 100, 1);
	sign_pages(span, NTAKEN, 101);
	for (size_t i = 0; i < NTAKEN; i++) {
		of_run[i] = fake_frame(run + (i + 3) * PAGE);
		of_span[i] = fake_frame(span + i * PAGE);
	}
	nframes = fake_nframes();
	CHECK(!swap(run + 3 * PAGE, span, NTAKEN * PAGE));
	for (size_t i = 0; i < NTAKEN; i++)
		nfound += fake_frame(run + (i + 3) * PAGE) == of_span[i] &&
			  fake_frame(span + i * PAGE) == of_run[i];
	CHECK_EQ(nfound, NTAKEN);
	CHECK_EQ(nunlike(run + 3 * PAGE, NTAKEN, 101) + nunlike(span, NTAKEN, 4) +
			 nunlike(run, 3, 1) + nunlike(run + 73 * PAGE, 27, 74),
		0);
	CHECK_EQ(fake_nframes(), nframes);
	/* A move brings the frame there, and leaves zeros. */
	CHECK(!move(run + 99 * PAGE, span + 33 * PAGE, PAGE));
	CHECK_EQ(fake_frame(run + 99 * PAGE), of_run[33]);
	CHECK_EQ(nunlike(run + 99 * PAGE, 1, 37) + nunlike(span + 33 * PAGE, 1, 0), 0);
	end();
}

static size_t stops_after;

static int exchange_some(struct umpa_mover *m, void *a, void *b, size_t nbytes, size_t *done)
{
	struct umpa_mover good;

	*done = 0;
	fake_mover_init(&good, m->window, m->window_nbytes);
	nbytes = stops_after < nbytes ? stops_after : nbytes;
	return nbytes ? good.exchange(&good, a, b, nbytes, done) : -EBUSY;
}

/* An exchange of pages that is refused, or stops anywhere. */
TEST(holding_pages_stop_anywhere)
{
	static const size_t stops[] = {0, 1, 19, 39};

	PLAN(4 * 3);
	for (size_t i = 0; i < 4; i++) {
		char *a, *b;

		begin(16);
		a = alloc_touched(64 * PAGE);
		b = alloc_touched(600 * PAGE);
		sign_pages(a, 64, 1);
		sign_pages(b, 64, 65);
		mover.exchange = exchange_some;
		stops_after = stops[i] * PAGE;
		CHECK(!swap(a + PAGE, b + 2 * PAGE, 40 * PAGE));
		CHECK_EQ(nunlike(a + PAGE, 40, 67) + nunlike(b + 2 * PAGE, 40, 2) +
				 nunlike(a, 1, 1) + nunlike(a + 41 * PAGE, 23, 42) +
				 nunlike(b, 2, 65) + nunlike(b + 42 * PAGE, 22, 107),
			0);
		end();
	}
}

/* --- movers that refuse ------------------------------------------------------------------- */

static uint64_t nth;

/* 1: not at all; else it may be some superpages, or pages, and no more. */
static int is_bad(struct umpa_mover *good, const struct umpa_mover *m, size_t nbytes, size_t *done)
{
	fake_mover_init(good, m->window, m->window_nbytes);
	*done = 0;
	if (++nth % 5 == 1)
		fake_mover_partial(nth % 2 ? 300 * PAGE : nbytes / 2 & ~(PAGE - 1));
	return nth % 5 == 0;
}

static int move_badly(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	struct umpa_mover good;

	return is_bad(&good, m, nbytes, moved) ? -EBUSY
					       : good.move(&good, dst, src, nbytes, flags, moved);
}

static int exchange_badly(struct umpa_mover *m, void *a, void *b, size_t nbytes, size_t *done)
{
	struct umpa_mover good;

	return is_bad(&good, m, nbytes, done) ? -EBUSY : good.exchange(&good, a, b, nbytes, done);
}

/* A mover that stops anywhere: the same contents. */
TEST(holding_model_moved_badly)
{
	PLAN(5 * 8);
	for (uint64_t seed = 51; seed <= 58; seed++) {
		unsigned nwrong = 0;

		begin(256);
		mover.move = move_badly;
		mover.exchange = exchange_badly;
		check_model((struct model_options){.seed = seed,
			.nops = 2000,
			.nblocks = 20,
			.log2_min = seed % 2 ? 12 : 20,
			.log2_max = 24,
			.between = valid,
			.arg = &nwrong});
		CHECK_EQ(nwrong, 0);
		end();
	}
}

/* Without a holding they are the functions they are named after. */
TEST(holding_is_not_needed)
{
	void *block;

	PLAN(5);
	begin(8);
	guest.holding = NULL;
	check_model((struct model_options){
		.seed = 71, .nops = 1000, .nblocks = 20, .log2_min = 12, .log2_max = 23});
	block = alloc(PAGE, 0);
	CHECK(umpa_usable_size(block) == PAGE);
	give(block);
	guest.holding = &holding;
	end();
}
