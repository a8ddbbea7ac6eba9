/* Machines on a fake /dev/kvm: what they are made of, that a refusal leaves nothing behind, and
 * what comes of each way a CPU can come out. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <umpa/umpa.h>
#include <umpa/vmm.h>
#include <unistd.h>

#include "core/block.h"
#include "core/core.h"
#include "support/check.h"
#include "support/fake_kvm.h"
#include "support/fake_os.h"
#include "support/numbers.h"
#include "vmm/machine.h"

#define MIB ((size_t)1 << 20)

static struct umpa_vmm *vmm;
static struct umpa_vmm_fault fault;
static long ret;

static void begin(void)
{
	umpa_core_stop();
	fake_reset();
	fake_kvm_reset();
	umpa_core_start();
}

/* Nothing of a machine is left. */
static int is_clean(size_t mapped_nbytes, size_t reserved_nbytes)
{
	return !fake_kvm.nmachines && !fake_kvm.ncpus && !fake_kvm.nalarms &&
	       fake_mapped_nbytes() == mapped_nbytes && fake_reserved_nbytes() == reserved_nbytes;
}

static long function(struct umpa_guest *g, void *arg)
{
	(void)g;
	return (long)arg;
}

static int run(void)
{
	ret = -1;
	return umpa_vmm_run(vmm, function, (void *)7, &ret, &fault);
}

/* --- making ------------------------------------------------------------------------------- */

/* Each address of the process that a walk finds is where the layout says. */
static int mirrors(const void *addr)
{
	uint64_t led_to, physical, bits;

	return !umpa_tables_walk(&vmm->tables, (uintptr_t)addr, &led_to, &bits) &&
	       !umpa_layout_physical(&vmm->layout, (uintptr_t)addr, &physical) &&
	       led_to == physical && bits & ENTRY_WRITABLE && !(bits & ENTRY_NOEXEC);
}

TEST(vmm_machine_mirrors_the_process)
{
	static char data;
	char stack = 0, *block;

	PLAN(10);
	begin();
	block = umpa_alloc(4 * MIB, 0);
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	CHECK(umpa_tables_valid(&vmm->tables));
	CHECK(mirrors(&data) && mirrors(&stack) && mirrors(vmm) && mirrors(block + 3 * MIB));
	CHECK(mirrors(vmm->gates) && mirrors(vmm->peers.stock.tables) &&
		mirrors((void *)vmm->stacks.addr));
	CHECK_EQ(fake_kvm.shown_end > 0 && fake_kvm.shown_end <= (uint64_t)1 << 46, 1);
	CHECK_EQ(fake_kvm.state.tables, umpa_hide_root(&vmm->cpu->inner.hide));
	/* The window by entries of its own. */
	CHECK_EQ(vmm->cpu->guest.base, umpa_core.window.base);
	CHECK(umpa_g_home(&vmm->cpu->guest, block + 5) == block + 5);
	umpa_g_map(&vmm->cpu->guest, block, block + MIB, 1);
	CHECK(!mirrors(block) && mirrors(block + 4096));
	umpa_vmm_destroy(vmm);
	umpa_free(block);
	CHECK(!fake_kvm.nmachines && !fake_kvm.ncpus);
}

/* Makes one and ends it. Result: how many calls that takes which can be refused. */
static uint64_t ncalls_of_a_machine(const struct umpa_vmm_options *o)
{
	uint64_t before = fake_ncalls(), n;

	if (umpa_vmm_create(&vmm, o))
		return 0;
	n = fake_ncalls() - before;
	umpa_vmm_destroy(vmm);
	return n;
}

/* A refusal leaves nothing behind; umpa's own, as while opening the window, may be made up for. */
TEST(vmm_machine_refused_anywhere)
{
	struct umpa_vmm_options options = {.holding_nbytes = 16 * MIB};
	size_t mapped, reserved;
	unsigned nrefused = 0, nwrong = 0;
	uint64_t ncalls;
	struct umpa_stats st;

	PLAN(5);
	begin();
	umpa_free(umpa_alloc((size_t)1 << 40, 0)); /* what umpa takes once for blocks outside */
	ncalls = ncalls_of_a_machine(&options);
	CHECK(ncalls > 10);
	mapped = fake_mapped_nbytes();
	reserved = fake_reserved_nbytes();
	for (uint64_t n = 1; n <= ncalls; n++) {
		fake_fail_at(n, -ENOMEM);
		vmm = NULL;
		nrefused += umpa_vmm_create(&vmm, &options) != 0;
		fake_fail_at(0, 0);
		umpa_vmm_destroy(vmm);
		nwrong += !is_clean(mapped, reserved);
	}
	CHECK_EQ(nwrong, 0);
	CHECK(nrefused > 8);
	CHECK(is_clean(mapped, reserved));
	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.nblocks, 0);
}

TEST(vmm_machine_holds_slots)
{
	struct umpa_vmm_options o = {.holding_nbytes = 15 * MIB}, far = o, much = o;
	struct umpa_vmm *second;
	char *block;

	PLAN(9);
	begin();
	block = umpa_alloc(2 * MIB, 0);
	far.window_nbytes = 8 * MIB;
	CHECK_EQ(umpa_vmm_create(&vmm, &far), -ENOMEM);
	much.holding_nbytes = SIZE_MAX;
	CHECK_EQ(umpa_vmm_create(&vmm, &much), -ENOMEM);
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	CHECK_EQ(vmm->cpu->holding.nslots, 8);
	CHECK(vmm->cpu->guest.holding == &vmm->cpu->holding && umpa_g_is_inside(&vmm->cpu->guest));
	CHECK(mirrors(vmm->held.addr));
	/* Each has its own. */
	REQUIRE(!umpa_vmm_create(&second, &o));
	CHECK(!umpa_holding_has(&vmm->cpu->holding, second->cpu->holding.begin));
	umpa_vmm_destroy(second);
	CHECK(umpa_g_home(&vmm->cpu->guest, vmm->cpu->holding.begin + 9) ==
		vmm->cpu->holding.begin + 9);
	umpa_vmm_destroy(vmm);
	umpa_free(block);
}

