/* Holdings of several CPUs on the fake mover, with CPUs that remember: whatever one has looked up
 * stays until it forgets, and others may look up anything at any time, as processors do. None may
 * ever reach by a block's address what is not there. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>

#include "core/core.h"
#include "support/check.h"
#include "support/fake_os.h"
#include "support/numbers.h"
#include "vmm/holding.h"
#include "vmm/peers.h"

#define MIB  ((size_t)1 << 20)
#define PAGE ((size_t)4096)

enum {
	NCPUS = 3,
	NSLOTS = 24, /* each */
	NBLOCKS = 20
};

static struct umpa_epoch_cpu epoch_cpu[NCPUS];
static struct umpa_peer peer[NCPUS];
static struct umpa_peers peers;
static struct umpa_guest guest[NCPUS];
static struct umpa_holding holding[NCPUS];
static uint64_t forgot[NCPUS];
static struct umpa_mover real;
static char *all;
static void *books[NCPUS];

static unsigned current; /* whose turn it is */
static uint64_t ninterrupts;

/* What each CPU remembers of each page: the frame behind it, 0: nothing. */
static uint64_t remembered[NCPUS][NCPUS * NSLOTS * SLOT_NPAGES];

static size_t page_of(const void *addr)
{
	return (size_t)((const char *)addr - all) / PAGE;
}

static void forget_all(unsigned cpu)
{
	memset(remembered[cpu], 0, sizeof(remembered[cpu]));
}

static void forget(void)
{
	forget_all(current);
}

static void interrupt(void)
{
	uint64_t now = umpa_epoch_now(&peers.epochs);

	for (unsigned i = 0; i < NCPUS; i++)
		if (i != current && umpa_epoch_reached(&peers.epochs, i) < now) {
			forget_all(i);
			umpa_epoch_reach(&peers.epochs, i, now);
		}
	forget();
	ninterrupts++;
}

/* As the mover of entries: it flushes on its own CPU. */
static int flush(void *a, void *b, size_t nbytes, int error)
{
	memset(&remembered[current][page_of(a)], 0, nbytes / PAGE * sizeof(uint64_t));
	memset(&remembered[current][page_of(b)], 0, nbytes / PAGE * sizeof(uint64_t));
	return error;
}

static int move(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	(void)m;
	return flush(dst, src, nbytes, real.move(&real, dst, src, nbytes, flags, moved));
}

static int exchange_frames(struct umpa_mover *m, void *a, void *b, size_t nbytes, size_t *done)
{
	(void)m;
	return flush(a, b, nbytes, real.exchange(&real, a, b, nbytes, done));
}

static struct umpa_mover mover = {.name = "remembering", .move = move, .exchange = exchange_frames};

/* Into guest mode and out, as src/vmm/run.c has it. */
static void enter(unsigned cpu)
{
	if (umpa_epoch_enter(&peers.epochs, cpu) != forgot[cpu])
		forget_all(cpu);
}

static void leave(unsigned cpu)
{
	forgot[cpu] = umpa_epoch_reached(&peers.epochs, cpu);
	umpa_epoch_leave(&peers.epochs, cpu);
}

static int is_in(unsigned cpu)
{
	return umpa_epoch_reached(&peers.epochs, cpu) != EPOCH_OUT;
}

static void begin(void)
{
	umpa_core_stop();
	fake_reset();
	umpa_core_start();
	all = umpa_alloc((size_t)NCPUS * NSLOTS * 2 * MIB, UMPA_NOBACK | UMPA_ALIGN(21));
	fake_mover_init(&real, (void *)umpa_core.window.base, umpa_core.window.nbytes);
	memset(peer, 0, sizeof(peer));
	peers = (struct umpa_peers){.epochs = {1, NCPUS, epoch_cpu},
		.peer = peer,
		.held = (uintptr_t)all,
		.held_nbytes = (size_t)NSLOTS * 2 * MIB,
		.forget = forget,
		.interrupt = interrupt};
	for (unsigned i = 0; i < NCPUS; i++) {
		books[i] = calloc(1, umpa_holding_nbytes(NSLOTS) + 128);
		umpa_holding_init(&holding[i], all + (size_t)i * NSLOTS * 2 * MIB, NSLOTS, &mover,
			(void *)(((uintptr_t)books[i] + 127) & ~(uintptr_t)127));
		umpa_holding_join(&holding[i], &peers.epochs, i);
		peer[i].holding = &holding[i];
		guest[i] =
			(struct umpa_guest){.holding = &holding[i], .peers = &peers, .number = i};
		forget_all(i);
		forgot[i] = 1;
		umpa_epoch_leave(&peers.epochs, i);
	}
	current = 0;
	ninterrupts = 0;
}

