/* A window that is narrowed while blocks live in it, as where the program limits its address space.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <umpa/mmap.h>
#include <umpa/umpa.h>

#include "core/core.h"
#include "core/owns.h"
#include "mm/calls.h"
#include "mm/mapping.h"
#include "mm/mapping_parts.h"
#include "support/check.h"
#include "support/fake_os.h"

#define MIB ((size_t)1 << 20)

/* Before anybody reads the options. */
__attribute__((constructor)) static void set_option(void)
{
	setenv("UMPA_OPTIONS", "nursery=0,mover=plain", 1);
}

static void begin(void)
{
	fake_reset();
	fake_machine.memory_nbytes = (size_t)1 << 30;
}

static void end(void)
{
	CHECK(umpa_extents_valid(&umpa_core.space.extents));
	CHECK(fake_consistent());
	umpa_mapping_stop();
	umpa_core_stop();
	CHECK_EQ(fake_nframes(), 0);
	CHECK_EQ(fake_reserved_nbytes(), 0);
}
enum {
	END_CHECKS = 4
};

static char *touched(size_t nbytes)
{
	char *p = umpa_alloc(nbytes, 0);

	fake_touch(p, nbytes);
	return p;
}

static unsigned nreleased, nunlocked;

static void look_at_mover(void)
{
	nreleased++;
	nunlocked += !umpa_core.mover.lock;
}

/* Nobody registers, with a descriptor that was lost, what is given back at that moment. */
TEST(narrow_has_the_mover_wait)
{
	PLAN(3 + END_CHECKS);
	begin();
	umpa_free(touched(8 * MIB));
	fake_on_release = look_at_mover;
	umpa_mm_heed_limit(1024 * MIB);
	fake_on_release = NULL;
	CHECK(nreleased > 0);
	CHECK_EQ(nunlocked, 0);
	CHECK_EQ(umpa_core.mover.lock, 0);
	end();
}

/* The first block of all, of a size for which slots behind another's are looked for. */
TEST(narrow_has_nothing_before_the_first_slot)
{
	char *a;

	PLAN(1 + END_CHECKS);
	begin();
	a = umpa_alloc(4 * MIB + PAGE_NBYTES, 0);
	CHECK(a == (char *)umpa_core.window.base);
	umpa_free(a);
	end();
}

TEST(narrow_keeps_a_quarter)
{
	PLAN(10 + END_CHECKS);
	begin();
	umpa_free(touched(8 * MIB));
	CHECK(umpa_mapping_need());
	umpa_mm_heed_limit(1024 * MIB);
	CHECK_EQ(umpa_mapping_table.nslots, umpa_core.window.nslots);
	CHECK(!umpa_in_window((char *)umpa_core.window.base + 256 * MIB));
	CHECK(umpa_in_window((char *)umpa_core.window.base + 255 * MIB));
	CHECK_EQ(umpa_core.window.nbytes, 256 * MIB);
	CHECK_EQ(umpa_core.mover.window_nbytes, 256 * MIB);
	CHECK_EQ(fake_nframes(), 8 * MIB / PAGE_NBYTES);
	umpa_mm_heed_limit(SIZE_MAX);
	CHECK_EQ(umpa_core.window.nbytes, 256 * MIB);
	umpa_free(touched(200 * MIB));
	CHECK(!umpa_owns((char *)umpa_core.window.base + 256 * MIB));
	CHECK(umpa_owns((char *)umpa_core.window.base + 255 * MIB));
	end();
}

/* Free slots behind the last block go, with their frames; what lives keeps its place and content,
 * and what does not fit any more is the kernel's. */