/* Frames of the pool are the holding's, and the pool's again: there are no more of them. */
TEST(vmm_machine_takes_frames_of_the_pool)
{
	struct umpa_vmm_options o = {.holding_nbytes = 16 * MIB, .frames_nbytes = 6 * MIB},
				much = {.holding_nbytes = 2 * MIB, .frames_nbytes = 4 * MIB};
	char *block, *fence;
	uint64_t frame[4];
	unsigned nfound = 0;
	size_t nframes;

	PLAN(9);
	begin();
	CHECK_EQ(umpa_vmm_create(&vmm, &much), -EINVAL);
	block = umpa_alloc(8 * MIB, 0);
	fence = umpa_alloc(2 * MIB, 0);
	fake_touch(block, 8 * MIB);
	for (size_t i = 0; i < 4; i++)
		frame[i] = fake_frame(block + 2 * MIB * i);
	nframes = fake_nframes();
	umpa_free(block);
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	CHECK_EQ(umpa_extents_count(&vmm->cpu->holding.extents, EXTENT_RESIDENT), 3);
	CHECK_EQ(umpa_extents_count(&vmm->cpu->holding.extents, EXTENT_VOID), 0);
	block = umpa_g_alloc(&vmm->cpu->guest, 6 * MIB, 0);
	CHECK(block == vmm->cpu->holding.begin);
	fake_touch(block, 6 * MIB);
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 3; k++)
			nfound += fake_frame(block + 2 * MIB * k) == frame[i];
	CHECK_EQ(nfound, 3);
	CHECK_EQ(fake_nframes(), nframes);
	umpa_g_free(&vmm->cpu->guest, block);
	umpa_vmm_destroy(vmm);
	block = umpa_alloc(8 * MIB, 0);
	fake_touch(block, 8 * MIB);
	CHECK_EQ(fake_nframes(), nframes);
	CHECK(fake_consistent());
	umpa_free(block);
	umpa_free(fence);
}

/* As the mover of entries does, but that there is nothing to flush here. */
static int exchange_entries(
	struct umpa_mover *m, void *dst, void *src, size_t nbytes, unsigned flags, size_t *moved)
{
	(void)m, (void)flags;
	umpa_g_exchange(&vmm->cpu->guest, dst, src, nbytes >> SLOT_SHIFT);
	*moved = nbytes;
	return 0;
}

static void touch_home(char *addr, size_t nbytes)
{
	for (size_t i = 0; i < nbytes; i += 4096) {
		char *home = umpa_g_home(&vmm->cpu->guest, addr + i);

		fake_touch(home, 1);
		*home = 7;
	}
}

/* Free slots of the window that are other than is said of them. */
static unsigned nunlike(void)
{
	const struct umpa_extents *e = &umpa_core.space.extents;
	unsigned n = 0;

	for (uint32_t i = 0; i < e->nslots; i++)
		for (uint32_t k = 0; e->tag[i].kind && k < e->tag[i].nslots; k++) {
			const char *at = slot_address((struct slot){i + k});

			n += !fake_frame(at) != (e->tag[i].kind - 1 == EXTENT_VOID);
		}
	return n;
}

/* Slots are as the host has them: a void one that has frames would be taken for zero, a resident
 * one that has none for a part of the pool. */
TEST(vmm_machine_gives_back_what_is_at_home)
{
	struct umpa_mover mover = {.name = "entries", .move = exchange_entries};
	struct umpa_vmm_options o = {.holding_nbytes = 32 * MIB};
	struct umpa_guest *g;
	char *block[8], *large;
	unsigned nwrong = 0;
	size_t nframes;

	PLAN(7);
	begin();
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	vmm->cpu->holding.mover = &mover;
	g = &vmm->cpu->guest;
	for (int i = 0; i < 8; i++) {
		block[i] = umpa_g_alloc(g, 2 * MIB, 0);
		touch_home(block[i], 2 * MIB);
	}
	for (int i = 0; i < 8; i += 2)
		umpa_g_free(g, block[i]);
	large = umpa_g_alloc(g, 6 * MIB, 0);
	CHECK(umpa_g_home(g, large) != large && vmm->cpu->holding.nslots_moved == 3);
	nframes = fake_nframes();
	CHECK_EQ(nframes, 8 * 512);
	for (int i = 1; i < 8; i += 2)
		umpa_g_free(g, block[i]);
	umpa_g_free(g, large);
	umpa_vmm_destroy(vmm);
	CHECK_EQ(nunlike(), 0);
	CHECK_EQ(umpa_extents_count(&umpa_core.space.extents, EXTENT_RESIDENT), 8);
	large = umpa_alloc(34 * MIB, UMPA_ZERO);
	for (size_t i = 0; i < 34 * MIB; i += 4096)
		nwrong += large[i] != 0;
	CHECK_EQ(nwrong, 0);
	CHECK(fake_consistent());
	umpa_free(large);
}

/* --- blocks that outlive it --------------------------------------------------------------- */

enum {
	NOUTLIVING = 60
};

struct outliving {
	char *at;
	size_t npages;
	uint64_t mark;
};

static void mark_pages(struct outliving *b, struct numbers *numbers)
{
	b->mark = number_below(numbers, 65536) + 1;
	for (size_t i = 0; i < b->npages; i++) {
		char *home = umpa_g_home(&vmm->cpu->guest, b->at + i * 4096);

		fake_touch(home, 1);
		*(uint64_t *)home = b->mark << 32 | i;
	}
}

