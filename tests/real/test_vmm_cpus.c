/* Several functions in guest mode at a time, each in a thread and on a CPU of its own, on whatever
 * /dev/kvm there is. Where instructions are interpreted the host takes milliseconds for what is
 * nothing: so few rounds, and general registers alone. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "support/check.h"
#include "support/guest.h"

enum {
	NCPUS = 2,
	NTRADERS = 4 /* more than there are processors */
};

static struct umpa_vmm *vmm;
static struct umpa_vmm_caps caps;
static uint64_t *block; /* four superpages, whose pages begin with their numbers */

static uint64_t *page(size_t i)
{
	return block + i * 512;
}

static void begin_with(struct umpa_vmm_options options)
{
	options.ncpus = options.ncpus ? options.ncpus : NCPUS;
	vmm = guest_machine(options, &caps);
	block = umpa_alloc(8 * MIB, 0);
	for (size_t i = 0; i < 4 * 512; i++)
		*page(i) = i;
}

static void begin(void)
{
	begin_with((struct umpa_vmm_options){.holding_nbytes = 64 * MIB});
}

static void end(void)
{
	umpa_vmm_destroy(vmm);
	umpa_free(block);
}

/* Rounds of what shows by chance, where the processor remembers: in an emulated machine, whose page
 * tables no kernel shadows. Else a few, for the way they go. */
static unsigned rounds(unsigned n)
{
	return getenv("UMPA_GUEST") && caps.level == UMPA_VMM_NATIVE ? n : n / 3;
}

/* A function in a thread. */
struct runner {
	long (*fn)(struct umpa_guest *, void *);
	void *arg;
	pthread_t thread;
	int error;
	long ret;
	struct umpa_vmm_fault fault;
};

static void *run_one(void *arg)
{
	struct runner *r = arg;

	r->error = umpa_vmm_run(vmm, r->fn, r->arg, &r->ret, &r->fault);
	return NULL;
}

static int start(struct runner *r, long (*fn)(struct umpa_guest *, void *), void *arg)
{
	*r = (struct runner){.fn = fn, .arg = arg, .ret = -1};
	return pthread_create(&r->thread, NULL, run_one, r);
}

static void run_two(struct runner r[2], long (*a)(struct umpa_guest *, void *),
	long (*b)(struct umpa_guest *, void *), void *arg)
{
	REQUIRE(!start(&r[0], a, arg) && !start(&r[1], b, arg));
	pthread_join(r[0].thread, NULL);
	pthread_join(r[1].thread, NULL);
}

/* --- at a time ---------------------------------------------------------------------------- */

struct meeting {
	int here[2], done;
};

/* Says that it is there, and waits for another. */
GUEST static long meet(struct meeting *m, int self)
{
	long n = 0;

	__atomic_store_n(&m->here[self], 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&m->here[!self], __ATOMIC_SEQ_CST))
		n++;
	return n;
}

static __thread int mine;

GUEST static long meet_first(struct umpa_guest *g, void *arg)
{
	mine = 11;
	meet(arg, 0);
	while (!__atomic_load_n(&((struct meeting *)arg)->done, __ATOMIC_SEQ_CST))
		continue;
	return mine == 11 ? (long)g->number : -1;
}

GUEST static long meet_second(struct umpa_guest *g, void *arg)
{
	mine = 22;
	meet(arg, 1);
	return mine == 22 ? (long)g->number : -1;
}

GUEST static long stay(struct umpa_guest *g, void *arg)
{
	struct meeting *m = arg;

	__atomic_add_fetch(&m->here[0], 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&m->done, __ATOMIC_SEQ_CST))
		continue;
	return (long)g->number;
}