static void end(void)
{
	unsigned nvalid = 0;

	for (unsigned i = 0; i < NCPUS; i++)
		nvalid += umpa_holding_valid(&holding[i]);
	CHECK_EQ(nvalid, NCPUS);
	CHECK(fake_consistent());
	umpa_free(all);
	for (unsigned i = 0; i < NCPUS; i++)
		free(books[i]);
}

static void *alloc_on(unsigned cpu, size_t nbytes, unsigned flags)
{
	current = cpu;
	return umpa_g_alloc(&guest[cpu], nbytes, flags);
}

static void free_on(unsigned cpu, void *block)
{
	current = cpu;
	umpa_g_free(&guest[cpu], block);
}

/* An access by a CPU to a page. 1: it gets what is there. */
static int look(unsigned cpu, char *addr)
{
	uint64_t *r = &remembered[cpu][page_of(addr)];

	fake_touch(addr, 1);
	if (!*r)
		*r = fake_frame(addr);
	return *r == fake_frame(addr);
}

/* --- limbo -------------------------------------------------------------------------------- */

/* Two superpages whose frames have gone elsewhere: their place. */
static char *empty_a_place(void)
{
	char *place = alloc_on(0, 4 * MIB, 0), *fence = alloc_on(0, 2 * MIB, 0), *large;

	fake_touch(place, 4 * MIB);
	fake_touch(fence, 2 * MIB);
	look(1, place);
	free_on(0, place);
	large = alloc_on(0, 8 * MIB, 0);
	if (large < place + 4 * MIB || !fake_frame(large) || fake_frame(place))
		return NULL;
	return place;
}

TEST(holding_place_waits_until_all_have_forgotten)
{
	char *place, *block[NSLOTS];
	unsigned n = 0, nthere = 0;

	PLAN(12);
	begin();
	enter(0);
	enter(1);
	place = empty_a_place();
	REQUIRE(place);
	CHECK(umpa_holding_has_limbo(&holding[0]));
	/* CPU 1 may remember: all other places come first. */
	while (n < 8 && (block[n] = alloc_on(0, 4 * MIB, UMPA_NOBACK)))
		nthere += block[n++] == place;
	CHECK_EQ(n, 8);
	CHECK_EQ(nthere, 0);
	CHECK_EQ(ninterrupts, 0);
	/* It has come by where it forgets; the next place is this one. */
	forget_all(1);
	umpa_epoch_reach(&peers.epochs, 1, umpa_epoch_now(&peers.epochs));
	CHECK(alloc_on(0, 4 * MIB, UMPA_NOBACK) == place);
	CHECK(!umpa_holding_has_limbo(&holding[0]));
	CHECK(look(1, place));
	CHECK_EQ(ninterrupts, 0);
	CHECK_EQ(holding[0].nslots_moved, 2);
	leave(0);
	leave(1);
	end();
}

/* When there is no other place, others are made to forget. */
TEST(holding_place_is_had_by_interrupts)
{
	char *place;
	int nfound = 0;

	PLAN(9);
	begin();
	enter(0);
	enter(1);
	place = empty_a_place();
	REQUIRE(place);
	for (char *block; (block = alloc_on(0, 2 * MIB, UMPA_NOBACK));)
		nfound += block == place || block == place + 2 * MIB;
	CHECK_EQ(nfound, 2);
	CHECK_EQ(ninterrupts, 1);
	CHECK_EQ(guest[0].ninterruptions, 1);
	CHECK_EQ(errno, ENOMEM);
	CHECK(look(1, place) && look(2, place));
	CHECK_EQ(ninterrupts, 1);
	end();
}