/* As the program sees it. */
static unsigned nwrong_pages(const struct outliving *b)
{
	unsigned n = 0;

	for (size_t i = 0; i < b->npages; i++)
		n += *(uint64_t *)(b->at + i * 4096) != (b->mark << 32 | i);
	return n;
}

static size_t any_npages(struct numbers *numbers)
{
	switch (number_below(numbers, 4)) {
	case 0:
		return 1 + number_below(numbers, 20);
	case 1:
		return 100 + number_below(numbers, 411);
	case 2:
		return 512u * (1 + number_below(numbers, 3));
	default:
		return 513 + number_below(numbers, 1200);
	}
}

/* Each of them allocated on one of two CPUs, and many freed there or outside meanwhile. */
static void allocate_any(struct outliving blocks[NOUTLIVING], struct numbers *numbers)
{
	for (int i = 0; i < 6 * NOUTLIVING; i++) {
		struct outliving *b = &blocks[number_below(numbers, NOUTLIVING)];
		struct umpa_guest *g = &vmm->cpu[number_below(numbers, 2)].guest;

		if (b->at && number_below(numbers, 3))
			umpa_g_free(g, b->at);
		else if (b->at)
			umpa_free(b->at);
		b->npages = any_npages(numbers);
		b->at = number_below(numbers, 4) ? umpa_g_alloc(g, b->npages * 4096, 0) : NULL;
		if (b->at)
			mark_pages(b, numbers);
	}
}

static void check_outliving(struct outliving blocks[NOUTLIVING])
{
	unsigned nwrong = 0, nlive = 0;
	struct umpa_stats st;
	size_t npages = 0;

	for (int i = 0; i < NOUTLIVING; i++)
		if (blocks[i].at) {
			nlive++;
			npages += blocks[i].npages;
			nwrong += nwrong_pages(&blocks[i]);
			nwrong += umpa_usable_size(blocks[i].at) != blocks[i].npages * 4096;
			nwrong += umpa_lent_npages(blocks[i].at) != 0;
		}
	CHECK(nlive > NOUTLIVING / 3);
	CHECK_EQ(nwrong, 0);
	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.nblocks, nlive);
	CHECK_EQ(st.block_nbytes, npages * 4096);
	CHECK(fake_consistent());
	for (unsigned i = 0; i < umpa_core.nshards; i++)
		nwrong += !umpa_shelf_valid(&umpa_core.shards[i].shelf);
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(nunlike(), 0);
}

/* They are blocks as any. */
static void use_and_free(struct outliving blocks[NOUTLIVING], struct numbers *numbers)
{
	unsigned nwrong = 0;
	struct umpa_stats st;

	for (int i = 0; i < NOUTLIVING; i++) {
		struct outliving *b = &blocks[i];
		size_t npages = any_npages(numbers);

		if (!b->at)
			continue;
		b->at = umpa_realloc(b->at, npages * 4096, 0);
		b->npages = npages < b->npages ? npages : b->npages;
		nwrong += nwrong_pages(b);
	}
	CHECK_EQ(nwrong, 0);
	for (int i = 0; i < NOUTLIVING; i++)
		umpa_free(blocks[i].at);
	umpa_trim(0);
	umpa_get_stats(&st, sizeof(st));
	CHECK_EQ(st.nblocks + st.block_nbytes, 0);
	CHECK_EQ(nunlike(), 0);
}

TEST(vmm_blocks_outlive_their_machine)
{
	struct umpa_mover mover = {.name = "entries", .move = exchange_entries};
	struct umpa_vmm_options o = {.holding_nbytes = 256 * MIB, .ncpus = 2};
	struct numbers numbers = numbers_of_seed(17);

	PLAN(66);
	for (int round = 0; round < 6; round++) {
		struct outliving blocks[NOUTLIVING] = {{NULL, 0, 0}};

		begin();
		REQUIRE(!umpa_vmm_create(&vmm, &o));
		for (int i = 0; i < 2; i++)
			vmm->cpu[i].holding.mover = &mover;
		allocate_any(blocks, &numbers);
		umpa_vmm_destroy(vmm);
		check_outliving(blocks);
		use_and_free(blocks, &numbers);
	}
}

/* Where functions have led pages to what is none, they are gone; and nobody gets their memory. */
TEST(vmm_blocks_end_where_they_are_nowhere)
{
	struct umpa_vmm_options o = {.holding_nbytes = 16 * MIB};
	char *block, *other[16];
	unsigned nwrong = 0;

	PLAN(4);
	begin();
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	block = umpa_g_alloc(&vmm->cpu->guest, 4 * MIB, 0);
	umpa_g_map(&vmm->cpu->guest, block, block + 2 * MIB, 512);
	umpa_vmm_destroy(vmm);
	CHECK_EQ(umpa_lent_npages(block), 0);
	for (int i = 0; i < 16; i++) {
		other[i] = umpa_alloc(2 * MIB, 0);
		nwrong += other[i] >= block && other[i] < block + 4 * MIB;
	}
	for (int i = 0; i < 16; i++)
		umpa_free(other[i]);
	CHECK_EQ(nwrong, 0);
	CHECK(fake_consistent());
}

/* A mark that a block before has left on the first slot is none of the holding's. */
TEST(vmm_blocks_outlive_marks_of_others)
{
	struct umpa_vmm_options o = {.holding_nbytes = 16 * MIB};
	struct umpa_block before;
	char *a, *block;

	PLAN(4);
	begin();
	umpa_free(umpa_alloc(64 * MIB, 0)); /* room, of which the machine takes the front */
	a = umpa_alloc(2 * MIB, 0);
	before = umpa_block_find(a);
	umpa_free(a);
	umpa_trim(0);
	umpa_block_mark(&before);
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	CHECK((char *)vmm->peers.held - 2 * MIB == a);
	block = umpa_g_alloc(&vmm->cpu->guest, 4 * MIB, 0);
	umpa_vmm_destroy(vmm);
	CHECK_EQ(umpa_usable_size(block), 4 * MIB);
	umpa_free(block);
	CHECK(fake_consistent());
}