TEST(vmm_cpus_run_at_a_time)
{
	struct meeting m = {{0, 0}, 0};
	struct runner r[2];
	long ret;

	PLAN(13);
	begin();
	REQUIRE(!start(&r[0], meet_first, &m) && !start(&r[1], meet_second, &m));
	pthread_join(r[1].thread, NULL);
	CHECK(!r[1].error && r[1].ret >= 0);
	/* One is at work: another may run, and nobody may have the machine. */
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), -EBUSY);
	CHECK_EQ(umpa_vmm_run(vmm, guest_add_one, (void *)1, &ret, NULL), 0);
	CHECK_EQ(ret, 2);
	__atomic_store_n(&m.done, 1, __ATOMIC_SEQ_CST);
	pthread_join(r[0].thread, NULL);
	CHECK(!r[0].error && r[0].ret >= 0 && r[0].ret != r[1].ret);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	/* Both at work. */
	m = (struct meeting){{0, 0}, 0};
	REQUIRE(!start(&r[0], stay, &m) && !start(&r[1], stay, &m));
	while (__atomic_load_n(&m.here[0], __ATOMIC_SEQ_CST) < 2)
		sched_yield();
	CHECK_EQ(umpa_vmm_run(vmm, guest_add_one, (void *)1, &ret, NULL), -EBUSY);
	CHECK_EQ(umpa_vmm_sync(vmm, block, 2 * MIB), -EBUSY);
	__atomic_store_n(&m.done, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
		CHECK(!r[i].error && r[i].ret >= 0);
	}
	end();
}

static int pipes[2][2];

/* Each waits in the kernel for what the other says. */
GUEST static long talk(struct umpa_guest *g, int self)
{
	char said = 0;

	(void)g;
	for (char i = 1; i < 20; i++) {
		if (self && (guest_call(SYS_read, pipes[0][0], (long)&said, 1) != 1 || said != i))
			return i;
		said = i;
		if (guest_call(SYS_write, pipes[self][1], (long)&said, 1) != 1)
			return -i;
		if (!self && (guest_call(SYS_read, pipes[1][0], (long)&said, 1) != 1 || said != i))
			return i;
	}
	return 0;
}

GUEST static long talk_first(struct umpa_guest *g, void *arg)
{
	(void)arg;
	return talk(g, 0);
}

GUEST static long talk_second(struct umpa_guest *g, void *arg)
{
	(void)arg;
	return talk(g, 1);
}

TEST(vmm_cpus_wait_in_the_kernel)
{
	struct runner r[2];

	PLAN(5);
	begin();
	REQUIRE(!pipe(pipes[0]) && !pipe(pipes[1]));
	run_two(r, talk_first, talk_second, NULL);
	CHECK(!r[0].error && !r[0].ret);
	CHECK(!r[1].error && !r[1].ret);
	for (int i = 0; i < 4; i++)
		close(pipes[i / 2][i % 2]);
	end();
}

/* What ends one function is nothing to the other. */
GUEST static long touch_nothing(struct umpa_guest *g, void *arg)
{
	meet(arg, 0);
	(void)g;
	return *(volatile char *)((uintptr_t)5 << 44);
}

GUEST static long count_for_a_while(struct umpa_guest *g, void *arg)
{
	struct meeting *m = arg;
	volatile long n = 0;

	(void)g;
	meet(m, 1);
	while (!__atomic_load_n(&m->done, __ATOMIC_SEQ_CST))
		n++;
	return n >= 0;
}

TEST(vmm_cpus_fault_alone)
{
	struct meeting m = {{0, 0}, 0};
	struct runner r[2];
	long ret;

	PLAN(7);
	begin();
	REQUIRE(!start(&r[0], touch_nothing, &m) && !start(&r[1], count_for_a_while, &m));
	pthread_join(r[0].thread, NULL);
	CHECK_EQ(r[0].error, -EFAULT);
	CHECK_EQ(r[0].fault.cause, UMPA_VMM_FAULT_TRAP);
	CHECK_EQ(umpa_vmm_run(vmm, guest_add_one, (void *)4, &ret, NULL), 0);
	__atomic_store_n(&m.done, 1, __ATOMIC_SEQ_CST);
	pthread_join(r[1].thread, NULL);
	CHECK(!r[1].error && r[1].ret == 1);
	CHECK_EQ(r[1].fault.cause, UMPA_VMM_FAULT_NONE);
	end();
}

/* --- remembering -------------------------------------------------------------------------- */

struct flush {
	struct meeting m;
	int is_led, is_flushed;
	long nstale; /* seen as before it was led elsewhere, after it had been */
};