/* All places at once, whenever they were emptied. */
TEST(holding_places_are_had_by_one_interrupt)
{
	char *first, *second;

	PLAN(7);
	begin();
	enter(0);
	enter(1);
	first = empty_a_place();
	REQUIRE(first);
	REQUIRE(alloc_on(0, 2 * MIB, UMPA_NOBACK)); /* from now on it waits for the first */
	second = empty_a_place();
	REQUIRE(second && second != first);
	while (alloc_on(0, 4 * MIB, UMPA_NOBACK))
		continue;
	CHECK(!umpa_holding_has_limbo(&holding[0]));
	CHECK_EQ(ninterrupts, 1);
	end();
}

/* What can't move stays as long as it is. */
TEST(holding_blocks_of_others_shrink_where_all_is_full)
{
	char *block;

	PLAN(4);
	begin();
	block = alloc_on(0, 6 * MIB, 0);
	while (alloc_on(1, 2 * MIB, 0))
		continue;
	CHECK(umpa_g_realloc(&guest[1], block, 2 * MIB, 0) == block);
	CHECK(!umpa_g_realloc(&guest[1], block, 7 * MIB, 0) && errno == ENOMEM);
	end();
}

/* A place that waits for CPUs 0 and 1, which run. */
static char *begin_with_a_place(void)
{
	begin();
	enter(0);
	enter(1);
	return empty_a_place();
}

/* Who does nothing but free what others allocate forgets then. */
TEST(holding_place_is_had_when_others_free)
{
	char *place, *block;

	PLAN(6);
	place = begin_with_a_place();
	REQUIRE(place);
	block = alloc_on(0, 4 * MIB, UMPA_NOBACK);
	CHECK(block != place);
	free_on(1, block);
	CHECK(alloc_on(0, 4 * MIB, UMPA_NOBACK) == place);
	CHECK(look(1, place) && !ninterrupts);
	end();
}

/* Who is out of guest mode keeps nobody waiting, and forgets when it comes in. */
TEST(holding_place_does_not_wait_for_who_is_out)
{
	char *place;

	PLAN(6);
	place = begin_with_a_place();
	REQUIRE(place);
	leave(1);
	CHECK(alloc_on(0, 4 * MIB, UMPA_NOBACK) == place);
	enter(1);
	CHECK(look(1, place));
	CHECK_EQ(ninterrupts, 0);
	end();
}

/* --- blocks of others --------------------------------------------------------------------- */

TEST(holding_blocks_come_back_to_their_cpu)
{
	static const size_t npages[] = {1, 300, 512, 1500};
	char *block, *again;
	uint64_t frame;

	PLAN(4 * 4 + 2);
	begin();
	for (size_t i = 0; i < 4; i++) {
		block = alloc_on(0, npages[i] * PAGE, 0);
		fake_touch(block, npages[i] * PAGE);
		frame = fake_frame(block);
		CHECK_EQ(umpa_g_usable_size(&guest[1], block), npages[i] * PAGE);
		free_on(1, block);
		CHECK(!umpa_holding_has(&holding[0], alloc_on(1, npages[i] * PAGE, 0)));
		again = alloc_on(0, npages[i] * PAGE, 0);
		CHECK(again == block);
		CHECK_EQ(fake_frame(again), frame);
	}
	end();
}

/* In place where it may stay so, else with its frames to whom it is resized by. */
TEST(holding_blocks_of_others_are_resized)
{
	char *block, *to;
	uint64_t first, last;

	PLAN(14);
	begin();
	enter(0);
	enter(1);
	block = alloc_on(0, 6 * MIB, 0);
	fake_touch(block, 6 * MIB);
	first = fake_frame(block);
	last = fake_frame(block + 6 * MIB - PAGE);
	look(0, block);
	current = 1;
	CHECK(umpa_g_realloc(&guest[1], block, 5 * MIB, 0) == block);
	CHECK(!umpa_g_realloc(&guest[1], block, 7 * MIB, UMPA_NOMOVE) && errno == ENOMEM);
	CHECK(umpa_g_realloc(&guest[1], block, MIB, UMPA_NOMOVE) == block);
	to = umpa_g_realloc(&guest[1], block, 10 * MIB, 0);
	CHECK(to && umpa_holding_has(&holding[1], to));
	CHECK_EQ(fake_frame(to), first);
	CHECK_EQ(fake_frame(to + 6 * MIB - PAGE), last);
	CHECK_EQ(ninterrupts, 1);
	/* The place it had is its CPU's again, and what that remembers is no more. */
	CHECK(alloc_on(0, 6 * MIB, 0) == block);
	CHECK(look(0, block));
	current = 1;
	to[9 * MIB] = 1;
	to = umpa_g_realloc(&guest[0], to, 2 * MIB, UMPA_ZERO);
	CHECK(to && umpa_holding_has(&holding[0], to));
	CHECK_EQ(fake_frame(to), first);
	CHECK_EQ(ninterrupts, 2);
	end();
}