/* Nor does it matter that a CPU is not to be had again. */
TEST(vmm_blocks_outlive_who_has_not_come_back)
{
	struct umpa_vmm_options o = {.holding_nbytes = 16 * MIB, .ncpus = 2};
	char *block;

	PLAN(4);
	begin();
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	block = umpa_g_alloc(&vmm->cpu[1].guest, 4 * MIB, 0);
	fake_touch(block, 4 * MIB);
	umpa_vmm_set_owner(&vmm->cpu[1], 55);
	(void)umpa_epoch_enter(&vmm->peers.epochs, 1);
	umpa_vmm_destroy(vmm);
	CHECK_EQ(umpa_usable_size(block), 4 * MIB);
	umpa_free(block);
	CHECK_EQ(nunlike(), 0);
	CHECK(fake_consistent());
}

/* The page API takes blocks of a machine where the program is outside. */
TEST(vmm_blocks_are_freed_outside)
{
	struct umpa_vmm_options o = {.holding_nbytes = 16 * MIB, .ncpus = 2};
	struct umpa_guest *g, *other;
	char *block, *to;

	PLAN(17);
	begin();
	REQUIRE(!umpa_vmm_create(&vmm, &o));
	g = &vmm->cpu[0].guest, other = &vmm->cpu[1].guest;
	for (size_t nbytes = 4096; nbytes < 8 * MIB; nbytes *= 30) {
		block = umpa_g_alloc(g, nbytes, 0);
		CHECK(umpa_owns(block) && umpa_usable_size(block) == nbytes);
		umpa_free(block);
		CHECK_EQ(umpa_lent_free(block), -EINVAL);
		CHECK(umpa_g_alloc(g, nbytes, 0) == block);
	}
	block = umpa_g_alloc(other, 3 * MIB, 0);
	fake_touch(block, 3 * MIB);
	block[0] = 5;
	CHECK(umpa_realloc(block, 3 * MIB, 0) == block);
	CHECK(!umpa_realloc(block, 4 * MIB, UMPA_NOMOVE) && errno == ENOMEM);
	to = umpa_realloc(block, 4 * MIB, 0);
	CHECK(to && !umpa_peers_holder(&vmm->peers, to) && *to == 5);
	CHECK(umpa_g_alloc(other, 3 * MIB, 0) == block);
	CHECK(!umpa_lent_npages(block + 4096) && !umpa_lent_npages(block - 2 * MIB));
	CHECK_EQ(umpa_lent_npages(block), 768);
	umpa_vmm_destroy(vmm);
	CHECK(!umpa_lent_npages(block) && umpa_lent_free(block) == -EINVAL);
	umpa_free(to);
}

/* --- no machine --------------------------------------------------------------------------- */

static long allocate(struct umpa_guest *g, void *arg)
{
	char *a = umpa_g_alloc(g, (size_t)arg, UMPA_ZERO), *b;

	b = umpa_g_realloc(g, a, 2 * (size_t)arg, 0);
	if (!b || umpa_g_is_inside(g) || umpa_g_move(g, b, b + (size_t)arg, 4096) ||
		umpa_g_usable_size(g, b) != umpa_usable_size(b))
		return -1;
	umpa_g_free(g, b);
	return 11;
}

TEST(vmm_runs_outside_where_that_is_allowed)
{
	struct umpa_vmm_options o = {.flags = UMPA_VMM_ALLOW_HOST, .holding_nbytes = 16 * MIB},
				late = o, odd = o;
	size_t mapped;

	PLAN(15);
	begin();
	mapped = fake_mapped_nbytes();
	late.time_ns = 1;
	odd.flags = 4;
	CHECK_EQ(umpa_vmm_create(&vmm, &odd), -EINVAL);
	for (int i = 0; i < 2; i++) {
		fake_kvm_reset();
		if (i)
			fake_kvm.facts.nested = 0; /* slow is not allowed */
		else
			fake_kvm.error = -ENODEV;
		CHECK_EQ(umpa_vmm_create(&vmm, &late), -ENOTSUP);
		REQUIRE(!umpa_vmm_create(&vmm, &o));
		CHECK_EQ(umpa_vmm_run(vmm, allocate, (void *)(3 * MIB), &ret, &fault), 0);
		CHECK_EQ(ret, 11);
		CHECK_EQ(umpa_vmm_sync(vmm, NULL, 0), 0);
		CHECK_EQ(umpa_vmm_sync(vmm, (void *)5, 4096), -EINVAL);
		umpa_vmm_destroy(vmm);
	}
	fake_kvm.error = -ENODEV;
	fake_fail_at(2, -ENOMEM); /* the first is the look at /dev/kvm */
	CHECK_EQ(umpa_vmm_create(&vmm, &o), -ENOMEM);
	fake_fail_at(0, 0);
	CHECK(is_clean(mapped, fake_reserved_nbytes()));
}