/* Looks again and again, as is, and says so; until the other says that all have forgotten. */
GUEST static long look(struct umpa_guest *g, void *arg)
{
	volatile uint64_t *at = page(40);
	struct flush *f = arg;

	(void)g;
	if (*at != 40)
		return -1;
	meet(&f->m, 1);
	while (!__atomic_load_n(&f->is_flushed, __ATOMIC_SEQ_CST)) {
		int is_led = __atomic_load_n(&f->is_led, __ATOMIC_SEQ_CST);
		uint64_t seen = *at;

		if (seen != 40 && seen != 42)
			return -2;
		if (is_led && seen == 40)
			__atomic_add_fetch(&f->nstale, 1, __ATOMIC_SEQ_CST);
		guest_pause();
	}
	return *at == 42 ? 0 : -3;
}

GUEST static long lead_elsewhere(struct umpa_guest *g, void *arg)
{
	struct flush *f = arg;

	umpa_g_split(g, page(40));
	*umpa_g_pte(g, page(40), 0) = umpa_g_entry(g, page(40));
	umpa_g_flush(page(40));
	meet(&f->m, 0);
	for (int i = 0; i < 10; i++)
		guest_pause();
	*umpa_g_pte(g, page(40), 0) = umpa_g_entry(g, page(42));
	umpa_g_flush(page(40));
	__atomic_store_n(&f->is_led, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 100; i++)
		guest_pause();
	umpa_g_flush_others(g);
	__atomic_store_n(&f->is_flushed, 1, __ATOMIC_SEQ_CST);
	return *(volatile uint64_t *)page(40) == 42 ? 0 : -1;
}

TEST(vmm_cpus_forget_when_told)
{
	struct umpa_vmm_options options = {.flags = UMPA_VMM_ALLOW_SLOW, .ncpus = NCPUS};
	unsigned nwrong = 0, nrounds;
	long nstale = 0;
	struct runner r[2];

	begin();
	nrounds = rounds(12);
	PLAN(3 + 2 * nrounds);
	for (unsigned round = 0; round < nrounds; round++) {
		struct flush f = {{{0, 0}, 0}, 0, 0, 0};

		run_two(r, lead_elsewhere, look, &f);
		nwrong += r[0].error || r[0].ret || r[1].error || r[1].ret;
		nstale += f.nstale;
		nwrong += umpa_vmm_sync(vmm, block, 8 * MIB) != -EINVAL; /* two lead to one page */
		umpa_vmm_destroy(vmm);
		REQUIRE(!umpa_vmm_create(&vmm, &options));
	}
	CHECK_EQ(nwrong, 0);
	/* Of the emulated machine it is known that it remembers, if nothing comes between; a kernel
	 * that shadows page tables does. */
	CHECK(!getenv("UMPA_GUEST") || caps.level != UMPA_VMM_NATIVE || nstale);
	end();
}

/* Interruptions of who comes and goes: none of them goes astray. */
GUEST static long interrupt_often(struct umpa_guest *g, void *arg)
{
	for (int i = 0; i < 20; i++)
		umpa_g_flush_others(g);
	(void)arg;
	return 7;
}

static void *come_and_go(void *arg)
{
	struct runner *r = arg;

	for (int i = 0; i < 40 && !r->error; i++) {
		r->error = umpa_vmm_run(vmm, interrupt_often, NULL, &r->ret, &r->fault);
		r->error |= r->ret != 7;
	}
	return NULL;
}

TEST(vmm_cpus_come_and_go)
{
	struct runner r[2];
	sigset_t now;

	PLAN(6);
	begin();
	for (int i = 0; i < 2; i++) {
		r[i].error = 0;
		REQUIRE(!pthread_create(&r[i].thread, NULL, come_and_go, &r[i]));
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(r[i].thread, NULL);
		CHECK_EQ(r[i].error, 0);
	}
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	CHECK(!sigismember(&now, 63));
	end();
}

/* A function that takes too long is ended, on whichever CPU, and takes interrupts until then: 20 of
 * them, for which a busy machine needs more time. */