/* What another CPU has cut off, and left in its place, is zero when it is wanted again. */
TEST(holding_blocks_of_others_grow_by_zeros)
{
	char *block;
	int nwrong = 0;

	PLAN(5);
	begin();
	enter(0);
	enter(1);
	block = alloc_on(0, 100 * PAGE, 0);
	fake_touch(block, 100 * PAGE);
	memset(block, 'x', 100 * PAGE);
	current = 1;
	CHECK(umpa_g_realloc(&guest[1], block, 60 * PAGE, 0) == block);
	CHECK(umpa_g_realloc(&guest[1], block, 90 * PAGE, UMPA_ZERO) == block);
	for (size_t i = 0; i < 90 * PAGE; i++)
		nwrong += block[i] != (i < 60 * PAGE ? 'x' : 0);
	CHECK_EQ(nwrong, 0);
	end();
}

TEST(holding_frames_of_others_change_places)
{
	char *a, *b;
	uint64_t x, y;

	PLAN(9);
	begin();
	enter(0);
	enter(1);
	a = alloc_on(0, 2 * MIB, 0);
	b = alloc_on(1, 2 * MIB, 0);
	look(0, a), look(1, b);
	x = fake_frame(a), y = fake_frame(b);
	current = 2;
	CHECK(!umpa_g_swap(&guest[2], a, b, 2 * MIB));
	CHECK(fake_frame(a) == y && fake_frame(b) == x);
	CHECK(look(0, a) && look(1, b));
	CHECK(!umpa_g_move(&guest[2], b, a, 2 * MIB));
	CHECK(look(0, b) && fake_frame(b) == y);
	CHECK(!umpa_g_unback(&guest[2], b, 2 * MIB) && !fake_frame(b));
	CHECK(look(0, b) && look(1, b));
	end();
}

/* Pages that are few are copied while others would have to be interrupted. */
TEST(holding_few_pages_interrupt_nobody)
{
	char *a, *b;
	uint64_t x, y;

	PLAN(14);
	begin();
	enter(0);
	enter(1);
	a = alloc_on(0, 200 * PAGE, 0);
	b = alloc_on(1, 200 * PAGE, 0);
	fake_touch(a, 200 * PAGE);
	fake_touch(b, 200 * PAGE);
	look(1, a), look(0, b);
	x = fake_frame(a), y = fake_frame(b);
	*a = 1, *b = 2;
	current = 0;
	CHECK(!umpa_g_swap(&guest[0], a, b, 20 * PAGE));
	CHECK(fake_frame(a) == x && fake_frame(b) == y && *a == 2 && *b == 1);
	CHECK_EQ(ninterrupts, 0);
	CHECK(!umpa_g_swap(&guest[0], a, b, 200 * PAGE));
	CHECK(fake_frame(a) == y && fake_frame(b) == x && *a == 1 && *b == 2);
	CHECK_EQ(ninterrupts, 1);
	CHECK(look(1, a) && look(0, b));
	/* Nobody is there to be interrupted. */
	leave(1);
	CHECK(!umpa_g_swap(&guest[0], a, b, PAGE));
	CHECK(fake_frame(a) == x && fake_frame(b) == y && *a == 2 && *b == 1);
	CHECK_EQ(ninterrupts, 1);
	enter(1);
	CHECK(look(1, a) && look(1, b));
	CHECK(look(0, a) && look(0, b));
	end();
}