TEST(narrow_keeps_what_is_in_use)
{
	char *before, *a, *behind, *more;
	uint64_t frame;

	PLAN(8 + END_CHECKS);
	begin();
	before = touched(64 * MIB);
	a = touched(64 * MIB);
	behind = touched(64 * MIB);
	frame = fake_frame(a + 63 * MIB);
	umpa_free(before);
	umpa_free(behind);
	umpa_mm_heed_limit(4 * MIB);
	CHECK_EQ(umpa_core.window.nbytes, (size_t)(a + 64 * MIB - (char *)umpa_core.window.base));
	CHECK_EQ(fake_frame(a + 63 * MIB), frame);
	CHECK(!umpa_owns(behind));
	more = umpa_alloc(64 * MIB, 0);
	CHECK(more == before);
	behind = touched(64 * MIB);
	CHECK(behind && !umpa_owns((char *)umpa_core.window.base + 128 * MIB));
	umpa_free(a);
	umpa_free(more);
	more = umpa_realloc(behind, 100 * MIB, 0);
	CHECK(more != NULL);
	umpa_free(more);
	umpa_mm_heed_limit(4 * MIB);
	CHECK_EQ(umpa_core.window.nslots, 1);
	CHECK_EQ(fake_nframes(), SLOT_NPAGES);
	end();
}

TEST(narrow_keeps_mappings)
{
	const int rw = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *a;

	PLAN(5 + END_CHECKS);
	begin();
	a = umpa_mmap(NULL, 5 * MIB, rw, flags, -1, 0);
	REQUIRE(!umpa_mprotect(a + MIB, MIB, PROT_READ));
	umpa_mm_heed_limit(4 * MIB);
	CHECK(umpa_core.window.nslots <= 4);
	CHECK(umpa_mapping_valid());
	CHECK_EQ(umpa_munmap(a, 5 * MIB), 0);
	umpa_mm_heed_limit(4 * MIB);
	CHECK_EQ(umpa_core.window.nslots, 1);
	end();
}

/* What the window lacks is the kernel's, and where that has too little the window makes room. */
TEST(narrow_makes_room_for_a_block)
{
	char *a, *b;

	PLAN(5 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 256 * MIB;
	a = touched(8 * MIB);
	CHECK_EQ(umpa_core.window.nbytes, 64 * MIB);
	fake_fail_at(1, -ENOMEM);
	b = umpa_alloc(100 * MIB, 0);
	CHECK(b != NULL);
	CHECK_EQ(umpa_core.window.nbytes, 8 * MIB);
	fake_fail_at(1, -ENOMEM);
	CHECK(!umpa_alloc(100 * MIB, 0)); /* there is no more to give */
	umpa_free(b);
	fake_fail_at(1, -ENOMEM);
	b = umpa_mmap(NULL, 10 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(b == MAP_FAILED);
	umpa_free(a);
	end();
}

TEST(narrow_makes_room_for_a_mapping)
{
	char *a;

	PLAN(3 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 256 * MIB;
	umpa_free(umpa_alloc(8 * MIB, 0));
	fake_fail_at(1, -ENOMEM);
	a = umpa_mmap(NULL, 10 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(a != MAP_FAILED);
	CHECK_EQ(umpa_core.window.nslots, 1);
	CHECK_EQ(umpa_munmap(a, 10 * MIB), 0);
	end();
}

TEST(narrow_makes_no_room_without_a_limit)
{
	size_t window;

	PLAN(2 + END_CHECKS);
	begin();
	umpa_free(umpa_alloc(8 * MIB, 0));
	window = umpa_core.window.nbytes;
	fake_fail_at(1, -ENOMEM);
	CHECK(!umpa_alloc(window + 8 * MIB, 0));
	CHECK_EQ(umpa_core.window.nbytes, window);
	end();
}

/* Nor where it would be in vain, or umpa is in the middle of something. */
TEST(narrow_makes_no_room_in_vain)
{
	size_t window;

	PLAN(4 + END_CHECKS);
	begin();
	fake_machine.as_limit_nbytes = 256 * MIB;
	umpa_free(umpa_alloc(8 * MIB, 0));
	window = umpa_core.window.nbytes;
	CHECK(!umpa_core_yield(256 * MIB + 1));
	umpa_critical.nsections++; /* a handler that has interrupted umpa */
	CHECK(!umpa_core_yield(MIB));
	umpa_critical.nsections--;
	CHECK_EQ(umpa_core.window.nbytes, window);
	CHECK(umpa_core_yield(MIB));
	end();
}

TEST(narrow_without_a_window_does_nothing)
{
	PLAN(1);
	begin();
	umpa_mm_heed_limit(4 * MIB);
	CHECK(!umpa_core_is_started());
}