TEST(vmm_machine_is_as_good_as_its_host)
{
	struct umpa_vmm_options slow = {.flags = UMPA_VMM_ALLOW_SLOW};
	struct umpa_vmm_caps caps;

	PLAN(20);
	begin();
	umpa_vmm_probe(&caps);
	CHECK(caps.level == UMPA_VMM_NATIVE && !caps.error && !*caps.why);
	CHECK(caps.physical_nbits == 46 && caps.ncpus_max == 8 && caps.gib_leaves);
	fake_kvm.facts.nested = 0;
	umpa_vmm_probe(&caps);
	CHECK(caps.level == UMPA_VMM_SHADOW && caps.error == -ENOTSUP);
	CHECK_STR(caps.why, "the kernel shadows page tables: slow");
	CHECK_EQ(umpa_vmm_create(&vmm, NULL), -ENOTSUP);
	CHECK_EQ(umpa_vmm_create(&vmm, &slow), 0);
	umpa_vmm_destroy(vmm);
	fake_kvm.facts.lacking = "avx2";
	umpa_vmm_probe(&caps);
	CHECK_EQ(caps.level, UMPA_VMM_EMULATED);
	CHECK_STR(caps.why, "a guest lacks avx2");
	CHECK_EQ(umpa_vmm_create(&vmm, NULL), -ENOTSUP);
	fake_kvm_reset();
	fake_kvm.facts.physical_nbits = 33; /* too few for anybody */
	CHECK_EQ(umpa_vmm_create(&vmm, NULL), -ENOTSUP);
	umpa_vmm_probe(&caps);
	CHECK(caps.level == UMPA_VMM_NATIVE && caps.error == -ENOTSUP);
	CHECK_STR(caps.why, "the process's mappings lie too far apart for 33 bits of address, "
			    "or are more than 4096");
	fake_kvm_reset();
	fake_fail_from(1, -ENOMEM);
	umpa_vmm_probe(&caps);
	fake_fail_from(0, 0);
	CHECK(caps.error == -ENOMEM && !strcmp(caps.why, "there is no memory"));
	umpa_vmm_probe(&caps);
	CHECK(!caps.error && !*caps.why);
	fake_kvm.error = -ENODEV;
	umpa_vmm_probe(&caps);
	CHECK(caps.level == UMPA_VMM_NONE && caps.error == -ENODEV);
	CHECK_STR(caps.why, "there is no /dev/kvm");
	CHECK_EQ(umpa_vmm_create(&vmm, NULL), -ENODEV);
	fake_kvm.error = -EACCES;
	umpa_vmm_probe(&caps);
	CHECK_STR(caps.why, "/dev/kvm may not be used");
	CHECK_EQ(umpa_vmm_create(&vmm, NULL), -EACCES);
	CHECK_EQ(fake_kvm.nmachines, 0);
}

/* --- bringing home ------------------------------------------------------------------------ */

enum {
	NPAGES = 4 * 512
};

static char *pages;
static uint32_t seen[NPAGES]; /* what shall be seen at each page */

static uint32_t *page(size_t i)
{
	return (uint32_t *)(pages + i * PAGE_NBYTES);
}

/* A block whose pages say their numbers, which are seen where they are. */
static void begin_with_pages(void)
{
	begin();
	pages = umpa_alloc((size_t)NPAGES * PAGE_NBYTES, 0);
	fake_touch(pages, (size_t)NPAGES * PAGE_NBYTES);
	for (uint32_t i = 0; i < NPAGES; i++)
		*page(i) = seen[i] = i;
}

static int all_are_seen(void)
{
	for (size_t i = 0; i < NPAGES; i++)
		if (seen[i] != UINT32_MAX && *page(i) != seen[i])
			return 0;
	return 1;
}

static int all_are_home(void)
{
	for (size_t i = 0; i < NPAGES; i++)
		if (umpa_g_home(&vmm->cpu->guest, page(i)) != page(i))
			return 0;
	for (size_t i = 0; i < NPAGES; i += 512)
		if (umpa_g_is_split(*umpa_g_pte(&vmm->cpu->guest, page(i), 1)))
			return 0;
	return 1;
}

static int sync_all(void)
{
	return umpa_vmm_sync(vmm, pages, (size_t)NPAGES * PAGE_NBYTES);
}

static void lead_to(void *addr, const void *home)
{
	if (home)
		umpa_g_map(&vmm->cpu->guest, addr, home, 1);
	else
		umpa_g_unmap(&vmm->cpu->guest, addr, 1);
}

/* What is seen at n pages and n others changes places. */
static void exchange(size_t a, size_t b, size_t n)
{
	struct umpa_guest *g = &vmm->cpu->guest;

	for (size_t i = 0; i < n; i++) {
		char *x = umpa_g_home(g, page(a + i)), *y = umpa_g_home(g, page(b + i));
		uint32_t was = seen[a + i];

		lead_to(page(a + i), y);
		lead_to(page(b + i), x);
		seen[a + i] = seen[b + i];
		seen[b + i] = was;
	}
}

static void exchange_superpages(size_t a, size_t b)
{
	umpa_g_exchange(&vmm->cpu->guest, page(a), page(b), 1);
	for (size_t i = 0; i < 512; i++) {
		uint32_t was = seen[a + i];

		seen[a + i] = seen[b + i];
		seen[b + i] = was;
	}
}