TEST(vmm_cpus_end_what_takes_too_long)
{
	struct runner r[2];
	uint64_t time_ns = 600000000;
	unsigned n = 1;

	begin_with((struct umpa_vmm_options){.time_ns = time_ns});
	run_two(r, guest_loop, interrupt_often, NULL);
	for (; r[1].error == -ETIMEDOUT && n < 4; n++) {
		end();
		begin_with((struct umpa_vmm_options){.time_ns = time_ns *= 3});
		run_two(r, guest_loop, interrupt_often, NULL);
	}
	PLAN(3 * n + 3);
	CHECK_EQ(r[0].error, -ETIMEDOUT);
	CHECK(!r[1].error && r[1].ret == 7);
	run_two(r, guest_loop, guest_loop, NULL);
	CHECK(r[0].error == -ETIMEDOUT && r[1].error == -ETIMEDOUT);
	end();
}

/* --- blocks ------------------------------------------------------------------------------- */

struct place {
	struct meeting m;
	volatile char *at;
	int step;
};

GUEST static void await_step(struct place *p, int step)
{
	while (__atomic_load_n(&p->step, __ATOMIC_SEQ_CST) < step)
		guest_pause();
}

GUEST static void take_step(struct place *p, int step)
{
	__atomic_store_n(&p->step, step, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 10; i++)
		guest_pause();
}

/* Frames leave a place that the other remembers; when the place is in use again there is no other,
 * and it has none. All of it in so few instructions that the other has no reason to forget. */
GUEST static long empty_a_place(struct umpa_guest *g, void *arg)
{
	struct place *p = arg;
	char *place = umpa_g_alloc(g, 4 * MIB, 0), *large, *again;
	void *fence = umpa_g_alloc(g, 2 * MIB, 0);

	meet(&p->m, 0);
	place[0] = 5;
	p->at = place;
	take_step(p, 1);
	await_step(p, 2);
	umpa_g_free(g, place);
	large = umpa_g_alloc(g, 6 * MIB, 0);
	do
		again = umpa_g_alloc(g, 4 * MIB, UMPA_NOBACK);
	while (again && again != place);
	take_step(p, 3);
	return again && fence && large[0] == 5 ? 0 : -1;
}

GUEST static long remember_a_place(struct umpa_guest *g, void *arg)
{
	struct place *p = arg;
	long seen;

	(void)g;
	meet(&p->m, 1);
	await_step(p, 1);
	seen = p->at[0] == 5 ? 0 : -1;
	take_step(p, 2);
	await_step(p, 3);
	return seen ? seen : (long)p->at[0];
}

TEST(vmm_cpus_places_wait)
{
	struct umpa_vmm_options options = {
		.flags = UMPA_VMM_ALLOW_SLOW, .ncpus = NCPUS, .holding_nbytes = 32 * MIB};
	unsigned nwrong = 0, nrounds;
	struct runner r[2];

	begin_with(options);
	nrounds = rounds(12);
	PLAN(2 + 2 * nrounds);
	for (unsigned i = 0; i < nrounds; i++) {
		struct place p = {.step = 0};

		run_two(r, empty_a_place, remember_a_place, &p);
		nwrong += r[0].error || r[0].ret || r[1].error || r[1].ret;
		umpa_vmm_destroy(vmm);
		REQUIRE(!umpa_vmm_create(&vmm, &options));
	}
	CHECK_EQ(nwrong, 0);
	end();
}

enum {
	NPLACES = 24
};

/* Blocks that all functions allocate, fill, look into, resize, hand each other and free. Who has
 * taken one out of its place has it. */
struct market {
	struct {
		uint64_t *block; /* atomic; NULL: it is taken, or there is none */
	} place[NPLACES];
	uint64_t next;
	int nrounds;
	unsigned nplaces;
};

GUEST static uint64_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

/* Each page says whose it is: the first word of a block is its own, the second how many pages. */
GUEST static void sign(uint64_t *b, uint64_t name, size_t npages)
{
	for (size_t i = 0; i < npages; i++)
		b[i * 512] = name + i;
	b[1] = npages;
}

GUEST static int is_signed(const uint64_t *b)
{
	for (size_t i = 0; i < b[1]; i++)
		if (b[i * 512] != b[0] + i)
			return 0;
	return 1;
}

GUEST static size_t draw_npages(uint64_t *state)
{
	switch (draw(state) % 4) {
	case 0:
		return 1 + draw(state) % 20;
	case 1:
		return 1 + draw(state) % 700;
	default:
		return 512 * (1 + draw(state) % 6) + (draw(state) % 3 ? 0 : draw(state) % 512);
	}
}