/* --- anything at all ---------------------------------------------------------------------- */

struct block {
	char *addr;
	size_t npages;
	uint64_t name;
};

static struct block blocks[NBLOCKS];

/* The first page of each superpage, and the last. */
static size_t nprobes(const struct block *b)
{
	return b->npages / 512 + 2;
}

static char *probe(const struct block *b, size_t i)
{
	size_t page = 512 * i < b->npages ? 512 * i : b->npages - 1;

	return b->addr + page * PAGE;
}

static unsigned sign(unsigned cpu, struct block *b, uint64_t name)
{
	unsigned nwrong = 0;

	b->name = name;
	for (size_t i = 0; i < nprobes(b); i++) {
		nwrong += !look(cpu, probe(b, i));
		*(uint64_t *)probe(b, i) = name;
	}
	return nwrong;
}

static unsigned read_sign(unsigned cpu, const struct block *b, size_t npages)
{
	unsigned nwrong = 0;

	for (size_t i = 0; i < nprobes(b); i++)
		if (page_of(probe(b, i)) - page_of(b->addr) < npages)
			nwrong += !look(cpu, probe(b, i)) || *(uint64_t *)probe(b, i) != b->name;
	return nwrong;
}

/* A processor looks things up that nobody asked it for. */
static void wonder(struct numbers *n, unsigned cpu)
{
	size_t slot = number_below(n, NCPUS * NSLOTS);
	char *addr = all + slot * 2 * MIB + number_below(n, 2) * number_below(n, 320) * PAGE;

	if (is_in(cpu) && fake_frame(addr))
		look(cpu, addr);
}

static size_t some_npages(struct numbers *n)
{
	return number_below(n, 3) ? 512 * (1 + number_below(n, 6)) + number_below(n, 2) * 40
				  : 1 + number_below(n, 511);
}

static unsigned change(struct numbers *n, unsigned cpu, struct block *b, uint64_t name)
{
	size_t npages = some_npages(n), kept;
	unsigned nwrong = 0;
	char *to;

	current = cpu;
	if (!b->addr) {
		b->addr = umpa_g_alloc(&guest[cpu], npages * PAGE, 0);
		b->npages = npages;
		return b->addr ? sign(cpu, b, name) : 0;
	}
	nwrong += read_sign(cpu, b, b->npages);
	if (number_below(n, 2)) {
		umpa_g_free(&guest[cpu], b->addr);
		b->addr = NULL;
		return nwrong;
	}
	kept = npages < b->npages ? npages : b->npages;
	to = umpa_g_realloc(&guest[cpu], b->addr, npages * PAGE, 0);
	if (!to)
		return nwrong;
	b->addr = to;
	nwrong += read_sign(cpu, b, kept);
	b->npages = npages;
	return nwrong + sign(cpu, b, name);
}

/* A few pages, or many, of any two. */
static unsigned exchange_pages(struct numbers *n, unsigned cpu, struct block *a, struct block *b)
{
	size_t npages = 1 + number_below(n, number_below(n, 2) ? 8 : 300);
	unsigned nwrong = 0;

	if (!a->addr || !b->addr || a == b || a->npages <= npages || b->npages <= npages)
		return 0;
	current = cpu;
	/* Not the first one, by which a block is known. */
	for (int i = 0; i < 2; i++) {
		nwrong += umpa_g_swap(&guest[cpu], a->addr + PAGE, b->addr + PAGE, npages * PAGE) !=
			  0;
		for (unsigned c = 0; c < NCPUS; c++) {
			size_t page = 1 + number_below(n, (uint32_t)npages);

			if (is_in(c))
				nwrong += !look(c, a->addr + page * PAGE) ||
					  !look(c, b->addr + page * PAGE);
		}
	}
	return nwrong + read_sign(cpu, a, a->npages) + read_sign(cpu, b, b->npages);
}