TEST(vmm_sync_brings_superpages_home)
{
	struct umpa_stats before, after;

	PLAN(7);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	exchange_superpages(0, 512);
	exchange_superpages(512, 1024); /* a cycle of three */
	umpa_get_stats(&before, sizeof(before));
	CHECK_EQ(sync_all(), 0);
	umpa_get_stats(&after, sizeof(after));
	CHECK(after.nslots_moved > before.nslots_moved);
	CHECK_EQ(after.nslots_copied, before.nslots_copied);
	CHECK(all_are_seen() && all_are_home());
	CHECK_EQ(sync_all(), 0);
	CHECK(all_are_seen() && fake_consistent());
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* A page of each of some superpages that have changed places has done so, too: the others come by
 * their frames, still. */
TEST(vmm_sync_brings_superpages_but_for_pages)
{
	uint64_t frame[512];
	unsigned nfound = 0;

	PLAN(5);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	for (size_t i = 0; i < 512; i++)
		frame[i] = fake_frame(page(i));
	exchange_superpages(0, 512);
	exchange_superpages(512, 1024);
	exchange(7, 700, 3); /* of two of them */
	exchange(20, 1900, 1);
	CHECK_EQ(sync_all(), 0);
	CHECK(all_are_seen() && all_are_home());
	/* The first went to the third. */
	for (size_t i = 0; i < 512; i++)
		nfound += fake_frame(page(1024 + i)) == frame[i];
	CHECK(nfound >= 500);
	CHECK(fake_consistent());
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* Without the memory to do so all comes page by page. */
TEST(vmm_sync_does_without_memory)
{
	unsigned nwrong = 0, nrefused = 0;

	PLAN(4);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	for (unsigned n = 1; n <= 4; n++) {
		int error;

		exchange_superpages(0, 512);
		exchange(7, 700, 3);
		fake_fail_at(n, -ENOMEM);
		error = sync_all();
		fake_fail_at(0, 0);
		nrefused += error == -ENOMEM;
		nwrong += error && error != -ENOMEM;
		nwrong += sync_all() != 0;
		nwrong += !all_are_seen() || !all_are_home();
	}
	CHECK_EQ(nwrong, 0);
	CHECK_EQ(nrefused, 1); /* of what it can't do without */
	CHECK(fake_consistent());
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* Of a superpage made of pages each page is remembered by itself. */
TEST(vmm_entries_know_what_to_forget)
{
	struct umpa_guest *g;

	PLAN(13);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	g = &vmm->cpu->guest;
	CHECK(!umpa_entries_forget_all(g, page(0), page(1024), 1024));
	CHECK(!umpa_entries_forget_all(g, page(3), page(1024), 64));
	CHECK(umpa_entries_forget_all(g, page(3), page(1024), 65));
	CHECK(umpa_entries_forget_all(g, page(0), page(512), 500));
	CHECK(umpa_entries_are_open(g, page(0), 1024));
	umpa_g_split(g, page(1536));
	CHECK(umpa_entries_forget_all(g, page(0), page(1024), 1024));
	CHECK(umpa_entries_forget_all(g, page(1024), page(0), 1024));
	CHECK(!umpa_entries_forget_all(g, page(1024), page(0), 512));
	CHECK(umpa_entries_are_open(g, page(1500), 100));
	umpa_g_protect(g, page(1540), 1, 0);
	CHECK(!umpa_entries_are_open(g, page(1500), 100));
	CHECK(umpa_entries_are_open(g, page(1500), 40) && umpa_entries_are_open(g, page(1541), 40));
	umpa_g_protect(g, page(0), 512, 0);
	CHECK(!umpa_entries_are_open(g, page(511), 2));
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* Superpages are some, wherever the range begins. */
TEST(vmm_sync_of_any_range)
{
	struct umpa_stats before, after;

	PLAN(5);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	exchange_superpages(512, 1024);
	exchange(7, 30, 3);
	umpa_g_unmap(&vmm->cpu->guest, page(100), 1);
	seen[100] = UINT32_MAX;
	umpa_get_stats(&before, sizeof(before));
	CHECK_EQ(umpa_vmm_sync(vmm, page(5), (NPAGES - 11) * PAGE_NBYTES), 0);
	umpa_get_stats(&after, sizeof(after));
	CHECK(after.nslots_moved > before.nslots_moved);
	CHECK(all_are_seen() && fake_consistent());
	umpa_g_map(&vmm->cpu->guest, page(9), page(512), 1); /* of a superpage that is seen, too */
	CHECK_EQ(umpa_vmm_sync(vmm, page(5), (NPAGES - 11) * PAGE_NBYTES), -EINVAL);
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* Whatever they were led to as. */
TEST(vmm_sync_opens)
{
	volatile uint64_t *superpage, *entry;

	PLAN(5);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	umpa_g_protect(&vmm->cpu->guest, page(512), 512, 0);
	umpa_g_protect(&vmm->cpu->guest, page(3), 1, 0);
	superpage = umpa_g_pte(&vmm->cpu->guest, page(512), 1);
	entry = umpa_g_pte(&vmm->cpu->guest, page(3), 0);
	CHECK(!(*superpage & UMPA_G_WRITABLE) && !(*entry & UMPA_G_WRITABLE));
	CHECK_EQ(sync_all(), 0);
	CHECK(*superpage & UMPA_G_WRITABLE);
	CHECK(*umpa_g_pte(&vmm->cpu->guest, page(3), 1) & UMPA_G_WRITABLE && all_are_home());
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

TEST(vmm_sync_refuses)
{
	PLAN(12);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	CHECK_EQ(umpa_vmm_sync(NULL, pages, PAGE_NBYTES), -EINVAL);
	CHECK_EQ(umpa_vmm_sync(vmm, pages + 8, PAGE_NBYTES), -EINVAL);
	CHECK_EQ(umpa_vmm_sync(vmm, pages, 100), -EINVAL);
	CHECK_EQ(umpa_vmm_sync(vmm, pages, SIZE_MAX & ~(size_t)4095), -EINVAL);
	CHECK_EQ(umpa_vmm_sync(vmm, pages, 0), 0);
	umpa_g_map(&vmm->cpu->guest, page(3), page(4), 1); /* two lead to one */
	CHECK_EQ(sync_all(), -EINVAL);
	umpa_g_map(&vmm->cpu->guest, page(4), page(3), 1);
	CHECK_EQ(umpa_vmm_sync(vmm, pages, 4 * PAGE_NBYTES), -EINVAL); /* out of the range */
	fake_fail_at(1, -ENOMEM);
	CHECK_EQ(sync_all(), -ENOMEM);
	fake_fail_at(0, 0);
	CHECK(all_are_seen());
	seen[3] = 4;
	seen[4] = 3;
	CHECK_EQ(sync_all(), 0);
	CHECK(all_are_seen() && all_are_home());
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* A block that has been freed can't be swapped: what is seen stays, as far as it is somebody's. */
TEST(vmm_sync_breaks_off)
{
	char *other;

	PLAN(6);
	begin();
	pages = umpa_alloc(2 * MIB, 0);
	other = umpa_alloc(2 * MIB, 0);
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	REQUIRE(other == pages + 2 * MIB);
	*page(0) = 10;
	*page(1) = 11;
	/* 0 sees 1, 1 sees what is freed, that sees 0 */
	umpa_g_map(&vmm->cpu->guest, page(0), page(1), 1);
	umpa_g_map(&vmm->cpu->guest, page(1), other, 1);
	umpa_g_map(&vmm->cpu->guest, other, page(0), 1);
	umpa_free(other);
	CHECK_EQ(umpa_vmm_sync(vmm, pages, 4 * MIB), -EINVAL);
	CHECK(umpa_g_home(&vmm->cpu->guest, page(0)) == page(0) && *page(0) == 11);
	CHECK(umpa_g_home(&vmm->cpu->guest, page(1)) == (void *)other);
	CHECK(*(uint32_t *)umpa_g_home(&vmm->cpu->guest, other) == 10);
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* Anything at all that a function may do with pages it has, and now and then they are brought home.
 */
static void do_something(struct numbers *n)
{
	size_t a = number_below(n, NPAGES), b = number_below(n, NPAGES), some;

	switch (number_below(n, 4)) {
	case 0:
		exchange_superpages(a & ~(size_t)511, b & ~(size_t)511);
		break;
	case 1:
		exchange(a, b, 1);
		break;
	case 2:
		some = 1 + number_below(n, 40);
		if (a + some <= b && b + some <= NPAGES)
			exchange(a, b, some);
		break;
	default: /* what is not seen is of nobody's concern */
		some = number_below(n, 8) ? 1 : 512;
		a &= ~(some - 1);
		umpa_g_unmap(&vmm->cpu->guest, page(a), some);
		for (size_t i = a; i < a + some; i++)
			seen[i] = UINT32_MAX;
	}
}

/* Unseen pages hold what is left over; all are still there, each once. */
static int none_is_lost(void)
{
	static unsigned char found[NPAGES];

	memset(found, 0, sizeof(found));
	for (size_t i = 0; i < NPAGES; i++)
		if (*page(i) >= NPAGES || found[*page(i)]++)
			return 0;
	return 1;
}

TEST(vmm_sync_random)
{
	struct numbers numbers = numbers_of_seed(2011);
	unsigned nwrong = 0;

	PLAN(2);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	for (int round = 0; round < 60; round++) {
		for (uint32_t i = number_below(&numbers, 12); i > 0; i--)
			do_something(&numbers);
		nwrong += sync_all() != 0 || !all_are_seen() || !all_are_home() || !none_is_lost();
		for (uint32_t i = 0; i < NPAGES; i++)
			seen[i] = *page(i);
	}
	CHECK_EQ(nwrong, 0);
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* --- running ------------------------------------------------------------------------------ */

static struct umpa_kvm_registers entered;
static unsigned nruns;

static int come_out(struct umpa_kvm_event *e, enum umpa_kvm_exit exit, unsigned port)
{
	e->exit = exit;
	e->port = port;
	nruns++;
	return 0;
}

static int call_and_return(struct umpa_kvm_event *e)
{
	if (!nruns) {
		entered = e->registers;
		e->registers.rax = SYS_getppid;
		return come_out(e, KVM_PORT, GUEST_PORT_CALL);
	}
	if (nruns == 1) {
		return come_out(e, KVM_SIGNAL, 0);
	}
	/* What the call gave is what the function returns. */
	return come_out(e, KVM_PORT, GUEST_PORT_DONE);
}

TEST(vmm_run_calls_and_returns)
{
	PLAN(10);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	fake_kvm.run = call_and_return;
	nruns = 0;
	CHECK_EQ(run(), 0);
	CHECK_EQ(ret, getppid());
	CHECK_EQ(entered.rdx, (uintptr_t)function);
	CHECK_EQ(entered.rsi, 7);
	CHECK_EQ(entered.rsp % 16, 0);
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_NONE);
	/* What its CPU remembers of page tables that were changed outside is forgotten, once. */
	CHECK(!(entered.rcx & GUEST_ENTER_FORGETS) && !sync_all());
	nruns = 0;
	CHECK(!run() && (entered.rcx & GUEST_ENTER_FORGETS));
	nruns = 0;
	CHECK(!run() && !(entered.rcx & GUEST_ENTER_FORGETS));
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

static enum umpa_kvm_exit exit_to_make;

static int make_exit(struct umpa_kvm_event *e)
{
	e->registers.rip = 0x1234;
	return come_out(e, exit_to_make, 0x99);
}

/* A function that was not entered has not had anything forgotten. */
TEST(vmm_run_refused_forgets_nothing)
{
	struct umpa_vmm_options timed = {.time_ns = 1000000000};

	PLAN(7);
	begin_with_pages();
	REQUIRE(!umpa_vmm_create(&vmm, &timed));
	fake_kvm.run = call_and_return;
	nruns = 0;
	CHECK_EQ(run(), 0);
	CHECK_EQ(sync_all(), 0);
	fake_fail_at(1, -EAGAIN); /* the alarm */
	nruns = 0;
	CHECK_EQ(run(), -EAGAIN);
	CHECK_EQ(nruns, 0);
	fake_fail_at(0, 0);
	CHECK_EQ(run(), 0);
	CHECK(entered.rcx & GUEST_ENTER_FORGETS);
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

/* A kernel that shadows page tables sees what is written in guest mode alone. */
TEST(vmm_sync_tells_a_kernel_that_shadows)
{
	struct umpa_vmm_options slow = {.flags = UMPA_VMM_ALLOW_SLOW};

	PLAN(6);
	begin_with_pages();
	fake_kvm.facts.nested = 0;
	REQUIRE(!umpa_vmm_create(&vmm, &slow));
	fake_kvm.run = call_and_return;
	nruns = 0;
	CHECK_EQ(sync_all(), 0);
	CHECK_EQ(entered.rdx, (uintptr_t)umpa_guest_rewrite);
	CHECK_EQ(((struct umpa_guest_range *)entered.rsi)->begin == pages, 1);
	exit_to_make = KVM_SHUTDOWN;
	fake_kvm.run = make_exit;
	CHECK_EQ(sync_all(), -EIO);
	CHECK_EQ(umpa_vmm_sync(vmm, pages, 0), 0);
	umpa_vmm_destroy(vmm);
	umpa_free(pages);
}

TEST(vmm_run_tells_what_went_wrong)
{
	static const struct {
		enum umpa_kvm_exit exit;
		enum umpa_vmm_cause cause;
	} cases[] = {{KVM_PORT, UMPA_VMM_FAULT_BROKEN}, {KVM_HALT, UMPA_VMM_FAULT_HALT},
		{KVM_NOTHING, UMPA_VMM_FAULT_MEMORY}, {KVM_SHUTDOWN, UMPA_VMM_FAULT_SHUTDOWN},
		{KVM_BROKEN, UMPA_VMM_FAULT_BROKEN}};

	PLAN(4 * array_len(cases) + 3);
	begin();
	REQUIRE(!umpa_vmm_create(&vmm, NULL));
	fake_kvm.run = make_exit;
	for (size_t i = 0; i < array_len(cases); i++) {
		/* The first one is the thread's to begin with. */
		unsigned nstates = fake_kvm.nstates + !i;

		exit_to_make = cases[i].exit;
		CHECK_EQ(run(), -EFAULT);
		CHECK_EQ(fault.cause, cases[i].cause);
		CHECK_EQ(fault.ip, cases[i].exit == KVM_SHUTDOWN ? 0 : 0x1234);
		CHECK_EQ(fake_kvm.nstates, nstates + 1); /* made anew */
	}
	fake_fail_at(1, -EINVAL);
	CHECK_EQ(run(), -EIO);
	fake_fail_at(0, 0);
	CHECK_EQ(ret, -1);
	umpa_vmm_destroy(vmm);
}

static int take_a_second(struct umpa_kvm_event *e)
{
	fake_clock_ns += 1000000000;
	if (nruns == 5)
		return come_out(e, KVM_PORT, GUEST_PORT_DONE);
	return come_out(e, KVM_SIGNAL, 0);
}

TEST(vmm_run_takes_its_time)
{
	struct umpa_vmm_options limited = {.time_ns = 3000000000};

	PLAN(9);
	begin();
	REQUIRE(!umpa_vmm_create(&vmm, &limited));
	fake_kvm.run = take_a_second;
	nruns = 0;
	CHECK_EQ(run(), -ETIMEDOUT);
	CHECK_EQ(fault.cause, UMPA_VMM_FAULT_TIME);
	CHECK_EQ(nruns, 3);
	CHECK_EQ(fake_kvm.nalarms, 0);
	CHECK_EQ(run(), 0); /* two more, and it returns */
	CHECK_EQ(fake_kvm.nalarms, 0);
	fake_fail_at(1, -EAGAIN);
	CHECK_EQ(run(), -EAGAIN);
	fake_fail_at(0, 0);
	CHECK_EQ(nruns, 6);
	umpa_vmm_destroy(vmm);
}

/* --- books that are under way ------------------------------------------------------------- */

static unsigned nlong; /* runs that a change takes */

static int change_books(struct umpa_kvm_event *e)
{
	fake_clock_ns += 100000000;
	vmm->cpu->guest.nchanges = nruns < nlong;
	return come_out(e, KVM_SIGNAL, 0);
}

/* A change is let come to its end, if it does. */
TEST(vmm_run_ends_between_changes)
{
	struct umpa_vmm_options limited = {.time_ns = 100000000, .holding_nbytes = 16 * MIB};
	struct umpa_holding *h;
	char *block, *other;

	PLAN(15);
	begin();
	REQUIRE(!umpa_vmm_create(&vmm, &limited));
	h = &vmm->cpu->holding;
	block = umpa_g_alloc(&vmm->cpu->guest, MIB, 0);
	fake_kvm.run = change_books;
	nruns = 0;
	nlong = 5;
	CHECK_EQ(run(), -ETIMEDOUT);
	CHECK_EQ(nruns, 6);
	CHECK_EQ(fake_kvm.nrearmed, 5);
	CHECK(!h->is_broken && umpa_holding_valid(h));
	nruns = 0;
	nlong = 1000;
	CHECK_EQ(run(), -ETIMEDOUT);
	CHECK_EQ(nruns, 102); /* 10 s late */
	/* Blocks that are freed can still be had, and no others. */
	CHECK(h->is_broken && !vmm->cpu->guest.nchanges);
	CHECK(!umpa_g_alloc(&vmm->cpu->guest, MIB, 0));
	CHECK(!umpa_g_realloc(&vmm->cpu->guest, block, 2 * MIB, 0));
	umpa_g_free(&vmm->cpu->guest, block);
	other = umpa_g_alloc(&vmm->cpu->guest, MIB, 0);
	CHECK(other == block);
	fake_touch(other, 2 * 4096);
	CHECK(!umpa_g_unback(&vmm->cpu->guest, other, MIB) && !*other);
	umpa_vmm_destroy(vmm);
	block = umpa_alloc(16 * MIB, UMPA_ZERO);
	CHECK(block && !*block);
	umpa_free(block);
	CHECK_EQ(fake_kvm.nalarms, 0);
	CHECK(fake_consistent());
}

TEST(vmm_takes_parts_of_the_processor_as_wholes)
{
	PLAN(4);
	CHECK_EQ(umpa_kvm_whole_parts(0x602e7), 0x602e7);
	CHECK_EQ(umpa_kvm_whole_parts(0x2e7 | 0x20000), 0x2e7); /* AMX without its tiles */
	CHECK_EQ(umpa_kvm_whole_parts(0x7 | 0x60 | 0x8), 0x7);
	CHECK_EQ(umpa_kvm_whole_parts(0x1f), 0x1f);
}