GUEST static int trade(struct umpa_guest *g, struct market *m, uint64_t *state)
{
	uint64_t **place = &m->place[draw(state) % m->nplaces].block, *b, *none = NULL;
	size_t npages = draw_npages(state), kept;

	b = __atomic_exchange_n(place, NULL, __ATOMIC_SEQ_CST);
	if (b && !is_signed(b))
		return 1;
	if (b && draw(state) % 3 == 0) {
		kept = b[1] < npages ? b[1] : npages;
		uint64_t *to = umpa_g_realloc(g, b, npages << 12, 0);

		if (!to)
			return 2;
		to[1] = kept;
		if (!is_signed(to))
			return 3;
		sign(to, __atomic_add_fetch(&m->next, 1 << 20, __ATOMIC_SEQ_CST), npages);
		b = to;
	} else {
		if (b)
			umpa_g_free(g, b);
		b = umpa_g_alloc(g, npages << 12, 0);
		if (!b)
			return 4;
		sign(b, __atomic_add_fetch(&m->next, 1 << 20, __ATOMIC_SEQ_CST), npages);
	}
	if (!__atomic_compare_exchange_n(place, &none, b, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		umpa_g_free(g, b);
	return 0;
}

GUEST static long trade_all_day(struct umpa_guest *g, void *arg)
{
	struct market *m = arg;
	uint64_t state = 2011 + g->number;

	for (int i = 0; i < m->nrounds; i++) {
		int wrong = trade(g, m, &state);

		guest_pause();
		if (wrong)
			return wrong;
	}
	return 0;
}

GUEST static long close_market(struct umpa_guest *g, void *arg)
{
	struct market *m = arg;

	for (int i = 0; i < NPLACES; i++) {
		if (m->place[i].block && !is_signed(m->place[i].block))
			return 1;
		if (m->place[i].block)
			umpa_g_free(g, m->place[i].block);
	}
	return 0;
}

TEST(vmm_cpus_share_blocks)
{
	struct market m = {.next = 0};
	struct runner r[NTRADERS];
	unsigned nwrong = 0;
	long ret = -1;

	PLAN(4 + 2 * NTRADERS);
	begin_with((struct umpa_vmm_options){.holding_nbytes = 256 * MIB, .ncpus = NTRADERS});
	/* As many as are taken and found again in so few rounds. */
	m.nplaces = caps.level == UMPA_VMM_EMULATED ? NPLACES / 4 : NPLACES;
	m.nrounds = (int)rounds(getenv("UMPA_GUEST") ? 300 : 24);
	for (int i = 0; i < NTRADERS; i++)
		REQUIRE(!start(&r[i], trade_all_day, &m));
	for (int i = 0; i < NTRADERS; i++) {
		pthread_join(r[i].thread, NULL);
		CHECK(!r[i].error && !r[i].ret);
	}
	/* And outside. */
	REQUIRE(!umpa_vmm_sync(vmm, NULL, 0));
	for (int i = 0; i < NPLACES; i++)
		nwrong += m.place[i].block && !is_signed(m.place[i].block);
	CHECK_EQ(nwrong, 0);
	CHECK(!umpa_vmm_run(vmm, close_market, &m, &ret, NULL) && !ret);
	end();
}

/* --- many of them ------------------------------------------------------------------------- */

/* Each function takes a CPU that no thread had yet, as long as there are such. */
TEST(vmm_cpus_are_as_many_as_wanted)
{
	enum {
		NMANY = 320,
		NTHREADS = 5
	};
	struct runner r;
	unsigned nwrong = 0;

	PLAN(9);
	begin();
	end();
	if (caps.ncpus_max < NMANY)
		SKIP("this host has fewer");
	begin_with((struct umpa_vmm_options){.ncpus = NMANY, .holding_nbytes = 4 * MIB});
	for (long i = 0; i < NTHREADS; i++) {
		REQUIRE(!start(&r, guest_add_one, (void *)i));
		pthread_join(r.thread, NULL);
		nwrong += r.error != 0 || r.ret != i + 1;
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
	end();
}