static unsigned exchange(unsigned cpu, struct block *a, struct block *b)
{
	uint64_t name = a->name;

	if (!a->addr || !b->addr || a == b || a->npages < 512 || b->npages < 512)
		return 0;
	if (((uintptr_t)a->addr | (uintptr_t)b->addr) & (2 * MIB - 1))
		return 0;
	current = cpu;
	if (umpa_g_swap(&guest[cpu], a->addr, b->addr, 2 * MIB))
		return 1;
	*a = (struct block){a->addr, a->npages, b->name};
	*b = (struct block){b->addr, b->npages, name};
	return read_sign(cpu, a, 1) + read_sign(cpu, b, 1) + sign(cpu, a, a->name) +
	       sign(cpu, b, b->name);
}

static unsigned step(struct numbers *n, uint64_t name)
{
	unsigned cpu = number_below(n, NCPUS);
	struct block *b = &blocks[number_below(n, NBLOCKS)];

	for (int i = 0; i < 8; i++)
		wonder(n, number_below(n, NCPUS));
	if (!is_in(cpu))
		enter(cpu);
	switch (number_below(n, 16)) {
	case 0:
		leave(cpu);
		return 0;
	case 1:
		current = cpu;
		umpa_peers_poll(&guest[cpu]);
		return 0;
	case 2:
		return exchange(cpu, b, &blocks[number_below(n, NBLOCKS)]);
	case 3:
		return exchange_pages(n, cpu, b, &blocks[number_below(n, NBLOCKS)]);
	case 4:
	case 5: /* another one has it now */
		return b->addr ? read_sign(cpu, b, b->npages) : 0;
	default:
		return change(n, cpu, b, name);
	}
}

TEST(holding_cpus_random)
{
	struct numbers numbers = numbers_of_seed(check_seed(2012));
	uint64_t nsteps = check_steps(4000), nwrong = 0, nmoved = 0, nmovecalls = 0;

	PLAN(5);
	begin();
	memset(blocks, 0, sizeof(blocks));
	for (uint64_t i = 1; i <= nsteps; i++)
		nwrong += step(&numbers, i);
	CHECK_EQ(nwrong, 0);
	for (unsigned i = 0; i < NCPUS; i++) {
		nmoved += holding[i].nslots_moved;
		nmovecalls += holding[i].nmove_calls;
	}
	CHECK(nmoved > nsteps / 100);
	/* Most of them without an interrupt. */
	CHECK(ninterrupts < nmovecalls);
	end();
}

/* --- two threads -------------------------------------------------------------------------- */

enum {
	NPLACES = 8,
	NPASSED = 20000
};

static char *place[NPLACES]; /* atomic */
static int nbad;             /* atomic */

/* CPU 1's: frees what it finds, as long as there is more to come. */
static void *free_what_comes(void *arg)
{
	(void)arg;
	for (int n = 0; n < NPASSED;) {
		for (int i = 0; i < NPLACES; i++) {
			char *block = __atomic_exchange_n(&place[i], NULL, __ATOMIC_ACQUIRE);

			if (!block)
				continue;
			if (*(void **)block != block)
				__atomic_add_fetch(&nbad, 1, __ATOMIC_RELAXED);
			umpa_g_free(&guest[1], block);
			n++;
		}
	}
	return NULL;
}

TEST(holding_cpus_free_at_a_time)
{
	struct numbers numbers = numbers_of_seed(7);
	pthread_t thread;
	int nnone = 0;

	PLAN(6);
	begin();
	fake_threads(1);
	REQUIRE(!pthread_create(&thread, NULL, free_what_comes, NULL));
	for (int n = 0; n < NPASSED; n++) {
		char **at = &place[number_below(&numbers, NPLACES)], *block;

		while (__atomic_load_n(at, __ATOMIC_RELAXED))
			at = &place[number_below(&numbers, NPLACES)];
		block = umpa_g_alloc(&guest[0], (1 + number_below(&numbers, 30)) * PAGE, 0);
		nnone += !block;
		if (!block)
			break;
		*(void **)block = block;
		__atomic_store_n(at, block, __ATOMIC_RELEASE);
	}
	if (nnone)
		abort(); /* the other would wait for ever */
	pthread_join(thread, NULL);
	fake_threads(0);
	CHECK_EQ(nnone, 0);
	CHECK_EQ(nbad, 0);
	CHECK(holding[0].extents.nslots <= 4);
	end();
}
